//! Kinds that the API server cannot list when the operator begins.

use serde_json::{Value, json};

use crate::ownership::release;
use crate::support::relay::Relay;
use crate::support::{SOON, Test, equal};

/// An operator from which this path is kept until the relay is told otherwise.
fn test_without(name: &str, path: &str) -> (Test, Relay) {
    let mut test = Test::without_operator(name);
    let relay = Relay::start(test.kubeconfig());
    relay.fail_reads(Some(path));
    test.connect_with(&relay.kubeconfig);
    test.start();
    (test, relay)
}

#[track_caller]
fn ready_reason_becomes(test: &Test, name: &str, reason: &str) {
    test.wait_until(&format!("Ready of {name} says {reason}"), SOON, || {
        equal(test.release(name).ready_reason(), reason)
    });
}

#[test]
fn a_version_of_a_kind_that_cannot_be_listed_keeps_no_other_in_the_route() {
    let (test, relay) = test_without("unlisted resource", "/statefulsets?");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let version = |name: &str, kind: &str| {
        let resource = |api: &str, kind: &str| json!({ "apiVersion": api, "kind": kind, "name": name });
        json!({
            "name": name,
            "resources": [resource("v1", "Service"), resource("apps/v1", kind)],
            "backend": { "name": name, "port": 80 },
        })
    };
    let policy = json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": "own" },
        "spec": {
            "strategy": "blue-green",
            "versions": [version("web-0", "Deployment"), version("web-1", "Deployment"), version("db", "StatefulSet")],
            "route": { "virtualService": { "hosts": ["own"] } },
        },
    });
    test.apply(&policy.to_string());
    test.shares_become("own", &[("web-0", 50), ("web-1", 50)]);
    test.kubectl([
        "annotate",
        "--overwrite",
        "pod",
        "--selector=app=web-1",
        "kwok.iter8.tools/unready=true",
    ]);
    test.shares_become("own", &[("web-0", 100)]);
    let says = |reason: &str| {
        test.wait_until(&format!("Ready of the policy says {reason}"), SOON, || {
            equal(test.policy("own").ready_reason(), reason)
        });
    };
    says("NotListed");
    relay.fail_reads(None);
    says("CandidateNotReady");
}

#[test]
fn a_kind_of_route_that_cannot_be_listed_keeps_versions_from_going_and_status_says_so() {
    let (test, relay) = test_without("unlisted route", "/virtualservices?");
    let gateway = |versions| {
        let mut object: Value = serde_json::from_str(&release("gtw", versions)).unwrap();
        object["spec"]["environment"] = json!("deployment-gtw");
        object.to_string()
    };
    test.apply(&gateway(2));
    test.apply(&release("istio", 1));
    test.wait_ready("release/gtw");
    ready_reason_becomes(&test, "istio", "NotListed");
    test.there("deployment", "istio-0");
    test.apply(&gateway(1));
    test.shares_become("gtw", &[("gtw-0", 100)]);
    ready_reason_becomes(&test, "gtw", "NotListed");
    test.there("deployment", "gtw-1");
    relay.fail_reads(None);
    test.gone("deployment", "gtw-1");
    test.wait_ready("release/gtw");
    test.wait_ready("release/istio");
}
