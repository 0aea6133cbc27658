//! Several `RoutePolicies` that ask for one route.

use serde_json::{Value, json};

use super::stalled;
use crate::support::{SOON, Test, holds};

fn service(name: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] },
    })
    .to_string()
}

/// A policy that sends everything for `shop` to one Service.
fn policy(name: &str, service: &str, route: &str) -> String {
    json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": name },
        "spec": {
            "strategy": "blue-green",
            "versions": [{
                "name": service,
                "resources": [{ "apiVersion": "v1", "kind": "Service", "name": service }],
                "backend": { "name": service, "port": 80 },
            }],
            "route": { "virtualService": { "name": route, "hosts": ["shop"] } },
        },
    })
    .to_string()
}

fn owner(test: &Test, route: &str) -> Value {
    test.get("virtualservice", route)["metadata"]["ownerReferences"][0]["name"].clone()
}

#[test]
fn of_two_policies_for_one_route_the_first_keeps_it_and_the_other_takes_over() {
    let test = Test::new("rivals");
    test.apply(&service("a"));
    test.apply(&service("b"));
    // The name would decide otherwise.
    test.apply(&policy("second-in-name", "a", "shop"));
    test.wait_ready("routepolicy/second-in-name");
    test.apply(&policy("first-in-name", "b", "shop"));
    stalled(
        &test,
        "routepolicy/first-in-name",
        "NameConflict",
        "VirtualService shop",
    );
    assert_eq!(test.route_shares("shop"), [("a".to_owned(), 100)]);
    // The one that has it keeps it through a restart and through edits.
    test.restart();
    test.apply(&service("c"));
    test.apply(&policy("second-in-name", "c", "shop"));
    test.shares_become("shop", &[("c", 100)]);
    assert_eq!(owner(&test, "shop"), "second-in-name");

    test.kubectl(["delete", "routepolicy", "second-in-name"]);
    test.wait_ready("routepolicy/first-in-name");
    test.shares_become("shop", &[("b", 100)]);
    assert_eq!(owner(&test, "shop"), "first-in-name");
}

#[test]
fn a_policy_takes_over_a_route_that_its_rival_no_longer_asks_for() {
    let test = Test::new("rivals that move");
    test.apply(&service("a"));
    test.apply(&service("b"));
    test.apply(&policy("one", "a", "shop"));
    test.wait_ready("routepolicy/one");
    test.apply(&policy("two", "b", "shop"));
    stalled(&test, "routepolicy/two", "NameConflict", "VirtualService shop");
    test.apply(&policy("one", "a", "store"));
    test.wait_ready("routepolicy/two");
    test.wait_ready("routepolicy/one");
    test.shares_become("shop", &[("b", 100)]);
    test.shares_become("store", &[("a", 100)]);
}

#[test]
fn a_policy_goes_on_when_the_rival_goes_that_never_made_the_route() {
    let test = Test::new("rivals without a route");
    test.apply(&service("b"));
    test.apply(&policy("one", "missing", "shop"));
    test.wait_until("it was looked at", SOON, || {
        let reason = test.policy("one").ready_reason();
        holds(reason == "PrimaryNotReady", reason)
    });
    // Times have whole seconds, and then the name decides: "one" comes first either way.
    test.apply(&policy("two", "b", "shop"));
    stalled(&test, "routepolicy/two", "NameConflict", "RoutePolicy one");
    test.kubectl(["delete", "routepolicy", "one"]);
    test.wait_ready("routepolicy/two");
    test.shares_become("shop", &[("b", 100)]);
}

#[test]
fn a_policy_goes_on_when_the_rival_asks_for_another_route_before_it_made_this_one() {
    let test = Test::new("rivals that move early");
    test.apply(&service("b"));
    test.apply(&policy("one", "missing", "shop"));
    test.wait_until("it was looked at", SOON, || {
        let reason = test.policy("one").ready_reason();
        holds(reason == "PrimaryNotReady", reason)
    });
    test.apply(&policy("two", "b", "shop"));
    stalled(&test, "routepolicy/two", "NameConflict", "RoutePolicy one");
    test.apply(&policy("one", "missing", "store"));
    test.wait_ready("routepolicy/two");
    test.shares_become("shop", &[("b", 100)]);
}
