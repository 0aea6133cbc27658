//! A cluster in memory: what the API server stores, what the operator has seen of it, and who else writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use iter8::api::{ReleaseStatus, annotations};
use iter8::model::kind::Kind;
use iter8::model::observed::{Body, Deployment, Object, ParentReport, ReplicasOwner, StoredRoute, Uid};
use iter8::model::release::Release;
use iter8::plan::release::PolicySeen;
use iter8::plan::{Desired, Precondition, Removal};
use serde_json::Value;

use super::reading::{own, read, validated, words};
use super::spec::{BROKEN_IMAGE, Spec};
use super::wakeups::Wakeups;

pub const NAMESPACE: &str = "default";
pub const NAME: &str = "web";
pub const RELEASE_UID: Uid = Uid(1);

pub type Place = (Kind, String);

/// An object as the API server stores it.
#[derive(Clone, Debug)]
pub struct Live {
    pub object: Object<Body>,
    /// What our field manager owns.
    pub applied: Value,
    pods: Pods,
}

/// Pods of a Deployment: of an older template, and of the newest.
#[derive(Clone, Copy, Debug, Default)]
struct Pods {
    old: i32,
    new: i32,
    /// How many are not available.
    broken: i32,
}

/// Why a write was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

pub struct World {
    pub now: DateTime<Utc>,
    pub spec: Spec,
    pub before: Spec,
    pub release: Release,
    pub status: Option<ReleaseStatus>,
    /// What is stored.
    pub stored: BTreeMap<Place, Live>,
    /// What the operator has seen of it: its own writes at once, those of others later.
    pub seen: BTreeMap<Place, Arc<Object<Body>>>,
    pub policy: Option<PolicySeen>,
    pub log: Vec<String>,
    pub history: super::checks::History,
    pub wakeups: Wakeups,
    version: u64,
    uids: u128,
}

impl World {
    /// A cluster with nothing but a Release.
    pub fn new(spec: Spec) -> Option<Self> {
        let release = validated(&spec, 1)?;
        let mut wakeups = Wakeups::default();
        wakeups.restart();
        Some(Self {
            wakeups,
            now: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            before: spec.clone(),
            log: vec![format!("{spec:?}")],
            history: super::checks::History::default(),
            spec,
            release,
            status: None,
            stored: BTreeMap::new(),
            seen: BTreeMap::new(),
            policy: None,
            version: 100,
            uids: 100,
        })
    }

    pub fn log(&mut self, line: impl Into<String>) {
        let seconds = self.now.timestamp() - 1_700_000_000;
        self.log.push(format!("{seconds:>4} s  {}", line.into()));
    }

    /// Ends the test.
    pub fn fail(&self, why: &str) -> ! {
        let policy = self.policy.as_ref().map(|policy| {
            let entries = policy.spec.versions.iter();
            let entries = entries.map(|one| (&one.name, &one.serves_for, one.weight, one.backend.port));
            format!(
                "{:?} generation {} {:?}",
                policy.spec.strategy,
                policy.meta.generation,
                entries.collect::<Vec<_>>()
            )
        });
        let conditions = |conditions: &[iter8::api::status::Condition]| {
            let words = conditions
                .iter()
                .map(|one| format!("{}={:?} {} ({})", one.type_, one.status, one.reason, one.message));
            words.collect::<Vec<_>>().join("; ")
        };
        let told = self.policy.as_ref().and_then(|policy| policy.status.as_ref());
        let own = self.status.as_ref();
        panic!(
            "{why}\n{}\npolicy {policy:?}\n  {}\nroute {:?}\nRelease {:?} {:?}\n  {}",
            self.log.join("\n"),
            told.map(|status| conditions(&status.conditions)).unwrap_or_default(),
            self.route(),
            own.map(|status| &status.promotion),
            own.map(|status| &status.versions),
            own.map(|status| conditions(&status.conditions)).unwrap_or_default(),
        )
    }

    /// A user edits the spec; one that breaks a rule is refused.
    pub fn edit(&mut self, spec: Spec) {
        let Some(release) = validated(&spec, self.release.generation + 1) else {
            return;
        };
        if spec == self.spec {
            return;
        }
        self.log(format!("edit {spec:?}"));
        self.before = std::mem::replace(&mut self.spec, spec);
        self.release = release;
        self.wakeups.release.wake();
    }

    /// The route that is stored.
    pub fn route(&self) -> Option<&StoredRoute> {
        self.routes().next()
    }

    /// All stored routes: two while the environment changes.
    pub fn routes(&self) -> impl Iterator<Item = &StoredRoute> {
        self.stored.values().filter_map(|live| match &live.object.body {
            Body::Route(route) => Some(&**route),
            _ => None,
        })
    }

    pub fn deployment(&self, name: &str) -> Option<&Deployment> {
        match &self.stored.get(&(Kind::Deployment, name.to_owned()))?.object.body {
            Body::Deployment(deployment) => Some(deployment),
            _ => None,
        }
    }

    /// Names of all Deployments.
    pub fn deployments(&self) -> Vec<String> {
        let kinds = self.stored.keys().filter(|(kind, _)| *kind == Kind::Deployment);
        kinds.map(|(_, name)| name.clone()).collect()
    }

    /// The watch brings everything.
    pub fn sync(&mut self) {
        let now = self
            .stored
            .iter()
            .map(|(place, live)| (place.clone(), Arc::new(live.object.clone())));
        let before = std::mem::replace(&mut self.seen, now.collect());
        let now = self.seen.clone();
        for (place, object) in &now {
            if before.get(place) != Some(object) {
                self.changed(place, &object.meta, false);
            }
        }
        for (place, object) in before.iter().filter(|(place, _)| !now.contains_key(place)) {
            self.changed(place, &object.meta, false);
        }
        if !self.stored.contains_key(&(Kind::RoutePolicy, NAME.to_owned())) {
            self.policy = None;
        }
    }

    fn bump(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Server-side apply by one of our managers. `Ok(false)`: it was in sync, nothing was sent.
    pub fn apply(&mut self, desired: &Desired) -> Result<bool, Refused> {
        let place = (desired.kind, desired.name.clone());
        let seen = self.seen.contains_key(&place);
        let live = self.stored.get(&place).cloned();
        if let Some(live) = &live
            && seen
            && live.applied == desired.object
        {
            return Ok(false);
        }
        let holds = match (desired.precondition, &live) {
            (Precondition::Absent, None) => true,
            (Precondition::Uid(uid), Some(live)) => live.object.meta.uid == uid,
            (Precondition::UidAndVersion(uid, version), Some(live)) => {
                live.object.meta.uid == uid && live.object.meta.resource_version == version
            }
            _ => false,
        };
        if !holds {
            self.log(format!("refused {} {}", desired.kind, desired.name));
            return Err(Refused);
        }
        let mut live = self.merged(desired, live);
        live.object.meta.resource_version = self.bump();
        self.log(format!("apply {} {} {}", desired.kind, desired.name, words(&live)));
        self.seen.insert(place.clone(), Arc::new(live.object.clone()));
        if desired.kind == Kind::RoutePolicy {
            let spec = serde_json::from_value(desired.object["spec"].clone()).unwrap();
            let status = self
                .policy
                .take()
                .filter(|policy| policy.meta.uid == live.object.meta.uid);
            self.policy = Some(PolicySeen {
                meta: live.object.meta.clone(),
                spec,
                status: status.and_then(|policy| policy.status),
            });
        }
        let meta = live.object.meta.clone();
        self.stored.insert(place.clone(), live);
        self.changed(&place, &meta, true);
        Ok(true)
    }

    fn merged(&mut self, desired: &Desired, live: Option<Live>) -> Live {
        let mut object = read(desired);
        let Some(before) = live else {
            self.uids += 1;
            object.meta.uid = Uid(self.uids);
            object.meta.generation = 1;
            own(&mut object.body, None, &desired.object);
            return Live {
                object,
                applied: desired.object.clone(),
                pods: Pods::default(),
            };
        };
        let changed = before.applied["spec"] != desired.object["spec"];
        object.meta.uid = before.object.meta.uid;
        object.meta.generation = before.object.meta.generation + i64::from(changed);
        own(&mut object.body, Some(&before.object.body), &desired.object);
        let mut pods = before.pods;
        if before.applied["spec"]["template"] != desired.object["spec"]["template"] {
            pods.old += pods.new;
            pods.new = 0;
        }
        Live {
            object,
            applied: desired.object.clone(),
            pods,
        }
    }

    /// Our other manager sets a number of replicas.
    pub fn scale(&mut self, name: &str, uid: Uid, version: u64, replicas: i32) -> Result<bool, Refused> {
        let place = (Kind::Deployment, name.to_owned());
        let fits = |live: &Live| live.object.meta.uid == uid && live.object.meta.resource_version == version;
        if !self.stored.get(&place).is_some_and(fits) {
            return Err(Refused);
        }
        self.log(format!("promotion scales {name} to {replicas}"));
        self.replicas(&place, replicas, ReplicasOwner::Promotion);
        let object = self.stored[&place].object.clone();
        let meta = object.meta.clone();
        self.seen.insert(place.clone(), Arc::new(object));
        self.changed(&place, &meta, true);
        Ok(true)
    }

    /// Somebody uses the subresource `scale`.
    pub fn scaled_by_user(&mut self, name: &str, replicas: i32) {
        self.log(format!("user scales {name} to {replicas}"));
        self.replicas(&(Kind::Deployment, name.to_owned()), replicas, ReplicasOwner::Scale);
    }

    fn replicas(&mut self, place: &Place, replicas: i32, owner: ReplicasOwner) {
        let version = self.bump();
        let Some(live) = self.stored.get_mut(place) else { return };
        let Body::Deployment(deployment) = &mut live.object.body else {
            return;
        };
        deployment.replicas = replicas;
        deployment.replicas_owner = owner;
        if let Some(spec) = live.applied["spec"].as_object_mut() {
            spec.remove("replicas");
        }
        live.object.meta.generation += 1;
        live.object.meta.resource_version = version;
    }

    /// A user sets (`Some`) or removes the live weight.
    pub fn annotate(&mut self, name: &str, weight: Option<&str>) {
        let version = self.bump();
        let Some(live) = self.stored.get_mut(&(Kind::ConfigMap, name.to_owned())) else {
            return;
        };
        let Body::ConfigMap(config) = &mut live.object.body else {
            return;
        };
        config.weight = weight.map(Into::into);
        config.weight_ours = false;
        if let Some(map) = live.applied["metadata"]["annotations"].as_object_mut() {
            map.remove(annotations::WEIGHT);
        }
        live.object.meta.resource_version = version;
        self.log(format!("user sets the weight of {name} to {weight:?}"));
    }

    /// DELETE with preconditions.
    pub fn delete(&mut self, removal: &Removal) -> Result<(), Refused> {
        let place = (removal.kind, removal.name.clone());
        let Some(live) = self.stored.get(&place) else {
            return Ok(());
        };
        let meta = &live.object.meta;
        if meta.uid != removal.uid || meta.resource_version != removal.resource_version {
            return Err(Refused);
        }
        self.log(format!("delete {} {}", removal.kind, removal.name));
        self.stored.remove(&place);
        if let Some(object) = self.seen.get_mut(&place) {
            Arc::make_mut(object).meta.deleting = true;
        }
        if let Some(policy) = self.policy.as_mut().filter(|_| removal.kind == Kind::RoutePolicy) {
            policy.meta.deleting = true;
        }
        let meta = self.seen.get(&place).map(|object| object.meta.clone());
        if let Some(meta) = meta {
            self.changed(&place, &meta, true);
        }
        Ok(())
    }

    /// What the garbage collector does: a route goes after its policy. Whether there was something for it to do.
    pub fn collect_garbage(&mut self) -> bool {
        let before = self.stored.len();
        let policy = self
            .stored
            .get(&(Kind::RoutePolicy, NAME.to_owned()))
            .map(|live| live.object.meta.uid);
        self.stored.retain(|(kind, _), live| {
            let route = matches!(kind, Kind::VirtualService | Kind::HttpRoute);
            !route || live.object.meta.controller == policy && policy.is_some()
        });
        self.stored.len() != before
    }

    /// One step of the Deployment's controller and its pods.
    pub fn roll(&mut self, name: &str) {
        let version = self.bump();
        let Some(live) = self.stored.get_mut(&(Kind::Deployment, name.to_owned())) else {
            return;
        };
        let (meta, pods) = (&mut live.object.meta, &mut live.pods);
        let Body::Deployment(deployment) = &mut live.object.body else {
            return;
        };
        let before = deployment.clone();
        let works = deployment.images.iter().all(|image| **image != *BROKEN_IMAGE);
        pods.new = (pods.new + i32::from(works)).min(deployment.replicas);
        pods.old = pods.old.min(deployment.replicas - pods.new).max(0);
        deployment.observed_generation = meta.generation;
        deployment.updated = pods.new;
        deployment.total = pods.new + pods.old;
        deployment.available = deployment.total.saturating_sub(pods.broken).max(0);
        deployment.available_condition = Some(deployment.available >= deployment.replicas);
        deployment.deadline_exceeded = !works;
        if **deployment != *before {
            meta.resource_version = version;
        }
    }

    /// All pods of a Deployment cease to be available, or are so again.
    pub fn set_broken(&mut self, name: &str, broken: bool) {
        self.break_pods(name, if broken { i32::MAX } else { 0 });
    }

    /// So many pods of a Deployment are not available from now on, the others are.
    pub fn break_pods(&mut self, name: &str, count: i32) {
        if let Some(live) = self.stored.get_mut(&(Kind::Deployment, name.to_owned())) {
            live.pods.broken = count;
        }
        self.log(match count {
            0 => format!("{name} works"),
            i32::MAX => format!("{name} breaks"),
            _ => format!("{count} pods of {name} break"),
        });
        // Rolling one pod further is what mends it.
        self.roll(name);
    }

    /// The parents of an HTTPRoute report on it as it is now.
    pub fn report(&mut self, accepted: bool) {
        let gateway = self.release.gateway.is_some();
        let version = self.bump();
        let Some(live) = self.stored.get_mut(&(Kind::HttpRoute, NAME.to_owned())) else {
            return;
        };
        let generation = live.object.meta.generation;
        let Body::Route(route) = &mut live.object.body else {
            return;
        };
        let parent = |name: &str| ParentReport {
            parent: name.into(),
            observed_generation: generation,
            accepted,
            reason: if accepted { "" } else { "NoMatchingParent" }.into(),
            message: "".into(),
        };
        let mut parents = vec![parent("Service/default/web")];
        parents.extend(gateway.then(|| parent("Gateway/default/edge")));
        let parents: Box<[ParentReport]> = parents.into();
        if route.parents == parents {
            return;
        }
        route.parents = parents;
        live.object.meta.resource_version = version;
        self.log(format!("parents report accepted={accepted}"));
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}
