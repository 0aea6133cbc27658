//! `Experiment`: iterations that read metrics of versions, judge them, and may move weights.
//!
//! Fields, defaults and messages are those that users of Iter8's `v2alpha1` know; what is new is marked so in
//! `docs/experiment.md`.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod status;

pub use status::*;

/// Which versions are compared, by which metrics, and for how long.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "iter8.tools",
    version = "v2alpha1",
    kind = "Experiment",
    plural = "experiments",
    shortname = "exp",
    category = "iter8",
    namespaced,
    status = "ExperimentStatus",
    derive = "PartialEq",
    doc = "Iterations that read metrics of versions, judge them by objectives, and may move weights."
)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentSpec {
    /// What is experimented on, as in `default/sample-app`. Of the experiments in a namespace with the same target one runs
    /// at a time.
    #[schemars(length(min = 1, max = 512))]
    pub target: String,
    /// How versions are compared, and how requests move meanwhile.
    pub strategy: ExperimentStrategy,
    /// What is measured, and what counts as good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<Criteria>,
    /// How often, and how many times.
    #[serde(default)]
    pub duration: Duration,
    /// The versions.
    pub version_info: VersionInfo,
    /// True: nothing is measured and no weight is moved until it is false again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// How versions are compared, and how requests move meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStrategy {
    /// How versions are compared.
    pub testing_pattern: TestingPattern,
    /// How requests move meanwhile (default `Progressive`). Nothing moves with testing pattern `Conformance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_pattern: Option<DeploymentPattern>,
    /// What is to be done at the `start`: `knative/init-experiment` is all that there is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "actions")]
    pub actions: BTreeMap<String, Vec<TaskSpec>>,
    /// Limits of the weights of candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<StrategyWeights>,
}

fn actions(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let task = generator.subschema_for::<TaskSpec>();
    schemars::json_schema!({
        "type": "object", "maxProperties": 8,
        "additionalProperties": { "type": "array", "maxItems": 16, "items": task }
    })
}

/// How versions are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum TestingPattern {
    /// One candidate; it wins if it meets all objectives.
    Canary,
    /// One candidate; of the versions that meet all objectives the one with the better reward wins.
    #[serde(rename = "A/B")]
    AB,
    /// One candidate or more; of the versions that meet all objectives the one with the best reward wins.
    #[serde(rename = "A/B/N")]
    ABN,
    /// The baseline alone is judged.
    Conformance,
}

impl TestingPattern {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "Canary",
            Self::AB => "A/B",
            Self::ABN => "A/B/N",
            Self::Conformance => "Conformance",
        }
    }

    /// Whether a reward decides.
    pub const fn has_reward(self) -> bool {
        matches!(self, Self::AB | Self::ABN)
    }
}

/// How requests move while versions are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum DeploymentPattern {
    /// Weights stay as they are.
    FixedSplit,
    /// A candidate that does well gets more, step by step.
    #[default]
    Progressive,
    /// A candidate gets all that it may have in one step; objectives roll back unless they say otherwise.
    BlueGreen,
}

impl DeploymentPattern {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedSplit => "FixedSplit",
            Self::Progressive => "Progressive",
            Self::BlueGreen => "BlueGreen",
        }
    }
}

/// A task of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskSpec {
    /// The library of the task: `knative`.
    #[schemars(length(max = 63))]
    pub library: String,
    /// The task: `init-experiment`, which waits until the target, a Knative Service, is ready and has a revision for each
    /// version's variable `revision`.
    #[schemars(length(max = 63))]
    pub task: String,
}

/// Limits of the weights of candidates, in percent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StrategyWeights {
    /// The most that one candidate gets, in percent (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_candidate_weight: Option<i32>,
    /// The most that one candidate gains in an iteration, in percentage points (default 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_candidate_weight_increment: Option<i32>,
}

/// What is measured, and what counts as good. Metrics are named as in `mean-latency`: a Metric in the Experiment's namespace,
/// else in the operator's; or as in `iter8-system/mean-latency`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Criteria {
    /// A metric that counts requests: it is reported, and decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub request_count: Option<String>,
    /// What is to be as high, or as low, as can be (A/B and A/B/N).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<Reward>,
    /// The same as a list of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub rewards: Vec<Reward>,
    /// Metrics that are reported, and decide nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 317)))]
    pub indicators: Vec<String>,
    /// What every version has to meet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub objectives: Vec<Objective>,
}

/// What is to be as high, or as low, as can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reward {
    /// Name of the metric.
    #[schemars(length(min = 1, max = 317))]
    pub metric: String,
    /// Which of two values is better.
    pub preferred_direction: PreferredDirection,
}

/// Which of two values is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PreferredDirection {
    /// The higher one.
    High,
    /// The lower one.
    Low,
}

/// Limits that a metric has to keep; both are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// Name of the metric.
    #[schemars(length(min = 1, max = 317))]
    pub metric: String,
    /// The highest value that is good: a number, or a quantity as in `"0.01"` or `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limit")]
    pub upper_limit: Option<Limit>,
    /// The lowest value that is good: a number, or a quantity as in `"0.01"` or `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limit")]
    pub lower_limit: Option<Limit>,
    /// True: as soon as any version fails this objective the weights are put back and the experiment ends (default: true
    /// with deployment pattern `BlueGreen`, else false).
    #[serde(default, rename = "rollback_on_failure", skip_serializing_if = "Option::is_none")]
    pub rollback_on_failure: Option<bool>,
}

/// A number, or a quantity of Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    /// A number.
    Number(serde_json::Number),
    /// A quantity.
    Quantity(String),
}

/// A form of quantities, for the strings among limits: digits, at most one point, a suffix or an exponent.
pub const QUANTITY: &str = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?$";

/// No structural schema takes numbers and strings: types are looked at by `model::validate`.
fn limit(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true, "pattern": QUANTITY, "maxLength": 64 })
}

/// How often, and how many times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Duration {
    /// Seconds between two iterations (default 20).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub interval_seconds: Option<i32>,
    /// Iterations of a loop (default 15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub iterations_per_loop: Option<i32>,
    /// Loops (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_loops: Option<i32>,
    /// After so many iterations in a row in which an objective or the reward had no data the experiment ends (default 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_iterations_without_data: Option<i32>,
}

/// The versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionInfo {
    /// What there was before.
    pub baseline: VersionDetail,
    /// What may take its place. Conformance has none, Canary and A/B one, A/B/N one or more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub candidates: Vec<VersionDetail>,
    /// A Release in the Experiment's namespace whose weights are moved: the names of versions are those of its versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_ref: Option<ReleaseRef>,
}

/// A Release in the Experiment's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRef {
    /// Name of the Release.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionDetail {
    /// Name of the version: `$name` in queries.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Values for `$<name>` in queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub variables: Vec<NamedValue>,
    /// Where the weight of the version stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_obj_ref: Option<WeightObjRef>,
}

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedValue {
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The value.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// An integer field of an object in the Experiment's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightObjRef {
    /// API version, as in `serving.knative.dev/v1`.
    #[schemars(length(min = 1, max = 253))]
    pub api_version: String,
    /// Kind, as in `Service`.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the object: the Experiment's own, or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// The field as a JSON pointer (RFC 6901), as in `/spec/traffic/0/percent`.
    #[schemars(length(min = 1, max = 1024))]
    pub field_path: String,
}
