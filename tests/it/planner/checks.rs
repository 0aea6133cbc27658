//! What must hold after every single write.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use iter8::api::release::{PromotionStep, Strategy};
use iter8::api::status::Tristate;
use iter8::model::kind::Kind;
use iter8::model::observed::{Body, Deployment, ReplicasOwner, StoredRoute, WeightConfig};
use iter8::model::policy::Policy;
use iter8::plan::release::{Observed, Plan, PolicySeen};
use iter8::plan::{Desired, Removal, conditions, objects};

use super::operator::{readiness, valid_policy};
use super::world::World;

/// What happened on the route.
#[derive(Debug, Default)]
pub struct History {
    /// When a route that named the Service as one that answers was replaced by one that does not.
    left: BTreeMap<String, DateTime<Utc>>,
}

fn ready(world: &World, version: &str) -> Tristate {
    readiness(world, version).ready
}

/// Services that answer, by place: whether it is the catch-all.
fn answers(route: &StoredRoute) -> impl Iterator<Item = (bool, &str)> {
    let rules = route.rules.iter();
    rules.flat_map(|rule| {
        rule.backends
            .iter()
            .filter(|one| one.weight > 0)
            .map(|one| (!rule.matched, &*one.service))
    })
}

fn copies(route: &StoredRoute) -> impl Iterator<Item = &str> {
    route
        .rules
        .iter()
        .flat_map(|rule| rule.mirrors.iter().map(|one| &*one.service))
}

fn names(route: &StoredRoute, service: &str) -> bool {
    answers(route)
        .map(|(_, name)| name)
        .chain(copies(route))
        .any(|name| name == service)
}

/// A route was written in place of another.
pub fn route(world: &mut World, _policy: &Policy, before: Option<&StoredRoute>) {
    let Some(now) = world.route().cloned() else { return };
    let was = |place: (bool, &str)| before.is_some_and(|before| answers(before).any(|one| one == place));
    for place in answers(&now).filter(|place| !was(*place)) {
        if ready(world, place.1) != Tristate::True {
            world.fail(&format!("{} is named and was not ready", place.1));
        }
    }
    for copy in copies(&now) {
        let was = before.is_some_and(|before| copies(before).any(|one| one == copy));
        if !was && ready(world, copy) != Tristate::True {
            world.fail(&format!("{copy} gets copies and was not ready"));
        }
    }
    for (service, port) in now
        .rules
        .iter()
        .flat_map(|rule| rule.backends.iter().chain(&rule.mirrors))
        .map(|one| (&one.service, one.port))
    {
        let service = (Kind::Service, service.to_string());
        let Some(live) = world.stored.get(&service) else {
            world.fail(&format!("{service:?} is named and does not exist"))
        };
        if let Body::Service(stored) = &live.object.body
            && stored.ports.iter().all(|one| one.port != port)
        {
            world.fail(&format!("port {port} of {service:?} is named and does not exist"));
        }
    }
    let serves = |world: &World, route: &StoredRoute, least: Tristate| {
        answers(route)
            .any(|(catch_all, name)| catch_all && (ready(world, name) == Tristate::True || ready(world, name) == least))
    };
    let Some(before) = before else { return };
    if serves(world, before, Tristate::True) && !serves(world, &now, Tristate::Unknown) {
        world.fail("nobody who answers is ready, and somebody was before this route");
    }
    for service in answers(before)
        .map(|(_, name)| name)
        .filter(|name| answers(&now).all(|(_, one)| one != *name))
    {
        let time = world.now;
        world.history.left.insert(service.to_owned(), time);
    }
    for (_, service) in answers(&now) {
        world.history.left.remove(service);
    }
}

/// An object is about to be deleted.
pub fn before_delete(world: &World, removal: &Removal) {
    if !matches!(removal.kind, Kind::Deployment | Kind::Service) {
        return;
    }
    if world.routes().any(|route| names(route, &removal.name)) {
        world.fail(&format!("{} is deleted while a route names it", removal.name));
    }
    if world.release.strategy != Strategy::None && is_draining(world, &removal.name) {
        world.fail(&format!(
            "{} is deleted while requests to it are under way",
            removal.name
        ));
    }
    let settled = world.policy.as_ref().is_some_and(PolicySeen::is_settled);
    if world.release.strategy != Strategy::None && !settled {
        world.fail(&format!("{} is deleted before the route is accepted", removal.name));
    }
}

fn is_draining(world: &World, service: &str) -> bool {
    let drain = Duration::seconds(world.release.drain_seconds.into());
    world
        .history
        .left
        .get(service)
        .is_some_and(|left| *left + drain > world.now)
}

/// Whether a version that the edit removes or changes runs already what the primary is to run, and could stand in for it.
fn could_stand_in(world: &World, primary: &str, desired: &Desired) -> bool {
    let (Some(policy), Some(old)) = (&world.policy, seen(world, primary)) else {
        return false;
    };
    let built = |name: &str| world.release.versions.iter().find(|version| version.name == name);
    let Some(version) = built(primary) else { return false };
    let images = objects::images(version);
    let mut others = policy.spec.versions.iter().filter(|entry| entry.name != primary);
    others.any(|entry| {
        let Some(source) = seen(world, &entry.name) else {
            return false;
        };
        let runs_it =
            template(desired) == Some(&*source.template) || *old.images != *images && *source.images == *images;
        let goes = built(&entry.name).is_none_or(|version| *objects::template_digest(version) != *source.template);
        let scaled = [&old, &source]
            .iter()
            .any(|one| matches!(one.replicas_owner, ReplicasOwner::Scale | ReplicasOwner::Other));
        runs_it && goes && !scaled && source.available >= old.replicas && ready(world, &entry.name) == Tristate::True
    })
}

/// Whether another version is the primary so far, and could go on being it.
fn could_go_on(world: &World, primary: &str) -> bool {
    let first = world.policy.as_ref().and_then(|policy| policy.spec.versions.first());
    let Some(first) = first.filter(|first| first.name != primary) else {
        return false;
    };
    let (Some(old), Some(new)) = (seen(world, &first.name), seen(world, primary)) else {
        return false;
    };
    let scaled = [&old, &new]
        .iter()
        .any(|one| matches!(one.replicas_owner, ReplicasOwner::Scale | ReplicasOwner::Other));
    !scaled && old.available >= new.replicas && ready(world, &first.name) == Tristate::True
}

fn seen(world: &World, name: &str) -> Option<Deployment> {
    match &world.seen.get(&(Kind::Deployment, name.to_owned()))?.body {
        Body::Deployment(deployment) => Some((**deployment).clone()),
        _ => None,
    }
}

fn template(desired: &Desired) -> Option<&str> {
    desired.object["metadata"]["annotations"]["iter8.tools/template"].as_str()
}

/// An object is about to be applied: templates change only where nobody is harmed.
pub fn before_apply(world: &World, plan: &Plan, desired: &Desired) {
    if desired.kind != Kind::Deployment {
        return;
    }
    let Some(live) = world.deployment(&desired.name) else {
        return;
    };
    check_replicas(world, desired, live);
    if live.replicas == 0 {
        // A user took its pods away: nobody is there to be harmed.
        return;
    }
    let in_place = step(world) == Some(PromotionStep::InPlace);
    let first = world
        .release
        .versions
        .first()
        .is_some_and(|one| one.name == desired.name);
    // Strategy none ends the routing, and promises nothing for its end. What is to have no pods does not roll: see above.
    let emptied = desired.object["spec"]["replicas"] == 0;
    if first
        && !in_place
        && !emptied
        && world.release.strategy != Strategy::None
        && template(desired) != Some(&*live.template)
        && world
            .routes()
            .any(|route| answers(route).any(|(_, name)| name == desired.name))
        && (could_stand_in(world, &desired.name, desired) || could_go_on(world, &desired.name))
    {
        world.fail(&format!("{} rolls while it serves, and another could", desired.name));
    }
    let Some(decision) = &plan.promotion else {
        return;
    };
    let changes = desired.object["metadata"]["annotations"]["iter8.tools/template"].as_str() != Some(&*live.template);
    let primary = world
        .release
        .versions
        .first()
        .is_some_and(|one| one.name == desired.name);
    if !changes || !primary || !decision.stands_in || ready(world, &decision.source) == Tristate::False {
        return;
    }
    if world
        .routes()
        .any(|route| answers(route).any(|(_, name)| name == desired.name))
    {
        world.fail(&format!(
            "{} rolls while it serves, and {} could",
            desired.name, decision.source
        ));
    }
    if is_draining(world, &desired.name) {
        world.fail(&format!("{} rolls while requests to it are under way", desired.name));
    }
}

/// Nobody is sent to a version any more when its pods go, if another can serve.
fn check_replicas(world: &World, desired: &Desired, live: &Deployment) {
    if live.replicas == 0 || desired.object["spec"]["replicas"] != 0 || world.release.strategy == Strategy::None {
        return;
    }
    let index = world.release.versions.iter().position(|one| one.name == desired.name);
    let mut others = world.release.versions.iter().enumerate();
    let could = others.any(|(other, version)| {
        let takes = Some(other) != index && (other == 0 || world.release.strategy == Strategy::BlueGreen);
        let stays = version.replicas != Some(0);
        takes && stays && ready(world, &version.name) == Tristate::True
    });
    if could && world.routes().any(|route| names(route, &desired.name)) {
        world.fail(&format!(
            "{} is emptied while it serves, and another could",
            desired.name
        ));
    }
    if could && is_draining(world, &desired.name) {
        world.fail(&format!(
            "{} is emptied while requests to it are under way",
            desired.name
        ));
    }
}

/// A plan was made: it does not let go of a version that the route has in another's place.
pub fn plan(world: &World, observed: &Observed, plan: &Plan) {
    let Some(policy) = &observed.policy else { return };
    let source = policy.spec.versions.iter().find(|entry| entry.serves_for.is_some());
    let Some(source) = source.filter(|_| !world.release.suspend && world.release.strategy != Strategy::None) else {
        return;
    };
    for desired in plan.objects.deployments.iter().filter(|one| one.name == source.name) {
        let live = world.deployment(&desired.name);
        let template = desired.object["metadata"]["annotations"]["iter8.tools/template"].as_str();
        let promoted = world
            .release
            .versions
            .first()
            .is_some_and(|first| Some(&first.name) == source.serves_for.as_ref());
        if promoted && live.is_some_and(|live| template != Some(&*live.template)) {
            world.fail(&format!("{} rolls while it stands in for the primary", desired.name));
        }
    }
}

/// The policy was written: the API server takes it.
pub fn policy(world: &World) {
    let Some(policy) = valid_policy(world) else { return };
    if policy.versions.len() > 16 {
        world.fail("a policy has at most 16 versions");
    }
}

/// A status was written: it tells the truth.
pub fn status(world: &World) {
    let Some(status) = &world.status else { return };
    let ready = conditions::find(&status.conditions, conditions::READY);
    if ready.is_none_or(|one| one.status != Tristate::True) || world.release.strategy == Strategy::None {
        return;
    }
    if !world.policy.as_ref().is_some_and(PolicySeen::is_settled) {
        world.fail("Ready=True before the route follows the policy");
    }
    for version in &world.release.versions {
        let template = objects::template_digest(version);
        if world
            .deployment(&version.name)
            .is_none_or(|live| *live.template != *template)
            && !world.release.suspend
        {
            world.fail(&format!(
                "Ready=True while {} does not run what the spec asks for",
                version.name
            ));
        }
    }
}

/// Nothing more happens, and every version can work: the cluster is what the spec asks for.
pub fn end(world: &World) {
    let release = &world.release;
    let Some(status) = &world.status else {
        world.fail("no status")
    };
    let ready = conditions::find(&status.conditions, conditions::READY);
    if ready.is_none_or(|one| one.status != Tristate::True) {
        world.fail("it does not become ready");
    }
    if status.promotion.is_some()
        || status.versions.len() != release.versions.len()
        || status.observed_generation != release.generation
    {
        world.fail("its status is not that of a Release at rest");
    }
    let mut wanted = 0;
    for (index, version) in release.versions.iter().enumerate() {
        let Some(live) = world.deployment(&version.name) else {
            world.fail(&format!("{} does not exist", version.name))
        };
        if *live.template != *objects::template_digest(version) {
            world.fail(&format!("{} runs something else", version.name));
        }
        wanted += 2;
        if objects::weight_config_needed(release, index) {
            wanted += 1;
            check_weight(world, &version.name, version.weight);
        }
        let service = world
            .stored
            .get(&(Kind::Service, version.name.clone()))
            .map(|live| &live.object.body);
        if let Some(Body::Service(service)) = service
            && service.ports.len() != 1
        {
            world.fail(&format!("{} keeps an old port", version.name));
        }
    }
    wanted += 1 + usize::from(release.strategy != Strategy::None);
    let ours = world
        .stored
        .values()
        .filter(|live| live.object.meta.controller == Some(release.uid))
        .count();
    if ours != wanted {
        world.fail(&format!(
            "{ours} objects where {wanted} are asked for: {:?}",
            world.stored.keys().collect::<Vec<_>>()
        ));
    }
    check_route(world);
}

fn check_weight(world: &World, version: &str, weight: i32) {
    let config = world
        .stored
        .get(&(Kind::ConfigMap, iter8::model::names::weight_config(version)));
    let Some(Body::ConfigMap(WeightConfig { spec_weight, .. })) = config.map(|live| &live.object.body) else {
        world.fail(&format!("{version} has no weight"));
    };
    if spec_weight.as_deref() != Some(&weight.to_string()) {
        world.fail(&format!("{version} has another weight than the spec's"));
    }
}

fn check_route(world: &World) {
    let release = &world.release;
    if release.strategy == Strategy::None {
        if world.route().is_some() {
            world.fail("a route without strategy");
        }
        return;
    }
    let want: Vec<_> = release
        .versions
        .iter()
        .map(|version| objects::policy_entry(release, version))
        .collect();
    if world.policy.as_ref().is_none_or(|policy| policy.spec.versions != want) {
        world.fail("the policy is not what the spec asks for");
    }
    let Some(route) = world.route() else {
        world.fail("no route")
    };
    if world.routes().count() != 1 {
        world.fail("a route of another environment is left");
    }
    let rules = match release.strategy {
        Strategy::Canary => release.versions.len(),
        _ => 1,
    };
    if route.rules.len() != rules {
        world.fail("the route has other rules than the spec asks for");
    }
    let primary = release.versions.first().map_or("", |one| &one.name);
    if release.strategy != Strategy::BlueGreen && !answers(route).any(|one| one == (true, primary)) {
        world.fail("the primary does not answer");
    }
}

/// Which step a promotion is in, by status.
pub fn step(world: &World) -> Option<PromotionStep> {
    Some(world.status.as_ref()?.promotion.as_ref()?.step)
}
