//! A promotion that is stopped in a step: it is rolled back, suspended, or edited once more.

use serde_json::json;

use super::{
    APPS, admit_no_pods, admit_pods, apply, apply_with, assert_end, assert_source_serves, assert_versions,
    primaries_roll_to, route_of, settle, settled, sized, step_becomes, version,
};
use crate::support::audit::Mark;
use crate::support::{SOON, Test, holds, wait_until};

/// Long enough that a drain does not end within a test.
const NEVER: i32 = 3600;

/// Two applied versions, and the promotion of the second held in a step for as long as the test wants: pods are not let
/// in, or the drain does not end.
fn held_in(test: &Test, step: &str) {
    let replicas = if step == "Scale" { 2 } else { 1 };
    let (a, b) = (sized(version("a"), replicas), version("b"));
    let promoted = [sized(version("b"), replicas)];
    settle(test, &[a, b]);
    match step {
        "Scale" | "Roll" => {
            admit_no_pods(test);
            apply(test, &promoted);
        }
        "Switch" => apply_with(test, &promoted, &json!({ "drainSeconds": NEVER })),
        _ => {
            admit_no_pods(test);
            apply(test, &promoted);
            step_becomes(test, "Roll", 1);
            apply_with(test, &promoted, &json!({ "drainSeconds": NEVER }));
            admit_pods(test);
        }
    }
    step_becomes(test, step, 1);
    if step == "Roll" {
        primaries_roll_to(test, "b");
    }
}

/// Ends what held a promotion in a step, but for the drain, which the next edit ends.
fn let_go(test: &Test, step: &str) {
    if matches!(step, "Scale" | "Roll") {
        admit_pods(test);
    }
}

/// The steps, how often the primary's template changes if the promotion is rolled back in it, and while how many of
/// those the source serves in its place.
#[track_caller]
fn roll_back_in(step: &str, rolls_behind_source: Option<usize>) {
    let test = Test::new(&format!("roll back in {step}"));
    let safety = test.watch_safety();
    held_in(&test, step);
    let replicas = if step == "Scale" { 2 } else { 1 };
    apply(&test, &[sized(version("a"), replicas), version("b")]);
    let_go(&test, step);
    settled(&test);
    assert_end(&test, &["a", "b"]);
    safety.assert_safe();
    if let Some(rolls) = rolls_behind_source {
        assert_source_serves(&safety, rolls);
    }
}

#[test]
fn rolled_back_in_scale_nothing_has_rolled() {
    roll_back_in("Scale", Some(0));
}

#[test]
fn rolled_back_in_switch_nothing_has_rolled() {
    roll_back_in("Switch", Some(0));
}

#[test]
fn rolled_back_in_roll_the_source_serves_until_the_primary_is_back() {
    roll_back_in("Roll", Some(2));
}

#[test]
fn rolled_back_in_return_both_versions_are_back() {
    roll_back_in("Return", None);
}

#[test]
fn edited_to_a_third_image_in_roll_the_source_serves_until_the_primary_runs_that() {
    let test = Test::new("a third image in roll");
    let safety = test.watch_safety();
    held_in(&test, "Roll");
    apply(&test, &[version("c")]);
    let_go(&test, "Roll");
    settled(&test);
    assert_end(&test, &["c"]);
    safety.assert_safe();
    assert_source_serves(&safety, 2);
}

/// A suspended Release writes nothing, though what it waits for comes to pass.
#[track_caller]
fn suspended_in(step: &str) {
    let test = Test::new(&format!("suspended in {step}"));
    let safety = test.watch_safety();
    held_in(&test, step);
    let promoted = [sized(version("b"), if step == "Scale" { 2 } else { 1 })];
    let before = APPS.map(|app| route_of(&test, &app));

    apply_with(&test, &promoted, &json!({ "suspend": true }));
    observed(&test);
    let mark = test.audit_mark_if_any();
    let_go(&test, step);
    waited_for(&test, step);
    // It looks again, and knows all of it.
    apply_with(&test, &promoted, &json!({ "suspend": true, "drainSeconds": 2 }));
    observed(&test);
    assert_wrote_status_alone(&test, mark);
    for (app, before) in APPS.iter().zip(before) {
        let ready = test.release(app.name).condition("Ready").unwrap();
        assert_eq!(ready.reason, "Suspended", "{}", app.name);
        let stands = format!("the promotion stands still in {step}");
        assert!(ready.message.ends_with(&stands), "{}: {}", app.name, ready.message);
        assert_eq!(route_of(&test, app), before, "{}", app.name);
    }

    apply(&test, &promoted);
    settled(&test);
    assert_end(&test, &["b"]);
    safety.assert_safe();
    assert_source_serves(&safety, 1);
}

/// Since then, if that is known, nothing was written but status and Events.
#[track_caller]
fn assert_wrote_status_alone(test: &Test, since: Option<Mark>) {
    let mut writes = since.map(|mark| test.writes_since(mark)).unwrap_or_default();
    writes.retain(|write| write.subresource != "status" && write.resource != "events");
    assert!(writes.is_empty(), "a suspended Release wrote {writes:?}");
}

/// Waits until every Release has been looked at as it is.
fn observed(test: &Test) {
    for app in APPS {
        test.wait_until("the Release is observed", SOON, || {
            holds(test.release(app.name).condition("Ready").is_some(), app.name)
        });
    }
}

/// Waits until what the step waits for has come to pass.
fn waited_for(test: &Test, step: &str) {
    for app in APPS {
        let deployment = app.unnamed(usize::from(step == "Scale"));
        let what = format!("{deployment} is rolled out");
        test.wait_until(&what, SOON, || {
            let deployment = test.get("deployment", &deployment);
            holds(super::is_rolled_out(&deployment), &deployment["status"])
        });
        let accepted = test.policy(app.name).get()["route"]["acceptedSince"].take();
        let accepted: chrono::DateTime<chrono::Utc> = accepted.as_str().unwrap().parse().unwrap();
        let drained = accepted + chrono::Duration::seconds(1);
        wait_until("requests have drained", SOON, || {
            holds(chrono::Utc::now() > drained, drained)
        });
    }
}

#[test]
fn suspended_in_scale_it_stands_still_and_goes_on_afterwards() {
    suspended_in("Scale");
}

#[test]
fn suspended_in_switch_it_stands_still_and_goes_on_afterwards() {
    suspended_in("Switch");
}

#[test]
fn suspended_in_roll_it_stands_still_and_goes_on_afterwards() {
    suspended_in("Roll");
}

#[test]
fn suspended_in_return_it_stands_still_and_goes_on_afterwards() {
    suspended_in("Return");
}

#[test]
fn a_promotion_of_a_suspended_release_begins_when_it_is_no_longer_suspended() {
    let test = Test::new("suspended before");
    let safety = test.watch_safety();
    settle(&test, &["a", "b"].map(version));
    let mark = test.audit_mark_if_any();
    apply_with(&test, &[version("b")], &json!({ "suspend": true }));
    observed(&test);
    assert_wrote_status_alone(&test, mark);
    for app in APPS {
        let (a, b) = (app.unnamed(0), app.unnamed(1));
        assert_versions(&test, &app, &[(&a, "a"), (&b, "b")]);
    }
    apply(&test, &[version("b")]);
    settled(&test);
    assert_end(&test, &["b"]);
    safety.assert_safe();
    assert_source_serves(&safety, 1);
}
