//! One size, from the first Release to the restart.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::apps::{self, BURST};
use super::observer::{DEPLOYMENTS, Observer, ROUTES};
use super::process::Process;
use super::report;
use super::support::api::RUNTIME;
use super::support::audit::Mark;
use super::support::cluster::Cluster;
use super::support::operator::BINARY;

/// Applications of the probe.
const PROBED: usize = 100;
/// Rounds of each side.
const ROUNDS: usize = 8;
/// Changes in a round, one at a time.
const ALONE: usize = 100;
/// Bursts in a round.
const BURSTS: usize = 4;
/// Between one change and the next. What the operator reports of a change, 100 ms later, meets those that follow.
const PAUSE: Duration = Duration::from_millis(40);
/// Between one burst and the next.
const LONG_PAUSE: Duration = Duration::from_millis(1500);
/// Nothing happens for so long. A client drops idle connections after 90 s.
const IDLE: Duration = Duration::from_secs(95);
/// After so long something that was waited for does not come.
const PATIENCE: Duration = Duration::from_mins(15);

/// A namespace whose Deployments come and go.
struct Side {
    client: Client,
    namespace: String,
    deployments: Observer,
    routes: Observer,
    status_writer: JoinHandle<()>,
    /// Whether the candidate of each application is available.
    available: Vec<bool>,
    next: usize,
}

/// Latencies, ms: one list for each round.
#[derive(Default)]
struct Rounds {
    alone: Vec<Vec<f64>>,
    burst: Vec<Vec<f64>>,
}

/// Measures with this many Releases.
pub fn size(cluster: &Cluster, size: usize) -> Value {
    let mut run = Run::start(cluster, size);
    let create = run.create();
    let flips = run.flips();
    let idle = run.idle();
    let restart = run.restart();
    json!({ "n": size, "create": create, "flips": flips, "idle": idle, "restart": restart })
}

/// The operator and the probe, each with its side.
struct Run<'a> {
    cluster: &'a Cluster,
    size: usize,
    operator: Process,
    prober: Option<Process>,
    ours: Side,
    probes: Side,
}

impl<'a> Run<'a> {
    fn start(cluster: &'a Cluster, size: usize) -> Self {
        let start =
            |name: &str, apps| RUNTIME.block_on(Side::new(&cluster.api.client, &format!("{name}-{size}"), apps));
        let (ours, probes) = (start("bench", size), start("probe", PROBED));
        let operator = operator(cluster, &ours.namespace);
        operator.calm();
        Self {
            cluster,
            size,
            operator,
            prober: None,
            ours,
            probes,
        }
    }

    fn say(&self, what: &str) {
        eprintln!("N={}: {what}", self.size);
    }

    fn mark(&self) -> Mark {
        self.cluster.audit.as_ref().unwrap().mark()
    }

    /// What the operator has asked for since then.
    fn requests(&self, since: Mark) -> Value {
        let audit = self.cluster.audit.as_ref().unwrap();
        report::requests(&audit.since(since, Some(&self.ours.namespace)))
    }

    fn create(&mut self) -> Value {
        self.say("creating");
        let mark = self.mark();
        let took = RUNTIME.block_on(self.ours.create_releases(self.size));
        self.operator.calm();
        json!({
            "seconds": took.as_secs_f64(),
            "cpu_ms": self.operator.cpu(),
            "memory_kib": self.operator.memory(),
            "requests": self.requests(mark),
        })
    }

    fn flips(&mut self) -> Value {
        self.say("versions come and go");
        self.start_probe();
        let (mark, cpu) = (self.mark(), self.operator.cpu());
        let (ours, probes, flips) = RUNTIME.block_on(rounds(&mut self.ours, &mut self.probes));
        self.operator.calm();
        json!({
            "flips": flips,
            "operator": { "alone": report::latencies(&ours.alone), "burst": report::latencies(&ours.burst) },
            "probe": { "alone": report::latencies(&probes.alone), "burst": report::latencies(&probes.burst) },
            "cpu_ms": self.operator.cpu() - cpu,
            "memory_kib": self.operator.memory(),
            "probe_memory_kib": self.prober.as_ref().unwrap().memory(),
            "requests": self.requests(mark),
        })
    }

    fn start_probe(&mut self) {
        let namespace = &self.probes.namespace;
        let templates = RUNTIME.block_on(self.ours.templates(namespace));
        let file = self.cluster.folder.join(format!("{namespace}.json"));
        fs::write(&file, json!(templates).to_string()).unwrap();
        let arguments = ["probe", namespace, file.to_str().unwrap()];
        self.prober = Some(Process::start(
            self.cluster,
            &env::current_exe().unwrap(),
            &arguments,
            namespace,
        ));
        RUNTIME.block_on(self.probes.create_deployments(&self.ours.namespace));
    }

    fn idle(&mut self) -> Value {
        self.say("idle");
        let (mark, cpu) = (self.mark(), self.operator.cpu());
        thread::sleep(IDLE);
        let (cpu, requests) = (self.operator.cpu() - cpu, self.requests(mark));
        let first = [&mut self.ours, &mut self.probes].map(|side| RUNTIME.block_on(side.flip(0)));
        json!({
            "seconds": IDLE.as_secs(),
            "cpu_ms": cpu,
            "requests": requests,
            "first_flip_ms": { "operator": first[0], "probe": first[1] },
        })
    }

    fn restart(&mut self) -> Value {
        self.say("restart");
        self.operator.calm();
        let mark = self.mark();
        let stopped = self.operator.stop();
        let started = Instant::now();
        self.operator = operator(self.cluster, &self.ours.namespace);
        let quiet = self.operator.calm().duration_since(started);
        json!({
            "stop_ms": stopped.as_secs_f64() * 1000.0,
            "quiet_seconds": quiet.as_secs_f64(),
            "cpu_ms": self.operator.cpu(),
            "memory_kib": self.operator.memory(),
            "requests": self.requests(mark),
        })
    }
}

/// Starts the operator. Its log is in the cluster's folder under the namespace's name.
fn operator(cluster: &Cluster, namespace: &str) -> Process {
    Process::start(
        cluster,
        Path::new(BINARY),
        &["run", "--namespace", namespace],
        namespace,
    )
}

/// Rounds of the operator and of the probe in turn, and the number of the operator's flips.
async fn rounds(operator: &mut Side, probe: &mut Side) -> (Rounds, Rounds, usize) {
    let (mut a, mut b) = (Rounds::default(), Rounds::default());
    for side in [&mut *operator, &mut *probe] {
        side.burst().await; // connections are made here
        side.burst().await;
    }
    for round in 0..ROUNDS {
        let mut pair = [(&mut *operator, &mut a), (&mut *probe, &mut b)];
        if round % 2 == 1 {
            pair.reverse(); // neither is always the first
        }
        for (side, into) in pair {
            side.round(into).await;
        }
        let middle = |rounds: &[Vec<f64>]| report::median(rounds.last().unwrap());
        eprintln!(
            "  round {}/{ROUNDS}: p50 of the operator {:.1} alone, {:.0} in a burst; of the probe {:.1}, {:.0}",
            round + 1,
            middle(&a.alone),
            middle(&a.burst),
            middle(&b.alone),
            middle(&b.burst),
        );
    }
    (a, b, 2 * BURST + ROUNDS * (ALONE + BURSTS * BURST))
}

impl Side {
    /// An empty namespace, in which Deployments become available as soon as they are seen.
    async fn new(client: &Client, namespace: &str, apps: usize) -> Self {
        apps::create_namespace(client, namespace).await;
        let (tell, seen) = mpsc::unbounded_channel();
        let (ignored, _) = mpsc::unbounded_channel();
        let status_writer = tokio::spawn(apps::make_available(client.clone(), namespace.to_owned(), seen));
        Self {
            deployments: Observer::start(client, DEPLOYMENTS, "deployments", namespace, tell),
            routes: Observer::start(client, ROUTES, "virtualservices", namespace, ignored),
            status_writer,
            client: client.clone(),
            namespace: namespace.to_owned(),
            available: vec![true; apps],
            next: 0,
        }
    }

    /// Makes Releases; returns after which time all routes were right.
    async fn create_releases(&mut self, count: usize) -> Duration {
        let begun = Instant::now();
        let routes: Vec<_> = (0..count)
            .map(|index| self.routes.expect(&apps::name(index), 2))
            .collect();
        apps::create_releases(&self.client, &self.namespace, count).await;
        let all = tokio::time::timeout(PATIENCE, join_all(routes)).await;
        let last = all
            .expect("all routes become right")
            .into_iter()
            .map(Result::unwrap)
            .max();
        last.unwrap() - begun
    }

    /// Makes the probe's Deployments, and waits for its routes.
    async fn create_deployments(&mut self, like: &str) {
        let count = self.available.len();
        let routes: Vec<_> = (0..count)
            .map(|index| self.routes.expect(&apps::name(index), 2))
            .collect();
        apps::copy_deployments(&self.client, like, &self.namespace, count).await;
        let all = tokio::time::timeout(PATIENCE, join_all(routes)).await;
        assert!(all.is_ok(), "the probe does not write its routes: see its log");
        // What came before the Deployment was available has been overwritten by now.
        tokio::time::sleep(LONG_PAUSE).await;
    }

    /// The first application's route with the candidate and without, for another namespace.
    async fn templates(&mut self, namespace: &str) -> [Value; 2] {
        let with = apps::route_template(&self.client, &self.namespace, namespace).await;
        self.flip(0).await;
        let without = apps::route_template(&self.client, &self.namespace, namespace).await;
        self.flip(0).await;
        tokio::time::sleep(LONG_PAUSE).await;
        [with, without]
    }

    async fn round(&mut self, into: &mut Rounds) {
        let mut alone = Vec::new();
        for _ in 0..ALONE / 2 {
            let index = self.next % self.available.len();
            self.next += 1;
            for _ in 0..2 {
                alone.push(self.flip(index).await);
                tokio::time::sleep(PAUSE + PAUSE.mul_f64(fastrand::f64() / 4.0)).await;
            }
        }
        into.alone.push(alone);
        tokio::time::sleep(LONG_PAUSE).await;
        let mut burst = Vec::new();
        for _ in 0..BURSTS / 2 {
            burst.extend(self.burst().await);
            burst.extend(self.burst().await);
            self.next += BURST;
        }
        into.burst.push(burst);
    }

    /// Changes many applications at once.
    async fn burst(&mut self) -> Vec<f64> {
        let first = self.next;
        let indices: Vec<usize> = (first..first + BURST)
            .map(|index| index % self.available.len())
            .collect();
        let available: Vec<bool> = indices.iter().map(|index| self.turn(*index)).collect();
        let flips = indices.into_iter().zip(available);
        let took = join_all(flips.map(|(index, available)| self.change(index, available))).await;
        tokio::time::sleep(LONG_PAUSE).await;
        took
    }

    /// Changes one application; returns the latency, ms.
    async fn flip(&mut self, index: usize) -> f64 {
        let available = self.turn(index);
        self.change(index, available).await
    }

    fn turn(&mut self, index: usize) -> bool {
        self.available[index] = !self.available[index];
        self.available[index]
    }

    async fn change(&self, index: usize, available: bool) -> f64 {
        let app = apps::name(index);
        let candidate = apps::candidate(&app);
        let deployment = self.deployments.expect(&candidate, i32::from(available));
        let route = self.routes.expect(&app, 1 + i32::from(available));
        apps::set_available(&self.client, &self.namespace, &candidate, 1, available).await;
        let (from, to) = (deployment.await.unwrap(), tokio::time::timeout(PATIENCE, route).await);
        let to = to.expect("the route follows").unwrap();
        to.saturating_duration_since(from).as_secs_f64() * 1000.0
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.status_writer.abort();
    }
}
