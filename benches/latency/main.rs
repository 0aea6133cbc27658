//! How long the operator takes, beside the least that any controller could take.
//!
//! One run, one API server: for each N, that many Releases are made and their versions come and go. What is measured is
//! the time from a Deployment's change of availability to the route without or with it, both as watch events of one
//! observer that is neither the operator nor the probe. The *probe* is the floor: a process that watches Deployments and
//! sends one server-side apply of a VirtualService for each change, with the same client, identity, queue and number of
//! workers as the operator; it has Deployments and VirtualServices of its own, of the same size. Rounds of the two
//! alternate, so that a machine that is slow for a while is slow for both.
//!
//! Only etcd and kube-apiserver run beside them: this process stands in for Deployment controller and kubelet.
//!
//! `N=100,1000 cargo bench --bench latency`; the table goes to stdout, the figures to `benches/results/latest.json`,
//! what is going on to stderr. `cargo bench --bench latency -- table FILE` prints the table of such a file. No time is
//! asserted; counts are.

// A bench is no product: what fails ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod apps;
mod measure;
mod observer;
mod probe;
mod process;
mod report;
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use support::cluster::{self, Cluster};

/// Where the figures go.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/results/latest.json");

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["probe", namespace, templates] => probe::run(namespace, Path::new(templates)),
        ["table", file] => print!("{}", report::table(&read(file))),
        [] => return bench(),
        _ => panic!("unknown arguments {arguments:?}"),
    }
    ExitCode::SUCCESS
}

fn bench() -> ExitCode {
    let sizes = env::var("N").unwrap_or_else(|_| "100,1000".to_owned());
    let sizes: Vec<usize> = sizes
        .split(',')
        .map(|size| size.trim().parse().expect("N is a list of numbers"))
        .collect();
    assert!(
        sizes.iter().all(|size| *size >= apps::BURST),
        "N is at least {}",
        apps::BURST
    );
    eprintln!("starting a cluster");
    let Some(cluster) = cluster::dedicated_cluster("bench") else {
        return ExitCode::SUCCESS;
    };
    // The status of Deployments is ours to write, and the processors are the API server's and the operator's.
    for component in ["kwok", "kube-scheduler", "kube-controller-manager"] {
        cluster.component("stop", component);
    }
    let sizes: Vec<Value> = sizes.into_iter().map(|size| measure::size(&cluster, size)).collect();
    let result = json!({ "machine": machine(&cluster), "sizes": sizes });
    fs::create_dir_all(Path::new(RESULTS).parent().unwrap()).unwrap();
    fs::write(RESULTS, serde_json::to_string_pretty(&result).unwrap()).unwrap();
    print!("{}", report::table(&result));
    let broken = report::broken_promises(&result);
    for promise in &broken {
        eprintln!("BROKEN: {promise}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}

/// Where and when the figures were taken.
fn machine(cluster: &Cluster) -> Value {
    let version = cluster.kubectl.ok(["version", "--output=json"], "");
    let version: Value = serde_json::from_str(&version).unwrap();
    json!({
        "at": chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        "cores": std::thread::available_parallelism().unwrap().get(),
        "load": fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap(),
        "kubernetes": version["serverVersion"]["gitVersion"],
    })
}

fn read(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}
