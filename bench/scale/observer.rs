//! The one who looks: watches the objects of a kind and namespace and says when each was seen to change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::Client;
use kube::api::WatchEvent;
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    Deployments,
    ConfigMaps,
    Routes,
}

impl Looked {
    /// Where they are served.
    pub fn path(self, namespace: &str) -> String {
        let (api, plural) = match self {
            Self::Deployments => ("apis/apps/v1", "deployments"),
            Self::ConfigMaps => ("api/v1", "configmaps"),
            Self::Routes => ("apis/networking.istio.io/v1", "virtualservices"),
        };
        format!("/{api}/namespaces/{namespace}/{plural}")
    }
}

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
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "iter8.tools/weight")]
    weight: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Spec {
    #[serde(default)]
    http: Vec<Rule>,
}

#[derive(Clone, Debug, Deserialize)]
struct Rule {
    #[serde(default)]
    route: Vec<Backend>,
}

#[derive(Clone, Debug, Deserialize)]
struct Backend {
    destination: Destination,
    weight: Option<i32>,
}

#[derive(Clone, Debug, Deserialize)]
struct Destination {
    host: String,
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
    /// Deployment: available replicas; weight ConfigMap: the weight; VirtualService: the candidate's share, 0 without it.
    pub fn number(&self, what: Looked) -> i32 {
        match what {
            Looked::Deployments => self.status.available_replicas,
            Looked::ConfigMaps => {
                let weight = self.metadata.annotations.weight.as_deref();
                weight.map_or(0, |weight| weight.parse().unwrap())
            }
            Looked::Routes => {
                let candidate = format!("{}-1.", self.metadata.name);
                let mut backends = self.backends();
                let backend = backends.find(|backend| backend.destination.host.starts_with(&candidate));
                backend.map_or(0, |backend| backend.weight.unwrap_or(100))
            }
        }
    }

    fn backends(&self) -> impl Iterator<Item = &Backend> {
        self.spec.http.iter().flat_map(|rule| &rule.route)
    }
}

/// Before a watch is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Somebody who waits until an object has a number.
type Waiter = (i32, oneshot::Sender<Instant>);

/// The objects of one kind and namespace.
pub struct Observer {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    known: HashMap<String, Known>,
    waiters: HashMap<String, Waiter>,
    seen: Seen,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Known {
    number: i32,
    backends: usize,
}

/// How many events told of something new.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Events after which an object was not as before.
    pub changed: u64,
    /// Of these, routes with fewer backends than before.
    pub lost: u64,
}

impl Observer {
    /// Looks at a namespace's objects from now on. Every event is also sent to `tell`, if there is one.
    pub fn start(client: &Client, what: Looked, namespace: &str, tell: Option<mpsc::UnboundedSender<View>>) -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, client, namespace) = (Arc::clone(&state), client.clone(), namespace.to_owned());
        let task = tokio::spawn(async move {
            follow(&client, what, &namespace, |view| {
                shared.lock().unwrap().take_in(&view, what, Instant::now());
                if let Some(tell) = &tell {
                    let _ = tell.send(view); // nobody listens any more: it still looks
                }
            })
            .await;
        });
        Self { state, task }
    }

    /// When the object is seen to have this number; at once if it has it already.
    pub fn expect(&self, name: &str, number: i32) -> oneshot::Receiver<Instant> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state.lock().unwrap();
        if state.known.get(name).is_some_and(|known| known.number == number) {
            sender.send(Instant::now()).unwrap();
        } else {
            state.waiters.insert(name.to_owned(), (number, sender));
        }
        receiver
    }

    /// What was seen since this was last asked.
    pub fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn take_in(&mut self, view: &View, what: Looked, now: Instant) {
        let name = &view.metadata.name;
        let known = Known {
            number: view.number(what),
            backends: view.backends().count(),
        };
        let before = self.known.insert(name.clone(), known);
        self.seen.changed += u64::from(before != Some(known));
        self.seen.lost += u64::from(before.is_some_and(|before| known.backends < before.backends));
        if let Some((_, waiter)) = self.waiters.remove(name).and_then(|waiter| {
            if waiter.0 == known.number {
                return Some(waiter);
            }
            self.waiters.insert(name.clone(), waiter);
            None
        }) {
            let _ = waiter.send(now); // gave up
        }
    }
}

/// Watches a kind; deletions do not happen here. The client ends a watch after some minutes: the next goes on where it was.
pub async fn follow(client: &Client, what: Looked, namespace: &str, mut see: impl FnMut(View)) {
    let path = what.path(namespace);
    let mut version = String::new();
    loop {
        let uri = format!("{path}?watch=1&timeoutSeconds=7200&resourceVersion={version}");
        let request = http::Request::get(uri).body(Vec::new()).unwrap();
        let Ok(events) = client.request_events::<View>(request).await else {
            tokio::time::sleep(RETRY).await; // the connection broke
            continue;
        };
        let mut events = events.boxed();
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
