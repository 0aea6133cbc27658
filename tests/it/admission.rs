//! One list of cases, `tests/cases/admission.yaml`, against `model::validate` and against a real API server.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use iter8::api::release::{Application, Environment, Metadata, ReleaseSpec, Version};
use iter8::api::{crds, release};
use iter8::model::validate::{self, ObjectInfo};
use iter8::model::{FieldError, names};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::cluster::dedicated_cluster;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    old: Option<Value>,
    object: Value,
    #[serde(default)]
    only: Option<Side>,
    error: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Side {
    Cel,
    Validate,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/admission.yaml");
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What is wrong with an object out of a file; empty: nothing.
fn validate(object: &Value) -> Vec<FieldError> {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let info = ObjectInfo {
        name,
        namespace: "default".to_owned(),
        ..ObjectInfo::default()
    };
    match object["kind"].as_str().unwrap() {
        "Release" => validate::read_release(object).and_then(|spec| validate::release(&info, &spec).map(drop)),
        _ => validate::read_policy(object).and_then(|spec| validate::policy(&info, &spec).map(drop)),
    }
    .err()
    .unwrap_or_default()
}

/// What is wrong with the answer to a case, if anything.
fn complaint(case: &Case, refusal: Option<&str>) -> Option<String> {
    match (&case.error, refusal) {
        (None, Some(refusal)) => Some(format!("{}: refused: {refusal}", case.name)),
        (Some(_), None) => Some(format!("{}: accepted", case.name)),
        (Some(wanted), Some(refusal)) if !refusal.contains(wanted.as_str()) => {
            Some(format!("{}: refused with another sentence: {refusal}", case.name))
        }
        _ => None,
    }
}

#[test]
fn validate_decides_every_case_as_the_list_says() {
    let complaints: Vec<String> = cases()
        .iter()
        .filter(|case| case.only != Some(Side::Cel))
        .filter_map(|case| {
            let errors = validate(&case.object);
            let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            complaint(case, (!errors.is_empty()).then_some(&text))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_rule_has_a_case_that_breaks_it() {
    use iter8::api::rules::{release, route_policy, text};
    let cases = cases();
    let wanted: BTreeSet<&str> = cases.iter().filter_map(|case| case.error.as_deref()).collect();
    let texts = text::RELEASE.iter().chain(text::ROUTE_POLICY).map(|text| text.message);
    let rules = release::rules()
        .into_iter()
        .chain(route_policy::rules())
        .map(|rule| rule.message);
    for message in texts.chain(rules) {
        assert!(
            wanted.iter().any(|part| message.contains(part)),
            "no case for: {message}"
        );
    }
}

#[test]
fn the_name_of_a_case_is_its_own() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        assert!(seen.insert(case.name.clone()), "{} stands there twice", case.name);
    }
}

/// Runs kubectl with the documents as its input.
fn run(kubectl: &Path, kubeconfig: &Path, arguments: &[&str], documents: &[Value]) -> Output {
    let mut command = Command::new(kubectl);
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for document in documents {
        // Documents, not a List: kubectl checks a List itself, with sentences of its own.
        writeln!(input, "---\n{document}").unwrap();
    }
    drop(input);
    child.wait_with_output().unwrap()
}

/// The error's text, if it failed.
fn refusal(output: &Output) -> Option<String> {
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn document(object: &Value, namespace: &str) -> Value {
    let mut document = object.clone();
    document["apiVersion"] = json!("iter8.tools/v1alpha1");
    document["metadata"]["namespace"] = json!(namespace);
    document
}

fn install(kubectl: &Path, kubeconfig: &Path, crds: &[Value]) {
    let applied = run(
        kubectl,
        kubeconfig,
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        crds,
    );
    assert_eq!(refusal(&applied), None);
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "crd/releases.iter8.tools",
        "crd/routepolicies.iter8.tools",
    ];
    assert_eq!(refusal(&run(kubectl, kubeconfig, &wait, &[])), None);
}

fn crd_documents() -> Vec<Value> {
    crds::all()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

/// Every case through `kubectl apply`: the API server takes the CRDs, and decides as the list says.
fn refuses_or_accepts(kubectl: &Path, kubeconfig: &Path) {
    install(kubectl, kubeconfig, &crd_documents());
    let cases: Vec<Case> = cases()
        .into_iter()
        .filter(|case| case.only != Some(Side::Validate))
        .collect();
    let spaces = namespaces(kubectl, kubeconfig, "admission", cases.len());
    let mut complaints = Vec::new();
    for (case, space) in cases.iter().zip(&spaces) {
        if let Some(old) = &case.old {
            let stored = run(kubectl, kubeconfig, &["apply", "-f", "-"], &[document(old, space)]);
            assert_eq!(refusal(&stored), None, "{}: the old object", case.name);
        }
        let answer = run(
            kubectl,
            kubeconfig,
            &["apply", "--dry-run=server", "-f", "-"],
            &[document(&case.object, space)],
        );
        complaints.extend(complaint(case, refusal(&answer).as_deref()));
    }
    remove(kubectl, kubeconfig, &spaces);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Objects stored before there were rules: their status, their labels and an apply of the same spec still pass.
///
/// Takes the rules out of the CRDs for a moment, so nothing else may use the cluster's CRDs meanwhile.
fn objects_that_break_a_rule_take_status(kubectl: &Path, kubeconfig: &Path) {
    let mut bare = crd_documents();
    bare.iter_mut().for_each(without_rules);
    install(kubectl, kubeconfig, &bare);
    let refused: Vec<Case> = cases()
        .into_iter()
        .filter(|case| case.error.is_some() && case.only != Some(Side::Validate))
        .collect();
    let spaces = namespaces(kubectl, kubeconfig, "stored", refused.len());
    let mut stored = Vec::new();
    for (case, space) in refused.iter().zip(&spaces) {
        let object = document(&case.object, space);
        // What a bare schema refuses could never be stored.
        if run(
            kubectl,
            kubeconfig,
            &["apply", "-f", "-"],
            std::slice::from_ref(&object),
        )
        .status
        .success()
        {
            stored.push(object);
        }
    }
    assert!(
        stored.len() > 40,
        "only {} cases are refused by rules alone",
        stored.len()
    );
    install(kubectl, kubeconfig, &crd_documents());
    for object in &mut stored {
        object["metadata"]["labels"] = json!({ "touched": "yes" });
    }
    let labelled = run(kubectl, kubeconfig, &["apply", "-f", "-"], &stored);
    let with_status: Vec<Value> = stored
        .iter()
        .map(|object| {
            let status = json!({ "observedGeneration": 1, "conditions": [] });
            json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "status": status,
                "metadata": { "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] } })
        })
        .collect();
    let status = run(
        kubectl,
        kubeconfig,
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--subresource=status",
            "-f",
            "-",
        ],
        &with_status,
    );
    remove(kubectl, kubeconfig, &spaces);
    assert_eq!(refusal(&labelled), None, "labels");
    assert_eq!(refusal(&status), None, "status");
}

fn without_rules(schema: &mut Value) {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("x-kubernetes-validations");
        fields.values_mut().for_each(without_rules);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(without_rules);
    }
}

fn namespaces(kubectl: &Path, kubeconfig: &Path, prefix: &str, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|index| format!("{prefix}-{index}")).collect();
    let documents: Vec<Value> = names
        .iter()
        .map(|name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }))
        .collect();
    assert_eq!(
        refusal(&run(kubectl, kubeconfig, &["apply", "-f", "-"], &documents)),
        None
    );
    names
}

fn remove(kubectl: &Path, kubeconfig: &Path, namespaces: &[String]) {
    let mut arguments = vec!["delete", "namespace", "--wait=false"];
    arguments.extend(namespaces.iter().map(String::as_str));
    assert_eq!(refusal(&run(kubectl, kubeconfig, &arguments, &[])), None);
}

#[test]
fn the_api_server_decides_every_case_as_the_list_says() {
    // Of its own, as the second part changes the CRDs.
    let Some(cluster) = dedicated_cluster("admission") else {
        return;
    };
    let (kubectl, kubeconfig) = (&cluster.kubectl.binary, &cluster.kubectl.kubeconfig);
    refuses_or_accepts(kubectl, kubeconfig);
    objects_that_break_a_rule_take_status(kubectl, kubeconfig);
}

fn version_name() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[a-z][-a-z0-9]{0,3}".prop_map(Some),
        "web-[0-9]".prop_map(Some),
        "[a-z]{45,52}".prop_map(Some)
    ]
}

fn spec(application: Option<String>, versions: Vec<Option<String>>) -> ReleaseSpec {
    let metadata = |name: Option<String>| {
        name.map(|name| Metadata {
            name: Some(name),
            ..Metadata::default()
        })
    };
    let version = |name| Version {
        metadata: metadata(name),
        image: Some("httpbin".to_owned()),
        ..Version::default()
    };
    ReleaseSpec {
        environment: Environment::DeploymentIstio,
        gateway: None,
        application: Application {
            metadata: metadata(application),
            port: 80,
            strategy: release::Strategy::BlueGreen,
            versions: versions.into_iter().map(version).collect(),
        },
        drain_seconds: 10,
        suspend: false,
    }
}

proptest! {
    #[test]
    fn what_validate_accepts_has_names_that_objects_can_bear(
        name in "[a-z][-a-z0-9.]{0,50}|web",
        application in version_name(),
        versions in proptest::collection::vec(version_name(), 0..10),
    ) {
        let info = ObjectInfo { name, namespace: "default".to_owned(), ..ObjectInfo::default() };
        if let Ok(valid) = validate::release(&info, &spec(application, versions)) {
            let mut services: Vec<&str> = valid.versions.iter().map(|version| version.name.as_str()).collect();
            services.push(&valid.application);
            for name in &services {
                prop_assert!(names::dns_1035(name) && name.len() <= 63, "{name}");
            }
            for version in &valid.versions {
                prop_assert!(names::weight_config(&version.name).len() <= 63);
            }
            let count = services.len();
            services.sort_unstable();
            services.dedup();
            prop_assert_eq!(services.len(), count, "each Service has a name of its own");
            prop_assert!((1..=8).contains(&valid.versions.len()));
        }
    }
}
