//! The way from one route to the next on which no request is lost.
//!
//! A gateway hears of routes and of the backends behind them apart (in xDS: RDS, and CDS with EDS), and some send the two
//! in no order, as Contour: a backend that is new to its routes gets requests before the proxy knows it, and one that
//! leaves them is forgotten while it still gets some. Both end as status 503. So a backend comes in with weight 0 first,
//! and takes requests when the gateway has had time to get to know it; and one that leaves stays with weight 0 as long.
//!
//! Istio tells its proxies of every Service, whatever the `VirtualService` says, and does not report. But if it tells of a
//! Service and of a route to it at once, proxies get requests before they know its endpoints (status 503 again). So a
//! backend comes in when its Service has been there for a moment; as a rule it is ready later than that.
//!
//! A version that is not ready leaves at once: to its requests it makes no difference.

use chrono::Duration;

use super::{Observed, acceptance};
use crate::api::route_policy::Backend;
use crate::api::status::Tristate;
use crate::model::observed::{ParentReport, StoredRoute};
use crate::model::policy::{Intent, Policy, Rule, Target};
use crate::model::weights::shares;

/// From the second in which a route or a Service was stored: proxies follow a little later.
const PROXIES_FOLLOW: Duration = Duration::seconds(2);

/// A route on the way to the one that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    /// What to write, or what is stored.
    pub intent: Intent,
    /// When to look again.
    pub wait: Duration,
}

/// The route to write first; `None`: the wanted one. Of an `HTTPRoute` only where a parent reports: without a gateway
/// nobody has to follow.
pub(super) fn towards(policy: &Policy, observed: &Observed, wanted: &Intent) -> Option<Bridge> {
    let (meta, stored) = observed.own_route(policy.uid)?;
    if let Target::VirtualService(..) = policy.route {
        return past_new_services(policy, observed, stored, wanted);
    }
    let parents = acceptance::named_parents(policy);
    let reports = stored.parents.iter();
    let reports: Vec<&ParentReport> = reports
        .filter(|one| parents.iter().any(|name| **name == *one.parent))
        .collect();
    if reports.is_empty() {
        return None;
    }
    let age = observed.route_age.unwrap_or(PROXIES_FOLLOW);
    let span = Span {
        policy,
        observed,
        stored,
        wanted,
        known: Vec::new(),
        // They have seen the route as it is now, whatever they think of it.
        settled: age >= PROXIES_FOLLOW && reports.iter().all(|one| one.observed_generation >= meta.generation),
    };
    let intent = span.intent()?;
    let wait = if age < PROXIES_FOLLOW {
        PROXIES_FOLLOW - age
    } else {
        PROXIES_FOLLOW
    };
    Some(Bridge { intent, wait })
}

/// The route without the backends whose Services Istio may not have told proxies of yet.
fn past_new_services(policy: &Policy, observed: &Observed, stored: &StoredRoute, wanted: &Intent) -> Option<Bridge> {
    let versions = policy.versions.iter().zip(&observed.backend_ages);
    let ages = versions.filter_map(|(version, age)| Some((&version.backend, (*age)?)));
    let young: Vec<(&Backend, Duration)> = ages.filter(|(_, age)| *age < PROXIES_FOLLOW).collect();
    let is_young = |backend: &Backend| young.iter().any(|(one, _)| *one == backend);
    let span = Span {
        policy,
        observed,
        stored,
        wanted,
        known: backends(wanted).filter(|backend| !is_young(backend)).collect(),
        settled: true,
    };
    let fresh = young
        .iter()
        .filter(|(one, _)| backends(wanted).any(|backend| backend == *one));
    let fresh = fresh.filter(|(backend, _)| !span.knows(backend));
    let youngest = fresh.map(|(_, age)| *age).min()?;
    Some(Bridge {
        intent: Intent {
            rules: span.of_known()?,
        },
        wait: PROXIES_FOLLOW - youngest,
    })
}

/// Those that an intent names.
fn backends(intent: &Intent) -> impl Iterator<Item = &Backend> {
    let backends = intent.rules.iter().flat_map(|rule| &rule.backends);
    backends.map(|(backend, _)| backend)
}

/// The two ends.
struct Span<'a> {
    policy: &'a Policy,
    observed: &'a Observed,
    stored: &'a StoredRoute,
    wanted: &'a Intent,
    /// Backends that proxies know whatever the stored route says.
    known: Vec<&'a Backend>,
    /// Whether the gateway has had time for the stored route.
    settled: bool,
}

impl Span<'_> {
    fn intent(&self) -> Option<Intent> {
        let (mut rules, mut silent) = match self.of_known() {
            Some(rules) => {
                let fresh = backends(self.wanted).filter(|backend| !self.knows(backend));
                (rules, fresh.cloned().collect())
            }
            None => (self.wanted.rules.clone(), Vec::new()),
        };
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

    /// The wanted rules, as far as the gateway knows their backends; `None`: nobody could answer meanwhile.
    fn of_known(&self) -> Option<Vec<Rule>> {
        let stays = |rule: &&Rule| rule.matches.is_empty() || rule.backends.iter().all(|(one, _)| self.knows(one));
        let mut rules: Vec<Rule> = self.wanted.rules.iter().filter(stays).cloned().collect();
        let catch_all = rules.last_mut()?;
        catch_all.backends = self.held(catch_all);
        (!catch_all.backends.is_empty()).then_some(rules)
    }

    /// Whether the gateway knows the backend.
    fn knows(&self, backend: &Backend) -> bool {
        let stored = self.stored_weight(backend);
        stored.is_some_and(|weight| weight > 0 || self.settled) || self.known.contains(&backend)
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
        let stored = self.stored.rules.iter().flat_map(|rule| &rule.backends);
        let mut leaving: Vec<Backend> = stored
            .filter(|one| one.weight > 0 || !self.settled)
            .map(|one| named(&one.service, one.port))
            .filter(|backend| self.may_serve(backend) && !backends(self.wanted).any(|wanted| wanted == backend))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::route_match::HttpRouteMatch;
    use crate::api::route_policy::{HttpRouteTarget, ParentRef, RoutingStrategy, VirtualServiceTarget};
    use crate::model::observed::{Body, Meta, Object, ParentReport, StoredBackend, StoredRule, Uid};
    use crate::model::policy::PolicyVersion;
    use crate::plan::readiness::Readiness;

    const UID: Uid = Uid(1);

    /// `[b:100] a:30 c:70`: matched rules in brackets.
    fn read(words: &str) -> Vec<(bool, Vec<(&str, i32)>)> {
        let mut rules: Vec<(bool, Vec<(&str, i32)>)> = Vec::new();
        let mut open = false;
        for word in words.split(' ') {
            let matched = word.starts_with('[');
            if matched || !open {
                rules.push((matched, Vec::new()));
            }
            let (name, weight) = word.trim_matches(['[', ']']).split_once(':').unwrap();
            rules.last_mut().unwrap().1.push((name, weight.parse().unwrap()));
            open = !word.ends_with(']');
        }
        rules
    }

    fn wanted(words: &str) -> Intent {
        let rule = |(matched, backends): (bool, Vec<(&str, i32)>)| Rule {
            name: String::new(),
            matches: vec![HttpRouteMatch::default(); usize::from(matched)],
            backends: backends
                .into_iter()
                .map(|(name, weight)| (named(name, 80), weight))
                .collect(),
            mirrors: Vec::new(),
        };
        Intent {
            rules: read(words).into_iter().map(rule).collect(),
        }
    }

    fn written(intent: &Intent) -> String {
        let rule = |rule: &Rule| {
            let backends: Vec<String> = rule
                .backends
                .iter()
                .map(|(one, weight)| format!("{}:{weight}", one.name))
                .collect();
            let text = backends.join(" ");
            if rule.matches.is_empty() {
                text
            } else {
                format!("[{text}]")
            }
        };
        intent.rules.iter().map(rule).collect::<Vec<_>>().join(" ")
    }

    fn stored(words: &str, reports: &[i64]) -> Object<Body> {
        let backend = |(name, weight): (&str, i32)| StoredBackend {
            service: name.into(),
            port: 80,
            weight,
        };
        let rule = |(matched, backends): (bool, Vec<(&str, i32)>)| StoredRule {
            matched,
            backends: backends.into_iter().map(backend).collect(),
            mirrors: Box::default(),
        };
        let report = |generation: &i64| ParentReport {
            parent: "Gateway/default/edge".into(),
            observed_generation: *generation,
            ..ParentReport::default()
        };
        let route = StoredRoute {
            rules: read(words).into_iter().map(rule).collect(),
            parents: reports.iter().map(report).collect(),
            written: 0,
        };
        let meta = Meta {
            generation: 2,
            controller: Some(UID),
            ..Meta::default()
        };
        Object {
            meta,
            body: Body::Route(Box::new(route)),
        }
    }

    /// A policy of a, b and c.
    fn policy() -> Policy {
        let version = |name: &&str| PolicyVersion {
            name: (*name).to_owned(),
            resources: Vec::new(),
            backend: named(name, 80),
            weight: 50,
            weight_config_map: None,
            matches: Vec::new(),
            serves_for: None,
        };
        let names = ["a", "b", "c"];
        let edge = ParentRef {
            name: "edge".to_owned(),
            ..ParentRef::default()
        };
        let target = HttpRouteTarget {
            parent_refs: vec![edge],
            ..HttpRouteTarget::default()
        };
        Policy {
            name: "app".to_owned(),
            namespace: "default".to_owned(),
            uid: UID,
            generation: 1,
            strategy: RoutingStrategy::BlueGreen,
            versions: names.iter().map(version).collect(),
            route: Target::HttpRoute("app".to_owned(), target),
            suspend: false,
        }
    }

    /// What there is of it where those are not ready that `unready` names.
    fn observed(route: Object<Body>, age: i64, unready: &str) -> Observed {
        let readiness = |name: &&str| Readiness {
            ready: if unready.contains(name) {
                Tristate::False
            } else {
                Tristate::True
            },
            reason: "",
            message: String::new(),
        };
        Observed {
            readiness: ["a", "b", "c"].iter().map(readiness).collect(),
            route: Some(Arc::new(route)),
            route_age: Some(Duration::seconds(age)),
            ..Observed::default()
        }
    }

    fn on_the_way(route: Object<Body>, age: i64, unready: &str, to: &str) -> Option<Bridge> {
        towards(&policy(), &observed(route, age, unready), &wanted(to))
    }

    /// What is written of `to` where a gateway that knows `from` well has it.
    fn first(from: &str, unready: &str, to: &str) -> String {
        let bridge = on_the_way(stored(from, &[2]), 9, unready, to);
        written(&bridge.map_or_else(|| wanted(to), |bridge| bridge.intent))
    }

    #[test]
    fn who_comes_gets_no_request_yet_and_who_leaves_stays_without_one() {
        for (from, to, want) in [
            // Nobody comes or leaves.
            ("a:50 b:50", "a:30 b:70", "a:30 b:70"),
            ("[b:100] a:100", "[b:100] a:100", "[b:100] a:100"),
            // One comes.
            ("a:100", "a:50 b:50", "a:100 b:0"),
            ("a:50 b:50", "a:30 b:30 c:40", "a:50 b:50 c:0"),
            ("a:100", "[b:100] a:100", "a:100 b:0"),
            ("a:100 b:0", "[b:100] a:100", "[b:100] a:100"),
            // One leaves.
            ("a:50 b:50", "b:100", "b:100 a:0"),
            ("b:100 a:0", "b:100", "b:100"),
            ("[b:100] a:100", "a:100", "a:100 b:0"),
            // One takes the place of the other.
            ("b:100", "a:100", "b:100 a:0"),
            ("b:100 a:0", "a:100", "a:100 b:0"),
            ("[b:100] b:100", "[b:100] a:100", "[b:100] b:100 a:0"),
            ("a:30 b:70", "a:50 c:50", "a:100 c:0 b:0"),
        ] {
            assert_eq!(first(from, "", to), want, "from {from} to {to}");
        }
    }

    #[test]
    fn who_is_not_ready_leaves_at_once_and_holds_nothing_up() {
        for (from, unready, to, want) in [
            ("a:50 b:50", "b", "a:100", "a:100"),
            ("[b:100] a:100", "b", "a:100", "a:100"),
            ("a:100", "a", "b:100", "b:100"),
            ("a:50 b:50", "a", "b:50 c:50", "b:100 c:0"),
            ("a:50 c:50", "a", "b:100", "c:100 b:0"),
        ] {
            assert_eq!(first(from, unready, to), want, "from {from} to {to} without {unready}");
        }
    }

    #[test]
    fn the_gateway_is_given_time_after_each_step() {
        let way = |reports: &[i64], age| on_the_way(stored("a:100 b:0", reports), age, "", "a:50 b:50");
        let held = |seconds| {
            Some(Bridge {
                intent: wanted("a:100 b:0"),
                wait: Duration::seconds(seconds),
            })
        };
        assert_eq!(way(&[2], 1), held(1), "too soon");
        assert_eq!(way(&[1], 9), held(2), "it has not reported on the route as it is now");
        assert_eq!(way(&[2, 1], 9), held(2), "nor has one of two");
        assert_eq!(way(&[2], 2), None);
    }

    #[test]
    fn without_a_gateway_nobody_is_waited_for() {
        assert_eq!(on_the_way(stored("a:100", &[]), 0, "", "b:100"), None);
    }

    /// What is written of `to` to a `VirtualService` when the Services of a, b and c have been there for so many seconds.
    fn on_istio(from: &str, unready: &str, ages: [i64; 3], to: &str) -> (String, Option<i64>) {
        let mut policy = policy();
        policy.route = Target::VirtualService("app".to_owned(), VirtualServiceTarget::default());
        let observed = Observed {
            backend_ages: ages.map(|age| (age >= 0).then(|| Duration::seconds(age))).to_vec(),
            ..observed(stored(from, &[]), 9, unready)
        };
        let bridge = towards(&policy, &observed, &wanted(to));
        let wait = bridge.as_ref().map(|bridge| bridge.wait.num_seconds());
        (
            written(&bridge.map_or_else(|| wanted(to), |bridge| bridge.intent)),
            wait,
        )
    }

    #[test]
    fn a_virtual_service_names_no_service_that_is_new() {
        for (from, ages, to, want, wait) in [
            ("a:100", [9, 0, 9], "a:50 b:50", "a:100", Some(2)),
            ("a:100", [9, 1, 9], "a:50 b:50", "a:100", Some(1)),
            ("a:100", [9, 2, 9], "a:50 b:50", "a:50 b:50", None),
            ("a:100", [9, -1, 9], "a:50 b:50", "a:50 b:50", None),
            ("a:100", [9, 1, 9], "[b:100] a:100", "a:100", Some(1)),
            ("a:100", [9, 1, 0], "a:40 b:30 c:30", "a:100", Some(2)),
            ("a:50 c:50", [9, 0, 9], "a:25 b:50 c:25", "a:50 c:50", Some(2)),
            ("a:100", [9, 0, 9], "b:100", "a:100", Some(2)),
            // It is in the route.
            ("a:50 b:50", [9, 0, 9], "a:30 b:70", "a:30 b:70", None),
            // Those who leave do so at once.
            ("a:50 c:50", [9, 0, 9], "a:50 b:50", "a:100", Some(2)),
            ("a:50 c:50", [9, 9, 9], "a:100", "a:100", None),
        ] {
            let (rules, after) = on_istio(from, "", ages, to);
            assert_eq!(
                (&*rules, after),
                (want, wait),
                "from {from} to {to}, Services of {ages:?} s"
            );
        }
    }

    #[test]
    fn a_virtual_service_names_a_new_service_if_nobody_else_can_answer() {
        assert_eq!(on_istio("a:100", "a", [9, 0, 9], "b:100"), ("b:100".to_owned(), None));
    }
}
