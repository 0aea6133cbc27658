//! One experiment at a time for each target, and none while it is suspended.

use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use super::{ends, ends_at, experiment, iterations, reaches, says};
use crate::support::{SOON, Test, equal, holds, stays};

/// An Experiment on target `shop/web`, without criteria.
fn on_web(name: &str, iterations: i64) -> Value {
    let mut on_web = experiment(name, "Conformance", iterations, &[json!({ "name": "v1" })]);
    on_web["spec"]["target"] = "shop/web".into();
    on_web
}

#[track_caller]
fn runs(test: &Test, name: &str) {
    reaches(test, name, "it runs", |status| status["stage"] == "Running");
}

#[test]
fn a_second_experiment_on_a_target_begins_when_the_first_has_ended() {
    let test = Test::new("turns");
    test.apply(&on_web("first", 1000).to_string());
    runs(&test, "first");
    test.apply(&on_web("second", 2).to_string());
    says(
        &test,
        "second",
        "TargetBusy",
        "target shop/web is not free: this one begins when Experiment first has ended",
    );
    let acquired = test.experiment("second").condition("TargetAcquired").unwrap();
    assert_eq!([&*acquired.status, &*acquired.reason], ["False", "TargetBusy"]);
    assert_eq!(test.experiment("second").get()["stage"], "Waiting");

    ends_at(&test, "first", 2);
    let first = ends(&test, "first", "Successful");
    let second = ends(&test, "second", "Successful");
    let time = |status: &Value, field: &str| status[field].as_str().unwrap().to_owned();
    assert!(
        time(&second, "startTime") >= time(&first, "endTime"),
        "{first}\n{second}"
    );
    let acquired = test.experiment("second").condition("TargetAcquired").unwrap();
    assert_eq!(acquired.status, "True");
}

#[test]
fn when_the_experiment_that_has_the_target_is_deleted_the_next_begins_in_order_of_creation() {
    let test = Test::new("deleted turn");
    test.apply(&on_web("first", 1000).to_string());
    runs(&test, "first");
    // By their names they would come in another order.
    for (name, before) in [("third", "first"), ("fourth", "third")] {
        test.apply(&on_web(name, 1000).to_string());
        says(&test, name, "TargetBusy", &format!("Experiment {before} has ended"));
        let made = test.get("experiment", name)["metadata"]["creationTimestamp"].clone();
        test.wait_until("another second has begun", SOON, || {
            let now = Utc::now().format("%FT%TZ").to_string();
            holds(made != now, now)
        });
    }
    test.kubectl(["delete", "experiment", "first"]);
    runs(&test, "third");
    says(&test, "fourth", "TargetBusy", "Experiment third has ended");
    assert_eq!(test.experiment("fourth").get()["stage"], "Waiting");
    test.kubectl(["delete", "experiment", "third"]);
    runs(&test, "fourth");
}

#[test]
fn an_experiment_that_breaks_a_rule_holds_nobody_up() {
    let test = Test::without_operator("invalid turn");
    let mut invalid = on_web("first", 2);
    invalid["spec"]["strategy"]["testingPattern"] = "Canary".into();
    invalid["spec"]["versionInfo"]["candidates"] = json!([{
        "name": "v2",
        "weightObjRef": {
            "apiVersion": "v1", "kind": "ConfigMap", "name": "weights", "namespace": "other", "fieldPath": "/data/v2",
        },
    }]);
    test.apply(&invalid.to_string());
    test.apply(&on_web("second", 2).to_string());
    test.start();
    says(&test, "first", "InvalidExperiment", "in its own namespace only");
    ends(&test, "second", "Successful");
}

#[test]
fn the_order_outlives_the_operator() {
    let test = Test::new("turns after restart");
    test.apply(&on_web("zebra", 1000).to_string());
    runs(&test, "zebra");
    // By its name, which decides between those of one second, this one would come first.
    test.apply(&on_web("ant", 2).to_string());
    says(&test, "ant", "TargetBusy", "zebra");
    test.restart();
    let seen = iterations(&test.experiment("zebra").get());
    reaches(&test, "zebra", "it goes on", |status| iterations(status) > seen);
    assert_eq!(test.experiment("ant").get()["stage"], "Waiting");
    test.kubectl(["delete", "experiment", "zebra"]);
    ends(&test, "ant", "Successful");
}

#[test]
fn nothing_goes_on_while_an_experiment_is_suspended() {
    let test = Test::new("suspended");
    test.apply(&on_web("paused", 1000).to_string());
    reaches(&test, "paused", "two iterations are done", |status| {
        iterations(status) >= 2
    });
    suspend(&test, "paused", true);
    says(
        &test,
        "paused",
        "Suspended",
        "nothing is measured and no weight is moved",
    );
    let before = test.experiment("paused").get();
    stays("nothing goes on", Duration::from_secs(4), || {
        equal(test.experiment("paused").get(), &before).map(drop)
    });
    suspend(&test, "paused", false);
    reaches(&test, "paused", "it goes on", |status| {
        iterations(status) > iterations(&before)
    });
    ends_at(&test, "paused", 1);
    ends(&test, "paused", "Successful");
}

#[test]
fn an_experiment_that_is_suspended_before_it_has_its_target_leaves_it_to_others() {
    let test = Test::new("suspended early");
    let mut first = on_web("first", 2);
    first["spec"]["suspend"] = true.into();
    test.apply(&first.to_string());
    says(&test, "first", "Suspended", "spec.suspend is true");
    test.apply(&on_web("second", 2).to_string());
    ends(&test, "second", "Successful");
    assert_eq!(test.experiment("first").get()["stage"], "Waiting");
    suspend(&test, "first", false);
    ends(&test, "first", "Successful");
}

#[track_caller]
fn suspend(test: &Test, name: &str, suspend: bool) {
    let change = json!({ "spec": { "suspend": suspend } });
    test.cluster.api.merge(&test.namespace, "experiment", name, &change);
}
