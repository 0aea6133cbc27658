//! What is measured, and what is made of it.

use serde_json::json;

use super::{Lab, assert_near, at_most, ends, experiment, metric, number, objective, with_objectives};
use crate::support::exporter::Load;
use crate::support::manifest::list;

/// A revision without requests.
const IDLE: Load = Load {
    rate: 0.0,
    ..Load::with_latency(4.0)
};

#[test]
fn an_experiment_without_any_data_ends_inconclusive_after_so_many_iterations() {
    let Some(lab) = Lab::new("no data") else { return };
    let mut without = experiment("none", "Conformance", 30, &[lab.version("v1")]);
    without["spec"]["duration"]["maxIterationsWithoutData"] = 3.into();
    let without = with_objectives(without, &[at_most("mean-latency", 50)]);
    lab.test.apply(&without.to_string());
    let status = ends(&lab.test, "none", "Inconclusive");
    assert_eq!(status["completedIterations"], 3);
    let judged = objective(&status);
    assert_eq!(judged["verdict"], "NoData");
    assert!(judged["value"].is_null(), "{judged}");
    assert_eq!(judged["message"], "no series matches");
    let ready = lab.test.experiment("none").condition("Ready").unwrap();
    assert_eq!([&*ready.status, &*ready.reason], ["False", "Inconclusive"]);
    assert_eq!(
        ready.message,
        "3 iterations in a row without data: mean-latency of version v1: no series matches"
    );
    let failed = lab.test.experiment("none").condition("Failed").unwrap();
    assert_eq!(failed.status, "False", "to know nothing is no failure");
}

#[test]
fn a_mean_of_no_requests_is_no_data() {
    let Some(lab) = Lab::new("not a number") else { return };
    lab.serve("v1", IDLE);
    let mut idle = experiment("idle", "Conformance", 30, &[lab.version("v1")]);
    idle["spec"]["duration"]["maxIterationsWithoutData"] = 6.into();
    lab.test
        .apply(&with_objectives(idle, &[at_most("mean-latency", 50)]).to_string());
    let status = ends(&lab.test, "idle", "Inconclusive");
    assert_eq!(status["completedIterations"], 6);
    let judged = objective(&status);
    assert_eq!(judged["verdict"], "NoData");
    assert!(judged["message"].as_str().unwrap().contains("NaN"), "{judged}");
    // How many there were is known, and is no guess.
    let counted = &status["analysis"]["aggregatedMetrics"]["data"]["request-count"]["data"]["v1"];
    assert_eq!(counted["value"], "0");
}

#[test]
fn a_mean_latency_over_its_limit_fails_and_status_has_value_and_limit() {
    let Some(lab) = Lab::new("too slow") else { return };
    let load = Load::with_latency(80.0);
    lab.serve("v1", load);
    let slow = experiment("slow", "Conformance", 5, &[lab.version("v1")]);
    let objectives = [at_most("mean-latency", 50)];
    lab.test.apply(&with_objectives(slow, &objectives).to_string());
    let status = ends(&lab.test, "slow", "Failed");
    assert_eq!(status["completedIterations"], 5, "it is not given up early");
    let judged = objective(&status);
    assert_eq!(judged["metric"], "mean-latency");
    assert_eq!(judged["version"], "v1");
    assert_eq!(judged["verdict"], "Fail");
    assert_eq!(judged["upperLimit"], "50");
    assert!(judged["time"].is_string(), "{judged}");
    let value = judged["value"].as_str().unwrap();
    assert_near(value.parse().unwrap(), 80.0);
    let ready = lab.test.experiment("slow").condition("Ready").unwrap();
    assert_eq!([&*ready.status, &*ready.reason], ["False", "Failed"]);
    assert_eq!(
        ready.message,
        format!("mean-latency of version v1 is {value}, above 50")
    );
    let assessed = &status["analysis"]["versionAssessments"]["data"];
    assert_eq!(*assessed, json!({ "v1": [false] }));
}

#[test]
fn limits_are_numbers_and_quantities() {
    let Some(lab) = Lab::new("limits") else { return };
    let load = Load {
        errors: 0.005,
        ..Load::with_latency(40.0)
    };
    lab.serve("v1", load);
    let limits = experiment("limits", "Conformance", 5, &[lab.version("v1")]);
    let objectives = [
        at_most("error-rate", 0.01),
        at_most("error-rate", "0.01"),
        at_most("error-rate", "10m"),
        at_most("error-rate", "4m"),
        json!({ "metric": "mean-latency", "lowerLimit": "0.1k", "upperLimit": 1500.5 }),
        at_most("95th-percentile-tail-latency", 100),
    ];
    lab.test.apply(&with_objectives(limits, &objectives).to_string());
    let status = ends(&lab.test, "limits", "Failed");
    let judged: Vec<_> = status["objectives"].as_array().unwrap().iter().collect();
    let said: Vec<_> = judged
        .iter()
        .map(|one| (one["upperLimit"].as_str(), one["verdict"].as_str().unwrap()))
        .collect();
    let want = [
        (Some("0.01"), "Pass"),
        (Some("0.01"), "Pass"),
        (Some("10m"), "Pass"),
        (Some("4m"), "Fail"),
        (Some("1500.5"), "Fail"),
        (Some("100"), "Pass"),
    ];
    assert_eq!(said, want);
    assert_eq!(judged[4]["lowerLimit"], "0.1k");
    assert_near(number(&judged[0]["value"]), 0.005);
    assert_near(number(&judged[4]["value"]), 40.0);
    assert_near(number(&judged[5]["value"]), load.tail());
}

#[test]
fn what_is_wrong_with_a_query_is_said_and_is_an_error() {
    let Some(lab) = Lab::new("bad queries") else { return };
    lab.serve("v1", Load::with_latency(4.0));
    let series = "revision_app_request_latencies_bucket{revision_name='$revision'}";
    lab.test.apply(&list(&[
        metric("unparsable", "sum("),
        metric("unknown", "sum(up{shade='$colour'})"),
        metric("many", series),
        metric("range", &format!("{series}[1m]")),
    ]));
    let mut bad = experiment("bad", "Conformance", 30, &[lab.version("v1")]);
    bad["spec"]["duration"]["maxIterationsWithoutData"] = 2.into();
    let objectives = ["unparsable", "unknown", "many", "range"].map(|name| at_most(name, 1));
    lab.test.apply(&with_objectives(bad, &objectives).to_string());
    let status = ends(&lab.test, "bad", "Error");
    assert_eq!(status["completedIterations"], 2);
    let parts = [
        "parse error: unclosed left parenthesis", // in Prometheus' own words
        "metric unknown: $colour is no variable of version v1",
        "the query matches 10 series: sum()",
        "the result is a matrix",
    ];
    for (judged, part) in status["objectives"].as_array().unwrap().iter().zip(parts) {
        assert_eq!(judged["verdict"], "Error");
        assert!(judged["message"].as_str().unwrap().contains(part), "{judged}");
    }
    let failed = lab.test.experiment("bad").condition("Failed").unwrap();
    assert_eq!([&*failed.status, &*failed.reason], ["True", "Error"]);
    assert!(failed.message.contains(parts[0]), "{failed:?}");
}
