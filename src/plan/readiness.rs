//! When a version is ready: three values, from the objects that make it up (design, *A version's readiness*).

use crate::api::status::Tristate;
use crate::model::kind::KindRef;
use crate::model::observed::{Body, Deployment, Meta, Object, Other, Workload};
use crate::model::reason;

/// Whether something can serve, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it can.
    pub ready: Tristate,
    /// Why, as one CamelCase word.
    pub reason: &'static str,
    /// Why, as a sentence that names the object.
    pub message: String,
}

/// What is known of an object that a version is made of.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// It is there.
    Object(&'a Object<Body>),
    /// It is not.
    Absent,
    /// Its kind is not installed.
    KindMissing,
    /// The operator may not see its kind.
    Forbidden,
    /// Its kind could not be listed yet.
    Unlisted,
}

/// Whether all of a version's objects can serve: False before Unknown before True.
pub fn of_version<'a>(resources: impl IntoIterator<Item = (KindRef, &'a str, Seen<'a>)>) -> Readiness {
    let mut worst = Readiness {
        ready: Tristate::True,
        reason: reason::READY,
        message: String::new(),
    };
    for (kind, name, seen) in resources {
        let (ready, reason, words) = of_object(&seen);
        if badness(ready) > badness(worst.ready) {
            worst = Readiness {
                ready,
                reason,
                message: format!("{kind} {name} {words}"),
            };
        }
    }
    worst
}

/// Whether an object can serve.
pub fn of(object: &Object<Body>) -> Tristate {
    of_object(&Seen::Object(object)).0
}

/// How far from ready: for comparing.
pub(super) fn badness(ready: Tristate) -> u8 {
    match ready {
        Tristate::True => 0,
        Tristate::Unknown => 1,
        Tristate::False => 2,
    }
}

type Verdict = (Tristate, &'static str, &'static str);
const READY: Verdict = (Tristate::True, reason::READY, "is ready");
const SCALED_TO_ZERO: Verdict = (Tristate::False, reason::SCALED_TO_ZERO, "is scaled to zero");
const BEHIND: Verdict = (
    Tristate::Unknown,
    reason::PROGRESSING,
    "has a change that its controller has not seen yet",
);

fn of_object(seen: &Seen<'_>) -> Verdict {
    let object = match seen {
        Seen::Object(object) => object,
        Seen::Absent => return (Tristate::False, reason::NOT_FOUND, "does not exist"),
        Seen::KindMissing => {
            return (
                Tristate::False,
                reason::KIND_NOT_FOUND,
                "is of a kind that is not installed",
            );
        }
        Seen::Forbidden => {
            return (
                Tristate::Unknown,
                reason::FORBIDDEN,
                "is of a kind that the operator may not watch",
            );
        }
        Seen::Unlisted => {
            return (
                Tristate::Unknown,
                reason::NOT_LISTED,
                "is of a kind that cannot be listed yet",
            );
        }
    };
    if object.meta.deleting {
        return (Tristate::False, reason::DELETING, "is being deleted");
    }
    match &object.body {
        Body::Deployment(deployment) => of_deployment(&object.meta, deployment),
        Body::Workload(workload) => of_workload(&object.meta, workload),
        Body::Other(other) => of_other(&object.meta, other),
        Body::Malformed(_) => (Tristate::Unknown, reason::MALFORMED, "cannot be read"),
        Body::Service(_)
        | Body::ConfigMap(_)
        | Body::Route(_)
        | Body::Release(_)
        | Body::RoutePolicy(_)
        | Body::Experiment(_)
        | Body::Metric(_) => READY,
    }
}

fn of_deployment(meta: &Meta, deployment: &Deployment) -> Verdict {
    if deployment.replicas == 0 {
        SCALED_TO_ZERO
    } else if deployment.available == 0 {
        (Tristate::False, reason::NOT_AVAILABLE, "has no available replica")
    } else if deployment.observed_generation < meta.generation {
        BEHIND
    } else if deployment.available_condition == Some(true) {
        READY
    } else {
        (
            Tristate::Unknown,
            reason::PARTLY_AVAILABLE,
            "has fewer available replicas than it needs",
        )
    }
}

fn of_workload(meta: &Meta, workload: &Workload) -> Verdict {
    if workload.replicas == Some(0) {
        SCALED_TO_ZERO
    } else if workload.ready == 0 {
        (Tristate::False, reason::NOT_AVAILABLE, "has no ready replica")
    } else if workload.observed_generation < meta.generation {
        BEHIND
    } else {
        READY
    }
}

fn of_other(meta: &Meta, other: &Other) -> Verdict {
    if other.replicas == Some(0) {
        return SCALED_TO_ZERO;
    }
    let Some(ready) = other.ready else { return READY };
    if other
        .observed_generation
        .is_some_and(|observed| observed < meta.generation)
    {
        return BEHIND;
    }
    match ready {
        Tristate::True => READY,
        Tristate::False => (Tristate::False, reason::NOT_READY, "has condition Ready=False"),
        Tristate::Unknown => (
            Tristate::Unknown,
            reason::UNKNOWN,
            "has not said yet whether it is ready",
        ),
    }
}
