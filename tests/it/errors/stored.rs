//! Objects that were stored under other rules.

use serde_json::{Value, json};

use crate::admission::{crd_documents, install, without_rules};
use crate::ownership::{event, release, stalled};
use crate::support::audit::Mark;
use crate::support::cluster::dedicated_cluster;
use crate::support::{SOON, Test};

/// CRDs that take any spec.
fn bare_crds() -> Vec<Value> {
    let mut crds = crd_documents();
    for crd in &mut crds {
        without_rules(crd);
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"] = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    }
    crds
}

fn odd(name: &str, change: impl Fn(&mut Value)) -> String {
    let mut object: Value = serde_json::from_str(&release(name, 2)).unwrap();
    change(&mut object["spec"]);
    object.to_string()
}

/// Objects that could not be stored any more, with a part of what is wrong with each. The server still takes a status
/// of the first two; what is wrong with the others stands in Events alone.
const BAD: [(&str, &str); 5] = [
    ("release/kserve", "kserve-0.12"),
    ("release/ruled", "two versions have the same"),
    ("release/text", "many"),
    ("release/empty", "environment"),
    ("routepolicy/odd", "random"),
];

fn store_bad(test: &Test) {
    install(&test.cluster.kubectl, &bare_crds());
    test.apply(&odd("kserve", |spec| spec["environment"] = json!("kserve-0.12")));
    test.apply(&odd("text", |spec| spec["application"]["versions"] = json!("many")));
    test.apply(&odd("empty", |spec| *spec = json!({})));
    // It can be read, but breaks a rule that is younger than itself.
    let same =
        json!([{ "image": "a", "metadata": { "name": "one" } }, { "image": "b", "metadata": { "name": "one" } }]);
    test.apply(&odd("ruled", |spec| spec["application"]["versions"] = same.clone()));
    let policy = json!({
        "apiVersion": "iter8.tools/v1alpha1",
        "kind": "RoutePolicy",
        "metadata": { "name": "odd" },
        "spec": { "strategy": "random", "versions": 7 },
    });
    test.apply(&policy.to_string());
    install(&test.cluster.kubectl, &crd_documents());
}

/// What was written since then about these objects.
fn written(test: &Test, mark: Mark, objects: &[(&str, &str)]) -> Vec<String> {
    let is_about = |name: &str| objects.iter().any(|(object, _)| object.ends_with(&format!("/{name}")));
    let writes = test.writes_since(mark).into_iter();
    let about = writes.filter(|write| is_about(&write.name));
    about
        .map(|write| format!("{} {} {}", write.verb, write.resource, write.name))
        .collect()
}

#[test]
fn objects_that_cannot_be_read_say_so_and_do_not_stop_the_others() {
    let Some(cluster) = dedicated_cluster("stored") else {
        return;
    };
    let test = Test::within(cluster, "stored");
    store_bad(&test);
    test.start();
    test.apply(&release("good", 2));
    test.wait_ready("release/good");
    for (object, part) in BAD {
        event(&test, object, "InvalidSpecification", part);
    }
    for (object, part) in &BAD[..2] {
        stalled(&test, object, "InvalidSpecification", part);
        let (kind, name) = object.split_once('/').unwrap();
        assert_eq!(test.columns(kind, name)["STATUS"], "InvalidSpecification");
    }
    for (object, _) in &BAD[2..] {
        event(&test, object, "StatusNotWritten", "");
    }
    // Said once, though other things happen, and though all are looked at again when a kind goes.
    let mark = test.audit_mark();
    test.kubectl(["delete", "crd", "httproutes.gateway.networking.k8s.io", "--timeout=60s"]);
    test.wait_until("HTTPRoute is known to be gone", SOON, || {
        let gone = |line: &str| line.contains("kind=HTTPRoute") && line.contains("not installed");
        let found = test.log().lines().any(gone);
        found.then_some(()).ok_or_else(|| "it is not in the log".to_owned())
    });
    test.apply(&release("good", 3));
    test.wait_ready("release/good");
    for object in ["good-0", "good-1", "good-2"] {
        test.kubectl(["delete", "deployment", object]);
        test.there("deployment", object);
    }
    test.wait_ready("release/good");
    assert!(
        written(&test, mark, &BAD).is_empty(),
        "{:?}",
        written(&test, mark, &BAD)
    );
    // Whoever starts anew finds what stands in status.
    let mark = test.audit_mark();
    test.restart();
    test.kubectl(["scale", "deployment/good-2", "--replicas=0"]);
    test.shares_become("good", &[("good-0", 50), ("good-1", 50)]);
    let again = written(&test, mark, &BAD[..2]);
    assert!(again.is_empty(), "{again:?}");
    // An edit is all that it takes.
    test.apply(&release("text", 1));
    test.wait_ready("release/text");
    test.shares_become("text", &[("text-0", 100)]);
    test.kubectl(["delete", "release", "kserve", "ruled", "empty", "--timeout=60s"]);
}

#[test]
fn a_release_that_becomes_unreadable_serves_on() {
    let Some(cluster) = dedicated_cluster("unreadable") else {
        return;
    };
    let test = Test::within(cluster, "unreadable");
    test.start();
    test.apply(&release("web", 2));
    test.wait_ready("release/web");
    install(&test.cluster.kubectl, &bare_crds());
    test.apply(&odd("web", |spec| spec["environment"] = json!("kserve-0.12")));
    stalled(&test, "release/web", "InvalidSpecification", "kserve-0.12");
    // What was said of its versions stays, and so do they.
    assert_eq!(test.release("web").traffic(), "50/50");
    assert_eq!(test.route_shares("web").len(), 2);
    test.kubectl(["scale", "deployment/web-1", "--replicas=0"]);
    test.shares_become("web", &[("web-0", 100)]);
    install(&test.cluster.kubectl, &crd_documents());
    test.apply(&release("web", 2));
    test.kubectl(["scale", "deployment/web-1", "--replicas=1"]);
    test.wait_ready("release/web");
}
