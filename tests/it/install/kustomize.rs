//! `config/`: the operator by `kubectl` alone.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::Test;
use crate::support::cluster::{SERVICE_ACCOUNT, bare_cluster, cluster};
use crate::support::helm::{Helm, chart};
use crate::support::kubectl::say;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

fn documents(text: &str) -> Vec<Value> {
    let documents = text
        .split("\n---\n")
        .map(|part| serde_yaml::from_str::<Value>(part).unwrap());
    documents.filter(|object| !object.is_null()).collect()
}

/// An object without what only Helm says of it.
fn unlabelled(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("labels");
    // CRDs carry Helm's policy.
    metadata.remove("annotations");
    object
}

/// Kind and name.
fn key(object: &Value) -> String {
    format!(
        "{} {}",
        object["kind"].as_str().unwrap(),
        object["metadata"]["name"].as_str().unwrap()
    )
}

/// What there is to install, by kind and name.
fn sorted(objects: Vec<Value>) -> Vec<(String, Value)> {
    let mut objects: Vec<_> = objects
        .into_iter()
        .map(|object| (key(&object), unlabelled(object)))
        .collect();
    objects.sort_by(|a, b| a.0.cmp(&b.0));
    objects
}

#[test]
fn the_overlays_make_what_the_chart_makes() {
    let kubectl = &cluster().kubectl;
    let helm = Helm::beside(kubectl).within(SERVICE_ACCOUNT.0);
    for (overlay, set) in [
        ("cluster", "clusterScoped=true"),
        ("namespace", "clusterScoped=false,crds.install=false"),
    ] {
        let chart = helm.ok(["template", "iter8", &chart("controller"), "--set", set], "");
        let overlay = kubectl.ok(["kustomize", &format!("{TOP}/config/{overlay}")], "");
        let mut overlay = sorted(documents(&overlay));
        overlay.retain(|(key, _)| key != "Namespace iter8-system"); // Helm has --create-namespace
        let chart = sorted(documents(&chart));
        let keys = |objects: &[(String, Value)]| objects.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&overlay), keys(&chart));
        for ((key, mut from_overlay), (_, mut from_chart)) in overlay.into_iter().zip(chart) {
            for object in [&mut from_overlay, &mut from_chart] {
                // Their order means nothing.
                for list in ["/spec/template/spec/containers/0/env", "/rules"] {
                    if let Some(items) = object.pointer_mut(list).and_then(Value::as_array_mut) {
                        items.sort_by_key(Value::to_string);
                    }
                }
            }
            assert_eq!(from_overlay, from_chart, "{key}");
        }
    }
}

#[test]
fn everything_is_of_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    for chart in ["controller", "release"] {
        let text = std::fs::read_to_string(format!("{TOP}/charts/{chart}/Chart.yaml")).unwrap();
        let about: Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(
            [&about["version"], &about["appVersion"]],
            [version, version],
            "charts/{chart}/Chart.yaml"
        );
    }
    let text = std::fs::read_to_string(format!("{TOP}/config/manager/kustomization.yaml")).unwrap();
    let kustomization: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(kustomization["images"][0]["newTag"], version);
}

/// `make dist`, into a folder of the test.
fn install_yaml(test: &Test) -> String {
    let folder = test.cluster.folder.join("dist");
    let mut make = Command::new("make");
    make.current_dir(TOP).arg("--silent").arg("dist");
    make.arg(format!("DIST={}", folder.display()));
    make.arg(format!("KUBECTL={}", test.cluster.kubectl.binary.display()));
    let said = say(&mut make, "");
    assert!(said.ok, "make dist: {}", said.stderr);
    folder.join("install.yaml").to_str().unwrap().to_owned()
}

/// A Release of each mesh becomes ready in the test's namespace, with the operator's rights.
#[track_caller]
fn serves(test: &Test) {
    for environment in ["deployment-istio", "deployment-gtw"] {
        let name = environment.replace("deployment-", "shop-");
        let release = json!({
            "apiVersion": "iter8.tools/v1alpha1", "kind": "Release", "metadata": { "name": name },
            "spec": {
                "environment": environment,
                "application": { "strategy": "blue-green", "versions": [{ "image": "shop:1" }, { "image": "shop:2" }] },
            },
        });
        test.apply(&release.to_string());
        test.wait_ready(&format!("release/{name}"));
        test.shares_become(&name, &[(&format!("{name}-0"), 50), (&format!("{name}-1"), 50)]);
    }
}

/// The commands of the page for who has no Helm.
fn removal() -> Vec<String> {
    let page = std::fs::read_to_string(format!("{TOP}/docs/operate.md")).unwrap();
    let (_, rest) = page.split_once("Without Helm, delete all but the CRDs.").unwrap();
    let commands = rest.split("```shell\n").nth(1).unwrap().split("```").next().unwrap();
    let commands: Vec<String> = commands
        .lines()
        .map(|line| line.replace("config/", &format!("{TOP}/config/")))
        .collect();
    assert!(
        commands.iter().all(|command| command.starts_with("kubectl ")),
        "{commands:?}"
    );
    commands
}

#[test]
fn one_file_installs_the_operator_and_its_removal_leaves_every_application() {
    let Some(cluster) = bare_cluster("file") else {
        return;
    };
    let test = Test::within(cluster, "file");
    let file = install_yaml(&test);
    for _ in 0..2 {
        test.kubectl(["apply", "--server-side", "--namespace=", "--filename", &file]);
    }
    test.cluster.login(SERVICE_ACCOUNT.0, SERVICE_ACCOUNT.1);
    let mut operator = test.cluster.operator(None);
    serves(&test);
    operator.stop();
    for command in removal() {
        test.kubectl(command.split(' ').skip(1).chain(["--namespace=iter8-system"]));
    }
    for kind in ["deployment", "serviceaccount", "configmap"] {
        let left = test.kubectl(["get", kind, "--namespace=iter8-system", "--output=name"]);
        assert!(!left.contains("/iter8"), "{left}");
    }
    for name in ["shop-istio", "shop-gtw"] {
        test.there("release", name);
        test.there("deployment", &format!("{name}-1"));
    }
    assert_eq!(test.route_shares("shop-istio").len(), 2);
}

#[test]
fn the_overlay_for_one_namespace_needs_no_right_beyond_it() {
    let Some(cluster) = bare_cluster("overlay") else {
        return;
    };
    let mut test = Test::in_namespace(cluster, "team".to_owned());
    test.expect_refusals();
    let kubectl = &test.cluster.kubectl;
    kubectl.ok(["apply", "--server-side", "--kustomize", &format!("{TOP}/crds")], "");
    let objects = kubectl.ok(["kustomize", &format!("{TOP}/config/namespace")], "");
    // What `namespace: team` in an overlay of the user's does.
    test.server_side("user", &objects.replace("namespace: iter8-system", "namespace: team"));
    test.connect_as("iter8");
    test.start();
    serves(&test);
}
