//! What can go wrong with a request to the API server, and what follows from it.

use crate::model::reason;
use std::time::Duration;

use kube::core::Status;

/// Bytes of the server's sentence that are kept.
const MAX_MESSAGE: usize = 1024;

/// Why a request failed. The server's sentence is kept verbatim, cut to 1,024 bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server refuses the object; the same request would be refused again.
    #[error("{0}")]
    Invalid(String),
    /// A field that cannot be changed would have to be.
    #[error("{0}")]
    ImmutableField(String),
    /// A `ResourceQuota` leaves no room: it may be raised, and others may make room.
    #[error("{0}")]
    QuotaExceeded(String),
    /// RBAC does not allow the request.
    #[error("{message}; needed: {rule}")]
    Forbidden {
        /// The rule to add, as in `allow patch on deployments.apps`.
        rule: String,
        /// The server's sentence.
        message: String,
    },
    /// The server does not know the kind: its CRD is not installed.
    #[error("{0}")]
    KindMissing(String),
    /// The namespace is being deleted: nothing can be created in it.
    #[error("{0}")]
    NamespaceTerminating(String),
    /// The object is not what the request was planned from: read it again.
    #[error("{0}")]
    Conflict(String),
    /// The object does not exist (any more).
    #[error("{0}")]
    Gone(String),
    /// It may work later.
    #[error("{message}")]
    Transient {
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The server's sentence, or what became of the connection.
        message: String,
    },
    /// No answer in time; whether the request was carried out is not known.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Not sent: another replica may be the leader by now.
    #[error("not sent: this replica does not lead")]
    NotLeader,
}

impl Error {
    /// The reason as one CamelCase word: of conditions and Events, and the label of metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Invalid(_) => reason::INVALID_SPECIFICATION,
            Self::ImmutableField(_) => reason::IMMUTABLE_FIELD,
            Self::QuotaExceeded(_) => reason::QUOTA_EXCEEDED,
            Self::Forbidden { .. } => reason::FORBIDDEN,
            Self::KindMissing(_) => reason::KIND_NOT_FOUND,
            Self::NamespaceTerminating(_) => reason::NAMESPACE_TERMINATING,
            Self::Conflict(_) => reason::CONFLICT,
            Self::Gone(_) => reason::GONE,
            Self::Transient { .. } => reason::TRANSIENT,
            Self::Timeout(_) => reason::TIMEOUT,
            Self::NotLeader => reason::NOT_LEADER,
        }
    }

    /// How long the server asks to wait before it is asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What was sent: for the rule that would allow it.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The verb, as in RBAC rules.
    pub verb: &'a str,
    /// `<plural>.<group>`, as in RBAC rules and the names of CRDs; the plural alone for the core group.
    pub resource: &'a str,
}

/// However long a server asks to wait, it is asked again after this: routes depend on it.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Reads a refusal. `retry_after` is the header of that name.
///
/// Source: Kubernetes API conventions, "Response Status Kind"; server-side apply's own refusals are plain 500s.
pub fn classify(sent: Sent<'_>, status: &Status, retry_after: Option<Duration>) -> Error {
    let message = cut(&status.message);
    let details = status.details.as_ref();
    let causes = details.map(|d| d.causes.as_slice()).unwrap_or_default();
    let caused_by = |reason: &str| causes.iter().any(|cause| cause.reason == reason);
    let retry_after = retry_after.or_else(|| {
        let seconds = details.map_or(0, |d| d.retry_after_seconds);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    });
    let retry_after = retry_after.map(|wait| wait.min(LONGEST_WAIT));
    match status.code {
        403 if caused_by("NamespaceTerminating") => Error::NamespaceTerminating(message),
        // Its objects are being deleted with it.
        403 if status.message.contains("custom resource definition is terminating") => Error::KindMissing(message),
        403 if status.message.contains("exceeded quota: ") => Error::QuotaExceeded(message),
        // A quota that is new and has not been counted yet.
        403 if status.message.contains("status unknown for quota: ") => Error::Transient { retry_after, message },
        403 if is_rbac(&status.message) => Error::Forbidden {
            rule: format!("allow {} on {}", sent.verb, sent.resource),
            message,
        },
        404 if details.is_some_and(|d| d.kind == "namespaces") => Error::NamespaceTerminating(message),
        404 if details.is_some_and(|d| !d.name.is_empty()) => Error::Gone(message),
        404 => Error::KindMissing(message),
        409 => Error::Conflict(message),
        // An apply that names the uid of an object that has been made anew since.
        422 if causes.iter().any(|cause| cause.field == "metadata.uid") => Error::Conflict(message),
        422 if status.message.contains("field is immutable") => Error::ImmutableField(message),
        400 | 403 | 405 | 406 | 413 | 415 | 422 => Error::Invalid(message),
        500 if is_apply_refusal(&status.message) => Error::Invalid(message),
        _ => Error::Transient { retry_after, message },
    }
}

/// Reads an error without an answer: the connection, or an answer that is no JSON.
pub fn broken(error: &dyn std::error::Error) -> Error {
    Error::Transient {
        retry_after: None,
        message: causes(error),
    }
}

/// What an error says, and what its causes say besides.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = inner.source();
    }
    cut(&message)
}

/// The authorizer says `User "..." cannot <verb> resource ...`; an admission webhook or a policy words its refusals
/// otherwise.
fn is_rbac(message: &str) -> bool {
    message.contains("User \"") && message.contains(" cannot ") && message.contains(" resource ")
}

/// A typo in a pod template, or a stored object that its schema no longer takes: server-side apply answers 500 where every
/// other write answers 400.
fn is_apply_refusal(message: &str) -> bool {
    let starts = [
        "failed to create typed patch object",
        "failed to create typed live object",
        "failed to convert new object",
    ];
    starts.iter().any(|start| message.starts_with(start))
}

/// The sentence without its tail, on a character's border.
pub fn cut(message: &str) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
