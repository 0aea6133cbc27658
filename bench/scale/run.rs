//! One size, from the first Release to the restart.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use super::apps::BURST;
use super::churn::churn;
use super::collector::Collector;
use super::figures::{ByGarbage, Changes, ChurnOfBoth, Create, Idle, Latencies, Latency, Restart, Size};
use super::options::Options;
use super::process::Process;
use super::progress::{Phase, Progress};
use super::requests::Requests;
use super::side::{Side, Together, What};
use super::support::api::RUNTIME;
use super::support::audit::Mark;
use super::support::cluster::{self, Cluster, SERVICE_ACCOUNT};
use super::support::operator::BINARY;

/// Applications of the probe.
const PROBED: usize = 100;

/// The operator and the probe, each with its side.
struct Run<'a> {
    cluster: &'a Cluster,
    options: &'a Options,
    operator: Process,
    prober: Option<Process>,
    /// What the probe connects with.
    prober_kubeconfig: &'a Path,
    ours: Side,
    probes: Side,
}

/// What a side changed alone, and at once, round by round.
type OfSide = [Vec<Vec<Together>>; 2];

/// Changes of one kind.
#[derive(Default)]
struct Rounds {
    operator: OfSide,
    probe: OfSide,
    changes: u64,
    cpu_ms: u64,
    /// The probe's, which makes as many changes.
    probe_cpu_ms: u64,
    requests: Requests,
}

/// Measures with this many Releases.
pub fn size(
    cluster: &Cluster,
    prober_kubeconfig: &Path,
    size: usize,
    options: &Options,
    progress: &mut Progress,
) -> Size {
    let mut run = Run::start(cluster, prober_kubeconfig, size, options);
    let create = progress.phase(Phase::Creation, size, options, || run.create());
    progress.phase(Phase::ProbeObjects, size, options, || run.start_probe());
    let (mut readiness, mut weight) = (Rounds::default(), Rounds::default());
    for round in 0..options.rounds {
        progress.phase(Phase::Round(round), size, options, || {
            run.round(What::Readiness, &mut readiness);
            run.round(What::Weight, &mut weight);
        });
        progress.say(&format!("  readiness: {}", readiness.last()));
        progress.say(&format!("  weight: {}", weight.last()));
    }
    let collector = Collector::of(cluster);
    let (memory, probe_memory) = (run.operator.memory(), run.prober().memory());
    Size {
        n: size as u64,
        create,
        readiness: readiness.figures(&collector),
        weight: weight.figures(&collector),
        memory,
        probe_memory,
        churn: progress.phase(Phase::Churn, size, options, || run.churn()),
        idle: progress.phase(Phase::Idle, size, options, || run.idle()),
        restart: progress.phase(Phase::Restart, size, options, || run.restart()),
    }
}

impl<'a> Run<'a> {
    fn start(cluster: &'a Cluster, prober_kubeconfig: &'a Path, size: usize, options: &'a Options) -> Self {
        let make = |name: &str, apps| {
            let namespace = format!("{name}-{size}");
            let pauses = [options.pause_alone, options.pause];
            RUNTIME.block_on(Side::new(&cluster.api.client, &namespace, apps, pauses))
        };
        let (ours, probes) = (make("bench", size), make("probe", PROBED));
        let operator = start_operator(cluster, &ours.namespace);
        operator.calm();
        Self {
            cluster,
            options,
            operator,
            prober: None,
            prober_kubeconfig,
            ours,
            probes,
        }
    }

    fn mark(&self) -> Mark {
        self.cluster.audit.as_ref().unwrap().mark()
    }

    /// What the operator has asked for since then.
    fn requests(&self, since: Mark) -> Requests {
        let requests = self.cluster.audit.as_ref().unwrap().since(since, None);
        Requests::of(&cluster::user(SERVICE_ACCOUNT.1), &requests)
    }

    fn prober(&self) -> &Process {
        self.prober.as_ref().unwrap()
    }

    fn create(&mut self) -> Create {
        let (mark, cpu) = (self.mark(), self.operator.cpu());
        let created = RUNTIME.block_on(self.ours.create_releases(self.options.quiet));
        thread::sleep(self.options.pause);
        self.operator.calm();
        Create {
            seconds: created.routes.as_secs_f64(),
            releases_seconds: created.releases.as_secs_f64(),
            status_backlog: created.backlog as u64,
            cpu_ms: self.operator.cpu() - cpu,
            memory: self.operator.memory(),
            requests: self.requests(mark),
        }
    }

    fn start_probe(&mut self) {
        let namespace = &self.probes.namespace;
        let templates = RUNTIME.block_on(self.ours.templates(namespace));
        let file = self.cluster.folder.join(format!("{namespace}.json"));
        fs::write(&file, templates.to_string()).unwrap();
        self.prober = Some(Process::start(
            &env::current_exe().unwrap(),
            &["probe", namespace, file.to_str().unwrap()],
            self.prober_kubeconfig,
            &log(self.cluster, namespace),
        ));
        RUNTIME.block_on(self.probes.copy_from(&self.ours.namespace));
        for side in [&mut self.ours, &mut self.probes] {
            RUNTIME.block_on(side.bursts(What::Readiness)); // connections are made here
        }
    }

    /// Changes of one kind on both sides in turn.
    fn round(&mut self, what: What, rounds: &mut Rounds) {
        let alone = match what {
            What::Readiness => self.options.readiness_alone,
            What::Weight => self.options.weight_alone,
        };
        let bursts = self.options.bursts;
        let (mark, cpu, probe_cpu) = (self.mark(), self.operator.cpu(), self.prober().cpu());
        self.in_turn(alone, 0, rounds, |side| RUNTIME.block_on(side.alone(what)));
        thread::sleep(self.options.pause);
        self.in_turn(bursts, 1, rounds, |side| RUNTIME.block_on(side.bursts(what)));
        rounds.cpu_ms += self.operator.cpu() - cpu;
        rounds.probe_cpu_ms += self.prober().cpu() - probe_cpu;
        rounds.requests.add(self.requests(mark));
        rounds.changes += (alone + bursts * BURST) as u64;
    }

    /// So many changes, there and back, on each side in turn; neither is always the first. `place`: among the figures.
    fn in_turn(&mut self, changes: usize, place: usize, rounds: &mut Rounds, act: impl Fn(&mut Side) -> Vec<Together>) {
        let (mut operator, mut probe) = (Vec::new(), Vec::new());
        for turn in 0..changes / 2 {
            let mut sides = [(&mut self.ours, &mut operator), (&mut self.probes, &mut probe)];
            sides.rotate_left(turn % 2);
            for (side, took) in sides {
                took.extend(act(side));
            }
        }
        rounds.operator[place].push(operator);
        rounds.probe[place].push(probe);
    }

    fn churn(&mut self) -> ChurnOfBoth {
        let [long, short] = self.options.churn;
        let probe = RUNTIME.block_on(churn(&mut self.probes, short));
        let (mark, cpu) = (self.mark(), self.operator.cpu());
        let operator = RUNTIME.block_on(churn(&mut self.ours, long));
        thread::sleep(self.options.pause);
        self.operator.calm();
        ChurnOfBoth {
            operator,
            probe,
            cpu_ms: self.operator.cpu() - cpu,
            memory: self.operator.memory(),
            requests: self.requests(mark),
        }
    }

    fn idle(&mut self) -> Idle {
        let idle = self.options.idle;
        let (mark, cpu) = (self.mark(), self.operator.cpu());
        thread::sleep(idle);
        let (cpu_ms, requests) = (self.operator.cpu() - cpu, self.requests(mark));
        let memory = self.operator.memory();
        let first = [&mut self.ours, &mut self.probes].map(|side| {
            let index = side.take(1);
            RUNTIME.block_on(side.change(index, What::Readiness).latency())
        });
        Idle {
            seconds: idle.as_secs(),
            cpu_ms,
            memory,
            requests,
            first_change_ms: first,
        }
    }

    fn restart(&mut self) -> Restart {
        thread::sleep(self.options.pause);
        self.operator.calm();
        self.ours.routes.take_seen();
        let mark = self.mark();
        let stopped = self.operator.stop();
        let started = Instant::now();
        self.operator = start_operator(self.cluster, &self.ours.namespace);
        let quiet = self.operator.calm().duration_since(started);
        let seen = self.ours.routes.take_seen();
        Restart {
            stop_ms: stopped.as_secs_f64() * 1000.0,
            quiet_seconds: quiet.as_secs_f64(),
            cpu_ms: self.operator.cpu(),
            memory: self.operator.memory(),
            requests: self.requests(mark),
            routes_changed: seen.changed,
            routes_lost: seen.lost,
        }
    }
}

impl Rounds {
    /// The last round in a line.
    fn last(&self) -> String {
        let middle = |rounds: &[Vec<Together>]| Latency::of(&took(&rounds[rounds.len() - 1..])).p50_ms;
        let [of_operator, of_probe] =
            [&self.operator, &self.probe].map(|[alone, burst]| (middle(alone), middle(burst)));
        format!(
            "p50 of the operator {:.1} ms alone, {:.0} at once; of the probe {:.1}, {:.0}",
            of_operator.0, of_operator.1, of_probe.0, of_probe.1
        )
    }

    fn figures(self, collector: &Collector) -> Changes {
        let work = collector.work();
        let latencies = |[alone, at_once]: &OfSide| Latencies {
            alone: Latency::of(&took(alone)),
            burst: Latency::of(&took(at_once)),
            by_garbage: Some([alone, at_once].map(|rounds| ByGarbage::of(rounds, &work))),
        };
        Changes {
            operator: latencies(&self.operator),
            probe: latencies(&self.probe),
            count: self.changes,
            cpu_ms: self.cpu_ms,
            probe_cpu_ms: Some(self.probe_cpu_ms),
            requests: self.requests,
        }
    }
}

/// The latencies of each round.
fn took(rounds: &[Vec<Together>]) -> Vec<Vec<f64>> {
    let of_round = |round: &Vec<Together>| round.iter().flat_map(|changes| &changes.took).copied().collect();
    rounds.iter().map(of_round).collect()
}

/// Starts the operator for a namespace.
fn start_operator(cluster: &Cluster, namespace: &str) -> Process {
    let arguments = ["run", "--namespace", namespace];
    Process::start(
        Path::new(BINARY),
        &arguments,
        &cluster.operator_kubeconfig,
        &log(cluster, namespace),
    )
}

/// Where a process that works in a namespace prints.
fn log(cluster: &Cluster, namespace: &str) -> PathBuf {
    cluster.folder.join(format!("{namespace}.log"))
}
