//! `Release`: a whole application, its versions, its environment and its strategy.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route_match::HttpRouteMatch;
use super::status::{Condition, RouteStatus, Summary, VersionStatus};

/// What is released, where, and how requests move between its versions.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "iter8.tools",
    version = "v1alpha1",
    kind = "Release",
    plural = "releases",
    shortname = "rel",
    category = "iter8",
    namespaced,
    status = "ReleaseStatus",
    derive = "PartialEq",
    doc = "A whole application: its versions, where it runs, and how requests move between its versions."
)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSpec {
    /// Where the application runs and what routes its requests.
    pub environment: Environment,
    /// A Gateway for requests from outside, `name` (in the Release's namespace) or `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub gateway: Option<String>,
    /// The application and its versions.
    pub application: Application,
    /// Seconds between a version's leaving the route and its removal.
    #[serde(default = "default_drain_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: i32,
    /// True: the operator writes nothing but status; a promotion stands still at its step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

fn default_drain_seconds() -> i32 {
    10
}

/// Where the application runs and what routes its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Environment {
    /// Deployments and Services; nothing is routed.
    Deployment,
    /// Deployments behind an `HTTPRoute` of the Gateway API.
    DeploymentGtw,
    /// Deployments behind an Istio `VirtualService`.
    DeploymentIstio,
}

/// How requests move between versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Nothing is routed.
    #[default]
    None,
    /// Every version gets a share.
    BlueGreen,
    /// A candidate gets the requests that match.
    Canary,
    /// The primary answers; candidates get copies.
    Mirror,
}

/// The application and its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// Name, labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Port that clients call, and that versions listen on unless they say otherwise.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// How requests move between versions.
    #[serde(default)]
    pub strategy: Strategy,
    /// The versions; the first is the primary.
    #[schemars(length(max = 8))]
    pub versions: Vec<Version>,
}

fn default_port() -> i32 {
    80
}

/// Name, labels and annotations of an application or a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name. Of an application: default the Release's, immutable. Of a version: default `<application>-<index>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Not supported: a Release makes objects in its own namespace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Labels for the objects made (never for pod templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub labels: BTreeMap<String, String>,
    /// Annotations for the objects made (never for pod templates).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotation_map")]
    pub annotations: BTreeMap<String, String>,
}

fn label_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 63 }
    })
}

fn annotation_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 4096 }
    })
}

/// One version of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Name, labels and annotations of the version's objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Container image; needed unless `deploymentSpecification` gives the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub image: Option<String>,
    /// Port that the version listens on (default: the application's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Number of pods. Absent: starts at 1 and is left to an autoscaler or `kubectl scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub replicas: Option<i32>,
    /// Blue-green: relative share (default 50). Mirror: percent of requests copied (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<i32>,
    /// Canary: requests that match any of these go to this version (default for one candidate: header `traffic: test`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub matches: Vec<HttpRouteMatch>,
    /// Merged over the generated Deployment: maps by key, lists replace, null removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_specification: Option<Specification>,
    /// Merged over the generated Service: maps by key, lists replace, null removes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_specification: Option<Specification>,
}

/// What is merged over a generated object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Specification {
    /// Labels and annotations of the object; its name is the version's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Fields of the object's `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub spec: Option<serde_json::Map<String, serde_json::Value>>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// What the operator says of a Release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// The generation that this status was computed for.
    #[serde(default)]
    pub observed_generation: i64,
    /// One entry per version, in the spec's order, then those that leave.
    #[serde(default)]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub versions: Vec<VersionStatus>,
    /// The route that carries the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteStatus>,
    /// Where the promotion stands, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
    /// `Ready`, `VersionsReady`, `Routed`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Strings for the columns of `kubectl get`.
    #[serde(default)]
    pub summary: Summary,
}

/// Where a promotion stands: the primary gets what another version, the source, runs already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The step.
    pub step: PromotionStep,
    /// The version that serves for the primary while the primary rolls.
    #[schemars(length(max = 63))]
    pub source: String,
    /// When the step began.
    pub since: DateTime<Utc>,
}

/// The steps of a promotion, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PromotionStep {
    /// The source gets as many pods as the primary has.
    Scale,
    /// The source takes the primary's requests.
    Switch,
    /// The primary rolls out its new template, serving nobody.
    Roll,
    /// The primary takes its requests back.
    Return,
    /// The primary rolls out its new template under its own share, as no other version can stand in for it.
    InPlace,
}
