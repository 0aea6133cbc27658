//! What the values of metrics say: of each objective, of each version, and of the versions among themselves.
//!
//! Missing data is neither a failure nor a pass.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::api::experiment::{ObjectiveStatus, ObjectiveVerdict, PreferredDirection, TestingPattern, Verdict};
use crate::model::experiment::{Experiment, Objective};
use crate::model::query::Sample;

/// The values that were asked for, by name of the metric and of the version.
pub type Samples = BTreeMap<(String, String), Sample>;

/// How a version does by all objectives together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It meets all of them.
    Passes,
    /// It fails one.
    Fails,
    /// It fails none, and of one it is not known.
    Unknown,
}

/// What an iteration has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// Each objective for each version: by version, then in the order of objectives.
    pub objectives: Vec<ObjectiveStatus>,
    /// Each version, in the experiment's order.
    pub standings: Vec<Standing>,
    /// The version that is better than all others, by its place.
    pub winner: Option<usize>,
    /// Whether a version that decides lacks a value.
    pub lacks_data: bool,
    /// Whether a value of a version that decides could not be read.
    pub has_error: bool,
}

/// Looks at all values.
pub fn assess(experiment: &Experiment, samples: &Samples, now: DateTime<Utc>) -> Assessment {
    let none = Sample::NoData("it was not asked for".to_owned());
    let sample = |metric: &str, version: &str| {
        let found = samples.get(&(metric.to_owned(), version.to_owned()));
        found.unwrap_or(&none)
    };
    let mut objectives = Vec::new();
    let mut standings = Vec::new();
    for version in &experiment.versions {
        let judged = experiment.objectives.iter();
        let judged =
            judged.map(|objective| judge(objective, &version.name, sample(&objective.metric, &version.name), now));
        let judged: Vec<ObjectiveStatus> = judged.collect();
        standings.push(standing(&judged));
        objectives.extend(judged);
    }
    let rewards: Vec<&Sample> = match &experiment.reward {
        Some(reward) => {
            let versions = experiment.versions.iter();
            versions.map(|version| sample(&reward.metric, &version.name)).collect()
        }
        None => Vec::new(),
    };
    let decides = |version: &str| deciding(experiment).any(|name| name == version);
    let missing = |verdict: ObjectiveVerdict| {
        let mut of = objectives.iter().filter(|one| decides(&one.version));
        of.any(|one| one.verdict == verdict)
    };
    let reward_error = rewards.iter().any(|reward| matches!(reward, Sample::Error(_)));
    let reward_missing = rewards.iter().any(|reward| !matches!(reward, Sample::Value(_)));
    let has_error = missing(ObjectiveVerdict::Error) || reward_error;
    Assessment {
        winner: winner(experiment, &standings, &rewards),
        lacks_data: has_error || missing(ObjectiveVerdict::NoData) || reward_missing,
        has_error,
        objectives,
        standings,
    }
}

/// Names of the versions without whose values nothing can be said.
fn deciding(experiment: &Experiment) -> impl Iterator<Item = &str> {
    let first = match experiment.pattern {
        TestingPattern::Canary => 1,
        TestingPattern::Conformance | TestingPattern::AB | TestingPattern::ABN => 0,
    };
    experiment
        .versions
        .iter()
        .skip(first)
        .map(|version| version.name.as_str())
}

fn judge(objective: &Objective, version: &str, sample: &Sample, now: DateTime<Utc>) -> ObjectiveStatus {
    let (verdict, value, message) = match sample {
        Sample::Value(value) => {
            let above = objective.upper.as_ref().is_some_and(|limit| *value > limit.value);
            let below = objective.lower.as_ref().is_some_and(|limit| *value < limit.value);
            let verdict = if above || below {
                ObjectiveVerdict::Fail
            } else {
                ObjectiveVerdict::Pass
            };
            (verdict, Some(decimal(*value)), String::new())
        }
        Sample::NoData(why) => (ObjectiveVerdict::NoData, None, shorten(why)),
        Sample::Error(why) => (ObjectiveVerdict::Error, None, shorten(why)),
    };
    let text = |limit: &Option<crate::model::experiment::Limit>| limit.as_ref().map(|limit| limit.text.clone());
    ObjectiveStatus {
        metric: objective.metric.clone(),
        version: version.to_owned(),
        verdict,
        value,
        upper_limit: text(&objective.upper),
        lower_limit: text(&objective.lower),
        message,
        time: now,
    }
}

fn standing(judged: &[ObjectiveStatus]) -> Standing {
    let any = |verdict: ObjectiveVerdict| judged.iter().any(|one| one.verdict == verdict);
    if any(ObjectiveVerdict::Fail) {
        Standing::Fails
    } else if any(ObjectiveVerdict::NoData) || any(ObjectiveVerdict::Error) {
        Standing::Unknown
    } else {
        Standing::Passes
    }
}

/// The version that is better than all others. Conformance has none. Where a version that fails nothing lacks a value it
/// might be the best, so that there is none either.
fn winner(experiment: &Experiment, standings: &[Standing], rewards: &[&Sample]) -> Option<usize> {
    let standing = |place: usize| standings.get(place).copied();
    match (experiment.pattern, &experiment.reward) {
        (TestingPattern::Canary, _) => match (standing(0), standing(1)) {
            (_, Some(Standing::Passes)) => Some(1),
            (Some(Standing::Passes), Some(Standing::Fails)) => Some(0),
            _ => None,
        },
        (TestingPattern::AB | TestingPattern::ABN, Some(reward)) => {
            let mut able = Vec::new();
            for (place, (standing, reward)) in standings.iter().zip(rewards).enumerate() {
                match (standing, reward) {
                    (Standing::Fails, _) => {}
                    (Standing::Passes, Sample::Value(value)) => able.push((place, *value)),
                    _ => return None,
                }
            }
            best(&able, reward.preferred_direction)
        }
        _ => None,
    }
}

/// The only one that is as good as the best.
fn best(able: &[(usize, f64)], direction: PreferredDirection) -> Option<usize> {
    let better = |a: f64, b: f64| match direction {
        PreferredDirection::High => a > b,
        PreferredDirection::Low => a < b,
    };
    let wins = |(place, value): &(usize, f64)| {
        let mut others = able.iter().filter(|(other, _)| other != place);
        others.all(|(_, other)| better(*value, *other))
    };
    able.iter().find(|one| wins(one)).map(|(place, _)| *place)
}

/// What has come of an experiment whose last iteration showed this, and why, in a sentence.
pub fn outcome(experiment: &Experiment, assessment: &Assessment) -> (Verdict, String) {
    let name = |place: usize| {
        experiment
            .versions
            .get(place)
            .map_or("", |version| version.name.as_str())
    };
    let standing = |place: usize| assessment.standings.get(place).copied();
    let subject = match experiment.pattern {
        TestingPattern::Conformance => Some(0),
        TestingPattern::Canary => Some(1),
        TestingPattern::AB | TestingPattern::ABN => None,
    };
    let unknown = if assessment.has_error {
        Verdict::Error
    } else {
        Verdict::Inconclusive
    };
    match subject.map(|place| (place, standing(place))) {
        Some((place, Some(Standing::Passes))) => (
            Verdict::Successful,
            format!("version {} meets all objectives", name(place)),
        ),
        Some((_, Some(Standing::Fails))) => (Verdict::Failed, failures(assessment)),
        Some(_) => (unknown, missing(assessment)),
        None => match assessment.winner {
            Some(place) => (
                Verdict::Successful,
                format!(
                    "version {} has the best reward of those that meet all objectives",
                    name(place)
                ),
            ),
            None if assessment.standings.iter().all(|one| *one == Standing::Fails) => {
                (Verdict::Failed, failures(assessment))
            }
            None if assessment.lacks_data => (unknown, missing(assessment)),
            None => (
                Verdict::Inconclusive,
                "no version has a better reward than all others".to_owned(),
            ),
        },
    }
}

/// Every objective that a version fails, in words.
pub fn failures(assessment: &Assessment) -> String {
    let failed = assessment
        .objectives
        .iter()
        .filter(|one| one.verdict == ObjectiveVerdict::Fail);
    let words: Vec<String> = failed.map(failure).collect();
    words.join("; ")
}

fn failure(one: &ObjectiveStatus) -> String {
    let limits: Vec<String> = [("above", &one.upper_limit), ("below", &one.lower_limit)]
        .into_iter()
        .filter_map(|(how, limit)| Some(format!("{how} {}", limit.as_deref()?)))
        .collect();
    let value = one.value.as_deref().unwrap_or_default();
    let ObjectiveStatus { metric, version, .. } = one;
    format!("{metric} of version {version} is {value}, {}", limits.join(" or "))
}

/// Every value that is missing, in words.
pub fn missing(assessment: &Assessment) -> String {
    let missing = assessment.objectives.iter().filter(|one| one.value.is_none());
    let words: Vec<String> = missing
        .map(|one| format!("{} of version {}: {}", one.metric, one.version, one.message))
        .collect();
    if words.is_empty() {
        "the reward of a version could not be told".to_owned()
    } else {
        words.join("; ")
    }
}

/// A number in the form that status has.
pub fn decimal(value: f64) -> String {
    if value == 0.0 || (1e-9..1e15).contains(&value.abs()) {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// What a field of status holds.
pub fn shorten(text: &str) -> String {
    text.chars().take(1000).collect()
}
