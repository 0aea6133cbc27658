//! The operator is upgraded and removed, and applications do not notice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::Test;
use crate::support::api::Resource;
use crate::support::cluster::{SERVICE_ACCOUNT, bare_cluster};
use crate::support::helm::{Helm, chart};
use crate::support::manifest::{applications, list, version};
use crate::support::pods::processes;

/// Applications while the operator is upgraded and removed.
const APPLICATIONS: usize = 50;

/// Kinds of which an application is made.
const KINDS: [&str; 7] = [
    "release",
    "routepolicy",
    "deployment",
    "service",
    "configmap",
    "virtualservice",
    "httproute",
];

/// Every object of the applications: kind and name, with uid, generation (of what has one) and, of what nobody else
/// writes, resourceVersion. Nothing is being deleted.
fn stands(test: &Test) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for kind in KINDS {
        let (objects, _) = test.cluster.api.list(&test.namespace, &Resource::named(kind));
        for object in objects {
            let metadata = &object["metadata"];
            assert!(metadata["deletionTimestamp"].is_null(), "{kind} {metadata} is stuck");
            // The Deployment controller writes status when it likes, and `helm upgrade` renews Releases' labels.
            let written = !["release", "routepolicy", "deployment"].contains(&kind);
            found.insert(
                format!("{kind} {}", metadata["name"].as_str().unwrap()),
                json!([
                    metadata["uid"],
                    metadata["generation"],
                    written.then(|| metadata["resourceVersion"].clone())
                ]),
            );
        }
    }
    found
}

/// Fifty applications of every strategy on every mesh, ready.
fn deploy(test: &Test) {
    let kinds = applications();
    let releases: Vec<Value> = (0..APPLICATIONS)
        .map(|number| {
            let mut application = kinds[number % kinds.len()].clone();
            application.name = format!("{}-{number}", application.name);
            application.release(&[version("shop:1"), version("shop:2")])
        })
        .collect();
    test.apply(&list(&releases));
    test.kubectl(["wait", "--for=condition=Ready", "--timeout=60s", "releases", "--all"]);
}

#[test]
fn applications_do_not_notice_that_the_operator_is_upgraded_and_removed() {
    let Some(cluster) = bare_cluster("lifecycle") else {
        return;
    };
    let helm = Helm::beside(&cluster.kubectl).within(SERVICE_ACCOUNT.0);
    let (chart, scope) = (chart("controller"), "clusterScoped=true");
    let versions = ["image=iter8:before,podAnnotations.version=before", "image=iter8:after"];
    helm.ok(["install", "iter8", &chart, "--set", scope, "--set", versions[0]], "");
    cluster.collect_new_kinds();
    let installed = || processes(&cluster, SERVICE_ACCOUNT.0, "iter8");
    let mut operators = installed();
    let mut test = Test::within(Arc::clone(&cluster), "apps");
    deploy(&test);
    let before = stands(&test);
    assert_eq!(
        before.keys().filter(|key| key.starts_with("release ")).count(),
        APPLICATIONS
    );

    let mark = test.audit_mark();
    helm.ok(["upgrade", "iter8", &chart, "--set", scope, "--set", versions[1]], "");
    for mut old in std::mem::replace(&mut operators, installed()) {
        old.stop();
    }
    // It is at work: somebody else's application becomes ready.
    let mut other = Test::within(Arc::clone(&cluster), "newcomer");
    let newcomer = applications()[0].release(&[version("shop:1")]);
    other.apply(&newcomer.to_string());
    other.wait_ready("releases/blue-istio");
    assert_eq!(stands(&test), before, "the upgrade changed something");
    let writes = test.writes_since(mark);
    assert!(writes.is_empty(), "{writes:#?}");

    // Its rights go before it does.
    test.expect_refusals();
    other.expect_refusals();
    helm.ok(["uninstall", "iter8", "--wait"], "");
    for operator in &mut operators {
        operator.stop();
    }
    assert_eq!(stands(&test), before, "the removal changed something");
    // What users delete then goes as ever: nothing waits for the operator.
    test.kubectl(["delete", "release", "blue-istio-0", "--timeout=60s"]);
    test.gone("deployment", "blue-istio-0-0");
    test.gone("virtualservice", "blue-istio-0");
    cluster
        .kubectl
        .ok(["delete", "namespace", &other.namespace, "--timeout=60s"], "");
}
