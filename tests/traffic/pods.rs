//! Pods that answer. kwok says which pods are Ready and where; here they are real servers.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use crate::load::TRAFFIC;
use crate::support::api::Api;

/// Response header: the image of the pod's first container.
pub const VERSION: &str = "x-version";

/// Annotation of pods: how long an answer takes, as `50ms`.
pub const DELAY: &str = "traffic.iter8.tools/delay";

/// Annotation of pods: the share of requests that fail with status 500, 0 to 1.
pub const ERROR_RATE: &str = "traffic.iter8.tools/error-rate";

/// Annotation of pods: how long they go on answering when they are deleted, as `2s`; not at all without it. It is kwok's, so
/// that for as long no other pod gets the address.
pub const STOP_AFTER: &str = "kwok.iter8.tools/stop-after";

/// What a version got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests whose senders read the answer.
    pub requests: usize,
    /// Copies of requests that another version answered.
    pub copies: usize,
}

/// By namespace and pod: its version, and what it got.
type Counts = BTreeMap<(String, String), (String, Count)>;

/// The pods of a cluster. Each has a socket of its own at its IP and every container port from when its containers run: a
/// process listens before its pod is Ready. When it ceases to be Ready, or is deleted, that is closed, with all connections,
/// as that of a process which ends at SIGTERM.
pub struct Pods {
    counts: Arc<Mutex<Counts>>,
    watch: AbortHandle,
}

impl Pods {
    /// Watches the cluster's pods until it is dropped.
    pub fn start(api: &Api) -> Self {
        let counts = Arc::<Mutex<Counts>>::default();
        let watch = TRAFFIC
            .spawn(follow(api.client.clone(), Arc::clone(&counts)))
            .abort_handle();
        Self { counts, watch }
    }

    /// What the pods of a version got so far.
    pub fn count(&self, namespace: &str, version: &str) -> Count {
        let counts = self.counts.lock().unwrap();
        let of_version = counts
            .iter()
            .filter(|((in_namespace, _), (of, _))| in_namespace == namespace && of == version);
        of_version.fold(Count::default(), |sum, (_, (_, count))| Count {
            requests: sum.requests + count.requests,
            copies: sum.copies + count.copies,
        })
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// What became of a pod so far.
#[derive(Default)]
struct Life {
    servers: Option<JoinSet<()>>,
    was_ready: bool,
}

/// Keeps a server for each pod that runs.
async fn follow(client: Client, counts: Arc<Mutex<Counts>>) {
    let mut lives: HashMap<String, Life> = HashMap::new();
    let mut events = watcher(kube::Api::<Pod>::all(client), Config::default())
        .default_backoff()
        .boxed();
    while let Some(event) = events.next().await {
        let pod = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => pod,
            Ok(Event::Delete(pod)) => {
                lives.remove(&pod.uid().unwrap_or_default());
                continue;
            }
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) => {
                eprintln!("watching pods: {error}");
                continue;
            }
        };
        let life = lives.entry(pod.uid().unwrap_or_default()).or_default();
        let (ready, going) = (is_ready(&pod), pod.metadata.deletion_timestamp.is_some());
        life.was_ready |= ready;
        if life.was_ready && !ready || going && !pod.annotations().contains_key(STOP_AFTER) {
            life.servers = None;
        } else if !going && runs(&pod) {
            life.servers.get_or_insert_with(|| serve(&pod, &counts));
        }
    }
}

/// Whether the pod has its address, and a process.
fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| {
        let mut containers = status.container_statuses.iter().flatten();
        let running = containers.any(|one| one.state.as_ref().is_some_and(|state| state.running.is_some()));
        status.pod_ip.is_some() && running
    })
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|condition| condition.type_ == "Ready")
        .any(|condition| condition.status == "True")
}

/// The servers of a pod, which end when this is dropped.
fn serve(pod: &Pod, counts: &Arc<Mutex<Counts>>) -> JoinSet<()> {
    let ip: IpAddr = pod.status.as_ref().unwrap().pod_ip.as_ref().unwrap().parse().unwrap();
    let containers = &pod.spec.as_ref().unwrap().containers;
    let ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    let application = Arc::new(Application {
        pod: (pod.namespace().unwrap(), pod.name_any()),
        version: containers[0].image.clone().unwrap(),
        delay: duration(pod, DELAY).unwrap_or_default(),
        error_rate: pod
            .annotations()
            .get(ERROR_RATE)
            .map_or(0.0, |rate| rate.parse().unwrap()),
        counts: Arc::clone(counts),
    });
    ports
        .map(|port| {
            listen(
                SocketAddr::new(ip, port.container_port.try_into().unwrap()),
                Arc::clone(&application),
            )
        })
        .collect()
}

async fn listen(address: SocketAddr, application: Arc<Application>) {
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            // The pod that had the address before is just going.
            Err(error) => eprintln!("{address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = stream.set_nodelay(true);
        let application = Arc::clone(&application);
        connections.spawn(async move {
            let service = service_fn(|request| application.answer(request));
            // A client that goes away is no failure of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What runs in a pod.
struct Application {
    /// Namespace and name.
    pod: (String, String),
    version: String,
    delay: Duration,
    error_rate: f64,
    counts: Arc<Mutex<Counts>>,
}

impl Application {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
        // Envoy marks copies so.
        let host = request.headers().get(HOST).map(|host| host.as_bytes().to_vec());
        self.count(host.unwrap_or_default().ends_with(b"-shadow"));
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let fails = fastrand::f64() < self.error_rate;
        let response = Response::builder()
            .status(if fails { 500 } else { 200 })
            .header(VERSION, &self.version)
            .body(Empty::new());
        Ok(response.unwrap())
    }

    fn count(&self, is_copy: bool) {
        let mut counts = self.counts.lock().unwrap();
        let (_, count) = counts
            .entry(self.pod.clone())
            .or_insert_with(|| (self.version.clone(), Count::default()));
        if is_copy {
            count.copies += 1;
        } else {
            count.requests += 1;
        }
    }
}

/// The time that an annotation gives, in seconds (`2s`) or milliseconds (`50ms`).
fn duration(pod: &Pod, annotation: &str) -> Option<Duration> {
    let text = pod.annotations().get(annotation)?;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap());
    let number = number.parse().unwrap();
    Some(match unit {
        "s" => Duration::from_secs(number),
        "ms" => Duration::from_millis(number),
        _ => panic!("{annotation}: {text} has neither s nor ms"),
    })
}
