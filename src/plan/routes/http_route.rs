//! Gateway API's `HTTPRoute`, with every default of the CRD written out.

use serde_json::{Map, Value, json};

use super::APP_VERSION;
use crate::api::route_match::{self, PathMatchType, ValueMatchType};
use crate::api::route_policy::{Backend, HttpRouteTarget, ParentRef};
use crate::mesh::gateway::{
    BackendObjectReference, GROUP, Header, HeaderModifier, HttpBackendRef, HttpRouteFilter, HttpRouteMatch,
    HttpRouteRule, HttpRouteSpec, KIND_GATEWAY, KIND_SERVICE, ParentReference, PathMatch, RequestMirror, ValueMatch,
};
use crate::model::policy::{Intent, Rule};

/// A mirror of this percentage is written without: Gateway API before 1.3 knows no other.
const ALL: i32 = 100;

/// The `spec`. A policy has at most 16 versions of 8 matches, so that the rules stay within the limits of the API.
pub(super) fn spec(target: &HttpRouteTarget, intent: &Intent) -> HttpRouteSpec {
    HttpRouteSpec {
        parent_refs: target.parent_refs.iter().map(parent).collect(),
        hostnames: target.hostnames.clone(),
        rules: intent.rules.iter().map(|wanted| rule(target, wanted)).collect(),
    }
}

fn parent(parent: &ParentRef) -> ParentReference {
    let kind = parent.kind.clone().unwrap_or_else(|| KIND_GATEWAY.to_owned());
    let default_group = if kind == KIND_SERVICE { "" } else { GROUP };
    ParentReference {
        group: parent.group.clone().unwrap_or_else(|| default_group.to_owned()),
        kind,
        namespace: parent.namespace.clone(),
        name: parent.name.clone(),
        section_name: parent.section_name.clone(),
        port: parent.port,
    }
}

/// A rule in which one backend gets requests names it for the whole rule, as few implementations have filters on
/// backends.
fn rule(target: &HttpRouteTarget, wanted: &Rule) -> HttpRouteRule {
    let mut serving = wanted.backends.iter().filter(|(_, weight)| *weight > 0);
    let single = match (serving.next(), serving.next()) {
        (Some((backend, _)), None) => Some(backend),
        _ => None,
    };
    let mirrors = wanted
        .mirrors
        .iter()
        .map(|(backend, percent)| HttpRouteFilter::RequestMirror {
            mirror: RequestMirror {
                backend_ref: reference(backend),
                percent: (*percent < ALL).then_some(*percent),
            },
        });
    let backend_refs = wanted.backends.iter().map(|(backend, weight)| HttpBackendRef {
        backend: reference(backend),
        weight: *weight,
        filters: if single.is_none() {
            vec![answered_by(backend)]
        } else {
            Vec::new()
        },
    });
    HttpRouteRule {
        matches: matches(&wanted.matches),
        filters: rule_filters(&target.filters, single)
            .into_iter()
            .chain(mirrors)
            .collect(),
        backend_refs: backend_refs.collect(),
    }
}

/// Users' filters, then ours; `single` is the only backend of the rule, if it has only one.
fn rule_filters(users: &[Map<String, Value>], single: Option<&Backend>) -> Vec<HttpRouteFilter> {
    let mut users: Vec<_> = users.iter().cloned().map(with_defaults).collect();
    // The API refuses a second filter of this type.
    let modifier = users
        .iter_mut()
        .find_map(|filter| filter.get_mut("responseHeaderModifier")?.as_object_mut());
    let own = match (single, modifier) {
        (Some(backend), Some(modifier)) => {
            add_to(modifier, &header(backend));
            None
        }
        (Some(backend), None) => Some(answered_by(backend)),
        (None, _) => None,
    };
    users.into_iter().map(HttpRouteFilter::Users).chain(own).collect()
}

/// Adds the header to a user's modifier, unless that adds one of the name itself: the API refuses a second.
fn add_to(modifier: &mut Map<String, Value>, header: &Header) {
    if let Some(add) = modifier.entry("add").or_insert_with(|| json!([])).as_array_mut()
        && !add
            .iter()
            .any(|other| other.get("name").and_then(Value::as_str) == Some(header.name.as_str()))
    {
        add.push(json!(header));
    }
}

/// A user's filter with the defaults that the CRD has for it.
fn with_defaults(mut filter: Map<String, Value>) -> Map<String, Value> {
    let defaults = [
        ("/requestMirror/backendRef", "group", json!("")),
        ("/requestMirror/backendRef", "kind", json!(KIND_SERVICE)),
        ("/requestMirror/fraction", "denominator", json!(100)),
        ("/requestRedirect", "statusCode", json!(302)),
        ("/cors", "maxAge", json!(5)),
    ];
    let mut value = Value::Object(std::mem::take(&mut filter));
    for (pointer, key, default) in defaults {
        if let Some(parent) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
            parent.entry(key).or_insert(default);
        }
    }
    match value {
        Value::Object(filter) => filter,
        _ => filter,
    }
}

fn answered_by(backend: &Backend) -> HttpRouteFilter {
    let add = vec![header(backend)];
    HttpRouteFilter::ResponseHeaderModifier {
        modifier: HeaderModifier { add },
    }
}

fn header(backend: &Backend) -> Header {
    Header {
        name: APP_VERSION.to_owned(),
        value: backend.name.clone(),
    }
}

fn reference(backend: &Backend) -> BackendObjectReference {
    BackendObjectReference {
        group: String::new(),
        kind: KIND_SERVICE.to_owned(),
        name: backend.name.clone(),
        port: backend.port,
    }
}

/// No condition means every path, and the server writes it so.
fn matches(wanted: &[route_match::HttpRouteMatch]) -> Vec<HttpRouteMatch> {
    if wanted.is_empty() {
        return vec![HttpRouteMatch::default()];
    }
    let one = |wanted: &route_match::HttpRouteMatch| HttpRouteMatch {
        path: wanted.path.as_ref().map(path).unwrap_or_default(),
        headers: wanted.headers.iter().map(value).collect(),
        query_params: wanted.query_params.iter().map(value).collect(),
        method: wanted.method.map(|method| method.as_str().to_owned()),
    };
    wanted.iter().map(one).collect()
}

fn path(path: &route_match::PathMatch) -> PathMatch {
    let type_ = match path.type_ {
        PathMatchType::Exact => "Exact",
        PathMatchType::PathPrefix => "PathPrefix",
        PathMatchType::RegularExpression => "RegularExpression",
    };
    PathMatch {
        type_,
        value: path.value.clone(),
    }
}

fn value(value: &route_match::ValueMatch) -> ValueMatch {
    let type_ = match value.type_ {
        ValueMatchType::Exact => "Exact",
        ValueMatchType::RegularExpression => "RegularExpression",
    };
    ValueMatch {
        type_,
        name: value.name.clone(),
        value: value.value.clone(),
    }
}
