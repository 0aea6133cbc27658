//! Kinds that are not installed, or that the operator may not work with.

use serde_json::{Value, json};

use crate::ownership::{release, stalled};
use crate::support::Test;
use crate::support::cluster::dedicated_cluster;

/// A CRD as its maintainers ship it.
fn crd_file(test: &Test, name: &str) -> String {
    let mut crd: Value = serde_json::from_str(&test.kubectl(["get", "crd", name, "--output=json"])).unwrap();
    crd["metadata"] = json!({ "name": name, "annotations": crd["metadata"]["annotations"] });
    crd.as_object_mut().unwrap().remove("status");
    crd.to_string()
}

#[test]
fn a_mesh_that_is_installed_later_is_picked_up_without_a_restart() {
    let Some(cluster) = dedicated_cluster("mesh") else {
        return;
    };
    let test = Test::within(cluster, "mesh");
    let meshes = [
        (
            "virtualservices.networking.istio.io",
            "VirtualService",
            "istio",
            "deployment-istio",
        ),
        (
            "httproutes.gateway.networking.k8s.io",
            "HTTPRoute",
            "gtw",
            "deployment-gtw",
        ),
    ];
    let files = meshes.map(|(crd, ..)| crd_file(&test, crd));
    for (crd, ..) in meshes {
        test.kubectl(["delete", "crd", crd, "--timeout=60s"]);
    }
    test.start();
    let plain = json!({
        "apiVersion": "iter8.tools/v1alpha1", "kind": "Release", "metadata": { "name": "plain" },
        "spec": { "environment": "deployment", "application": { "versions": [{ "image": "httpbin" }] } },
    });
    test.apply(&plain.to_string());
    for (_, kind, name, environment) in meshes {
        let mut object: Value = serde_json::from_str(&release(name, 1)).unwrap();
        object["spec"]["environment"] = json!(environment);
        test.apply(&object.to_string());
        stalled(&test, &format!("release/{name}"), "KindNotFound", kind);
        stalled(&test, &format!("routepolicy/{name}"), "KindNotFound", "install its CRD");
    }
    test.wait_ready("release/plain");
    for ((.., name, _), file) in meshes.iter().zip(&files) {
        test.server_side("installer", file);
        test.wait_ready(&format!("release/{name}"));
        test.shares_become(name, &[(&format!("{name}-0"), 100)]);
    }
    // The mesh is taken away with all of its routes, and comes back.
    for ((crd, kind, name, _), file) in meshes.iter().zip(&files) {
        test.kubectl(["delete", "crd", crd, "--timeout=60s"]);
        stalled(&test, &format!("release/{name}"), "KindNotFound", kind);
        test.server_side("installer", file);
        test.wait_ready(&format!("release/{name}"));
        test.shares_become(name, &[(&format!("{name}-0"), 100)]);
    }
}

/// A policy for one Service and a Job.
fn policy_with_job() -> String {
    json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": "jobs" },
        "spec": {
            "strategy": "blue-green",
            "versions": [{
                "name": "web",
                "resources": [
                    { "apiVersion": "v1", "kind": "Service", "name": "web" },
                    { "apiVersion": "batch/v1", "kind": "Job", "name": "warm-up" },
                ],
                "backend": { "name": "web", "port": 80 },
            }],
            "route": { "virtualService": { "hosts": ["web"] } },
        },
    })
    .to_string()
}

#[test]
fn a_kind_that_may_not_be_watched_stalls_its_policy_until_the_rule_is_added() {
    let Some(cluster) = dedicated_cluster("forbidden") else {
        return;
    };
    let mut test = Test::within(cluster, "forbidden");
    test.expect_refusals();
    test.start();
    test.apply(&policy_with_job());
    stalled(
        &test,
        "routepolicy/jobs",
        "Forbidden",
        "allow list, watch on jobs.batch",
    );
    test.apply(&release("web", 1));
    test.wait_ready("release/web");
    // "web" serves, but whether the Job exists cannot be told.
    assert!(test.find("virtualservice", "jobs").is_none());

    test.apply(
        r#"{ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "warm-up" }, "spec": { "template": { "spec": {
            "restartPolicy": "Never", "containers": [{ "name": "warm-up", "image": "httpbin" }] } } } }"#,
    );
    let rule = [
        "create",
        "role",
        "watch-jobs",
        "--verb=list,watch",
        "--resource=jobs.batch",
    ];
    test.kubectl(rule);
    let account = "--serviceaccount=iter8-system:iter8";
    test.kubectl(["create", "rolebinding", "watch-jobs", "--role=watch-jobs", account]);
    test.wait_ready("routepolicy/jobs");
    test.shares_become("jobs", &[("web", 100)]);
}

#[test]
fn a_write_that_is_not_allowed_names_the_rule_and_goes_on_when_it_is_added() {
    let Some(cluster) = dedicated_cluster("forbidden-write") else {
        return;
    };
    let mut test = Test::within(cluster, "forbidden write");
    test.expect_refusals();
    let name = "iter8";
    let printed = test.kubectl(["get", "clusterrole", name, "--output=json"]);
    let whole: Value = serde_json::from_str(&printed).unwrap();
    let mut less = whole.clone();
    for rule in less["rules"].as_array_mut().unwrap() {
        if rule["resources"].as_array().unwrap().contains(&json!("services")) && rule["apiGroups"] == json!([""]) {
            rule["verbs"] = json!(["list", "watch"]);
        }
    }
    let patch = |role: &Value| {
        let patch = format!("--patch={}", json!({ "rules": role["rules"] }));
        test.kubectl(["patch", "clusterrole", name, "--type=merge", &patch]);
    };
    patch(&less);
    test.start();
    test.apply(&release("web", 1));
    let message = stalled(&test, "release/web", "Forbidden", "allow patch on services");
    assert!(message.contains("Service web-0"), "{message}");
    patch(&whole);
    test.wait_ready("release/web");
}
