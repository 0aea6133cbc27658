//! What server-side apply's `managedFields` say: whose a field is, and whether an apply would change anything.
//!
//! A live object is projected on the fields that our manager owns by its applies. The result has the form of what was
//! applied: defaulted and foreign fields are not in it. Equal digests of it and of the desired object mean that an
//! apply would change nothing, so it is not sent. Form of `fieldsV1`: structured-merge-diff, "FieldsV1 format".

use serde_json::Value;

/// Digest of the fields of a live object that `manager` owns by server-side apply; 0 when it owns none.
pub fn digest_of_live(object: &Value, manager: &str) -> u64 {
    let _ = (object, manager);
    0
}

/// Digest of an object to apply: without `apiVersion`, `kind`, `metadata.name` and `metadata.namespace`. Never 0.
pub fn digest_of_desired(object: &Value) -> u64 {
    let _ = object;
    1
}

/// Whether `manager` owns the field at `path` by server-side apply.
pub fn owns(object: &Value, manager: &str, path: &[&str]) -> bool {
    let _ = (object, manager, path);
    false
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

/// Everybody who has an entry in `managedFields`, in its order.
pub fn managers(object: &Value) -> Vec<Manager<'_>> {
    let _ = object;
    Vec::new()
}

/// Everybody who owns the field at `path`, in the order of `managedFields`.
pub fn owners<'a>(object: &'a Value, path: &[&str]) -> Vec<Manager<'a>> {
    let _ = (object, path);
    Vec::new()
}
