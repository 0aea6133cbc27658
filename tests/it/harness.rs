//! The kit that other tests use must see what they rely on it to see.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::audit::Request;
use crate::support::recorder::{Change, Seen};
use crate::support::safety::violations;
use crate::support::{Test, skip_unless_local};

/// A stored version of an object called `name`; a `VirtualService` if it is a route.
fn stored(resource_version: u64, kind: &str, name: &str, rest: &Value) -> Seen {
    let mut object = rest.clone();
    object["kind"] = "VirtualService".into();
    object["metadata"] = json!({ "name": name, "namespace": "ns", "uid": name });
    Seen {
        resource_version,
        at: Instant::now(),
        change: Change::Stored,
        kind: kind.to_owned(),
        object,
    }
}

fn route(resource_version: u64, backends: &[(&str, i64)]) -> Seen {
    let share =
        |(name, weight): &(&str, i64)| json!({ "destination": { "host": format!("{name}.ns.svc") }, "weight": weight });
    let shares: Vec<Value> = backends.iter().map(share).collect();
    stored(
        resource_version,
        "virtualservices",
        "web",
        &json!({ "spec": { "http": [{ "route": shares }] } }),
    )
}

fn service(resource_version: u64, name: &str) -> Seen {
    stored(resource_version, "services", name, &json!({}))
}

fn deployment(resource_version: u64, name: &str, available: i64) -> Seen {
    stored(
        resource_version,
        "deployments",
        name,
        &json!({ "status": { "availableReplicas": available } }),
    )
}

fn deleted(mut seen: Seen, resource_version: u64) -> Seen {
    seen.resource_version = resource_version;
    seen.change = Change::Deleted;
    seen
}

fn owned(mut seen: Seen, owner: &str) -> Seen {
    seen.object["metadata"]["ownerReferences"] = json!([{ "uid": owner }]);
    seen
}

/// What there is before the interesting part: `a` is ready and named.
fn beginning() -> Vec<Seen> {
    vec![service(1, "a"), deployment(2, "a", 1), route(3, &[("a", 100)])]
}

/// What there is to see of each case: a part of the sentence, or nothing.
fn check(table: Vec<(&str, Vec<Seen>, Option<&str>)>) {
    for (what, then, want) in table {
        let history: Vec<Seen> = beginning().into_iter().chain(then).collect();
        let found: Vec<String> = violations(&history)
            .into_iter()
            .map(|violation| violation.what)
            .collect();
        match want {
            None => assert!(found.is_empty(), "{what}: {found:?}"),
            Some(part) => assert!(found.len() == 1 && found[0].contains(part), "{what}: {found:?}"),
        }
    }
}

#[test]
fn the_safety_watch_sees_every_route_that_names_what_is_not_ready() {
    let (both, none) = (
        |rv| route(rv, &[("a", 50), ("b", 50)]),
        |rv| route(rv, &[("a", 100), ("b", 0)]),
    );
    check(vec![
        ("ready", vec![service(4, "b"), deployment(5, "b", 1), both(6)], None),
        (
            "no Service",
            vec![deployment(5, "b", 1), both(6)],
            Some("Service does not exist"),
        ),
        (
            "no Deployment",
            vec![service(4, "b"), both(6)],
            Some("has no Deployment"),
        ),
        (
            "available only later",
            vec![service(4, "b"), deployment(5, "b", 0), both(6), deployment(7, "b", 1)],
            Some("no available replica as of rv 5"),
        ),
        (
            "available no more",
            vec![service(4, "b"), deployment(5, "b", 1), deployment(6, "b", 0), both(7)],
            Some("no available replica as of rv 6"),
        ),
        ("weight 0", vec![service(4, "b"), deployment(5, "b", 0), none(6)], None),
        (
            "weight 0 without a Service",
            vec![deployment(5, "b", 0), none(6)],
            Some("Service does not exist"),
        ),
        (
            "weight 0 that grows",
            vec![service(4, "b"), deployment(5, "b", 0), none(6), both(7)],
            Some("begins to name b"),
        ),
        (
            "named since it was ready",
            vec![deployment(4, "a", 0), route(5, &[("a", 90)])],
            None,
        ),
    ]);
}

#[test]
fn the_safety_watch_sees_every_removal_of_what_a_route_names() {
    let gone_route = deleted(route(3, &[("a", 100)]), 4);
    let owned = |rv| owned(service(rv, "a"), "shop");
    check(vec![
        (
            "a Service",
            vec![deleted(service(1, "a"), 4)],
            Some("services a is deleted"),
        ),
        (
            "a Deployment",
            vec![deleted(deployment(2, "a", 1), 4)],
            Some("deployments a is deleted"),
        ),
        (
            "after its route",
            vec![gone_route, deleted(deployment(2, "a", 1), 5)],
            None,
        ),
        (
            "what nobody names",
            vec![service(4, "b"), deleted(service(4, "b"), 5)],
            None,
        ),
        (
            "after its Release",
            vec![
                owned(4),
                deleted(stored(4, "releases", "shop", &json!({})), 5),
                deleted(owned(4), 6),
            ],
            None,
        ),
    ]);
}

#[test]
#[should_panic(expected = "whose Service does not exist")]
fn a_route_to_nowhere_fails_the_safety_watch() {
    let test = Test::without_operator("route to nowhere");
    let safety = test.watch_safety();
    test.apply(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: web
spec:
  hosts: [web]
  http:
  - route: [{destination: {host: nowhere}}]
",
    );
    safety.assert_safe();
}

#[test]
fn a_recording_misses_no_version() {
    let test = Test::without_operator("every version");
    let recorder = test.watch("configmap");
    test.kubectl(["create", "configmap", "counter"]);
    let edits = (0..10).map(|number| format!("--patch={{\"data\":{{\"number\":\"{number}\"}}}}"));
    for edit in edits {
        test.kubectl(["patch", "configmap", "counter", &edit]);
    }
    test.kubectl(["delete", "configmap", "counter"]);
    let versions = recorder.versions_of("counter");
    let numbers: Vec<&str> = versions
        .iter()
        .filter_map(|seen| seen.object["data"]["number"].as_str())
        .collect();
    let want: Vec<String> = (0..10).chain([9]).map(|number| number.to_string()).collect();
    assert_eq!(numbers, want);
    assert_eq!(versions.last().unwrap().change, Change::Deleted);
}

#[test]
fn the_audit_log_tells_what_the_operator_asked_for() {
    if skip_unless_local("the audit log") {
        return;
    }
    let test = Test::new("audit");
    let mark = test.audit_mark();
    test.apply(
        "
apiVersion: iter8.tools/v1alpha1
kind: Release
metadata:
  name: web
spec:
  environment: deployment
  application:
    versions: [{image: httpbin}]
",
    );
    test.wait_ready("release/web");
    let writes = test.writes_since(mark);
    let created = |resource: &str| {
        writes
            .iter()
            .any(|write| write.resource == resource && write.code == 201)
    };
    assert!(created("deployments") && created("services"), "{writes:#?}");
    assert!(writes.iter().all(|write| write.code < 300), "{writes:#?}");
    // Made by the test, not by the operator.
    let mark = test.audit_mark();
    test.kubectl(["delete", "service", "web-0"]);
    let others = |write: &&Request| write.verb == "delete";
    assert_eq!(test.writes_since(mark).iter().filter(others).count(), 0);
}
