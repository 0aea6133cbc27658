//! The two reconcilers without their I/O: the same steps in the same order, with a crash wherever one is asked for.

use chrono::Duration;
use iter8::api::RoutePolicyStatus;
use iter8::model::kind::{Kind, KindRef};
use iter8::model::names;
use iter8::model::observed::{Body, StoredRoute};
use iter8::model::policy::Policy;
use iter8::model::validate::{self, ObjectInfo};
use iter8::plan::readiness::{self, Readiness, Seen};
use iter8::plan::{Event, Failure, Removal, policy, release, routes};

use super::checks;
use super::world::{NAME, NAMESPACE, Refused, World};

/// Where a reconcile ends too early, if it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Crash {
    /// Number of writes that are carried out before it.
    pub after: Option<u8>,
    /// The status is not written.
    pub without_status: bool,
}

/// What a reconcile came to.
#[derive(Debug, Default)]
pub struct Came {
    /// Whether anything was written: an object, a status, an Event.
    pub wrote: bool,
    /// When it wants to be run again.
    pub again: Option<Duration>,
}

impl Crash {
    fn strikes(&mut self) -> bool {
        match &mut self.after {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// One reconcile of the Release.
pub fn release(world: &mut World, crash: Crash) -> Came {
    world.wakeups.release.begin();
    let came = reconcile_release(world, crash);
    world.wakeups.release.run_again(world.now, came.again);
    came
}

fn reconcile_release(world: &mut World, crash: Crash) -> Came {
    let observed = observe_release(world);
    let plan = release::plan(&world.release, &observed, world.now);
    if let Some(decision) = &plan.promotion {
        world.log(format!("Release: {:?} {}", decision.step, decision.message));
    }
    checks::plan(world, &observed, &plan);
    let mut came = Came {
        wrote: false,
        again: plan.requeue,
    };
    let Ok(failures) = write_release(world, &plan, crash, &mut came) else {
        // It is tried again.
        world.wakeups.release.wake();
        came.wrote = true;
        return came;
    };
    let observed = observe_release(world);
    let report = release::status::report(&world.release, &observed, &plan, &failures, world.now);
    came.wrote |= tell(world, "Release", &report.events);
    if let Some(status) = report.status.filter(|status| world.status.as_ref() != Some(status)) {
        came.wrote = true;
        if crash.without_status {
            world.log("Release: its status is lost");
            world.wakeups.restart();
            return came;
        }
        let promotion = status.promotion.as_ref().map(|one| one.step);
        world.log(format!(
            "Release: status {:?} {promotion:?}",
            status.conditions.first().map(|one| &one.reason)
        ));
        world.status = Some(status);
        world.wakeups.release.wake();
        checks::status(world);
    }
    if waits(&plan) {
        let now = release::plan(&world.release, &observed, world.now);
        if now.awaited() != plan.awaited() {
            came.again = Some(Duration::zero());
        }
    }
    came
}

/// Whether it waits for a name to become free.
fn waits_for_names(plan: &release::Plan) -> bool {
    let blocks = |failure: &Failure| matches!(failure.reason.as_str(), "NameConflict" | "Deleting");
    plan.failures.iter().any(blocks)
}

fn waits_for_routes(plan: &release::Plan) -> bool {
    !plan.leaving.is_empty() || plan.stale_route
}

fn waits(plan: &release::Plan) -> bool {
    waits_for_routes(plan) || waits_for_names(plan)
}

fn write_release(
    world: &mut World,
    plan: &release::Plan,
    mut crash: Crash,
    came: &mut Came,
) -> Result<Vec<Failure>, Refused> {
    let release::Objects {
        deployments,
        services,
        weight_configs,
        policy,
    } = &plan.objects;
    for desired in deployments.iter().chain(services).chain(weight_configs) {
        if crash.strikes() {
            return Err(crashed(world));
        }
        checks::before_apply(world, plan, desired);
        came.wrote |= world.apply(desired)?;
    }
    if let Some(scale) = &plan.scale {
        if crash.strikes() {
            return Err(crashed(world));
        }
        came.wrote |= world.scale(&scale.deployment, scale.uid, scale.resource_version, scale.replicas)?;
    }
    if let Some(policy) = policy {
        if crash.strikes() {
            return Err(crashed(world));
        }
        let wrote = world.apply(policy)?;
        came.wrote |= wrote;
        if wrote {
            checks::policy(world);
        }
    }
    remove(world, &plan.removals, &mut crash, came)?;
    world.wakeups.wait(waits_for_routes(plan), waits_for_names(plan));
    Ok(Vec::new())
}

fn crashed(world: &mut World) -> Refused {
    world.log("crash");
    world.wakeups.restart();
    Refused
}

fn remove(world: &mut World, removals: &[Removal], crash: &mut Crash, came: &mut Came) -> Result<(), Refused> {
    for removal in removals {
        if crash.strikes() {
            return Err(crashed(world));
        }
        checks::before_delete(world, removal);
        world.delete(removal)?;
        came.wrote = true;
    }
    Ok(())
}

fn tell(world: &mut World, who: &str, events: &[Event]) -> bool {
    for event in events {
        world.log(format!("{who}: Event {} {}", event.reason, event.note));
    }
    !events.is_empty()
}

/// What the operator has seen of a Release's concern.
pub fn observe_release(world: &World) -> release::Observed {
    let release = &world.release;
    let mut wanted = vec![
        (Kind::Service, release.application.clone()),
        (Kind::RoutePolicy, release.name.clone()),
    ];
    for version in &release.versions {
        wanted.push((Kind::Deployment, version.name.clone()));
        wanted.push((Kind::Service, version.name.clone()));
        wanted.push((Kind::ConfigMap, names::weight_config(&version.name)));
    }
    let children = world
        .seen
        .iter()
        .filter(|(_, object)| object.meta.is_of(release.uid, &release.name));
    wanted.extend(children.map(|(place, _)| place.clone()));
    let objects = wanted.into_iter().filter_map(|place| {
        let object = world.seen.get(&place)?.clone();
        Some((place, object))
    });
    let routes = world.seen.values().filter_map(|object| match &object.body {
        Body::Route(route) => Some((**route).clone()),
        _ => None,
    });
    release::Observed {
        policy: world.policy.clone(),
        objects: objects.collect(),
        routes: routes.collect(),
        status: world.status.clone(),
        ..release::Observed::default()
    }
}

/// The policy as it is stored, if there is one.
pub fn valid_policy(world: &World) -> Option<Policy> {
    let stored = world.policy.as_ref().filter(|policy| !policy.meta.deleting)?;
    let info = ObjectInfo {
        name: NAME.to_owned(),
        namespace: NAMESPACE.to_owned(),
        uid: stored.meta.uid,
        generation: stored.meta.generation,
    };
    match validate::policy(&info, &stored.spec) {
        Ok(policy) => Some(policy),
        Err(errors) => world.fail(&format!("the API server refuses the RoutePolicy: {errors:?}")),
    }
}

/// Readiness of a version by what the operator has seen.
pub fn readiness(world: &World, version: &str) -> Readiness {
    let seen = |kind| {
        let object = world.seen.get(&(kind, version.to_owned()));
        (
            KindRef::Known(kind),
            version,
            object.map_or(Seen::Absent, |object| Seen::Object(object)),
        )
    };
    readiness::of_version([seen(Kind::Service), seen(Kind::Deployment)])
}

/// What the operator has seen of the policy's concern.
pub fn observe_policy(world: &World, policy: &Policy) -> policy::Observed {
    let place = (policy::target_kind(&policy.route), policy.route.name().to_owned());
    let weights = policy.versions.iter().filter_map(|version| {
        let name = version.weight_config_map.clone()?;
        match &world.seen.get(&(Kind::ConfigMap, name.clone()))?.body {
            Body::ConfigMap(config) => Some((name, config.clone())),
            _ => None,
        }
    });
    let stale = world
        .seen
        .iter()
        .filter(|(at, object)| **at != place && object.meta.controller == Some(policy.uid));
    policy::Observed {
        readiness: policy
            .versions
            .iter()
            .map(|version| readiness(world, &version.name))
            .collect(),
        weights: weights.collect(),
        weights_unknown: false,
        route: world.seen.get(&place).cloned(),
        route_age: None,
        backend_ages: Vec::new(),
        stale: stale
            .map(|((kind, name), object)| (*kind, name.clone(), object.meta.clone()))
            .collect(),
        rival: None,
        kind_failure: None,
        resource_failures: Vec::new(),
        status: world.policy.as_ref().and_then(|policy| policy.status.clone()),
    }
}

/// One reconcile of the RoutePolicy.
pub fn policy(world: &mut World, crash: Crash) -> Came {
    world.wakeups.policy.begin();
    let came = reconcile_policy(world, crash);
    world.wakeups.policy.run_again(world.now, came.again);
    came
}

fn reconcile_policy(world: &mut World, mut crash: Crash) -> Came {
    let Some(policy) = valid_policy(world) else {
        return Came::default();
    };
    let observed = observe_policy(world, &policy);
    let plan = policy::plan(&policy, &observed, routes::render);
    let mut came = Came::default();
    let mut failures = plan.failures.clone();
    failures.clear();
    if let Some(desired) = &plan.route {
        if crash.strikes() {
            crashed(world);
            came.wrote = true;
            return came;
        }
        let before: Option<StoredRoute> = world.route().cloned();
        match world.apply(desired) {
            Ok(false) => {}
            Ok(true) => {
                came.wrote = true;
                checks::route(world, &policy, before.as_ref());
            }
            Err(Refused) => {
                came.wrote = true;
                world.wakeups.policy.wake();
                failures.push(Failure::passing("Conflict", ""));
            }
        }
    }
    if failures.is_empty() && remove(world, &plan.removals, &mut crash, &mut came).is_err() {
        world.wakeups.policy.wake();
        came.wrote = true;
        return came;
    }
    let observed = observe_policy(world, &policy);
    let report = policy::status::report(&policy, &observed, &plan, &failures, world.now);
    came.again = report.requeue;
    came.wrote |= tell(world, "RoutePolicy", &report.events);
    came.wrote |= set_status(world, report.status, crash);
    came
}

fn set_status(world: &mut World, status: RoutePolicyStatus, crash: Crash) -> bool {
    let Some(policy) = world
        .policy
        .as_mut()
        .filter(|policy| policy.status.as_ref() != Some(&status))
    else {
        return false;
    };
    if crash.without_status {
        world.log("RoutePolicy: its status is lost");
        world.wakeups.restart();
    } else {
        let route = status.route.as_ref().map(|route| {
            (
                route.policy_generation,
                route.accepted_since.map(|at| at.timestamp() - 1_700_000_000),
            )
        });
        let line = format!(
            "RoutePolicy: status {} {} {route:?}",
            status.observed_generation, status.summary.traffic
        );
        policy.status = Some(status);
        world.log(line);
        world.wakeups.policy.wake();
        world.wakeups.release.wake();
    }
    true
}
