//! `Experiment`: a state machine, Waiting → Initializing → Running → Finishing → Completed.
//!
//! Everything that it goes on from is in status, so that an operator that was killed at any moment goes on at the same
//! iteration. A decision on weights is written to status first, and then to where the weights stand: what is found there is
//! either what was found before the decision, and is changed, or what was decided, or an edit by somebody else, which is kept.

pub mod places;
pub mod queries;
pub mod report;
pub mod target;
pub mod verdicts;
pub mod weights;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Duration, Utc};

use crate::api::ExperimentStatus;
use crate::api::experiment::{Stage, WeightValue};
use crate::api::status::Tristate;
use crate::model::experiment::Experiment;
use crate::model::reason;
use crate::plan::conditions;

pub use report::Report;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Nothing, before that time is over, if any.
    Nothing(Option<Duration>),
    /// To tell of it.
    Report(Box<Report>),
    /// To look whether it can begin: at its target, its metrics, and the weights.
    Begin,
    /// To bring the weights to what was decided.
    Redistribute,
    /// To measure.
    Iterate,
}

/// Decides what is to be done. `holder`: the experiment that is before it at its target, if any. `in_place`: the weights
/// are known to be what was decided last.
pub fn next(
    experiment: &Experiment,
    status: &ExperimentStatus,
    holder: Option<&str>,
    in_place: bool,
    now: DateTime<Utc>,
) -> Next {
    let Some(stage) = status.stage else {
        return Next::Report(Box::new(report::initialized(experiment, now)));
    };
    match stage {
        Stage::Completed => Next::Nothing(None),
        _ if experiment.suspend => tell(status, report::suspended(experiment, status, now)),
        Stage::Waiting => match holder {
            Some(holder) => tell(status, report::queued(experiment, status, holder, now)),
            None => Next::Report(Box::new(report::acquired(experiment, status, now))),
        },
        Stage::Initializing => Next::Begin,
        Stage::Finishing => Next::Redistribute,
        Stage::Running if experiment.moves_weights() && !in_place => Next::Redistribute,
        Stage::Running => {
            let left = due(experiment, status, now) - now;
            if left <= Duration::zero() {
                Next::Iterate
            } else if !says_that_it_runs(experiment, status) {
                Next::Report(Box::new(report::resumed(experiment, status, left, now)))
            } else {
                Next::Nothing(Some(left))
            }
        }
    }
}

/// When the next iteration is due.
pub fn due(experiment: &Experiment, status: &ExperimentStatus, now: DateTime<Utc>) -> DateTime<Utc> {
    let last = status.last_update_time.or(status.start_time).unwrap_or(now);
    last + Duration::seconds(experiment.interval.into())
}

/// Seconds since it began to measure.
pub fn elapsed(status: &ExperimentStatus, now: DateTime<Utc>) -> i64 {
    status.start_time.map_or(0, |start| (now - start).num_seconds())
}

/// Whether status says so, of this generation: not that something keeps it from going on.
fn says_that_it_runs(experiment: &Experiment, status: &ExperimentStatus) -> bool {
    let ready = conditions::find(&status.conditions, conditions::READY);
    status.observed_generation == experiment.generation && ready.is_some_and(|ready| ready.reason == reason::RUNNING)
}

/// Tells it, unless it was told.
fn tell(status: &ExperimentStatus, report: Report) -> Next {
    if report.status == *status {
        Next::Nothing(None)
    } else {
        Next::Report(Box::new(report))
    }
}

/// Whether the target is its own: also one that has ended had it.
pub fn has_target(status: &ExperimentStatus) -> bool {
    conditions::find(&status.conditions, report::TARGET_ACQUIRED)
        .is_some_and(|condition| condition.status == Tristate::True)
}

/// What the weights are found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What was decided.
    Decided,
    /// What they were before the decision.
    Before,
    /// Something else: somebody has changed them.
    Edited,
}

/// Compares what stands there with the last decision.
pub fn compare(experiment: &Experiment, status: &ExperimentStatus, found: &[WeightValue]) -> Found {
    let weight = |weights: &[WeightValue], name: &str| weights.iter().find(|one| one.name == name).map(|one| one.value);
    let with_place = experiment.versions.iter().filter(|version| version.place.is_some());
    let names: Vec<&str> = with_place.map(|version| version.name.as_str()).collect();
    let is = |name: &str, decided: &[WeightValue]| weight(found, name) == weight(decided, name);
    let decided = |name: &&str| is(name, &status.current_weight_distribution);
    if names.iter().all(decided) {
        Found::Decided
    } else if names
        .iter()
        .all(|name| decided(name) || is(name, &status.found_weights))
    {
        // Of several objects some may have been changed before the operator was killed.
        Found::Before
    } else {
        Found::Edited
    }
}
