//! Where requests go, not only where routes say: real requests through a real data plane.
//!
//! The tests run in a network namespace of their own ([`namespace`]), where every address of a pod is an address of this
//! machine: Contour or Istio, each with an Envoy, carries the routes ([`mesh`]), the pods that kwok simulates answer ([`pods`]), and clients
//! count what becomes of their requests ([`load`]). Cluster and operator are those of `tests/it`.
//!
//! `RUNS=10 cargo test --test traffic` does not test, but measures: every story that many times, and prints a table.

// What `clippy.toml` allows in tests it allows in functions marked `#[test]` only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod app;
mod contour;
mod demo;
mod figures;
mod istio;
mod load;
mod mesh;
mod namespace;
mod own_ways;
mod pods;
mod shares;
mod stories;
#[path = "../it/support/mod.rs"]
mod support;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use mesh::{MESHES, Mesh};
use stories::STORIES;

/// The CRDs of others: Contour and istiod look at all that there are.
const CRDS: &str = "gateway,istio";
/// Whether there are servers in the pods of our clusters, that end with their namespace.
const PODS_RUN: bool = true;
/// Tests mostly wait; more at once would take the processors from each other.
const AT_ONCE: usize = 5;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let skipped = if arguments.list { None } else { namespace::enter().err() };
    if let Some(reason) = &skipped {
        println!("the tests of requests are skipped: {reason}");
    }
    if let (Ok(host), Some(folder)) = (env::var("DEMO_HOST"), env::var_os("DEMO_FOLDER")) {
        assert!(skipped.is_none(), "{skipped:?}");
        demo::run(host, Path::new(&folder));
    }
    let runs = env::var("RUNS").unwrap_or_default();
    if skipped.is_none() && !runs.is_empty() {
        let runs = runs.parse().expect("RUNS is a number");
        return figures::measure(runs, arguments.filter.as_deref().unwrap_or_default());
    }
    arguments.test_threads.get_or_insert(AT_ONCE);
    let trials = MESHES.into_iter().flat_map(of_mesh);
    let trials = trials.map(|trial| trial.with_ignored_flag(skipped.is_some()));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The tests of a mesh.
fn of_mesh(mesh: &'static Mesh) -> Vec<Trial> {
    let tests = shares::TESTS
        .iter()
        .chain(own_ways::TESTS)
        .map(|(name, run)| trial(mesh, name, move || run(mesh)));
    let stories = STORIES
        .iter()
        .map(|story| trial(mesh, story.sentence, move || story.test(mesh)));
    tests.chain(stories).collect()
}

fn trial(mesh: &Mesh, sentence: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(format!("{}::{sentence}", mesh.name), || {
        test();
        Ok(())
    })
}
