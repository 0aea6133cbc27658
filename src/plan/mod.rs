//! What should be, from what is: pure functions of (validated object, observed cluster, time).
//!
//! Nothing here is asynchronous, reads a clock or talks to anybody, so every rule is a table test or a golden file, and
//! `iter8 render` shows the same objects offline.

pub mod conditions;
pub mod experiment;
pub mod metadata;
pub mod objects;
pub mod policy;
pub mod readiness;
pub mod release;
pub mod routes;

use serde_json::Value;

use crate::model::kind::Kind;
use crate::model::observed::{Meta, Uid};

/// Domain of Services in almost every cluster; Istio's and Iter8's examples count on it too.
const CLUSTER_DOMAIN: &str = "svc.cluster.local";

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// The whole object, as it is sent with server-side apply.
    pub object: Value,
    /// What must hold for it to be written.
    pub precondition: Precondition,
    /// What has come about once it is written.
    pub event: Option<Event>,
}

impl Desired {
    /// Whether no object of that name was there.
    pub fn is_missing(&self) -> bool {
        self.precondition == Precondition::Absent
    }
}

/// What must hold for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No object of that name exists.
    Absent,
    /// The object has this uid.
    Uid(Uid),
    /// The object has this uid and this resourceVersion.
    UidAndVersion(Uid, u64),
}

/// An object that should go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
    /// The resourceVersion that the decision was made on.
    pub resource_version: u64,
}

impl Removal {
    /// Of an object that was observed.
    pub fn new(kind: Kind, name: &str, meta: &Meta) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            uid: meta.uid,
            resource_version: meta.resource_version,
        }
    }
}

/// Something that kept an object from being as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// CamelCase reason: `NameConflict`, `InvalidSpecification`, `ImmutableField`, `Forbidden`, …
    pub reason: String,
    /// A sentence that names the object at fault.
    pub message: String,
    /// Whether only an edit by a user helps (false: it is tried again).
    pub stalled: bool,
    /// How long the API server asks to wait before it is tried again.
    pub retry_after: Option<std::time::Duration>,
}

impl Failure {
    /// One that time or another event mends.
    pub fn passing(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            message: message.into(),
            stalled: false,
            retry_after: None,
        }
    }

    /// Of two failures of one attempt the first, to be tried again when neither is too early.
    pub fn both(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        let waits = [&first, &second].map(|failure| failure.as_ref()?.retry_after);
        let mut failure = first.or(second)?;
        failure.retry_after = waits.into_iter().flatten().max();
        Some(failure)
    }

    /// One that stays until somebody changes something.
    pub fn stalled(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
            stalled: true,
            retry_after: None,
        }
    }
}

/// An Event to publish: a transition, never a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a warning.
    pub warning: bool,
    /// CamelCase reason.
    pub reason: String,
    /// What happened.
    pub note: String,
}

impl Event {
    /// A normal one.
    pub fn normal(reason: &str, note: impl Into<String>) -> Self {
        Self {
            warning: false,
            reason: reason.to_owned(),
            note: note.into(),
        }
    }

    /// A warning.
    pub fn warning(reason: &str, note: impl Into<String>) -> Self {
        Self {
            warning: true,
            reason: reason.to_owned(),
            note: note.into(),
        }
    }
}
