//! An Experiment whose every rule holds: what `plan` works on.

use crate::api::experiment::{DeploymentPattern, NamedValue, Reward, TestingPattern};

/// A valid Experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// What is experimented on.
    pub target: String,
    /// How versions are compared.
    pub pattern: TestingPattern,
    /// How requests move meanwhile.
    pub deployment: DeploymentPattern,
    /// The Knative Service that has to be ready before it begins.
    pub awaited: Option<Awaited>,
    /// The most that one candidate gets, in percent.
    pub max_weight: i32,
    /// The most that one candidate gains in an iteration, in percentage points.
    pub max_increment: i32,
    /// Seconds between two iterations.
    pub interval: i32,
    /// Iterations of all loops.
    pub iterations: i32,
    /// Iterations in a row without data after which it ends.
    pub max_without_data: i32,
    /// The versions; the first is the baseline. Never empty.
    pub versions: Vec<Version>,
    /// What every version has to meet.
    pub objectives: Vec<Objective>,
    /// What is to be as high, or as low, as can be.
    pub reward: Option<Reward>,
    /// A metric that counts requests.
    pub request_count: Option<String>,
    /// Metrics that are reported, and decide nothing.
    pub indicators: Vec<String>,
    /// Whether nothing is to be done.
    pub suspend: bool,
}

impl Experiment {
    /// Whether it moves weights at all.
    pub fn moves_weights(&self) -> bool {
        self.pattern != TestingPattern::Conformance
            && self.deployment != DeploymentPattern::FixedSplit
            && self.versions.iter().any(|version| version.place.is_some())
    }

    /// Names of the metrics that it asks for by itself, each once, in the order in which people read them.
    pub fn metrics(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let objectives = self.objectives.iter().map(|objective| objective.metric.as_str());
        let all = self.request_count.iter().map(String::as_str).chain(objectives);
        let reward = self.reward.iter().map(|reward| reward.metric.as_str());
        for name in all.chain(reward).chain(self.indicators.iter().map(String::as_str)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// A Knative Service, and the revisions that its traffic must name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Name of the Service, in the Experiment's namespace.
    pub service: String,
    /// Names of revisions.
    pub revisions: Vec<String>,
}

/// A version.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Its name.
    pub name: String,
    /// Values for `$<name>` in queries.
    pub variables: Vec<NamedValue>,
    /// Where its weight stands.
    pub place: Option<Place>,
}

/// An integer field of an object in the Experiment's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// API version of the object.
    pub api_version: String,
    /// Kind of the object.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// The field, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The Release that the object must have been made for.
    pub release: Option<String>,
}

impl Place {
    /// As people name it.
    pub fn object(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// Limits that a metric has to keep; both are inclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Name of the metric.
    pub metric: String,
    /// The highest value that is good.
    pub upper: Option<Limit>,
    /// The lowest value that is good.
    pub lower: Option<Limit>,
    /// Whether a version that fails it ends the experiment, with the weights put back.
    pub rollback: bool,
}

/// A limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// As it is written.
    pub text: String,
    /// Its value.
    pub value: f64,
}
