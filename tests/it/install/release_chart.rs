//! `charts/release`: applications by Helm.

use serde_json::{Value, json};

use crate::support::Test;
use crate::support::cluster::cluster;
use crate::support::helm::{Helm, chart};

/// How Helm may send what it has rendered: by server-side apply, or as a patch of its own making.
const WAYS: [&str; 2] = ["--server-side=true", "--server-side=false"];

/// `helm upgrade --install httpbin charts/release -f -`.
#[track_caller]
fn upgrade(helm: &Helm, way: &str, values: &str) {
    let chart = chart("release");
    helm.ok(["upgrade", "--install", "httpbin", &chart, way, "-f", "-"], values);
}

/// The Release's spec, without its defaults.
#[track_caller]
fn spec(test: &Test) -> Value {
    let mut spec = test.get("release", "httpbin")["spec"].take();
    assert_eq!(spec["drainSeconds"].take(), 10);
    assert_eq!(spec["application"]["port"].take(), 80);
    spec.as_object_mut().unwrap().remove("drainSeconds");
    spec["application"].as_object_mut().unwrap().remove("port");
    spec
}

#[test]
fn the_release_chart_passes_helms_own_checks() {
    Helm::beside(&cluster().kubectl).ok(["lint", "--strict", &chart("release")], "");
}

#[test]
fn what_the_values_no_longer_have_is_taken_back() {
    for way in WAYS {
        let test = Test::without_operator("chart values");
        let helm = test.helm();
        upgrade(
            &helm,
            way,
            "
environment: deployment-istio
gateway: front
drainSeconds: 5
application:
  metadata: {name: shop, labels: {team: a}, annotations: {note: b}}
  port: 8080
  strategy: blue-green
  versions:
  - {image: 'shop:1', weight: 30, metadata: {labels: {track: stable}}}
  - {image: 'shop:2', weight: 70}
",
        );
        let release = test.get("release", "httpbin");
        assert_eq!(
            release["spec"]["application"]["metadata"],
            json!({ "name": "shop", "labels": { "team": "a" }, "annotations": { "note": "b" } })
        );
        upgrade(
            &helm,
            way,
            "
environment: deployment-istio
application:
  metadata: {name: shop, labels: {}}
  strategy: blue-green
  versions:
  - image: shop:2
",
        );
        assert_eq!(
            spec(&test),
            json!({
                "environment": "deployment-istio",
                "application": {
                    "metadata": { "name": "shop" },
                    "strategy": "blue-green",
                    "versions": [{ "image": "shop:2" }],
                },
            }),
            "{way}"
        );
        helm.ok(["delete", "httpbin"], "");
        test.gone("release", "httpbin");
    }
}

#[test]
fn a_key_without_a_value_is_one_that_is_not_there() {
    for way in WAYS {
        let test = Test::without_operator("chart nulls");
        let helm = test.helm();
        let full = "
environment: deployment
gateway: null
drainSeconds: 10
application:
  port: 80
  versions:
  - {image: 'shop:1', replicas: 3}
  metadata: {annotations: {a: b}}
";
        upgrade(&helm, way, full);
        upgrade(
            &helm,
            way,
            "
environment: deployment
gateway:
drainSeconds:
suspend: null
application:
  metadata: {name: null, labels: null, annotations: {}}
  port:
  strategy: null
  versions:
  - {image: 'shop:1', replicas: null, matches: null, deploymentSpecification: {spec: null}, serviceSpecification: {spec: {}}}
",
        );
        assert_eq!(
            spec(&test),
            json!({
                "environment": "deployment",
                "application": { "strategy": "none", "versions": [{ "image": "shop:1" }] },
            }),
            "{way}"
        );
    }
}

#[test]
fn a_null_in_a_specification_removes_a_field_and_large_numbers_stay_as_they_are() {
    let test = Test::without_operator("chart specification");
    for way in WAYS {
        upgrade(
            &test.helm(),
            way,
            "
environment: deployment
application:
  versions:
  - image: shop:1
    deploymentSpecification:
      spec:
        strategy: null
        template: {spec: {securityContext: {runAsUser: 1000650000, runAsNonRoot: true}}}
",
        );
        let versions = &spec(&test)["application"]["versions"];
        assert_eq!(
            versions[0]["deploymentSpecification"]["spec"],
            json!({
                "strategy": null,
                "template": { "spec": { "securityContext": { "runAsUser": 1_000_650_000, "runAsNonRoot": true } } },
            }),
            "{way}"
        );
    }
}

#[test]
fn helm_waits_until_the_application_serves() {
    let test = Test::new("chart wait");
    let chart = chart("release");
    let values = "{environment: deployment, application: {versions: [{image: 'shop:1'}]}}";
    test.helm().ok(
        [
            "upgrade",
            "--install",
            "shop",
            &chart,
            "--wait",
            "--timeout=1m",
            "-f",
            "-",
        ],
        values,
    );
    assert_eq!(test.get("deployment", "shop-0")["status"]["availableReplicas"], 1);
}

#[test]
fn what_helm_gives_to_every_part_of_a_larger_chart_is_no_part_of_the_spec() {
    let helm = Helm::beside(&cluster().kubectl);
    let values = "{environment: deployment, application: {versions: [{image: 'shop:1'}]}, global: {registry: x}}";
    let rendered = helm.ok(["template", "shop", &chart("release"), "-f", "-"], values);
    let release: Value = serde_yaml::from_str(&rendered).unwrap();
    assert_eq!(
        release["spec"],
        json!({ "environment": "deployment", "application": { "versions": [{ "image": "shop:1" }] } })
    );
}

#[test]
fn a_value_that_nothing_reads_is_refused() {
    let chart = chart("release");
    let test = Test::without_operator("chart typos");
    let helm = test.helm();
    let base = "{environment: deployment, application: {versions: [{image: 'shop:1'}]}}";
    for (set, want) in [
        ("iter8Version=v1.1", "additional properties 'iter8Version' not allowed"),
        (
            "application.stratgy=mirror",
            "additional properties 'stratgy' not allowed",
        ),
        (
            "application.versions[0].imag=a",
            "additional properties 'imag' not allowed",
        ),
        (
            "application.versions[0].match=a",
            "additional properties 'match' not allowed",
        ),
        ("application.metadata.nam=a", "additional properties 'nam' not allowed"),
        (
            "application.versions[0].deploymentSpecification.meta.a=b",
            "additional properties 'meta' not allowed",
        ),
        (
            "application.strategy=green-blue",
            "value must be one of 'none', 'blue-green'",
        ),
        ("application.versions[0].weight=101", "maximum: got 101, want 100"),
        ("application.port=http", "got string, want null or integer"),
        ("environment=kserve", "value must be one of 'deployment'"),
    ] {
        for way in WAYS {
            let said = helm.fails(
                ["upgrade", "--install", "shop", &chart, way, "--set", set, "-f", "-"],
                base,
            );
            assert!(said.contains(want), "{set}: {said}");
        }
    }
    assert!(test.find("release", "shop").is_none());
}

#[test]
fn what_is_missing_or_does_not_go_together_is_told_in_a_sentence() {
    let (test, chart) = (Test::without_operator("chart sentences"), chart("release"));
    for (values, want) in [
        ("application: {versions: [{image: a}]}", "environment is required"),
        ("environment: deployment", "application is required"),
        // What only the API server can tell comes with its own sentence.
        (
            "{environment: deployment, application: {strategy: mirror, versions: [{image: a}]}}",
            "environment deployment routes nothing",
        ),
    ] {
        let said = test
            .helm()
            .fails(["upgrade", "--install", "shop", &chart, "-f", "-"], values);
        assert!(said.contains(want), "{said}");
    }
    assert!(test.find("release", "shop").is_none());
}
