//! Answers of the API server that are lost, and writes that meet others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use super::{ends, ends_at, experiment, in_config, iterations, weights_config, weights_in_config};
use crate::support::relay::{Fault, Refusal, Which};
use crate::support::{SOON, Test, holds, skip_unless_local};

#[test]
fn an_iteration_is_counted_once_and_weights_are_moved_once_though_answers_are_lost() {
    let (test, relay) = Test::through_relay("lost answers");
    test.apply(&weights_config().to_string());
    let (experiments, configs) = (test.watch("experiment"), test.watch("configmap"));
    let (status, weights) = ("/experiments/steady/status", "/configmaps/weights");
    for path in [status, weights] {
        relay.disturb(Which::writes(path), Fault::Lost, Some(3));
        relay.disturb(Which::writes(path), Fault::Refused(Refusal::FAILURE), Some(2));
    }
    let versions = ["v1", "v2"].map(|name| in_config(json!({ "name": name })));
    test.apply(&experiment("steady", "Canary", 6, &versions).to_string());
    ends(&test, "steady", "Successful");

    let disturbed = relay.disturbed();
    for path in [status, weights] {
        let count = disturbed.iter().filter(|line| line.contains(path)).count();
        assert_eq!(count, 5, "{disturbed:?}");
    }
    let mut counts: Vec<i64> = experiments
        .versions_of("steady")
        .iter()
        .map(|seen| iterations(&seen.object["status"]))
        .collect();
    counts.dedup();
    assert_eq!(counts, [0, 1, 2, 3, 4, 5, 6]);
    let candidate: Vec<i64> = weights_in_config(&configs).iter().map(|weights| weights[1]).collect();
    assert_eq!(candidate, [0, 10, 20, 30, 40, 50, 60, 70]);
    assert_eq!(test.events("WeightsEdited"), Vec::<String>::new());
}

#[test]
fn weights_that_have_been_changed_since_they_were_read_are_read_anew() {
    if skip_unless_local("an audit log") {
        return;
    }
    let test = Test::new("conditional writes");
    test.apply(&weights_config().to_string());
    let configs = test.watch("configmap");
    let versions = ["v1", "v2"].map(|name| in_config(json!({ "name": name })));
    let mut long = experiment("long", "Canary", 1000, &versions);
    long["spec"]["strategy"]["weights"] = json!({ "maxCandidateWeightIncrement": 1 });
    let mark = test.audit_mark();
    test.apply(&long.to_string());

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Somebody who writes something else of the object all the time.
            for edit in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                let edit = json!({ "metadata": { "annotations": { "example.com/edit": format!("{edit}") } } });
                test.cluster.api.merge(&test.namespace, "configmap", "weights", &edit);
            }
        });
        let met = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            test.wait_until("a write has met an edit", SOON, || {
                let writes = test.writes_since(mark);
                let met = writes
                    .iter()
                    .any(|write| write.resource == "configmaps" && write.code == 409);
                holds(met, "none did")
            });
        }));
        done.store(true, Ordering::Relaxed);
        met.unwrap();
    });
    ends_at(&test, "long", 1);
    ends(&test, "long", "Successful");
    let weights = weights_in_config(&configs);
    let steady = weights.windows(2).all(|pair| pair[1][1] - pair[0][1] == 1);
    assert!(steady, "{weights:?}");
    assert_eq!(test.events("WeightsEdited"), Vec::<String>::new());
}
