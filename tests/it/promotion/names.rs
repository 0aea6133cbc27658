//! Versions with names of their own move without a roll; and a version that is dropped serves until another can.

use super::{
    APPS, App, apply, assert_end, assert_versions, generation, history, named, route_kind, route_of, settle, settled,
    version,
};
use crate::support::{SOON, Test, equal, holds, routes};

/// A version whose pods never become ready, until [`become_ready`].
fn never_ready(mut version: serde_json::Value) -> serde_json::Value {
    let annotations = &mut version["deploymentSpecification"]["spec"]["template"]["metadata"]["annotations"];
    *annotations = serde_json::json!({ "kwok.iter8.tools/never-ready": "true" });
    version
}

/// Lets the pods of all versions become ready.
fn become_ready(test: &Test) {
    // A pod that goes between kubectl's list and its patch is none of ours any more.
    test.try_kubectl(["annotate", "pods", "--all", "kwok.iter8.tools/never-ready-"]);
}

#[test]
fn a_candidate_that_is_given_up_leaves_the_primary_as_it_is() {
    let test = Test::new("given up");
    let safety = test.watch_safety();
    let [a, b] = ["a", "b"].map(version);
    settle(&test, &[a.clone(), b]);
    let before = APPS.map(|app| generation(&test, &app.unnamed(0)));
    apply(&test, &[a]);
    settled(&test);
    assert_end(&test, &["a"]);
    assert_eq!(APPS.map(|app| generation(&test, &app.unnamed(0))), before);
    safety.assert_safe();
}

#[test]
fn a_named_candidate_becomes_first_without_a_roll() {
    let test = Test::new("named");
    let safety = test.watch_safety();
    settle(&test, &[named("old", "a"), named("new", "b")]);
    let name = |app: &App| format!("{}-new", app.name);
    let before = APPS.map(|app| generation(&test, &name(&app)));
    apply(&test, &[named("new", "b")]);
    settled(&test);
    for app in APPS {
        assert_versions(&test, &app, &[(&name(&app), "b")]);
    }
    assert_eq!(APPS.map(|app| generation(&test, &name(&app))), before);
    safety.assert_safe();
}

#[test]
fn a_named_candidate_becomes_first_and_another_comes() {
    let test = Test::new("named and another");
    let safety = test.watch_safety();
    settle(&test, &[named("old", "a"), named("new", "b")]);
    let name = |app: &App| format!("{}-new", app.name);
    let before = APPS.map(|app| generation(&test, &name(&app)));
    apply(&test, &[named("new", "b"), named("next", "c")]);
    settled(&test);
    for app in APPS {
        let next = format!("{}-next", app.name);
        assert_versions(&test, &app, &[(&name(&app), "b"), (&next, "c")]);
    }
    assert_eq!(APPS.map(|app| generation(&test, &name(&app))), before);
    safety.assert_safe();
}

#[test]
fn the_only_version_is_renamed_and_serves_until_the_other_can() {
    let test = Test::new("renamed");
    let safety = test.watch_safety();
    settle(&test, &[named("one", "a")]);
    apply(&test, &[named("two", "b")]);
    settled(&test);
    for app in APPS {
        let [one, two] = ["one", "two"].map(|name| format!("{}-{name}", app.name));
        assert_versions(&test, &app, &[(&two, "b")]);
        let mut answered: Vec<String> = Vec::new();
        for route in safety.route_versions(app.name) {
            let [rule] = &routes::rules(&route.object)[..] else {
                panic!("{}", route.object)
            };
            let [(name, 100)] = &rule.backends[..] else {
                panic!("{rule:?}")
            };
            answered.push(name.clone());
        }
        answered.dedup();
        assert_eq!(answered, [one, two]);
    }
    safety.assert_safe();
}

#[test]
fn a_primary_that_is_dropped_serves_until_its_successor_is_ready() {
    let test = Test::new("dropped primary");
    let safety = test.watch_safety();
    let successor = never_ready(named("new", "b"));
    apply(&test, &[named("old", "a"), successor.clone()]);
    for app in APPS {
        let what = format!("{} has its route", app.name);
        test.wait_until(&what, SOON, || {
            holds(test.find(route_kind(&app), app.name).is_some(), "no route")
        });
    }
    apply(&test, &[successor]);
    let only = |app: &App, name: &str| vec![format!("{}-{name}:100", app.name)];
    for app in APPS {
        let old = format!("{}-old", app.name);
        test.wait_until(&format!("{old} is leaving"), SOON, || {
            let release = test.release(app.name);
            let role = release.version(&old).map(|version| version["role"].clone());
            let observed = release.condition("Ready").is_some();
            holds(observed && role == Some("leaving".into()), role)
        });
        assert_eq!(route_of(&test, &app), only(&app, "old"));
    }
    // Whatever the operator does with a fresh look, the old one serves.
    test.restart();
    for app in APPS {
        assert_eq!(route_of(&test, &app), only(&app, "old"));
    }
    become_ready(&test);
    settled(&test);
    for app in APPS {
        test.wait_until("the new one answers", SOON, || {
            equal(route_of(&test, &app), &only(&app, "new"))
        });
        assert_versions(&test, &app, &[(&format!("{}-new", app.name), "b")]);
    }
    let history = history(&safety);
    let deletions = history
        .iter()
        .filter(|seen| seen.kind == "deployments" && seen.is_going());
    assert!(deletions.count() >= APPS.len(), "every old version is gone");
    safety.assert_safe();
}

#[test]
fn a_candidate_that_is_not_ready_is_promoted_in_place() {
    let test = Test::new("promoted unready");
    let safety = test.watch_safety();
    let b = never_ready(version("b"));
    apply(&test, &[version("a"), b.clone()]);
    for app in APPS {
        let what = format!("{} has its route", app.name);
        test.wait_until(&what, SOON, || {
            holds(test.find(route_kind(&app), app.name).is_some(), "no route")
        });
    }
    apply(&test, &[b]);
    super::step_becomes(&test, "InPlace", 1);
    for app in APPS {
        let ready = test.release(app.name).condition("Ready").unwrap();
        assert!(ready.message.contains("is not ready"), "{ready:?}");
        assert_eq!(route_of(&test, &app), [format!("{}-0:100", app.name)]);
    }
    become_ready(&test);
    // Pods that come later are of the same template.
    test.wait_until("every pod is ready", SOON * 2, || {
        become_ready(&test);
        let ready = APPS.map(|app| test.release(app.name).ready_reason());
        holds(ready.iter().all(|reason| reason == "Ready"), ready)
    });
    assert_end(&test, &["b"]);
    safety.assert_safe();
}
