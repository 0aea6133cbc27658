//! Versions of the spec that are to have no replicas: where another can serve, nobody is sent to them any more before
//! their pods go.

use chrono::{DateTime, Utc};

use super::workloads::{Built, was_scaled};
use super::{Observed, Plan, is_routed};
use crate::api::release::Strategy;
use crate::api::status::Tristate;
use crate::model::release::{Release, Version};

/// Plans which of them leave the policy, and keep their replicas meanwhile.
pub fn plan(release: &Release, observed: &Observed, built: &[Built], now: DateTime<Utc>, plan: &mut Plan) {
    let Some(policy) = observed.policy.as_ref().filter(|_| is_routed(release)) else {
        return;
    };
    let stood_in_for = plan.promotion.as_ref().is_some_and(|decision| decision.stands_in);
    for (index, (version, built_version)) in release.versions.iter().zip(built).enumerate() {
        let name = &version.name;
        let has_some = observed
            .deployment(release, name)
            .is_some_and(|(_, live)| live.replicas > 0);
        let waits = index == 0 && stood_in_for;
        if !has_some || waits || plan.holds(name) || !is_to_have_none(release, observed, version, built_version) {
            continue;
        }
        let serves = observed.is_routed(name) || policy.entry(name).is_some() && observed.is_ready(name);
        if serves {
            if is_replaced(release, observed, built, index) {
                plan.emptying.insert(name.clone());
            }
        } else if policy.entry(name).is_none() {
            let end = policy.drained_at(release.drain_seconds);
            if end.is_none_or(|end| end > now) {
                plan.emptying.insert(name.clone());
            }
            if let Some(end) = end.filter(|end| *end > now) {
                plan.look_again(end - now);
            }
        }
    }
    // Somebody has to be in the policy.
    if release.versions.iter().all(|one| plan.emptying.contains(&one.name)) {
        plan.emptying.clear();
    }
}

fn is_to_have_none(release: &Release, observed: &Observed, version: &Version, built: &Built) -> bool {
    let live = observed.deployment(release, &version.name);
    built.replicas == Some(0) && !live.is_some_and(|(_, live)| was_scaled(live, 0))
}

/// Whether somebody else answers in the place of the version at this index.
fn is_replaced(release: &Release, observed: &Observed, built: &[Built], index: usize) -> bool {
    let mut all = release.versions.iter().zip(built).enumerate();
    all.any(|(other, (version, built))| {
        let takes = other != index && (other == 0 || release.strategy == Strategy::BlueGreen);
        takes
            && !is_to_have_none(release, observed, version, built)
            && observed.readiness(&version.name).ready != Tristate::False
    })
}
