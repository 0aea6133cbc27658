//! `charts/release/values.schema.json`: the values of the chart are a Release's spec, so their schema is that of the CRD.

use std::path::Path;

use iter8::api::crds;
use serde_json::{Map, Value, json};

use crate::golden;

/// What both kinds of schema say in the same words.
const SAME: &[&str] = &[
    "description",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "required",
];

/// An OpenAPI schema of a CRD as JSON Schema that refuses what the API server would prune, and takes the nulls that it
/// drops. Rules in CEL have no place in it: the API server answers with their sentences.
fn json_schema(schema: &Value) -> Value {
    let mut made = Map::new();
    for word in SAME {
        if let Some(value) = schema.get(*word) {
            made.insert((*word).to_owned(), integer(value));
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        made.insert("enum".to_owned(), values.clone().into());
    }
    made.insert("type".to_owned(), schema["type"].clone());
    if let Some(properties) = schema["properties"].as_object() {
        let required = schema["required"].as_array();
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
        let convert = |(name, property): (&String, &Value)| {
            let made = json_schema(property);
            let made = if is_required(name) { made } else { or_null(made) };
            (name.clone(), made)
        };
        made.insert("properties".to_owned(), properties.iter().map(convert).collect());
        made.insert("additionalProperties".to_owned(), false.into());
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            made.insert(inner.to_owned(), json_schema(&schema[inner]));
        }
    }
    made.into()
}

/// Bounds are floats in the types of CRDs.
#[allow(clippy::cast_possible_truncation)]
fn integer(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) if value.is_f64() => (number as i64).into(),
        _ => value.clone(),
    }
}

fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.push(Value::Null);
    }
    schema
}

/// The schema of the chart's values, as it stands in the file.
fn text() -> String {
    let crd = crds::all().into_iter().next().unwrap();
    let root = serde_json::to_value(crds::schema(&crd).unwrap()).unwrap();
    let mut schema = json_schema(&root["properties"]["spec"]);
    // `helm lint` looks at the chart without values: the template says what is missing.
    schema.as_object_mut().unwrap().remove("required");
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["$comment"] = "Made from src/api by `make generate`.".into();
    schema["properties"]["global"] = json!({
        "type": "object",
        "description": "Helm gives it to every chart that is part of another one; nothing reads it.",
    });
    format!("{}\n", serde_json::to_string_pretty(&schema).unwrap())
}

#[test]
fn the_schema_of_the_release_charts_values_is_that_of_the_crd() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/release/values.schema.json");
    golden::check([golden::compare_file(&path, &text())]);
}
