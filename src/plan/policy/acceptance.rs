//! Whether the stored route is accepted: of an `HTTPRoute` its parents say so (Gateway API, *RouteParentStatus*).

use super::target_kind;
use crate::api::RoutePolicyStatus;
use crate::api::route_policy::ParentRef;
use crate::model::kind::Kind;
use crate::model::observed::{Meta, ParentReport, StoredRoute};
use crate::model::policy::{Policy, Target};
use crate::model::reason;

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

/// The parents that the policy names, as their reports call them.
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
    ParentReport::key(kind, namespace, &parent.name, parent.section_name.as_deref())
}

/// Whether everybody who ever reported on the route accepts it as it is now.
pub(super) fn of(policy: &Policy, stored: Option<(&Meta, &StoredRoute)>, parents: &[String]) -> Acceptance {
    let Some((meta, route)) = stored else {
        return Acceptance::Pending("there is no route yet".to_owned());
    };
    if target_kind(&policy.route) == Kind::VirtualService {
        return Acceptance::Accepted(reason::ACCEPTED);
    }
    if parents.is_empty() {
        return Acceptance::Accepted(reason::NOT_REPORTED);
    }
    let judged = parents.iter().map(|parent| accepted_by(parent, meta, route));
    judged
        .into_iter()
        .find(|one| !matches!(one, Acceptance::Accepted(_)))
        .unwrap_or(Acceptance::Accepted(reason::ACCEPTED))
}

/// What one parent says; of a parent that is named with several ports, the worst.
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
        .map_or(Acceptance::Accepted(reason::ACCEPTED), |report| Acceptance::Refused {
            reason: report.reason.to_string(),
            message: format!("{parent} refuses the route: {}", report.message),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::route_policy::{HttpRouteTarget, RoutingStrategy};
    use crate::model::observed::Uid;

    fn listener(name: &str) -> ParentRef {
        ParentRef {
            name: "edge".to_owned(),
            section_name: Some(name.to_owned()),
            ..ParentRef::default()
        }
    }

    #[test]
    fn two_listeners_of_a_gateway_are_two_parents() {
        let target = HttpRouteTarget {
            parent_refs: vec![listener("http"), listener("https")],
            ..HttpRouteTarget::default()
        };
        let policy = Policy {
            name: "web".to_owned(),
            namespace: "shop".to_owned(),
            uid: Uid(1),
            generation: 1,
            strategy: RoutingStrategy::BlueGreen,
            versions: Vec::new(),
            route: Target::HttpRoute("web".to_owned(), target),
            suspend: false,
        };
        let report = |section: &str| ParentReport {
            parent: ParentReport::key("Gateway", "shop", "edge", Some(section)).into(),
            observed_generation: 1,
            accepted: true,
            ..ParentReport::default()
        };
        let meta = Meta {
            generation: 1,
            ..Meta::default()
        };
        let both = ["Gateway/shop/edge/http", "Gateway/shop/edge/https"].map(str::to_owned);
        let judged = |reports: &[ParentReport]| {
            let route = StoredRoute {
                parents: reports.into(),
                ..StoredRoute::default()
            };
            let old = RoutePolicyStatus::default();
            let known = known_parents(&policy, Some((&meta, &route)), &old);
            (known, of(&policy, Some((&meta, &route)), &both))
        };
        assert_eq!(
            judged(&[report("http"), report("https")]),
            (both.to_vec(), Acceptance::Accepted("Accepted"))
        );
        let (known, acceptance) = judged(&[report("http")]);
        assert_eq!(known, both[..1]);
        assert!(matches!(acceptance, Acceptance::Pending(_)), "{acceptance:?}");
    }
}
