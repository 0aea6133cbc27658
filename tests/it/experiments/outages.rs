//! Data and providers that come and go.

use super::{
    Lab, METRICS, assert_near, at_most, ends, ends_at, experiment, iterations, metric, number, objective, of_revision,
    reaches, says, scraped, with_objectives,
};
use crate::support::Test;
use crate::support::exporter::{Exporter, Load};
use crate::support::prometheus::{Prometheus, free_address};

const REVISION: &str = "v1";

#[test]
fn data_that_stop_are_no_data_where_only_the_last_seconds_count() {
    let Some(lab) = Lab::new("data stop") else { return };
    lab.serve("v1", Load::with_latency(4.0));
    let count = "sum(increase(revision_app_request_latencies_count{revision_name='$revision'}[3s]))";
    lab.test.apply(&metric("lately", count).to_string());
    let mut stopping = experiment("stopping", "Conformance", 1000, &[lab.version("v1")]);
    stopping["spec"]["duration"]["maxIterationsWithoutData"] = 3.into();
    lab.test
        .apply(&with_objectives(stopping, &[at_most("lately", 1000)]).to_string());
    reaches(&lab.test, "stopping", "there is data", |status| {
        status["objectives"][0]["verdict"] == "Pass"
    });
    lab.exporter.remove(&lab.revision("v1"));
    let status = ends(&lab.test, "stopping", "Inconclusive");
    assert_eq!(status["iterationsWithoutData"], 3);
    assert_eq!(objective(&status)["verdict"], "NoData");
}

#[test]
fn data_that_stop_stay_where_all_since_the_beginning_counts() {
    let Some(lab) = Lab::new("data stay") else { return };
    lab.serve("v1", Load::with_latency(4.0));
    let staying = experiment("staying", "Conformance", 1000, &[lab.version("v1")]);
    lab.test
        .apply(&with_objectives(staying, &[at_most("mean-latency", 50)]).to_string());
    let seen = reaches(&lab.test, "staying", "there is data", |status| {
        status["objectives"][0]["verdict"] == "Pass"
    });
    lab.exporter.remove(&lab.revision("v1"));
    ends_at(&lab.test, "staying", iterations(&seen) + 6);
    let status = ends(&lab.test, "staying", "Successful");
    assert_near(number(&objective(&status)["value"]), 4.0);
}

#[test]
fn a_prometheus_that_is_gone_for_a_while_is_no_failure() {
    let test = Test::without_operator("prometheus gone");
    let exporter = Exporter::start();
    let Some(prometheus) = Prometheus::scraping(&exporter, &test.cluster.folder) else {
        return;
    };
    exporter.set(REVISION, Load::with_latency(4.0));
    scraped(&prometheus, REVISION);
    test.run_with(["--prometheus", &prometheus.url()]);
    test.start();
    test.apply(METRICS);
    let mut steady = experiment("steady", "Conformance", 1000, &[of_revision("v1", REVISION)]);
    steady["spec"]["duration"]["maxIterationsWithoutData"] = 1000.into();
    test.apply(&with_objectives(steady, &[at_most("mean-latency", 50)]).to_string());
    let verdict_becomes = |verdict: &str| {
        reaches(&test, "steady", verdict, |status| {
            status["objectives"][0]["verdict"] == verdict
        })
    };
    let before = verdict_becomes("Pass");

    prometheus.stop();
    let meanwhile = verdict_becomes("Error");
    let said = objective(&meanwhile)["message"].as_str().unwrap().to_owned();
    let host = prometheus.url().replace("http://", "");
    assert!(said.contains(&host), "{said}");
    assert!(meanwhile["iterationsWithoutData"].as_i64() >= Some(1), "{meanwhile:#}");
    assert_eq!(meanwhile["stage"], "Running");

    prometheus.start();
    let after = verdict_becomes("Pass");
    assert_eq!(after["startTime"], before["startTime"]);
    assert_eq!(after["iterationsWithoutData"], 0);
    ends_at(&test, "steady", iterations(&after) + 2);
    let status = ends(&test, "steady", "Successful");
    assert_eq!(status["startTime"], before["startTime"]);
}

#[test]
fn a_prometheus_that_never_answers_is_an_error() {
    let test = Test::without_operator("prometheus never");
    let address = free_address();
    test.run_with(["--prometheus", &format!("http://{address}")]);
    test.start();
    test.apply(METRICS);
    let mut never = experiment("never", "Conformance", 30, &[of_revision("v1", REVISION)]);
    never["spec"]["duration"]["maxIterationsWithoutData"] = 2.into();
    test.apply(&with_objectives(never, &[at_most("mean-latency", 50)]).to_string());
    let status = ends(&test, "never", "Error");
    assert_eq!(status["completedIterations"], 2);
    let judged = objective(&status);
    assert_eq!(judged["verdict"], "Error");
    assert!(judged["message"].as_str().unwrap().contains(&address), "{judged}");
    let ready = says(&test, "never", "Error", "2 iterations in a row without data: ");
    assert_eq!(ready.status, "False");
    assert_eq!(status["message"], "ExperimentCompleted: Experiment failed");
}

#[test]
fn an_operator_without_prometheus_says_so() {
    let test = Test::new("no prometheus");
    test.apply(METRICS);
    let mut nowhere = experiment("nowhere", "Conformance", 30, &[of_revision("v1", REVISION)]);
    nowhere["spec"]["duration"]["maxIterationsWithoutData"] = 1.into();
    test.apply(&with_objectives(nowhere, &[at_most("mean-latency", 50)]).to_string());
    let status = ends(&test, "nowhere", "Error");
    let said = objective(&status)["message"].as_str().unwrap();
    assert!(said.contains("there is no Prometheus to ask"), "{said}");
}
