//! An API server that is killed, and an etcd that comes back older than it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Story, slow, web};
use crate::support::api::Resource;
use crate::support::cluster::{Cluster, dedicated_cluster};
use crate::support::kubectl::say;
use crate::support::manifest::{never_ready, release, version};
use crate::support::recorder::Seen;
use crate::support::relay::Relay;
use crate::support::{SOON, Test, equal, holds};

/// What a Release said of itself on the way that is no fault of its own or of its versions.
fn complaints(history: &[Seen]) -> Vec<String> {
    let releases = history.iter().filter(|seen| seen.kind == "releases");
    let conditions = releases.flat_map(|seen| {
        seen.object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    let ours = ["NotListed", "Forbidden", "KindNotFound", "InternalError"];
    let reasons = conditions.filter_map(|condition| condition["reason"].as_str().map(str::to_owned));
    reasons.filter(|reason| ours.contains(&&**reason)).collect()
}

#[test]
fn an_api_server_that_is_killed_and_comes_back_is_taken_up_where_it_was() {
    let Some(cluster) = dedicated_cluster("api-server") else {
        return;
    };
    let mut test = Test::within(Arc::clone(&cluster), "killed");
    test.expect_refusals(); // a server that starts refuses everything for a moment
    test.start();
    let story = Story::of(test);
    for component in ["kube-apiserver", "etcd", "kube-apiserver"] {
        story.edit();
        cluster.component("restart", component);
        story.test.apply(&web(&[version("web:1")]).to_string());
        story.test.shares_become("web", &[("web-0", 100)]);
    }
    story.edit();
    cluster.component("restart", "kube-apiserver");
    story.arrives();
    let (history, _) = story.watch.history();
    assert_eq!(complaints(&history), Vec::<String>::new());
}

/// Those that keep a picture of the cluster, in the order of their start.
const CLIENTS: [&str; 3] = ["kube-controller-manager", "kube-scheduler", "kwok"];

fn copy(from: &Path, to: &Path) {
    let said = say(std::process::Command::new("cp").arg("-a").args([from, to]), "");
    assert!(said.ok, "{}", said.stderr);
}

/// What etcd holds now.
fn backup(cluster: &Cluster) -> PathBuf {
    let backup = cluster.folder.join("etcd");
    cluster.component("stop", "etcd");
    copy(&data(cluster), &backup);
    cluster.component("start", "etcd");
    backup
}

fn data(cluster: &Cluster) -> PathBuf {
    cluster.folder.with_file_name("etcd")
}

/// Makes the cluster what it was, as its administrator would: everything is stopped, and started again.
fn restore(cluster: &Cluster, backup: &Path) {
    for component in CLIENTS.iter().chain(&["kube-apiserver", "etcd"]) {
        cluster.component("stop", component);
    }
    fs::remove_dir_all(data(cluster)).unwrap();
    copy(backup, &data(cluster));
    for component in ["etcd", "kube-apiserver"].iter().chain(&CLIENTS) {
        cluster.component("start", component);
    }
}

fn named(name: &str, versions: &[Value]) -> String {
    release(name, "deployment-istio", "blue-green", versions).to_string()
}

fn version_of_the_cluster(test: &Test) -> u64 {
    test.cluster.api.list(&test.namespace, &Resource::named("configmaps")).1
}

/// Makes resourceVersions of a future that will not have been.
fn let_time_pass(test: &Test) {
    test.kubectl(["create", "configmap", "clock"]);
    for tick in 0..500 {
        let change = json!({ "data": { "tick": tick.to_string() } });
        test.cluster.api.merge(&test.namespace, "configmap", "clock", &change);
    }
}

#[test]
fn when_etcd_is_restored_from_a_backup_the_operator_believes_the_cluster_as_it_is() {
    let Some(cluster) = dedicated_cluster("backup") else {
        return;
    };
    let mut test = Test::within(Arc::clone(&cluster), "restored");
    let relay = Relay::start(test.kubeconfig());
    test.connect_with(&relay.kubeconfig);
    test.start();
    let story = Story::of(test);
    let test = &story.test;
    test.apply(&named("early", &[version("early:1")]));
    test.apply(&named("healed", &[version("healed:1"), never_ready("healed:2")]));
    test.wait_ready("release/early");
    test.shares_become("healed", &[("healed-0", 100)]);
    let backup = backup(&cluster);

    // One is changed and promoted, one comes, one goes, one becomes ready.
    story.edit();
    story.arrives();
    test.apply(&named("late", &[version("late:1"), version("late:2")]));
    test.wait_ready("release/late");
    test.kubectl(["delete", "release", "early"]);
    test.gone("virtualservice", "early");
    test.gone("deployment", "early-0");
    test.apply(&named("healed", &[version("healed:1"), version("healed:2")]));
    test.shares_become("healed", &[("healed-0", 50), ("healed-1", 50)]);
    let_time_pass(test);
    let future = version_of_the_cluster(test);

    relay.refuse_connections(true);
    relay.hang_up();
    restore(&cluster, &backup);
    let now = version_of_the_cluster(test);
    assert!(now < future, "resourceVersions have not gone back: {now}, {future}");
    let watch = test.watch_safety();
    relay.refuse_connections(false);

    // It says of everything what is so, and does what is asked for next.
    test.apply(&named("next", &[version("next:1")]));
    test.wait_ready("release/next");
    test.shares_become("web", &[("web-0", 100)]);
    story.runs("web-0", "web:1");
    test.wait_ready("release/early");
    test.shares_become("healed", &[("healed-0", 100)]);
    test.wait_until("the version that was never ready is not", SOON, || {
        equal(test.release("healed").ready_reason(), "CandidateNotReady")
    });
    for (kind, name) in [
        ("deployment", "web-1"),
        ("release", "late"),
        ("deployment", "late-0"),
        ("virtualservice", "late"),
    ] {
        assert!(test.find(kind, name).is_none(), "{kind} {name} is of another future");
    }
    for (name, image) in [("early", "early:2"), ("late", "late:3")] {
        test.apply(&named(name, &[version(image), slow("other:1")]));
        test.shares_become(name, &[(&format!("{name}-0"), 50), (&format!("{name}-1"), 50)]);
        test.wait_ready(&format!("release/{name}"));
    }
    let story = Story { watch, ..story };
    story.edit();
    story.arrives();
    let current = version_of_the_cluster(&story.test);
    println!("from {future} back to {now}, and on to {current}");
    holds(current < future, "the cluster came as far as it was").unwrap();
}
