//! What `Release` and `RoutePolicy` report alike.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `True`, `False` or `Unknown`, as in Kubernetes' conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Tristate {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    #[default]
    Unknown,
}

/// What a version is in its application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The first version of the spec.
    Primary,
    /// Any other version of the spec.
    Candidate,
    /// No longer in the spec; it goes as soon as nobody is sent to it any more.
    Leaving,
}

/// Where the weight in force comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WeightSource {
    /// The spec.
    #[default]
    Spec,
    /// The annotation `iter8.tools/weight` on the version's weight `ConfigMap`.
    Override,
}

/// One version: whether it is ready, and what it gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// Name of the version.
    #[schemars(length(max = 63))]
    pub name: String,
    /// What it is in the application.
    pub role: Role,
    /// Whether it can answer requests.
    pub ready: Tristate,
    /// Why it is ready or not, as one CamelCase word.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// The weight in force: relative share (blue-green) or percent of requests copied (mirror).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Percent of the requests that it gets right now; with mirror, for a candidate, percent copied to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
    /// Where the weight in force comes from.
    #[serde(default)]
    pub source: WeightSource,
    /// Since when `ready` and `role` are what they are; for a version that left the route, since when it is out of it.
    pub since: DateTime<Utc>,
}

/// The route that carries the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// API version of the route.
    #[schemars(length(max = 253))]
    pub api_version: String,
    /// Kind of the route.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name of the route.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The generation of the `RoutePolicy` that the stored route follows.
    pub policy_generation: i64,
    /// When a route that follows this generation was first accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_since: Option<DateTime<Utc>>,
    /// The parents that have ever reported on this route, each `<kind>/<namespace>/<name>`, of a listener or a named
    /// port with `/<sectionName>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub parents: Vec<String>,
}

/// A condition, as `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Name of the condition.
    #[serde(rename = "type")]
    #[schemars(length(max = 316))]
    pub type_: String,
    /// Whether it holds.
    pub status: Tristate,
    /// The generation of the object that it was computed for.
    #[serde(default)]
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: DateTime<Utc>,
    /// Why, as one CamelCase word.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Why, as a sentence that names the object at fault.
    #[serde(default)]
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// Strings for the columns of `kubectl get` (a column over an array would print its first item only).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Ready and desired versions: `1/2`.
    #[schemars(length(max = 64))]
    pub versions: String,
    /// What each version gets: `30/70`.
    #[schemars(length(max = 256))]
    pub traffic: String,
    /// Images of the versions, joined with commas.
    #[serde(default)]
    #[schemars(length(max = 16_384))]
    pub images: String,
}
