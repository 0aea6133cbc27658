//! Experiments, on a real API server and with a real Prometheus that scrapes what the tests make up.
//!
//! Prometheus is asked every second, so that the first window of an experiment, a second long, holds no two scrapes: the
//! first iteration has no data, and perhaps the second.

mod faults;
mod killed;
mod outages;
mod places;
mod programs;
mod providers;
mod release;
mod turns;
mod tutorial;
mod verdicts;

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::support::cluster::cluster;
use crate::support::exporter::{Exporter, Load};
use crate::support::prometheus::Prometheus;
use crate::support::recorder::Recorder;
use crate::support::release::Condition;
use crate::support::{SOON, Test, holds};

/// The Metrics of Knative's revisions, as they are shipped.
const METRICS: &str = include_str!("../../../config/metrics/knative.yaml");

/// A test whose operator asks a Prometheus that all of them share.
struct Lab {
    test: Test,
    exporter: &'static Exporter,
    prometheus: &'static Prometheus,
}

impl Lab {
    /// With the Metrics in the test's namespace. `None`, with the reason printed, where there is no Prometheus.
    #[track_caller]
    fn new(name: &str) -> Option<Self> {
        static SHARED: LazyLock<(Exporter, Option<Prometheus>)> = LazyLock::new(|| {
            let exporter = Exporter::start();
            let prometheus = Prometheus::scraping(&exporter, &cluster().folder);
            (exporter, prometheus)
        });
        let (exporter, prometheus) = &*SHARED;
        let prometheus = prometheus.as_ref().or_else(|| {
            println!("{name}: skipped: there is no Prometheus");
            None
        })?;
        let test = Test::without_operator(name);
        test.run_with(["--prometheus", &prometheus.url()]);
        test.start();
        test.apply(METRICS);
        Some(Self {
            test,
            exporter,
            prometheus,
        })
    }

    /// The name of a revision that no other test has.
    fn revision(&self, version: &str) -> String {
        format!("{}-{version}", self.test.namespace)
    }

    /// Lets a revision have these requests, and waits until Prometheus knows of them.
    #[track_caller]
    fn serve(&self, version: &str, load: Load) {
        let revision = self.revision(version);
        self.exporter.set(&revision, load);
        scraped(self.prometheus, &revision);
    }

    /// Version `name` of an experiment: the revision of that name.
    fn version(&self, name: &str) -> Value {
        of_revision(name, &self.revision(name))
    }
}

/// Waits until two scrapes of a revision have been made.
#[track_caller]
fn scraped(prometheus: &Prometheus, revision: &str) {
    let query = format!("sum(increase(revision_app_request_latencies_count{{revision_name='{revision}'}}[5s]))");
    crate::support::wait_until("Prometheus has scraped the revision twice", SOON, || {
        prometheus.value(&query).ok_or_else(|| "no data".to_owned())
    });
}

/// A version of an experiment.
fn of_revision(name: &str, revision: &str) -> Value {
    json!({ "name": name, "variables": [{ "name": "revision", "value": revision }] })
}

/// An Experiment with iterations of a second.
fn experiment(name: &str, pattern: &str, iterations: i64, versions: &[Value]) -> Value {
    json!({
        "apiVersion": "iter8.tools/v2alpha1",
        "kind": "Experiment",
        "metadata": { "name": name },
        "spec": {
            "target": name,
            "strategy": { "testingPattern": pattern },
            "duration": { "intervalSeconds": 1, "iterationsPerLoop": iterations },
            "versionInfo": { "baseline": versions[0], "candidates": versions[1..] },
        },
    })
}

/// The Experiment with these objectives.
fn with_objectives(mut experiment: Value, objectives: &[Value]) -> Value {
    experiment["spec"]["criteria"] = json!({ "objectives": objectives });
    experiment
}

/// An objective with an upper limit.
fn at_most(metric: &str, limit: impl Into<Value>) -> Value {
    json!({ "metric": metric, "upperLimit": limit.into() })
}

/// A Metric whose query of Prometheus is this one.
fn metric(name: &str, query: &str) -> Value {
    json!({
        "apiVersion": "iter8.tools/v2alpha1",
        "kind": "Metric",
        "metadata": { "name": name },
        "spec": { "params": [{ "name": "query", "value": query }] },
    })
}

/// The version whose weight stands in this field.
fn placed(mut version: Value, (api_version, kind, name): (&str, &str, &str), pointer: &str) -> Value {
    version["weightObjRef"] = json!({ "apiVersion": api_version, "kind": kind, "name": name, "fieldPath": pointer });
    version
}

/// A ConfigMap with the weights of versions `v1` and `v2`, which experiments may move.
fn weights_config() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "weights", "labels": { "iter8.tools/watch": "true" } },
        "data": { "v1": "100", "v2": "0" },
    })
}

/// The version whose weight stands there.
fn in_config(version: Value) -> Value {
    let pointer = format!("/data/{}", version["name"].as_str().unwrap());
    placed(version, ("v1", "ConfigMap", "weights"), &pointer)
}

/// The weights that stood there, one version of the ConfigMap after the other.
#[track_caller]
fn weights_in_config(recorder: &Recorder) -> Vec<[i64; 2]> {
    let versions = recorder.versions_of("weights");
    let weights = versions
        .iter()
        .map(|seen| ["v1", "v2"].map(|name| seen.object["data"][name].as_str().unwrap().parse().unwrap()));
    without_repetitions(weights)
}

/// Waits until it has ended, with this verdict; its status.
#[track_caller]
fn ends(test: &Test, name: &str, verdict: &str) -> Value {
    let status = reaches(test, name, "it has ended", |status| status["stage"] == "Completed");
    assert_eq!(status["verdict"], verdict, "{status:#}");
    assert!(status["endTime"].is_string(), "{status:#}");
    status
}

/// Waits until its status is like this; its status.
#[track_caller]
fn reaches(test: &Test, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    test.wait_until(&format!("{name}: {what}"), SOON, || {
        let status = test.experiment(name).get();
        holds(is_so(&status), &status).map(|()| status)
    })
}

/// Waits until its condition Ready has this reason, and a message with this in it.
#[track_caller]
fn says(test: &Test, name: &str, reason: &str, part: &str) -> Condition {
    test.wait_until(&format!("{name} says {reason}"), SOON, || {
        let ready = test.experiment(name).condition("Ready").ok_or("no condition")?;
        let said = ready.reason == reason && ready.message.contains(part);
        holds(said, &ready).map(|()| ready)
    })
}

/// Lets it end with this iteration, or the next one.
#[track_caller]
fn ends_at(test: &Test, name: &str, iteration: i64) {
    let change = json!({ "spec": { "duration": { "iterationsPerLoop": iteration } } });
    test.cluster.api.merge(&test.namespace, "experiment", name, &change);
}

/// How many iterations are done.
fn iterations(status: &Value) -> i64 {
    status["completedIterations"].as_i64().unwrap_or(0)
}

/// What came of its only objective for its only version.
#[track_caller]
fn objective(status: &Value) -> &Value {
    let [objective] = &status["objectives"].as_array().map_or(&[][..], Vec::as_slice) else {
        panic!("not one: {status:#}");
    };
    objective
}

/// A number of status.
#[track_caller]
fn number(value: &Value) -> f64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no number: {value}"));
    text.parse().unwrap()
}

/// Whether a value that was measured is near this one.
#[track_caller]
fn assert_near(got: f64, want: f64) {
    assert!((got - want).abs() <= 0.03 * want, "{got} instead of {want}");
}

/// The weights of a status, in the order of versions.
fn weights(list: &Value) -> Vec<i64> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|weight| weight["value"].as_i64()).collect()
}

/// Takes out what follows its like.
fn without_repetitions<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.dedup();
    values
}
