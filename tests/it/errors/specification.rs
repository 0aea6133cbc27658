//! Specifications that the API server refuses, or that would make a version that nobody can reach.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ownership::{nudge, release, stalled};
use crate::support::{Test, holds, manifest, stays};

/// How long a refused request is not repeated, at least.
const QUIET: Duration = Duration::from_mins(1);

/// A blue-green Release on Istio with these versions.
fn of(versions: &Value) -> String {
    let mut object: Value = serde_json::from_str(&release("web", 0)).unwrap();
    object["spec"]["application"]["versions"] = versions.clone();
    object.to_string()
}

/// What a version is reached by and what it runs.
fn serving(test: &Test, name: &str) -> [Value; 4] {
    let (deployment, service) = (test.get("deployment", name), test.get("service", name));
    [
        deployment["metadata"]["uid"].clone(),
        deployment["spec"]["template"].clone(),
        service["spec"]["selector"].clone(),
        service["spec"]["ports"].clone(),
    ]
}

#[test]
fn a_typo_in_a_pod_template_is_told_in_the_servers_words_and_not_sent_again() {
    let test = Test::new("typo");
    let typo = json!({ "spec": { "template": { "spec": { "contaniers": [] } } } });
    let versions = |second: Value| of(&json!([{ "image": "httpbin" }, { "image": "httpbin" }, second]));
    test.apply(&versions(
        json!({ "image": "httpbin", "deploymentSpecification": typo }),
    ));
    let sentence = ".spec.template.spec.contaniers: field not declared in schema";
    let message = stalled(&test, "release/web", "InvalidSpecification", sentence);
    assert!(message.contains("Deployment web-2"), "{message}");
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);

    let mark = test.audit_mark_if_any();
    nudge(&test, "web", [71, 20]);
    if let Some(mark) = mark {
        stays("no Deployment is sent again", QUIET, || {
            let requests = test.audit_since(mark);
            let again = requests
                .iter()
                .find(|request| request.resource == "deployments" && request.is_write());
            holds(again.is_none(), again)
        });
    }

    test.apply(&versions(json!({ "image": "httpbin" })));
    test.wait_ready("release/web");
    assert_eq!(test.release("web").condition("Stalled").unwrap().status, "False");
    assert_eq!(test.rules("web")[0].backends.len(), 3);
}

#[test]
fn a_changed_selector_is_refused_with_a_way_out_and_the_version_serves_on() {
    let test = Test::new("selector");
    test.apply(&of(&json!([{ "image": "httpbin" }])));
    test.wait_ready("release/web");
    let before = serving(&test, "web-0");

    let labels = json!({ "app": "web-0", "tier": "front" });
    let changed = of(&json!([{
        "image": "httpbin",
        "deploymentSpecification": {
            "spec": { "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } },
        },
        "serviceSpecification": { "spec": { "selector": labels } },
    }]));
    test.apply(&changed);
    let message = stalled(&test, "release/web", "ImmutableField", "give the version a new name");
    assert!(message.contains("Deployment web-0"), "{message}");
    assert_eq!(serving(&test, "web-0"), before);
    assert_eq!(test.route_shares("web"), [("web-0".to_owned(), 100)]);

    // The way out.
    let mut renamed: Value = serde_json::from_str(&changed).unwrap();
    let version = &mut renamed["spec"]["application"]["versions"][0];
    version["metadata"] = json!({ "name": "web-b" });
    let safety = test.watch_safety();
    test.apply(&renamed.to_string());
    test.wait_ready("release/web");
    test.shares_become("web", &[("web-b", 100)]);
    test.gone("deployment", "web-0");
    safety.assert_safe();
}

#[test]
fn a_changed_selector_is_taken_when_the_deployment_is_gone() {
    let test = Test::new("selector without Deployment");
    test.apply(&of(&json!([{ "image": "httpbin" }])));
    test.wait_ready("release/web");
    let labels = json!({ "app": "web-0", "tier": "front" });
    test.apply(&of(&json!([{
        "image": "httpbin",
        "deploymentSpecification": {
            "spec": { "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels } } },
        },
    }])));
    stalled(&test, "release/web", "ImmutableField", "Deployment web-0");
    test.kubectl(["delete", "deployment", "web-0"]);
    test.wait_ready("release/web");
    assert_eq!(
        test.get("deployment", "web-0")["spec"]["selector"]["matchLabels"],
        labels
    );
}

#[test]
fn a_service_that_would_not_select_its_own_pods_is_not_written() {
    let test = Test::new("selector mismatch");
    test.apply(&of(&json!([{ "image": "httpbin" }])));
    test.wait_ready("release/web");
    let before = serving(&test, "web-0");
    let mismatch = json!({
        "image": "httpbin",
        "serviceSpecification": { "spec": { "selector": { "app": "other" } } },
    });
    test.apply(&of(&json!([mismatch, { "image": "httpbin" }])));
    let message = stalled(&test, "release/web", "SelectorMismatch", "app=other");
    assert!(message.contains("versions[0]"), "{message}");
    assert_eq!(serving(&test, "web-0"), before);
    // The other version goes on.
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    test.apply(&of(&json!([{ "image": "httpbin" }, { "image": "httpbin" }])));
    test.wait_ready("release/web");
}

#[test]
fn a_new_version_whose_service_would_not_select_its_pods_gets_nothing() {
    let test = Test::new("selector mismatch of a new version");
    let mismatch = json!({
        "image": "httpbin",
        "serviceSpecification": { "spec": { "selector": { "app": "other" } } },
    });
    test.apply(&of(&json!([{ "image": "httpbin" }, mismatch])));
    stalled(&test, "release/web", "SelectorMismatch", "app=other");
    test.shares_become("web", &[("web-0", 100)]);
    assert!(test.find("service", "web-1").is_none());
}

#[test]
fn a_host_of_another_namespace_is_not_allowed() {
    let test = Test::new("hosts");
    let policy = |host: &str| {
        let route = json!({ "virtualService": { "hosts": [host] } });
        manifest::policy("web", &["web"], &route).to_string()
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "ports": [{ "port": 80 }], "selector": { "app": "web" } },
    });
    test.apply(&service.to_string());
    test.apply(&policy("web.kube-system.svc.cluster.local"));
    let message = stalled(
        &test,
        "routepolicy/web",
        "HostNotAllowed",
        "web.kube-system.svc.cluster.local",
    );
    assert!(message.contains("spec.route.virtualService.hosts[0]"), "{message}");
    assert_eq!(test.columns("routepolicy", "web")["STATUS"], "HostNotAllowed");
    assert!(test.find("virtualservice", "web").is_none());

    test.apply(&policy(&format!("web.{}.svc.cluster.local", test.namespace)));
    test.wait_ready("routepolicy/web");
    test.shares_become("web", &[("web", 100)]);
    // An edit to one that is not allowed leaves the route as it was.
    test.apply(&policy("web.kube-system"));
    stalled(&test, "routepolicy/web", "HostNotAllowed", "web.kube-system");
    let hosts = test.get("virtualservice", "web")["spec"]["hosts"].clone();
    assert_eq!(hosts, json!([format!("web.{}.svc.cluster.local", test.namespace)]));
}
