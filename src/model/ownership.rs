//! What server-side apply's `managedFields` say: whose a field is, and whether an apply would change anything.
//!
//! A live object is projected on the fields that our manager owns by its applies. The result has the form of what was
//! applied: defaulted and foreign fields are not in it. Equal digests of it and of the desired object mean that an
//! apply would change nothing, so it is not sent. Form of `fieldsV1`: structured-merge-diff, package `fieldpath`.
//!
//! Live objects are read as text: a tree of every object that a restart lists would be half of its work.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

mod digest;
mod fields;

use digest::Digest;
pub use fields::Fields;

/// An entry of `metadata.managedFields`: who owns fields, and how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Manager<'a> {
    /// `manager`.
    #[serde(borrow, rename = "manager")]
    pub name: Cow<'a, str>,
    /// `operation`: Apply or Update.
    #[serde(borrow)]
    operation: Cow<'a, str>,
    /// `subresource`; empty for the object itself.
    #[serde(borrow)]
    pub subresource: Cow<'a, str>,
    /// `time`: Go writes null for one that is zero.
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    /// Which fields.
    #[serde(borrow, rename = "fieldsV1")]
    fields: Option<&'a RawValue>,
}

impl<'a> Manager<'a> {
    /// The entries of an object's `metadata.managedFields`; none where they cannot be read.
    pub fn all(managed_fields: Option<&'a RawValue>) -> Vec<Self> {
        let entries = managed_fields.and_then(|text| serde_json::from_str(text.get()).ok());
        entries.unwrap_or_default()
    }

    /// Whether it owns its fields by server-side apply.
    pub fn applied(&self) -> bool {
        self.operation == "Apply"
    }

    /// Whether it is this manager, and owns its fields by server-side apply of the object itself.
    pub fn applied_as(&self, manager: &str) -> bool {
        self.name == manager && self.applied() && self.subresource.is_empty()
    }

    /// When it last changed a field; `None`: not known.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        serde_json::from_str(self.time?.get()).ok()
    }

    /// The fields that it owns; `None` where they cannot be read.
    pub fn fields(&self) -> Option<Fields<'a>> {
        serde_json::from_str(self.fields?.get()).ok()
    }
}

/// Digest of a live object, as JSON text, cut down to these fields. Never 0, but for text that cannot be read.
pub fn digest_of_live(text: &str, fields: &Fields<'_>) -> u64 {
    let digest = Digest::projected(fields).of_text(text);
    digest.map_or(0, never_zero)
}

/// Digest of an object to apply: without `apiVersion`, `kind`, `metadata.name` and `metadata.namespace`. Never 0.
pub fn digest_of_desired(object: &Value) -> u64 {
    let parts = object.as_object().into_iter().flatten();
    let parts = parts.filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind"));
    let parts = parts.map(|(key, value)| {
        let digest = match value {
            Value::Object(metadata) if key == "metadata" => {
                let fields = metadata.iter();
                let kept = fields.filter(|(key, _)| !matches!(key.as_str(), "name" | "namespace"));
                digest::of_fields(kept.map(|(key, value)| (key, Digest::WHOLE.field(key).of(value))))
            }
            _ => Digest::WHOLE.field(key).of(value),
        };
        (key, digest)
    });
    never_zero(digest::of_fields(parts))
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
    never_zero(Digest::WHOLE.of(&timeless(status)))
}

/// 0 is kept for "owns nothing"; an object without anything in it is 1.
fn never_zero(digest: Option<u64>) -> u64 {
    digest.unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests;
