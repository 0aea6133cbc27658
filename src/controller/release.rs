//! `Release`: observe ▸ validate ▸ plan ▸ write ▸ report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::owner::Owner;
use super::queue::Priority;
use super::writes::{Written, is_outdated, transient};
use super::{Context, Key, Outcome, timer};
use crate::api::ReleaseStatus;
use crate::api::release::Strategy;
use crate::cluster::KindState;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object, Raw};
use crate::model::reason;
use crate::model::release::Release;
use crate::model::{FieldError, names, validate};
use crate::plan::release::{Observed, Plan, PolicySeen};
use crate::plan::{Failure, objects, release as planner};

/// How long a Release waits, at most, until its policy has told what there is to tell. It takes longer than a second only where
/// the API server is slow.
const POLICY_PATIENCE: Duration = Duration::from_secs(5);

/// The kinds that a Release is made of.
fn kinds(release: &Release) -> Vec<Kind> {
    let mut kinds = vec![Kind::Release, Kind::RoutePolicy, Kind::Deployment, Kind::Service];
    if (0..release.versions.len()).any(|index| objects::weight_config_needed(release, index)) {
        kinds.push(Kind::ConfigMap);
    }
    kinds
}

/// Brings one Release a step nearer to what it should be. With low priority it lets its policy tell first, once: so it tells
/// of both in one go.
pub async fn reconcile(context: Arc<Context>, key: Key, priority: Priority) -> Outcome {
    if !context.store.all_known() {
        return Outcome::Done(None);
    }
    let queue = &context.wakeups.queue;
    let task = |kind| (kind, key.clone());
    let policy = task(Kind::RoutePolicy);
    if priority == Priority::Low && queue.add_behind(task(Kind::Release), &policy, POLICY_PATIENCE) {
        return Outcome::Done(None);
    }
    let lost = context.wakeups.take_lost(Kind::Release, &key);
    let Some(object) = context.store.get(&KindRef::Known(Kind::Release), &key.0, &key.1) else {
        context.rejections.forget(&key);
        context.wakeups.forget(&key);
        return Outcome::Done(None);
    };
    if object.meta.deleting || !context.leads() {
        return Outcome::Done(None);
    }
    let subject = Subject {
        context: &context,
        key: &key,
        object: &object,
        owner: Owner::release(&context, &key, &object),
    };
    let (release, status) = match subject.validated() {
        Ok(valid) => valid,
        Err(rejected) => return subject.reject(&rejected.0, rejected.1.as_ref()).await,
    };
    if let Some(failure) = context.unusable(&kinds(&release)) {
        return subject.reject(&failure, status.as_ref()).await;
    }
    let made_before = status
        .as_ref()
        .is_some_and(|status| status.observed_generation == object.meta.generation);
    let mut written = Written::new(lost, made_before);
    let mut observed = subject.observe(&release, status); // reads the store
    let mut plan = planner::plan(&release, &observed, (context.clock)()); // pure
    let carried_through = match subject.write_versions(&plan.objects, &mut written).await {
        Ok(refused) => {
            if !refused.is_empty() {
                // What was refused stays routed as it is.
                observed.refused = refused;
                plan = planner::plan(&release, &observed, (context.clock)()); // pure
            }
            subject.write_routing(&release, &plan, &mut written).await // I/O
        }
        Err(failure) => Err(failure),
    };
    subject
        .conclude(&release, observed, &plan, &written, carried_through)
        .await
}

/// Whether the plan waits for a name to become free, or for a route to go.
fn waits(plan: &Plan) -> bool {
    let blocks = |failure: &Failure| matches!(failure.reason.as_str(), reason::NAME_CONFLICT | reason::DELETING);
    !plan.leaving.is_empty() || plan.stale_route || plan.failures.iter().any(blocks)
}

/// The Release at hand.
struct Subject<'a> {
    context: &'a Context,
    key: &'a Key,
    object: &'a Object<Body>,
    owner: Owner<'a>,
}

/// Why it cannot be planned, and the status as it is stored.
type Rejected = Box<(Failure, Option<ReleaseStatus>)>;

impl Subject<'_> {
    /// Pure: the Release, if every rule holds.
    fn validated(&self) -> Result<(Release, Option<ReleaseStatus>), Rejected> {
        let raw: &Raw = match &self.object.body {
            Body::Release(raw) => raw,
            Body::Malformed(why) => return Err(Box::new((invalid(why), None))),
            _ => return Err(Box::new((invalid("it is no Release"), None))),
        };
        let status = raw.status();
        let spec = match raw.spec() {
            Ok(spec) => spec,
            Err(error) => return Err(Box::new((invalid(&error.to_string()), status))),
        };
        match validate::release(&self.owner.info(), &spec) {
            Ok(release) => Ok((release, status)),
            Err(errors) => Err(Box::new((rejection(&errors), status))),
        }
    }

    /// Reports what is stored now, and says when to look again.
    async fn conclude(
        &self,
        release: &Release,
        before: Observed,
        plan: &Plan,
        written: &Written,
        carried_through: Result<(), Failure>,
    ) -> Outcome {
        self.owner.publish(&written.events);
        let failure = carried_through.err();
        if let Some(failure) = failure.as_ref().filter(|failure| is_outdated(failure)) {
            return Outcome::Retry(failure.clone());
        }
        let observed = if written.asked || waits(plan) {
            Observed {
                refused: before.refused,
                ..self.observe(release, before.status)
            }
        } else {
            before
        };
        let clock = self.context.clock;
        let failures: Vec<Failure> = written.failures.iter().chain(&failure).cloned().collect();
        let report = planner::status::report(release, &observed, plan, &failures, clock()); // pure
        let told = self
            .owner
            .tell(observed.status.as_ref(), report.status.as_ref(), &report.events); // I/O
        if let Some(failure) = Failure::both(told.await.err(), failure) {
            return Outcome::Retry(failure);
        }
        let mut again = plan.requeue.map(timer);
        if waits(plan) {
            // What is waited for may have happened before we began to wait for it.
            let now = planner::plan(release, &observed, clock()); // pure
            if now.awaited() != plan.awaited() {
                again = Some(Duration::ZERO);
            }
        }
        Outcome::of(again, written.unfinished())
    }

    /// Reads the store: every child, what an earlier Release of that name left, and whatever has the name of an object that is to be made.
    fn observe(&self, release: &Release, status: Option<ReleaseStatus>) -> Observed {
        let store = &self.context.store;
        let namespace = &*self.key.0;
        let mut wanted: Vec<(Kind, String)> = Vec::new();
        for version in &release.versions {
            wanted.push((Kind::Deployment, version.name.clone()));
            wanted.push((Kind::Service, version.name.clone()));
            wanted.push((Kind::ConfigMap, names::weight_config(&version.name)));
        }
        wanted.push((Kind::Service, release.application.clone()));
        wanted.push((Kind::RoutePolicy, release.name.clone()));
        let mut children = store.children(namespace, release.uid);
        children.extend(store.orphans(namespace, &release.name));
        wanted.extend(children.into_iter().map(|(kind, name)| (kind, name.to_string())));
        let mut objects = BTreeMap::new();
        for (kind, name) in wanted {
            if let Some(object) = store.get(&KindRef::Known(kind), namespace, &name) {
                objects.insert((kind, name), object);
            }
        }
        let policy = objects.get(&(Kind::RoutePolicy, release.name.clone()));
        let policy = policy
            .filter(|policy| policy.meta.is_of(release.uid, &release.name))
            .and_then(|policy| seen(policy));
        let mut routes = BTreeSet::from([
            (Kind::VirtualService, Arc::from(release.application.as_str())),
            (Kind::HttpRoute, Arc::from(release.application.as_str())),
        ]);
        routes.extend(
            policy
                .iter()
                .flat_map(|policy: &PolicySeen| store.children(namespace, policy.meta.uid)),
        );
        let routes = routes
            .into_iter()
            .filter_map(|(kind, name)| store.get(&KindRef::Known(kind), namespace, &name))
            .filter_map(|route| match &route.body {
                Body::Route(stored) => Some((**stored).clone()),
                _ => None,
            })
            .collect();
        Observed {
            unlisted: self.unlisted(policy.as_ref()),
            policy,
            objects,
            routes,
            status,
            refused: BTreeSet::new(),
        }
    }

    /// The kinds of routes of which it is not known which there are. One that the policy does not use may be forbidden.
    fn unlisted(&self, policy: Option<&PolicySeen>) -> BTreeSet<Kind> {
        let used = policy.map(PolicySeen::target_kind);
        let mut kinds = BTreeSet::from([Kind::VirtualService, Kind::HttpRoute]);
        kinds.retain(|kind| match self.context.store.synced(&KindRef::Known(*kind)) {
            KindState::Syncing | KindState::Unlisted(_) => true,
            KindState::Forbidden(_) => used == Some(*kind),
            KindState::Synced | KindState::Missing => false,
        });
        kinds
    }

    /// Writes the versions' objects, and tells of which versions one was refused. The Service of one whose Deployment
    /// was refused stays as it is: it may select pods that there will never be. `Err`: nothing more can be done now, try
    /// again.
    async fn write_versions(
        &self,
        objects: &planner::Objects,
        written: &mut Written,
    ) -> Result<BTreeSet<String>, Failure> {
        let planner::Objects {
            deployments,
            services,
            weight_configs,
            policy: _,
        } = objects;
        let mut refused = BTreeSet::new();
        for desired in deployments.iter().chain(services) {
            if !refused.contains(&desired.name) && !self.context.write(&self.owner, desired, written).await? {
                refused.insert(desired.name.clone());
            }
        }
        for desired in weight_configs {
            self.context.write(&self.owner, desired, written).await?;
        }
        Ok(refused)
    }

    /// Writes what carries requests to the versions, and deletes what is no longer needed. `Err`: nothing more can be
    /// done now, try again.
    async fn write_routing(&self, release: &Release, plan: &Plan, written: &mut Written) -> Result<(), Failure> {
        if let Some(scale) = &plan.scale {
            let planner::Scale {
                deployment,
                uid,
                resource_version,
                replicas,
            } = scale;
            written.asked = true;
            let writer = &self.context.writer;
            let result = writer
                .apply_replicas(&release.namespace, deployment, *uid, *resource_version, *replicas)
                .await;
            result.map_err(|error| transient(&error, &format!("replicas of Deployment {deployment}")))?;
        }
        if let Some(policy) = &plan.objects.policy {
            self.context.write(&self.owner, policy, written).await?;
        }
        for removal in &plan.removals {
            self.context.remove(&self.owner, removal, written).await?;
        }
        self.wait_for_names(release, plan, written);
        Ok(())
    }

    /// A name that is somebody else's, or that is going, wakes the Release when it is free.
    fn wait_for_names(&self, release: &Release, plan: &Plan, written: &Written) {
        if !plan.leaving.is_empty() || plan.stale_route {
            // The route of a policy that is gone goes after it; one of another environment after the policy told of the new.
            self.context
                .wakeups
                .wait_for(Kind::VirtualService, self.key, &release.application);
            self.context
                .wakeups
                .wait_for(Kind::HttpRoute, self.key, &release.application);
        }
        let failures = plan.failures.iter().chain(&written.failures);
        if !failures
            .into_iter()
            .any(|failure| matches!(failure.reason.as_str(), reason::NAME_CONFLICT | reason::DELETING))
        {
            return;
        }
        let wakeups = &self.context.wakeups;
        for version in &release.versions {
            wakeups.wait_for(Kind::Deployment, self.key, &version.name);
            wakeups.wait_for(Kind::Service, self.key, &version.name);
            wakeups.wait_for(Kind::ConfigMap, self.key, &names::weight_config(&version.name));
        }
        wakeups.wait_for(Kind::Service, self.key, &release.application);
        if release.strategy != Strategy::None {
            wakeups.wait_for(Kind::RoutePolicy, self.key, &release.name);
        }
    }

    async fn reject(&self, failure: &Failure, old: Option<&ReleaseStatus>) -> Outcome {
        let clock = self.context.clock;
        let report = planner::status::rejected(self.object.meta.generation, old, failure, clock());
        let told = self.owner.tell(old, report.status.as_ref(), &report.events);
        told.await.map_or_else(Outcome::Retry, |()| Outcome::Done(None))
    }
}

fn seen(object: &Object<Body>) -> Option<PolicySeen> {
    let Body::RoutePolicy(raw) = &object.body else {
        return None;
    };
    Some(PolicySeen {
        meta: object.meta.clone(),
        spec: raw.spec().ok()?,
        status: raw.status(),
    })
}

/// An object that cannot be planned at all.
pub fn invalid(why: &str) -> Failure {
    Failure::stalled(reason::INVALID_SPECIFICATION, why)
}

/// The first reason, and every sentence.
pub fn rejection(errors: &[FieldError]) -> Failure {
    let reason = errors
        .first()
        .map_or(reason::INVALID_SPECIFICATION, |error| error.reason.as_str());
    let sentences: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect();
    Failure::stalled(reason, sentences.join("; "))
}

impl Context {
    /// Why these kinds cannot be worked with.
    pub fn unusable(&self, kinds: &[Kind]) -> Option<Failure> {
        kinds.iter().find_map(|kind| self.kind_failure(&KindRef::Known(*kind)))
    }

    /// Why a kind cannot be worked with.
    pub fn kind_failure(&self, kind: &KindRef) -> Option<Failure> {
        let api_version = kind.api_version();
        match self.store.synced(kind) {
            KindState::Syncing | KindState::Synced => None,
            KindState::Missing => {
                let message = format!("{kind} of {api_version} is not installed in this cluster: install its CRD");
                Some(Failure::stalled(reason::KIND_NOT_FOUND, message))
            }
            KindState::Unlisted(why) => {
                let message = format!("{kind} cannot be listed yet: {why}");
                Some(Failure::passing(reason::NOT_LISTED, message))
            }
            KindState::Forbidden(rule) => Some(Failure::stalled(
                reason::FORBIDDEN,
                format!("the operator may not watch {kind} of {api_version}: {rule}"),
            )),
        }
    }
}
