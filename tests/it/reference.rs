//! `docs/reference.md`: every field of the kinds, out of the CRDs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::golden;

/// The CRDs, in the order of the page.
const CRDS: &[&str] = &["releases", "routepolicies", "experiments", "metrics"];

fn crd(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{name}.yaml"));
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn page() -> String {
    let mut page =
        "# Reference\n\nEvery field of the kinds; `make generate` writes this page out of [`crds/`](../crds). \
                    What the fields do together is in [concepts](concepts.md).\n"
            .to_owned();
    for name in CRDS {
        let crd = crd(name);
        let (names, version) = (&crd["spec"]["names"], &crd["spec"]["versions"][0]);
        let schema = &version["schema"]["openAPIV3Schema"];
        let kind = names["kind"].as_str().unwrap();
        writeln!(page, "\n## {kind}\n\n{}", text(schema)).unwrap();
        writeln!(
            page,
            "\n`apiVersion: {}/{}`, namespaced; in kubectl `{}`{}.",
            crd["spec"]["group"].as_str().unwrap(),
            version["name"].as_str().unwrap(),
            names["singular"].as_str().unwrap(),
            names["shortNames"][0]
                .as_str()
                .map(|short| format!(" or `{short}`"))
                .unwrap_or_default()
        )
        .unwrap();
        let parts = ["spec", "status"].into_iter();
        for part in parts.filter(|part| schema["properties"][part].is_object()) {
            writeln!(
                page,
                "\n### {kind}.{part}\n\n| field | type | default | meaning |\n|---|---|---|---|"
            )
            .unwrap();
            fields(&schema["properties"][part], "", &mut page);
        }
        writeln!(page, "\n### {kind}: what is refused\n\n| where | answer |\n|---|---|").unwrap();
        let mut refusals = BTreeMap::new();
        rules(schema, "", &mut refusals);
        for (sentence, places) in refusals {
            // In Markdown `<name>` would be a tag.
            let sentence = cell(&sentence).replace('<', "&lt;");
            writeln!(page, "| {} | {sentence} |", places.join(", ")).unwrap();
        }
    }
    page
}

/// One row for each field below a schema.
fn fields(schema: &Value, path: &str, page: &mut String) {
    let required = schema["required"].as_array();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = join(path, name, field);
        let needed = required.is_some_and(|names| names.iter().any(|one| one == name));
        let default = match &field["default"] {
            Value::Null if needed => "required".to_owned(),
            Value::Null => String::new(),
            value if value.is_object() || *value == "" || value.as_array().is_some_and(Vec::is_empty) => String::new(),
            value => format!("`{}`", value.to_string().trim_matches('"')),
        };
        writeln!(page, "| `{path}` | {} | {default} | {} |", type_of(field), text(field)).unwrap();
        fields(field, &path, page);
        fields(&field["items"], &path, page);
        let values = &field["additionalProperties"];
        fields(values, &format!("{path}{{}}"), page);
        fields(&values["items"], &format!("{path}{{}}[]"), page);
    }
}

fn join(path: &str, name: &str, field: &Value) -> String {
    let dot = if path.is_empty() { "" } else { "." };
    let list = if field["items"]["properties"].is_object() {
        "[]"
    } else {
        ""
    };
    format!("{path}{dot}{name}{list}")
}

/// The type with its bounds, as people say it.
fn type_of(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap()))
            .collect();
        return values.join(", ");
    }
    let bound = |low: &str, high: &str| match (field[low].as_i64(), field[high].as_i64()) {
        (Some(low), Some(high)) => format!(" {low} to {high}"),
        (None, Some(high)) => format!(", at most {high}"),
        _ => String::new(),
    };
    match field["type"].as_str() {
        Some("array") => {
            let of = match field["items"]["type"].as_str() {
                Some("string") => "strings",
                Some("boolean") => "booleans",
                _ => "objects",
            };
            format!("list of {of}{}", bound("minItems", "maxItems"))
        }
        Some("object") if field["additionalProperties"].is_object() => {
            let of = match field["additionalProperties"]["type"].as_str() {
                Some("string") => "strings",
                Some("array") => "lists",
                _ => "objects",
            };
            format!("map of {of}{}", bound("minProperties", "maxProperties"))
        }
        Some("object") if field["x-kubernetes-preserve-unknown-fields"] == true => "any object".to_owned(),
        Some("integer") => format!("integer{}", bound("minimum", "maximum")),
        Some("string") if field["format"] == "date-time" => "time".to_owned(),
        Some(other) => other.to_owned(),
        None if field["x-kubernetes-preserve-unknown-fields"] == true => "number or quantity".to_owned(),
        None => panic!("a field without type: {field}"),
    }
}

/// Where each rule stands, by the sentence that it answers with.
fn rules(schema: &Value, path: &str, found: &mut BTreeMap<String, Vec<String>>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let place = if path.is_empty() {
            "the whole".to_owned()
        } else {
            format!("`{path}`")
        };
        found
            .entry(rule["message"].as_str().unwrap().to_owned())
            .or_default()
            .push(place);
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        rules(field, &format!("{path}{dot}{name}"), found);
    }
    rules_of(&schema["items"], path, "[]", found);
    rules_of(&schema["additionalProperties"], path, "{}", found);
}

fn rules_of(schema: &Value, path: &str, suffix: &str, found: &mut BTreeMap<String, Vec<String>>) {
    if schema.is_object() {
        rules(schema, &format!("{path}{suffix}"), found);
    }
}

fn text(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

/// Text as it may stand in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[test]
fn the_reference_tells_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    golden::check([golden::compare_file(&path, &page())]);
}
