//! The API server's audit log: what the operator asked for.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::api::Api;
use super::cluster::user;
use super::{SOON, wait_until};

/// The log of a cluster.
#[derive(Clone)]
pub struct AuditLog {
    path: PathBuf,
    api: Api,
}

/// A place in the log.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

/// A request, as it was answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// `create`, `patch`, `watch`: as in RBAC rules.
    pub verb: String,
    /// API group; the core group is empty.
    pub group: String,
    /// Plural.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    /// Empty for objects that have none.
    pub namespace: String,
    /// Empty for requests about several objects.
    pub name: String,
    /// Who sent it, as `system:serviceaccount:iter8-system:iter8`.
    pub user: String,
    /// HTTP status code.
    pub code: i64,
    /// Path and query.
    pub uri: String,
    /// When it came.
    pub received: DateTime<Utc>,
    /// Of a watch: false when it began, true when it ended. True of all others.
    pub complete: bool,
    /// Whether RBAC refused it.
    pub forbidden: bool,
}

impl Request {
    /// Whether it would change something.
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }

    /// Whether an operator sent it, whichever ServiceAccount it has.
    pub fn is_operators(&self) -> bool {
        self.user.starts_with(&user(""))
    }

    fn read(line: &str) -> Self {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = |pointer: &str| {
            entry
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            verb: text("/verb"),
            group: text("/objectRef/apiGroup"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            user: text("/user/username"),
            code: entry
                .pointer("/responseStatus/code")
                .and_then(Value::as_i64)
                .unwrap_or(0),
            uri: text("/requestURI"),
            received: text("/requestReceivedTimestamp").parse().unwrap(),
            complete: text("/stage") == "ResponseComplete",
            forbidden: entry["annotations"]["authorization.k8s.io/decision"] == "forbid",
        }
    }
}

impl AuditLog {
    pub(super) fn new(path: PathBuf, api: Api) -> Self {
        Self { path, api }
    }

    /// The place behind everything that has been answered so far.
    pub fn mark(&self) -> Mark {
        let mark = Mark(File::open(&self.path).unwrap().metadata().unwrap().len());
        self.catch_up(mark, |_| false).1
    }

    /// The operators' requests that were answered since then: those about a namespace, or all.
    pub fn since(&self, mark: Mark, namespace: Option<&str>) -> Vec<Request> {
        let operators = user("");
        let mut requests = self.catch_up(mark, |line| line.contains(&operators)).0;
        requests.retain(|request| request.is_operators() && namespace.is_none_or(|one| request.namespace == one));
        requests
    }

    /// A user's requests that RBAC refused since then, of those that are in the log by now.
    pub fn forbidden_since(&self, mark: Mark, user: &str) -> Vec<Request> {
        let mut requests = self.read(mark, |line| line.contains(r#"decision":"forbid""#));
        requests.retain(|(request, _)| request.user == user && request.forbidden);
        requests.into_iter().map(|(request, _)| request).collect()
    }

    /// Reads from the mark to a request that is sent now: the log is written a little after the answers.
    fn catch_up(&self, mark: Mark, wanted: impl Fn(&str) -> bool) -> (Vec<Request>, Mark) {
        static MARKERS: AtomicU64 = AtomicU64::new(0);
        let marker = format!("audit-{}-{}", process::id(), MARKERS.fetch_add(1, Ordering::Relaxed));
        assert!(self.api.find(Some("default"), "configmap", &marker).is_none());
        let mut requests = Vec::new();
        let mut place = mark;
        wait_until("the audit log has caught up", SOON, || {
            for (request, end) in self.read(place, |line| line.contains(&marker) || wanted(line)) {
                place = end;
                if request.name == marker {
                    return Ok(());
                }
                requests.push(request);
            }
            Err(format!("{} requests, and not that for {marker}", requests.len()))
        });
        (requests, place)
    }

    /// The requests in whole lines from the mark on that may be wanted, each with the place behind it. A mark may be within
    /// a line that was being written: that one was answered before. The log may be long: a line is held at a time.
    fn read(&self, Mark(start): Mark, wanted: impl Fn(&str) -> bool) -> Vec<(Request, Mark)> {
        let mut end = start.saturating_sub(1);
        let mut file = BufReader::new(File::open(&self.path).unwrap());
        file.seek(SeekFrom::Start(end)).unwrap();
        let (mut found, mut line, mut whole) = (Vec::new(), Vec::new(), start == 0);
        while file.read_until(b'\n', &mut line).unwrap() > 0 && line.ends_with(b"\n") {
            end += line.len() as u64;
            let text = String::from_utf8_lossy(&line);
            if whole && wanted(&text) {
                found.push((Request::read(&text), Mark(end)));
            }
            whole = true;
            line.clear();
        }
        found
    }
}
