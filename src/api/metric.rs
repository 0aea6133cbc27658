//! `Metric`: how a number is asked for, of a version, from Prometheus or any other HTTP API that answers with JSON.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::experiment::NamedValue;

/// How a number is asked for.
///
/// In values of `params`, in `body` and, from `variables` alone, in `urlTemplate` these are filled in: `$name` (of the
/// version), `$interval` (time since the beginning, as in `285s`), `$elapsedTime` (the same as a number of seconds) and the version's
/// variables, also as `${name}`; `$$` is `$`.
#[derive(Clone, Debug, Default, PartialEq, CustomResource, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "iter8.tools",
    version = "v2alpha1",
    kind = "Metric",
    plural = "metrics",
    category = "iter8",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "How a number is asked for, of a version, from Prometheus or any other HTTP API that answers with JSON."
)]
#[serde(rename_all = "camelCase")]
pub struct MetricSpec {
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// In what it is measured, as in `milliseconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub units: Option<String>,
    /// Whether it only ever rises.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<MetricType>,
    /// A metric that counts what this one is a mean or a rate of: it is reported too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_size: Option<MetricRef>,
    /// Who is asked: `prometheus` (the default: parameter `query` is PromQL), or any other name, with `urlTemplate` and
    /// `jqExpression`.
    #[serde(default = "prometheus")]
    #[schemars(length(min = 1, max = 63))]
    pub provider: String,
    /// Parameters of the request; of Prometheus `query` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub params: Vec<NamedValue>,
    /// How it is asked (default `GET`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Body of the request, JSON (`POST` only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub body: Option<String>,
    /// Where it is asked for, as in `http://prometheus.monitoring:9090/api/v1/query` (default, of Prometheus: the operator's). The
    /// operator asks allowed hosts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub url_template: Option<String>,
    /// What of the answer is the number, in the language of jq, as in `.results[0].count | tonumber`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub jq_expression: Option<String>,
    /// Headers of the request; values of the Secret are filled in for `$<key>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub header_templates: Vec<NamedValue>,
    /// How the operator proves who it is: `Basic` (keys `username` and `password` of the Secret), `Bearer` (key `token`), or
    /// `APIKey` (by `headerTemplates`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<AuthType>,
    /// Name of a Secret in the Metric's namespace, which the operator may read only if its chart names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,
}

fn prometheus() -> String {
    PROMETHEUS.to_owned()
}

/// The provider whose answers need no `jqExpression`.
pub const PROMETHEUS: &str = "prometheus";

/// Whether a metric only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum MetricType {
    /// It only rises.
    #[serde(rename = "counter")]
    Counter,
    /// It rises and falls.
    #[serde(rename = "gauge")]
    Gauge,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Method {
    /// Parameters in the URL.
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// Parameters in the URL, and a body.
    #[serde(rename = "POST")]
    Post,
}

/// How the operator proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AuthType {
    /// User name and password (RFC 7617).
    Basic,
    /// A token (RFC 6750).
    Bearer,
    /// A header of the user's own.
    #[serde(rename = "APIKey")]
    ApiKey,
}

/// A Metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricRef {
    /// Its namespace (default: that of the Metric that names it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
