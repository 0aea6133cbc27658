//! The entries of the `RoutePolicy`: the versions of the spec, then those that leave, each until its requests have
//! gone to another.

use serde_json::Value;

use super::{Observed, Plan, PolicySeen, is_routed};
use crate::api::release::{PromotionStep, Strategy};
use crate::api::route_policy::{PolicyVersion, RoutePolicySpec, RoutingStrategy};
use crate::model::kind::Kind;
use crate::model::reason;
use crate::model::release::{Release, Version};
use crate::plan::{Desired, Failure, Precondition, objects};

/// Plans the `RoutePolicy`; tells whether it is already stored as it should be.
pub fn plan(release: &Release, observed: &Observed, plan: &mut Plan) -> bool {
    if !is_routed(release) {
        return true;
    }
    // Without its own Deployment or Service a version must not be routed to: the name is somebody else's.
    if plan
        .failures
        .iter()
        .any(|failure| failure.reason == reason::NAME_CONFLICT)
    {
        return false;
    }
    let Some(object) = objects::route_policy(release, entries(release, observed, plan)) else {
        return true;
    };
    let unchanged = observed.policy.as_ref().is_some_and(|policy| is_same(policy, &object));
    match precondition(release, observed) {
        Ok(precondition) => {
            plan.objects.policy = Some(Desired {
                kind: Kind::RoutePolicy,
                name: release.name.clone(),
                object,
                precondition,
                event: None,
            });
        }
        Err(failure) => plan.failures.push(failure),
    }
    unchanged
}

/// The policy's strategy for the Release's.
fn routing(release: &Release) -> Option<RoutingStrategy> {
    match release.strategy {
        Strategy::None => None,
        Strategy::BlueGreen => Some(RoutingStrategy::BlueGreen),
        Strategy::Canary => Some(RoutingStrategy::Canary),
        Strategy::Mirror => Some(RoutingStrategy::Mirror),
    }
}

fn precondition(release: &Release, observed: &Observed) -> Result<Precondition, Failure> {
    super::workloads::precondition(release, observed, Kind::RoutePolicy, &release.name, false)
}

fn is_same(policy: &PolicySeen, object: &Value) -> bool {
    let spec = object.get("spec").cloned().unwrap_or_default();
    serde_json::from_value::<RoutePolicySpec>(spec).is_ok_and(|spec| spec == policy.spec)
}

fn entries(release: &Release, observed: &Observed, plan: &Plan) -> Vec<PolicyVersion> {
    let mut entries: Vec<PolicyVersion> = Vec::with_capacity(release.versions.len() + 1);
    let same_form = observed
        .policy
        .as_ref()
        .is_some_and(|policy| routing(release) == Some(policy.spec.strategy));
    let scaled = plan
        .promotion
        .as_ref()
        .filter(|decision| decision.step == PromotionStep::Scale);
    let first = observed.policy.as_ref().and_then(|policy| policy.spec.versions.first());
    let staying = release.versions.iter();
    for version in staying.filter(|version| !plan.emptying.contains(&version.name)) {
        let was_first = scaled.is_none() && first.is_some_and(|first| first.name == version.name);
        let mut entry = of_spec(release, observed, plan, version, same_form && !was_first);
        entry.serves_for = stands_in_for(release, plan, &version.name);
        entries.push(entry);
    }
    let listed = observed.policy.iter().flat_map(|policy| &policy.spec.versions);
    for entry in listed.filter(|entry| release.versions.iter().all(|version| version.name != entry.name)) {
        let serves_for = stands_in_for(release, plan, &entry.name);
        // An entry of another strategy would mean something else in this one. The stored route goes on naming the
        // version for as long as nobody can take its place.
        if (same_form || serves_for.is_some()) && stays(release, observed, plan, entry) {
            entries.push(PolicyVersion {
                serves_for,
                ..entry.clone()
            });
        }
    }
    // Before the switch the primary is who it was.
    if let (Some(decision), Some(first)) = (scaled, first)
        && first.name == decision.source
        && let Some(index) = entries.iter().position(|entry| entry.name == first.name)
    {
        let entry = entries.remove(index);
        entries.insert(0, entry);
    }
    // The versions left out while they are emptied may be all that have a weight: the primary gets every request, as it
    // does when they are gone, and the API server takes no policy that says nothing of who does.
    if entries.iter().all(|entry| entry.weight == Some(0))
        && let Some(primary) = entries.first_mut()
    {
        primary.weight = Some(1);
    }
    entries
}

/// The port of a Service as it is that requests are sent to.
fn live_port(observed: &Observed, name: &str) -> Option<i32> {
    let ports = &observed.service(name)?.ports;
    let main = ports.iter().find(|port| &*port.name == objects::HTTP).or(ports.first());
    main.map(|port| port.port)
}

/// The entry of a version of the spec. While its objects are held it is as it was; `same`: its matches too, which a
/// primary of before had none of, and an entry of another strategy others.
fn of_spec(release: &Release, observed: &Observed, plan: &Plan, version: &Version, same: bool) -> PolicyVersion {
    let mut entry = objects::policy_entry(release, version);
    let policy = observed.policy.as_ref();
    match policy.and_then(|policy| policy.entry(&version.name)) {
        _ if !plan.holds(&version.name) => {}
        Some(held) => {
            entry.backend.clone_from(&held.backend);
            if same {
                entry.matches.clone_from(&held.matches);
            }
        }
        // It left before, and comes back with another port than its Service has.
        None => entry.backend.port = live_port(observed, &version.name).unwrap_or(entry.backend.port),
    }
    if let Some(port) = plan.held_ports.get(&version.name) {
        entry.backend.port = *port;
    }
    entry
}

fn stands_in_for(release: &Release, plan: &Plan, name: &str) -> Option<String> {
    let decision = plan
        .promotion
        .as_ref()
        .filter(|decision| decision.stands_in && decision.source == name)?;
    release
        .versions
        .first()
        .map(|primary| primary.name.clone())
        .filter(|primary| *primary != decision.source)
}

/// Whether a version that is no longer in the spec keeps its entry.
fn stays(release: &Release, observed: &Observed, plan: &Plan, entry: &PolicyVersion) -> bool {
    if let Some(decision) = plan.promotion.as_ref().filter(|decision| decision.source == entry.name) {
        return decision.step != PromotionStep::Return;
    }
    observed.is_routed(&entry.backend.name) && !is_replaced(release, observed, plan)
}

/// Whether somebody ready takes over the requests of a version that leaves.
fn is_replaced(release: &Release, observed: &Observed, plan: &Plan) -> bool {
    let stand_in = plan.promotion.as_ref().filter(|decision| decision.stands_in);
    if stand_in.is_some_and(|decision| observed.is_ready(&decision.source)) {
        return true;
    }
    let mut takers = release
        .versions
        .iter()
        .take(if release.strategy == Strategy::BlueGreen {
            usize::MAX
        } else {
            1
        });
    takers.any(|version| observed.is_ready(&version.name))
}
