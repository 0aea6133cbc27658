//! Enough pods on either side of each switch, and who else sets how many there are.

use serde_json::{Value, json};

use super::{
    APPS, App, admit_no_pods, admit_pods, apply, assert_end, assert_source_serves, history, primaries_roll_to, rolls,
    routes_within, settle, settled, sized, step_becomes, version, with_deployment, words,
};
use crate::support::recorder::Seen;
use crate::support::safety::SafetyWatch;
use crate::support::{SOON, Test, holds};

/// Promotes, and asserts that whoever had all requests had so many pods for them, from the primary's roll on.
#[track_caller]
fn promote(name: &str, before: &[&[Value]], after: &[Value], carried: i64) -> Test {
    let test = Test::new(name);
    let safety = test.watch_safety();
    for versions in before {
        settle(&test, versions);
    }
    apply(&test, after);
    settled(&test);
    assert_end(&test, &["b"]);
    safety.assert_safe();
    assert_source_serves(&safety, 1);
    assert_carried(&safety, carried);
    test
}

/// From the switch to the source on, each version of the route found so many available pods behind the one that
/// answers.
#[track_caller]
fn assert_carried(safety: &SafetyWatch, carried: i64) {
    let history = history(safety);
    for app in APPS {
        let mut roll = rolls(&history, &app.unnamed(0)).pop().unwrap();
        roll.to = u64::MAX;
        let routes = routes_within(&history, &app, &roll);
        let answers = |route: &Seen| {
            words(&route.object)
                .last()
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .to_owned()
        };
        let who: Vec<String> = routes.iter().map(|route| answers(route)).collect();
        assert_eq!(who.first(), Some(&app.unnamed(1)), "{}: {who:?}", app.name);
        assert_eq!(who.last(), Some(&app.unnamed(0)), "{}: {who:?}", app.name);
        for (route, version) in routes.iter().zip(&who) {
            let is_it = |seen: &&Seen| seen.kind == "deployments" && seen.name() == version;
            let mut before = history.iter().filter(is_it);
            let then = before
                .rfind(|seen| seen.resource_version < route.resource_version)
                .unwrap();
            let available = then.object["status"]["availableReplicas"].as_i64().unwrap_or(0);
            assert!(
                available >= carried,
                "{version} had {available} pods instead of {carried} as of route rv {}",
                route.resource_version
            );
        }
    }
}

#[test]
fn the_source_gets_the_replicas_that_the_spec_gives_the_primary() {
    let (a, b) = (sized(version("a"), 3), version("b"));
    let promoted = sized(version("b"), 3);
    promote("as many as the primary", &[&[a, b]], &[promoted], 3);
}

#[test]
fn the_source_gets_the_replicas_that_the_primary_was_left_with() {
    let before = [sized(version("a"), 3), version("b")];
    let open = [version("a"), version("b")];
    let test = promote("as many as it was left with", &[&before, &open], &[version("b")], 3);
    for App { name, .. } in APPS {
        assert_eq!(
            test.get("deployment", &format!("{name}-0"))["spec"]["replicas"],
            3,
            "{name}"
        );
    }
}

#[test]
fn the_primary_gets_as_many_replicas_as_its_source_had() {
    let (a, b) = (version("a"), sized(version("b"), 3));
    promote("as many as the source", &[&[a, b]], &[version("b")], 3);
}

/// What an autoscaler does to the version at a place, of every application.
fn scale(test: &Test, index: usize, numbers: &[i32]) {
    let deployments = APPS.map(|app| format!("deployment/{}", app.unnamed(index)));
    for number in numbers {
        let number = format!("--replicas={number}");
        let scale = ["scale", &number].into_iter();
        test.kubectl(scale.chain(deployments.iter().map(String::as_str)));
    }
}

/// The step is `InPlace`, status says why, and the promotion ends well all the same.
#[track_caller]
fn rolls_in_place(
    test: &Test,
    safety: &SafetyWatch,
    before: &[Value],
    after: &[Value],
    scaled: Option<(usize, &[i32])>,
    why: &str,
) {
    settle(test, before);
    if let Some((index, numbers)) = scaled {
        scale(test, index, numbers);
    }
    settled(test);
    // The roll waits until all has been looked at.
    admit_no_pods(test);
    apply(test, after);
    step_becomes(test, "InPlace", 1);
    for app in APPS {
        let release = test.release(app.name);
        let what = format!("{} says why it rolls in place", app.name);
        test.wait_until(&what, SOON, || {
            let ready = release.condition("Ready");
            let said = ready.as_ref().is_some_and(|ready| {
                ready.reason == "RollingInPlace" && ready.message.contains(why) && ready.message.contains("preStop")
            });
            holds(said, ready)
        });
    }
    admit_pods(test);
    settled(test);
    assert_end(test, &["b"]);
    safety.assert_safe();
}

#[test]
fn an_autoscaler_of_the_primary_makes_it_roll_in_place() {
    let test = Test::new("scaled primary");
    let safety = test.watch_safety();
    let [a, b] = ["a", "b"].map(version);
    let why = "an autoscaler or kubectl scale sets the replicas";
    rolls_in_place(&test, &safety, &[a, b.clone()], &[b], Some((0, &[2])), why);
    for app in APPS {
        let replicas = test.get("deployment", &app.unnamed(0))["spec"]["replicas"].take();
        assert_eq!(replicas, 2, "the number of {} was taken from its autoscaler", app.name);
    }
}

#[test]
fn an_autoscaler_of_the_source_makes_the_primary_roll_in_place() {
    let test = Test::new("scaled source");
    let safety = test.watch_safety();
    let [a, b] = ["a", "b"].map(version);
    let why = "an autoscaler or kubectl scale sets the replicas";
    rolls_in_place(&test, &safety, &[a, b.clone()], &[b], Some((1, &[2])), why);
}

#[test]
fn an_autoscaler_that_went_back_to_one_replica_is_still_an_autoscaler() {
    let test = Test::new("scaled up and down");
    let safety = test.watch_safety();
    let [a, b] = ["a", "b"].map(version);
    let why = "an autoscaler or kubectl scale sets the replicas";
    rolls_in_place(&test, &safety, &[a, b.clone()], &[b], Some((0, &[2, 1])), why);
}

#[test]
fn a_source_that_does_not_get_its_pods_in_time_lets_the_primary_roll_in_place() {
    let test = Test::new("source without pods");
    let safety = test.watch_safety();
    let deadline = json!(5);
    let before = with_deployment(
        vec![sized(version("a"), 2), version("b")],
        "progressDeadlineSeconds",
        &deadline,
    );
    let after = with_deployment(vec![sized(version("b"), 2)], "progressDeadlineSeconds", &deadline);
    rolls_in_place(
        &test,
        &safety,
        &before,
        &after,
        None,
        "did not get 2 available replicas in time",
    );
}

#[test]
fn rolled_back_while_it_rolls_in_place_both_versions_are_back() {
    let test = Test::new("roll back in place");
    let safety = test.watch_safety();
    let [a, b] = ["a", "b"].map(version);
    settle(&test, &[a.clone(), b.clone()]);
    scale(&test, 0, &[2]);
    settled(&test);
    admit_no_pods(&test);
    apply(&test, std::slice::from_ref(&b));
    step_becomes(&test, "InPlace", 1);
    primaries_roll_to(&test, "b");
    apply(&test, &[a, b]);
    admit_pods(&test);
    settled(&test);
    assert_end(&test, &["a", "b"]);
    safety.assert_safe();
}
