//! What the operator asked for, by verb and resource.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::support::audit::Request;

/// Numbers of requests, by keys as `patch releases.iter8.tools/status`. An apply that creates is a `create`; what was
/// refused has its code behind it; what is no object has its path.
#[derive(Default, Serialize, Deserialize)]
pub struct Requests {
    /// All of them.
    pub all: BTreeMap<String, u64>,
    /// The most about one object.
    pub most: BTreeMap<String, u64>,
}

impl Requests {
    /// Counts a user's.
    pub fn of(user: &str, requests: &[Request]) -> Self {
        let mut counts = Self::default();
        let mut objects: HashMap<(String, &str), u64> = HashMap::new();
        for request in requests.iter().filter(|request| request.user == user) {
            // A watch is logged when it begins and when it ends.
            if request.verb == "watch" && request.complete {
                continue;
            }
            let key = key(request);
            *counts.all.entry(key.clone()).or_default() += 1;
            if !request.name.is_empty() {
                let many = objects.entry((key.clone(), request.name.as_str())).or_default();
                *many += 1;
                let most = counts.most.entry(key).or_default();
                *most = (*most).max(*many);
            }
        }
        counts
    }

    /// Adds those of another time.
    pub fn add(&mut self, other: Self) {
        for (key, count) in other.all {
            *self.all.entry(key).or_default() += count;
        }
        for (key, count) in other.most {
            let most = self.most.entry(key).or_default();
            *most = (*most).max(count);
        }
    }

    /// The number of one key.
    pub fn get(&self, key: &str) -> u64 {
        self.all.get(key).copied().unwrap_or(0)
    }

    /// Those that change something.
    pub fn writes(&self) -> u64 {
        self.count(|verb| !matches!(verb, "get" | "list" | "watch"))
    }

    /// Those for single objects, and for what is no object.
    pub fn gets(&self) -> u64 {
        self.count(|verb| verb == "get")
    }

    /// All but watches.
    pub fn beyond_watches(&self) -> u64 {
        self.count(|verb| verb != "watch")
    }

    /// Those that list, or begin to watch.
    pub fn lists(&self) -> u64 {
        self.count(|verb| matches!(verb, "list" | "watch"))
    }

    fn count(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let verb = |key: &str| key.split(' ').next().unwrap_or_default().to_owned();
        let counted = self
            .all
            .iter()
            .filter(|(key, _)| wanted(&verb(key)) && !key.contains(LEASES));
        counted.map(|(_, count)| count).sum()
    }
}

/// Whoever leads renews its lease.
const LEASES: &str = " leases.coordination.k8s.io";

fn key(request: &Request) -> String {
    let created = request.verb == "patch" && request.code == 201;
    let verb = if created { "create" } else { &request.verb };
    let mut key = format!("{verb} {}", request.resource);
    if request.resource.is_empty() {
        key += request.uri.split('?').next().unwrap_or_default();
    }
    if !request.group.is_empty() {
        key = format!("{key}.{}", request.group);
    }
    if !request.subresource.is_empty() {
        key = format!("{key}/{}", request.subresource);
    }
    if request.code >= 400 {
        key = format!("{key} ({})", request.code);
    }
    key
}
