//! What the operator needs for 100, 1,000 and 10,000 Releases, beside the least that any controller could need.
//!
//! One run, one API server: for each N, that many Releases are made, change, are changed all the time, are left alone, and
//! meet an operator that was restarted. A latency is the time from a change (a Deployment's availability, the annotation of
//! a weight ConfigMap) to the route that follows from it, both as watch events of one observer that is neither the operator
//! nor the probe. The *probe* is the floor: a process that watches and sends one server-side apply of a VirtualService for
//! each change; it has objects of its own, of the same size. Changes of the two alternate, so that a machine that is slow for
//! a while is slow for both. Only etcd and kube-apiserver run beside them: this process stands in for Deployment controller
//! and kubelet.
//!
//! - `cargo bench --bench scale` measures: figures to `bench/results`, tables to stdout, what is going on to stderr, and, if
//!   it was the whole of it, to `docs/performance.md`. Another with `N=100,1000`, `ROUNDS`, `IDLE_SECONDS`, `CHURN_SECONDS`,
//!   `PAUSE_MILLISECONDS`.
//! - `cargo bench --bench scale -- table FILE` prints the tables of such a file; `-- docs` writes the page anew.
//! - `cargo test --bench scale` is a short run that looks at the numbers of requests, and never at a time.

// A bench is no product: what fails ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod apps;
mod churn;
mod collector;
mod docs;
mod figures;
mod goals;
mod observer;
mod options;
mod plot;
mod plots;
mod probe;
mod process;
mod progress;
mod promises;
mod queue;
mod requests;
mod run;
mod side;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod tables;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

use figures::{Machine, Results};
use options::Options;
use progress::Progress;
use support::cluster::{self, Cluster};

/// Where the figures go.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/results");
/// The CRDs of others, as in a cluster that has both meshes.
const CRDS: &str = "gateway,istio,knative";
/// Whether there are servers in the pods of our clusters, that end with their namespace.
const PODS_RUN: bool = false;
/// The file that `docs/performance.md` shows.
const PUBLISHED: &str = "performance.json";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "--bench")
        .collect();
    match words.as_slice() {
        ["probe", namespace, templates] => probe::run(namespace, Path::new(templates)),
        ["table", file] => print!("{}", tables::all(&read(Path::new(file)))),
        ["docs"] => docs::write(&published()),
        [] if is_bench => return bench(),
        _ => return test(),
    }
    ExitCode::SUCCESS
}

fn bench() -> ExitCode {
    let options = Options::from_env();
    // What was measured is kept, should the rest fail.
    let Some(results) = measure(&options, |so_far| keep("latest.json", so_far)) else {
        return ExitCode::SUCCESS;
    };
    if options.publish {
        keep(PUBLISHED, &results);
        docs::write(&results);
    }
    print!("{}", tables::all(&results));
    let broken = promises::broken(&results);
    for promise in &broken {
        eprintln!("BROKEN: {promise}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}

/// Writes figures to a file.
fn keep(name: &str, results: &Results) {
    let file = Path::new(FOLDER).join(name);
    fs::create_dir_all(FOLDER).unwrap();
    fs::write(&file, serde_json::to_string_pretty(results).unwrap() + "\n").unwrap();
    eprintln!("figures: {}", file.display());
}

/// The tests: what is the same on every machine.
fn test() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = [
        Trial::test("the_operator_asks_for_what_is_promised_and_no_more", || {
            let Some(results) = measure(&Options::check(), |_| {}) else {
                return Ok(());
            };
            let broken = promises::broken(&results);
            assert!(broken.is_empty(), "{}", tables::requests(&results));
            Ok(())
        }),
        Trial::test("the_page_on_performance_shows_the_figures_that_are_kept", || {
            assert!(docs::is_up_to_date(&published()), "cargo bench --bench scale -- docs");
            Ok(())
        })
        .with_ignored_flag(!Path::new(FOLDER).join(PUBLISHED).exists()),
    ];
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Measures, and shows the results after each size. `None` where there is no cluster of our own to be had.
fn measure(options: &Options, so_far: impl Fn(&Results)) -> Option<Results> {
    let mut progress = Progress::new(options);
    let load = load();
    progress.say("starting a cluster");
    let cluster = cluster::dedicated_cluster("scale")?;
    // The status of Deployments is ours to write, and the processors are the API server's and the operator's.
    for component in ["kwok", "kube-scheduler", "kube-controller-manager"] {
        cluster.component("stop", component);
    }
    let (_, prober) = cluster.account("probe");
    let mut results = Results {
        machine: Machine {
            at: chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
            minutes: 0.0,
            cores: std::thread::available_parallelism().unwrap().get(),
            load: [load.clone(), load],
            kubernetes: kubernetes(&cluster),
        },
        sizes: Vec::new(),
    };
    for size in &options.sizes {
        let measured = run::size(&cluster, &prober, *size, options, &mut progress);
        results.sizes.push(measured);
        results.machine.minutes = progress.minutes();
        results.machine.load[1] = self::load();
        so_far(&results);
    }
    Some(results)
}

fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap();
    averages.split(' ').next().unwrap().to_owned()
}

fn kubernetes(cluster: &Cluster) -> String {
    let version = cluster.kubectl.ok(["version", "--output=json"], "");
    let version: Value = serde_json::from_str(&version).unwrap();
    version["serverVersion"]["gitVersion"].as_str().unwrap().to_owned()
}

/// The figures of `docs/performance.md`.
fn published() -> Results {
    read(&Path::new(FOLDER).join(PUBLISHED))
}

fn read(file: &Path) -> Results {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
