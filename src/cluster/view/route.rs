//! Routes as they are stored: which Services they name.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::or_default;
use crate::api::managers;
use crate::model::observed::{ParentReport, StoredBackend, StoredRoute, StoredRule};
use crate::model::ownership::Manager;

/// Source: <https://istio.io/latest/docs/reference/config/networking/virtual-service/>.
pub(super) mod istio {
    use serde::de::IgnoredAny;

    use super::{Deserialize, or_default};

    #[derive(Default, Deserialize)]
    pub struct Spec {
        #[serde(default, deserialize_with = "or_default")]
        pub http: Vec<Http>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub struct Http {
        #[serde(rename = "match", deserialize_with = "or_default")]
        pub matches: Vec<IgnoredAny>,
        #[serde(deserialize_with = "or_default")]
        pub route: Vec<Route>,
        pub mirror: Option<Destination>,
        pub mirror_percentage: Option<Percent>,
        #[serde(deserialize_with = "or_default")]
        pub mirrors: Vec<Mirror>,
    }

    #[derive(Deserialize)]
    pub struct Route {
        pub destination: Destination,
        pub weight: Option<i32>,
    }

    #[derive(Deserialize)]
    pub struct Mirror {
        pub destination: Destination,
        pub percentage: Option<Percent>,
    }

    #[derive(Deserialize)]
    pub struct Destination {
        pub host: String,
        #[serde(default)]
        pub port: Port,
    }

    #[derive(Default, Deserialize)]
    pub struct Port {
        #[serde(default)]
        pub number: i32,
    }

    #[derive(Deserialize)]
    pub struct Percent {
        #[serde(default)]
        pub value: f64,
    }
}

pub(super) fn virtual_service(spec: istio::Spec) -> StoredRoute {
    StoredRoute {
        rules: spec.http.into_iter().map(istio_rule).collect(),
        parents: Box::default(),
        written: 0,
    }
}

fn istio_rule(http: istio::Http) -> StoredRule {
    // A single destination gets everything, whatever its weight.
    let default_weight = if http.route.len() == 1 { 100 } else { 0 };
    let backends = http.route.iter();
    let backends = backends.map(|route| istio_backend(&route.destination, route.weight.unwrap_or(default_weight)));
    let single = http.mirror.map(|destination| (destination, http.mirror_percentage));
    let mirrors = http
        .mirrors
        .into_iter()
        .map(|mirror| (mirror.destination, mirror.percentage));
    StoredRule {
        matched: !http.matches.is_empty(),
        backends: backends.collect(),
        mirrors: mirrors
            .chain(single)
            .map(|(to, percent)| istio_backend(&to, percent_of(percent)))
            .collect(),
    }
}

#[allow(clippy::cast_possible_truncation)] // `as` saturates
fn percent_of(percent: Option<istio::Percent>) -> i32 {
    percent.map_or(100, |percent| percent.value.round() as i32)
}

fn istio_backend(destination: &istio::Destination, weight: i32) -> StoredBackend {
    let service = destination.host.split('.').next().unwrap_or_default();
    StoredBackend {
        service: service.into(),
        port: destination.port.number,
        weight,
    }
}

/// Source: <https://gateway-api.sigs.k8s.io/reference/spec/#httproute>.
pub(super) mod gateway {
    use super::{Deserialize, Value, or_default};

    #[derive(Default, Deserialize)]
    pub struct Spec {
        #[serde(default, deserialize_with = "or_default")]
        pub rules: Vec<Rule>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub struct Rule {
        #[serde(deserialize_with = "or_default")]
        pub matches: Vec<Value>,
        #[serde(deserialize_with = "or_default")]
        pub filters: Vec<Filter>,
        #[serde(deserialize_with = "or_default")]
        pub backend_refs: Vec<BackendRef>,
    }

    #[derive(Deserialize)]
    pub struct BackendRef {
        pub name: Box<str>,
        #[serde(default)]
        pub port: i32,
        pub weight: Option<i32>,
        #[serde(default, deserialize_with = "or_default")]
        pub filters: Vec<Filter>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Filter {
        pub request_mirror: Option<RequestMirror>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct RequestMirror {
        pub backend_ref: BackendRef,
        pub percent: Option<i32>,
        pub fraction: Option<Fraction>,
    }

    #[derive(Deserialize)]
    pub struct Fraction {
        pub numerator: i32,
        pub denominator: Option<i32>,
    }

    #[derive(Default, Deserialize)]
    pub struct Status {
        #[serde(default, deserialize_with = "or_default")]
        pub parents: Vec<Parent>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Parent {
        pub parent_ref: ParentRef,
        #[serde(default, deserialize_with = "or_default")]
        pub conditions: Vec<Condition>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct ParentRef {
        pub kind: Option<String>,
        pub namespace: Option<String>,
        pub name: String,
        pub section_name: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub struct Condition {
        #[serde(rename = "type")]
        pub type_: Box<str>,
        pub status: Box<str>,
        #[serde(default)]
        pub observed_generation: i64,
        #[serde(default)]
        pub reason: Box<str>,
        #[serde(default)]
        pub message: Box<str>,
    }
}

pub(super) fn http_route(
    namespace: &str,
    managers: &[Manager<'_>],
    spec: &gateway::Spec,
    status: gateway::Status,
) -> StoredRoute {
    let (rules, last) = (spec.rules.iter().enumerate(), spec.rules.len().saturating_sub(1));
    StoredRoute {
        rules: rules.map(|(index, rule)| gateway_rule(rule, index == last)).collect(),
        parents: status
            .parents
            .into_iter()
            .map(|parent| report(parent, namespace))
            .collect(),
        written: written(managers).map_or(0, |time| time.timestamp()),
    }
}

/// The time of our manager's entry in `managedFields`, which is that of its last change.
fn written(managers: &[Manager<'_>]) -> Option<DateTime<Utc>> {
    let is_ours = |who: &&Manager<'_>| who.name == managers::ROUTE_POLICY && who.subresource.is_empty();
    managers.iter().find(is_ours)?.time()
}

fn gateway_rule(rule: &gateway::Rule, is_last: bool) -> StoredRule {
    // A canary's match may take everything, too: its rule comes before the one for the rest.
    let is_catch_all = rule.matches.is_empty() || is_last && rule.matches.iter().any(takes_everything);
    let below = rule.backend_refs.iter().flat_map(|backend| &backend.filters);
    let mirrors = rule
        .filters
        .iter()
        .chain(below)
        .filter_map(|filter| filter.request_mirror.as_ref());
    let mirrors = mirrors.map(|mirror| {
        let fraction = mirror.fraction.as_ref();
        let fraction = fraction.map(|f| f.numerator.saturating_mul(100) / f.denominator.unwrap_or(100).max(1));
        gateway_backend(&mirror.backend_ref, mirror.percent.or(fraction).unwrap_or(100))
    });
    let backends = rule.backend_refs.iter();
    StoredRule {
        matched: !is_catch_all,
        mirrors: mirrors.collect(),
        backends: backends
            .map(|backend| gateway_backend(backend, backend.weight.unwrap_or(1)))
            .collect(),
    }
}

/// The CRD writes `path: {type: PathPrefix, value: /}` into a rule without matches and a match without a path.
fn takes_everything(one: &Value) -> bool {
    let nothing = |key| {
        one.get(key)
            .is_none_or(|value: &Value| value.as_array().is_some_and(Vec::is_empty))
    };
    let path = |key, default: &'static str| {
        let value = one.get("path").and_then(|path| path.get(key)?.as_str());
        value.unwrap_or(default).to_owned()
    };
    nothing("headers")
        && nothing("queryParams")
        && one.get("method").is_none()
        && path("type", "PathPrefix") == "PathPrefix"
        && path("value", "/") == "/"
}

fn gateway_backend(backend: &gateway::BackendRef, weight: i32) -> StoredBackend {
    StoredBackend {
        service: backend.name.clone(),
        port: backend.port,
        weight,
    }
}

fn report(parent: gateway::Parent, route_namespace: &str) -> ParentReport {
    let gateway::ParentRef {
        kind,
        namespace,
        name,
        section_name,
    } = parent.parent_ref;
    let kind = kind.as_deref().unwrap_or("Gateway");
    let namespace = namespace.as_deref().unwrap_or(route_namespace);
    let mut needed: Vec<_> = parent.conditions;
    needed.retain(|condition| matches!(&*condition.type_, "Accepted" | "ResolvedRefs"));
    let complete = ["Accepted", "ResolvedRefs"]
        .iter()
        .all(|type_| needed.iter().any(|condition| &*condition.type_ == *type_));
    let generation = needed.iter().map(|condition| condition.observed_generation).min();
    let fault = needed.iter().find(|condition| &*condition.status != "True");
    ParentReport {
        parent: ParentReport::key(kind, namespace, &name, section_name.as_deref()).into(),
        observed_generation: if complete { generation.unwrap_or_default() } else { 0 },
        accepted: complete && fault.is_none(),
        reason: fault.map(|condition| condition.reason.clone()).unwrap_or_default(),
        message: fault.map(|condition| condition.message.clone()).unwrap_or_default(),
    }
}
