//! `Release`: observe ▸ validate ▸ plan ▸ write ▸ report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::writes::{Written, transient};
use super::{Context, Key, Outcome, timer};
use crate::api::ReleaseStatus;
use crate::api::managers;
use crate::api::release::Strategy;
use crate::cluster::KindState;
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Object, Raw};
use crate::model::release::Release;
use crate::model::{FieldError, names, validate};
use crate::plan::release::{Observed, Plan, PolicySeen};
use crate::plan::{Failure, release as planner};

/// When an owner that is being deleted is looked at again, if its watch did not tell by then.
pub const GONE_SOON: Duration = Duration::from_secs(1);

/// The kinds that a Release is made of.
const KINDS: [Kind; 5] = [
    Kind::Release,
    Kind::RoutePolicy,
    Kind::Deployment,
    Kind::Service,
    Kind::ConfigMap,
];

/// Brings one Release a step nearer to what it should be.
pub async fn reconcile(context: Arc<Context>, key: Key) -> Outcome {
    let lost = context.wakeups.take_lost(Kind::Release, &key);
    let Some(object) = context.store.get(&KindRef::Known(Kind::Release), &key.0, &key.1) else {
        context.rejections.forget(&key);
        context.wakeups.forget(&key);
        return Outcome::Done(None);
    };
    if object.meta.deleting || !context.all_known() {
        return Outcome::Done(None);
    }
    let subject = Subject {
        context: &context,
        key: &key,
        object: &object,
    };
    let (release, status) = match subject.validated() {
        Ok(valid) => valid,
        Err(rejected) => return subject.reject(&rejected.0, rejected.1.as_ref()).await,
    };
    if let Some(failure) = context.unusable(&KINDS) {
        return subject.reject(&failure, status.as_ref()).await;
    }
    let mut observed = subject.observe(&release, status.clone()); // reads the store
    let mut plan = planner::plan(&release, &observed, (context.clock)()); // pure
    if !subject.is_alive(&observed, &plan).await {
        return Outcome::Done(Some(GONE_SOON));
    }
    let mut written = Written {
        lost,
        ..Written::default()
    };
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
    let unfinished = written.unfinished();
    let observed = subject.observe(&release, status); // what is stored now
    let report = planner::status::report(&release, &observed, &plan, &written.failures, (context.clock)()); // pure
    let told = subject.tell(observed.status.as_ref(), report, written).await; // I/O
    match carried_through.and(told) {
        Ok(()) if waits(&plan) => {
            // What is waited for may have happened before we began to wait for it.
            let now = planner::plan(&release, &observed, (context.clock)());
            let goes_on = (&now.failures, &now.removals) != (&plan.failures, &plan.removals);
            let again = if goes_on {
                Some(Duration::ZERO)
            } else {
                plan.requeue.map(timer)
            };
            Outcome::of(again, unfinished)
        }
        Ok(()) => Outcome::of(plan.requeue.map(timer), unfinished),
        Err(failure) => Outcome::Retry(failure),
    }
}

/// Whether the plan waits for a name to become free, or for a route to go.
fn waits(plan: &Plan) -> bool {
    let blocks = |failure: &Failure| matches!(failure.reason.as_str(), "NameConflict" | "Deleting");
    !plan.leaving.is_empty() || plan.failures.iter().any(blocks)
}

/// The Release at hand.
struct Subject<'a> {
    context: &'a Context,
    key: &'a Key,
    object: &'a Object<Body>,
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
        let status = raw.release_status();
        let spec = match raw.release() {
            Ok(spec) => spec,
            Err(error) => return Err(Box::new((invalid(&error.to_string()), status))),
        };
        let info = validate::ObjectInfo {
            name: self.key.1.to_string(),
            namespace: self.key.0.to_string(),
            uid: self.object.meta.uid,
            generation: self.object.meta.generation,
        };
        match validate::release(&info, &spec) {
            Ok(release) => Ok((release, status)),
            Err(errors) => Err(Box::new((rejection(&errors), status))),
        }
    }

    /// Whether the Release is still there, asked of the API server if objects are missing that were made before, or lost
    /// their owner reference: each kind has a watch of its own, so what the garbage collector does to the dependants of a
    /// deleted Release may be seen before its deletion.
    async fn is_alive(&self, observed: &Observed, plan: &Plan) -> bool {
        let generation = self.object.meta.generation;
        let orphaned = |object: &Arc<Object<Body>>| object.meta.adoptable_by.as_deref() == Some(&*self.key.1);
        let doubtful = |status: &&ReleaseStatus| {
            (status.observed_generation == generation && plan.objects.are_missing())
                || (status.observed_generation > 0 && observed.objects.values().any(orphaned))
        };
        let status = observed.status.as_ref().filter(doubtful);
        let subject = (Kind::Release, self.key, self.object);
        self.context.is_alive(subject, status, managers::RELEASE).await
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
        let mut routes = vec![
            (Kind::VirtualService, Arc::from(release.application.as_str())),
            (Kind::HttpRoute, Arc::from(release.application.as_str())),
        ];
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
            policy,
            objects,
            routes,
            status,
            refused: BTreeSet::new(),
        }
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
            if !refused.contains(&desired.name) && !self.context.write(self.key, desired, written).await? {
                refused.insert(desired.name.clone());
            }
        }
        for desired in weight_configs {
            self.context.write(self.key, desired, written).await?;
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
            let writer = &self.context.writer;
            let result = writer
                .apply_replicas(&release.namespace, deployment, *uid, *resource_version, *replicas)
                .await;
            result.map_err(|error| transient(&error, &format!("replicas of Deployment {deployment}")))?;
        }
        // A version whose objects are somebody else's must not be routed to.
        let conflict = written.failures.iter().any(|failure| failure.reason == "NameConflict");
        if let Some(policy) = plan.objects.policy.as_ref().filter(|_| !conflict) {
            self.context.write(self.key, policy, written).await?;
        }
        for removal in &plan.removals {
            self.context.remove(self.key, removal).await?;
        }
        self.wait_for_names(release, plan, written);
        Ok(())
    }

    /// A name that is somebody else's, or that is going, wakes the Release when it is free.
    fn wait_for_names(&self, release: &Release, plan: &Plan, written: &Written) {
        if !plan.leaving.is_empty() {
            // The route of a policy that is gone goes after it.
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
            .any(|failure| matches!(failure.reason.as_str(), "NameConflict" | "Deleting"))
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

    async fn reject(&self, failure: &Failure, status: Option<&ReleaseStatus>) -> Outcome {
        let report = planner::status::rejected(self.object.meta.generation, status, failure, (self.context.clock)());
        match self.tell(status, report, Written::default()).await {
            Ok(()) => Outcome::Done(None),
            Err(failure) => Outcome::Retry(failure),
        }
    }

    /// Writes the status if it changed, and publishes what changed. `Err`: try again.
    async fn tell(
        &self,
        old: Option<&ReleaseStatus>,
        report: planner::status::Report,
        written: Written,
    ) -> Result<(), Failure> {
        let status = report.status.filter(|status| old != Some(status));
        let subject = (Kind::Release, self.key, self.object);
        let events = (written.events, report.events);
        self.context
            .tell(subject, status.as_ref(), managers::RELEASE, events)
            .await
    }
}

fn seen(object: &Object<Body>) -> Option<PolicySeen> {
    let Body::RoutePolicy(raw) = &object.body else {
        return None;
    };
    Some(PolicySeen {
        meta: object.meta.clone(),
        spec: raw.route_policy().ok()?,
        status: raw.route_policy_status(),
    })
}

/// An object that cannot be planned at all.
pub fn invalid(why: &str) -> Failure {
    Failure::stalled("InvalidSpecification", why)
}

/// The first reason, and every sentence.
pub fn rejection(errors: &[FieldError]) -> Failure {
    let reason = errors
        .first()
        .map_or("InvalidSpecification", |error| error.reason.as_str());
    let sentences: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect();
    Failure::stalled(reason, sentences.join("; "))
}

impl Context {
    /// Whether the first lists of all kinds are in: nothing is written from half a picture.
    pub fn all_known(&self) -> bool {
        Kind::ALL
            .into_iter()
            .all(|kind| self.store.synced(&KindRef::Known(kind)) != KindState::Syncing)
    }

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
                Some(Failure::stalled("KindNotFound", message))
            }
            KindState::Forbidden(rule) => Some(Failure::stalled(
                "Forbidden",
                format!("the operator may not watch {kind} of {api_version}: {rule}"),
            )),
        }
    }
}
