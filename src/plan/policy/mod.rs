//! `RoutePolicy`: from versions, their readiness and weights to the one route.

mod acceptance;
mod bridge;
pub mod intent;
pub mod status;
pub mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Duration;
use serde_json::Value;

use super::readiness::Readiness;
use super::{Desired, Failure, Precondition, Removal};
use crate::api::RoutePolicyStatus;
use crate::model::kind::Kind;
use crate::model::observed::{Body, Meta, Object, StoredRoute, Uid, WeightConfig};
use crate::model::policy::{Intent, Policy, Target};
use crate::model::reason;

/// What the cluster holds of a policy's concern.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Readiness of each version, in the policy's order.
    pub readiness: Vec<Readiness>,
    /// The weight `ConfigMap`s that the policy names and that exist.
    pub weights: BTreeMap<String, WeightConfig>,
    /// Whether it cannot be told which weight `ConfigMap`s there are: those in force stay.
    pub weights_unknown: bool,
    /// The object that has the route's kind and name, whoever made it.
    pub route: Option<Arc<Object<Body>>>,
    /// For how long the stored route has been as it is, to the second; `None`: not known.
    pub route_age: Option<Duration>,
    /// For how long the backend of each version has been there, to the second, in the policy's order; `None`: not known.
    pub backend_ages: Vec<Option<Duration>>,
    /// What the policy owns besides the route that it asks for now: users may make it the owner of anything.
    pub stale: Vec<(Kind, String, Meta)>,
    /// Another policy that has a better claim on a route that nobody owns, or that does not exist yet.
    pub rival: Option<String>,
    /// Why the route's kind cannot be written at all.
    pub kind_failure: Option<Failure>,
    /// Kinds of resources that are not installed or not to be seen.
    pub resource_failures: Vec<Failure>,
    /// The status as it is stored.
    pub status: Option<RoutePolicyStatus>,
}

impl Observed {
    /// The stored route, if it is this policy's.
    pub fn own_route(&self, uid: Uid) -> Option<(&Meta, &StoredRoute)> {
        let object = self.route.as_deref()?;
        match &object.body {
            Body::Route(route) if is_of(&object.meta, uid) => Some((&object.meta, route)),
            _ => None,
        }
    }
}

/// What is to be done for a policy.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The weight of each version in force, in the policy's order.
    pub weights: Vec<weights::InForce>,
    /// The route to write, unless it is in sync already. `None`: the stored one stays as it is.
    pub route: Option<Desired>,
    /// The rules that the route should have; `None` where no version can answer.
    pub intent: Option<Intent>,
    /// The route is on its way to the intent: when to look again.
    pub on_its_way: Option<Duration>,
    /// Stale routes to delete.
    pub removals: Vec<Removal>,
    /// What is in the way.
    pub failures: Vec<Failure>,
}

/// Renders an intent as the object of the target's mesh.
pub type Render = fn(&Policy, &Intent) -> Value;

/// Decides what the route should be.
pub fn plan(policy: &Policy, observed: &Observed, render: Render) -> Plan {
    let weights = weights::in_force(policy, observed);
    let stored = observed.own_route(policy.uid);
    let intent = intent::of(policy, &observed.readiness, &weights, stored.map(|(_, route)| route));
    let mut plan = Plan {
        weights,
        intent,
        ..Plan::default()
    };
    plan.failures.extend(observed.kind_failure.clone());
    plan.failures.extend(observed.resource_failures.iter().cloned());
    if observed.kind_failure.is_some() || policy.suspend {
        return plan;
    }
    let Some(intent) = &plan.intent else { return plan };
    let bridge = bridge::towards(policy, observed, intent);
    plan.on_its_way = bridge.as_ref().map(|bridge| bridge.wait);
    let intent = bridge.as_ref().map_or(intent, |bridge| &bridge.intent);
    match precondition(policy, observed) {
        Ok(precondition) => {
            plan.route = Some(Desired {
                kind: target_kind(&policy.route),
                name: policy.route.name().to_owned(),
                object: render(policy, intent),
                precondition,
                event: None,
            });
        }
        Err(failure) => plan.failures.push(failure),
    }
    plan.removals = removals(policy, observed);
    plan
}

/// The kind of route that a target asks for.
pub fn target_kind(target: &Target) -> Kind {
    match target {
        Target::HttpRoute(..) => Kind::HttpRoute,
        Target::VirtualService(..) => Kind::VirtualService,
    }
}

/// Whether a route is the policy's: it refers to it, or an earlier policy left it. Its name alone says whose it is then.
fn is_of(meta: &Meta, uid: Uid) -> bool {
    meta.controller == Some(uid) || meta.is_orphan()
}

/// A route is written only over the very object that the decision was made on, and only if it is ours.
fn precondition(policy: &Policy, observed: &Observed) -> Result<Precondition, Failure> {
    let (kind, name) = (target_kind(&policy.route), policy.route.name());
    if let Some(rival) = &observed.rival {
        let message = format!("RoutePolicy {rival} has the older claim on {kind} {name}");
        return Err(Failure::stalled(reason::NAME_CONFLICT, message));
    }
    let Some(object) = observed.route.as_deref() else {
        return Ok(Precondition::Absent);
    };
    let meta = &object.meta;
    if meta.deleting {
        let message = format!("{kind} {name} is being deleted; it is made anew when it is gone");
        return Err(Failure::passing(reason::DELETING, message));
    }
    if is_of(meta, policy.uid) {
        return Ok(Precondition::UidAndVersion(meta.uid, meta.resource_version));
    }
    Err(Failure::stalled(
        reason::NAME_CONFLICT,
        format!("{kind} {name} exists and is not this RoutePolicy's: delete it, or name another route"),
    ))
}

/// Stale routes go once the one that is asked for is there and accepted.
fn removals(policy: &Policy, observed: &Observed) -> Vec<Removal> {
    let settled = observed.own_route(policy.uid).is_some()
        && observed.status.as_ref().is_some_and(|status| {
            status::follows(status, policy.generation) && status::holds(status, super::conditions::ROUTED)
        });
    if !settled {
        return Vec::new();
    }
    let is_route = |kind: Kind| matches!(kind, Kind::VirtualService | Kind::HttpRoute);
    observed
        .stale
        .iter()
        .filter(|(kind, _, meta)| is_route(*kind) && !meta.deleting)
        .map(|(kind, name, meta)| Removal::new(*kind, name, meta))
        .collect()
}
