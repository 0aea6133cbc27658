//! The columns of `kubectl get`.

use serde_json::Value;

use super::{never_drained, share, web};
use crate::support::manifest::{list, never_ready, release, version, with_pods};
use crate::support::{SOON, Test, equal};

/// Waits until `kubectl get --output=wide` prints this row under this header; the age is any.
#[track_caller]
fn row_becomes(test: &Test, kind: &str, header: &str, want: &[&str]) {
    test.wait_until(&format!("{kind} is shown as {want:?}"), SOON, || {
        let row = test.row(["get", kind, "web", "--output=wide"]);
        let (columns, mut cells): (Vec<String>, Vec<String>) = row.into_iter().unzip();
        assert_eq!(columns.join(" "), header);
        let age = columns.iter().position(|column| column == "AGE").unwrap();
        assert!(cells[age].ends_with(['s', 'm']), "{cells:?}");
        cells[age].clear();
        equal(cells, want)
    });
}

#[track_caller]
fn release_becomes(test: &Test, versions: &str, traffic: &str, status: &str, images: &str, message: &str) {
    let header = "NAME ENVIRONMENT STRATEGY VERSIONS TRAFFIC STATUS AGE IMAGES MESSAGE";
    let cells = [
        "web",
        "deployment-istio",
        "blue-green",
        versions,
        traffic,
        status,
        "",
        images,
        message,
    ];
    row_becomes(test, "release", header, &cells);
}

#[track_caller]
fn policy_becomes(test: &Test, versions: &str, traffic: &str, route: &str, status: &str, message: &str) {
    let header = "NAME STRATEGY VERSIONS TRAFFIC ROUTE STATUS AGE MESSAGE";
    let cells = ["web", "blue-green", versions, traffic, route, status, "", message];
    row_becomes(test, "routepolicy", header, &cells);
}

fn apply(test: &Test, release: &Value) {
    test.apply(&release.to_string());
}

const SERVES: &str = "every version is ready and gets what it should";
const IN_FORCE: &str = "all versions are ready and the route is in force";

#[test]
fn columns_tell_a_release_from_its_first_version_to_a_promotion() {
    let test = Test::without_operator("columns");
    apply(&test, &web(&[share("web:1", 30)]));
    let unseen = "not yet seen by the operator";
    release_becomes(&test, "", "", "Pending", "", unseen);

    test.start();
    release_becomes(&test, "1/1", "100", "Ready", "web:1", SERVES);
    policy_becomes(&test, "1/1", "100", "web", "Ready", IN_FORCE);

    apply(&test, &web(&[share("web:1", 30), share("web:2", 70)]));
    release_becomes(&test, "2/2", "30/70", "Ready", "web:1,web:2", SERVES);
    policy_becomes(&test, "2/2", "30/70", "web", "Ready", IN_FORCE);

    apply(&test, &never_drained(web(&[share("web:2", 30)])));
    let draining = "Switch: web-1 serves; requests under way to web-0 have 3600 s to end";
    release_becomes(&test, "1/1", "0/100", "Promoting", "web:1", draining);
    policy_becomes(&test, "2/2", "0/100", "web", "Ready", IN_FORCE);

    apply(&test, &web(&[share("web:2", 30)]));
    release_becomes(&test, "1/1", "100", "Ready", "web:2", SERVES);
    policy_becomes(&test, "1/1", "100", "web", "Ready", IN_FORCE);
}

#[test]
fn columns_tell_which_version_is_not_ready_and_which_object_of_it() {
    let test = Test::new("columns at fault");
    let pulled = serde_json::json!({ "kwok.iter8.tools/fails": "ImagePullBackOff" });
    apply(&test, &web(&[version("web:1"), with_pods(version("web:2"), &pulled)]));
    let at_fault = "version web-1 is not ready: Deployment web-1 has no available replica";
    release_becomes(&test, "1/2", "100/0", "CandidateNotReady", "web:1,web:2", at_fault);
    policy_becomes(&test, "1/2", "100/0", "web", "CandidateNotReady", at_fault);
}

#[test]
fn all_kinds_of_the_operator_have_one_name_together() {
    let test = Test::new("category");
    apply(&test, &web(&[version("web:1")]));
    test.wait_ready("release/web");
    let names = test.kubectl(["get", "iter8", "--output=name"]);
    assert_eq!(names, "release.iter8.tools/web\nroutepolicy.iter8.tools/web\n");
}

#[test]
fn who_is_not_ready_is_told_also_where_nothing_is_routed() {
    let test = Test::new("not routed");
    let cases = [
        ("primary", [never_ready("v"), version("w")], "PrimaryNotReady"),
        ("candidate", [version("v"), never_ready("w")], "CandidateNotReady"),
    ];
    let environments = ["deployment", "deployment-gtw", "deployment-istio"];
    let all = || {
        cases
            .iter()
            .flat_map(|case| environments.map(|environment| (case, environment)))
    };
    let name = |who: &str, environment: &str| format!("{who}-{environment}");
    let releases: Vec<Value> = all()
        .map(|((who, versions, _), environment)| release(&name(who, environment), environment, "none", versions))
        .collect();
    test.apply(&list(&releases));
    for ((who, _, reason), environment) in all() {
        let name = name(who, environment);
        test.wait_until(&format!("one version of {name} is ready"), SOON, || {
            let row = test.columns("release", &name);
            let cells = ["VERSIONS", "STATUS", "TRAFFIC"].map(|column| row[column].clone());
            equal(cells, &["1/2", reason, "-"])
        });
        let ready = test.release(&name).condition("Ready").unwrap();
        assert_eq!(ready.status, "False", "{name}");
        assert_eq!(test.rules(&name), [], "{name}");
    }
}
