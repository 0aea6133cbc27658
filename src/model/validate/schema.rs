//! The bounds of the CRDs' schemas, checked here with the words of the API server: ranges, lengths, enums, types,
//! required and unknown fields, and the forms of strings.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::crds;
use crate::api::rules::text::{self, Text};
use crate::model::FieldError;

/// The schema of a value, and of the values in it. Put together once: specs are checked whenever they are looked at.
pub(super) struct Schema {
    /// Of the value itself.
    own: JSONSchemaProps,
    /// The form of a string.
    form: Option<&'static Text>,
    /// Of the fields that the schema names.
    fields: BTreeMap<String, Schema>,
    /// Of a map's values.
    values: Option<Box<Schema>>,
    /// Of a list's items.
    items: Option<Box<Schema>>,
}

impl Schema {
    /// Of a kind's `spec`.
    fn of(plural: &str, texts: &'static [Text]) -> Self {
        let crd = crds::all().into_iter().find(|crd| crd.spec.names.plural == plural);
        let root = crd.as_ref().and_then(crds::schema);
        let spec = root.and_then(|root| root.properties.as_ref()?.get("spec").cloned());
        Self::at("spec", spec.unwrap_or_default(), texts)
    }

    /// `path`: as in the tables of forms.
    fn at(path: &str, mut own: JSONSchemaProps, texts: &'static [Text]) -> Self {
        let fields = own.properties.take().unwrap_or_default().into_iter();
        let fields = fields.map(|(name, field)| {
            let schema = Self::at(&format!("{path}.{name}"), field, texts);
            (name, schema)
        });
        let values = match own.additional_properties.take() {
            Some(JSONSchemaPropsOrBool::Schema(values)) => Some(Self::at(&format!("{path}{{}}"), *values, texts)),
            _ => None,
        };
        let items = match own.items.take() {
            Some(JSONSchemaPropsOrArray::Schema(items)) => Some(Self::at(&format!("{path}[]"), *items, texts)),
            _ => None,
        };
        own.description = None; // nobody reads it here
        Self {
            form: texts.iter().find(|form| form.at.contains(&path)),
            fields: fields.collect(),
            values: values.map(Box::new),
            items: items.map(Box::new),
            own,
        }
    }
}

pub(super) static RELEASE: LazyLock<Schema> = LazyLock::new(|| Schema::of("releases", text::RELEASE));
pub(super) static ROUTE_POLICY: LazyLock<Schema> = LazyLock::new(|| Schema::of("routepolicies", text::ROUTE_POLICY));
pub(super) static EXPERIMENT: LazyLock<Schema> = LazyLock::new(|| Schema::of("experiments", text::EXPERIMENT));
pub(super) static METRIC: LazyLock<Schema> = LazyLock::new(|| Schema::of("metrics", text::METRIC));

/// The fields of a file's `spec` that its kind does not have, each with its path; nothing for a kind that is not ours.
pub fn unknown_fields(object: &Value) -> Vec<FieldError> {
    let schema = match object.get("kind").and_then(Value::as_str) {
        Some("Release") => &*RELEASE,
        Some("RoutePolicy") => &*ROUTE_POLICY,
        Some("Experiment") => &*EXPERIMENT,
        Some("Metric") => &*METRIC,
        _ => return Vec::new(),
    };
    let mut walk = Walk::default();
    walk.value(schema, &Place::spec(), object.get("spec").unwrap_or(&Value::Null));
    walk.unknown
}

/// Reads `spec` out of a file.
pub(super) fn read<S: DeserializeOwned>(schema: &Schema, object: &Value) -> Result<S, Vec<FieldError>> {
    let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
    without_nulls(schema, &mut spec);
    let mut walk = Walk::default();
    walk.value(schema, &Place::spec(), &spec);
    walk.form.append(&mut walk.unknown);
    if !walk.form.is_empty() {
        walk.form.append(&mut walk.bounds);
        return Err(walk.form);
    }
    serde_json::from_value(spec).map_err(|error| vec![FieldError::invalid("spec", error.to_string())])
}

/// What a typed spec breaks of the schema's bounds and forms.
pub(super) fn bounds<S: Serialize>(schema: &Schema, spec: &S) -> Vec<FieldError> {
    let mut walk = Walk::default();
    match serde_json::to_value(spec) {
        Ok(value) => walk.value(schema, &Place::spec(), &value),
        Err(error) => walk.bounds.push(FieldError::invalid("spec", error.to_string())),
    }
    walk.bounds
}

/// Where a value stands. Its path is put together only when it is asked for.
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

impl Place<'_> {
    fn spec() -> Self {
        Self {
            above: None,
            step: Step::Field("spec"),
        }
    }

    fn at<'a>(&'a self, step: Step<'a>) -> Place<'a> {
        Place {
            above: Some(self),
            step,
        }
    }

    fn field<'a>(&'a self, name: &'a str) -> Place<'a> {
        self.at(Step::Field(name))
    }

    fn item(&self, index: usize) -> Place<'_> {
        self.at(Step::Item(index))
    }

    /// The path that users read.
    fn shown(&self) -> String {
        let above = self.above.map(Place::shown);
        match (above, &self.step) {
            (None, Step::Field(name)) => (*name).to_owned(),
            (Some(above), Step::Field(name)) => above + "." + name,
            (above, Step::Item(index)) => format!("{}[{index}]", above.unwrap_or_default()),
        }
    }
}

#[derive(Default)]
struct Walk {
    /// Wrong types, missing fields, values that no enum has: such a spec can't be read.
    form: Vec<FieldError>,
    unknown: Vec<FieldError>,
    bounds: Vec<FieldError>,
}

impl Walk {
    fn value(&mut self, schema: &Schema, at: &Place, value: &Value) {
        match (schema.own.type_.as_deref(), value) {
            (Some("object"), Value::Object(fields)) => self.object(schema, at, fields),
            (Some("array"), Value::Array(items)) => self.array(schema, at, items),
            (Some("string"), Value::String(text)) => self.string(schema, at, text),
            (Some("integer"), Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.integer(&schema.own, at, value.as_f64().unwrap_or(f64::MAX));
            }
            (Some("boolean"), Value::Bool(_)) | (None, _) => {}
            (Some(wanted), Value::Null) => self.form.push(FieldError::invalid(at.shown(), required(wanted))),
            (Some(wanted), _) => {
                self.form
                    .push(FieldError::invalid(at.shown(), format!("must be of type {wanted}")));
            }
        }
    }

    fn object(&mut self, schema: &Schema, at: &Place, fields: &Map<String, Value>) {
        let required = schema.own.required.iter().flatten();
        for name in required.filter(|name| !fields.contains_key(*name)) {
            self.form
                .push(FieldError::invalid(at.field(name).shown(), "Required value"));
        }
        if let Some(most) = schema.own.max_properties.filter(|most| exceeds(fields.len(), *most)) {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("must have at most {most} properties"),
            ));
        }
        for (name, value) in fields {
            if let Some(field) = schema.fields.get(name) {
                self.value(field, &at.field(name), value);
            } else if let Some(values) = &schema.values {
                self.value(values, &at.field(name), value);
            } else if schema.own.x_kubernetes_preserve_unknown_fields != Some(true) {
                self.unknown
                    .push(FieldError::invalid(at.field(name).shown(), "unknown field"));
            }
        }
    }

    fn array(&mut self, schema: &Schema, at: &Place, items: &[Value]) {
        let own = &schema.own;
        if let Some(most) = own.max_items.filter(|most| exceeds(items.len(), *most)) {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("must have at most {most} items"),
            ));
        }
        if let Some(least) = own
            .min_items
            .filter(|least| exceeds(usize::try_from(*least).unwrap_or(0), count(items.len())))
        {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("should have at least {least} items"),
            ));
        }
        if own.x_kubernetes_list_type.as_deref() == Some("map") {
            self.keys(own, at, items);
        }
        if let Some(each) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.value(each, &at.item(index), item);
            }
        }
    }

    /// Two items of a list map must not have the same keys.
    fn keys(&mut self, schema: &JSONSchemaProps, at: &Place, items: &[Value]) {
        let keys: Vec<Vec<Option<&Value>>> = items
            .iter()
            .map(|item| {
                schema
                    .x_kubernetes_list_map_keys
                    .iter()
                    .flatten()
                    .map(|key| item.get(key))
                    .collect()
            })
            .collect();
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).any(|earlier| earlier == key) {
                self.bounds.push(FieldError::invalid(
                    at.item(index).shown(),
                    "Duplicate value: give each its own",
                ));
            }
        }
    }

    fn string(&mut self, schema: &Schema, at: &Place, text: &str) {
        let own = &schema.own;
        if let Some(values) = &own.enum_
            && !values.iter().any(|value| value.0 == text)
        {
            let supported: Vec<String> = values.iter().map(|value| value.0.to_string()).collect();
            let message = format!(
                "Unsupported value: \"{text}\": supported values: {}",
                supported.join(", ")
            );
            self.form.push(FieldError::invalid(at.shown(), message));
        }
        if let Some(form) = schema.form.filter(|form| !form.accepts(text)) {
            self.bounds.push(FieldError::invalid(at.shown(), form.message));
        } else if let Some(most) = own.max_length.filter(|most| exceeds(text.chars().count(), *most)) {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("may not be more than {most} bytes"),
            ));
        } else if let Some(least) = own.min_length.filter(|least| count(text.chars().count()) < *least) {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("should be at least {least} chars long"),
            ));
        }
    }

    fn integer(&mut self, schema: &JSONSchemaProps, at: &Place, number: f64) {
        if let Some(least) = schema.minimum.filter(|least| number < *least) {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("should be greater than or equal to {least}"),
            ));
        }
        if let Some(most) = schema.maximum.filter(|most| number > *most) {
            self.bounds.push(FieldError::invalid(
                at.shown(),
                format!("should be less than or equal to {most}"),
            ));
        }
    }
}

fn required(wanted: &str) -> String {
    format!("Required value: must be of type {wanted}")
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn exceeds(length: usize, most: i64) -> bool {
    count(length) > most
}

/// Drops nulls where the schema knows the fields, as the API server does; below `preserve-unknown-fields` they stay.
fn without_nulls(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, field| !(field.is_null() && schema.fields.contains_key(name)));
            for (name, field) in fields {
                if let Some(schema) = schema.fields.get(name) {
                    without_nulls(schema, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(each) = &schema.items {
                for item in items {
                    without_nulls(each, item);
                }
            }
        }
        _ => {}
    }
}
