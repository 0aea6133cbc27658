//! Whether the stored route is accepted: of an `HTTPRoute` its parents say so (Gateway API, *RouteParentStatus*).

use super::target_kind;
use crate::api::RoutePolicyStatus;
use crate::api::route_policy::ParentRef;
use crate::model::kind::Kind;
use crate::model::observed::{Meta, StoredRoute};
use crate::model::policy::{Policy, Target};

/// What the parents say of the route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// They accept it, for this reason.
    Accepted(&'static str),
    /// They have not said yet; who has not.
    Pending(String),
    /// One refuses it.
    Refused { reason: String, message: String },
}

/// The parents that the policy names and that have ever reported on the route.
pub(super) fn known_parents(
    policy: &Policy,
    stored: Option<(&Meta, &StoredRoute)>,
    old: &RoutePolicyStatus,
) -> Vec<String> {
    let mut parents: Vec<String> = old
        .route
        .iter()
        .flat_map(|route| route.parents.iter().cloned())
        .collect();
    parents.extend(
        stored
            .iter()
            .flat_map(|(_, route)| route.parents.iter().map(|report| report.parent.to_string())),
    );
    parents.sort();
    parents.dedup();
    let named = named_parents(policy);
    parents.retain(|parent| named.contains(parent));
    parents
}

/// The parents that the policy names, as [`ParentReport`](crate::model::observed::ParentReport) calls them.
pub(super) fn named_parents(policy: &Policy) -> Vec<String> {
    let Target::HttpRoute(_, target) = &policy.route else {
        return Vec::new();
    };
    let key = |parent| parent_key(policy, parent);
    target.parent_refs.iter().map(key).collect()
}

fn parent_key(policy: &Policy, parent: &ParentRef) -> String {
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    let namespace = parent.namespace.as_deref().unwrap_or(&policy.namespace);
    format!("{kind}/{namespace}/{}", parent.name)
}

/// Whether everybody who ever reported on the route accepts it as it is now.
pub(super) fn of(policy: &Policy, stored: Option<(&Meta, &StoredRoute)>, parents: &[String]) -> Acceptance {
    let Some((meta, route)) = stored else {
        return Acceptance::Pending("there is no route yet".to_owned());
    };
    if target_kind(&policy.route) == Kind::VirtualService {
        return Acceptance::Accepted("Accepted");
    }
    if parents.is_empty() {
        return Acceptance::Accepted("NotReported");
    }
    let judged = parents.iter().map(|parent| accepted_by(parent, meta, route));
    judged
        .into_iter()
        .find(|one| !matches!(one, Acceptance::Accepted(_)))
        .unwrap_or(Acceptance::Accepted("Accepted"))
}

/// What one parent says; of a parent that is named with several listeners, the worst.
fn accepted_by(parent: &str, meta: &Meta, route: &StoredRoute) -> Acceptance {
    let reports: Vec<_> = route
        .parents
        .iter()
        .filter(|report| *report.parent == *parent)
        .collect();
    if reports.is_empty() {
        return Acceptance::Pending(format!("{parent} has reported on the route before and does no more"));
    }
    if reports
        .iter()
        .any(|report| report.observed_generation < meta.generation)
    {
        return Acceptance::Pending(format!("{parent} has not yet reported on the route as it is now"));
    }
    reports
        .into_iter()
        .find(|report| !report.accepted)
        .map_or(Acceptance::Accepted("Accepted"), |report| Acceptance::Refused {
            reason: report.reason.to_string(),
            message: format!("{parent} refuses the route: {}", report.message),
        })
}
