//! Objects from Releases: `tests/golden/objects/<case>/{release,want}.yaml`.

use std::collections::BTreeMap;

use iter8::api::release::{self, Metadata, Strategy};
use iter8::api::route_match::{HttpRouteMatch, ValueMatch, ValueMatchType};
use iter8::api::route_policy::PolicyVersion;
use iter8::model::observed::Uid;
use iter8::model::release::{GatewayRef, Merged, Release, Specification, Version};
use iter8::model::yaml;
use iter8::plan::objects;
use serde_json::{Value, json};

use crate::golden;

#[test]
fn objects_are_as_the_golden_files_say() {
    golden::check(golden::cases("objects").iter().map(|case| {
        let release = release(&golden::input(case, "release.yaml"));
        assert_eq!(objects::validate_built(&release), [], "{}", case.display());
        golden::compare(case, &yaml::write_all(&all(&release)).unwrap())
    }));
}

#[test]
fn no_object_has_a_null_or_an_empty_map_that_no_user_wrote() {
    for case in golden::cases("objects") {
        for object in all(&release(&golden::input(&case, "release.yaml"))) {
            let text = object.to_string().replace(r#""emptyDir":{}"#, "");
            assert!(
                !text.contains("null") && !text.contains(":{}") && !text.contains(":[]"),
                "{text}"
            );
        }
    }
}

/// All objects of a Release whose versions are all new and in the route.
fn all(release: &Release) -> Vec<Value> {
    let mut all = Vec::new();
    for (index, version) in release.versions.iter().enumerate() {
        all.push(objects::deployment(release, version, objects::replicas(version)));
        all.push(objects::service(release, version, None, &[]));
        if objects::weight_config_needed(release, index) {
            let weight = version.weight.to_string();
            all.push(objects::weight_config(release, version, Some(&weight), &weight));
        }
    }
    all.extend(objects::application_service(release));
    let entries = release
        .versions
        .iter()
        .map(|version| objects::policy_entry(release, version));
    all.extend(objects::route_policy(release, entries.collect()));
    all
}

const ISTIO: &str = "
apiVersion: iter8.tools/v1alpha1
kind: Release
metadata: {name: httpbin, namespace: default, uid: 0b7cf00e-1f2a-4c3d-9e8f-00112233aabb}
spec:
  environment: deployment-istio
  application:
    strategy: blue-green
    versions:
    - image: httpbin:1
      port: 8080
";

/// `ISTIO` with `more`, lines of YAML for its version.
fn with(more: &str) -> Release {
    let more = more.replace('\n', "\n      ");
    release(&format!("{ISTIO}      {more}\n"))
}

fn service(release: &Release, extra_ports: &[i32]) -> Value {
    objects::service(release, &release.versions[0], None, extra_ports)["spec"]["ports"].clone()
}

#[test]
fn the_target_is_the_container_port_called_http_else_the_first_else_the_versions() {
    let table = [
        ("", json!("http")),
        (
            "[{name: admin, containerPort: 9}, {name: http, containerPort: 8}]",
            json!("http"),
        ),
        ("[{name: web, containerPort: 8}, {containerPort: 9}]", json!("web")),
        ("[{containerPort: 8}]", json!(8)),
        ("[]", json!(8080)),
    ];
    for (ports, want) in table {
        let release = match ports {
            "" => with(""),
            ports => with(&format!(
                "deploymentSpecification: {{spec: {{template: {{spec: {{containers: [{{name: c, ports: {ports}}}]}}}}}}}}"
            )),
        };
        assert_eq!(service(&release, &[])[0]["targetPort"], want, "{ports}");
    }
}

#[test]
fn an_old_port_is_kept_beside_the_new_one() {
    let ports = service(&with(""), &[80, 8080]);
    let names: Vec<_> = ports
        .as_array()
        .unwrap()
        .iter()
        .map(|port| (&port["name"], &port["port"]))
        .collect();
    assert_eq!(names, [(&json!("http"), &json!(8080)), (&json!("http-80"), &json!(80))]);
    assert_eq!(ports[1]["targetPort"], "http");
}

#[test]
fn an_old_port_beside_a_users_port_without_a_name_gives_that_a_name() {
    let release = with("serviceSpecification: {spec: {ports: [{port: 90}]}}");
    let want = json!([
        {"name": "http", "port": 90},
        {"name": "http-80", "port": 80, "protocol": "TCP", "targetPort": 90, "appProtocol": "http"},
    ]);
    assert_eq!(service(&release, &[80]), want);
    assert_eq!(service(&release, &[]), json!([{"port": 90}]));
}

#[test]
fn requests_are_sent_to_the_service_port_called_http_else_to_the_first() {
    let table = [
        ("", 8080),
        (
            "serviceSpecification: {spec: {ports: [{port: 90}, {name: x, port: 91}]}}",
            90,
        ),
        (
            "serviceSpecification: {spec: {ports: [{name: x, port: 91}, {name: http, port: 92}]}}",
            92,
        ),
    ];
    for (more, want) in table {
        assert_eq!(objects::backend_port(&with(more).versions[0]), want, "{more}");
    }
}

#[test]
fn replicas_of_the_specification_stand_over_the_versions() {
    let table = [
        ("", None),
        ("replicas: 3", Some(3)),
        ("deploymentSpecification: {spec: {replicas: 4}}", Some(4)),
        ("replicas: 3\ndeploymentSpecification: {spec: {replicas: 4}}", Some(4)),
        ("replicas: 3\ndeploymentSpecification: {spec: {replicas: null}}", None),
    ];
    for (more, want) in table {
        let release = with(more);
        assert_eq!(objects::replicas(&release.versions[0]), want, "{more}");
        let written = objects::deployment(&release, &release.versions[0], None);
        assert_eq!(written["spec"].get("replicas"), None, "{more}");
    }
}

#[test]
fn versions_with_the_same_image_have_the_same_digest_and_others_have_not() {
    let digests = |second: &str| {
        let release = release(&format!("{ISTIO}    - {second}\n"));
        let deployments = release
            .versions
            .iter()
            .map(|version| objects::deployment(&release, version, None));
        deployments
            .map(|deployment| deployment["metadata"]["annotations"]["iter8.tools/template"].clone())
            .collect::<Vec<_>>()
    };
    let same = digests("{image: 'httpbin:1', port: 8080, weight: 7, replicas: 9}");
    assert_eq!(same[0], same[1]);
    for other in [
        "{image: 'httpbin:2', port: 8080}",
        "{image: 'httpbin:1', port: 8081}",
        "{image: 'httpbin:1', port: 8080, deploymentSpecification: {spec: {template: {spec: {hostNetwork: true}}}}}",
    ] {
        let digests = digests(other);
        assert_ne!(digests[0], digests[1], "{other}");
    }
}

#[test]
fn a_service_that_does_not_select_its_own_pods_is_found() {
    let table = [
        ("serviceSpecification: {spec: {selector: {tier: web}}}", true),
        ("serviceSpecification: {spec: {selector: null}}", true),
        (
            "deploymentSpecification: {spec: {template: {metadata: {labels: {app: other}}}}}",
            true,
        ),
        (
            "serviceSpecification: {spec: {selector: {tier: web}}}\n\
             deploymentSpecification: {spec: {template: {metadata: {labels: {tier: web}}}}}",
            false,
        ),
    ];
    for (more, wrong) in table {
        let errors = objects::validate_built(&with(more));
        let paths: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        let want: &[&str] = if wrong {
            &["spec.application.versions[0].serviceSpecification.spec.selector"]
        } else {
            &[]
        };
        assert_eq!(paths, want, "{more}");
    }
}

#[test]
fn the_message_names_both_sides() {
    let [error] = objects::validate_built(&with("serviceSpecification: {spec: {selector: {tier: web}}}"))
        .try_into()
        .unwrap();
    assert!(
        error.message.contains("selects pods with app=httpbin-0,tier=web"),
        "{}",
        error.message
    );
    assert!(error.message.contains("have app=httpbin-0:"), "{}", error.message);
}

#[test]
fn replicas_that_are_no_number_are_found() {
    for bad in ["'3'", "-1", "1.5"] {
        let release = with(&format!("deploymentSpecification: {{spec: {{replicas: {bad}}}}}"));
        let [error] = objects::validate_built(&release).try_into().unwrap();
        assert_eq!(
            error.path,
            "spec.application.versions[0].deploymentSpecification.spec.replicas"
        );
    }
}

#[test]
fn a_live_weight_that_is_somebody_elses_is_left_out() {
    let release = with("");
    let config = objects::weight_config(&release, &release.versions[0], None, "50");
    assert_eq!(
        config["metadata"]["annotations"],
        json!({"iter8.tools/spec-weight": "50"})
    );
}

#[test]
fn nothing_routes_a_release_with_strategy_none() {
    let release = Release {
        strategy: Strategy::None,
        ..with("")
    };
    let entries: Vec<PolicyVersion> = vec![objects::policy_entry(&release, &release.versions[0])];
    assert_eq!(objects::route_policy(&release, entries), None);
}

/// A Release as validation leaves it, without its checks.
fn release(text: &str) -> Release {
    let release: release::Release = yaml::read(text).unwrap();
    let application = release.spec.application;
    let metadata = application.metadata.unwrap_or_default();
    let name = release.metadata.name.unwrap();
    let application_name = metadata.name.clone().unwrap_or_else(|| name.clone());
    let versions = application.versions.iter().enumerate().map(|(index, version)| Version {
        port: version.port.unwrap_or(application.port),
        ..self::version(&application_name, &metadata, application.strategy, index, version)
    });
    Release {
        versions: versions.collect(),
        name,
        namespace: release.metadata.namespace.unwrap(),
        uid: release
            .metadata
            .uid
            .map(|uid| Uid::parse(&uid).unwrap())
            .unwrap_or_default(),
        generation: 1,
        environment: release.spec.environment,
        strategy: application.strategy,
        gateway: release.spec.gateway.map(|gateway| match gateway.split_once('/') {
            Some((namespace, name)) => GatewayRef {
                namespace: Some(namespace.to_owned()),
                name: name.to_owned(),
            },
            None => GatewayRef {
                namespace: None,
                name: gateway,
            },
        }),
        application: application_name,
        labels: metadata.labels,
        annotations: metadata.annotations,
        port: application.port,
        drain_seconds: release.spec.drain_seconds,
        suspend: release.spec.suspend,
    }
}

fn version(
    application: &str,
    base: &Metadata,
    strategy: Strategy,
    index: usize,
    version: &release::Version,
) -> Version {
    let metadata = version.metadata.clone().unwrap_or_default();
    let over =
        |base: &BTreeMap<String, String>, own: BTreeMap<String, String>| base.clone().into_iter().chain(own).collect();
    let traffic_test = HttpRouteMatch {
        headers: vec![ValueMatch {
            type_: ValueMatchType::Exact,
            name: "traffic".to_owned(),
            value: "test".to_owned(),
        }],
        ..HttpRouteMatch::default()
    };
    Version {
        name: metadata.name.unwrap_or_else(|| format!("{application}-{index}")),
        labels: over(&base.labels, metadata.labels),
        annotations: over(&base.annotations, metadata.annotations),
        image: version.image.clone(),
        port: 0,
        replicas: version.replicas,
        weight: version
            .weight
            .unwrap_or(if strategy == Strategy::Mirror { 100 } else { 50 }),
        matches: if version.matches.is_empty() && index > 0 {
            vec![traffic_test]
        } else {
            version.matches.clone()
        },
        deployment_specification: version.deployment_specification.clone().map(specification),
        service_specification: version.service_specification.clone().map(specification),
        merged: Merged::default(),
    }
}

fn specification(specification: release::Specification) -> Specification {
    let metadata = specification.metadata.unwrap_or_default();
    Specification {
        labels: metadata.labels,
        annotations: metadata.annotations,
        spec: specification.spec.unwrap_or_default(),
    }
}
