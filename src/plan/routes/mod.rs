//! Routes: a mesh's own object from the rules that hold for any mesh.

mod http_route;
mod virtual_service;

use serde_json::{Value, json};

use super::metadata::{Owner, Users, metadata, object};
use crate::model::kind::Kind;
use crate::model::policy::{Intent, Policy, Target};

/// Response header that says which version answered; its value is the name of the version's Service.
const APP_VERSION: &str = "app-version";

/// Label of a route: which tool keeps it
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#app-kubernetes-io-managed-by>).
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "iter8");

/// The whole route that the policy's target asks for.
pub fn render(policy: &Policy, intent: &Intent) -> Value {
    let (kind, spec) = match &policy.route {
        Target::HttpRoute(_, target) => (Kind::HttpRoute, json!(http_route::spec(target, intent))),
        Target::VirtualService(_, target) => (
            Kind::VirtualService,
            json!(virtual_service::spec(&policy.namespace, target, intent)),
        ),
    };
    let owner = Owner {
        kind: Kind::RoutePolicy,
        name: &policy.name,
        namespace: &policy.namespace,
        uid: policy.uid,
    };
    let metadata = metadata(owner, policy.route.name(), Users::default(), &[MANAGED_BY], &[]);
    object(kind, &metadata, Some(spec))
}
