//! `RoutePolicy`: observe ▸ validate ▸ plan ▸ write ▸ report. The only writer of routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Duration};

use super::index::References;
use super::owner::Owner;
use super::queue::Priority;
use super::release::{invalid, rejection};
use super::writes::{Written, is_outdated};
use super::{Context, Key, Outcome, timer};
use crate::api::RoutePolicyStatus;
use crate::cluster::KindState;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object};
use crate::model::policy::Policy;
use crate::model::validate;
use crate::plan::policy::{Observed, Plan, status, target_kind};
use crate::plan::readiness::{self, Seen};
use crate::plan::{Failure, conditions, policy as planner, routes};

/// Brings one `RoutePolicy`'s route to what it should be. With high priority it leaves telling of it to a run of low priority.
pub async fn reconcile(context: Arc<Context>, key: Key, priority: Priority) -> Outcome {
    if !context.store.all_known() {
        return Outcome::Done(None);
    }
    let ready_since = context.wakeups.take_ready(&key);
    let lost = context.wakeups.take_lost(Kind::RoutePolicy, &key);
    let Some(object) = context.store.get(&KindRef::Known(Kind::RoutePolicy), &key.0, &key.1) else {
        context.rejections.forget(&key);
        context.refer(&key, &References::default());
        return Outcome::Done(None);
    };
    if context.store.is_going(&key.0, &object.meta) {
        return Outcome::Done(None);
    }
    let subject = Subject {
        context: &context,
        key: &key,
        object: &object,
        owner: Owner::route_policy(&context, &key, &object),
    };
    // Others may have the better claim on its route.
    if let Some(failure) = context.unusable(&[Kind::RoutePolicy]) {
        return subject.reject(&failure, subject.status()).await;
    }
    let (policy, status) = match subject.validated() {
        Ok(valid) => valid,
        Err(rejected) => return subject.reject(&rejected.0, rejected.1).await,
    };
    context.refer(&key, &references(&policy));
    if !context.leads() || !subject.resources_known(&policy) {
        return Outcome::Done(None);
    }
    let made_before = status.as_ref().is_some_and(|status| status.route.is_some());
    let observed = subject.observe(&policy, status); // reads the store
    let plan = planner::plan(&policy, &observed, routes::render); // pure
    let mut written = Written::new(lost, made_before);
    let carried_through = subject.carry_out(&plan, &mut written).await; // I/O
    subject.measure(ready_since, &written, carried_through.is_ok());
    let urgent = priority == Priority::High && carried_through.is_ok() && written.failures.is_empty();
    if urgent && written.asked {
        subject.owner.publish(&written.events);
        return subject.tell_later();
    }
    subject
        .conclude(&policy, observed, &plan, &written, carried_through, urgent)
        .await
}

/// The `RoutePolicy` at hand.
struct Subject<'a> {
    context: &'a Context,
    key: &'a Key,
    object: &'a Object<Body>,
    owner: Owner<'a>,
}

/// Why it cannot be planned, and the status as it is stored.
type Rejected = Box<(Failure, Option<RoutePolicyStatus>)>;

impl Subject<'_> {
    /// The status as it is stored.
    fn status(&self) -> Option<RoutePolicyStatus> {
        match &self.object.body {
            Body::RoutePolicy(raw) => raw.status(),
            _ => None,
        }
    }

    /// Pure: the policy, if every rule holds.
    fn validated(&self) -> Result<(Policy, Option<RoutePolicyStatus>), Rejected> {
        let raw = match &self.object.body {
            Body::RoutePolicy(raw) => raw,
            Body::Malformed(why) => return Err(Box::new((invalid(why), None))),
            _ => return Err(Box::new((invalid("it is no RoutePolicy"), None))),
        };
        let status = raw.status();
        let spec = match raw.spec() {
            Ok(spec) => spec,
            Err(error) => return Err(Box::new((invalid(&error.to_string()), status))),
        };
        match validate::policy(&self.owner.info(), &spec) {
            Ok(policy) => Ok((policy, status)),
            Err(errors) => Err(Box::new((rejection(&errors), status))),
        }
    }

    /// Leaves telling to a run of low priority.
    fn tell_later(&self) -> Outcome {
        let queue = &self.context.wakeups.queue;
        queue.add((Kind::RoutePolicy, self.key.clone()), Priority::Low);
        Outcome::Done(None)
    }

    /// Reports what is stored now, and says when to look again. What is `urgent` tells later, if there is anything to tell.
    async fn conclude(
        &self,
        policy: &Policy,
        before: Observed,
        plan: &Plan,
        written: &Written,
        carried_through: Result<(), Failure>,
        urgent: bool,
    ) -> Outcome {
        self.owner.publish(&written.events);
        let failure = carried_through.err();
        if let Some(failure) = failure.as_ref().filter(|failure| is_outdated(failure)) {
            return Outcome::Retry(failure.clone());
        }
        // Of the versions, what the route was planned from: else one that became ready since would be reported as ready
        // beside a route that lacks it.
        let observed = if written.asked {
            Observed {
                readiness: before.readiness,
                ..self.observe(policy, before.status)
            }
        } else {
            before
        };
        let failures: Vec<Failure> = written.failures.iter().chain(&failure).cloned().collect();
        let report = status::report(policy, &observed, plan, &failures, (self.context.clock)()); // pure
        let old = observed.status.as_ref();
        if urgent && (old != Some(&report.status) || !report.events.is_empty()) {
            return self.tell_later();
        }
        let told = self.owner.tell(old, Some(&report.status), &report.events); // I/O
        match Failure::both(told.await.err(), failure) {
            Some(failure) => Outcome::Retry(failure),
            None => Outcome::of(report.requeue.map(timer), written.unfinished()),
        }
    }

    /// Whether the first lists of all kinds that the policy names are in, or have failed.
    fn resources_known(&self, policy: &Policy) -> bool {
        let mut kinds = policy.versions.iter().flat_map(|version| &version.resources);
        kinds.all(|resource| {
            let kind = KindRef::new(&resource.api_version, &resource.kind);
            self.context.store.synced(&kind) != KindState::Syncing
        })
    }

    /// Reads the store.
    fn observe(&self, policy: &Policy, status: Option<RoutePolicyStatus>) -> Observed {
        let store = &self.context.store;
        let namespace = &*self.key.0;
        let kind = target_kind(&policy.route);
        let mut failures: BTreeMap<String, Failure> = BTreeMap::new();
        let readiness = policy
            .versions
            .iter()
            .map(|version| self.readiness(version, &mut failures))
            .collect();
        let weights_failure = self.weights_failure(policy);
        let weights_unknown = weights_failure.is_some();
        failures.extend(weights_failure.map(|failure| (failure.message.clone(), failure)));
        let weights = policy
            .versions
            .iter()
            .filter_map(|version| {
                let name = version.weight_config_map.as_deref()?;
                let object = store.get(&KindRef::Known(Kind::ConfigMap), namespace, name)?;
                match &object.body {
                    Body::ConfigMap(config) => Some((name.to_owned(), config.clone())),
                    _ => None,
                }
            })
            .collect();
        let route = store.get(&KindRef::Known(kind), namespace, policy.route.name());
        let age = route.as_ref().and_then(|route| match &route.body {
            Body::Route(route) => self.age(route.written),
            _ => None,
        });
        let backends = policy.versions.iter().map(|version| &*version.backend.name);
        let backends = backends.map(|name| store.meta(&KindRef::Known(Kind::Service), namespace, name));
        let backend_ages = backends.map(|service| self.age(service?.created)).collect();
        let children = store.children(namespace, policy.uid).into_iter();
        let stale = children
            .filter(|(child, name)| (*child, &**name) != (kind, policy.route.name()))
            .filter_map(|(child, name)| {
                let object = store.get(&KindRef::Known(child), namespace, &name)?;
                Some((child, name.to_string(), object.meta.clone()))
            })
            .collect();
        let rival = if route.as_ref().is_none_or(|route| route.meta.is_orphan()) {
            self.rival(kind, policy)
        } else {
            None
        };
        Observed {
            readiness,
            weights,
            weights_unknown,
            route,
            route_age: age,
            backend_ages,
            stale,
            rival,
            kind_failure: self.context.kind_failure(&KindRef::Known(kind)),
            resource_failures: failures.into_values().collect(),
            status,
        }
    }

    /// How long ago that was, in seconds since 1970; of 0 it is not known.
    fn age(&self, stored: i64) -> Option<Duration> {
        let stored = DateTime::from_timestamp(stored, 0).filter(|_| stored > 0)?;
        let age = (self.context.clock)() - stored;
        // The API server's clock may be ahead of ours.
        (age >= Duration::zero()).then_some(age)
    }

    /// Why the live weights of the policy are not known.
    fn weights_failure(&self, policy: &Policy) -> Option<Failure> {
        let named = policy
            .versions
            .iter()
            .any(|version| version.weight_config_map.is_some());
        named
            .then(|| self.context.kind_failure(&KindRef::Known(Kind::ConfigMap)))
            .flatten()
    }

    fn readiness(
        &self,
        version: &crate::model::policy::PolicyVersion,
        failures: &mut BTreeMap<String, Failure>,
    ) -> readiness::Readiness {
        let store = &self.context.store;
        let found: Vec<_> = version
            .resources
            .iter()
            .map(|resource| {
                let kind = KindRef::new(&resource.api_version, &resource.kind);
                if let Some(failure) = self.context.kind_failure(&kind) {
                    failures.insert(failure.message.clone(), failure);
                }
                let object = store.get(&kind, &self.key.0, &resource.name);
                let state = store.synced(&kind);
                (kind, resource.name.as_str(), object, state)
            })
            .collect();
        readiness::of_version(
            found
                .iter()
                .map(|(kind, name, object, state)| (kind.clone(), *name, known(object.as_deref(), state))),
        )
    }

    /// Another policy that asks for the same route, which nobody owns: the older one has it, then the name.
    fn rival(&self, kind: Kind, policy: &Policy) -> Option<String> {
        let mine = (self.object.meta.created, policy.name.clone());
        let rivals = self.context.wakeups.rivals(kind, self.key, policy.route.name());
        let claims = rivals.into_iter().filter_map(|name| {
            let kind = KindRef::Known(Kind::RoutePolicy);
            let meta = self.context.store.meta(&kind, &self.key.0, &name)?;
            Some((meta.created, name.to_string()))
        });
        claims.filter(|claim| *claim < mine).min().map(|(_, name)| name)
    }

    /// How long a version that has become ready waited for its route.
    fn measure(&self, ready_since: Option<Instant>, written: &Written, carried_through: bool) {
        let Context { metrics, wakeups, .. } = self.context;
        match ready_since {
            Some(since) if !carried_through => wakeups.put_back_ready(self.key, since),
            Some(since) if written.route => metrics.readiness_to_route.observe(since.elapsed().as_secs_f64()),
            _ => {}
        }
    }

    async fn carry_out(&self, plan: &Plan, written: &mut Written) -> Result<(), Failure> {
        if let Some(route) = &plan.route {
            self.context.write(&self.owner, route, written).await?;
        }
        for removal in &plan.removals {
            self.context.remove(&self.owner, removal, written).await?;
        }
        Ok(())
    }

    async fn reject(&self, failure: &Failure, old: Option<RoutePolicyStatus>) -> Outcome {
        if !self.context.leads() {
            return Outcome::Done(None);
        }
        let before = old.clone().unwrap_or_default();
        let generation = self.object.meta.generation;
        let verdicts = conditions::rejected(failure);
        let conditions = conditions::stamp(verdicts, &before.conditions, generation, (self.context.clock)());
        let events = conditions::transitions(&before.conditions, &conditions);
        let status = RoutePolicyStatus {
            observed_generation: generation,
            conditions,
            ..before
        };
        let told = self.owner.tell(old.as_ref(), Some(&status), &events);
        told.await.map_or_else(Outcome::Retry, |()| Outcome::Done(None))
    }
}

/// What is known of an object by the state of its kind: what was seen of it before its kind became forbidden says nothing
/// of what it is now.
fn known<'a>(object: Option<&'a Object<Body>>, state: &KindState) -> Seen<'a> {
    match (state, object) {
        (KindState::Forbidden(_), _) => Seen::Forbidden,
        // Some of its objects may have come.
        (KindState::Unlisted(_), _) => Seen::Unlisted,
        (KindState::Missing, None) => Seen::KindMissing,
        (_, Some(object)) => Seen::Object(object),
        (KindState::Syncing | KindState::Synced, None) => Seen::Absent,
    }
}

/// What the policy is to be woken by.
fn references(policy: &Policy) -> References {
    let resources = policy.versions.iter().flat_map(|version| &version.resources);
    let mut objects: BTreeSet<(KindRef, String)> = resources
        .map(|one| (KindRef::new(&one.api_version, &one.kind), one.name.clone()))
        .collect();
    let configs = policy
        .versions
        .iter()
        .filter_map(|version| version.weight_config_map.clone());
    objects.extend(configs.map(|name| (KindRef::Known(Kind::ConfigMap), name)));
    References {
        objects,
        route: Some((target_kind(&policy.route), policy.route.name().to_owned())),
    }
}

impl Context {
    /// Replaces what a policy is woken by, and opens and closes the watches of kinds that policies name.
    fn refer(&self, policy: &Key, references: &References) {
        // One at a time, or a kind could be closed after another policy opened it.
        let _guard = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let named = self.wakeups.refer(policy, references);
        for kind in &named.opened {
            self.watches.open(kind);
        }
        for kind in &named.closed {
            self.watches.close(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::Tristate;
    use crate::model::observed::{Meta, Service};

    #[test]
    fn an_object_whose_kind_cannot_be_seen_any_more_or_yet_is_not_known_to_be_ready() {
        let object = Object {
            meta: Meta::default(),
            body: Body::Service(Service::default()),
        };
        let ready = |object, state: &KindState| {
            let kind = KindRef::Known(Kind::Service);
            readiness::of_version([(kind, "web", known(object, state))]).ready
        };
        let unlisted = KindState::Unlisted("the server is down".into());
        let forbidden = KindState::Forbidden("allow list, watch on services".into());
        for (object, state, want) in [
            (Some(&object), &KindState::Synced, Tristate::True),
            (None, &KindState::Synced, Tristate::False),
            (None, &KindState::Missing, Tristate::False),
            (None, &forbidden, Tristate::Unknown),
            (Some(&object), &forbidden, Tristate::Unknown),
            (None, &unlisted, Tristate::Unknown),
            (Some(&object), &unlisted, Tristate::Unknown),
        ] {
            assert_eq!(ready(object, state), want, "{state:?}");
        }
    }
}
