//! Waiting until what was applied is so: `kubectl wait`, and `helm --wait`, which reads status as kstatus does.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{policy, share, web};
use crate::support::Test;
use crate::support::kubectl::{Said, say};
use crate::support::manifest::{never_ready, version};
use crate::support::recorder::Seen;

/// `kubectl wait` for Ready is not over within a second.
#[track_caller]
fn is_waited_for(test: &Test, object: &str) {
    let said = test.kubectl_fails(["wait", "--for=condition=Ready", "--timeout=1s", object]);
    assert!(said.contains("timed out waiting for the condition"), "{said}");
}

#[test]
fn kubectl_wait_counts_nothing_that_was_said_of_an_earlier_edit() {
    let test = Test::without_operator("wait");
    let objects = ["release/web", "routepolicy/own"];
    test.kubectl(["create", "service", "clusterip", "one", "--tcp=80"]);
    test.kubectl(["create", "service", "clusterip", "two", "--tcp=80"]);
    let apply = |release: &Value, versions: &[&str]| {
        test.apply(&release.to_string());
        test.apply(&policy(versions).to_string());
    };
    // Nobody has ever looked at them.
    apply(&web(&[version("web:1")]), &["one"]);
    for object in objects {
        is_waited_for(&test, object);
        let ready = test.kubectl([
            "get",
            object,
            r#"--output=jsonpath={.status.conditions[?(@.type=="Ready")]}"#,
        ]);
        let ready: Value = serde_json::from_str(&ready).unwrap();
        assert_eq!([&ready["status"], &ready["reason"]], ["Unknown", "Pending"], "{object}");
    }
    test.start();
    for object in objects {
        test.wait_ready(object);
    }
    // They are Ready, but not as they are wanted now.
    test.stop();
    apply(&web(&[share("web:1", 40), share("web:2", 60)]), &["one", "two"]);
    for object in objects {
        is_waited_for(&test, object);
        let said = test.kubectl(["get", object, "--no-headers"]);
        assert!(said.contains(" Ready "), "{said}");
    }
    test.start();
    for (object, want) in objects.into_iter().zip(["2/2 40/60", "2/2 50/50"]) {
        test.wait_ready(object);
        let summary = "--output=jsonpath={.status.summary.versions} {.status.summary.traffic}";
        assert_eq!(test.kubectl(["get", object, summary]), want);
    }
}

/// The version of an object that was stored last before that.
fn as_of(history: &[Seen], resource_version: u64) -> &Value {
    let mut before = history.iter().filter(|seen| seen.resource_version < resource_version);
    &before.next_back().expect("there is none yet").object
}

fn observed(object: &Value) -> bool {
    object["status"]["observedGeneration"] == object["metadata"]["generation"]
}

#[test]
fn a_new_template_is_not_ready_before_its_controller_has_seen_it() {
    let test = Test::new("new template");
    test.apply(&web(&[version("web:0")]).to_string());
    test.wait_ready("release/web");
    let (releases, deployments) = (test.watch("release"), test.watch("deployment"));
    for number in 1..8 {
        test.apply(&web(&[version(&format!("web:{number}"))]).to_string());
        test.wait_ready("release/web");
    }
    let deployments = deployments.versions_of("web-0");
    for seen in releases.versions_of("web") {
        let release = &seen.object;
        if release["status"]["conditions"][0]["status"] != "True" || !observed(release) {
            continue;
        }
        assert_eq!(release["status"]["conditions"][0]["type"], "Ready");
        let deployment = as_of(&deployments, seen.resource_version);
        let image = |path: &str, object: &Value| object.pointer(path).unwrap().clone();
        assert_eq!(
            image("/spec/template/spec/containers/0/image", deployment),
            image("/spec/application/versions/0/image", release),
        );
        assert!(
            observed(deployment),
            "Ready at rv {}, and\n{deployment:#}",
            seen.resource_version
        );
    }
}

/// A chart of one Release.
struct Chart<'a> {
    test: &'a Test,
    folder: PathBuf,
}

impl<'a> Chart<'a> {
    fn new(test: &'a Test) -> Self {
        let folder = test.cluster.folder.join(format!("{}-chart", test.namespace));
        fs::create_dir_all(folder.join("templates")).unwrap();
        fs::write(
            folder.join("Chart.yaml"),
            "{ apiVersion: v2, name: web, version: 1.0.0 }",
        )
        .unwrap();
        Self { test, folder }
    }

    /// `helm upgrade --install --wait`.
    fn install(&self, release: &Value, timeout: &str) -> Said {
        fs::write(self.folder.join("templates/release.yaml"), release.to_string()).unwrap();
        let kubectl = &self.test.cluster.kubectl;
        let mut helm = Command::new(kubectl.binary.with_file_name("helm"));
        helm.arg("--kubeconfig").arg(&kubectl.kubeconfig);
        helm.args(["--namespace", &self.test.namespace, "upgrade", "--install", "web"]);
        helm.arg(&self.folder).args(["--wait=watcher", "--timeout", timeout]);
        let home = self.folder.join("home");
        helm.env("HELM_CACHE_HOME", &home)
            .env("HELM_CONFIG_HOME", &home)
            .env("HELM_DATA_HOME", &home);
        say(&mut helm, "")
    }

    /// It is not ready in time: helm says how it reads the status.
    #[track_caller]
    fn is_read_as(&self, release: &Value, status: &str) {
        let said = self.install(release, "3s");
        let want = format!("/web not ready. status: {status}");
        assert!(!said.ok && said.stderr.contains(&want), "{said:?}");
    }

    #[track_caller]
    fn is_ready(&self, release: &Value, versions: &str) {
        let said = self.install(release, "60s");
        assert!(said.ok, "{said:?}");
        let row = self.test.columns("release", "web");
        assert_eq!(
            [&row["STATUS"], &row["VERSIONS"]],
            ["Ready", versions],
            "helm did not wait"
        );
    }
}

#[test]
fn helm_waits_for_a_release_as_for_what_is_built_in() {
    let test = Test::without_operator("helm");
    let chart = Chart::new(&test);
    let mut versions = vec![version("web:1")];
    // Nobody looks at it.
    chart.is_read_as(&web(&versions), "InProgress");
    test.start();
    chart.is_ready(&web(&versions), "1/1");
    // It may still become ready by itself.
    versions.push(never_ready("web:2"));
    chart.is_read_as(&web(&versions), "InProgress");
    versions[1] = version("web:2");
    chart.is_ready(&web(&versions), "2/2");
    // Nothing goes on before somebody does something.
    test.kubectl(["create", "service", "clusterip", "web-2", "--tcp=80"]);
    versions.push(version("web:3"));
    chart.is_read_as(&web(&versions), "Failed");
    // Somebody does.
    versions.pop();
    chart.is_ready(&web(&versions), "2/2");
}
