//! What a Release leaves when it is deleted, and what it takes over when it comes back.

use serde_json::{Value, json};

use super::release;
use crate::support::api::Resource;
use crate::support::{SOON, Test, equal};

/// Everything that a Release of two versions is made of.
const MADE: [(&str, &str); 9] = [
    ("deployment", "web-0"),
    ("deployment", "web-1"),
    ("service", "web-0"),
    ("service", "web-1"),
    ("service", "web"),
    ("configmap", "web-0-weight-config"),
    ("configmap", "web-1-weight-config"),
    ("routepolicy", "web"),
    ("virtualservice", "web"),
];

fn uids(test: &Test) -> Vec<Value> {
    let uid = |(kind, name): &(&str, &str)| test.get(kind, name)["metadata"]["uid"].clone();
    MADE.iter().map(uid).collect()
}

fn pods(test: &Test) -> Vec<String> {
    let (pods, _) = test.cluster.api.list(&test.namespace, &Resource::named("pod"));
    let mut uids: Vec<String> = pods.iter().map(|pod| pod["metadata"]["uid"].to_string()).collect();
    uids.sort();
    uids
}

/// Waits until the garbage collector knows the kind `RoutePolicy`, of which it hears within 30 s of the CRD. Before, it
/// would not orphan one, and delete it later as one whose owner is gone.
fn wait_for_the_garbage_collector(test: &Test) {
    test.apply(r#"{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "owner" } }"#);
    let owner = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
        "uid": test.get("configmap", "owner")["metadata"]["uid"],
    });
    let policy = json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": "owned", "ownerReferences": [owner] },
        "spec": {
            "suspend": true,
            "strategy": "blue-green",
            "versions": [{
                "name": "a",
                "resources": [{ "apiVersion": "v1", "kind": "Service", "name": "a" }],
                "backend": { "name": "a", "port": 80 },
            }],
            "route": { "virtualService": { "hosts": ["owned"] } },
        },
    });
    test.apply(&policy.to_string());
    test.kubectl(["delete", "configmap", "owner"]);
    test.gone("routepolicy", "owned");
}

#[test]
fn a_release_that_was_orphaned_and_comes_back_adopts_what_it_left() {
    let test = Test::new("adoption");
    wait_for_the_garbage_collector(&test);
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let (before, pods_before) = (uids(&test), pods(&test));
    let deployments = test.watch("deployments");
    let routes = test.watch("virtualservices");

    test.kubectl(["delete", "release", "web", "--cascade=orphan", "--timeout=60s"]);
    test.gone("release", "web");
    assert_eq!(uids(&test), before);
    assert_eq!(test.get("deployment", "web-0")["metadata"].get("ownerReferences"), None);

    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    assert_eq!(uids(&test), before);
    assert_eq!(pods(&test), pods_before);
    let owner = test.get("release", "web")["metadata"]["uid"].clone();
    for (kind, name) in &MADE[..8] {
        assert_eq!(
            test.get(kind, name)["metadata"]["ownerReferences"][0]["uid"],
            owner,
            "{kind} {name}"
        );
    }
    for seen in deployments.versions() {
        assert_eq!(seen.object["metadata"]["generation"], 1, "{} was changed", seen.name());
    }
    assert_eq!(routes.versions().len(), 1, "the route was written");
}

#[test]
fn a_release_that_comes_back_with_other_versions_goes_on_from_what_it_left() {
    let test = Test::new("adoption and change");
    wait_for_the_garbage_collector(&test);
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let safety = test.watch_safety();
    test.kubectl(["delete", "release", "web", "--cascade=orphan", "--timeout=60s"]);
    test.apply(&release("web", 1));
    test.wait_ready("release/web");
    test.shares_become("web", &[("web-0", 100)]);
    for kind in ["deployment", "service"] {
        test.gone(kind, "web-1");
    }
    test.gone("configmap", "web-1-weight-config");
    safety.assert_safe();
}

#[test]
fn a_release_that_comes_back_under_other_names_serves_with_what_it_left_until_they_can() {
    let test = Test::new("adoption and names");
    wait_for_the_garbage_collector(&test);
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let safety = test.watch_safety();
    test.kubectl(["delete", "release", "web", "--cascade=orphan", "--timeout=60s"]);
    let mut named: Value = serde_json::from_str(&release("web", 1)).unwrap();
    named["spec"]["application"]["versions"][0]["metadata"] = json!({ "name": "blue" });
    test.apply(&named.to_string());
    test.wait_ready("release/web");
    test.shares_become("web", &[("blue", 100)]);
    for name in ["web-0", "web-1"] {
        test.gone("deployment", name);
        test.gone("service", name);
        test.gone("configmap", &format!("{name}-weight-config"));
    }
    safety.assert_safe();
}

#[test]
fn a_route_that_its_policy_left_is_taken_over_by_the_next_one() {
    let test = Test::new("route adoption");
    wait_for_the_garbage_collector(&test);
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let before = test.get("virtualservice", "web")["metadata"]["uid"].clone();
    let safety = test.watch_safety();
    test.kubectl(["delete", "routepolicy", "web", "--cascade=orphan", "--timeout=60s"]);
    test.wait_until("the route has the new policy as its owner", SOON, || {
        let (route, policy) = (test.find("virtualservice", "web"), test.find("routepolicy", "web"));
        let route = route.ok_or("there is no route")?;
        let policy = policy.ok_or("there is no policy")?;
        let got = json!([route["metadata"]["uid"], route["metadata"]["ownerReferences"][0]["uid"]]);
        equal(got, &json!([before, policy["metadata"]["uid"]]))
    });
    test.wait_ready("release/web");
    safety.assert_safe();
}

#[test]
fn everything_goes_with_its_release() {
    let test = Test::new("deletion");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let mark = test.audit_mark_if_any();
    test.kubectl(["delete", "release", "web", "--timeout=60s"]);
    for (kind, name) in MADE {
        test.gone(kind, name);
    }
    let writes = mark.map(|mark| test.writes_since(mark)).unwrap_or_default();
    let makes: Vec<_> = writes
        .iter()
        .filter(|write| write.code == 201 && write.resource != "events")
        .collect();
    assert!(makes.is_empty(), "the operator made something anew: {makes:?}");
}

#[test]
fn everything_goes_in_the_foreground_too() {
    let test = Test::new("foreground deletion");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    test.kubectl(["delete", "release", "web", "--cascade=foreground", "--timeout=60s"]);
    for (kind, name) in MADE {
        test.gone(kind, name);
    }
}
