//! What the operator asks of the API server, counted from its audit log: no more than is needed, and nothing when nothing
//! changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::support::api::{Resource, resource_version};
use crate::support::audit::{Mark, Request};
use crate::support::{SOON, Test, equal, holds, skip_unless_local, stays};

/// How long nothing must be asked for while nothing changes.
const IDLE: Duration = Duration::from_mins(1);

/// Two versions, of which the second is ready later than the first.
fn release(environment: &str, strategy: &str) -> String {
    format!(
        "
apiVersion: iter8.tools/v1alpha1
kind: Release
metadata:
  name: web
spec:
  environment: {environment}
  drainSeconds: 1
  application:
    strategy: {strategy}
    versions:
    - image: web:1
    - image: web:2
      deploymentSpecification:
        spec: {{ template: {{ metadata: {{ annotations: {{ kwok.iter8.tools/ready-after: 2s }} }} }} }}
"
    )
}

/// Writes by object (`deployments web-0`, `releases/status web`).
fn by_object(writes: &[Request]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for write in writes.iter().filter(|write| write.resource != "events") {
        let slash = if write.subresource.is_empty() { "" } else { "/" };
        let object = format!("{}{slash}{} {}", write.resource, write.subresource, write.name);
        *counts.entry(object).or_default() += 1;
    }
    counts
}

/// Every object made is written once, the route at most `routes` times, each status at most `statuses` times; nothing is
/// read beyond lists and watches.
#[track_caller]
fn assert_counts(test: &Test, mark: Mark, made: &[&str], (route, routes): (&str, usize), statuses: &[(&str, usize)]) {
    let mut reads = test.requests_since(mark);
    reads.retain(|request| !request.is_write() && !["list", "watch"].contains(&request.verb.as_str()));
    assert!(reads.is_empty(), "{reads:?}");
    let writes = test.writes_since(mark);
    assert!(writes.iter().all(|write| write.code < 300), "{writes:?}");
    let mut counts = by_object(&writes);
    for object in made {
        assert_eq!(counts.remove(*object), Some(1), "{object}: {writes:#?}");
    }
    let bounds = statuses.iter().copied().chain((routes > 0).then_some((route, routes)));
    for (object, most) in bounds {
        let count = counts.remove(object).unwrap_or(0);
        assert!(
            (1..=most).contains(&count),
            "{object}: {count} instead of at most {most}: {writes:#?}"
        );
    }
    assert!(counts.is_empty(), "{counts:?}");
}

/// An edit that changes nothing, a restart, and time: nothing is written, nothing is asked for but by watches.
#[track_caller]
fn assert_quiet(test: &Test, made: &[&str]) {
    let mark = test.audit_mark();
    look_again_after(test, ["label", "release", "web", "color=red"]);
    look_again_after(test, ["annotate", "release", "web", "example.com/why=none"]);
    look_again_after(test, ["label", "service", "web-0", "color=red"]);
    assert!(test.writes_since(mark).is_empty(), "{:#?}", test.writes_since(mark));

    let before = resource_versions(test, made);
    let reconciled = reconciles(test);
    test.restart();
    look_again(test, reconciled);
    assert!(test.writes_since(mark).is_empty(), "{:#?}", test.writes_since(mark));
    assert_eq!(resource_versions(test, made), before);

    let mark = test.audit_mark();
    stays("the operator asks for nothing but watches", IDLE, || {
        let mut requests = test.requests_since(mark);
        requests.retain(|request| request.verb != "watch");
        holds(requests.is_empty(), requests)
    });
    assert_eq!(resource_versions(test, made), before);
}

#[track_caller]
fn look_again_after<const N: usize>(test: &Test, edit: [&str; N]) {
    let reconciled = reconciles(test);
    test.kubectl(edit);
    look_again(test, reconciled);
}

/// Waits until the Release has been reconciled more often than that.
#[track_caller]
fn look_again(test: &Test, reconciled: usize) {
    test.wait_until("the Release has been looked at again", SOON, || {
        holds(reconciles(test) > reconciled, test.log())
    });
}

/// How often the Release was reconciled, by the operator's own account.
fn reconciles(test: &Test) -> usize {
    let is_one = |line: &&str| line.contains("reconciled") && line.contains("kind=Release");
    test.log().lines().filter(is_one).count()
}

/// Of everything that was made, and of the Release.
#[track_caller]
fn resource_versions(test: &Test, made: &[&str]) -> BTreeMap<String, u64> {
    let all = made.iter().chain(&["releases web"]);
    all.map(|object| {
        let (kind, name) = object.split_once(' ').unwrap();
        ((*object).to_owned(), resource_version(&test.get(kind, name)))
    })
    .collect()
}

/// What the operator's Events say, with the kind that each is about; each was told once.
fn events(test: &Test) -> BTreeSet<String> {
    let (events, _) = test.cluster.api.list(&test.namespace, &Resource::named("events"));
    let ours = events.iter().filter(|event| event["reportingController"] == "iter8");
    ours.map(|event| {
        assert!(event["series"].is_null(), "{event}");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, reason, note) = (
            word(&event["regarding"]["kind"]),
            word(&event["reason"]),
            word(&event["note"]),
        );
        format!("{kind} {reason}: {note}")
    })
    .collect()
}

/// What is told where a first status was written before the first version was ready: a status is written when it is calm.
const PERHAPS: &str = "RoutePolicy VersionReady: version web-0 is ready";

/// Waits until the operator has told all of this, and answers with what it has told: nothing else but `PERHAPS`.
#[track_caller]
fn told(test: &Test, want: &[&str]) -> BTreeSet<String> {
    let want: BTreeSet<String> = want.iter().map(|event| (*event).to_owned()).collect();
    test.wait_until("the Events are sent", SOON, || {
        let told = events(test);
        let others = told.symmetric_difference(&want);
        holds(others.clone().all(|event| event == PERHAPS), &told)
    });
    events(test)
}

/// A Release on Istio of a strategy, whose route and traffic are this in the end, and of which these versions have a live weight.
#[track_caller]
fn costs_on_istio(strategy: &str, route: &str, traffic: &str, weighted: &[&str]) {
    if skip_unless_local("an audit log") {
        return;
    }
    let test = Test::with_account(&format!("quiet {strategy}"));
    test.start();
    let mark = test.audit_mark();
    test.apply(&release("deployment-istio", strategy));
    test.route_becomes("web", route);
    test.wait_ready("release/web");

    let configs: Vec<String> = weighted
        .iter()
        .map(|version| format!("configmaps {version}-weight-config"))
        .collect();
    let mut made = vec![
        "deployments web-0",
        "deployments web-1",
        "services web-0",
        "services web-1",
        "services web",
        "routepolicies web",
    ];
    made.extend(configs.iter().map(String::as_str));
    let statuses = [("releases/status web", 4), ("routepolicies/status web", 4)];
    assert_counts(&test, mark, &made, ("virtualservices web", 2), &statuses);
    let updated = format!("RoutePolicy RouteUpdated: VirtualService web now gives {traffic}");
    let ready = format!("Release Ready: traffic {traffic}");
    let events = [
        "RoutePolicy RouteUpdated: VirtualService web now gives 100/0",
        &updated,
        "RoutePolicy VersionReady: version web-1 is ready",
        &ready,
    ];
    let before = told(&test, &events);
    made.push("virtualservices web");
    assert_quiet(&test, &made);
    assert_eq!(told(&test, &events), before);
}

#[test]
fn a_blue_green_release_on_istio_costs_one_write_an_object_and_then_nothing() {
    costs_on_istio("blue-green", "0:50 1:50", "50/50", &["web-0", "web-1"]);
}

#[test]
fn a_mirroring_release_on_istio_costs_one_write_an_object_and_then_nothing() {
    costs_on_istio("mirror", "0:100 +1:100", "100/copy:100", &["web-1"]);
}

#[test]
fn a_canary_release_with_a_gateway_costs_one_write_an_object_and_then_nothing() {
    if skip_unless_local("an audit log") {
        return;
    }
    let test = Test::with_account("quiet gateway");
    test.start();
    let mark = test.audit_mark();
    test.apply(&release("deployment-gtw", "canary"));
    test.wait_until("the candidate has its rule", SOON, || {
        equal(test.rules("web").len(), &2)
    });
    test.accept("web");
    test.wait_until("the route is accepted", SOON, || {
        let routed = test.release("web").condition("Routed");
        equal(routed.map(|routed| routed.reason), &Some("Accepted".to_owned()))
    });
    test.wait_ready("release/web");

    let made = [
        "deployments web-0",
        "deployments web-1",
        "services web-0",
        "services web-1",
        "services web",
        "routepolicies web",
    ];
    let statuses = [("releases/status web", 4), ("routepolicies/status web", 4)];
    assert_counts(&test, mark, &made, ("httproutes web", 2), &statuses);
    let events = [
        "RoutePolicy RouteUpdated: HTTPRoute web now gives 100/0",
        "RoutePolicy RouteUpdated: HTTPRoute web now gives 100/match",
        "RoutePolicy VersionReady: version web-1 is ready",
        "Release Ready: traffic 100/match",
    ];
    let before = told(&test, &events);
    assert_quiet(&test, &[&made[..], &["httproutes web"]].concat());
    assert_eq!(told(&test, &events), before);
}

#[test]
fn a_release_that_routes_nothing_costs_one_write_an_object_and_then_nothing() {
    if skip_unless_local("an audit log") {
        return;
    }
    let test = Test::with_account("quiet none");
    test.start();
    let mark = test.audit_mark();
    test.apply(&release("deployment", "none"));
    test.wait_ready("release/web");

    let made = [
        "deployments web-0",
        "deployments web-1",
        "services web-0",
        "services web-1",
    ];
    assert_counts(&test, mark, &made, ("", 0), &[("releases/status web", 3)]);
    let events = ["Release Ready: traffic -"];
    let before = told(&test, &events);
    assert_quiet(&test, &made);
    assert_eq!(told(&test, &events), before);
}

#[test]
fn watches_share_one_connection_and_writes_another() {
    if !cfg!(target_os = "linux") {
        println!("skipped: connections are counted by Linux's account");
        return;
    }
    let test = Test::new("connections");
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        test.apply(&release("deployment-istio", "blue-green").replace("name: web", &format!("name: {name}")));
    }
    for name in names {
        test.wait_ready(&format!("release/{name}"));
    }
    test.wait_until("two connections are left", SOON, || {
        let connections = test.connections();
        holds(connections == 2, connections)
    });
}
