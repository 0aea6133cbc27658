//! Watching over the promise: no backend that is not ready is written into a route, and none that a stored route names
//! is removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::Value;

use super::api::{Api, Resource};
use super::recorder::{Change, Gap, Recorder, Seen};
use super::routes;

const OWNERS: [&str; 2] = ["releases", "routepolicies"];
const ROUTES: [&str; 2] = ["virtualservices", "httproutes"];
const DEPLOYMENTS: &str = "deployments";
const SERVICES: &str = "services";

/// Records every version of the routes, Deployments, Services, Releases and RoutePolicies of a namespace.
///
/// All kinds of a cluster share one counter of versions, so that it is known what was stored of the others when a route
/// was written.
pub struct SafetyWatch {
    api: Api,
    namespace: String,
    recorders: Vec<Recorder>,
}

impl SafetyWatch {
    /// Begins. What a route names by then is not judged.
    pub fn start(api: &Api, namespace: &str) -> Self {
        let kinds = OWNERS.iter().chain(&ROUTES).chain([&DEPLOYMENTS, &SERVICES]);
        let recorders = kinds.map(|kind| Recorder::start(api, namespace, kind)).collect();
        Self {
            api: api.clone(),
            namespace: namespace.to_owned(),
            recorders,
        }
    }

    /// Everything that was stored up to now, in its order, and where something may be missing.
    #[track_caller]
    pub fn history(&self) -> (Vec<Seen>, Vec<Gap>) {
        // Each kind is read up to another moment: what is later than the first of them would be judged by halves.
        let (_, now) = self.api.list(&self.namespace, &Resource::named(DEPLOYMENTS));
        let (seen, gaps): (Vec<_>, Vec<_>) = self.recorders.iter().map(Recorder::recorded).unzip();
        let mut history = seen.concat();
        history.retain(|seen| seen.resource_version <= now);
        history.sort_by_key(|seen| seen.resource_version);
        (history, gaps.concat())
    }

    /// How many versions of routes and RoutePolicies have been recorded: only the operator writes them.
    pub fn written(&self) -> usize {
        let kinds = [OWNERS[1], ROUTES[0], ROUTES[1]];
        let recorders = self.recorders.iter().filter(|one| kinds.contains(&one.kind()));
        recorders.map(Recorder::len).sum()
    }

    /// The versions of the route of that name, of either kind, that were stored since the beginning.
    #[track_caller]
    pub fn route_versions(&self, name: &str) -> Vec<Seen> {
        let (mut history, _) = self.history();
        history.retain(|seen| is_route(seen) && seen.name() == name && seen.change == Change::Stored);
        history
    }

    /// Fails, with an account of each case, if
    /// * a route began to name a Service that did not exist, or whose Deployment (the one of its name) did not exist or
    ///   had no available replica at that moment; of a backend of weight 0 the Service alone counts;
    /// * a Deployment or Service was deleted, by anybody, while a stored route named it, unless its owner was deleted
    ///   before.
    ///
    /// What happened in a gap of the recording is not judged. Fails too if no route was written at all.
    #[track_caller]
    pub fn assert_safe(&self) {
        let (history, gaps) = self.history();
        let written = history
            .iter()
            .filter(|seen| is_route(seen) && seen.change == Change::Stored)
            .count();
        assert!(written > 0, "no route was written: there was nothing to watch over");
        let mut violations = violations(&history);
        violations.retain(|one| {
            gaps.iter()
                .all(|(from, to)| one.resource_version <= *from || *to < one.resource_version)
        });
        let account: Vec<String> = violations.iter().map(|violation| violation.account(&history)).collect();
        assert!(
            violations.is_empty(),
            "the promise was broken {} times in {written} versions of routes:\n{}",
            violations.len(),
            account.join("\n")
        );
    }
}

/// A case in which the promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Of the write that broke it.
    pub resource_version: u64,
    /// The version that it is about.
    pub backend: String,
    /// What happened.
    pub what: String,
}

impl Violation {
    /// The case, and what was stored before and after.
    fn account(&self, history: &[Seen]) -> String {
        const BEFORE: usize = 8;
        const AFTER: usize = 3;
        let mut text = format!("rv {}: {}\n", self.resource_version, self.what);
        let concerns = |seen: &&Seen| is_route(seen) || seen.name() == self.backend;
        let all: Vec<&Seen> = history.iter().filter(concerns).collect();
        let Some(at) = all
            .iter()
            .position(|seen| seen.resource_version == self.resource_version)
        else {
            return text;
        };
        for seen in &all[at.saturating_sub(BEFORE)..(at + AFTER + 1).min(all.len())] {
            let sign = if seen.at < all[at].at { '-' } else { '+' };
            let apart = seen.at.max(all[at].at) - seen.at.min(all[at].at);
            let _ = writeln!(
                text,
                "    rv {} {sign}{apart:.0?} {}",
                seen.resource_version,
                line(seen)
            );
        }
        text
    }
}

/// What is stored at a moment.
#[derive(Default)]
struct Stored<'a> {
    /// By plural and name; deleted ones too.
    objects: BTreeMap<(&'a str, &'a str), &'a Seen>,
    /// Uids of Releases and RoutePolicies that are going or gone.
    gone: BTreeSet<&'a str>,
}

/// All cases in a history, which is in the order of resourceVersions.
pub fn violations(history: &[Seen]) -> Vec<Violation> {
    let mut stored = Stored::default();
    let mut violations = Vec::new();
    for seen in history {
        let before = stored.objects.get(&(seen.kind.as_str(), seen.name())).copied();
        if is_route(seen) && seen.change == Change::Stored {
            let known = before
                .filter(|before| before.change != Change::Deleted)
                .map(backends)
                .unwrap_or_default();
            let new = backends(seen).into_iter().filter(|(backend, weight)| {
                if *weight > 0 {
                    !serves(&known, backend)
                } else {
                    !known.contains_key(backend)
                }
            });
            violations.extend(new.filter_map(|(backend, weight)| stored.why_not_ready(seen, &backend, weight)));
        } else if OWNERS.contains(&seen.kind.as_str()) && seen.is_going() {
            stored.gone.extend(uid(seen));
        } else if !is_route(seen) && seen.is_going() && !before.is_some_and(Seen::is_going) {
            violations.extend(stored.why_needed(seen));
        }
        stored.objects.insert((seen.kind.as_str(), seen.name()), seen);
    }
    violations
}

impl Stored<'_> {
    /// Why a route must not begin to name a backend, with this weight.
    fn why_not_ready(&self, route: &Seen, backend: &str, weight: i64) -> Option<Violation> {
        let find = |kind| self.objects.get(&(kind, backend)).copied();
        let fault = match (find(SERVICES), find(DEPLOYMENTS)) {
            (None, _) => "whose Service does not exist".to_owned(),
            (Some(service), _) if service.is_going() => {
                format!("whose Service goes since rv {}", service.resource_version)
            }
            _ if weight == 0 => return None,
            (_, None) => "which has no Deployment".to_owned(),
            (_, Some(one)) if one.is_going() => format!("whose Deployment goes since rv {}", one.resource_version),
            (_, Some(one)) if available(one) == 0 => {
                format!(
                    "whose Deployment has no available replica as of rv {}",
                    one.resource_version
                )
            }
            _ => return None,
        };
        Some(Violation {
            resource_version: route.resource_version,
            backend: backend.to_owned(),
            what: format!("{} {} begins to name {backend}, {fault}", route.kind, route.name()),
        })
    }

    /// Why an object must not be deleted.
    fn why_needed(&self, seen: &Seen) -> Option<Violation> {
        if self.has_lost_owner(seen) || ![DEPLOYMENTS, SERVICES].contains(&seen.kind.as_str()) {
            return None;
        }
        let mut routes = self
            .objects
            .values()
            .filter(|one| is_route(one) && !one.is_going() && !self.has_lost_owner(one));
        let route = routes.find(|route| backends(route).contains_key(seen.name()))?;
        Some(Violation {
            resource_version: seen.resource_version,
            backend: seen.name().to_owned(),
            what: format!(
                "{} {} is deleted while {} {} of rv {} names it",
                seen.kind,
                seen.name(),
                route.kind,
                route.name(),
                route.resource_version
            ),
        })
    }

    fn has_lost_owner(&self, seen: &Seen) -> bool {
        let owners = seen.object["metadata"]["ownerReferences"].as_array();
        let mut uids = owners.into_iter().flatten().filter_map(|owner| owner["uid"].as_str());
        uids.any(|uid| self.gone.contains(uid))
    }
}

fn is_route(seen: &Seen) -> bool {
    ROUTES.contains(&seen.kind.as_str())
}

fn uid(seen: &Seen) -> Option<&str> {
    seen.object["metadata"]["uid"].as_str()
}

fn available(deployment: &Seen) -> i64 {
    deployment.object["status"]["availableReplicas"].as_i64().unwrap_or(0)
}

/// What a route names, with the greatest weight or percentage that any rule gives it.
fn backends(route: &Seen) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for rule in routes::rules(&route.object) {
        for (name, weight) in rule.names() {
            let most = all.entry(name.to_owned()).or_insert(weight);
            *most = weight.max(*most);
        }
    }
    all
}

fn serves(backends: &BTreeMap<String, i64>, backend: &str) -> bool {
    backends.get(backend).is_some_and(|weight| *weight > 0)
}

/// A version in a line.
fn line(seen: &Seen) -> String {
    let what = match seen.change {
        Change::Deleted => "deleted".to_owned(),
        _ if seen.is_going() => "is going".to_owned(),
        _ if is_route(seen) => format!("names {:?}", backends(seen)),
        _ if seen.kind == DEPLOYMENTS => {
            let number = |value: &Value| value.as_i64().unwrap_or(0);
            format!(
                "{} of {} available",
                available(seen),
                number(&seen.object["spec"]["replicas"])
            )
        }
        _ => "stored".to_owned(),
    };
    format!("{} {}: {what}", seen.kind, seen.name())
}
