//! Who is run when: as `controller::wakeups` and the queues do, by changes and by timers.

use chrono::{DateTime, Utc};
use iter8::model::kind::Kind;
use iter8::model::observed::{Meta, Uid};

use super::world::{Place, RELEASE_UID, World};

/// A reconciler's place in its queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queued {
    /// It is to run.
    woken: bool,
    /// When it is to run at the latest.
    timer: Option<DateTime<Utc>>,
}

/// Both queues, and what the Release waits for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wakeups {
    pub release: Queued,
    pub policy: Queued,
    waits_for_routes: bool,
    waits_for_names: bool,
}

impl Queued {
    pub fn wake(&mut self) {
        self.woken = true;
    }

    /// It runs: neither what woke it nor its timer counts any more.
    pub fn begin(&mut self) {
        *self = Self::default();
    }

    /// It ran, and is to run again after that time.
    pub fn run_again(&mut self, now: DateTime<Utc>, after: Option<chrono::Duration>) {
        self.timer = after.map(|after| now + after);
    }

    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.woken || self.timer.is_some_and(|timer| timer <= now)
    }
}

impl Wakeups {
    /// The operator starts anew: everything is reconciled, and nobody waits for anything.
    pub fn restart(&mut self) {
        *self = Self::default();
        self.release.wake();
        self.policy.wake();
    }

    /// The Release waits for a name to become free, or for a route to go.
    pub fn wait(&mut self, for_routes: bool, for_names: bool) {
        self.waits_for_routes |= for_routes;
        self.waits_for_names |= for_names;
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<DateTime<Utc>> {
        self.release.timer.into_iter().chain(self.policy.timer).min()
    }
}

fn is_route(kind: Kind) -> bool {
    matches!(kind, Kind::VirtualService | Kind::HttpRoute)
}

impl World {
    /// The store has a change of an object; `written`: from the answer to a write of our own.
    pub fn changed(&mut self, place: &Place, meta: &Meta, written: bool) {
        let (kind, name) = place;
        let owner: Option<Uid> = meta.controller;
        let policy_uid = self.policy.as_ref().map(|policy| policy.meta.uid);
        if *kind == Kind::RoutePolicy {
            self.wakeups.policy.wake();
        }
        if (!written || *kind == Kind::RoutePolicy) && owner == Some(RELEASE_UID) {
            self.wakeups.release.wake();
        }
        if !written && owner.is_some() && owner == policy_uid {
            self.wakeups.policy.wake();
        }
        let named = self.policy.as_ref().is_some_and(|policy| {
            policy.spec.versions.iter().any(|version| match kind {
                Kind::ConfigMap => version.weight_config_map.as_ref() == Some(name),
                Kind::Deployment | Kind::Service => version.name == *name,
                _ => false,
            }) || *kind == policy.target_kind() && *name == self.release.application
        });
        if named {
            self.wakeups.policy.wake();
        }
        let awaited = if is_route(*kind) {
            &mut self.wakeups.waits_for_routes
        } else {
            &mut self.wakeups.waits_for_names
        };
        if std::mem::take(awaited) {
            self.wakeups.release.wake();
        }
    }
}
