//! What a `RoutePolicy`'s status says: every version's readiness and share, the route, and whether it is accepted.

use chrono::{DateTime, Duration, Utc};

use super::acceptance::{self, Acceptance};
use super::{Observed, Plan, target_kind};
use crate::api::RoutePolicyStatus;
use crate::api::route_policy::RoutingStrategy;
use crate::api::status::{Role, RouteStatus, Summary, Tristate, VersionStatus};
use crate::model::observed::{StoredBackend, StoredRoute};
use crate::model::policy::Policy;
use crate::model::reason;
use crate::plan::conditions::{self, Verdict, seconds};
use crate::plan::{Event, Failure};

/// Seconds after which a refused route counts as stalled.
const REFUSED_STALLS_AFTER: i64 = 60;

/// A status, the events of what changed, and when to look again.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The status.
    pub status: RoutePolicyStatus,
    /// What changed since the stored status.
    pub events: Vec<Event>,
    /// When time alone changes something.
    pub requeue: Option<Duration>,
}

/// Whether the status, and the route with it, follow that generation of the policy.
pub fn follows(status: &RoutePolicyStatus, generation: i64) -> bool {
    status.observed_generation == generation
        && status
            .route
            .as_ref()
            .is_some_and(|route| route.policy_generation == generation)
}

/// Whether that condition is True.
pub fn holds(status: &RoutePolicyStatus, type_: &str) -> bool {
    conditions::find(&status.conditions, type_).is_some_and(|condition| condition.status == Tristate::True)
}

/// Builds the status from what is stored now; `failures` are those of the writes.
pub fn report(policy: &Policy, observed: &Observed, plan: &Plan, failures: &[Failure], now: DateTime<Utc>) -> Report {
    let old = observed.status.clone().unwrap_or_default();
    let versions = versions(policy, observed, plan, &old, now);
    let stored = observed.own_route(policy.uid);
    let parents = acceptance::known_parents(policy, stored, &old);
    let acceptance = match plan.on_its_way {
        Some(_) => Acceptance::Pending("the gateway gets to know who comes, and forgets who leaves".to_owned()),
        None => acceptance::of(policy, stored, &parents),
    };
    let route = stored.map(|(_, route)| {
        route_status(
            policy,
            plan,
            failures.is_empty(),
            route,
            &acceptance,
            parents,
            &old,
            was_replaced(policy, &versions, &old),
            now,
        )
    });
    let failures: Vec<Failure> = plan.failures.iter().chain(failures).cloned().collect();
    let left_alone = plan.intent.is_none() && stored.is_some_and(|(_, route)| !answers_as_asked(policy, route));
    let current = route
        .as_ref()
        .is_some_and(|route| route.policy_generation == policy.generation && !left_alone);
    let routed = unknown(observed).unwrap_or_else(|| routed(policy, plan, stored.is_some(), current, &acceptance));
    let (stalled, requeue) = stalled(&failures, &routed, &old, now);
    let requeue = requeue.into_iter().chain(plan.on_its_way).min();
    let verdicts = verdicts(policy.strategy, &versions, observed, plan, &failures, routed, stalled);
    let summary = Summary {
        versions: format!(
            "{}/{}",
            versions
                .iter()
                .filter(|version| version.ready == Tristate::True)
                .count(),
            versions.len()
        ),
        traffic: traffic(policy.strategy, &versions, stored.is_some()),
        images: String::new(),
    };
    let conditions = conditions::stamp(verdicts, &old.conditions, policy.generation, now);
    let status = RoutePolicyStatus {
        observed_generation: policy.generation,
        versions,
        route,
        conditions,
        summary,
    };
    let events = events(&old, &status);
    Report {
        status,
        events,
        requeue,
    }
}

fn versions(
    policy: &Policy,
    observed: &Observed,
    plan: &Plan,
    old: &RoutePolicyStatus,
    now: DateTime<Utc>,
) -> Vec<VersionStatus> {
    let stored = observed.own_route(policy.uid).map(|(_, route)| route);
    let mut list = Vec::with_capacity(policy.versions.len());
    for (index, version) in policy.versions.iter().enumerate() {
        let Some(readiness) = observed.readiness.get(index) else {
            continue;
        };
        let weight = plan.weights.get(index);
        let role = if index == 0 { Role::Primary } else { Role::Candidate };
        let before = old.versions.iter().find(|one| one.name == version.name);
        let same = before.filter(|one| one.ready == readiness.ready && one.role == role);
        list.push(VersionStatus {
            name: version.name.clone(),
            role,
            ready: readiness.ready,
            reason: readiness.reason.to_owned(),
            weight: weight
                .filter(|_| weighted(policy.strategy, index))
                .map(|weight| weight.weight),
            percent: stored.and_then(|route| percent(policy.strategy, index, &version.backend.name, route)),
            source: weight.map(|weight| weight.source).unwrap_or_default(),
            since: same.map_or_else(|| seconds(now), |one| one.since),
        });
    }
    list
}

/// Whether a weight means something for the version.
fn weighted(strategy: RoutingStrategy, index: usize) -> bool {
    match strategy {
        RoutingStrategy::BlueGreen => true,
        RoutingStrategy::Mirror => index > 0,
        RoutingStrategy::Canary => false,
    }
}

/// The share that the stored route gives to a Service; of a mirrored candidate, the percentage of copies.
fn percent(strategy: RoutingStrategy, index: usize, service: &str, route: &StoredRoute) -> Option<i32> {
    let of = |backends: &[StoredBackend]| -> i32 {
        backends
            .iter()
            .filter(|one| *one.service == *service)
            .map(|one| one.weight)
            .sum()
    };
    let answers: i32 = route
        .rules
        .iter()
        .filter(|rule| !rule.matched)
        .map(|rule| of(&rule.backends))
        .sum();
    match strategy {
        RoutingStrategy::Mirror if index > 0 && answers == 0 => {
            Some(route.rules.iter().map(|rule| of(&rule.mirrors)).sum())
        }
        RoutingStrategy::Canary if index > 0 && answers == 0 => {
            let matched = route.rules.iter().any(|rule| rule.matched && of(&rule.backends) > 0);
            (!matched).then_some(0)
        }
        _ => Some(answers),
    }
}

/// What each version gets, for a column: `30/70`; `100/match` (canary); `100/copy:50` (mirror).
pub fn traffic(strategy: RoutingStrategy, versions: &[VersionStatus], routed: bool) -> String {
    if !routed {
        return "-".to_owned();
    }
    let part = |version: &VersionStatus| match (strategy, version.role, version.percent) {
        (RoutingStrategy::Canary, _, None) => "match".to_owned(),
        (RoutingStrategy::Mirror, Role::Candidate, Some(percent)) if percent > 0 => format!("copy:{percent}"),
        (_, _, percent) => percent.unwrap_or(0).to_string(),
    };
    versions.iter().map(part).collect::<Vec<_>>().join("/")
}

#[allow(clippy::too_many_arguments)] // a struct of these would only be taken apart again
fn route_status(
    policy: &Policy,
    plan: &Plan,
    written: bool,
    stored: &StoredRoute,
    acceptance: &Acceptance,
    parents: Vec<String>,
    old: &RoutePolicyStatus,
    replaced: bool,
    now: DateTime<Utc>,
) -> RouteStatus {
    let kind = target_kind(&policy.route);
    let before = old
        .route
        .as_ref()
        .filter(|route| route.kind == kind.kind() && route.name == policy.route.name());
    let as_asked = answers_as_asked(policy, stored);
    // A route that stays as it was follows this generation too, as long as nobody answers who should not.
    let follows = match &plan.route {
        Some(_) => written,
        None => !policy.suspend && plan.intent.is_none() && as_asked,
    };
    let policy_generation = if follows {
        policy.generation
    } else {
        before.map_or(0, |route| route.policy_generation)
    };
    let same = before.filter(|route| route.policy_generation == policy_generation && !replaced);
    // On the way to this generation, those who leave may serve for as long as nobody else can: no drain has begun.
    let same = same.filter(|_| as_asked);
    let first_accepted = same.and_then(|route| route.accepted_since);
    let accepted = matches!(acceptance, Acceptance::Accepted(_)) && as_asked;
    RouteStatus {
        api_version: kind.api_version().to_owned(),
        kind: kind.kind().to_owned(),
        name: policy.route.name().to_owned(),
        policy_generation,
        accepted_since: first_accepted.or_else(|| accepted.then(|| next_second(now))),
        parents,
    }
}

/// Whether a version has just left the route as another stands in for it: that may be long after the route began to
/// follow the policy, if the other was not ready then.
fn was_replaced(policy: &Policy, versions: &[VersionStatus], old: &RoutePolicyStatus) -> bool {
    let served = policy
        .versions
        .iter()
        .filter_map(|version| versions.get(version.serves_for?));
    let mut out = served.filter(|version| version.percent == Some(0));
    out.any(|version| {
        let before = old.versions.iter().find(|one| one.name == version.name);
        before.is_some_and(|before| before.percent != Some(0))
    })
}

/// Rounded up, so that a drain that is counted from it is never too short.
fn next_second(now: DateTime<Utc>) -> DateTime<Utc> {
    let floor = seconds(now);
    if floor == now {
        floor
    } else {
        floor + Duration::seconds(1)
    }
}

/// Whether nobody gets requests, or copies, but versions of the policy where its strategy has a place for them. A route that
/// is on its way, or waits for a version to be ready, may have others.
fn answers_as_asked(policy: &Policy, stored: &StoredRoute) -> bool {
    let position = |named: &StoredBackend| {
        let mut backends = policy.versions.iter().map(|version| &version.backend);
        backends.position(|backend| *backend.name == *named.service && backend.port == named.port)
    };
    let answers = |matched: bool, one: &StoredBackend| match (policy.strategy, position(one)) {
        (_, None) => false,
        (RoutingStrategy::BlueGreen, Some(_)) => !matched,
        (RoutingStrategy::Canary, Some(index)) => matched || policy.may_be_primary(index),
        (RoutingStrategy::Mirror, Some(index)) => !matched && policy.may_be_primary(index),
    };
    stored.rules.iter().all(|rule| {
        let mut backends = rule.backends.iter().filter(|one| one.weight > 0);
        backends.all(|one| answers(rule.matched, one)) && rule.mirrors.iter().all(|one| position(one).is_some())
    })
}

/// Where it is not known which routes there are.
fn unknown(observed: &Observed) -> Option<Verdict> {
    let failure = observed.kind_failure.as_ref().filter(|failure| !failure.stalled)?;
    let Failure { reason, message, .. } = failure;
    Some(Verdict::new(
        conditions::ROUTED,
        Tristate::Unknown,
        reason,
        message.clone(),
    ))
}

fn routed(policy: &Policy, plan: &Plan, exists: bool, current: bool, acceptance: &Acceptance) -> Verdict {
    let verdict = |status, reason: &str, message: String| Verdict::new(conditions::ROUTED, status, reason, message);
    let name = format!("{} {}", target_kind(&policy.route), policy.route.name());
    if policy.suspend {
        return verdict(
            Tristate::Unknown,
            reason::SUSPENDED,
            format!("{name} is not written: spec.suspend is true"),
        );
    }
    if !exists {
        let message = format!("{name} is made as soon as a version can answer");
        return verdict(Tristate::False, reason::NO_READY_VERSION, message);
    }
    if !current {
        let message = if plan.intent.is_none() {
            format!("{name} is as it was before the last edit: who is to answer now is not ready")
        } else {
            format!("{name} could not be written")
        };
        return verdict(Tristate::False, reason::NOT_CURRENT, message);
    }
    match acceptance {
        Acceptance::Accepted(reason) => verdict(Tristate::True, reason, format!("{name} is in force")),
        Acceptance::Pending(message) => verdict(Tristate::Unknown, reason::PENDING, format!("{name}: {message}")),
        Acceptance::Refused { reason, message } => {
            let reason = if reason.is_empty() {
                reason::NOT_ACCEPTED
            } else {
                reason
            };
            verdict(Tristate::False, reason, format!("{name}: {message}"))
        }
    }
}

fn stalled(
    failures: &[Failure],
    routed: &Verdict,
    old: &RoutePolicyStatus,
    now: DateTime<Utc>,
) -> (Verdict, Option<Duration>) {
    let verdict = |status, reason: &str, message: &str| Verdict::new(conditions::STALLED, status, reason, message);
    if let Some(failure) = failures.iter().find(|failure| failure.stalled) {
        return (verdict(Tristate::True, &failure.reason, &failure.message), None);
    }
    let refused = routed.status == Tristate::False
        && !matches!(routed.reason.as_str(), reason::NO_READY_VERSION | reason::NOT_CURRENT);
    if refused {
        let since = conditions::find(&old.conditions, conditions::ROUTED)
            .filter(|condition| condition.status == Tristate::False)
            .map_or(now, |condition| condition.last_transition_time);
        let left = since + Duration::seconds(REFUSED_STALLS_AFTER) - now;
        if left > Duration::zero() {
            return (verdict(Tristate::False, reason::PROGRESSING, ""), Some(left));
        }
        return (verdict(Tristate::True, &routed.reason, &routed.message), None);
    }
    (verdict(Tristate::False, reason::PROGRESSING, ""), None)
}

/// All conditions; `Ready` takes the first thing that is not as it should be.
fn verdicts(
    strategy: RoutingStrategy,
    versions: &[VersionStatus],
    observed: &Observed,
    plan: &Plan,
    failures: &[Failure],
    routed: Verdict,
    stalled: Verdict,
) -> Vec<Verdict> {
    let messages: Vec<String> = observed
        .readiness
        .iter()
        .map(|readiness| readiness.message.clone())
        .collect();
    let versions_ready = versions_ready(versions, &messages);
    let transient = failures.first().filter(|_| stalled.status != Tristate::True);
    let ready = if stalled.status == Tristate::True {
        (Tristate::False, stalled.reason.clone(), stalled.message.clone())
    } else if let Some(failure) = transient {
        (Tristate::False, failure.reason.clone(), failure.message.clone())
    } else if versions_ready.status != Tristate::True {
        (
            Tristate::False,
            versions_ready.reason.clone(),
            versions_ready.message.clone(),
        )
    } else if routed.status != Tristate::True {
        (Tristate::False, routed.reason.clone(), routed.message.clone())
    } else {
        let (reason, message) = remark(strategy, plan);
        (Tristate::True, reason, message)
    };
    let ready = Verdict {
        type_: conditions::READY,
        status: ready.0,
        reason: ready.1,
        message: ready.2,
    };
    let reconciling = conditions::reconciling(&ready, &stalled);
    vec![ready, versions_ready, routed, reconciling, stalled]
}

/// What is worth saying of a policy that is as it should be.
fn remark(strategy: RoutingStrategy, plan: &Plan) -> (String, String) {
    if let Some((config, text)) = plan.weights.iter().find_map(|weight| weight.bad.clone()) {
        let message = format!(
            "ConfigMap {config} has annotation iter8.tools/weight: {text:?}, which is no integer 0..100; the last good weight stays"
        );
        return (reason::INVALID_WEIGHT.to_owned(), message);
    }
    if strategy == RoutingStrategy::BlueGreen && plan.weights.iter().all(|weight| weight.weight == 0) {
        let message = "no version has a weight above 0: the primary gets every request";
        return (reason::ALL_WEIGHTS_ZERO.to_owned(), message.to_owned());
    }
    (
        reason::READY.to_owned(),
        "all versions are ready and the route is in force".to_owned(),
    )
}

/// Condition `VersionsReady` from the versions in order and the sentences on their objects.
pub fn versions_ready(versions: &[VersionStatus], messages: &[String]) -> Verdict {
    let worst = versions
        .iter()
        .enumerate()
        .find(|(_, version)| version.ready != Tristate::True);
    let Some((index, version)) = worst else {
        return Verdict::new(
            conditions::VERSIONS_READY,
            Tristate::True,
            reason::READY,
            "all versions are ready",
        );
    };
    let reason = if version.role == Role::Primary {
        reason::PRIMARY_NOT_READY
    } else {
        reason::CANDIDATE_NOT_READY
    };
    let detail = messages.get(index).filter(|message| !message.is_empty()).cloned();
    let message = format!(
        "version {} is not ready: {}",
        version.name,
        detail.unwrap_or_else(|| version.reason.clone())
    );
    let status = if version.ready == Tristate::Unknown {
        Tristate::Unknown
    } else {
        Tristate::False
    };
    Verdict::new(conditions::VERSIONS_READY, status, reason, message)
}

fn events(old: &RoutePolicyStatus, new: &RoutePolicyStatus) -> Vec<Event> {
    let mut events = Vec::new();
    for version in &new.versions {
        let before = old
            .versions
            .iter()
            .find(|one| one.name == version.name)
            .map(|one| one.ready);
        match (before, version.ready) {
            (Some(Tristate::True), Tristate::False) => {
                events.push(Event::warning(
                    reason::VERSION_NOT_READY,
                    format!("version {}: {}", version.name, version.reason),
                ));
            }
            (Some(Tristate::False | Tristate::Unknown), Tristate::True) => {
                events.push(Event::normal(
                    reason::VERSION_READY,
                    format!("version {} is ready", version.name),
                ));
            }
            _ => {}
        }
    }
    if let Some(route) = new
        .route
        .as_ref()
        .filter(|_| old.summary.traffic != new.summary.traffic)
    {
        let note = format!("{} {} now gives {}", route.kind, route.name, new.summary.traffic);
        events.push(Event::normal(reason::ROUTE_UPDATED, note));
    }
    events.extend(conditions::transitions(&old.conditions, &new.conditions));
    events
}
