//! The rules of a `RoutePolicy`.

use super::{ObjectInfo, check_matches, default_matches, default_weight, hosts, repeated, schema};
use crate::api::route_policy::{
    HttpRouteTarget, PolicyVersion, RoutePolicySpec, RouteTarget, RoutingStrategy, VirtualServiceTarget,
};
use crate::api::rules::route_policy::{
    ANY_HOST, BAD_FILTER, DUPLICATE_NAME, ONE_ROUTE, SERVES_FOR_CHAIN, SERVES_FOR_NOBODY, SERVICE_GROUP,
    TOO_MANY_FILTERS,
};
use crate::api::rules::{ALL_WEIGHTS_ZERO, NO_VERSION, ONE_DEFAULT_MATCH};
use crate::model::FieldError;
use crate::model::policy as valid;

/// The policy with all defaults in place, or everything that is wrong with it.
pub fn policy(info: &ObjectInfo, spec: &RoutePolicySpec) -> Result<valid::Policy, Vec<FieldError>> {
    let mut errors = schema::bounds(&schema::ROUTE_POLICY, spec);
    check_versions(spec, &mut errors);
    check_serves_for(&spec.versions, &mut errors);
    check_filters(spec, &mut errors);
    let route = target(info, &spec.route, &mut errors);
    match route {
        Some(route) if errors.is_empty() => Ok(build(info, spec, route)),
        _ => Err(errors),
    }
}

fn check_versions(spec: &RoutePolicySpec, errors: &mut Vec<FieldError>) {
    let versions = &spec.versions;
    if versions.is_empty() {
        errors.push(FieldError::invalid("spec.versions", NO_VERSION));
    } else if spec.strategy == RoutingStrategy::BlueGreen && versions.iter().all(|version| version.weight == Some(0)) {
        errors.push(FieldError::invalid("spec.versions", ALL_WEIGHTS_ZERO));
    }
    for index in repeated(versions.iter().map(|version| Some(version.name.as_str()))) {
        errors.push(FieldError::invalid(
            format!("spec.versions[{index}].name"),
            DUPLICATE_NAME,
        ));
    }
    // A version that stands in for another has that one's place, and need not have one of its own.
    let open = |version: &&PolicyVersion| version.matches.is_empty() && version.serves_for.is_none();
    if spec.strategy == RoutingStrategy::Canary && versions.iter().skip(1).filter(open).count() > 1 {
        errors.push(FieldError::invalid("spec.versions", ONE_DEFAULT_MATCH));
    }
    for (index, version) in versions.iter().enumerate() {
        check_matches(&format!("spec.versions[{index}].matches"), &version.matches, errors);
    }
}

fn check_serves_for(versions: &[PolicyVersion], errors: &mut Vec<FieldError>) {
    for (index, version) in versions.iter().enumerate() {
        let Some(served) = version.serves_for.as_deref() else {
            continue;
        };
        let at = format!("spec.versions[{index}].servesFor");
        let other = versions.iter().find(|other| other.name == served);
        if served == version.name || other.is_none() {
            errors.push(FieldError::invalid(&at, SERVES_FOR_NOBODY));
        } else if other.is_some_and(|other| other.serves_for.is_some())
            || versions
                .iter()
                .filter(|other| other.serves_for.as_deref() == Some(served))
                .count()
                > 1
        {
            errors.push(FieldError::invalid(&at, SERVES_FOR_CHAIN));
        }
    }
}

fn check_filters(spec: &RoutePolicySpec, errors: &mut Vec<FieldError>) {
    let Some(route) = &spec.route.http_route else { return };
    for (index, filter) in route.filters.iter().enumerate() {
        let kind = filter.get("type").and_then(serde_json::Value::as_str);
        if !matches!(
            kind,
            Some("RequestHeaderModifier" | "URLRewrite" | "CORS" | "ExtensionRef")
        ) {
            errors.push(FieldError::invalid(
                format!("spec.route.httpRoute.filters[{index}].type"),
                BAD_FILTER,
            ));
        }
    }
    if spec.strategy == RoutingStrategy::Mirror && spec.versions.len() + route.filters.len() > 16 {
        errors.push(FieldError::invalid("spec.route.httpRoute.filters", TOO_MANY_FILTERS));
    }
    for (index, parent) in route.parent_refs.iter().enumerate() {
        if parent.kind.as_deref() == Some("Service") && parent.group.as_deref().is_some_and(|group| !group.is_empty()) {
            errors.push(FieldError::invalid(
                format!("spec.route.httpRoute.parentRefs[{index}]"),
                SERVICE_GROUP,
            ));
        }
    }
}

fn target(info: &ObjectInfo, route: &RouteTarget, errors: &mut Vec<FieldError>) -> Option<valid::Target> {
    let any_host = |at: &str, hosts: &[String]| {
        let stars = hosts.iter().enumerate().filter(|(_, host)| *host == "*");
        stars
            .map(|(index, _)| FieldError::invalid(format!("{at}[{index}]"), ANY_HOST))
            .collect::<Vec<_>>()
    };
    match (&route.http_route, &route.virtual_service) {
        (Some(http), None) => {
            errors.extend(any_host("spec.route.httpRoute.hostnames", &http.hostnames));
            errors.extend(hosts::http_route(http, &info.namespace));
            Some(http_route(info, http))
        }
        (None, Some(service)) => {
            errors.extend(any_host("spec.route.virtualService.hosts", &service.hosts));
            errors.extend(hosts::virtual_service(service, &info.namespace));
            Some(virtual_service(info, service))
        }
        _ => {
            errors.push(FieldError::invalid("spec.route", ONE_ROUTE));
            None
        }
    }
}

fn http_route(info: &ObjectInfo, target: &HttpRouteTarget) -> valid::Target {
    valid::Target::HttpRoute(target.name.clone().unwrap_or_else(|| info.name.clone()), target.clone())
}

fn virtual_service(info: &ObjectInfo, target: &VirtualServiceTarget) -> valid::Target {
    valid::Target::VirtualService(target.name.clone().unwrap_or_else(|| info.name.clone()), target.clone())
}

fn build(info: &ObjectInfo, spec: &RoutePolicySpec, route: valid::Target) -> valid::Policy {
    let version = |(index, version): (usize, &PolicyVersion)| {
        let candidate = index > 0 && spec.strategy == RoutingStrategy::Canary;
        valid::PolicyVersion {
            name: version.name.clone(),
            resources: version.resources.clone(),
            backend: version.backend.clone(),
            weight: version
                .weight
                .unwrap_or_else(|| default_weight(spec.strategy == RoutingStrategy::Mirror)),
            weight_config_map: version.weight_config_map.clone(),
            matches: if candidate && version.matches.is_empty() && version.serves_for.is_none() {
                default_matches()
            } else {
                version.matches.clone()
            },
            serves_for: spec
                .versions
                .iter()
                .position(|other| Some(&other.name) == version.serves_for.as_ref()),
        }
    };
    valid::Policy {
        name: info.name.clone(),
        namespace: info.namespace.clone(),
        uid: info.uid,
        generation: info.generation,
        strategy: spec.strategy,
        versions: spec.versions.iter().enumerate().map(version).collect(),
        route,
        suspend: spec.suspend,
    }
}
