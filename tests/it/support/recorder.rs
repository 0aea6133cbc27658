//! Recording every version that the API server stores of the objects of a kind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::api::{Api, RUNTIME, Resource, resource_version, without_managed_fields};
use super::{SOON, wait_until};

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was there when the recording began.
    Listed,
    /// It was created or changed.
    Stored,
    /// It was deleted; the object is as it was last.
    Deleted,
}

/// One version of an object.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Of a deleted object: that of its deletion. Comparable across kinds.
    pub resource_version: u64,
    /// When the recorder heard of it.
    pub at: Instant,
    /// What became of it.
    pub change: Change,
    /// Plural of the kind.
    pub kind: String,
    /// The object without its managed fields.
    pub object: Value,
}

impl Seen {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        name(&self.object)
    }

    /// Whether it is about to go, or gone.
    pub fn is_going(&self) -> bool {
        self.change == Change::Deleted || self.object["metadata"]["deletionTimestamp"].is_string()
    }
}

/// Records the objects of one kind in one namespace, from a list on, until it is dropped.
pub struct Recorder {
    source: Source,
    log: Arc<Mutex<Log>>,
    task: AbortHandle,
}

/// What is recorded.
#[derive(Clone)]
struct Source {
    api: Api,
    namespace: String,
    resource: Resource,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    gaps: Vec<Gap>,
}

/// Versions between these two may be missing, both excluded: an API server that was restarted knows no older ones.
pub type Gap = (u64, u64);

impl Recorder {
    /// Begins. What is stored after this returns is not missed.
    pub fn start(api: &Api, namespace: &str, kind: &str) -> Self {
        let source = Source {
            api: api.clone(),
            namespace: namespace.to_owned(),
            resource: Resource::named(kind),
        };
        let (objects, version) = source.api.list(namespace, &source.resource);
        let mut log = Log::default();
        log.seen
            .extend(objects.into_iter().map(|object| source.seen(Change::Listed, object)));
        let log = Arc::new(Mutex::new(log));
        let task = RUNTIME
            .spawn(source.clone().follow(version, Arc::clone(&log)))
            .abort_handle();
        Self { source, log, task }
    }

    /// Every version up to now, in the order in which they were stored. Fails if one may be missing.
    #[track_caller]
    pub fn versions(&self) -> Vec<Seen> {
        let (seen, gaps) = self.recorded();
        assert!(
            gaps.is_empty(),
            "versions of {} may be missing: {gaps:?}",
            self.source.resource
        );
        seen
    }

    /// The same of one object.
    #[track_caller]
    pub fn versions_of(&self, name: &str) -> Vec<Seen> {
        let mut versions = self.versions();
        versions.retain(|seen| seen.name() == name);
        versions
    }

    /// Plural of the kind that is recorded.
    pub fn kind(&self) -> &str {
        &self.source.resource.plural
    }

    /// How many versions have been recorded so far; some that are stored may be on their way.
    pub fn len(&self) -> usize {
        self.log.lock().unwrap().seen.len()
    }

    /// The versions up to now in their order, and where some may be missing.
    #[track_caller]
    pub fn recorded(&self) -> (Vec<Seen>, Vec<Gap>) {
        let (objects, listed) = self.source.api.list(&self.source.namespace, &self.source.resource);
        let stored: BTreeMap<&str, u64> = objects
            .iter()
            .map(|object| (name(object), resource_version(object)))
            .collect();
        wait_until("the recording has caught up", SOON, || {
            let log = self.log.lock().unwrap();
            let last = last(&log.seen);
            let behind = stored
                .iter()
                .find(|(name, version)| last.get(*name).is_none_or(|seen| seen.resource_version < **version));
            let still_there = last.iter().find(|(name, seen)| {
                let known_gone = seen.change == Change::Deleted || seen.resource_version > listed;
                !stored.contains_key(*name) && !known_gone
            });
            match behind.map(|(name, _)| name).or(still_there.map(|(name, _)| name)) {
                None => Ok((log.seen.clone(), log.gaps.clone())),
                Some(name) => Err(format!("{} {name} is behind", self.source.resource)),
            }
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn last(seen: &[Seen]) -> BTreeMap<&str, &Seen> {
    seen.iter().map(|seen| (seen.name(), seen)).collect()
}

/// Why a watch ended.
enum End {
    /// It may be taken up where it ended.
    Broken,
    /// The server does not know that place any more.
    Forgotten,
}

impl Source {
    fn seen(&self, change: Change, mut object: Value) -> Seen {
        without_managed_fields(&mut object);
        Seen {
            resource_version: resource_version(&object),
            at: Instant::now(),
            change,
            kind: self.resource.plural.clone(),
            object,
        }
    }

    /// Watches for good.
    async fn follow(self, mut version: u64, log: Arc<Mutex<Log>>) {
        loop {
            if let End::Forgotten = self.watch(&mut version, &log).await {
                let source = self.clone();
                let listed = tokio::task::spawn_blocking(move || source.api.list(&source.namespace, &source.resource));
                let (objects, now) = listed.await.unwrap();
                self.bridge((version, now), &objects, &mut log.lock().unwrap());
                version = now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One watch, to its end. Bookmarks keep `version` young where nothing happens.
    async fn watch(&self, version: &mut u64, log: &Mutex<Log>) -> End {
        let params = WatchParams {
            bookmarks: true,
            ..WatchParams::default()
        };
        let requests = self.resource.requests(Some(&self.namespace));
        let request = requests.watch(&params, &version.to_string()).unwrap();
        let mut events = match self.api.client.request_events::<Value>(request).await {
            Ok(events) => events.boxed(),
            Err(kube::Error::Api(status)) if status.code == 410 => return End::Forgotten,
            // The kind is not installed: it has no objects.
            Err(kube::Error::Api(status)) if status.code == 404 => std::future::pending().await,
            Err(_) => return End::Broken,
        };
        while let Some(event) = events.next().await {
            let (change, object) = match event {
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (Change::Stored, object),
                Ok(WatchEvent::Deleted(object)) => (Change::Deleted, object),
                Ok(WatchEvent::Bookmark(bookmark)) => {
                    *version = bookmark.metadata.resource_version.parse().unwrap();
                    continue;
                }
                Ok(WatchEvent::Error(status)) if status.code == 410 => return End::Forgotten,
                Ok(WatchEvent::Error(_)) | Err(_) => return End::Broken,
            };
            let seen = self.seen(change, object);
            *version = seen.resource_version;
            log.lock().unwrap().seen.push(seen);
        }
        End::Broken
    }

    /// Takes in a list in place of the changes that led to it.
    fn bridge(&self, (from, to): Gap, objects: &[Value], log: &mut Log) {
        let before = last(&log.seen);
        let known = |object: &Value| {
            let seen = before.get(name(object));
            seen.is_some_and(|seen| seen.resource_version == resource_version(object))
        };
        let gone = before
            .values()
            .filter(|seen| seen.change != Change::Deleted && objects.iter().all(|object| name(object) != seen.name()));
        let mut missed: Vec<Seen> = gone
            .map(|seen| Seen {
                resource_version: to,
                at: Instant::now(),
                change: Change::Deleted,
                ..(*seen).clone()
            })
            .collect();
        let changed = objects.iter().filter(|object| !known(object));
        missed.extend(changed.map(|object| self.seen(Change::Stored, object.clone())));
        missed.sort_by_key(|seen| seen.resource_version);
        log.seen.extend(missed);
        log.gaps.push((from, to));
    }
}
