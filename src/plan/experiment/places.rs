//! Where weights stand: integer fields of objects, named by JSON pointers (RFC 6901).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::experiment::WeightValue;
use crate::api::{self, labels};
use crate::model::experiment::{Experiment, Place};

/// An object that weights stand in: API version, kind, name.
pub type Key = (String, String, String);

/// The object of a place.
pub fn key(place: &Place) -> Key {
    (place.api_version.clone(), place.kind.clone(), place.name.clone())
}

/// The objects that the weights of an experiment stand in, each once.
pub fn keys(experiment: &Experiment) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for place in experiment.versions.iter().filter_map(|version| version.place.as_ref()) {
        let key = key(place);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// The weight of every version. Of one that has no place: what the others leave of 100.
///
/// Errors: an object that is not there, that is not for experiments, or has no integer there; a sentence.
pub fn read(experiment: &Experiment, objects: &BTreeMap<Key, Value>) -> Result<Vec<WeightValue>, String> {
    let mut weights = Vec::new();
    let mut sum = 0_i32;
    for version in &experiment.versions {
        let value = match &version.place {
            Some(place) => Some(read_place(place, objects)?),
            None => None,
        };
        sum = sum.saturating_add(value.unwrap_or_default());
        weights.push((version.name.clone(), value));
    }
    let rest = (100 - sum).max(0);
    let weights = weights.into_iter().map(|(name, value)| WeightValue {
        name,
        value: value.unwrap_or(rest),
    });
    Ok(weights.collect())
}

fn read_place(place: &Place, objects: &BTreeMap<Key, Value>) -> Result<i32, String> {
    let object = objects
        .get(&key(place))
        .ok_or_else(|| format!("{} does not exist", place.object()))?;
    if let Some(why) = refusal(place, object) {
        return Err(why);
    }
    let field = object.pointer(&place.pointer);
    let number = field.and_then(|field| match field {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    });
    let number = number.and_then(|number| i32::try_from(number).ok());
    number
        .filter(|number| (0..=100).contains(number))
        .ok_or_else(|| format!("{} has no integer from 0 to 100 at {}", place.object(), place.pointer))
}

/// Why an experiment may not move weights of this object.
fn refusal(place: &Place, object: &Value) -> Option<String> {
    let label = |key: &str| object.get("metadata")?.get("labels")?.get(key)?.as_str();
    let owners = object
        .get("metadata")
        .and_then(|metadata| metadata.get("ownerReferences"));
    let mut owners = owners.and_then(Value::as_array).into_iter().flatten();
    let text = |owner: &Value, key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let policy = owners.find(|owner| text(owner, "apiVersion").starts_with(api::GROUP));
    let what = place.object();
    if let Some(fields) = fields(place).filter(|fields| !fields.iter().any(|field| matches(field, &place.pointer))) {
        let path = &place.pointer;
        return Some(format!(
            "{path} of {what} is no weight: write fieldPath as in {}",
            fields.join(" or ")
        ));
    }
    if place.kind == "ConfigMap" && label(labels::WATCH) != Some("true") {
        return Some(format!(
            "{what} is not for experiments: give it label {}: \"true\"",
            labels::WATCH
        ));
    }
    if let Some(release) = &place.release {
        return (label(labels::RELEASE) != Some(release.as_str())).then(|| {
            format!("{what} was not made for Release {release}: the names of versions must be those of its versions")
        });
    }
    // What a RoutePolicy writes would be changed back.
    let policy = policy.filter(|_| place.kind != "ConfigMap")?;
    Some(format!(
        "{what} is written by {} {}: move the weight of its versions instead, as in versionInfo.releaseRef",
        text(policy, "kind"),
        text(policy, "name"),
    ))
}

/// The fields of a kind that are weights, `N` for any number and `*` for any name: whoever may create experiments must not
/// be able to change others. `None`: a kind that whoever runs the operator has added, and knows.
fn fields(place: &Place) -> Option<&'static [&'static str]> {
    let group = place.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    match (group, place.kind.as_str()) {
        ("", "ConfigMap") => Some(&["/data/*", "/metadata/annotations/iter8.tools~1weight"]),
        ("serving.knative.dev", "Service") => Some(&["/spec/traffic/N/percent"]),
        ("networking.istio.io", "VirtualService") => Some(&[
            "/spec/http/N/route/N/weight",
            "/spec/tcp/N/route/N/weight",
            "/spec/tls/N/route/N/weight",
        ]),
        ("gateway.networking.k8s.io", "HTTPRoute") => Some(&["/spec/rules/N/backendRefs/N/weight"]),
        _ => None,
    }
}

fn matches(field: &str, pointer: &str) -> bool {
    let (fields, parts) = (field.split('/'), pointer.split('/'));
    let is = |(field, part): (&str, &str)| match field {
        "N" => !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit()),
        "*" => !part.is_empty(),
        name => name == part,
    };
    fields.clone().count() == parts.clone().count() && fields.zip(parts).all(is)
}

/// Patches (RFC 6902) that bring the objects to these weights, each only for the version of the object that was read. None for
/// an object whose weights are so already.
pub fn patches(experiment: &Experiment, objects: &BTreeMap<Key, Value>, weights: &[WeightValue]) -> Vec<(Key, Value)> {
    let mut patches = Vec::new();
    for key in keys(experiment) {
        let Some(object) = objects.get(&key) else { continue };
        let places = experiment.versions.iter().filter_map(|version| {
            let place = version.place.as_ref().filter(|place| self::key(place) == key)?;
            let weight = weights.iter().find(|weight| weight.name == version.name)?;
            let field = object.pointer(&place.pointer)?;
            let value = match field {
                Value::String(_) => Value::from(weight.value.to_string()),
                _ => Value::from(weight.value),
            };
            (*field != value).then(|| json!({ "op": "replace", "path": place.pointer, "value": value }))
        });
        let mut operations: Vec<Value> = places.collect();
        if operations.is_empty() {
            continue;
        }
        let version = object.pointer("/metadata/resourceVersion").cloned().unwrap_or_default();
        operations.push(json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": version }));
        patches.push((key, Value::Array(operations)));
    }
    patches
}
