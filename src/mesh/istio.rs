//! Istio's `VirtualService` (`networking.istio.io/v1`): the fields that are written.
//!
//! Source: <https://istio.io/latest/docs/reference/config/networking/virtual-service/>. The CRD has no defaults.

use std::collections::BTreeMap;

use serde::Serialize;

/// `spec` of a `VirtualService`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VirtualServiceSpec {
    /// Hosts that the route is for.
    pub hosts: Vec<String>,
    /// Gateways, `name` or `namespace/name`; `mesh` stands for all sidecars. Empty: `mesh`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,
    /// The rules; the first that matches a request takes it.
    pub http: Vec<HttpRoute>,
}

/// `HTTPRoute`: one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpRoute {
    /// Its name, for logs and metrics of the proxies.
    pub name: String,
    /// Requests that match any of these; empty: all.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<HttpMatchRequest>,
    /// Who answers.
    pub route: Vec<HttpRouteDestination>,
    /// Who gets copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<HttpMirrorPolicy>,
}

/// `HTTPMatchRequest`: all conditions must hold. Istio refuses one without any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpMatchRequest {
    /// The path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<StringMatch>,
    /// Headers by their names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, StringMatch>,
    /// Query parameters by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, StringMatch>,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
}

/// How a string is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StringMatch {
    /// Equal.
    Exact(String),
    /// It begins so (character by character, not path element by path element).
    Prefix(String),
    /// The whole string matches an RE2 expression.
    Regex(String),
}

/// `HTTPRouteDestination`: who answers, with its share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpRouteDestination {
    /// The Service.
    pub destination: Destination,
    /// Relative share.
    pub weight: i32,
    /// What is done to headers.
    pub headers: Headers,
}

/// A Service and its port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// The Service's name in DNS.
    pub host: String,
    /// The port.
    pub port: PortSelector,
}

/// A port by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PortSelector {
    /// The number.
    pub number: i32,
}

/// What is done to headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Headers {
    /// Of the response.
    pub response: HeaderOperations,
}

/// Operations on headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HeaderOperations {
    /// Values to append, by header.
    pub add: BTreeMap<String, String>,
}

/// `HTTPMirrorPolicy`: who gets copies, and of how many requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpMirrorPolicy {
    /// The Service.
    pub destination: Destination,
    /// How many requests are copied.
    pub percentage: Percent,
}

/// A percentage. Istio's is a double; the operator writes whole numbers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percent {
    /// 1..100.
    pub value: i32,
}
