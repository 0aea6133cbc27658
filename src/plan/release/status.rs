//! What a Release's status says: every version, what it gets and why, and where a promotion stands.

use chrono::{DateTime, Utc};

use super::{Observed, Plan, PolicySeen, is_routed, removals};
use crate::api::release::{PromotionStep, Strategy};
use crate::api::route_policy::RoutingStrategy;
use crate::api::status::{Condition, Role, Summary, Tristate, VersionStatus, WeightSource};
use crate::api::{ReleaseStatus, RoutePolicyStatus};
use crate::model::reason;
use crate::model::release::{Release, Version};
use crate::plan::conditions::{self, Verdict, seconds};
use crate::plan::policy::status::{traffic, versions_ready};
use crate::plan::readiness::badness;
use crate::plan::{Event, Failure};

/// Versions that the status has room for: of those that leave the first by name.
const MAX_VERSIONS: usize = 32;

/// A status, and the events of what changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The status; `None`: it is written when the `RoutePolicy` has caught up, which wakes the Release again.
    pub status: Option<ReleaseStatus>,
    /// What changed since the stored status.
    pub events: Vec<Event>,
}

/// Builds the status from what is stored now; `failures` are those of the writes.
pub fn report(release: &Release, observed: &Observed, plan: &Plan, failures: &[Failure], now: DateTime<Utc>) -> Report {
    let old = observed.status.clone().unwrap_or_default();
    let failures: Vec<Failure> = plan.failures.iter().chain(failures).cloned().collect();
    let promotion = plan.promotion_status(release, observed, now);
    let policy = observed.policy.as_ref().filter(|_| is_routed(release));
    let behind = is_routed(release) && caught_up(policy).is_none();
    if behind && failures.is_empty() && promotion == old.promotion && !plan.stands_still {
        return Report {
            status: None,
            events: Vec::new(),
        };
    }
    let reported = policy.and_then(|policy| policy.status.as_ref());
    let (versions, messages) = versions(release, observed, plan, reported, &old, now);
    let route = reported.and_then(|status| status.route.clone());
    let routed = routed(release, reported, behind);
    let step = promotion.as_ref().map(|promotion| promotion.step);
    let verdicts = verdicts(release, plan, step, &failures, (&versions, &messages), routed, reported);
    let conditions = conditions::stamp(verdicts, &old.conditions, release.generation, now);
    let summary = summary(release, observed, &versions, route.is_some());
    let status = ReleaseStatus {
        observed_generation: release.generation,
        versions,
        route,
        promotion,
        conditions,
        summary,
    };
    let events = transitions(release, &old, &status, plan);
    Report {
        status: Some(status),
        events,
    }
}

/// The status of a Release that cannot be planned at all: it is invalid, or cannot be read.
pub fn rejected(generation: i64, old: Option<&ReleaseStatus>, failure: &Failure, now: DateTime<Utc>) -> Report {
    let old = old.cloned().unwrap_or_default();
    let conditions = conditions::stamp(conditions::rejected(failure), &old.conditions, generation, now);
    let status = ReleaseStatus {
        observed_generation: generation,
        conditions,
        ..old.clone()
    };
    let events = conditions::transitions(&old.conditions, &status.conditions);
    Report {
        status: Some(status),
        events,
    }
}

/// The policy's status, if it was computed for the policy as it is.
fn caught_up(policy: Option<&PolicySeen>) -> Option<&RoutePolicyStatus> {
    let policy = policy?;
    policy
        .status
        .as_ref()
        .filter(|status| status.observed_generation == policy.meta.generation)
}

fn versions(
    release: &Release,
    observed: &Observed,
    plan: &Plan,
    reported: Option<&RoutePolicyStatus>,
    old: &ReleaseStatus,
    now: DateTime<Utc>,
) -> (Vec<VersionStatus>, Vec<String>) {
    let mut versions = Vec::new();
    let mut messages = Vec::new();
    for (index, version) in release.versions.iter().enumerate() {
        let role = if index == 0 { Role::Primary } else { Role::Candidate };
        let readiness = observed.readiness(&version.name);
        messages.push(readiness.message);
        let known = reported.and_then(|status| status.versions.iter().find(|one| one.name == version.name));
        let mut status = known.cloned().unwrap_or_else(|| VersionStatus {
            name: version.name.clone(),
            role,
            ready: readiness.ready,
            reason: readiness.reason.to_owned(),
            weight: None,
            percent: None,
            source: WeightSource::Spec,
            since: seconds(now),
        });
        status.role = role;
        // The policy may not have looked since then.
        if badness(readiness.ready) > badness(status.ready) {
            status.ready = readiness.ready;
            readiness.reason.clone_into(&mut status.reason);
        }
        versions.push(keep_since(status, old));
    }
    // Until somebody has taken the requests over, who leaves still gets what it got.
    let taken_over = versions
        .iter()
        .any(|version| version.percent.is_some_and(|percent| percent > 0));
    let room = MAX_VERSIONS.saturating_sub(versions.len());
    for (name, since) in plan.leaving.iter().take(room) {
        let known = reported.and_then(|status| status.versions.iter().find(|one| one.name == *name));
        let readiness = observed.readiness(name);
        let reason = if since.is_some() {
            removals::DRAINING
        } else {
            readiness.reason
        };
        let status = VersionStatus {
            name: name.clone(),
            role: Role::Leaving,
            ready: readiness.ready,
            reason: reason.to_owned(),
            weight: known.and_then(|known| known.weight),
            percent: known.map_or_else(
                || if taken_over { Some(0) } else { before(name, old) },
                |known| known.percent,
            ),
            source: known.map(|known| known.source).unwrap_or_default(),
            since: since.unwrap_or_else(|| seconds(now)),
        };
        versions.push(if since.is_some() {
            status
        } else {
            keep_since(status, old)
        });
    }
    (versions, messages)
}

/// The share that the version had.
fn before(name: &str, old: &ReleaseStatus) -> Option<i32> {
    old.versions.iter().find(|one| one.name == name)?.percent
}

/// A version whose readiness and role stay keeps its time.
fn keep_since(mut status: VersionStatus, old: &ReleaseStatus) -> VersionStatus {
    let before = old.versions.iter().find(|one| one.name == status.name);
    if let Some(before) = before.filter(|before| before.ready == status.ready && before.role == status.role) {
        status.since = before.since;
    }
    status
}

fn verdicts(
    release: &Release,
    plan: &Plan,
    step: Option<PromotionStep>,
    failures: &[Failure],
    (versions, messages): (&[VersionStatus], &[String]),
    routed: Verdict,
    reported: Option<&RoutePolicyStatus>,
) -> Vec<Verdict> {
    let spec: Vec<VersionStatus> = versions
        .iter()
        .filter(|one| one.role != Role::Leaving)
        .cloned()
        .collect();
    let versions_ready = versions_ready(&spec, messages);
    let stalled = stalled(failures, plan, reported);
    let ready = ready(
        release,
        plan,
        step,
        failures,
        (&versions_ready, &routed, &stalled),
        reported,
        versions,
    );
    let reconciling = conditions::reconciling(&ready, &stalled);
    vec![ready, versions_ready, routed, reconciling, stalled]
}

fn copied(type_: &'static str, condition: &Condition) -> Verdict {
    Verdict::new(type_, condition.status, &condition.reason, condition.message.clone())
}

/// As the policy says; while it is `behind`, what it says is about an earlier one.
fn routed(release: &Release, reported: Option<&RoutePolicyStatus>, behind: bool) -> Verdict {
    if !is_routed(release) {
        return Verdict::new(
            conditions::ROUTED,
            Tristate::True,
            reason::NOT_ROUTED,
            "strategy none routes nothing",
        );
    }
    let reported = reported.filter(|_| !behind);
    let condition = reported.and_then(|status| conditions::find(&status.conditions, conditions::ROUTED));
    condition.map_or_else(
        || {
            Verdict::new(
                conditions::ROUTED,
                Tristate::Unknown,
                reason::PENDING,
                "the RoutePolicy has not reported on its newest generation yet",
            )
        },
        |condition| copied(conditions::ROUTED, condition),
    )
}

fn stalled(failures: &[Failure], plan: &Plan, reported: Option<&RoutePolicyStatus>) -> Verdict {
    let verdict = |reason: &str, message: &str| Verdict::new(conditions::STALLED, Tristate::True, reason, message);
    if let Some(failure) = failures.iter().find(|failure| failure.stalled) {
        return verdict(&failure.reason, &failure.message);
    }
    if let Some(decision) = plan.promotion.as_ref().filter(|decision| decision.failed) {
        return verdict(reason::ROLLOUT_FAILED, &decision.message);
    }
    let condition = reported.and_then(|status| conditions::find(&status.conditions, conditions::STALLED));
    match condition.filter(|condition| condition.status == Tristate::True) {
        Some(condition) => copied(conditions::STALLED, condition),
        None => Verdict::new(conditions::STALLED, Tristate::False, reason::PROGRESSING, ""),
    }
}

/// `Ready` takes the first thing that is not as it should be.
fn ready(
    release: &Release,
    plan: &Plan,
    step: Option<PromotionStep>,
    failures: &[Failure],
    (versions, routed, stalled): (&Verdict, &Verdict, &Verdict),
    reported: Option<&RoutePolicyStatus>,
    all: &[VersionStatus],
) -> Verdict {
    let not = |reason: &str, message: &str| Verdict::new(conditions::READY, Tristate::False, reason, message);
    if stalled.status == Tristate::True {
        return not(&stalled.reason, &stalled.message);
    }
    if let Some(failure) = failures.first() {
        return not(&failure.reason, &failure.message);
    }
    if release.suspend {
        let stands = step.map(|step| format!("; the promotion stands still in {step:?}"));
        let message = format!("spec.suspend is true: nothing is written{}", stands.unwrap_or_default());
        return not(reason::SUSPENDED, &message);
    }
    if let Some(decision) = &plan.promotion {
        return if decision.step == PromotionStep::InPlace {
            not(reason::ROLLING_IN_PLACE, &decision.message)
        } else {
            not(reason::PROMOTING, &format!("{:?}: {}", decision.step, decision.message))
        };
    }
    if let Some(name) = plan.emptying.first() {
        let message = format!("version {name} is to have no replicas: requests under way to it end first");
        return not(removals::DRAINING, &message);
    }
    if let Some(bad) = [versions, routed]
        .into_iter()
        .find(|verdict| verdict.status != Tristate::True)
    {
        return not(&bad.reason, &bad.message);
    }
    if let Some(leaving) = all.iter().find(|version| version.role == Role::Leaving) {
        return not(
            reason::REMOVING,
            &format!("version {} is no longer in the spec and goes", leaving.name),
        );
    }
    let remark = plan.remarks.join("; ");
    let said = reported.and_then(|status| conditions::find(&status.conditions, conditions::READY));
    match said.filter(|condition| condition.status == Tristate::True && condition.reason != reason::READY) {
        Some(condition) => copied(conditions::READY, condition),
        None if remark.is_empty() => Verdict::new(
            conditions::READY,
            Tristate::True,
            reason::READY,
            "every version is ready and gets what it should",
        ),
        None => Verdict::new(conditions::READY, Tristate::True, reason::READY, remark),
    }
}

fn summary(release: &Release, observed: &Observed, versions: &[VersionStatus], routed: bool) -> Summary {
    let spec: Vec<&VersionStatus> = versions
        .iter()
        .filter(|version| version.role != Role::Leaving)
        .collect();
    let ready = spec.iter().filter(|version| version.ready == Tristate::True).count();
    let strategy = match release.strategy {
        Strategy::None => None,
        Strategy::BlueGreen => Some(RoutingStrategy::BlueGreen),
        Strategy::Canary => Some(RoutingStrategy::Canary),
        Strategy::Mirror => Some(RoutingStrategy::Mirror),
    };
    Summary {
        versions: format!("{ready}/{}", spec.len()),
        traffic: strategy.map_or_else(|| "-".to_owned(), |strategy| traffic(strategy, versions, routed)),
        images: images(release, observed),
    }
}

fn images(release: &Release, observed: &Observed) -> String {
    let image = |version: &Version| {
        let live = observed.deployment(release, &version.name);
        let live = live.map(|(_, deployment)| deployment.images.join("+"));
        live.or_else(|| version.image.clone()).unwrap_or_default()
    };
    release.versions.iter().map(image).collect::<Vec<_>>().join(",")
}

fn transitions(release: &Release, old: &ReleaseStatus, new: &ReleaseStatus, plan: &Plan) -> Vec<Event> {
    let mut events = Vec::new();
    let step = |status: &ReleaseStatus| status.promotion.as_ref().map(|one| (one.step, one.source.clone()));
    if let (Some(decision), true) = (&plan.promotion, step(old) != step(new)) {
        let note = format!("{:?}: {}", decision.step, decision.message);
        events.push(Event::normal(reason::PROMOTION, note));
    }
    if let (Some(before), None) = (&old.promotion, &new.promotion) {
        events.push(ended(release, before.step));
    }
    for gone in old
        .versions
        .iter()
        .filter(|one| new.versions.iter().all(|version| version.name != one.name))
    {
        events.push(Event::normal(
            reason::VERSION_REMOVED,
            format!("version {} is gone", gone.name),
        ));
    }
    let ready = |conditions: &[Condition]| {
        conditions::find(conditions, conditions::READY).is_some_and(|condition| condition.status == Tristate::True)
    };
    if ready(&new.conditions) && !ready(&old.conditions) {
        events.push(Event::normal(reason::READY, format!("traffic {}", new.summary.traffic)));
    }
    events.extend(conditions::transitions(&old.conditions, &new.conditions));
    events
}

/// What a promotion came to that was in this step.
fn ended(release: &Release, step: PromotionStep) -> Event {
    let rolled = match step {
        PromotionStep::Scale | PromotionStep::Switch => false,
        PromotionStep::Roll | PromotionStep::Return | PromotionStep::InPlace => is_routed(release),
    };
    match release.versions.first().filter(|_| rolled) {
        Some(primary) => Event::normal(
            reason::PROMOTED,
            format!("{} serves what the spec asks for", primary.name),
        ),
        None => Event::normal(reason::PROMOTION, format!("ended in {step:?} by an edit")),
    }
}
