//! Gateway API's `HTTPRouteMatch`: the one form of a request match for every mesh.
//!
//! Source: <https://gateway-api.sigs.k8s.io/reference/spec/#httproutematch>.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request matches when all conditions given here do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteMatch {
    /// Condition on the path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// Conditions on request headers; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub headers: Vec<ValueMatch>,
    /// Conditions on query parameters; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub query_params: Vec<ValueMatch>,
    /// The HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
}

/// Condition on the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathMatch {
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub type_: PathMatchType,
    /// The path; with `PathPrefix`, `/foo` stands for `/foo` and `/foo/…`.
    #[serde(default = "root_path")]
    #[schemars(length(max = 1024))]
    pub value: String,
}

fn root_path() -> String {
    "/".to_owned()
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathMatchType {
    /// The whole path, case-sensitive.
    Exact,
    /// A prefix, element by element.
    #[default]
    PathPrefix,
    /// A regular expression (RE2 in Istio).
    RegularExpression,
}

/// Condition on a header or a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueMatch {
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub type_: ValueMatchType,
    /// Name of the header (case-insensitive) or the query parameter.
    #[schemars(length(max = 256))]
    pub name: String,
    /// The value to compare with.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// How a header's or query parameter's value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValueMatchType {
    /// Equal.
    #[default]
    Exact,
    /// A regular expression (RE2 in Istio).
    RegularExpression,
}

/// HTTP methods that a match can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)] // the names say it
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

impl Method {
    /// As it stands in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
        }
    }
}
