//! Kubernetes Events (`events.k8s.io/v1`), sent in the background.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::iter;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Calm;
use crate::model::kind::Kind;
use crate::model::observed::Uid;

/// Events that may wait to be sent.
const QUEUE: usize = 1000;
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
/// Bytes of the object's name in an Event's, which has at most 253.
const MAX_NAME: usize = 200;

/// The object that an Event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    queue: mpsc::Sender<Event>,
}

impl Events {
    /// Starts the task that sends; it ends when the last `Events` is dropped and all that waits is sent: await the
    /// handle, within a time, to drain on shutdown. `instance` is the Pod's name.
    pub fn new(client: Client, instance: Option<String>, calm: Calm) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let sender = Sender {
            client,
            instance: instance.unwrap_or_else(|| CONTROLLER.to_owned()),
            calm,
            sent: HashMap::new(),
            forgot: Instant::now(),
        };
        (Self { queue }, tokio::spawn(sender.run(waiting)))
    }

    /// Queues an Event; when 1,000 wait already it is dropped with a warning.
    ///
    /// `reason` is a CamelCase word of at most 128 bytes; `note` is cut to 1,024 bytes.
    pub fn publish(&self, about: &About, warning: bool, reason: &str, note: &str) {
        let event = Event {
            type_: Some(if warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(reason.to_owned()),
            note: Some(super::error::cut(note)),
            action: Some("Reconcile".to_owned()),
            regarding: Some(reference(about)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            ..Event::default()
        };
        if self.queue.try_send(event).is_err() {
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
    /// By digest of object, type, reason and note.
    sent: HashMap<u64, Sent>,
    forgot: Instant,
}

/// An Event that was sent.
struct Sent {
    name: String,
    count: i32,
    last: Instant,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Event>) {
        while let Some(first) = waiting.recv().await {
            tokio::time::sleep(LINGER).await;
            let deadline = tokio::time::Instant::now() + LINGER;
            let all = iter::once(first).chain(iter::from_fn(|| waiting.try_recv().ok()));
            for (event, count) in counted(all) {
                self.calm.wait(deadline).await;
                self.try_to_send(event, count).await;
            }
        }
    }

    async fn try_to_send(&mut self, event: Event, count: i32) {
        let regarding = event.regarding.clone().unwrap_or_default();
        let reason = event.reason.clone();
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, self.send(event, count)).await;
        let error = match sent {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let (namespace, name) = (regarding.namespace, regarding.name);
        tracing::warn!(namespace, name, reason, error, "Event not sent");
    }

    /// Sends an Event that came `count` times.
    async fn send(&mut self, mut event: Event, count: i32) -> kube::Result<()> {
        self.forget();
        let regarding = event.regarding.clone().unwrap_or_default();
        let namespace = regarding.namespace.unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let now = Timestamp::now();
        let key = digest(&event);
        // What cannot be counted on is made anew the next time.
        if let Some(mut sent) = self.sent.remove(&key) {
            let series = json!({ "series": { "count": sent.count + count, "lastObservedTime": MicroTime(now) } });
            events
                .patch(&sent.name, &PatchParams::default(), &Patch::Merge(&series))
                .await?;
            sent.count += count;
            sent.last = Instant::now();
            self.sent.insert(key, sent);
            return Ok(());
        }
        let name = name(&regarding.name.unwrap_or_default(), now.as_nanosecond());
        event.metadata = ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        };
        event.event_time = Some(MicroTime(now));
        event.reporting_instance = Some(self.instance.clone());
        if count > 1 {
            event.series = Some(EventSeries {
                count,
                last_observed_time: MicroTime(now),
            });
        }
        events.create(&PostParams::default(), &event).await?;
        let last = Instant::now();
        self.sent.insert(key, Sent { name, count, last });
        Ok(())
    }

    fn forget(&mut self) {
        if self.forgot.elapsed() > FORGET_EVERY {
            self.forgot = Instant::now();
            self.sent.retain(|_, sent| sent.last.elapsed() < SERIES);
            self.sent.shrink_to_fit();
        }
    }
}

/// Each Event once, in the order of its first time, with how often it came.
fn counted(events: impl Iterator<Item = Event>) -> Vec<(Event, i32)> {
    let mut counted: Vec<(Event, i32)> = Vec::new();
    for event in events {
        match counted.iter_mut().find(|(other, _)| *other == event) {
            Some((_, count)) => *count += 1,
            None => counted.push((event, 1)),
        }
    }
    counted
}

fn digest(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    let uid = event.regarding.as_ref().and_then(|about| about.uid.as_ref());
    (uid, &event.type_, &event.reason, &event.note).hash(&mut hasher);
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

    fn event(note: &str) -> Event {
        Event {
            note: Some(note.to_owned()),
            ..Event::default()
        }
    }

    #[test]
    fn events_that_are_alike_are_counted_and_none_is_lost() {
        let batch = ["a", "b", "a", "c", "a"].map(event).into_iter();
        assert_eq!(counted(batch), [(event("a"), 3), (event("b"), 1), (event("c"), 1)]);
    }

    #[test]
    fn an_event_with_another_note_is_another_event() {
        assert_eq!(digest(&event("a")), digest(&event("a")));
        assert_ne!(digest(&event("a")), digest(&event("b")));
    }

    #[test]
    fn the_name_of_an_event_is_short_enough_and_a_dns_name() {
        assert_eq!(name("web", 255), "web.ff");
        let long = format!("{}-{}", "a".repeat(199), "b".repeat(53));
        assert_eq!(name(&long, 255), format!("{}.ff", "a".repeat(199)));
    }
}
