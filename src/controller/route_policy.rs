//! `RoutePolicy`: observe ▸ validate ▸ plan ▸ write ▸ report. The only writer of routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use chrono::{DateTime, Duration};

use super::index::References;
use super::release::{GONE_SOON, invalid, rejection};
use super::writes::Written;
use super::{Context, Key, Outcome, timer};
use crate::api::RoutePolicyStatus;
use crate::api::managers;
use crate::cluster::KindState;
use crate::cluster::events::About;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object};
use crate::model::policy::Policy;
use crate::model::validate;
use crate::plan::policy::{Observed, Plan, status, target_kind};
use crate::plan::readiness::{self, Seen};
use crate::plan::{Desired, Failure, conditions, policy as planner, routes};

/// Brings one `RoutePolicy`'s route to what it should be.
pub async fn reconcile(context: Arc<Context>, key: Key) -> Outcome {
    let lost = context.wakeups.take_lost(Kind::RoutePolicy, &key);
    let Some(object) = context.store.get(&KindRef::Known(Kind::RoutePolicy), &key.0, &key.1) else {
        context.rejections.forget(&key);
        context.refer(&key, References::default());
        return Outcome::Done(None);
    };
    if context.store.is_going(&object.meta) || !context.all_known() {
        return Outcome::Done(None);
    }
    let subject = Subject {
        context: &context,
        key: &key,
        object: &object,
    };
    let (policy, status) = match subject.validated() {
        Ok(valid) => valid,
        Err(rejected) => return subject.reject(&rejected.0, rejected.1).await,
    };
    context.refer(&key, references(&policy));
    if !subject.resources_known(&policy) {
        return Outcome::Done(None);
    }
    let observed = subject.observe(&policy, status.clone()); // reads the store
    let plan = planner::plan(&policy, &observed, routes::render); // pure
    if !subject.is_alive(&observed, &plan).await {
        return Outcome::Done(Some(GONE_SOON));
    }
    let mut written = Written {
        lost,
        ..Written::default()
    };
    let carried_through = subject.carry_out(&plan, &mut written).await; // I/O
    // What is stored now; of the versions, what the route was planned from: else one that became ready since would be
    // reported as ready beside a route that lacks it.
    let observed = Observed {
        readiness: observed.readiness,
        ..subject.observe(&policy, status)
    };
    let failures: Vec<Failure> = written
        .failures
        .iter()
        .chain(carried_through.as_ref().err())
        .cloned()
        .collect();
    let report = status::report(&policy, &observed, &plan, &failures, (context.clock)()); // pure
    let requeue = report.requeue;
    let unfinished = written.unfinished();
    subject.tell(observed.status.as_ref(), report, written).await; // I/O
    match carried_through {
        Ok(()) => Outcome::of(requeue.map(timer), unfinished),
        Err(failure) => Outcome::Retry(failure),
    }
}

/// The `RoutePolicy` at hand.
struct Subject<'a> {
    context: &'a Context,
    key: &'a Key,
    object: &'a Object<Body>,
}

/// Why it cannot be planned, and the status as it is stored.
type Rejected = Box<(Failure, Option<RoutePolicyStatus>)>;

impl Subject<'_> {
    /// Pure: the policy, if every rule holds.
    fn validated(&self) -> Result<(Policy, Option<RoutePolicyStatus>), Rejected> {
        let raw = match &self.object.body {
            Body::RoutePolicy(raw) => raw,
            Body::Malformed(why) => return Err(Box::new((invalid(why), None))),
            _ => return Err(Box::new((invalid("it is no RoutePolicy"), None))),
        };
        let status = raw.route_policy_status();
        let spec = match raw.route_policy() {
            Ok(spec) => spec,
            Err(error) => return Err(Box::new((invalid(&error.to_string()), status))),
        };
        let info = validate::ObjectInfo {
            name: self.key.1.to_string(),
            namespace: self.key.0.to_string(),
            uid: self.object.meta.uid,
            generation: self.object.meta.generation,
        };
        match validate::policy(&info, &spec) {
            Ok(policy) => Ok((policy, status)),
            Err(errors) => Err(Box::new((rejection(&errors), status))),
        }
    }

    /// Whether the policy is still there, asked of the API server if its route is missing and was there before, or lost
    /// its owner reference: each kind has a watch of its own, so what the garbage collector does to the route of a deleted
    /// policy may be seen before its deletion.
    async fn is_alive(&self, observed: &Observed, plan: &Plan) -> bool {
        let missing = plan.route.as_ref().is_some_and(Desired::is_missing);
        let orphaned = observed.route.as_ref().is_some_and(|route| route.meta.is_orphan());
        let doubtful = |status: &&RoutePolicyStatus| {
            (missing && status.route.is_some()) || (orphaned && status.observed_generation > 0)
        };
        let status = observed.status.as_ref().filter(doubtful);
        self.context
            .is_alive(Kind::RoutePolicy, self.key, self.object, status, managers::ROUTE_POLICY)
            .await
    }

    /// Whether the first lists of all kinds that the policy names are in.
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
        let age = route.as_ref().and_then(|route| self.age(&route.body));
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
            route,
            route_age: age,
            stale,
            rival,
            kind_failure: self.context.kind_failure(&KindRef::Known(kind)),
            resource_failures: failures.into_values().collect(),
            status,
        }
    }

    /// For how long a route has been as it is.
    fn age(&self, route: &Body) -> Option<Duration> {
        let Body::Route(route) = route else { return None };
        let written = DateTime::from_timestamp(route.written, 0).filter(|_| route.written > 0)?;
        let age = (self.context.clock)() - written;
        // The API server's clock may be ahead of ours.
        (age >= Duration::zero()).then_some(age)
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
        readiness::of_version(found.iter().map(|(kind, name, object, state)| {
            let seen = match (object, state) {
                (Some(object), _) => Seen::Object(object),
                (None, KindState::Missing) => Seen::KindMissing,
                (None, KindState::Forbidden(_)) => Seen::Forbidden,
                (None, KindState::Syncing | KindState::Synced) => Seen::Absent,
            };
            (kind.clone(), *name, seen)
        }))
    }

    /// Another policy that asks for the same route, which nobody owns: the older one has it, then the name.
    fn rival(&self, kind: Kind, policy: &Policy) -> Option<String> {
        let mine = (self.object.meta.created, policy.name.clone());
        let rivals = self.context.wakeups.rivals(kind, self.key, policy.route.name());
        let claims = rivals.into_iter().filter_map(|name| {
            let object = self
                .context
                .store
                .get(&KindRef::Known(Kind::RoutePolicy), &self.key.0, &name)?;
            Some((object.meta.created, name.to_string()))
        });
        claims.filter(|claim| *claim < mine).min().map(|(_, name)| name)
    }

    async fn carry_out(&self, plan: &Plan, written: &mut Written) -> Result<(), Failure> {
        if let Some(route) = &plan.route {
            self.context.write(self.key, route, written).await?;
        }
        for removal in &plan.removals {
            self.context.remove(self.key, removal).await?;
        }
        Ok(())
    }

    async fn reject(&self, failure: &Failure, old: Option<RoutePolicyStatus>) -> Outcome {
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
        let report = status::Report {
            status,
            events,
            requeue: None,
        };
        self.tell(old.as_ref(), report, Written::default()).await;
        Outcome::Done(None)
    }

    /// Writes the status if it changed, then publishes what changed.
    async fn tell(&self, old: Option<&RoutePolicyStatus>, report: status::Report, written: Written) {
        let mut events = written.events;
        events.extend(report.events);
        if old != Some(&report.status) {
            let manager = managers::ROUTE_POLICY;
            let kind = Kind::RoutePolicy;
            let sent = self
                .context
                .write_status(kind, self.key, self.object, &report.status, manager)
                .await;
            if let Err(event) = sent {
                events.push(event);
            }
        }
        let about = About {
            kind: Kind::RoutePolicy,
            namespace: self.key.0.to_string(),
            name: self.key.1.to_string(),
            uid: self.object.meta.uid,
        };
        self.context.publish(&about, &events);
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
    fn refer(&self, policy: &Key, references: References) {
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
