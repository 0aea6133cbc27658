//! Events: each change is told once, when it has come about, and a state never.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{share, web, with};
use crate::ownership::stalled;
use crate::promotion::{admit_no_pods, admit_pods};
use crate::support::api::Resource;
use crate::support::manifest::{sized, version};
use crate::support::{SOON, Test, equal, holds};

/// What the operator has told of objects of a kind, with how often if that is more than once.
fn events(test: &Test, kind: &str) -> BTreeSet<String> {
    let (events, _) = test.cluster.api.list(&test.namespace, &Resource::named("events"));
    let ours = events.iter().filter(|event| event["reportingController"] == "iter8");
    let about = ours.filter(|event| event["regarding"]["kind"] == kind);
    about
        .map(|event| {
            let times = event["series"]["count"].as_i64();
            let times = times.map(|count| format!(" x{count}")).unwrap_or_default();
            let word = |key: &str| event[key].as_str().unwrap_or_default();
            format!("{} {}: {}{times}", word("type"), word("reason"), word("note"))
        })
        .collect()
}

/// Waits until the operator has told exactly this.
#[track_caller]
fn events_are(test: &Test, kind: &str, want: &[&str]) {
    let want: BTreeSet<String> = want.iter().map(|event| (*event).to_owned()).collect();
    test.wait_until("the Events are sent", SOON, || equal(events(test, kind), &want));
}

fn apply(test: &Test, release: &Value) {
    test.apply(&release.to_string());
}

#[test]
fn a_promotion_is_told_step_by_step() {
    let test = Test::new("events promotion");
    apply(&test, &web(&[share("web:1", 30), share("web:2", 70)]));
    test.wait_ready("release/web");
    apply(&test, &web(&[share("web:2", 30)]));
    test.wait_ready("release/web");
    let told = [
        "Normal Ready: traffic 30/70",
        "Normal Promotion: Switch: web-1 takes the requests of web-0",
        "Normal Promotion: Roll: web-1 serves; web-0 gets its new template",
        "Normal Promotion: Return: web-0 takes its requests back",
        "Normal Promoted: web-0 serves what the spec asks for",
        "Normal VersionRemoved: version web-1 is gone",
        "Normal Ready: traffic 100",
    ];
    events_are(&test, "Release", &told);
    let routes = [
        "Normal RouteUpdated: VirtualService web now gives 30/70",
        "Normal RouteUpdated: VirtualService web now gives 0/100",
        "Normal RouteUpdated: VirtualService web now gives 100",
    ];
    test.wait_until("every route is told", SOON, || {
        let told = events(&test, "RoutePolicy");
        let all = routes.iter().all(|route| told.contains(*route));
        holds(all, told)
    });
    // As users ask for them.
    let printed = test.kubectl(["events", "--for=release/web", "--no-headers"]);
    assert_eq!(printed.lines().count(), told.len(), "{printed}");
    let described = test.kubectl(["describe", "release", "web"]);
    assert!(described.contains("web-0 serves what the spec asks for"), "{described}");
}

#[test]
fn a_promotion_that_is_taken_back_before_it_began_to_roll_is_not_told_as_done() {
    let test = Test::new("events taken back");
    // Without a deadline that could end the wait for capacity.
    let version = |image: &str| json!({ "image": image });
    let before = web(&[sized(version("web:1"), 2), version("web:2")]);
    apply(&test, &before);
    test.wait_ready("release/web");
    admit_no_pods(&test);
    apply(&test, &web(&[sized(version("web:2"), 2)]));
    test.wait_until("it waits for capacity", SOON, || {
        let step = test.release("web").promotion().map(|(step, _)| step);
        equal(step, &Some("Scale".to_owned()))
    });
    apply(&test, &before);
    admit_pods(&test);
    test.wait_ready("release/web");
    test.wait_until("the end is told", SOON, || {
        let told = events(&test, "Release");
        holds(told.contains("Normal Promotion: ended in Scale by an edit"), told)
    });
    assert_eq!(test.events("Promoted"), Vec::<String>::new());
}

#[test]
fn a_stall_is_told_once_however_often_it_is_looked_at_and_so_is_its_end() {
    let test = Test::new("events stall");
    test.kubectl(["create", "service", "clusterip", "web-1", "--tcp=80"]);
    let release = web(&[version("web:1"), version("web:2")]);
    apply(&test, &release);
    stalled(&test, "release/web", "NameConflict", "Service web-1");
    apply(&test, &with(release.clone(), "drainSeconds", &json!(2)));
    stalled(&test, "release/web", "NameConflict", "Service web-1");
    test.restart();
    apply(&test, &release);
    stalled(&test, "release/web", "NameConflict", "Service web-1");
    test.kubectl(["delete", "service", "web-1"]);
    test.wait_ready("release/web");
    let told = [
        "Warning NameConflict: Service web-1 exists and is not this Release's: delete it, or choose another name",
        "Normal Recovered: NameConflict is over",
        "Normal Ready: traffic 50/50",
    ];
    events_are(&test, "Release", &told);
}

#[test]
fn a_version_that_comes_and_goes_is_told_each_time() {
    let test = Test::new("events readiness");
    apply(&test, &web(&[version("web:1"), version("web:2")]));
    test.wait_ready("release/web");
    test.kubectl(["scale", "deployment/web-1", "--replicas=0"]);
    let told = |what: &str, want: &[&str]| {
        test.wait_until(what, SOON, || {
            let told = events(&test, "RoutePolicy");
            holds(want.iter().all(|event| told.contains(*event)), told)
        });
    };
    let gone = [
        "Warning VersionNotReady: version web-1: ScaledToZero",
        "Normal RouteUpdated: VirtualService web now gives 100/0",
    ];
    told("that it went is told", &gone);
    test.kubectl(["scale", "deployment/web-1", "--replicas=1"]);
    let back = [
        "Normal VersionReady: version web-1 is ready",
        "Normal RouteUpdated: VirtualService web now gives 50/50 x2",
    ];
    told("that it came back is told", &back);
}

#[test]
fn what_was_not_written_is_not_told_as_done() {
    let test = Test::new("events not written");
    let strangers = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "web-1-weight-config", "annotations": { "iter8.tools/weight": "10" } },
    });
    test.apply(&strangers.to_string());
    let release = web(&[share("web:1", 30), share("web:2", 70)]);
    apply(&test, &release);
    stalled(&test, "release/web", "NameConflict", "ConfigMap web-1-weight-config");
    test.stop(); // all Events are sent
    assert_eq!(test.events("OverrideEnded"), Vec::<String>::new());
}
