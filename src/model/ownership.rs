//! What server-side apply's `managedFields` say: whose a field is, and whether an apply would change anything.
//!
//! A live object is projected on the fields that our manager owns by its applies. The result has the form of what was
//! applied: defaulted and foreign fields are not in it. Equal digests of it and of the desired object mean that an
//! apply would change nothing, so it is not sent. Form of `fieldsV1`: structured-merge-diff, package `fieldpath`.

use std::hash::{DefaultHasher, Hasher};

use serde_json::Value;

mod projection;

use super::quantity;
use projection::Projected;

/// Digest of the fields of a live object that `manager` owns by server-side apply; 0 when it owns none.
pub fn digest_of_live(object: &Value, manager: &str) -> u64 {
    let mut entries = entries(object);
    let ours = entries.find(|(who, _)| who.name == manager && who.applied && who.subresource.is_empty());
    let Some((_, fields)) = ours else { return 0 };
    never_zero(digest(&Projected::new(object, fields), false))
}

/// Digest of an object to apply: without `apiVersion`, `kind`, `metadata.name` and `metadata.namespace`. Never 0.
pub fn digest_of_desired(object: &Value) -> u64 {
    let parts = object.as_object().into_iter().flatten();
    let parts = parts.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind"));
    let parts = parts.map(|(key, value)| match value {
        Value::Object(metadata) if key == "metadata" => {
            let fields = metadata.iter();
            let kept = fields.filter(|(key, _)| !matches!(key.as_str(), "name" | "namespace"));
            (
                key.as_str(),
                Projected::Map(kept.map(|(k, v)| (k.as_str(), Projected::Whole(v))).collect()),
            )
        }
        _ => (key.as_str(), Projected::Whole(value)),
    });
    never_zero(digest(&Projected::Map(parts.collect()), false))
}

/// Digest of what a status says, whenever it is said: without the times of its transitions. Never 0.
pub fn digest_of_status(status: &Value) -> u64 {
    fn timeless(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter();
                let lasting =
                    fields.filter(|(key, _)| !matches!(key.as_str(), "since" | "acceptedSince" | "lastTransitionTime"));
                lasting.map(|(key, value)| (key.clone(), timeless(value))).collect()
            }
            Value::Array(items) => items.iter().map(timeless).collect(),
            other => other.clone(),
        }
    }
    never_zero(digest(&Projected::Whole(&timeless(status)), false))
}

/// An entry of `managedFields`: who, how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manager<'a> {
    /// `manager`.
    pub name: &'a str,
    /// Whether `operation` is Apply (else Update).
    pub applied: bool,
    /// `subresource`; empty for the object itself.
    pub subresource: &'a str,
}

/// Everybody who owns the field at `path`, in the order of `managedFields`.
pub fn owners<'a>(object: &'a Value, path: &[&str]) -> Vec<Manager<'a>> {
    let entries = entries(object).filter(|(_, fields)| projection::contains(fields, path));
    entries.map(|(who, _)| who).collect()
}

/// Whether `manager` owns the field at `path` by an apply of the object itself.
pub fn owns(object: &Value, manager: &str, path: &[&str]) -> bool {
    let mut owners = owners(object, path).into_iter();
    owners.any(|who| who.name == manager && who.applied && who.subresource.is_empty())
}

fn entries(object: &Value) -> impl Iterator<Item = (Manager<'_>, &Value)> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(|entry| {
        let text = |key| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let who = Manager {
            name: text("manager"),
            applied: text("operation") == "Apply",
            subresource: text("subresource"),
        };
        Some((who, entry.get("fieldsV1")?))
    })
}

/// 0 is kept for "owns nothing"; an object without anything in it is 1.
fn never_zero(digest: Option<u64>) -> u64 {
    digest.unwrap_or(1).max(1)
}

/// Digest bottom-up; `None` for nulls, empty maps and lists, and for what holds nothing else: nobody can own those.
///
/// In a map with `quantities`, that is `requests` or `limits`, all forms of one quantity have one digest; anywhere all
/// forms of one number have.
fn digest(value: &Projected<'_>, quantities: bool) -> Option<u64> {
    let field = |key: &str, value: &Projected<'_>| {
        let quantities = if value.is_scalar() {
            quantities
        } else {
            matches!(key, "requests" | "limits")
        };
        digest(value, quantities)
    };
    match value {
        Projected::Whole(Value::Object(map)) => of_fields(map.iter().map(|(key, value)| {
            let digest = field(key, &Projected::Whole(value));
            (key.as_str(), digest)
        })),
        Projected::Map(fields) => of_fields(fields.iter().map(|(key, value)| (*key, field(key, value)))),
        Projected::Whole(Value::Array(list)) => {
            of_items(list.iter().map(|item| digest(&Projected::Whole(item), false)))
        }
        Projected::List(items) => of_items(items.iter().map(|item| digest(item, false))),
        Projected::Whole(scalar) => of_scalar(scalar, quantities),
    }
}

fn of_fields<'a>(fields: impl Iterator<Item = (&'a str, Option<u64>)>) -> Option<u64> {
    let mut fields: Vec<_> = fields.filter_map(|(key, digest)| Some((key, digest?))).collect();
    fields.sort_unstable();
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(b'{');
    for (key, digest) in &fields {
        hasher.write(key.as_bytes());
        hasher.write_u8(0xff);
        hasher.write_u64(*digest);
    }
    (!fields.is_empty()).then(|| hasher.finish())
}

fn of_items(items: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(b'[');
    let mut empty = true;
    for digest in items.flatten() {
        empty = false;
        hasher.write_u64(digest);
    }
    (!empty).then(|| hasher.finish())
}

fn of_scalar(scalar: &Value, quantities: bool) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let quantity = if quantities { quantity::nano(scalar) } else { None };
    match (scalar, quantity) {
        (_, Some(nano)) => {
            hasher.write_u8(b'q');
            hasher.write_i128(nano);
        }
        (Value::Bool(truth), _) => {
            hasher.write_u8(b'b');
            hasher.write_u8(u8::from(*truth));
        }
        (Value::Number(number), _) => {
            hasher.write_u8(b'n');
            // The server writes 50.0 as 50.
            let text = number.to_string();
            hasher.write(text.strip_suffix(".0").unwrap_or(&text).as_bytes());
        }
        (Value::String(text), _) => {
            hasher.write_u8(b's');
            hasher.write(text.as_bytes());
        }
        _ => return None,
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests;
