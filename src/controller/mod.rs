//! The reconcilers: one per kind, each a pipeline of named steps.
//!
//! ```text
//! store ──Change──▶ Wakeups ──▶ queue ──▶ driver ──▶ reconcile: observe ▸ validate ▸ plan ▸ write ▸ report
//! ```

pub mod backoff;
pub mod driver;
pub mod experiment;
pub mod index;
pub mod measuring;
pub mod operator;
pub mod owner;
pub mod probe;
pub mod queue;
pub mod rejections;
pub mod release;
pub mod route_policy;
pub mod targets;
pub mod wakeups;
pub mod writes;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};

use crate::cluster::apply::Fence;
use crate::cluster::metrics::Ended;
use crate::cluster::{Calm, Events, Metrics, Store, Watches, Writer};
use crate::model::kind::Kind;
use crate::plan::Failure;

/// Namespace and name of an object to reconcile.
pub type Key = (Arc<str>, Arc<str>);

/// An object to reconcile: a Release, a RoutePolicy or an Experiment.
pub type Task = (Kind, Key);

/// What every reconciler works with.
pub struct Context {
    /// What is known of the cluster.
    pub store: Arc<Store>,
    /// Writes objects.
    pub writer: Writer,
    /// Publishes Events.
    pub events: Events,
    /// Disturbed by writes of routes.
    pub calm: Calm,
    /// Who is to be woken by what.
    pub wakeups: Arc<wakeups::Wakeups>,
    /// The watches, of which some are opened as policies name their kinds.
    pub watches: Arc<Watches>,
    /// What the API server refused.
    pub rejections: rejections::Rejections,
    /// Held while watches are opened and closed.
    pub naming: Mutex<()>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What experiments are carried out with.
    pub experiments: experiment::Experiments,
    /// Whether this replica leads: one that does not only keeps what it knows up to date.
    pub fence: Fence,
    /// The time now.
    pub clock: fn() -> DateTime<Utc>,
}

impl Context {
    /// Whether this replica may write.
    pub fn leads(&self) -> bool {
        (self.fence)().is_some()
    }
}

/// How a reconcile ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be, or stays until something changes; look again after that time, if any.
    Done(Option<std::time::Duration>),
    /// It was not carried through for this reason: try again, later each time.
    Retry(Failure),
    /// All that could be done is; look again after that time, if any, and try the rest again, later each time.
    Unfinished(Option<std::time::Duration>, Failure),
}

impl Outcome {
    /// As it is counted.
    pub fn ended(&self) -> Ended {
        match self {
            Self::Done(_) => Ended::Success,
            Self::Retry(failure) if writes::is_outdated(failure) => Ended::Conflict,
            Self::Retry(_) | Self::Unfinished(..) => Ended::Error,
        }
    }

    /// All was carried through but what was refused for this reason, if anything.
    pub fn of(again: Option<std::time::Duration>, unfinished: Option<Failure>) -> Self {
        match unfinished {
            Some(failure) => Self::Unfinished(again, failure),
            None => Self::Done(again),
        }
    }
}

/// From the durations of plans to those of timers; what is past is due at once.
pub fn timer(duration: chrono::Duration) -> std::time::Duration {
    duration.to_std().unwrap_or_default()
}
