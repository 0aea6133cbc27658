//! What others do to our objects: what is ours is repaired, what is theirs is left alone.

use serde_json::{Value, json};

use super::{content, event, nudge, release};
use crate::support::audit::Request;
use crate::support::{SOON, Test, holds, skip_unless_local};

/// What a write that changes nothing would be worse than: `patch deployments web-0`.
fn words(writes: &[Request]) -> Vec<String> {
    let mut words: Vec<String> = writes
        .iter()
        .filter(|write| write.resource != "events")
        .map(|write| {
            let slash = if write.subresource.is_empty() { "" } else { "/" };
            format!(
                "{} {}{slash}{} {}",
                write.verb, write.resource, write.subresource, write.name
            )
        })
        .collect();
    words.sort();
    words
}

/// What a [`nudge`] alone makes the operator write.
const NUDGE: [&str; 3] = [
    "patch releases/status web",
    "patch routepolicies/status web",
    "patch virtualservices web",
];

/// `kubectl edit`: reads the object, changes its text, and writes it back.
#[track_caller]
fn edit(test: &Test, object: &str, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_str(&test.kubectl(["get", object, "--output=json"])).unwrap();
    change(&mut value);
    value["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    test.replace(&value.to_string());
}

fn image(test: &Test) -> Value {
    test.get("deployment", "web-0")["spec"]["template"]["spec"]["containers"][0]["image"].clone()
}

#[track_caller]
fn becomes(test: &Test, what: &str, mut is: impl FnMut() -> Value, want: &Value) {
    test.wait_until(what, SOON, || {
        let now = is();
        holds(now == *want, now)
    });
}

#[test]
fn what_others_change_of_our_objects_is_repaired_and_told() {
    let test = Test::new("drift");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let told = |object: &str, part: &str| event(&test, object, "DriftRepaired", part);
    let ours = json!("kennethreitz/httpbin");

    test.kubectl(["set", "image", "deployment/web-0", "web-0=somebody/else"]);
    becomes(&test, "the image is ours again", || image(&test), &ours);
    told("release/web", "Deployment web-0");

    let applied = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web-0" },
        "spec": { "template": { "spec": { "containers": [{ "name": "web-0", "image": "a/third" }] } } },
    });
    test.server_side("other", &applied.to_string());
    becomes(&test, "the image is ours again", || image(&test), &ours);

    test.kubectl(["label", "service/web-1", "iter8.tools/watch-"]);
    let label = || test.get("service", "web-1")["metadata"]["labels"]["iter8.tools/watch"].clone();
    becomes(&test, "the label is there again", label, &json!("true"));
    told("release/web", "Service web-1");

    edit(&test, "service/web-0", |service| {
        service["spec"]["selector"]["app"] = json!("nobody");
    });
    let selector = || test.get("service", "web-0")["spec"]["selector"]["app"].clone();
    becomes(&test, "the selector is ours again", selector, &json!("web-0"));
    told("release/web", "Service web-0");

    edit(&test, "virtualservice/web", |route| {
        route["spec"]["http"][0]["route"][0]["weight"] = json!(99);
        route["spec"]["http"][0]["route"][1]["weight"] = json!(1);
    });
    test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
    told("routepolicy/web", "VirtualService web");

    edit(&test, "routepolicy/web", |policy| {
        policy["spec"]["versions"][1]["weight"] = json!(7);
    });
    let weight = || test.get("routepolicy", "web")["spec"]["versions"][1]["weight"].clone();
    becomes(&test, "the weight is ours again", weight, &json!(50));
    told("release/web", "RoutePolicy web");
    test.wait_ready("release/web");
}

#[test]
fn drift_is_told_also_of_what_an_earlier_process_made() {
    let test = Test::new("drift after a restart");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    test.restart();
    nudge(&test, "web", [71, 20]);
    test.kubectl(["set", "image", "deployment/web-0", "web-0=somebody/else"]);
    becomes(
        &test,
        "the image is ours again",
        || image(&test),
        &json!("kennethreitz/httpbin"),
    );
    event(&test, "release/web", "DriftRepaired", "Deployment web-0");
}

#[test]
fn a_port_that_somebody_changes_is_repaired() {
    let test = Test::new("drift of a port");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let before = content(&test, "service", "web-0")["spec"].clone();
    edit(&test, "service/web-0", |service| {
        service["spec"]["ports"][0]["port"] = json!(81);
    });
    becomes(
        &test,
        "the port is ours again",
        || content(&test, "service", "web-0")["spec"].clone(),
        &before,
    );
    event(&test, "release/web", "DriftRepaired", "Service web-0");
    test.wait_ready("release/web");
}

#[test]
fn what_somebody_deletes_is_made_anew_and_told() {
    let test = Test::new("deleted by others");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    let owner = [
        ("service", "web-1", "Service web-1", "release/web"),
        ("service", "web", "Service web ", "release/web"),
        (
            "configmap",
            "web-1-weight-config",
            "ConfigMap web-1-weight-config",
            "release/web",
        ),
        ("virtualservice", "web", "VirtualService web", "routepolicy/web"),
        ("routepolicy", "web", "RoutePolicy web", "release/web"),
        ("deployment", "web-1", "Deployment web-1", "release/web"),
    ];
    for (kind, name, named, about) in owner {
        let old = test.get(kind, name)["metadata"]["uid"].clone();
        test.kubectl(["delete", kind, name, "--timeout=60s"]);
        let uid = || {
            test.find(kind, name)
                .map_or(Value::Null, |object| object["metadata"]["uid"].clone())
        };
        test.wait_until(&format!("{kind} {name} is made anew"), SOON, || {
            let uid = uid();
            holds(uid != Value::Null && uid != old, uid)
        });
        event(&test, about, "DriftRepaired", named);
        test.shares_become("web", &[("web-0", 50), ("web-1", 50)]);
        test.wait_ready("release/web");
    }
}

#[test]
fn what_others_add_to_our_objects_stays_and_is_not_fought() {
    let test = Test::new("additions of others");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    test.kubectl(["scale", "deployment/web-0", "--replicas=3"]);
    test.kubectl(["label", "deployment/web-0", "team=other"]);
    test.kubectl(["annotate", "service/web-0", "note=other"]);
    test.kubectl(["annotate", "virtualservice/web", "note=other"]);
    test.kubectl(["label", "configmap/web-0-weight-config", "team=other"]);
    let sidecar = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web-0" },
        "spec": { "template": {
            "metadata": { "annotations": { "injected": "yes" } },
            "spec": { "containers": [{ "name": "sidecar", "image": "mesh/sidecar" }] },
        } },
    });
    test.server_side("injector", &sidecar.to_string());
    test.kubectl(["rollout", "restart", "deployment/web-1"]);
    for name in ["web-0", "web-1"] {
        test.kubectl(["rollout", "status", "--timeout=60s", &format!("deployment/{name}")]);
    }
    test.wait_ready("release/web");
    let mark = test.audit_mark_if_any();
    nudge(&test, "web", [71, 20]);
    let settled = || {
        let row = test.columns("release", "web");
        row["TRAFFIC"].clone()
    };
    test.wait_until("status follows", SOON, || holds(settled() == "71/29", settled()));
    if let Some(mark) = mark {
        assert_eq!(words(&test.writes_since(mark)), NUDGE);
    }

    let deployment = test.get("deployment", "web-0");
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["metadata"]["labels"]["team"], "other");
    let containers = &deployment["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 2);
    assert_eq!(test.get("service", "web-0")["metadata"]["annotations"]["note"], "other");
    assert_eq!(
        test.get("virtualservice", "web")["metadata"]["annotations"]["note"],
        "other"
    );
    // An edit of the Release leaves them alone too.
    let mut edited: Value = serde_json::from_str(&release("web", 2)).unwrap();
    edited["spec"]["application"]["versions"][0]["image"] = json!("kennethreitz/httpbin:2");
    test.apply(&edited.to_string());
    becomes(
        &test,
        "the image is the new one",
        || image(&test),
        &json!("kennethreitz/httpbin:2"),
    );
    let deployment = test.get("deployment", "web-0");
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(
        deployment["spec"]["template"]["metadata"]["annotations"]["injected"],
        "yes"
    );
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][1]["name"],
        "sidecar"
    );
}

#[test]
fn the_same_values_by_another_manager_make_no_fight() {
    if skip_unless_local("an audit log") {
        return;
    }
    let test = Test::new("co-owners");
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    // A GitOps tool applies the Release by a manager of its own, and somebody applies what `iter8 render` prints.
    let mark = test.audit_mark();
    test.server_side("argocd", &release("web", 2));
    let rendered = crate::support::kubectl::say(
        std::process::Command::new(crate::support::operator::BINARY).args([
            "render",
            "--namespace",
            &test.namespace,
            "--filename=-",
        ]),
        &release("web", 2),
    );
    assert!(rendered.ok, "{}", rendered.stderr);
    test.server_side("argocd", &rendered.stdout);
    nudge(&test, "web", [71, 20]);
    test.wait_until("status follows", SOON, || {
        let row = test.columns("release", "web");
        holds(row["TRAFFIC"] == "71/29", row)
    });
    assert_eq!(words(&test.writes_since(mark)), NUDGE);
    assert_eq!(test.release("web").ready_reason(), "Ready");
}
