//! The one who looks: watches Deployments and VirtualServices of a namespace and says when each was seen to change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::StreamExt;
use kube::Client;
use kube::api::WatchEvent;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What is looked at, by the resource's path below the API root.
pub const DEPLOYMENTS: &str = "apis/apps/v1";
/// As `DEPLOYMENTS`.
pub const ROUTES: &str = "apis/networking.istio.io/v1";

/// An object as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct View {
    pub metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    pub status: Status,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub generation: i64,
    #[serde(default)]
    resource_version: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    http: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize)]
struct Rule {
    #[serde(default)]
    route: Vec<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    #[serde(default)]
    pub observed_generation: i64,
    #[serde(default)]
    pub available_replicas: i32,
}

impl View {
    /// Deployment: available replicas; VirtualService: backends of its last rule.
    pub fn number(&self) -> i32 {
        let backends = self.spec.http.last().map_or(0, |rule| rule.route.len());
        self.status.available_replicas + i32::try_from(backends).unwrap()
    }
}

/// Somebody who waits until an object has a number.
type Waiter = (i32, oneshot::Sender<Instant>);

/// The objects of one kind and namespace.
pub struct Observer {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, i32>,
    waiters: HashMap<String, Waiter>,
}

impl Observer {
    /// Looks at a namespace's objects from now on. Every event is also sent to `tell`.
    pub fn start(client: &Client, api: &str, plural: &str, namespace: &str, tell: mpsc::UnboundedSender<View>) -> Self {
        let path = format!("/{api}/namespaces/{namespace}/{plural}");
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, client) = (Arc::clone(&state), client.clone());
        let task = tokio::spawn(async move {
            follow(&client, &path, |view| {
                shared.lock().unwrap().take_in(&view, Instant::now());
                let _ = tell.send(view); // nobody listens any more: it still looks
            })
            .await;
        });
        Self { state, task }
    }

    /// When the object is seen to have this number; at once if it has it already.
    pub fn expect(&self, name: &str, number: i32) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().unwrap();
        if state.known.get(name) == Some(&number) {
            sender.send(Instant::now()).unwrap();
        } else {
            state.waiters.insert(name.to_owned(), (number, sender));
        }
        receiver
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn take_in(&mut self, view: &View, now: Instant) {
        let (name, number) = (&view.metadata.name, view.number());
        self.known.insert(name.clone(), number);
        if let Some((_, waiter)) = self.waiters.remove(name).and_then(|waiter| {
            if waiter.0 == number {
                return Some(waiter);
            }
            self.waiters.insert(name.clone(), waiter);
            None
        }) {
            let _ = waiter.send(now); // gave up
        }
    }
}

/// Watches a path; deletions do not happen here. The client ends a watch after some minutes: the next goes on where it was.
pub async fn follow(client: &Client, path: &str, mut see: impl FnMut(View)) {
    let mut version = String::new();
    loop {
        let uri = format!("{path}?watch=1&timeoutSeconds=7200&resourceVersion={version}");
        let request = http::Request::get(uri).body(Vec::new()).unwrap();
        let mut events = client.request_events::<View>(request).await.unwrap().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(view) | WatchEvent::Modified(view)) => {
                    version.clone_from(&view.metadata.resource_version);
                    see(view);
                }
                Ok(WatchEvent::Error(_)) => version.clear(), // too old: all is seen once more
                Ok(other) => panic!("unexpected event {other:?}"),
                Err(_) => break,
            }
        }
    }
}
