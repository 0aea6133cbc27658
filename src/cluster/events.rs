//! Kubernetes Events (`events.k8s.io/v1`), sent in the background.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use http::HeaderValue;
use http::header::ACCEPT;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::request;
use kube::{Client, Resource};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Calm;
use super::apply::Fence;
use crate::model::kind::Kind;
use crate::model::observed::Uid;

/// Events that may wait to be sent: two of each of 2,000 Releases that are created at once.
const QUEUE: usize = 4000;
/// Events that are sent at once, when it is calm or they have waited long enough.
const AT_ONCE: usize = 8;
/// How long an Event waits for others, and once more, at most, until it is calm: what it tells of is more urgent, and those
/// that are alike are one request then.
const LINGER: Duration = Duration::from_secs(1);
/// How long sending one Event may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An Event that is repeated within this time after the last is counted, not made anew; as in client-go.
const SERIES: Duration = Duration::from_mins(6);
/// How often what is too old to be counted is forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// Who reports, in `reportingController`.
const CONTROLLER: &str = "iter8";
/// An object's metadata, in `Accept`.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Bytes of the object's name in an Event's, which has at most 253.
const MAX_NAME: usize = 200;

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: Uid,
}

/// Publishes Events without ever keeping a reconcile waiting.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Notice>,
    /// Dropped with the last `Events`.
    _open: Arc<watch::Sender<()>>,
}

/// What an Event is made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Notice {
    about: About,
    warning: bool,
    reason: Box<str>,
    note: Box<str>,
}

impl Events {
    /// Starts the task that sends; it ends when the last `Events` is dropped and all that waits is sent: await the
    /// handle, within a time, to drain on shutdown. `instance` is the Pod's name; `fence` is asked before each send.
    pub fn new(client: Client, instance: Option<String>, calm: Calm, fence: Fence) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (open, closed) = watch::channel(());
        let sender = Sender {
            client,
            instance: instance.unwrap_or_else(|| CONTROLLER.to_owned()),
            calm,
            fence,
            closed,
            sent: Mutex::default(),
            forgot: Instant::now(),
        };
        let events = Self {
            queue,
            _open: Arc::new(open),
        };
        (events, tokio::spawn(sender.run(waiting)))
    }

    /// Queues an Event; when 4,000 wait already it is dropped with a warning.
    ///
    /// `reason` is a CamelCase word of at most 128 bytes; `note` is cut to 1,024 bytes.
    pub fn publish(&self, about: &About, warning: bool, reason: &str, note: &str) {
        let notice = Notice {
            about: about.clone(),
            warning,
            reason: reason.into(),
            note: super::error::cut(note).into(),
        };
        if self.queue.try_send(notice).is_err() {
            let About {
                kind, namespace, name, ..
            } = about;
            tracing::warn!(%kind, namespace, name, reason, "Event dropped: too many wait to be sent");
        }
    }
}

/// Sends Events, and counts those that are alike to the last letter: kube's own `Recorder` would count one with another
/// note too, and the note would be lost.
struct Sender {
    client: Client,
    instance: String,
    calm: Calm,
    fence: Fence,
    /// Ends when there will be no more Events.
    closed: watch::Receiver<()>,
    /// By digest of the notice.
    sent: Mutex<HashMap<u64, Sent>>,
    forgot: Instant,
}

/// An Event that was sent.
struct Sent {
    name: String,
    count: i32,
    last: Instant,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Notice>) {
        while let Some(first) = waiting.recv().await {
            let deadline = self.linger().await;
            let all = counted(iter::once(first).chain(iter::from_fn(|| waiting.try_recv().ok())));
            self.forget();
            let send = |(notice, count)| self.try_to_send(notice, count, deadline);
            stream::iter(all).for_each_concurrent(AT_ONCE, send).await;
        }
    }

    /// Waits for more, and says until when to wait for calm; an operator that stops waits for neither.
    async fn linger(&mut self) -> tokio::time::Instant {
        let closed = tokio::time::timeout(LINGER, async { while self.closed.changed().await.is_ok() {} });
        let closed = closed.await.is_ok();
        tokio::time::Instant::now() + if closed { Duration::ZERO } else { LINGER }
    }

    /// Sends an Event that came `count` times when it is calm, or at the deadline.
    async fn try_to_send(&self, notice: Notice, count: i32, deadline: tokio::time::Instant) {
        self.calm.wait(deadline).await;
        let Some(limit) = (self.fence)() else {
            return; // the one who leads now tells what there is to tell
        };
        let sent = tokio::time::timeout(limit.min(REQUEST_TIMEOUT), self.send(&notice, count)).await;
        let error = match sent {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let (About { namespace, name, .. }, reason) = (&notice.about, &notice.reason);
        tracing::warn!(namespace, name, %reason, error, "Event not sent");
    }

    async fn send(&self, notice: &Notice, count: i32) -> kube::Result<()> {
        let namespace = &notice.about.namespace;
        let events = kube::core::Request::new(Event::url_path(&(), Some(namespace)));
        let now = Timestamp::now();
        let key = digest(notice);
        // What cannot be counted on is made anew the next time.
        let before = self.sent().remove(&key);
        if let Some(Sent {
            name, count: before, ..
        }) = before
        {
            let count = before + count;
            let series = json!({ "series": { "count": count, "lastObservedTime": MicroTime(now) } });
            let counts = Patch::Merge(&series);
            self.ask(events.patch(&name, &PatchParams::default(), &counts)).await?;
            self.remember(key, name, count);
            return Ok(());
        }
        let name = name(&notice.about.name, now.as_nanosecond());
        let series = (count > 1).then_some(EventSeries {
            count,
            last_observed_time: MicroTime(now),
        });
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(now)),
            reporting_instance: Some(self.instance.clone()),
            series,
            ..event(notice)
        };
        let event = serde_json::to_vec(&event).map_err(kube::Error::SerdeError)?;
        self.ask(events.create(&PostParams::default(), event)).await?;
        self.remember(key, name, count);
        Ok(())
    }

    /// Sends a request, and reads no more of the answer than whether it is an error. The least that there is is asked for.
    async fn ask(&self, request: Result<http::Request<Vec<u8>>, request::Error>) -> kube::Result<()> {
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(METADATA));
        self.client.request_text(request).await.map(drop)
    }

    fn remember(&self, key: u64, name: String, count: i32) {
        let last = Instant::now();
        self.sent().insert(key, Sent { name, count, last });
    }

    fn forget(&mut self) {
        if self.forgot.elapsed() > FORGET_EVERY {
            self.forgot = Instant::now();
            let mut sent = self.sent();
            sent.retain(|_, sent| sent.last.elapsed() < SERIES);
            sent.shrink_to_fit();
        }
    }

    fn sent(&self) -> MutexGuard<'_, HashMap<u64, Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each notice once, in the order of its first time, with how often it came.
fn counted(notices: impl Iterator<Item = Notice>) -> Vec<(Notice, i32)> {
    let mut counted: Vec<(Notice, i32)> = Vec::new();
    let mut places: HashMap<u64, usize> = HashMap::new();
    for notice in notices {
        let place = *places.entry(digest(&notice)).or_insert(counted.len());
        match counted.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => counted.push((notice, 1)),
        }
    }
    counted
}

/// The Event, but for where it is and when.
fn event(notice: &Notice) -> Event {
    let Notice {
        about,
        warning,
        reason,
        note,
    } = notice;
    Event {
        type_: Some(if *warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(reason.to_string()),
        note: Some(note.to_string()),
        action: Some("Reconcile".to_owned()),
        regarding: Some(reference(about)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        ..Event::default()
    }
}

fn digest(notice: &Notice) -> u64 {
    let mut hasher = DefaultHasher::new();
    notice.hash(&mut hasher);
    hasher.finish()
}

/// `<object>.<time>`, as client-go names Events.
fn name(object: &str, nanoseconds: i128) -> String {
    let mut end = object.len().min(MAX_NAME);
    while !object.is_char_boundary(end) {
        end -= 1;
    }
    let start = object.get(..end).unwrap_or_default();
    format!("{}.{nanoseconds:x}", start.trim_end_matches(['-', '.']))
}

fn reference(about: &About) -> ObjectReference {
    ObjectReference {
        api_version: Some(about.kind.api_version().to_owned()),
        kind: Some(about.kind.kind().to_owned()),
        namespace: Some(about.namespace.clone()),
        name: Some(about.name.clone()),
        uid: Some(about.uid.to_string()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(note: &str) -> Notice {
        let about = About {
            kind: Kind::Release,
            namespace: "default".to_owned(),
            name: "web".to_owned(),
            uid: Uid(1),
        };
        Notice {
            about,
            warning: false,
            reason: "Ready".into(),
            note: note.into(),
        }
    }

    #[test]
    fn notices_that_are_alike_are_counted_and_none_is_lost() {
        let batch = ["a", "b", "a", "c", "a"].map(notice).into_iter();
        assert_eq!(counted(batch), [(notice("a"), 3), (notice("b"), 1), (notice("c"), 1)]);
    }

    #[test]
    fn a_notice_with_another_note_is_another_event() {
        assert_eq!(digest(&notice("a")), digest(&notice("a")));
        assert_ne!(digest(&notice("a")), digest(&notice("b")));
    }

    #[test]
    fn the_name_of_an_event_is_short_enough_and_a_dns_name() {
        assert_eq!(name("web", 255), "web.ff");
        let long = format!("{}-{}", "a".repeat(199), "b".repeat(53));
        assert_eq!(name(&long, 255), format!("{}.ff", "a".repeat(199)));
    }
}
