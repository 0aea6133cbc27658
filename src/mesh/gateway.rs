//! Gateway API's `HTTPRoute` (`gateway.networking.k8s.io/v1`): the fields that are written.
//!
//! Source: <https://gateway-api.sigs.k8s.io/reference/spec/#httproute>. Fields with a default in the CRD are no
//! `Option`s, so that they are always written.

use serde::Serialize;
use serde_json::{Map, Value};

/// The group of `Gateway` and `HTTPRoute`; default group of a parent.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// Default kind of a parent.
pub const KIND_GATEWAY: &str = "Gateway";
/// Default kind of a backend; its group is the empty one.
pub const KIND_SERVICE: &str = "Service";

/// `spec` of an `HTTPRoute`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// Gateways and Services that the route attaches to.
    pub parent_refs: Vec<ParentReference>,
    /// Hosts that the route is for; empty: all of its parents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// The rules, at most 16.
    pub rules: Vec<HttpRouteRule>,
}

/// What a route attaches to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// API group; of a Service the empty one.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; absent: the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// A listener of the Gateway or a named port of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Port of the Service or the listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// One rule. (Its `name` is younger than Gateway API 1.0.)
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Requests that match any of these, at most 8 (the limit of Gateway API 1.0).
    pub matches: Vec<HttpRouteMatch>,
    /// What is done to all requests of the rule, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
    /// Who answers, at most 16.
    pub backend_refs: Vec<HttpBackendRef>,
}

/// All conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteMatch {
    /// Condition on the path.
    pub path: PathMatch,
    /// Conditions on headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueMatch>,
    /// Conditions on query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<ValueMatch>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// `HTTPPathMatch`; the default is every path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathMatch {
    /// `Exact`, `PathPrefix` or `RegularExpression`.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// The path.
    pub value: String,
}

impl Default for PathMatch {
    fn default() -> Self {
        Self {
            type_: "PathPrefix",
            value: "/".to_owned(),
        }
    }
}

/// `HTTPHeaderMatch` and `HTTPQueryParamMatch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ValueMatch {
    /// `Exact` or `RegularExpression`.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// Name of the header or the parameter.
    pub name: String,
    /// The value to compare with.
    pub value: String,
}

/// What is done to requests and responses.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub enum HttpRouteFilter {
    /// Changes headers of the response. A rule may have one.
    ResponseHeaderModifier {
        /// The change.
        #[serde(rename = "responseHeaderModifier")]
        modifier: HeaderModifier,
    },
    /// Sends copies of requests.
    RequestMirror {
        /// Where to, and of how many.
        #[serde(rename = "requestMirror")]
        mirror: RequestMirror,
    },
    /// One that a user wrote.
    #[serde(untagged)]
    Users(Map<String, Value>),
}

/// `HTTPHeaderFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderModifier {
    /// Headers to append, at most 16.
    pub add: Vec<Header>,
}

/// A header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// `HTTPRequestMirrorFilter`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMirror {
    /// Who gets copies.
    pub backend_ref: BackendObjectReference,
    /// Of how many requests, 1..99; absent: of all. (Gateway API before 1.3 lacks the field.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<i32>,
}

/// A Service and its port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackendObjectReference {
    /// API group; of a Service the empty one.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Port.
    pub port: i32,
}

/// `HTTPBackendRef`: who answers, with its share.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HttpBackendRef {
    /// The Service.
    #[serde(flatten)]
    pub backend: BackendObjectReference,
    /// Relative share.
    pub weight: i32,
    /// What is done to the requests that it gets, at most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpRouteFilter>,
}
