//! Whether two versions run the same thing: a digest of a pod template without what carries its version's name.

use std::fmt::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Label of the pods of a version; its value is the version's name.
pub const APP_LABEL: &str = "app";

/// Bytes of the SHA-256 that are kept.
const LENGTH: usize = 8;

/// Digest of a pod template (16 hexadecimal digits) that does not depend on the name of its version.
///
/// Left out are: label `app` of the pods; selectors of that label with the version's name, as in affinities and
/// topology spread constraints; and the version's name where a container has it.
pub fn digest(template: &Value, version: &str) -> String {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(APP_LABEL);
    }
    for container in template
        .pointer_mut("/spec/containers")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if container.get("name").and_then(Value::as_str) == Some(version)
            && let Some(container) = container.as_object_mut()
        {
            container.remove("name");
        }
    }
    for field in ["/spec/affinity", "/spec/topologySpreadConstraints"] {
        if let Some(value) = template.pointer_mut(field) {
            drop_selectors(value, version);
        }
    }
    // Maps of serde_json are sorted by key, so the text does not depend on the order in which a user wrote them.
    let hash = Sha256::digest(template.to_string());
    hash.iter().take(LENGTH).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Takes the version's name out of every label selector in `value`.
fn drop_selectors(value: &mut Value, version: &str) {
    match value {
        Value::Object(map) => {
            if map.get(APP_LABEL).and_then(Value::as_str) == Some(version) {
                map.remove(APP_LABEL);
            }
            drop_from_expression(map, version);
            map.values_mut().for_each(|value| drop_selectors(value, version));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_selectors(item, version)),
        _ => {}
    }
}

/// Takes the version's name out of `{key: app, operator: In, values: [...]}`.
fn drop_from_expression(map: &mut Map<String, Value>, version: &str) {
    if map.get("key").and_then(Value::as_str) == Some(APP_LABEL)
        && let Some(values) = map.get_mut("values").and_then(Value::as_array_mut)
    {
        values.retain(|value| value.as_str() != Some(version));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(version: &str) -> Value {
        json!({
            "metadata": {"labels": {"app": version}},
            "spec": {
                "containers": [{"name": version, "image": "httpbin:1", "env": [{"name": "A", "value": "1"}]}],
                "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "zone",
                        "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": [version]}]},
                    },
                }]}},
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": version}}},
                ],
            },
        })
    }

    fn changed(pointer: &str, value: Value) -> Value {
        let mut template = template("a");
        *template.pointer_mut(pointer).unwrap() = value;
        template
    }

    #[test]
    fn it_does_not_depend_on_the_versions_name() {
        assert_eq!(digest(&template("a"), "a"), digest(&template("b"), "b"));
    }

    #[test]
    fn it_is_16_digits_that_stay_the_same_from_release_to_release() {
        // The digest is stored in the cluster: a new one would look like a change of every template.
        assert_eq!(
            digest(&json!({"spec": {"containers": [{"image": "a"}]}}), "a"),
            "72b5b2cc0c3c94b8"
        );
    }

    #[test]
    fn anything_else_makes_a_difference() {
        let unchanged = digest(&template("a"), "a");
        for (pointer, value) in [
            ("/spec/containers/0/image", json!("httpbin:2")),
            ("/spec/containers/0/image", json!("a")),
            ("/spec/containers/0/env/0/value", json!("2")),
            ("/spec/containers/0/name", json!("other")),
            ("/metadata/labels", json!({"app": "a", "tier": "web"})),
            (
                "/spec/topologySpreadConstraints/0/labelSelector/matchLabels/app",
                json!("other"),
            ),
        ] {
            assert_ne!(
                digest(&changed(pointer, value.clone()), "a"),
                unchanged,
                "{pointer} = {value}"
            );
        }
    }

    #[test]
    fn an_image_that_is_called_like_its_version_counts() {
        let of = |version: &str| {
            digest(
                &json!({"spec": {"containers": [{"name": version, "image": version}]}}),
                version,
            )
        };
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn the_order_of_keys_makes_no_difference() {
        let of = |text: &str| digest(&serde_json::from_str(text).unwrap(), "a");
        assert_eq!(of(r#"{"x":1,"y":{"b":1,"a":2}}"#), of(r#"{"y":{"a":2,"b":1},"x":1}"#));
    }
}
