use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Run, experiment, latencies, valid};
use crate::api::ExperimentStatus;
use crate::api::experiment::{Stage, Verdict, WeightValue};
use crate::model::query::Sample;
use crate::plan::experiment::verdicts::Samples;
use crate::plan::experiment::{Found, compare, places};

#[test]
fn a_candidate_that_does_well_gains_step_by_step_up_to_its_limit() {
    let more = json!({ "strategy": { "weights": { "maxCandidateWeight": 45, "maxCandidateWeightIncrement": 10 } },
        "duration": { "iterationsPerLoop": 6 } });
    let mut run = Run::new(experiment("Canary", 1, &more), &[100, 0]);
    let mut seen = Vec::new();
    for _ in 0..6 {
        run.iterate(&latencies(&[("a", Some(1.0)), ("b", Some(1.0))]));
        seen.push(run.weights.clone());
    }
    let want = [[80, 20], [70, 30], [60, 40], [55, 45], [55, 45], [55, 45]];
    assert_eq!(seen, want);
    assert_eq!(run.status.stage, Some(Stage::Completed));
}

#[test]
fn a_failed_objective_with_rollback_puts_the_weights_back_and_says_so() {
    let more = json!({ "criteria": { "objectives": [{ "metric": "latency", "upperLimit": 50, "rollback_on_failure": true }] } });
    let mut run = Run::new(experiment("Canary", 1, &more), &[98, 2]);
    run.iterate(&latencies(&[("a", Some(1.0)), ("b", Some(1.0))]));
    assert_eq!(run.weights, [88, 12]);
    run.iterate(&latencies(&[("a", Some(1.0)), ("b", Some(99.0))]));
    assert_eq!(run.weights, [98, 2]);
    assert_eq!(run.status.stage, Some(Stage::Completed));
    assert_eq!(run.status.verdict, Verdict::Failed);
    assert_eq!(run.status.message, "ExperimentCompleted: Experiment rolled back");
    assert_eq!(run.status.recommended_baseline, "a");
    assert!(run.events.contains(&"RolledBack".to_owned()), "{:?}", run.events);
    let (reason, message) = run.ready();
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("Failed", "latency of version b is 99, above 50")
    );
}

#[test]
fn a_failed_objective_without_rollback_leaves_one_step_and_one_without_data_all() {
    let mut run = Run::new(experiment("Canary", 1, &json!({})), &[60, 40]);
    run.iterate(&latencies(&[("a", Some(1.0)), ("b", None)]));
    assert_eq!(run.weights, [60, 40]);
    run.iterate(&latencies(&[("a", Some(1.0)), ("b", Some(51.0))]));
    assert_eq!(run.weights, [90, 10]);
    run.iterate(&latencies(&[("a", Some(1.0)), ("b", Some(50.0))]));
    assert_eq!(run.weights, [80, 20]);
}

#[test]
fn with_a_fixed_split_nothing_is_moved() {
    let more = json!({ "strategy": { "deploymentPattern": "FixedSplit" } });
    let mut run = Run::new(experiment("Canary", 1, &more), &[60, 40]);
    run.iterate(&latencies(&[("b", Some(99.0))]));
    assert_eq!(run.weights, [60, 40]);
    assert!(!run.experiment.moves_weights());
}

#[test]
fn blue_green_gives_all_at_once_and_rolls_back_by_default() {
    let more = json!({ "strategy": { "deploymentPattern": "BlueGreen", "weights": { "maxCandidateWeight": 90 } } });
    let mut run = Run::new(experiment("Canary", 1, &more), &[100, 0]);
    run.iterate(&latencies(&[("b", Some(1.0))]));
    assert_eq!(run.weights, [10, 90]);
    run.iterate(&latencies(&[("b", Some(99.0))]));
    assert_eq!(run.weights, [100, 0]);
    assert!(run.status.rolled_back);
}

#[test]
fn weights_that_somebody_changed_are_kept_and_gone_on_from() {
    let mut run = Run::new(experiment("Canary", 1, &json!({})), &[100, 0]);
    let good = latencies(&[("a", Some(1.0)), ("b", Some(1.0))]);
    run.iterate(&good);
    assert_eq!(run.weights, [80, 20]);
    run.weights = vec![50, 50];
    run.iterate(&good);
    assert!(run.events.contains(&"WeightsEdited".to_owned()), "{:?}", run.events);
    assert_eq!(run.weights, [40, 60]);
    assert_eq!(run.status.completed_iterations, 2);
}

#[test]
fn an_operator_that_was_killed_between_decision_and_write_goes_on_from_both_and_from_a_half() {
    let experiment = experiment("A/B/N", 2, &json!({}));
    let named = |values: [i32; 3]| -> Vec<WeightValue> {
        let names = ["a", "b", "c"].into_iter().zip(values);
        names
            .map(|(name, value)| WeightValue {
                name: name.to_owned(),
                value,
            })
            .collect()
    };
    let status = ExperimentStatus {
        found_weights: named([80, 10, 10]),
        current_weight_distribution: named([60, 20, 20]),
        ..ExperimentStatus::default()
    };
    for (values, found) in [
        ([80, 10, 10], Found::Before),
        ([60, 20, 20], Found::Decided),
        ([60, 20, 10], Found::Before),
        ([80, 20, 10], Found::Before),
        ([60, 20, 15], Found::Edited),
    ] {
        assert_eq!(compare(&experiment, &status, &named(values)), found, "{values:?}");
    }
}

#[test]
fn weights_are_read_and_patched_where_they_stand_and_nowhere_else() {
    let reference = |kind: &str, name: &str, path: &str| json!({ "apiVersion": "v1", "kind": kind, "name": name, "fieldPath": path });
    let spec = json!({
        "target": "web", "strategy": { "testingPattern": "Canary" },
        "versionInfo": {
            "baseline": { "name": "a" },
            "candidates": [{ "name": "b", "weightObjRef": reference("ConfigMap", "split", "/data/weight") }],
        },
    });
    let experiment = valid(&spec);
    let key = places::keys(&experiment).remove(0);
    let object = |labels: Value, weight: Value| {
        let metadata = json!({ "resourceVersion": "7", "labels": labels });
        BTreeMap::from([(
            key.clone(),
            json!({ "metadata": metadata, "data": { "weight": weight } }),
        )])
    };
    let watched = || json!({ "iter8.tools/watch": "true" });
    let values = |objects: &BTreeMap<places::Key, Value>| -> Result<Vec<i32>, String> {
        let read = places::read(&experiment, objects)?;
        Ok(read.iter().map(|weight| weight.value).collect())
    };
    assert_eq!(values(&object(watched(), json!(30))), Ok(vec![70, 30]));
    assert_eq!(values(&object(watched(), json!("30"))), Ok(vec![70, 30]));
    for (objects, words) in [
        (BTreeMap::new(), "ConfigMap split does not exist"),
        (object(json!({}), json!(30)), "give it label iter8.tools/watch"),
        (
            object(watched(), json!(101)),
            "no integer from 0 to 100 at /data/weight",
        ),
        (object(watched(), json!({})), "no integer from 0 to 100"),
    ] {
        let error = values(&objects).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let weights = |value: i32| {
        vec![WeightValue {
            name: "b".to_owned(),
            value,
        }]
    };
    let objects = object(watched(), json!("30"));
    let patches = places::patches(&experiment, &objects, &weights(40));
    assert_eq!(
        patches[0].1,
        json!([
            { "op": "replace", "path": "/data/weight", "value": "40" },
            { "op": "replace", "path": "/metadata/resourceVersion", "value": "7" },
        ])
    );
    assert!(places::patches(&experiment, &objects, &weights(30)).is_empty());
}

#[test]
fn a_field_that_is_no_weight_is_not_moved_though_it_is_an_integer() {
    let refused = |api_version: &str, kind: &str, path: &str| {
        let reference = json!({ "apiVersion": api_version, "kind": kind, "name": "web", "fieldPath": path });
        let experiment = valid(&json!({
            "target": "web", "strategy": { "testingPattern": "Canary" },
            "versionInfo": { "baseline": { "name": "a" }, "candidates": [{ "name": "b", "weightObjRef": reference }] },
        }));
        let labels = json!({ "iter8.tools/watch": "true" });
        let object = json!({ "metadata": { "labels": labels } });
        let key = places::keys(&experiment).remove(0);
        places::read(&experiment, &BTreeMap::from([(key, object)]))
            .unwrap_err()
            .contains("is no weight")
    };
    let knative = ("serving.knative.dev/v1", "Service");
    let istio = ("networking.istio.io/v1", "VirtualService");
    let gateway = ("gateway.networking.k8s.io/v1", "HTTPRoute");
    for ((api_version, kind), path, is_refused) in [
        (knative, "/spec/traffic/0/percent", false),
        (knative, "/spec/template/spec/containerConcurrency", true),
        (knative, "/spec/template/spec/containers/0/env/0/value", true),
        (istio, "/spec/http/1/route/0/weight", false),
        (istio, "/spec/http/1/route/0/destination/port/number", true),
        (gateway, "/spec/rules/0/backendRefs/12/weight", false),
        (gateway, "/spec/rules/0/backendRefs/0/port", true),
        (("v1", "ConfigMap"), "/data/split", false),
        (("v1", "ConfigMap"), "/metadata/annotations/iter8.tools~1weight", false),
        (("v1", "ConfigMap"), "/metadata/annotations/other", true),
        (("example.com/v1", "Split"), "/spec/anything", false),
    ] {
        assert_eq!(refused(api_version, kind, path), is_refused, "{kind} {path}");
    }
}

/// What one version's metric may say.
fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        Just(Sample::Value(20.0)),
        Just(Sample::Value(80.0)),
        Just(Sample::NoData("none".to_owned())),
        Just(Sample::Error("no".to_owned())),
    ]
}

proptest! {
    #[test]
    fn weights_sum_to_100_keep_their_caps_and_never_fall_while_all_is_well(
        candidates in 1_usize..=3,
        (max, increment) in (0..=100_i32, 0..=100_i32),
        start in proptest::collection::vec(0..=100_i32, 4),
        series in proptest::collection::vec(proptest::collection::vec((sample(), 0..3_i32), 4), 1..12),
    ) {
        let pattern = if candidates == 1 { "Canary" } else { "A/B/N" };
        let more = json!({
            "strategy": { "weights": { "maxCandidateWeight": max, "maxCandidateWeightIncrement": increment } },
            "duration": { "iterationsPerLoop": 100, "maxIterationsWithoutData": 100 },
        });
        let mut run = Run::new(experiment(pattern, candidates, &more), &start[..=candidates]);
        run.settle(&Samples::new(), &Ok(()));
        for values in series {
            let before = run.weights.clone();
            let mut samples = Samples::new();
            for (version, (latency, gain)) in run.experiment.versions.iter().zip(&values) {
                samples.insert(("latency".to_owned(), version.name.clone()), latency.clone());
                samples.insert(("gain".to_owned(), version.name.clone()), Sample::Value((*gain).into()));
            }
            run.iterate(&samples);
            prop_assert_eq!(run.weights.iter().sum::<i32>(), 100, "{:?}", run.weights);
            for (place, (weight, before)) in run.weights.iter().zip(&before).enumerate().skip(1) {
                prop_assert!((0..=max).contains(weight), "{:?}", run.weights);
                prop_assert!(weight - before <= increment, "{:?} after {:?}", run.weights, before);
                let (latency, _) = &values[place];
                if *latency == Sample::Value(20.0) && pattern == "Canary" {
                    prop_assert!(weight >= before, "{:?} after {:?}", run.weights, before);
                }
                if matches!(latency, Sample::NoData(_) | Sample::Error(_)) {
                    prop_assert_eq!(weight, before, "without data nothing is decided");
                }
            }
        }
    }
}
