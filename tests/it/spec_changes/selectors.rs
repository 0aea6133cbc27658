//! Labels of pods and the selector of their Service, changed in one edit.

use serde_json::{Value, json};

use super::settle;
use crate::support::manifest::{release, version, with_pods};
use crate::support::{SOON, Test, equal};

/// A version whose pods have this label besides the generated one, and whose Service selects it.
fn labelled(track: &str) -> Value {
    let mut version = with_pods(version("v"), &json!({ "kwok.iter8.tools/ready-after": "2s" }));
    let labels = json!({ "track": track });
    version["deploymentSpecification"]["spec"]["template"]["metadata"]["labels"] = labels.clone();
    version["serviceSpecification"] = json!({ "spec": { "selector": labels } });
    version["replicas"] = 3.into();
    version
}

#[test]
fn a_service_selects_the_pods_of_before_and_after_until_all_have_their_new_labels() {
    let test = Test::new("labels and selector");
    let of = |track: &str| release("web", "deployment-istio", "blue-green", &[labelled(track)]);
    let selector = |track: &str| json!({ "app": "web-0", "track": track });
    settle(&test, &[of("old")]);
    let (services, deployments) = (test.watch("services"), test.watch("deployments"));
    settle(&test, &[of("new")]);
    test.wait_until("the Service selects the new label", SOON, || {
        equal(
            test.get("service", "web-0")["spec"]["selector"].take(),
            &selector("new"),
        )
    });
    let services = services.versions_of("web-0");
    let selectors: Vec<&Value> = services.iter().map(|seen| &seen.object["spec"]["selector"]).collect();
    assert_eq!(
        selectors,
        [&selector("old"), &json!({ "app": "web-0" }), &selector("new")]
    );
    let last = services.last().unwrap().resource_version;
    let mut before = deployments.versions_of("web-0");
    before.retain(|seen| seen.resource_version < last);
    let status = &before.last().unwrap().object["status"];
    let pods = ["replicas", "updatedReplicas", "availableReplicas"].map(|key| status[key].clone());
    assert_eq!(pods, [3, 3, 3].map(Value::from));
}
