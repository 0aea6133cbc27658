use serde_json::{Value, json};

use super::*;

/// An Experiment of pattern A/B, of two versions, after two iterations.
fn ab(change: impl Fn(&mut Value)) -> String {
    let mut object = json!({
        "apiVersion": "iter8.tools/v2alpha1",
        "kind": "Experiment",
        "metadata": { "name": "shop", "namespace": "web" },
        "spec": {
            "target": "web/shop",
            "strategy": { "testingPattern": "A/B" },
            "criteria": {
                "rewards": [{ "metric": "income", "preferredDirection": "High" }],
                "objectives": [{ "metric": "latency", "lowerLimit": "500m", "upperLimit": 50 }],
            },
            "versionInfo": { "baseline": { "name": "a" }, "candidates": [{ "name": "b" }] },
        },
        "status": {
            "stage": "Running",
            "verdict": "Running",
            "message": "IterationUpdate: Completed Iteration 2",
            "completedIterations": 2,
            "objectives": [
                verdict("a", "Pass"),
                verdict("b", "Pass"),
            ],
            "analysis": { "aggregatedMetrics": { "data": {
                "income": { "units": "euro", "data": { "a": { "value": "10" }, "b": { "value": "9.5" } } },
                "latency": { "data": { "a": { "value": "1" }, "b": { "value": "2" } } },
            }, "order": ["latency"] } },
        },
    });
    change(&mut object);
    experiment(&serde_json::from_value(object).unwrap())
}

fn verdict(version: &str, verdict: &str) -> Value {
    json!({ "metric": "latency", "version": version, "verdict": verdict, "time": "2026-01-01T00:00:00Z" })
}

fn row<'a>(text: &'a str, label: &str) -> Vec<&'a str> {
    let start = format!("| {label} ");
    let line = text.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no row {label} in\n{text}"));
    line.trim_matches('|').split('|').skip(1).map(str::trim).collect()
}

#[test]
fn the_best_reward_is_marked_in_the_preferred_direction() {
    let high = ab(|_| {});
    assert_eq!(row(&high, "income (higher better)"), ["10.000 *", "9.500"]);
    let low = ab(|object| object["spec"]["criteria"]["rewards"][0]["preferredDirection"] = json!("Low"));
    assert_eq!(row(&low, "income (lower better)"), ["10.000", "9.500 *"]);
}

#[test]
fn equal_rewards_are_all_marked_and_one_without_a_value_is_not() {
    let values = "/status/analysis/aggregatedMetrics/data/income/data";
    let equal =
        ab(|object| *object.pointer_mut(values).unwrap() = json!({ "a": {"value": "1"}, "b": {"value": "1.0"} }));
    assert_eq!(row(&equal, "income (higher better)"), ["1.000 *", "1.000 *"]);
    let one = ab(|object| *object.pointer_mut(values).unwrap() = json!({ "b": { "value": "-1" } }));
    assert_eq!(row(&one, "income (higher better)"), ["no data", "-1.000 *"]);
    let none = ab(|object| *object.pointer_mut(values).unwrap() = json!({}));
    assert_eq!(row(&none, "income (higher better)"), ["no data", "no data"]);
}

#[test]
fn the_single_reward_of_the_older_form_is_told_too() {
    let text = ab(|object| {
        let criteria = object["spec"]["criteria"].as_object_mut().unwrap();
        let rewards = criteria.remove("rewards").unwrap();
        criteria.insert("reward".to_owned(), rewards[0].clone());
    });
    assert_eq!(row(&text, "income (higher better)"), ["10.000 *", "9.500"]);
}

#[test]
fn an_objective_names_the_limits_that_it_has() {
    let label = |limits: Value| {
        let text = ab(|object| {
            let objective = object.pointer_mut("/spec/criteria/objectives/0").unwrap();
            *objective = limits.clone();
            objective["metric"] = json!("latency");
        });
        let (_, table) = text.split_once("OBJECTIVE").unwrap();
        let row = table.lines().nth(2).unwrap();
        row.trim_matches('|').split('|').next().unwrap().trim().to_owned()
    };
    assert_eq!(
        label(json!({ "lowerLimit": "500m", "upperLimit": 50 })),
        "0.500 <= latency <= 50.000"
    );
    assert_eq!(label(json!({ "lowerLimit": 0.01 })), "0.010 <= latency");
    assert_eq!(label(json!({ "upperLimit": 1e-5 })), "latency <= 0.001");
    assert_eq!(label(json!({})), "latency");
}

#[test]
fn an_objective_without_a_value_says_why() {
    let text = ab(|object| {
        let mut nothing = verdict("a", "NoData");
        nothing["message"] = json!("no series matches");
        let mut broken = verdict("b", "Error");
        broken["message"] = json!("prometheus:9090\ndoes not answer");
        object["status"]["objectives"] = json!([nothing, broken]);
    });
    assert_eq!(row(&text, "0.500 <= latency <= 50.000"), ["no data", "error"]);
    let reasons = "\nno data of latency for a: no series matches\n\
                   error of latency for b: prometheus:9090 does not answer\n\n";
    assert!(text.contains(reasons), "{text}");
}

#[test]
fn objectives_of_the_same_metric_are_told_apart() {
    let text = ab(|object| {
        object["spec"]["criteria"]["objectives"] =
            json!([{ "metric": "latency", "upperLimit": 1 }, { "metric": "latency", "lowerLimit": 3 }]);
        object["status"]["objectives"] = json!([verdict("a", "Pass"), verdict("b", "Fail"), verdict("a", "Fail"),]);
    });
    assert_eq!(row(&text, "latency <= 1.000"), ["true", "false"]);
    assert_eq!(row(&text, "3.000 <= latency"), ["false", "no data"]);
    assert!(
        text.contains("no data of latency for b: the last iteration says nothing of it\n"),
        "{text}"
    );
}

#[test]
fn metrics_stand_in_their_order_and_then_those_that_have_none() {
    let text = ab(|_| {});
    let (_, metrics) = text.split_once("Metrics Assessment").unwrap();
    assert!(
        metrics.find("| latency ") < metrics.find("| income (euro) "),
        "{metrics}"
    );
}

#[test]
fn before_the_first_iteration_nothing_is_assessed() {
    let text = ab(|object| object["status"]["completedIterations"] = json!(0));
    assert!(
        text.contains("iterations: 0\n") && !text.contains("Assessment"),
        "{text}"
    );
    let unseen = ab(|object| drop(object.as_object_mut().unwrap().remove("status")));
    assert!(
        unseen.ends_with("iterations: 0\nMessage: not yet seen by the operator\n"),
        "{unseen}"
    );
    assert!(!unseen.contains("stage"), "{unseen}");
}

#[test]
fn what_is_waited_for_and_what_is_in_the_way_is_told_and_so_is_a_bad_end() {
    let told = |verdict: &str, reason: &str| {
        let text = ab(|object| {
            object["status"]["verdict"] = json!(verdict);
            object["status"]["completedIterations"] = json!(0);
            object["status"]["conditions"] = json!([{
                "type": "Ready", "status": "False", "reason": reason, "message": "words",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]);
        });
        let (_, told) = text.split_once("iterations: 0\n").unwrap();
        told.to_owned()
    };
    for (verdict, reason, want) in [
        ("Pending", "Pending", "Message: words\n"),
        ("Pending", "TargetBusy", "Message: TargetBusy: words\n"),
        ("Running", "Running", ""),
        ("Running", "Suspended", "Message: Suspended: words\n"),
        ("Successful", "Successful", ""),
        ("Failed", "Failed", "Verdict: Failed\nMessage: words\n"),
        ("Error", "Error", "Verdict: Error\nMessage: words\n"),
    ] {
        assert_eq!(told(verdict, reason), want, "{verdict} {reason}");
    }
}

#[test]
fn the_winner_is_recommended_and_without_one_the_baseline() {
    let text = ab(|_| {});
    assert!(
        text.contains("Winning version: not found\nRecommended baseline: a\n"),
        "{text}"
    );
    let won = ab(|object| {
        object["status"]["recommendedBaseline"] = json!("b");
        object["status"]["analysis"]["winnerAssessment"] = json!({ "data": { "winnerFound": true, "winner": "b" } });
    });
    assert!(won.contains("Winning version: b\nRecommended baseline: b\n"), "{won}");
}

#[test]
fn weights_are_told_once_there_are_any() {
    assert!(!ab(|_| {}).contains("Weights"));
    let text = ab(|object| {
        object["status"]["startWeights"] = json!([{ "name": "a", "value": 100 }]);
        object["status"]["currentWeightDistribution"] =
            json!([{ "name": "a", "value": 80 }, { "name": "b", "value": 20 }]);
    });
    let (_, weights) = text.split_once("****** Weights ******\n").unwrap();
    assert_eq!(row(weights, "a"), ["100", "80"]);
    assert_eq!(row(weights, "b"), ["-", "20"]);
}
