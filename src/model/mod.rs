//! Validated values, names, arithmetic of weights, and what was observed of the cluster: plain data and pure functions.

pub mod experiment;
pub mod kind;
pub mod merge;
pub mod names;
pub mod observed;
pub mod ownership;
pub mod placeholders;
pub mod policy;
pub mod quantity;
pub mod query;
pub mod reason;
pub mod release;
pub mod template;
pub mod validate;
pub mod weights;
pub mod yaml;

/// Why an object is refused: the reason of its condition `Stalled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The spec breaks a rule.
    InvalidSpecification,
    /// A route for a host that is not the policy's to route.
    HostNotAllowed,
    /// A Service that does not select the pods of its own Deployment.
    SelectorMismatch,
}

impl Refusal {
    /// The reason as one CamelCase word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpecification => reason::INVALID_SPECIFICATION,
            Self::HostNotAllowed => reason::HOST_NOT_ALLOWED,
            Self::SelectorMismatch => reason::SELECTOR_MISMATCH,
        }
    }
}

/// What is wrong with a field, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, as in `spec.application.versions[1].weight`.
    pub path: String,
    /// A sentence that says what to write instead.
    pub message: String,
    /// Why the object is refused.
    pub reason: Refusal,
}

impl FieldError {
    /// A rule that the spec breaks.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            reason: Refusal::InvalidSpecification,
        }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
