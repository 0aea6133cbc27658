//! Weights that were set by hand end with a promotion.

use serde_json::Value;

use super::{APPS, App, apply, assert_end, settle, settled, version};
use crate::support::api::Resource;
use crate::support::{SOON, Test, holds};

/// The applications that have weights, with the place of a version whose weight can be set.
fn weighted() -> impl Iterator<Item = App> {
    APPS.into_iter().filter(|app| app.strategy != "canary")
}

fn config(app: &App, index: usize) -> String {
    format!("{}-weight-config", app.unnamed(index))
}

/// Sets the weight of the versions at a place by hand, and waits until it is in force.
#[track_caller]
fn set_weight(test: &Test, index: usize, weight: i32) {
    for app in weighted() {
        let annotation = format!("iter8.tools/weight={weight}");
        let config = format!("configmap/{}", config(&app, index));
        if app.strategy == "mirror" && index == 0 {
            continue; // only a candidate has a percentage
        }
        test.kubectl(["annotate", "--overwrite", &config, &annotation]);
        let version = app.unnamed(index);
        test.wait_until(&format!("the weight of {version} is {weight}"), SOON, || {
            let seen = test.release(app.name).version(&version).unwrap_or_default();
            holds(seen["source"] == "Override" && seen["weight"] == weight, seen)
        });
    }
}

/// An Event says that the weight of each version at that place is no longer in force.
#[track_caller]
fn assert_said(test: &Test, index: usize) {
    for app in weighted().filter(|app| index > 0 || app.strategy == "blue-green") {
        let version = app.unnamed(index);
        test.wait_until(
            &format!("an Event says that the override of {version} ended"),
            SOON,
            || {
                let (events, _) = test.cluster.api.list(&test.namespace, &Resource::named("events"));
                let is_it = |event: &&Value| {
                    let note = event["note"].as_str().unwrap_or_default();
                    event["reason"] == "OverrideEnded"
                        && note.contains(&version)
                        && event["regarding"]["name"] == app.name
                };
                let notes: Vec<&Value> = events.iter().map(|event| &event["note"]).collect();
                holds(events.iter().any(|event| is_it(&event)), notes)
            },
        );
    }
}

#[test]
fn a_weight_that_was_set_by_hand_ends_with_the_promotion() {
    let test = Test::new("override");
    let safety = test.watch_safety();
    let [a, b] = ["a", "b"].map(version);
    settle(&test, &[a, b.clone()]);
    set_weight(&test, 0, 90);
    set_weight(&test, 1, 10);
    apply(&test, &[b]);
    settled(&test);
    assert_end(&test, &["b"]);
    assert_said(&test, 0);
    safety.assert_safe();
}

#[test]
fn a_weight_of_the_source_ends_with_the_promotion_though_it_stays() {
    let test = Test::new("override of the source");
    let safety = test.watch_safety();
    let [a, b, c] = ["a", "b", "c"].map(version);
    settle(&test, &[a, b.clone()]);
    set_weight(&test, 0, 90);
    set_weight(&test, 1, 10);
    apply(&test, &[b, c]);
    settled(&test);
    // The shares are those of the spec again.
    assert_end(&test, &["b", "c"]);
    assert_said(&test, 0);
    assert_said(&test, 1);
    safety.assert_safe();
}
