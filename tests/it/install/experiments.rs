//! What `charts/controller` and `config/` have for Experiments: whom the operator asks, what it may write and read, and the
//! Metrics that come with it.

use std::collections::BTreeSet;

use iter8::api::metric::{Metric, PROMETHEUS};
use iter8::cluster::permissions::WEIGHT_TARGETS;
use serde_json::{Value, json};

use super::controller_chart::rendered;
use crate::support::Test;
use crate::support::cluster::cluster;
use crate::support::helm::{Helm, chart};

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What the operator is told by a variable of its environment.
fn told(set: &str, name: &str) -> Option<String> {
    let deployment = rendered(set)
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let variables = deployment["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let mut variables = variables.as_array().unwrap().clone().into_iter();
    let variable = variables.find(|variable| variable["name"] == name)?;
    Some(text(&variable, "/value").to_owned())
}

/// The rules by which the operator may get and patch.
fn movable(set: &str) -> Vec<Value> {
    let role = rendered(set)
        .into_iter()
        .find(|object| text(object, "/kind").ends_with("Role") && object["metadata"]["name"] == "iter8")
        .unwrap();
    let rules = role["rules"].as_array().unwrap().iter();
    rules
        .filter(|rule| rule["verbs"] == json!(["get", "patch"]))
        .cloned()
        .collect()
}

fn rule(group: &str, resource: &str) -> Value {
    json!({ "apiGroups": [group], "resources": [resource], "verbs": ["get", "patch"] })
}

#[test]
fn the_charts_weight_targets_are_those_of_the_operator() {
    let values: Value = serde_yaml::from_str(&read("charts/controller/values.yaml")).unwrap();
    let targets = values["experiments"]["weightTargets"].as_array().unwrap();
    let listed: Vec<_> = targets
        .iter()
        .map(|target| (text(target, "/group"), text(target, "/resource")))
        .collect();
    let known: Vec<_> = WEIGHT_TARGETS
        .iter()
        .flat_map(|rule| rule.resources.iter().map(|resource| (rule.group, *resource)))
        .collect();
    assert_eq!(listed, known);
    let want: Vec<_> = known.iter().map(|(group, resource)| rule(group, resource)).collect();
    assert_eq!(movable("clusterScoped=true"), want);
}

#[test]
fn the_operator_is_told_what_it_may_ask_and_move() {
    let targets = "experiments.weightTargets[0].kind=ConfigMap,experiments.weightTargets[0].resource=configmaps,\
                   experiments.weightTargets[1].group=apps,experiments.weightTargets[1].kind=Deployment,\
                   experiments.weightTargets[1].resource=deployments";
    let hosts =
        "experiments.prometheus=http://prometheus.monitoring:9090/,experiments.allowedHosts={a.example.com,b:443}";
    let all = format!("{targets},{hosts}");
    for (name, want) in [
        (
            "ITER8_WEIGHT_TARGETS",
            "configmaps:ConfigMap,deployments.apps:Deployment",
        ),
        ("ITER8_PROMETHEUS", "http://prometheus.monitoring:9090"),
        ("ITER8_ALLOWED_HOSTS", "a.example.com,b:443"),
    ] {
        assert_eq!(told(&all, name).as_deref(), Some(want), "{name}");
    }
    assert_eq!(movable(&all), [rule("", "configmaps"), rule("apps", "deployments")]);
    // Without a value of it, a variable is not there.
    for name in ["ITER8_PROMETHEUS", "ITER8_ALLOWED_HOSTS"] {
        assert_eq!(told("clusterScoped=true", name), None, "{name}");
    }
    let nothing = "experiments.weightTargets=null";
    assert_eq!(told(nothing, "ITER8_WEIGHT_TARGETS").as_deref(), Some(""));
    assert_eq!(movable(nothing), [Value::Null; 0]);
}

const SECRETS: &str = "crds.install=false,experiments.secrets[0].namespace=team,experiments.secrets[0].name=new-relic,\
                       experiments.secrets[1].namespace=other,experiments.secrets[1].name=elastic";

#[test]
fn a_secret_is_readable_by_its_name_where_it_is_and_nowhere_else() {
    let objects = rendered(&format!("clusterScoped=true,{SECRETS}"));
    let reads = |rule: &Value| rule["resources"].to_string().contains("secrets");
    let may_read: Vec<&Value> = objects
        .iter()
        .filter(|object| object["rules"].as_array().is_some_and(|rules| rules.iter().any(reads)))
        .collect();
    let found: Vec<_> = may_read
        .iter()
        .map(|role| {
            (
                text(role, "/kind"),
                text(role, "/metadata/namespace"),
                role["rules"].clone(),
            )
        })
        .collect();
    let get = |name: &str| json!([{ "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"] }]);
    assert_eq!(
        found,
        [("Role", "team", get("new-relic")), ("Role", "other", get("elastic"))]
    );
    for role in may_read {
        let bound = objects.iter().any(|object| {
            object["kind"] == "RoleBinding"
                && object["metadata"]["namespace"] == role["metadata"]["namespace"]
                && object["roleRef"]["name"] == role["metadata"]["name"]
                && object["subjects"] == json!([{ "kind": "ServiceAccount", "name": "iter8", "namespace": "team" }])
        });
        assert!(bound, "{role}");
    }
}

#[test]
fn a_secret_of_another_namespace_is_refused_without_cluster_scope() {
    let helm = Helm::beside(&cluster().kubectl).within("team");
    let said = helm.fails(["template", "iter8", &chart("controller"), "--set", SECRETS], "");
    let want = "experiments.secrets: without clusterScoped the operator works in namespace team only, and can't read Secret \
                elastic of namespace other";
    assert!(said.contains(want), "{said}");
    let own = SECRETS.split(",experiments.secrets[1]").next().unwrap();
    helm.ok(["template", "iter8", &chart("controller"), "--set", own], "");
}

/// Where the numbers of Metrics come from.
const SOURCES: &[&str] = &["istio", "knative", "linkerd"];

fn metrics(source: &str) -> Vec<Value> {
    let text = read(&format!("config/metrics/{source}.yaml"));
    let documents = text.split("\n---\n");
    documents
        .map(|document| serde_yaml::from_str(document).unwrap())
        .collect()
}

#[test]
fn the_five_metrics_have_the_same_names_everywhere() {
    for source in SOURCES {
        let metrics = metrics(source);
        let names: Vec<_> = metrics.iter().map(|metric| text(metric, "/metadata/name")).collect();
        let five = [
            "request-count",
            "error-count",
            "error-rate",
            "mean-latency",
            "95th-percentile-tail-latency",
        ];
        assert_eq!(names, five, "{source}");
        for metric in &metrics {
            let metadata = &metric["metadata"];
            assert!(metadata["namespace"].is_null(), "{source}: {metric}");
            assert_eq!(metadata["labels"], json!({ "app.kubernetes.io/part-of": "iter8" }));
            // The type knows every field, and drops none.
            let typed: Metric = serde_json::from_value(metric.clone()).unwrap();
            assert_eq!(serde_json::to_value(&typed.spec).unwrap(), metric["spec"], "{source}");
            assert_eq!(typed.spec.provider, PROMETHEUS);
            let name = text(metric, "/metadata/name");
            assert!(typed.spec.description.is_some() && typed.spec.type_.is_some(), "{name}");
            let counted = typed.spec.sample_size.map(|sample| sample.name);
            let want = (name != "request-count").then(|| "request-count".to_owned());
            assert_eq!(counted, want, "{source}: {name}");
            let units = name.ends_with("latency").then(|| "milliseconds".to_owned());
            assert_eq!(typed.spec.units, units, "{source}: {name}");
        }
    }
}

/// The placeholders in a text.
fn placeholders(text: &str) -> BTreeSet<&str> {
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let starts = text.split('$').skip(1);
    starts.map(|rest| rest.split(ends).next().unwrap_or_default()).collect()
}

#[test]
fn the_queries_of_the_metrics_need_what_their_files_say_and_make_no_data_of_nothing() {
    for source in SOURCES {
        let versions: &[&str] = match *source {
            "knative" => &["interval", "revision"],
            _ => &["interval", "name", "namespace"],
        };
        let file = read(&format!("config/metrics/{source}.yaml"));
        for metric in metrics(source) {
            let query = text(&metric, "/spec/params/0/value");
            assert_eq!(placeholders(query), versions.iter().copied().collect(), "{query}");
            // With it a version of which nothing is known would have no errors.
            assert!(!query.contains("vector(0)"), "{query}");
        }
        for variable in versions.iter().filter(|name| !["interval", "name"].contains(*name)) {
            assert!(file.contains(&format!("variable `{variable}`")), "{source}: {variable}");
        }
    }
}

#[test]
fn the_chart_installs_the_metrics_of_one_source_into_its_namespace() {
    for source in SOURCES {
        let objects = rendered(&format!("experiments.metrics={{{source}}}"));
        let installed: Vec<_> = objects
            .into_iter()
            .filter(|object| object["kind"] == "Metric")
            .collect();
        let wanted = metrics(source);
        assert_eq!(installed.len(), wanted.len(), "{source}");
        for (installed, wanted) in installed.iter().zip(&wanted) {
            assert_eq!(installed["spec"], wanted["spec"], "{source}");
            let metadata = &installed["metadata"];
            assert_eq!(
                [&metadata["name"], &metadata["namespace"]],
                [&wanted["metadata"]["name"], &json!("team")]
            );
            assert_eq!(metadata["labels"]["app.kubernetes.io/part-of"], "iter8");
        }
    }
}

#[test]
fn the_metrics_are_as_the_api_server_wants_them() {
    let test = Test::without_operator("metrics");
    for source in SOURCES {
        test.dry_run(&read(&format!("config/metrics/{source}.yaml")));
    }
}
