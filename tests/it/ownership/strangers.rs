//! Objects of somebody else that have the names of ours.

use std::sync::Arc;
use std::time::Duration;

use iter8::api::managers;
use iter8::cluster::{Error, Precondition, Store, Writer};
use iter8::model::kind::Kind;
use serde_json::{Value, json};

use super::{content, release, stalled};
use crate::support::api::RUNTIME;
use crate::support::{Test, manifest};

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "labels": { "team": "other" } },
        "spec": {
            "selector": { "matchLabels": { "team": "other" } },
            "template": {
                "metadata": { "labels": { "team": "other" } },
                "spec": { "containers": [{ "name": "other", "image": "other/image" }] },
            },
        },
    })
}

/// A stranger's object in the place of one of a Release's second version.
struct Case {
    release: &'static str,
    kind: &'static str,
    name: &'static str,
    named: &'static str,
    object: Value,
}

fn cases() -> [Case; 3] {
    [
        Case {
            release: "config",
            kind: "configmap",
            name: "config-1-weight-config",
            named: "ConfigMap config-1-weight-config",
            object: json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                // Whoever copied one of ours also copied its labels.
                "metadata": {
                    "name": "config-1-weight-config",
                    "labels": { "iter8.tools/watch": "true", "iter8.tools/release": "config" },
                    "annotations": { "iter8.tools/weight": "100" },
                },
                "data": { "key": "value" },
            }),
        },
        Case {
            release: "service",
            kind: "service",
            name: "service-1",
            named: "Service service-1",
            object: json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "name": "service-1" },
                "spec": { "selector": { "team": "other" }, "ports": [{ "port": 80 }] },
            }),
        },
        Case {
            release: "deployment",
            kind: "deployment",
            name: "deployment-1",
            named: "Deployment deployment-1",
            object: deployment("deployment-1"),
        },
    ]
}

#[test]
fn a_strangers_object_stays_as_it_is_gets_no_requests_and_is_named_until_it_goes() {
    let test = Test::new("strangers");
    let cases = cases();
    for Case {
        release: name, object, ..
    } in &cases
    {
        test.apply(&release(name, 1));
        test.apply(&object.to_string());
    }
    for Case {
        release: name,
        kind,
        name: taken,
        ..
    } in &cases
    {
        test.wait_ready(&format!("release/{name}"));
        if *kind == "deployment" {
            test.kubectl(["rollout", "status", "--timeout=60s", &format!("deployment/{taken}")]);
        }
    }
    let before: Vec<Value> = cases.iter().map(|case| content(&test, case.kind, case.name)).collect();
    for case in &cases {
        test.apply(&release(case.release, 2));
    }
    for case in &cases {
        stalled(&test, &format!("release/{}", case.release), "NameConflict", case.named);
    }
    for (case, before) in cases.iter().zip(&before) {
        assert_eq!(content(&test, case.kind, case.name), *before);
        let first = format!("{}-0", case.release);
        assert_eq!(test.route_shares(case.release), [(first, 100)]);
    }
    for case in &cases {
        test.kubectl(["delete", case.kind, case.name]);
    }
    for case in &cases {
        test.wait_ready(&format!("release/{}", case.release));
        let (first, second) = (format!("{}-0", case.release), format!("{}-1", case.release));
        test.shares_become(case.release, &[(&first, 50), (&second, 50)]);
    }
}

#[test]
fn a_strangers_route_stays_as_it_is_until_it_goes() {
    let test = Test::new("strangers route");
    let route = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": { "name": "web" },
        "spec": { "hosts": ["other"], "http": [{ "route": [{ "destination": { "host": "other" } }] }] },
    });
    test.apply(&route.to_string());
    let before = content(&test, "virtualservice", "web");
    test.apply(&release("web", 2));
    stalled(&test, "routepolicy/web", "NameConflict", "VirtualService web");
    stalled(&test, "release/web", "NameConflict", "VirtualService web");
    assert_eq!(test.columns("release", "web")["STATUS"], "NameConflict");
    assert_eq!(content(&test, "virtualservice", "web"), before);
    test.kubectl(["delete", "virtualservice", "web"]);
    test.wait_ready("release/web");
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
}

#[test]
fn a_strangers_routepolicy_and_application_service_stay_as_they_are_until_they_go() {
    let test = Test::new("strangers policy");
    let route = json!({ "virtualService": { "name": "other", "hosts": ["other"] } });
    let policy = manifest::policy("web", &["a"], &route);
    test.apply(&policy.to_string());
    // Its operator is ours: status is told.
    let but_status = || {
        let mut policy = content(&test, "routepolicy", "web");
        policy.as_object_mut().unwrap().remove("status");
        policy
    };
    let before = but_status();
    test.apply(&release("web", 1));
    stalled(&test, "release/web", "NameConflict", "RoutePolicy web");
    assert_eq!(but_status(), before);
    test.kubectl(["delete", "routepolicy", "web"]);
    test.wait_ready("release/web");

    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "shop" },
        "spec": { "selector": { "team": "other" }, "ports": [{ "port": 80 }] },
    });
    test.apply(&service.to_string());
    let before = content(&test, "service", "shop");
    test.apply(&release("shop", 1));
    stalled(&test, "release/shop", "NameConflict", "Service shop");
    assert_eq!(content(&test, "service", "shop"), before);
    test.kubectl(["delete", "service", "shop"]);
    test.wait_ready("release/shop");
}

#[test]
fn a_stranger_that_the_operator_has_not_seen_yet_is_left_as_it_was() {
    let test = Test::without_operator("unseen strangers");
    test.apply(&deployment("same").to_string());
    test.apply(r#"{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "other" }, "data": { "a": "b" } }"#);
    let store = Arc::new(Store::new(Arc::new(|_| {}), Arc::new(|_| {})));
    let fence = Arc::new(|| Some(Duration::from_mins(1)));
    let writer = Writer::new(test.cluster.api.client.clone(), store, fence);
    let mut same = deployment("same");
    same["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": uid(&test), "controller": true }]);
    let mut differs = same.clone();
    differs["spec"]["template"]["spec"]["containers"][0]["image"] = json!("our/image");
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "other", "annotations": { "iter8.tools/weight": "50" } },
    });
    let cases = [
        (Kind::Deployment, "deployment", "same", same),
        (Kind::Deployment, "deployment", "same", differs),
        (Kind::ConfigMap, "configmap", "other", config),
    ];
    for (kind, plural, name, object) in cases {
        let before = content(&test, plural, name);
        let applied = RUNTIME.block_on(writer.apply(
            kind,
            &test.namespace,
            name,
            &object,
            managers::RELEASE,
            Precondition::Absent,
        ));
        assert!(matches!(applied, Err(Error::Conflict(_))), "{applied:?}");
        assert_eq!(content(&test, plural, name), before);
    }
}

fn uid(test: &Test) -> Value {
    test.get("configmap", "other")["metadata"]["uid"].clone()
}
