//! What the operator may ask the API server for: exact, on any machine.

use super::figures::{Results, Size};
use super::requests::Requests;

/// What each Release is made of: the objects that are created for it, once.
const OBJECTS: [(&str, u64); 5] = [
    ("deployments.apps", 2),
    ("services", 3),
    ("configmaps", 2),
    ("routepolicies.iter8.tools", 1),
    ("virtualservices.networking.istio.io", 1),
];
/// Versions of each Release.
const VERSIONS: u64 = 2;
const ROUTE: &str = "patch virtualservices.networking.istio.io";
/// What a Release, and what its policy, tells.
pub const STATUS: [&str; 2] = [
    "patch releases.iter8.tools/status",
    "patch routepolicies.iter8.tools/status",
];

/// Those that were not kept.
pub fn broken(results: &Results) -> Vec<String> {
    results.sizes.iter().flat_map(of_size).collect()
}

/// Those that were not kept with one number of Releases.
pub fn of_size(size: &Size) -> Vec<String> {
    let mut broken = Broken {
        n: size.n,
        said: Vec::new(),
    };
    broken.of_creation(size);
    broken.of_changes("a change of readiness", &size.readiness.requests, size.readiness.count);
    broken.of_changes("a change of weight", &size.weight.requests, size.weight.count);
    broken.of_changes("churn", &size.churn.requests, size.churn.operator.changes);
    broken.exactly("requests in idle time", size.idle.requests.beyond_watches(), 0);
    broken.exactly("writes at a restart", size.restart.requests.writes(), 0);
    broken.exactly("gets at a restart", size.restart.requests.gets(), 0);
    broken.exactly("routes changed at a restart", size.restart.routes_changed, 0);
    broken.said
}

struct Broken {
    n: u64,
    said: Vec<String>,
}

impl Broken {
    fn exactly(&mut self, what: &str, got: u64, want: u64) {
        if got != want {
            self.said.push(format!("N={}: {what}: {got} instead of {want}", self.n));
        }
    }

    fn at_most(&mut self, what: &str, got: u64, limit: u64) {
        if got > limit {
            self.said
                .push(format!("N={}: {what}: {got}, more than {limit}", self.n));
        }
    }

    /// One write for each object; one more of the route for each version that becomes ready after the first; one status
    /// at the beginning, one for each version that becomes ready, one when the route is accepted.
    fn of_creation(&mut self, size: &Size) {
        let requests = &size.create.requests;
        let created = OBJECTS.map(|(resource, each)| (format!("create {resource}"), each));
        for (key, each) in &created {
            self.exactly(&format!("creation: {key}"), requests.get(key), self.n * each);
        }
        let most = |key: &str| requests.most.get(key).copied().unwrap_or(0);
        self.at_most(
            &format!("creation: {ROUTE}, for one Release"),
            most(ROUTE),
            VERSIONS - 1,
        );
        for key in STATUS {
            self.at_most(&format!("creation: {key}, for one Release"), most(key), 2 + VERSIONS);
        }
        let known: Vec<&str> = created
            .iter()
            .map(|(key, _)| key.as_str())
            .chain([ROUTE])
            .chain(STATUS)
            .collect();
        self.nothing_else("creation", requests, &known);
    }

    /// One write of the route for each change, at most one status of the policy, and at most two of the Release, which
    /// tells of the version and of the route; in one go, where the policy is quick.
    fn of_changes(&mut self, phase: &str, requests: &Requests, changes: u64) {
        self.exactly(&format!("{phase}: {ROUTE}"), requests.get(ROUTE), changes);
        for (key, each) in STATUS.into_iter().zip([2, 1]) {
            self.at_most(&format!("{phase}: {key}"), requests.get(key), each * changes);
        }
        self.nothing_else(phase, requests, &[ROUTE, STATUS[0], STATUS[1]]);
    }

    /// Events are no promise.
    fn nothing_else(&mut self, phase: &str, requests: &Requests, known: &[&str]) {
        let others = requests.all.keys().filter(|key| {
            let free = key.starts_with("watch ") || key.starts_with("list ") || key.contains(" events.events.k8s.io");
            !free && !known.contains(&key.as_str()) && !key.contains(" leases.")
        });
        for key in others {
            self.said
                .push(format!("N={}: {phase}: {key}: {}", self.n, requests.get(key)));
        }
    }
}
