//! What a promotion waits for: drains, and gateways that take the route.

use std::time::Duration;

use serde_json::json;

use super::{APPS, App, apply, apply_with, assert_end, assert_source_serves, history, settle, settled, version, words};
use crate::support::recorder::Seen;
use crate::support::{SOON, Test, equal, holds};

const DRAIN: Duration = Duration::from_secs(3);

/// The first version of an application's route, after that resourceVersion, that names the Service or does not.
fn first_route<'a>(history: &'a [Seen], app: &App, after: u64, names: bool, service: &str) -> &'a Seen {
    let part = format!("{service}:");
    let is_it = |seen: &&Seen| {
        matches!(seen.kind.as_str(), "virtualservices" | "httproutes")
            && seen.name() == app.name
            && seen.resource_version > after
            && words(&seen.object).iter().any(|rule| rule.contains(&part)) == names
    };
    let what = if names { "names" } else { "does not name" };
    let found = history.iter().find(is_it);
    found.unwrap_or_else(|| panic!("no route {} {what} {service} after rv {after}", app.name))
}

#[test]
fn nothing_is_touched_before_its_requests_have_drained() {
    let test = Test::new("drain");
    let safety = test.watch_safety();
    settle(&test, &["a", "b"].map(version));
    apply_with(&test, &[version("b")], &json!({ "drainSeconds": DRAIN.as_secs() }));
    settled(&test);
    let history = history(&safety);
    for app in APPS {
        let (primary, source) = (app.unnamed(0), app.unnamed(1));
        let both = first_route(&history, &app, 0, true, &source);
        let switched = first_route(&history, &app, both.resource_version, false, &primary);
        let of = |name: &str, kind: &str| -> Vec<&Seen> {
            let is_it = |seen: &&Seen| seen.kind == kind && seen.name() == name;
            history.iter().filter(is_it).collect()
        };
        let rolls = |seen: &&&Seen| seen.object["spec"]["template"]["spec"]["containers"][0]["image"] == "b";
        let deployments = of(&primary, "deployments");
        let rolled = deployments.iter().find(rolls).unwrap();
        assert_apart(switched, rolled);
        let returned = first_route(&history, &app, rolled.resource_version, false, &source);
        for kind in ["deployments", "services"] {
            let objects = of(&source, kind);
            let gone = objects.iter().find(|seen| seen.is_going()).unwrap();
            assert_apart(returned, gone);
        }
    }
    safety.assert_safe();
}

#[track_caller]
fn assert_apart(first: &Seen, second: &Seen) {
    let apart = second.at.saturating_duration_since(first.at);
    // Both are heard of a little after they are stored.
    let allowed = Duration::from_millis(500);
    assert!(
        apart + allowed >= DRAIN,
        "{} {} of rv {} came {apart:?} after the route of rv {}",
        second.kind,
        second.name(),
        second.resource_version,
        first.resource_version
    );
}

#[test]
fn a_promotion_goes_on_when_the_gateway_has_taken_the_route() {
    let test = Test::new("gateway");
    let safety = test.watch_safety();
    let gateways: Vec<App> = APPS
        .into_iter()
        .filter(|app| app.environment == "deployment-gtw")
        .collect();
    settle(&test, &["a", "b"].map(version));
    for app in &gateways {
        test.accept(app.name);
    }
    settled(&test);
    apply(&test, &[version("b")]);
    for app in &gateways {
        stands(&test, app, "Switch", "a");
        test.accept(app.name);
    }
    for app in &gateways {
        stands(&test, app, "Return", "b");
        test.accept(app.name);
    }
    settled(&test);
    assert_end(&test, &["b"]);
    safety.assert_safe();
    assert_source_serves(&safety, 1);
}

/// The route of the step is stored, the Release waits for the gateway, and the primary's image is as it should be.
#[track_caller]
fn stands(test: &Test, app: &App, step: &str, image: &str) {
    let want = Some((step.to_owned(), app.unnamed(1)));
    let what = format!("{} waits for its gateway in step {step}", app.name);
    test.wait_until(&what, SOON, || equal(test.release(app.name).promotion(), &want));
    test.wait_until(&what, SOON, || {
        let routed = test.release(app.name).condition("Routed");
        holds(routed.as_ref().is_some_and(|routed| routed.reason == "Pending"), routed)
    });
    let deployment = test.get("deployment", &app.unnamed(0));
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], *image);
    for version in [app.unnamed(0), app.unnamed(1)] {
        test.get("service", &version);
    }
}
