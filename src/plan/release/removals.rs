//! What goes: versions that left the spec, when nobody is sent to them any more, and what the strategy or the
//! environment no longer asks for (design, *Removal guard*).

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};

use super::{Observed, Plan, is_routed};
use crate::model::kind::Kind;
use crate::model::names;
use crate::model::observed::Meta;
use crate::model::reason;
use crate::model::release::Release;
use crate::plan::{Failure, Removal, objects};

/// Reason of a leaving version that the route no longer names.
pub const DRAINING: &str = reason::DRAINING;

/// Plans the removals; `unchanged`: the stored `RoutePolicy` is as it should be.
pub fn plan(release: &Release, observed: &Observed, unchanged: bool, now: DateTime<Utc>, plan: &mut Plan) {
    let wanted = wanted(release);
    let mut leaving: BTreeSet<&str> = BTreeSet::new();
    for ((kind, name), object) in &observed.objects {
        if !object.meta.is_of(release.uid, &release.name) || wanted.contains(&(*kind, name.clone())) {
            continue;
        }
        match kind {
            Kind::Deployment => {
                leaving.insert(name);
            }
            Kind::Service if *name != release.application || has_deployment(observed, name) => {
                leaving.insert(name);
            }
            Kind::Service | Kind::RoutePolicy | Kind::ConfigMap => {
                remove_leftover(observed, unchanged, (*kind, name, &object.meta), plan);
            }
            _ => {}
        }
    }
    if let Some(kind) = observed.unlisted.first().filter(|_| !leaving.is_empty()) {
        let message = format!("{kind} cannot be listed yet: no version is removed before it can");
        plan.failures.push(Failure::passing(reason::NOT_LISTED, message));
    }
    for name in leaving {
        let since = out_since(release, observed, name, unchanged);
        plan.leaving.insert(name.to_owned(), since);
        let Some(since) = since else { continue };
        let drain = if is_routed(release) {
            i64::from(release.drain_seconds)
        } else {
            0
        };
        let end = since + Duration::seconds(drain);
        if end > now {
            plan.look_again(end - now);
        } else {
            remove_version(release, observed, name, plan);
        }
    }
}

fn has_deployment(observed: &Observed, name: &str) -> bool {
    observed.object(Kind::Deployment, name).is_some()
}

/// The objects that the Release asks for.
fn wanted(release: &Release) -> BTreeSet<(Kind, String)> {
    let mut wanted = BTreeSet::new();
    for (index, version) in release.versions.iter().enumerate() {
        wanted.insert((Kind::Deployment, version.name.clone()));
        wanted.insert((Kind::Service, version.name.clone()));
        if objects::weight_config_needed(release, index) {
            wanted.insert((Kind::ConfigMap, names::weight_config(&version.name)));
        }
    }
    if objects::application_service(release).is_some() {
        wanted.insert((Kind::Service, release.application.clone()));
    }
    if is_routed(release) {
        wanted.insert((Kind::RoutePolicy, release.name.clone()));
    }
    wanted
}

/// Whether nobody is sent to the version: the stored policy and the stored route follow the spec and do not name it.
fn is_out(release: &Release, observed: &Observed, name: &str, unchanged: bool) -> bool {
    if observed.is_routed(name) || !observed.unlisted.is_empty() {
        return false;
    }
    match &observed.policy {
        Some(policy) if is_routed(release) => unchanged && policy.is_settled() && policy.entry(name).is_none(),
        // A policy that is on its way out may still write its route.
        Some(_) => false,
        None => !is_routed(release),
    }
}

/// Since when nobody is sent to the version for certain: the first accepted route of the policy as it is. An edit of the
/// policy begins a new drain, as the version may have come back and left again in between.
fn out_since(release: &Release, observed: &Observed, name: &str, unchanged: bool) -> Option<DateTime<Utc>> {
    if !is_out(release, observed, name, unchanged) {
        return None;
    }
    match &observed.policy {
        Some(policy) => policy.accepted_since(),
        None => Some(DateTime::UNIX_EPOCH),
    }
}

fn remove_version(release: &Release, observed: &Observed, name: &str, plan: &mut Plan) {
    let config = names::weight_config(name);
    for (kind, name) in [
        (Kind::Deployment, name),
        (Kind::Service, name),
        (Kind::ConfigMap, &config),
    ] {
        let Some(object) = observed.object(kind, name) else {
            continue;
        };
        if object.meta.is_of(release.uid, &release.name) && !object.meta.deleting {
            plan.removals.push(Removal::new(kind, name, &object.meta));
        }
    }
}

/// Objects that belong to no version that leaves: the policy of a strategy that is gone, weights of a strategy that has
/// none, the application's Service in an environment without routing.
fn remove_leftover(observed: &Observed, unchanged: bool, leftover: (Kind, &str, &Meta), plan: &mut Plan) {
    let (kind, name, meta) = leftover;
    let needed = match kind {
        Kind::RoutePolicy => false,
        Kind::ConfigMap => {
            let policy = observed.policy.iter().flat_map(|policy| &policy.spec.versions);
            let mut named = policy.filter_map(|version| version.weight_config_map.as_deref());
            !unchanged || named.any(|config| config == name)
        }
        _ => observed.policy.is_some() || !observed.unlisted.is_empty(),
    };
    if !needed && !meta.deleting {
        plan.removals.push(Removal::new(kind, name, meta));
    }
}
