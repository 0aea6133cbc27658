//! A primary whose rollout fails.

use serde_json::json;

use super::{
    APPS, admit_no_pods, admit_pods, apply, assert_end, assert_source_serves, route_of, route_to, settle, settled,
    version, with_deployment,
};
use crate::support::{SOON, Test, holds};

#[test]
fn a_primary_that_cannot_roll_out_leaves_the_source_serving() {
    let test = Test::new("failed rollout");
    let safety = test.watch_safety();
    let versions = with_deployment(["a", "b"].map(version).into(), "progressDeadlineSeconds", &json!(5));
    settle(&test, &versions);
    admit_no_pods(&test);
    apply(&test, &versions[1..]);
    assert_failed(&test);
    for kind in ["deployment", "service"] {
        for app in APPS {
            test.get(kind, &app.unnamed(1));
        }
    }
    // A fresh look at it comes to the same conclusion.
    test.restart();
    assert_failed(&test);

    admit_pods(&test);
    settled(&test);
    assert_end(&test, &["b"]);
    safety.assert_safe();
    assert_source_serves(&safety, 1);
}

/// Status says that the rollout failed, and the source has all requests.
#[track_caller]
fn assert_failed(test: &Test) {
    for app in APPS {
        let (primary, source) = (app.unnamed(0), app.unnamed(1));
        let what = format!("{} says that the rollout failed", app.name);
        test.wait_until(&what, SOON, || {
            let release = test.release(app.name);
            let conditions = ["Ready", "Stalled"].map(|type_| release.condition(type_));
            let said = conditions.iter().flatten().filter(|condition| {
                condition.reason == "RolloutFailed"
                    && condition.message.contains(&primary)
                    && condition.message.contains(&source)
            });
            holds(said.count() == 2, &conditions)
        });
        assert_eq!(route_of(test, &app), route_to(&app, &source), "{}", app.name);
    }
}

#[test]
fn a_rollout_in_place_that_fails_is_said() {
    let test = Test::new("failed in place");
    let safety = test.watch_safety();
    let versions = with_deployment(["a", "b"].map(version).into(), "progressDeadlineSeconds", &json!(5));
    settle(&test, &versions);
    for app in APPS {
        test.kubectl(["scale", "--replicas=2", &format!("deployment/{}", app.unnamed(0))]);
    }
    settled(&test);
    admit_no_pods(&test);
    apply(&test, &versions[1..]);
    for app in APPS {
        let what = format!("{} says that the rollout failed", app.name);
        test.wait_until(&what, SOON, || {
            let ready = test.release(app.name).condition("Ready");
            holds(
                ready.as_ref().is_some_and(|ready| ready.reason == "RolloutFailed"),
                ready,
            )
        });
    }
    admit_pods(&test);
    settled(&test);
    assert_end(&test, &["b"]);
    safety.assert_safe();
}
