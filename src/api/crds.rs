//! The CRDs: what the derives give, with the rules, the default status and everything that they cannot express.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::rules::{self, Rule, text};
use super::{Experiment, Metric, Release, RoutePolicy};

/// A column of `kubectl get`: name, path, type, and whether only `-o wide` shows it.
type Column = (&'static str, &'static str, &'static str, bool);

const STATUS: Column = (
    "Status",
    r#".status.conditions[?(@.type=="Ready")].reason"#,
    "string",
    false,
);
const AGE: Column = ("Age", ".metadata.creationTimestamp", "date", false);
const MESSAGE: Column = (
    "Message",
    r#".status.conditions[?(@.type=="Ready")].message"#,
    "string",
    true,
);
const VERSIONS: Column = ("Versions", ".status.summary.versions", "string", false);
const TRAFFIC: Column = ("Traffic", ".status.summary.traffic", "string", false);

const RELEASE_COLUMNS: &[Column] = &[
    ("Environment", ".spec.environment", "string", false),
    ("Strategy", ".spec.application.strategy", "string", false),
    VERSIONS,
    TRAFFIC,
    STATUS,
    AGE,
    ("Images", ".status.summary.images", "string", true),
    MESSAGE,
];
const ROUTE_POLICY_COLUMNS: &[Column] = &[
    ("Strategy", ".spec.strategy", "string", false),
    VERSIONS,
    TRAFFIC,
    ("Route", ".status.route.name", "string", false),
    STATUS,
    AGE,
    MESSAGE,
];

// As Iter8's v2alpha1 had them.
const EXPERIMENT_COLUMNS: &[Column] = &[
    ("type", ".spec.strategy.testingPattern", "string", false),
    ("target", ".spec.target", "string", false),
    ("stage", ".status.stage", "string", false),
    ("completed iterations", ".status.completedIterations", "string", false),
    ("message", ".status.message", "string", false),
    ("verdict", ".status.verdict", "string", true),
    ("age", ".metadata.creationTimestamp", "date", true),
];
const METRIC_COLUMNS: &[Column] = &[
    ("type", ".spec.type", "string", false),
    ("description", ".spec.description", "string", false),
];

/// All CRDs of this group, in the order of their installation.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![
        finish(Release::crd(), RELEASE_COLUMNS, text::RELEASE, &rules::release::rules()),
        finish(
            RoutePolicy::crd(),
            ROUTE_POLICY_COLUMNS,
            text::ROUTE_POLICY,
            &rules::route_policy::rules(),
        ),
        finish(
            Experiment::crd(),
            EXPERIMENT_COLUMNS,
            text::EXPERIMENT,
            &rules::experiment::rules(),
        ),
        finish(Metric::crd(), METRIC_COLUMNS, text::METRIC, &rules::metric::rules()),
    ]
}

/// File name and YAML of every CRD, as they stand in `crds/`.
pub fn documents() -> Result<Vec<(String, String)>, serde_json::Error> {
    all()
        .iter()
        .map(|crd| {
            let mut value = serde_json::to_value(crd)?;
            integers(&mut value);
            let yaml = serde_yaml::to_string(&value).map_err(serde::ser::Error::custom)?;
            Ok((format!("{}.yaml", crd.spec.names.plural), yaml))
        })
        .collect()
}

/// The schema of the served version.
pub fn schema(crd: &CustomResourceDefinition) -> Option<&JSONSchemaProps> {
    crd.spec.versions.first()?.schema.as_ref()?.open_api_v3_schema.as_ref()
}

fn finish(
    mut crd: CustomResourceDefinition,
    columns: &[Column],
    texts: &[text::Text],
    rules: &[Rule],
) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        version.additional_printer_columns = Some(columns.iter().map(column).collect());
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        simplify(root);
        for text in texts {
            for at in text.at {
                attach(root, at, (&Rule::new(text.at, text.message, text.cel())).into());
            }
        }
        for rule in rules {
            for at in rule.at {
                attach(root, at, rule.into());
            }
        }
        if let Some(status) = find(root, "status") {
            status.default = Some(JSON(default_status()));
        }
    }
    crd
}

fn column(&(name, path, type_, wide): &Column) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        json_path: path.to_owned(),
        type_: type_.to_owned(),
        priority: wide.then_some(1),
        ..CustomResourceColumnDefinition::default()
    }
}

/// What an object says until the operator has seen it.
fn default_status() -> Value {
    json!({
        "observedGeneration": 0,
        "conditions": [{
            "type": "Ready", "status": "Unknown", "observedGeneration": 0,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
            "reason": "Pending", "message": "not yet seen by the operator",
        }],
    })
}

impl From<&Rule> for ValidationRule {
    fn from(rule: &Rule) -> Self {
        Self {
            // Without it, a rule that looks at the old object would not run on creation.
            optional_old_self: rule.cel.contains("oldSelf").then_some(true),
            rule: rule.cel.clone(),
            message: Some(rule.message.to_owned()),
            message_expression: rule
                .names
                .map(|names| format!("{names} + ' {}'", rule.message.replace('\'', "\\'"))),
            field_path: rule.field_path.map(str::to_owned),
            ..Self::default()
        }
    }
}

/// A path that is not in the schema is a slip in the tables of rules; `tests/it/crds.rs` finds it.
fn attach(root: &mut JSONSchemaProps, at: &str, rule: ValidationRule) {
    if let Some(schema) = find(root, at) {
        schema.x_kubernetes_validations.get_or_insert_default().push(rule);
    }
}

/// The schema at a path like `spec.versions[].labels{}`; the empty path is the root.
fn find<'a>(root: &'a mut JSONSchemaProps, path: &str) -> Option<&'a mut JSONSchemaProps> {
    let mut at = root;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let (name, mut below) = step.split_at(step.find(['[', '{']).unwrap_or(step.len()));
        at = at.properties.as_mut()?.get_mut(name)?;
        while !below.is_empty() {
            let (next, rest) = below.split_at_checked(2)?;
            at = if next == "[]" { items(at)? } else { values(at)? };
            below = rest;
        }
    }
    Some(at)
}

fn items(schema: &mut JSONSchemaProps) -> Option<&mut JSONSchemaProps> {
    match schema.items.as_mut()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn values(schema: &mut JSONSchemaProps) -> Option<&mut JSONSchemaProps> {
    match schema.additional_properties.as_mut()? {
        JSONSchemaPropsOrBool::Schema(values) => Some(values),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

/// Takes `nullable` and the null of enums away: the API server then drops nulls, so that an absent field has one form
/// only.
fn simplify(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        simplify(property);
    }
    if let Some(items) = items(schema) {
        simplify(items);
    }
    if let Some(values) = values(schema) {
        simplify(values);
    }
}

/// Writes `100.0` as `100`: the bounds of integers are floats in the types.
fn integers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(integer) = number
                .to_string()
                .strip_suffix(".0")
                .and_then(|text| text.parse::<i64>().ok())
            {
                *value = integer.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(integers),
        Value::Object(fields) => fields.values_mut().for_each(integers),
        _ => {}
    }
}
