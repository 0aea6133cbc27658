//! `RoutePolicy`: routing for versions made of objects that exist already.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::route_match::HttpRouteMatch;
use super::status::{Condition, RouteStatus, Summary, VersionStatus};

/// Which versions there are, when each is ready, and how requests are shared among them.
#[derive(Clone, Debug, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "iter8.tools",
    version = "v1alpha1",
    kind = "RoutePolicy",
    plural = "routepolicies",
    shortname = "rp",
    category = "iter8",
    namespaced,
    status = "RoutePolicyStatus",
    derive = "PartialEq",
    doc = "Which versions of an application there are, when each is ready, and how requests are shared among them."
)]
#[serde(rename_all = "camelCase")]
pub struct RoutePolicySpec {
    /// How requests are shared among the versions.
    pub strategy: RoutingStrategy,
    /// The versions; the first is the primary.
    #[schemars(length(max = 16))]
    pub versions: Vec<PolicyVersion>,
    /// The route to write.
    pub route: RouteTarget,
    /// True: no route is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

/// How requests are shared among the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoutingStrategy {
    /// Every version gets a share.
    BlueGreen,
    /// A candidate gets the requests that match.
    Canary,
    /// The primary answers; candidates get copies.
    Mirror,
}

/// One version: what it is made of, and what it gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyVersion {
    /// Name of the version.
    #[schemars(length(max = 253))]
    pub name: String,
    /// The objects that make up the version; it is ready when all of them are.
    #[schemars(length(min = 1, max = 8))]
    pub resources: Vec<ResourceRef>,
    /// The Service that its requests are sent to.
    pub backend: Backend,
    /// Blue-green: relative share (default 50). Mirror: percent of requests copied (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<i32>,
    /// Name of a `ConfigMap` whose annotation `iter8.tools/weight` is the live weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub weight_config_map: Option<String>,
    /// Canary: requests that match any of these go to this version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub matches: Vec<HttpRouteMatch>,
    /// Name of another version whose place this one takes while it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub serves_for: Option<String>,
}

/// An object in the policy's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRef {
    /// API version: `apps/v1`, `v1`, `serving.knative.dev/v1`.
    #[schemars(length(max = 253))]
    pub api_version: String,
    /// Kind: `Deployment`, `Service`.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name of the object.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// A Service in the policy's namespace and its port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Name of the Service.
    #[schemars(length(max = 63))]
    pub name: String,
    /// Port of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// The route to write: exactly one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteTarget {
    /// An `HTTPRoute` of the Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRouteTarget>,
    /// An Istio `VirtualService`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<VirtualServiceTarget>,
}

/// An `HTTPRoute` of the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteTarget {
    /// Name of the route (default: the policy's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Hosts that the route is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253)))]
    pub hostnames: Vec<String>,
    /// Gateways and Services that the route attaches to.
    #[schemars(length(min = 1, max = 16))]
    pub parent_refs: Vec<ParentRef>,
    /// Filters for every rule, beside those that the strategy needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "filters")]
    pub filters: Vec<serde_json::Map<String, serde_json::Value>>,
}

fn filters(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "maxItems": 8,
        "items": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true, "required": ["type"],
            "properties": { "type": { "type": "string", "maxLength": 63, "description": "Kind of the filter." } }
        }
    })
}

/// What a route attaches to, as in the Gateway API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group (default `gateway.networking.k8s.io`; of a Service the empty one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind (default `Gateway`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub kind: Option<String>,
    /// Namespace (default: the policy's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Name of the parent.
    #[schemars(length(max = 253))]
    pub name: String,
    /// A listener of the Gateway or a named port of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub section_name: Option<String>,
    /// Port of the Service or the listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// An Istio `VirtualService`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceTarget {
    /// Name of the route (default: the policy's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Hosts that the route is for.
    #[schemars(length(min = 1, max = 16), inner(length(max = 253)))]
    pub hosts: Vec<String>,
    /// Gateways, `name` or `namespace/name`; `mesh` stands for all sidecars.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 317)))]
    pub gateways: Vec<String>,
}

/// What the operator says of a `RoutePolicy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutePolicyStatus {
    /// The generation that this status was computed for.
    #[serde(default)]
    pub observed_generation: i64,
    /// One entry per version, in the spec's order.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub versions: Vec<VersionStatus>,
    /// The route as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteStatus>,
    /// `Ready`, `VersionsReady`, `Routed`, `Reconciling`, `Stalled`.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Strings for the columns of `kubectl get`.
    #[serde(default)]
    pub summary: Summary,
}
