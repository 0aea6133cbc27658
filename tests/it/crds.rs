//! The CRDs as they are generated.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use iter8::api::crds;
use iter8::api::rules::{experiment, metric, release, route_policy, text};
use serde_json::Value;

/// Every schema of a CRD with its path.
fn schemas() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for crd in crds::all() {
        let root = serde_json::to_value(crds::schema(&crd).unwrap()).unwrap();
        walk("", &root, &crd.spec.names.kind, &mut found);
    }
    found
}

fn walk(path: &str, schema: &Value, kind: &str, found: &mut Vec<(String, Value)>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        walk(&format!("{path}{dot}{name}"), property, kind, found);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], kind, found);
    }
    if schema["additionalProperties"].is_object() {
        walk(&format!("{path}{{}}"), &schema["additionalProperties"], kind, found);
    }
    found.push((format!("{kind} {path}"), schema.clone()));
}

#[test]
fn the_files_in_crds_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    for (name, want) in crds::documents().unwrap() {
        let path = folder.join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &want).unwrap();
        }
        let have = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            have == want,
            "{} is stale: run UPDATE_GOLDEN=1 cargo test --test it crds",
            path.display()
        );
    }
}

#[test]
fn a_crd_fits_into_64_kib() {
    for crd in crds::all() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        assert!(size < 64 * 1024, "{} has {size} bytes", crd.spec.names.plural);
    }
}

#[test]
fn every_list_map_and_string_is_bounded() {
    for (path, schema) in schemas() {
        if path.contains(" metadata") || path.ends_with(" apiVersion") || path.ends_with(" kind") {
            continue; // the API server's own
        }
        match schema["type"].as_str() {
            Some("string") => assert!(
                !schema["maxLength"].is_null() || !schema["enum"].is_null() || schema["format"] == "date-time",
                "{path} has no maxLength"
            ),
            Some("array") => assert!(!schema["maxItems"].is_null(), "{path} has no maxItems"),
            Some("object") if !schema["additionalProperties"].is_null() => {
                assert!(!schema["maxProperties"].is_null(), "{path} has no maxProperties");
            }
            _ => {}
        }
    }
}

#[test]
fn every_field_has_a_description() {
    for (path, schema) in schemas() {
        if path.ends_with(['}', ']']) || path.contains(" metadata") || path.ends_with(" apiVersion") {
            continue;
        }
        let is_top = path.ends_with(" kind") || path.ends_with(" spec") || path.ends_with(" status");
        assert!(is_top || !schema["description"].is_null(), "{path} has no description");
    }
}

#[test]
fn every_rule_stands_at_a_field_that_exists() {
    let paths: BTreeSet<String> = schemas().into_iter().map(|(path, _)| path).collect();
    let tables = [
        ("Release", text::RELEASE, release::rules()),
        ("RoutePolicy", text::ROUTE_POLICY, route_policy::rules()),
        ("Experiment", text::EXPERIMENT, experiment::rules()),
        ("Metric", text::METRIC, metric::rules()),
    ];
    for (kind, texts, rules) in tables {
        let places = texts
            .iter()
            .flat_map(|text| text.at)
            .chain(rules.iter().flat_map(|rule| rule.at));
        for at in places {
            assert!(paths.contains(&format!("{kind} {at}")), "{kind} has no {at}");
        }
    }
}

#[test]
fn columns_are_those_that_users_are_promised() {
    let columns: Vec<String> = crds::all()
        .iter()
        .map(|crd| {
            let columns = crd.spec.versions[0].additional_printer_columns.as_deref().unwrap();
            let name = |priority: Option<i32>| {
                let shown = columns.iter().filter(|column| column.priority == priority);
                shown
                    .map(|column| column.name.to_uppercase())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            format!("{} | {}", name(None), name(Some(1)))
        })
        .collect();
    assert_eq!(
        columns,
        [
            "ENVIRONMENT STRATEGY VERSIONS TRAFFIC STATUS AGE | IMAGES MESSAGE",
            "STRATEGY VERSIONS TRAFFIC ROUTE STATUS AGE | MESSAGE",
            "TYPE TARGET STAGE COMPLETED ITERATIONS MESSAGE | VERDICT AGE",
            "TYPE DESCRIPTION | ",
        ]
    );
}
