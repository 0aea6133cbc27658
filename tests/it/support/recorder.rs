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
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Whether it is about to go, or gone.
    pub fn is_going(&self) -> bool {
        self.change == Change::Deleted || self.object["metadata"]["deletionTimestamp"].is_string()
    }
}

/// Records the objects of one kind in one namespace, from a list on, until it is dropped.
pub struct Recorder {
    api: Api,
    namespace: String,
    resource: Resource,
    log: Arc<Mutex<Log>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    /// Why the recording is not whole.
    gap: Option<String>,
}

impl Recorder {
    /// Begins. What is stored after this returns is not missed.
    pub fn start(api: &Api, namespace: &str, kind: &str) -> Self {
        let resource = Resource::named(kind);
        let (objects, version) = api.list(namespace, &resource);
        let mut log = Log::default();
        log.seen.extend(
            objects
                .into_iter()
                .map(|object| seen(&resource, Change::Listed, object)),
        );
        let log = Arc::new(Mutex::new(log));
        let watch = follow(
            api.clone(),
            namespace.to_owned(),
            resource.clone(),
            version,
            Arc::clone(&log),
        );
        let task = RUNTIME.spawn(watch).abort_handle();
        let (api, namespace) = (api.clone(), namespace.to_owned());
        Self {
            api,
            namespace,
            resource,
            log,
            task,
        }
    }

    /// Every version up to now, in the order in which they were stored. Fails if one may have been missed.
    #[track_caller]
    pub fn versions(&self) -> Vec<Seen> {
        self.catch_up();
        let log = self.log.lock().unwrap();
        assert!(
            log.gap.is_none(),
            "the recording of {} has a gap: {:?}",
            self.resource,
            log.gap
        );
        log.seen.clone()
    }

    /// The same of one object.
    #[track_caller]
    pub fn versions_of(&self, name: &str) -> Vec<Seen> {
        let mut versions = self.versions();
        versions.retain(|seen| seen.name() == name);
        versions
    }

    /// Waits until everything that is stored now has been recorded.
    #[track_caller]
    fn catch_up(&self) {
        let (objects, listed) = self.api.list(&self.namespace, &self.resource);
        let stored: BTreeMap<&str, u64> = objects
            .iter()
            .map(|object| (object["metadata"]["name"].as_str().unwrap(), resource_version(object)))
            .collect();
        wait_until("the recording has caught up", SOON, || {
            let log = self.log.lock().unwrap();
            let mut last: BTreeMap<&str, &Seen> = BTreeMap::new();
            for seen in &log.seen {
                last.insert(seen.name(), seen);
            }
            let behind = stored
                .iter()
                .find(|(name, version)| last.get(*name).is_none_or(|seen| seen.resource_version < **version));
            let still_there = last.iter().find(|(name, seen)| {
                let known_gone = seen.change == Change::Deleted || seen.resource_version > listed;
                !stored.contains_key(*name) && !known_gone
            });
            match (behind, still_there) {
                _ if log.gap.is_some() => Ok(()),
                (None, None) => Ok(()),
                (Some((name, _)), _) | (_, Some((name, _))) => Err(format!("{} {name} is behind", self.resource)),
            }
        });
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn seen(resource: &Resource, change: Change, mut object: Value) -> Seen {
    without_managed_fields(&mut object);
    Seen {
        resource_version: resource_version(&object),
        at: Instant::now(),
        change,
        kind: resource.plural.clone(),
        object,
    }
}

/// Watches for good: a watch that ends is taken up where it ended, as the server forgets nothing for minutes.
async fn follow(api: Api, namespace: String, resource: Resource, mut version: u64, log: Arc<Mutex<Log>>) {
    loop {
        let gap = watch(&api, &namespace, &resource, &mut version, &log).await;
        if gap.is_some() {
            log.lock().unwrap().gap = gap;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One watch, to its end. `Some`: the server does not know the version any more from which to go on.
async fn watch(api: &Api, namespace: &str, resource: &Resource, version: &mut u64, log: &Mutex<Log>) -> Option<String> {
    let params = WatchParams {
        bookmarks: true,
        ..WatchParams::default()
    };
    let request = resource
        .requests(Some(namespace))
        .watch(&params, &version.to_string())
        .unwrap();
    let mut events = match api.client.request_events::<Value>(request).await {
        Ok(events) => events.boxed(),
        Err(kube::Error::Api(status)) if status.code == 410 => return Some(status.message.clone()),
        // The kind is not installed: it has no objects.
        Err(kube::Error::Api(status)) if status.code == 404 => std::future::pending().await,
        Err(_) => return None,
    };
    while let Some(event) = events.next().await {
        let (change, object) = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (Change::Stored, object),
            Ok(WatchEvent::Deleted(object)) => (Change::Deleted, object),
            Ok(WatchEvent::Bookmark(bookmark)) => {
                *version = bookmark.metadata.resource_version.parse().unwrap();
                continue;
            }
            Ok(WatchEvent::Error(status)) if status.code == 410 => return Some(status.message.clone()),
            Ok(WatchEvent::Error(_)) | Err(_) => return None,
        };
        let seen = seen(resource, change, object);
        *version = seen.resource_version;
        log.lock().unwrap().seen.push(seen);
    }
    None
}
