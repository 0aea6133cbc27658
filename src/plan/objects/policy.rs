//! The `RoutePolicy` of a Release.

use serde_json::{Value, json};

use super::{application_metadata, backend_port, weight_config_needed};
use crate::api::release::{Environment, Strategy};
use crate::api::route_policy::{
    Backend, HttpRouteTarget, ParentRef, PolicyVersion, ResourceRef, RoutePolicySpec, RouteTarget, RoutingStrategy,
    VirtualServiceTarget,
};
use crate::mesh::gateway;
use crate::model::kind::Kind;
use crate::model::names;
use crate::model::release::{GatewayRef, Release, Version};
use crate::plan::CLUSTER_DOMAIN;
use crate::plan::metadata::object;

/// Istio's name for all sidecars.
const MESH: &str = "mesh";

/// The `RoutePolicy` with these versions; `None` where nothing is routed.
///
/// `suspend` is not handed on: a Release that stands still still takes unready versions out of its route.
pub fn route_policy(release: &Release, versions: Vec<PolicyVersion>) -> Option<Value> {
    let strategy = match release.strategy {
        Strategy::None => return None,
        Strategy::BlueGreen => RoutingStrategy::BlueGreen,
        Strategy::Canary => RoutingStrategy::Canary,
        Strategy::Mirror => RoutingStrategy::Mirror,
    };
    let mut route = RouteTarget::default();
    match release.environment {
        Environment::Deployment => return None,
        Environment::DeploymentGtw => route.http_route = Some(http_route(release)),
        Environment::DeploymentIstio => route.virtual_service = Some(virtual_service(release)),
    }
    let spec = RoutePolicySpec {
        strategy,
        versions,
        route,
        suspend: false,
    };
    let metadata = application_metadata(release, &release.name);
    Some(object(Kind::RoutePolicy, &metadata, Some(json!(spec))))
}

/// What the policy says of a version of the Release.
pub fn policy_entry(release: &Release, version: &Version) -> PolicyVersion {
    let index = release
        .versions
        .iter()
        .position(|other| other.name == version.name)
        .unwrap_or_default();
    let has_weight = weight_config_needed(release, index);
    let candidate = index > 0;
    let resource = |kind: Kind| ResourceRef {
        api_version: kind.api_version().to_owned(),
        kind: kind.kind().to_owned(),
        name: version.name.clone(),
    };
    PolicyVersion {
        name: version.name.clone(),
        resources: vec![resource(Kind::Service), resource(Kind::Deployment)],
        backend: Backend {
            name: version.name.clone(),
            port: backend_port(version),
        },
        weight: has_weight.then_some(version.weight),
        weight_config_map: has_weight.then(|| names::weight_config(&version.name)),
        matches: match release.strategy {
            Strategy::Canary if candidate => version.matches.clone(),
            _ => Vec::new(),
        },
        serves_for: None,
    }
}

fn virtual_service(release: &Release) -> VirtualServiceTarget {
    let gateway = release
        .gateway
        .as_ref()
        .map(|GatewayRef { namespace, name }| match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.clone(),
        });
    VirtualServiceTarget {
        name: Some(release.application.clone()),
        hosts: qualified_hosts(release),
        gateways: gateway.into_iter().chain([MESH.to_owned()]).collect(),
    }
}

/// The Service as a parent makes it a route of the mesh (GAMMA), which looks at no hostname (GEP-1426); the hostnames
/// are for the Gateway, whose listeners serve other applications too.
fn http_route(release: &Release) -> HttpRouteTarget {
    let service = ParentRef {
        group: Some(String::new()),
        kind: Some(gateway::KIND_SERVICE.to_owned()),
        name: release.application.clone(),
        port: Some(release.port),
        ..ParentRef::default()
    };
    let gateway = release
        .gateway
        .as_ref()
        .map(|GatewayRef { namespace, name }| ParentRef {
            group: Some(gateway::GROUP.to_owned()),
            kind: Some(gateway::KIND_GATEWAY.to_owned()),
            namespace: namespace.clone(),
            name: name.clone(),
            ..ParentRef::default()
        });
    HttpRouteTarget {
        name: Some(release.application.clone()),
        hostnames: std::iter::once(release.application.clone())
            .chain(qualified_hosts(release))
            .collect(),
        parent_refs: std::iter::once(service).chain(gateway).collect(),
        filters: Vec::new(),
    }
}

/// The application's Service as clients of other namespaces call it.
fn qualified_hosts(release: &Release) -> Vec<String> {
    let host = format!("{}.{}", release.application, release.namespace);
    vec![host.clone(), format!("{host}.svc"), format!("{host}.{CLUSTER_DOMAIN}")]
}
