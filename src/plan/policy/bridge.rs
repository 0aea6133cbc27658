//! The way from one `HTTPRoute` to the next on which no request is lost.
//!
//! A gateway hears of routes and of the backends behind them apart (in xDS: RDS, and CDS with EDS), and some send the two
//! in no order, as Contour: a backend that is new to its routes gets requests before the proxy knows it, and one that
//! leaves them is forgotten while it still gets some. Both end as status 503. So a backend comes in with weight 0 first,
//! and takes requests when the gateway has had time to get to know it; and one that leaves stays with weight 0 as long.
//!
//! A version that is not ready leaves at once: to its requests it makes no difference.

use chrono::Duration;

use super::Observed;
use crate::api::route_policy::Backend;
use crate::api::status::Tristate;
use crate::model::observed::{Meta, StoredRoute};
use crate::model::policy::{Intent, Policy, Rule, Target};
use crate::model::weights::shares;

/// From the second in which a route was stored: proxies follow what a parent reports a little later.
const PROXIES_FOLLOW: Duration = Duration::seconds(2);

/// A route on the way to the one that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    /// What to write, or what is stored.
    pub intent: Intent,
    /// When to look again.
    pub wait: Duration,
}

/// The route to write first; `None`: the wanted one. Only where a parent reports: without a gateway nobody has to follow.
pub(super) fn towards(policy: &Policy, observed: &Observed, wanted: &Intent) -> Option<Bridge> {
    let (meta, stored) = observed.own_route(policy.uid)?;
    if matches!(policy.route, Target::VirtualService(..)) || stored.parents.is_empty() {
        return None;
    }
    let age = observed.route_age.unwrap_or(PROXIES_FOLLOW);
    let span = Span {
        policy,
        observed,
        stored,
        wanted,
        settled: age >= PROXIES_FOLLOW && reported(meta, stored),
    };
    let intent = span.intent()?;
    let wait = if age < PROXIES_FOLLOW {
        PROXIES_FOLLOW - age
    } else {
        PROXIES_FOLLOW
    };
    Some(Bridge { intent, wait })
}

/// Whether every parent has seen the route as it is now, whatever it thinks of it.
fn reported(meta: &Meta, stored: &StoredRoute) -> bool {
    let mut reports = stored.parents.iter();
    reports.all(|report| report.observed_generation >= meta.generation)
}

/// The two ends.
struct Span<'a> {
    policy: &'a Policy,
    observed: &'a Observed,
    stored: &'a StoredRoute,
    wanted: &'a Intent,
    /// Whether the gateway has had time for the stored route.
    settled: bool,
}

impl Span<'_> {
    fn intent(&self) -> Option<Intent> {
        let fresh: Vec<&Backend> = self.backends().filter(|backend| !self.knows(backend)).collect();
        let stays = |rule: &Rule| rule.matches.is_empty() || rule.backends.iter().all(|(one, _)| self.knows(one));
        let mut rules: Vec<Rule> = self.wanted.rules.iter().filter(|rule| stays(rule)).cloned().collect();
        let catch_all = rules.last_mut()?;
        let held = self.held(catch_all);
        let mut silent: Vec<Backend> = Vec::new();
        if held.is_empty() {
            // Nobody else could answer meanwhile.
            rules.clone_from(&self.wanted.rules);
        } else {
            catch_all.backends = held;
            silent.extend(fresh.into_iter().cloned());
        }
        silent.extend(self.leaving());
        if silent.is_empty() {
            return None;
        }
        let catch_all = rules.last_mut()?;
        silent.retain(|backend| catch_all.backends.iter().all(|(other, _)| other != backend));
        catch_all
            .backends
            .extend(silent.into_iter().map(|backend| (backend, 0)));
        Some(Intent { rules })
    }

    /// Those that are wanted.
    fn backends(&self) -> impl Iterator<Item = &Backend> {
        let backends = self.wanted.rules.iter().flat_map(|rule| &rule.backends);
        backends.map(|(backend, _)| backend)
    }

    /// Whether the gateway knows the backend.
    fn knows(&self, backend: &Backend) -> bool {
        self.stored_weight(backend)
            .is_some_and(|weight| weight > 0 || self.settled)
    }

    /// The most that a rule of the stored route gives the backend; `None` if none names it.
    fn stored_weight(&self, backend: &Backend) -> Option<i32> {
        let backends = self.stored.rules.iter().flat_map(|rule| &rule.backends);
        backends
            .filter(|one| *one.service == *backend.name && one.port == backend.port)
            .map(|one| one.weight)
            .max()
    }

    /// Who takes the requests of the catch-all meanwhile: those of the wanted that the gateway knows, or those that have
    /// them now.
    fn held(&self, wanted: &Rule) -> Vec<(Backend, i32)> {
        let known = wanted.backends.iter().filter(|(backend, _)| self.knows(backend));
        let mut held: Vec<(Backend, i32)> = known.cloned().collect();
        if held.is_empty() {
            let now = self.stored.rules.iter().filter(|rule| !rule.matched);
            held = now
                .flat_map(|rule| &rule.backends)
                .map(|one| (named(&one.service, one.port), one.weight))
                .filter(|(backend, weight)| *weight > 0 && self.may_serve(backend))
                .collect();
        }
        let relative: Vec<i32> = held.iter().map(|(_, weight)| *weight).collect();
        for ((_, weight), share) in held.iter_mut().zip(shares(&relative)) {
            *weight = share;
        }
        held
    }

    /// Those that are not wanted any more, while the gateway may still send requests to them.
    fn leaving(&self) -> Vec<Backend> {
        let backends = self.stored.rules.iter().flat_map(|rule| &rule.backends);
        let mut leaving: Vec<Backend> = backends
            .filter(|one| one.weight > 0 || !self.settled)
            .map(|one| named(&one.service, one.port))
            .filter(|backend| self.may_serve(backend) && !self.backends().any(|wanted| wanted == backend))
            .collect();
        leaving.sort();
        leaving.dedup();
        leaving
    }

    /// Whether the backend is not known to be unable to answer. Of one that the policy does not name nothing is known.
    fn may_serve(&self, backend: &Backend) -> bool {
        let mut versions = self.policy.versions.iter().zip(&self.observed.readiness);
        versions
            .find(|(version, _)| version.backend == *backend)
            .is_none_or(|(_, readiness)| readiness.ready != Tristate::False)
    }
}

fn named(service: &str, port: i32) -> Backend {
    Backend {
        name: service.to_owned(),
        port,
    }
}
