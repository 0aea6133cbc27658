//! What the operator says of an `Experiment`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::status::Condition;

/// Where an experiment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Stage {
    /// For its turn at the target.
    #[default]
    Waiting,
    /// Until the target is as it has to be.
    Initializing,
    /// It measures.
    Running,
    /// Weights are put back.
    Finishing,
    /// It has ended.
    Completed,
}

impl Stage {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Initializing => "Initializing",
            Self::Running => "Running",
            Self::Finishing => "Finishing",
            Self::Completed => "Completed",
        }
    }
}

/// What has come of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// It has not begun to measure.
    #[default]
    Pending,
    /// It measures.
    Running,
    /// What was to be shown is: of Conformance, the baseline meets all objectives; else there is a winner, of Canary the
    /// candidate.
    Successful,
    /// An objective was failed.
    Failed,
    /// There were too few data, or no version was better than all others.
    Inconclusive,
    /// It could not be carried out, or metrics could not be read.
    Error,
}

impl Verdict {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Inconclusive => "Inconclusive",
            Self::Error => "Error",
        }
    }
}

/// What came of one objective, for one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ObjectiveVerdict {
    /// The value is within the limits.
    Pass,
    /// The value is not within the limits.
    Fail,
    /// There is no value: nothing was measured.
    NoData,
    /// The value could not be read.
    Error,
}

/// What the operator says of an `Experiment`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentStatus {
    /// The generation that this status was computed for.
    #[serde(default)]
    pub observed_generation: i64,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What has come of it.
    #[serde(default)]
    pub verdict: Verdict,
    /// What happened last, as `<Reason>: <message>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When the operator first saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_time: Option<DateTime<Utc>>,
    /// Since when it measures: the beginning of `$interval` in queries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<DateTime<Utc>>,
    /// The end of the last iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<DateTime<Utc>>,
    /// Iterations that are done, over all loops.
    #[serde(default)]
    pub completed_iterations: i32,
    /// Iterations in a row, up to the last one, in which an objective or the reward had no data.
    #[serde(default)]
    pub iterations_without_data: i32,
    /// The version to go on with: the winner, if there is one, else the baseline.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63))]
    pub recommended_baseline: String,
    /// Whether the weights of before were put back, as an objective was failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rolled_back: bool,
    /// The weights before the experiment moved any: a rollback puts them back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub start_weights: Vec<WeightValue>,
    /// The weights that were found, before the last decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub found_weights: Vec<WeightValue>,
    /// The weights as they should be since the last decision.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub current_weight_distribution: Vec<WeightValue>,
    /// What came of each objective in the last iteration, for each version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub objectives: Vec<ObjectiveStatus>,
    /// The analysis of the last iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// `Completed`, `Failed`, `TargetAcquired`, `Ready`.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The weight of a version, in percent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightValue {
    /// Name of the version.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Percent.
    pub value: i32,
}

/// What came of one objective, for one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectiveStatus {
    /// Name of the metric.
    #[schemars(length(max = 317))]
    pub metric: String,
    /// Name of the version.
    #[schemars(length(max = 63))]
    pub version: String,
    /// What came of it.
    pub verdict: ObjectiveVerdict,
    /// The value, as a decimal number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub value: Option<String>,
    /// The highest value that is good, as it is written in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub upper_limit: Option<String>,
    /// The lowest value that is good, as it is written in the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub lower_limit: Option<String>,
    /// Why there is no value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the value was asked for.
    pub time: DateTime<Utc>,
}

/// The analysis of an iteration, in the form that scripts know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// The values of metrics.
    #[serde(default)]
    pub aggregated_metrics: AggregatedMetrics,
    /// Whether each version meets each objective.
    #[serde(default)]
    pub version_assessments: VersionAssessments,
    /// Which version is better than the others.
    #[serde(default)]
    pub winner_assessment: WinnerAssessment,
    /// The weights that were decided on.
    #[serde(default)]
    pub weights: WeightsAssessment,
}

/// The values of metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AggregatedMetrics {
    /// When they were read.
    #[serde(default)]
    pub timestamp: DateTime<Utc>,
    /// By name of the metric.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 128))]
    pub data: BTreeMap<String, AggregatedMetric>,
    /// The names of the metrics in the order in which people read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 317)))]
    pub order: Vec<String>,
}

/// The values of a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AggregatedMetric {
    /// In what it is measured.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub units: String,
    /// By name of the version.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 8))]
    pub data: BTreeMap<String, VersionMetric>,
}

/// The value of a metric for a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionMetric {
    /// The value, as a decimal number; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub value: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// Whether each version meets each objective.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionAssessments {
    /// By name of the version, in the order of objectives: whether it is known to meet it.
    #[serde(default)]
    #[schemars(schema_with = "assessments")]
    pub data: BTreeMap<String, Vec<bool>>,
}

fn assessments(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 8,
        "additionalProperties": { "type": "array", "maxItems": 16, "items": { "type": "boolean" } },
        "default": {}
    })
}

/// Which version is better than the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WinnerAssessment {
    /// What was found.
    #[serde(default)]
    pub data: Winner,
}

/// The winner, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Winner {
    /// Whether there is one.
    #[serde(default)]
    pub winner_found: bool,
    /// Name of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub winner: Option<String>,
}

/// The weights that were decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WeightsAssessment {
    /// One for each version; none where nothing is moved.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub data: Vec<WeightValue>,
}
