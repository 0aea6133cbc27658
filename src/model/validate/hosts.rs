//! Which hosts a policy may route.
//!
//! A route for a host takes over its requests, in a mesh those of every client. So a policy may route the Services of
//! its own namespace, and hosts outside the cluster through a gateway; nobody takes over another namespace's Service.

use crate::api::route_policy::{HttpRouteTarget, VirtualServiceTarget};
use crate::model::{FieldError, Refusal};

const CLUSTER: &str = ".svc.cluster.local";

/// Where a route's requests come from.
#[derive(Clone, Copy, Debug)]
struct Sources {
    /// Through a gateway.
    gateway: bool,
    /// From any workload of the mesh.
    mesh: bool,
}

pub(super) fn http_route(target: &HttpRouteTarget, namespace: &str) -> Vec<FieldError> {
    let kinds = || {
        target
            .parent_refs
            .iter()
            .map(|parent| parent.kind.as_deref().unwrap_or("Gateway"))
    };
    let from = Sources {
        gateway: kinds().any(|kind| kind == "Gateway"),
        mesh: kinds().any(|kind| kind != "Gateway"),
    };
    check(
        "spec.route.httpRoute.hostnames",
        &target.hostnames,
        namespace,
        from,
        "a parentRef of kind Gateway",
    )
}

pub(super) fn virtual_service(target: &VirtualServiceTarget, namespace: &str) -> Vec<FieldError> {
    // Without gateways a VirtualService is bound to the mesh.
    let mesh = target.gateways.is_empty() || target.gateways.iter().any(|gateway| gateway == "mesh");
    let from = Sources {
        gateway: target.gateways.iter().any(|gateway| gateway != "mesh"),
        mesh,
    };
    check(
        "spec.route.virtualService.hosts",
        &target.hosts,
        namespace,
        from,
        "a gateway other than mesh",
    )
}

fn check(at: &str, hosts: &[String], namespace: &str, from: Sources, gateway: &str) -> Vec<FieldError> {
    // The host * has a sentence of its own.
    let refused = hosts
        .iter()
        .enumerate()
        .filter(|(_, host)| *host != "*" && !allowed(host, namespace, from));
    refused
        .map(|(index, host)| FieldError {
            path: format!("{at}[{index}]"),
            message: format!(
                "host {host} is not this policy's to route: name a Service of namespace {namespace}, as in \
                 httpbin.{namespace}.svc.cluster.local, or a host outside the cluster together with {gateway}"
            ),
            reason: Refusal::HostNotAllowed,
        })
        .collect()
}

fn allowed(host: &str, namespace: &str, from: Sources) -> bool {
    let plain = host.strip_suffix(CLUSTER).or_else(|| host.strip_suffix(".svc"));
    let in_cluster = plain.is_some();
    let labels: Vec<&str> = plain.unwrap_or(host).split('.').collect();
    match labels.as_slice() {
        ["*", ..] if in_cluster || "svc.cluster.local".ends_with(host.trim_start_matches("*.")) => false,
        [service, of] if *of == namespace => *service != "*",
        _ if in_cluster => false,
        // A short name is completed with the route's own namespace.
        [_] => true,
        // `<service>.<namespace>` of another namespace looks the same: no such host for the mesh.
        [_, _] => from.gateway && !from.mesh,
        _ => from.gateway,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESH: Sources = Sources {
        gateway: false,
        mesh: true,
    };
    const GATEWAY: Sources = Sources {
        gateway: true,
        mesh: false,
    };
    const BOTH: Sources = Sources {
        gateway: true,
        mesh: true,
    };

    #[test]
    fn services_of_the_own_namespace_are_allowed_from_anywhere() {
        for host in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
            for from in [MESH, GATEWAY, BOTH] {
                assert!(allowed(host, "shop", from), "{host} {from:?}");
            }
        }
    }

    #[test]
    fn services_of_another_namespace_are_refused_even_with_a_gateway() {
        for host in [
            "web.other.svc",
            "web.other.svc.cluster.local",
            "a.web.shop.svc",
            "web.svc",
        ] {
            for from in [MESH, GATEWAY, BOTH] {
                assert!(!allowed(host, "shop", from), "{host} {from:?}");
            }
        }
    }

    #[test]
    fn wildcards_that_cover_services_are_refused() {
        for host in [
            "*.shop",
            "*.shop.svc",
            "*.svc",
            "*.local",
            "*.cluster.local",
            "*.svc.cluster.local",
        ] {
            for from in [MESH, GATEWAY, BOTH] {
                assert!(!allowed(host, "shop", from), "{host} {from:?}");
            }
        }
    }

    #[test]
    fn hosts_outside_need_a_gateway() {
        for host in ["shop.example.com", "*.example.com"] {
            assert!(allowed(host, "shop", GATEWAY) && allowed(host, "shop", BOTH) && !allowed(host, "shop", MESH));
        }
    }

    #[test]
    fn a_host_that_may_be_another_namespaces_service_is_never_bound_to_the_mesh() {
        assert!(allowed("example.com", "shop", GATEWAY));
        assert!(!allowed("example.com", "shop", BOTH) && !allowed("web.other", "shop", MESH));
    }
}
