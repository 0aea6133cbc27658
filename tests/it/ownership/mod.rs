//! Whose an object is: strangers' objects are left alone, our own are adopted, repaired and deleted with their owner.

mod adoption;
mod drift;
mod rivals;
mod strangers;

use serde_json::{Map, Value, json};

use crate::support::{SOON, Test, equal};

/// A blue-green Release on Istio with as many versions.
pub(crate) fn release(name: &str, versions: usize) -> String {
    let versions: Vec<Value> = (0..versions)
        .map(|_| json!({ "image": "kennethreitz/httpbin" }))
        .collect();
    json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "Release",
        "metadata": { "name": name },
        "spec": {
            "environment": "deployment-istio",
            "application": { "strategy": "blue-green", "versions": versions },
            "drainSeconds": 1,
        },
    })
    .to_string()
}

/// An object as its owner left it: without what the API server writes beside it.
pub(crate) fn content(test: &Test, kind: &str, name: &str) -> Value {
    let mut object = test.get(kind, name);
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    if kind == "deployment" {
        // Its pods come and go.
        object.as_object_mut().map(Map::clear);
        let live = test.get(kind, name);
        object["labels"] = live["metadata"]["labels"].clone();
        object["annotations"] = live["metadata"]["annotations"].clone();
        object["owners"] = live["metadata"]["ownerReferences"].clone();
        object["generation"] = live["metadata"]["generation"].clone();
        object["spec"] = live["spec"].clone();
    }
    object
}

/// Waits until `Stalled` has this reason and its sentence contains `part`.
#[track_caller]
pub(crate) fn stalled(test: &Test, object: &str, reason: &str, part: &str) -> String {
    let (kind, name) = object.split_once('/').unwrap();
    let what = format!("{object} is Stalled: {reason}, {part}");
    test.wait_until(&what, SOON, || {
        let status = if kind == "release" {
            test.release(name)
        } else {
            test.policy(name)
        };
        test.find(kind, name).ok_or("there is no such object")?;
        let condition = status.condition("Stalled").ok_or("there is no condition yet")?;
        let fits = condition.status == "True" && condition.reason == reason && condition.message.contains(part);
        if fits {
            Ok(condition.message)
        } else {
            Err(format!("{condition:?}"))
        }
    })
}

/// Waits until an Event of this reason about `object` (`release/web`) has a note that contains `part`.
#[track_caller]
pub(crate) fn event(test: &Test, object: &str, reason: &str, part: &str) {
    let what = format!("there is an Event {reason} about {object}: {part}");
    test.wait_until(&what, SOON, || {
        let notes = events(test, object, reason);
        if notes.iter().any(|note| note.contains(part)) {
            Ok(())
        } else {
            Err(format!("{notes:?}"))
        }
    });
}

/// The notes of the Events of this reason about `object`.
pub(crate) fn events(test: &Test, object: &str, reason: &str) -> Vec<String> {
    let (kind, name) = object.split_once('/').unwrap();
    let resource = crate::support::api::Resource::named("event");
    let (events, _) = test.cluster.api.list(&test.namespace, &resource);
    let about = |event: &&Value| {
        event["reason"] == reason
            && event["regarding"]["name"] == name
            && event["regarding"]["kind"]
                .as_str()
                .is_some_and(|word| word.eq_ignore_ascii_case(kind))
    };
    let notes = events.iter().filter(about);
    notes
        .map(|event| event["note"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Moves a live weight and waits until the route follows: whatever happened before has been looked at then.
#[track_caller]
pub(crate) fn nudge(test: &Test, release: &str, weights: [i64; 2]) {
    let config = format!("configmap/{release}-1-weight-config");
    let weight = format!("iter8.tools/weight={}", weights[1]);
    test.kubectl(["annotate", "--overwrite", &config, &weight]);
    let versions = [format!("{release}-0"), format!("{release}-1")];
    let total = 50 + weights[1];
    assert_eq!(weights[0], 50 * 100 / total, "the nudge's own numbers");
    let want: Vec<(String, i64)> = vec![
        (versions[0].clone(), 50 * 100 / total),
        (versions[1].clone(), 100 - 50 * 100 / total),
    ];
    test.wait_until("the route follows the weight", SOON, || {
        equal(test.route_shares(release), &want)
    });
}
