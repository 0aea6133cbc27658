//! Kubernetes Events (`events.k8s.io/v1`), sent in the background.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::model::kind::Kind;
use crate::model::observed::Uid;

/// Events that may wait to be sent.
const QUEUE: usize = 1000;
/// How long sending one Event may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

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
    queue: mpsc::Sender<(Event, ObjectReference)>,
}

impl Events {
    /// Starts the task that sends; it ends when the last `Events` is dropped and all that waits is sent: await the
    /// handle, within a time, to drain on shutdown. `instance` is the Pod's name.
    pub fn new(client: Client, instance: Option<String>) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let reporter = Reporter {
            controller: "iter8".to_owned(),
            instance,
        };
        let task = tokio::spawn(run(Recorder::new(client, reporter), waiting));
        (Self { queue }, task)
    }

    /// Queues an Event; when 1,000 wait already it is dropped with a warning.
    ///
    /// `reason` and `action` are CamelCase words of at most 128 bytes; `note` is cut to 1,024 bytes.
    pub fn publish(&self, about: &About, type_: EventType, reason: &str, note: &str, action: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(super::error::cut(note)),
            action: action.to_owned(),
            secondary: None,
        };
        if self.queue.try_send((event, reference(about))).is_err() {
            let About {
                kind, namespace, name, ..
            } = about;
            tracing::warn!(%kind, namespace, name, reason, "Event dropped: too many wait to be sent");
        }
    }
}

async fn run(recorder: Recorder, mut waiting: mpsc::Receiver<(Event, ObjectReference)>) {
    while let Some((event, about)) = waiting.recv().await {
        let sent = tokio::time::timeout(REQUEST_TIMEOUT, recorder.publish(&event, &about)).await;
        let error = match sent {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let (namespace, name) = (about.namespace.as_deref(), about.name.as_deref());
        tracing::warn!(namespace, name, reason = event.reason, error, "Event not sent");
    }
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
