//! The Service that clients of the application call.

use serde_json::{Value, json};

use super::application_metadata;
use super::deployment::HTTP;
use crate::api::release::Environment;
use crate::model::kind::Kind;
use crate::model::release::Release;
use crate::plan::metadata::object;

/// What the application's name stands for with Istio: clients outside of the mesh come in through its gateway, those
/// inside are routed by their own sidecars.
const ISTIO_INGRESS: &str = "istio-ingressgateway.istio-system.svc.cluster.local";

/// The Service, where the environment needs one.
pub fn application_service(release: &Release) -> Option<Value> {
    let spec = match release.environment {
        Environment::Deployment => return None,
        Environment::DeploymentIstio => json!({ "type": "ExternalName", "externalName": ISTIO_INGRESS }),
        // It selects nothing on purpose: the route alone decides who answers (GEP-1426, "Service without selectors").
        Environment::DeploymentGtw => json!({
            "ports": [{ "name": HTTP, "port": release.port, "protocol": "TCP", "appProtocol": HTTP }],
        }),
    };
    Some(object(
        Kind::Service,
        &application_metadata(release, &release.application),
        Some(spec),
    ))
}
