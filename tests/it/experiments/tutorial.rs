//! The tutorial on mirroring for Knative, with the manifests that stand in its page, and what it shows to its readers.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{METRICS, assert_near, iterations, scraped, without_repetitions};
use crate::support::audit::Mark;
use crate::support::cluster::{self, Cluster, SERVICE_ACCOUNT, user};
use crate::support::exporter::{Exporter, Load};
use crate::support::kubectl::{Kubectl, say};
use crate::support::operator::{BINARY, Operator, tail};
use crate::support::prometheus::Prometheus;
use crate::support::recorder::Recorder;
use crate::support::{SOON, holds, wait_until};

const PAGE: &str = include_str!("../../seeds/knative-mirroring-experiment.md");

/// Where the tutorial is done.
const NAMESPACE: &str = "default";

/// The block below a title of the page.
fn block(title: &str) -> String {
    let (_, rest) = PAGE
        .split_once(&format!("??? info \"{title}\"\n"))
        .unwrap_or_else(|| panic!("the page has no {title}"));
    let mut parts = rest.split("```");
    let indentation = parts.next().unwrap().rsplit('\n').next().unwrap();
    let (_, text) = parts.next().unwrap().split_once('\n').unwrap();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix(indentation).unwrap_or(line.trim_start()));
    lines.collect::<Vec<_>>().join("\n")
}

/// The cells of the two lines that `kubectl get experiment` prints; columns are three spaces apart.
#[track_caller]
fn table(printed: &str) -> [Vec<String>; 2] {
    let cells = |line: &str| {
        let cells = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    let lines: Vec<_> = printed.lines().map(cells).collect();
    lines.try_into().unwrap_or_else(|_| panic!("{printed}"))
}

/// The lines of what `describe` prints, whatever the width of columns, with `#` for the values of metrics; and those values.
fn dissect(described: &str) -> (Vec<String>, Vec<f64>) {
    let (mut lines, mut values, mut metrics) = (Vec::new(), Vec::new(), false);
    for line in described.trim().lines() {
        metrics |= line.contains("Metrics Assessment");
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if metrics
            && let [.., value, "|"] = &mut words[..]
            && let Ok(number) = value.parse::<f64>()
        {
            values.push(number);
            *value = "#";
        }
        lines.push(words.join(" "));
    }
    (lines, values)
}

/// Reason and message of condition Ready.
fn ready(status: &Value) -> [&str; 2] {
    let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ["reason", "message"].map(|key| ready.and_then(|ready| ready[key].as_str()).unwrap_or_default())
}

/// A cluster with an operator of all namespaces, the Metrics in its own, and a Prometheus that knows of the mirrored revision.
struct Tutorial {
    cluster: Arc<Cluster>,
    kubectl: Kubectl,
    log: PathBuf,
    operator: Operator,
    begin: Mark,
    _prometheus: Prometheus,
    _exporter: Exporter,
}

impl Tutorial {
    /// `None`, with the reason printed, where that cannot be.
    #[track_caller]
    fn new(load: Load) -> Option<Self> {
        let cluster = cluster::dedicated_cluster("experiments")?;
        let exporter = Exporter::start();
        let prometheus = Prometheus::scraping(&exporter, &cluster.folder)?;
        exporter.set("sample-app-v2", load);
        scraped(&prometheus, "sample-app-v2");
        let begin = cluster.audit.as_ref().unwrap().mark();
        let own = cluster.kubectl.within(SERVICE_ACCOUNT.0);
        own.ok(["apply", "--filename=-"], METRICS);
        let log = cluster.folder.join("experiments.log");
        let arguments = [
            format!("--prometheus={}", prometheus.url()),
            format!("--metrics-namespace={}", SERVICE_ACCOUNT.0),
        ];
        Some(Self {
            kubectl: cluster.kubectl.within(NAMESPACE),
            operator: Operator::start_with(&cluster.operator_kubeconfig, None, &log, &arguments),
            log,
            begin,
            cluster,
            _prometheus: prometheus,
            _exporter: exporter,
        })
    }

    #[track_caller]
    fn apply(&self, file: &str) {
        let manifest = block(&format!("Look inside {file}"));
        self.kubectl.ok(["apply", "--filename=-"], &manifest);
    }

    /// `kubectl get experiment mirroring` with this form of output.
    #[track_caller]
    fn get(&self, output: &str) -> String {
        let output = format!("--output={output}");
        self.kubectl.ok(["get", "experiment", "mirroring", &output], "")
    }

    /// In place of Knative's controllers, which make revisions of what the tutorial applies.
    #[track_caller]
    fn knative_reports(&self, ready: &str) {
        let service = self.cluster.api.find(Some(NAMESPACE), "ksvc", "sample-app").unwrap();
        let conditions = ["Ready", "ConfigurationsReady", "RoutesReady"]
            .map(|name| json!({ "type": name, "status": ready, "message": format!("{name} by the test") }));
        let status = json!({
            "observedGeneration": service["metadata"]["generation"],
            "conditions": conditions,
            "traffic": [
                { "revisionName": "sample-app-v1", "percent": 100 },
                { "revisionName": "sample-app-v2", "percent": 0, "latestRevision": true },
            ],
        });
        let patch = format!("--patch={}", json!({ "status": status }));
        let target = ["ksvc", "sample-app", "--subresource=status"];
        let change = ["--type=merge", &*patch];
        self.kubectl.ok(["patch"].into_iter().chain(target).chain(change), "");
    }

    /// Waits until the experiment's status is like this; its status.
    #[track_caller]
    fn reaches(&self, what: &str, within: Duration, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, within, || {
            let mirroring = self.cluster.api.find(Some(NAMESPACE), "experiment", "mirroring");
            let status = mirroring.ok_or("there is no experiment")?["status"].take();
            holds(is_so(&status), &status).map(|()| status)
        })
    }

    /// Waits until it says that it cannot begin yet, and why.
    #[track_caller]
    fn is_not_ready(&self, why: &str) {
        let status = self.reaches("it waits", SOON, |status| ready(status) == ["TargetNotReady", why]);
        assert_eq!(status["stage"], "Initializing");
        assert_eq!(status["message"], format!("TargetNotReady: {why}"));
    }
}

impl Drop for Tutorial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- the operator\n{}", tail(&self.log, 200));
        }
    }
}

#[test]
fn the_mirroring_tutorial_for_knative_works_with_its_manifest_unchanged() {
    let load = Load::with_latency(4.0);
    let Some(mut tutorial) = Tutorial::new(load) else {
        return;
    };
    // Steps 1 and 2; step 3 is the exporter.
    tutorial.apply("service.yaml");
    tutorial.apply("routing-rules.yaml");

    // Step 4, too early.
    let recorder = Recorder::start(&tutorial.cluster.api, NAMESPACE, "experiment");
    tutorial.apply("experiment.yaml");
    tutorial.is_not_ready("Knative Service sample-app: its latest edit was not seen by Knative yet");
    tutorial.knative_reports("Unknown");
    tutorial.is_not_ready("Knative Service sample-app is not Ready: Ready by the test");
    tutorial.knative_reports("True");
    let wait = ["wait", "--for=condition=Ready", "ksvc/sample-app"];
    tutorial.kubectl.ok(wait, "");

    // Step 5.
    assert_columns_while_it_runs(&tutorial);
    let status = tutorial.reaches("it has ended", 3 * SOON, |status| status["stage"] == "Completed");
    assert_columns_at_the_end(&tutorial);
    assert_eq!(status["verdict"], "Successful", "{status:#}");
    let time = |key: &str| status[key].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let seconds = (time("endTime") - time("startTime")).num_seconds();
    assert!((70..100).contains(&seconds), "it took {seconds} s");
    let versions = recorder.versions_of("mirroring");
    let counts = without_repetitions(versions.iter().map(|seen| iterations(&seen.object["status"])));
    assert_eq!(counts, (0..=7).collect::<Vec<_>>());
    assert_description(&tutorial, load, seconds);

    // Step 6.
    for title in ["experiment.yaml", "routing-rules.yaml", "service.yaml"] {
        let manifest = block(&format!("Look inside {title}"));
        let delete = ["delete", "--ignore-not-found", "--filename=-"];
        tutorial.kubectl.ok(delete, &manifest);
    }
    tutorial.operator.stop();
    let audit = tutorial.cluster.audit.as_ref().unwrap();
    let forbidden = audit.forbidden_since(tutorial.begin, &user(SERVICE_ACCOUNT.1));
    assert!(forbidden.is_empty(), "RBAC refused {forbidden:?}");
}

const COLUMNS: [&str; 6] = ["NAME", "TYPE", "TARGET", "STAGE", "COMPLETED ITERATIONS", "MESSAGE"];

/// The first cells of every row.
const CELLS: [&str; 3] = ["mirroring", "Conformance", "default/sample-app"];

#[track_caller]
fn assert_columns_while_it_runs(tutorial: &Tutorial) {
    tutorial.reaches("an iteration is done", SOON, |status| iterations(status) > 0);
    let [header, row] = table(&tutorial.kubectl.ok(["get", "experiment", "mirroring"], ""));
    assert_eq!(header, COLUMNS);
    let message = format!("IterationUpdate: Completed Iteration {}", row[4]);
    assert_eq!(row, [&CELLS[..], &["Running", &row[4], &message]].concat());
}

#[track_caller]
fn assert_columns_at_the_end(tutorial: &Tutorial) {
    let [header, row] = table(&tutorial.get("wide"));
    assert_eq!(header, [&COLUMNS[..], &["VERDICT", "AGE"]].concat());
    let message = "ExperimentCompleted: Experiment completed successfully";
    let rest = ["Completed", "7", message, "Successful"];
    assert_eq!(row[..7], [&CELLS[..], &rest].concat());
}

/// What `describe` prints is what the page shows, but for the values of metrics, which are those of the requests.
#[track_caller]
fn assert_description(tutorial: &Tutorial, load: Load, seconds: i64) {
    let yaml = tutorial.get("yaml");
    let described = say(Command::new(BINARY).args(["describe", "-f", "-"]), &yaml);
    assert!(described.ok, "{}", described.stderr);
    let (lines, values) = dissect(&described.stdout);
    let (want, _) = dissect(&block("iter8ctl output"));
    assert_eq!(lines, want, "{}", described.stdout);
    let [count, mean, tail, errors] = values[..] else {
        panic!("{}", described.stdout)
    };
    let requests = load.rate * f64::from(i32::try_from(seconds).unwrap());
    assert!(
        (count - requests).abs() < 0.1 * requests,
        "{count} instead of {requests}"
    );
    assert_near(mean, load.latency);
    assert_near(tail, load.tail());
    assert!(errors.abs() < f64::EPSILON, "{errors}");
}
