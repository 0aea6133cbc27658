//! Merging what a user specifies over what is generated: JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

/// Merges `over` into `base`: maps by key, anything else (lists too) replaces, null removes.
///
/// Beyond the RFC, nulls deep inside of what is taken over are dropped as well: the API server never stores them.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::Null) => {
                base.remove(key);
            }
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            (_, value) => {
                base.insert(key.clone(), without_nulls(value));
            }
        }
    }
}

/// A copy in which no map has a null, at any depth.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(base: &Value, over: &Value, want: &Value) {
        let mut merged = base.as_object().unwrap().clone();
        merge(&mut merged, over.as_object().unwrap());
        assert_eq!(Value::Object(merged), *want);
    }

    #[test]
    fn maps_merge_by_key_and_scalars_replace() {
        check(
            &json!({"a": {"x": 1, "y": 2}, "b": 3}),
            &json!({"a": {"y": 9, "z": 4}}),
            &json!({"a": {"x": 1, "y": 9, "z": 4}, "b": 3}),
        );
    }

    #[test]
    fn lists_replace() {
        check(
            &json!({"l": [{"name": "a", "x": 1}, {"name": "b"}]}),
            &json!({"l": [{"name": "a"}]}),
            &json!({"l": [{"name": "a"}]}),
        );
    }

    #[test]
    fn a_value_of_another_type_replaces() {
        check(
            &json!({"a": {"x": 1}, "b": 2}),
            &json!({"a": 1, "b": {"y": 2}}),
            &json!({"a": 1, "b": {"y": 2}}),
        );
    }

    #[test]
    fn null_removes_and_is_never_kept() {
        check(
            &json!({"a": 1, "b": {"x": 1, "y": 2}}),
            &json!({"a": null, "b": {"x": null}, "c": null, "d": {"x": null, "y": 1}, "e": [{"x": null, "y": 1}]}),
            &json!({"b": {"y": 2}, "d": {"y": 1}, "e": [{"y": 1}]}),
        );
    }

    #[test]
    fn an_empty_map_is_kept_as_it_means_something() {
        check(
            &json!({}),
            &json!({"v": [{"emptyDir": {}}], "s": {}}),
            &json!({"v": [{"emptyDir": {}}], "s": {}}),
        );
    }
}
