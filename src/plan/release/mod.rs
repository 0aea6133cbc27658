//! `Release`: from versions, environment and strategy to Deployments, Services, weight `ConfigMap`s and the
//! `RoutePolicy`, in an order in which no request is lost (design, *Order*).

pub mod emptying;
pub mod entries;
pub mod promotion;
pub mod removals;
pub mod status;
pub mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::readiness::{self, Readiness, Seen};
use super::{Desired, Failure, Removal};
use crate::api::release::{Promotion, PromotionStep, Strategy};
use crate::api::route_policy::{PolicyVersion, RoutePolicySpec};
use crate::api::status::Tristate;
use crate::api::{ReleaseStatus, RoutePolicyStatus};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Deployment, Meta, Object, Service, StoredRoute, Uid, WeightConfig};
use crate::model::release::Release;
use crate::plan::conditions;

/// What the cluster holds of a Release's concern.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The Release's own `RoutePolicy`.
    pub policy: Option<PolicySeen>,
    /// Every object that the Release owns or may adopt, and whatever else has the name of an object that it makes.
    pub objects: BTreeMap<(Kind, String), Arc<Object<Body>>>,
    /// The routes that the Release's `RoutePolicy` owns, and those with the application's name.
    pub routes: Vec<StoredRoute>,
    /// Kinds of routes of which it is not known which there are.
    pub unlisted: BTreeSet<Kind>,
    /// The status as it is stored.
    pub status: Option<ReleaseStatus>,
    /// Versions whose objects the API server refuses as they are wanted now.
    pub refused: BTreeSet<String>,
}

/// A `RoutePolicy` as it is stored.
#[derive(Clone, Debug)]
pub struct PolicySeen {
    /// Its metadata.
    pub meta: Meta,
    /// Its spec.
    pub spec: RoutePolicySpec,
    /// Its status.
    pub status: Option<RoutePolicyStatus>,
}

impl PolicySeen {
    /// Its entry of that name.
    pub fn entry(&self, name: &str) -> Option<&PolicyVersion> {
        self.spec.versions.iter().find(|version| version.name == name)
    }

    /// The kind of route that it asks for.
    pub fn target_kind(&self) -> Kind {
        if self.spec.route.http_route.is_some() {
            Kind::HttpRoute
        } else {
            Kind::VirtualService
        }
    }

    /// Whether the route follows the policy as it is now and is accepted.
    pub fn is_settled(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            super::policy::status::follows(status, self.meta.generation)
                && super::policy::status::holds(status, conditions::ROUTED)
        })
    }

    /// Whether its status is of a route that sends nobody to this version.
    pub fn gives_nothing(&self, version: &str) -> bool {
        let status = self.status.iter().flat_map(|status| &status.versions);
        let mut told = status.filter(|one| one.name == version);
        told.any(|one| one.percent == Some(0))
    }

    /// When a route that follows the policy as it is now was first accepted.
    pub fn accepted_since(&self) -> Option<DateTime<Utc>> {
        self.status
            .as_ref()?
            .route
            .as_ref()?
            .accepted_since
            .filter(|_| self.is_settled())
    }

    /// When requests that were under way at the switch to this policy are over.
    pub fn drained_at(&self, drain_seconds: i32) -> Option<DateTime<Utc>> {
        Some(self.accepted_since()? + Duration::seconds(i64::from(drain_seconds)))
    }
}

impl Observed {
    /// The object of that kind and name, whoever made it.
    pub fn object(&self, kind: Kind, name: &str) -> Option<&Object<Body>> {
        self.objects.get(&(kind, name.to_owned())).map(Arc::as_ref)
    }

    /// The Deployment of that name, if it is the Release's.
    pub fn deployment(&self, release: &Release, name: &str) -> Option<(&Meta, &Deployment)> {
        let object = self.object(Kind::Deployment, name)?;
        match &object.body {
            Body::Deployment(deployment) if object.meta.is_of(release.uid, &release.name) => {
                Some((&object.meta, deployment))
            }
            _ => None,
        }
    }

    /// The Service of that name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        match &self.object(Kind::Service, name)?.body {
            Body::Service(service) => Some(service),
            _ => None,
        }
    }

    /// The weight `ConfigMap` of that name.
    pub fn weight_config(&self, name: &str) -> Option<&WeightConfig> {
        match &self.object(Kind::ConfigMap, name)?.body {
            Body::ConfigMap(config) => Some(config),
            _ => None,
        }
    }

    /// Whether a version's Deployment and Service can serve.
    pub fn readiness(&self, version: &str) -> Readiness {
        let seen = |kind| self.object(kind, version).map_or(Seen::Absent, Seen::Object);
        readiness::of_version([
            (KindRef::Known(Kind::Service), version, seen(Kind::Service)),
            (KindRef::Known(Kind::Deployment), version, seen(Kind::Deployment)),
        ])
    }

    /// Whether a version can serve for certain.
    pub fn is_ready(&self, version: &str) -> bool {
        self.readiness(version).ready == Tristate::True
    }

    /// Whether a stored route names that port of the Service.
    pub fn names_port(&self, service: &str, port: i32) -> bool {
        let rules = self.routes.iter().flat_map(|route| route.rules.iter());
        let mut named = rules.flat_map(|rule| rule.backends.iter().chain(&rule.mirrors));
        self.route_unknown() || named.any(|backend| *backend.service == *service && backend.port == port)
    }

    /// Whether a stored route names the Service, as far as that can be told.
    pub fn is_routed(&self, service: &str) -> bool {
        let rules = self.routes.iter().flat_map(|route| route.rules.iter());
        let mut named = rules.flat_map(|rule| rule.backends.iter().chain(&rule.mirrors));
        self.route_unknown() || named.any(|backend| *backend.service == *service)
    }

    /// Whether a stored route sends requests to the Service, as far as that can be told.
    pub fn gets_requests(&self, service: &str) -> bool {
        let rules = self.routes.iter().flat_map(|route| route.rules.iter());
        let mut named = rules.flat_map(|rule| &rule.backends);
        self.route_unknown() || named.any(|backend| *backend.service == *service && backend.weight > 0)
    }

    /// Whether it is not known what the policy's route is: it may name anything.
    fn route_unknown(&self) -> bool {
        let policy = self.policy.as_ref();
        policy.is_some_and(|policy| self.unlisted.contains(&policy.target_kind()))
    }
}

/// What is to be done for a Release.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The objects that there should be, unless they are in sync already.
    pub objects: Objects,
    /// A number of replicas to set on a Deployment, for a promotion.
    pub scale: Option<Scale>,
    /// Objects to delete.
    pub removals: Vec<Removal>,
    /// Where the promotion stands.
    pub promotion: Option<promotion::Decision>,
    /// Whether nothing is written but status, and a promotion stays at its step.
    pub stands_still: bool,
    /// Versions whose objects cannot be as they are wanted, and stay as they are.
    pub refused: BTreeSet<String>,
    /// Versions that are to have no replicas, and keep theirs until requests to them have gone to another.
    pub emptying: BTreeSet<String>,
    /// Ports of Services that stay as they are until the pods of before have gone, by version.
    pub held_ports: BTreeMap<String, i32>,
    /// Versions that are no longer in the spec and still have objects, with the time since which nobody is sent there.
    pub leaving: BTreeMap<String, Option<DateTime<Utc>>>,
    /// Whether there is a route that is to go: of the environment of before, or of a policy that is gone.
    pub stale_route: bool,
    /// What is in the way.
    pub failures: Vec<Failure>,
    /// What is left as somebody else set it.
    pub remarks: Vec<String>,
    /// When time alone changes something.
    pub requeue: Option<Duration>,
}

/// The objects of a Release, in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// One per version, unless it is held as it is.
    pub deployments: Vec<Desired>,
    /// One per version, unless it is held as it is; and the application's.
    pub services: Vec<Desired>,
    /// Live weights.
    pub weight_configs: Vec<Desired>,
    /// The routing; last, as it names all others.
    pub policy: Option<Desired>,
}

/// A number of replicas to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    /// The Deployment.
    pub deployment: String,
    /// Its uid.
    pub uid: Uid,
    /// The resourceVersion that the decision was made on.
    pub resource_version: u64,
    /// The number.
    pub replicas: i32,
}

/// Decides what should be done now.
pub fn plan(release: &Release, observed: &Observed, now: DateTime<Utc>) -> Plan {
    let built = workloads::build(release);
    let promotion = promotion::decide(release, observed, &built, now);
    let mut plan = Plan {
        promotion,
        stands_still: release.suspend,
        refused: observed.refused.clone(),
        stale_route: observed.routes.len() > usize::from(observed.policy.is_some()),
        ..Plan::default()
    };
    for (version, failure) in workloads::mismatches(release) {
        plan.refused.insert(version);
        plan.failures.push(failure);
    }
    if let Some(decision) = &plan.promotion {
        plan.scale.clone_from(&decision.scale);
        plan.requeue = decision.requeue;
    }
    emptying::plan(release, observed, &built, now, &mut plan);
    workloads::plan(release, observed, &built, now, &mut plan);
    let unchanged = entries::plan(release, observed, &mut plan);
    removals::plan(release, observed, unchanged, now, &mut plan);
    if plan.stands_still {
        plan.promotion = None;
        plan.objects = Objects::default();
        plan.scale = None;
        plan.removals.clear();
        plan.requeue = None;
    }
    plan
}

/// Whether requests are routed at all.
pub fn is_routed(release: &Release) -> bool {
    release.strategy != Strategy::None
}

impl Plan {
    /// Asks to look again no later than that.
    fn look_again(&mut self, after: Duration) {
        let after = after.max(Duration::milliseconds(1));
        self.requeue = Some(self.requeue.map_or(after, |earlier| earlier.min(after)));
    }

    /// What follows from that which others may change without a word: names that become free, routes that go.
    pub fn awaited(&self) -> (&[Failure], &[Removal], bool) {
        (&self.failures, &self.removals, self.stale_route)
    }

    /// Whether a version's objects are held as they are.
    fn holds(&self, version: &str) -> bool {
        let promotion = self.promotion.iter().flat_map(|decision| &decision.hold);
        self.refused.contains(version) || promotion.into_iter().any(|held| held == version)
    }

    /// The promotion as status tells it.
    fn promotion_status(&self, release: &Release, observed: &Observed, now: DateTime<Utc>) -> Option<Promotion> {
        let old = observed.status.as_ref().and_then(|status| status.promotion.as_ref());
        if self.stands_still {
            return old.cloned();
        }
        let decision = self.promotion.as_ref()?;
        let begun = decision.step != PromotionStep::Scale || promotion::is_current(release, observed);
        let same = old.filter(|old| begun && old.step == decision.step && old.source == decision.source);
        let since = same.map_or_else(|| conditions::seconds(now), |old| old.since);
        Some(Promotion {
            step: decision.step,
            source: decision.source.clone(),
            since,
        })
    }
}
