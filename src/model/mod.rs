//! Validated values, names, arithmetic of weights, and what was observed of the cluster: plain data and pure functions.

pub mod kind;
pub mod merge;
pub mod observed;
pub mod ownership;
pub mod policy;
pub mod release;
pub mod template;
pub mod weights;
pub mod yaml;

/// What is wrong with a field, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, as in `spec.application.versions[1].weight`.
    pub path: String,
    /// A sentence that says what to write instead.
    pub message: String,
}
