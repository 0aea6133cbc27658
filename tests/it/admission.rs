//! One list of cases, `tests/cases`, against `model::validate` and against a real API server.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use iter8::api::release::{Application, Environment, Metadata, ReleaseSpec, Version};
use iter8::api::{crds, release};
use iter8::model::validate::{self, ObjectInfo};
use iter8::model::{FieldError, names};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::api::{Api, Resource};
use crate::support::cluster::dedicated_cluster;
use crate::support::kubectl::Kubectl;
use crate::support::{SOON, Test, wait_until};

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let read = |file: &str| -> Vec<Case> {
        let value: Value = serde_yaml::from_str(&fs::read_to_string(folder.join(file)).unwrap()).unwrap();
        serde_json::from_value(value).unwrap()
    };
    ["admission.yaml", "experiments.yaml"]
        .into_iter()
        .flat_map(read)
        .collect()
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
        "Experiment" => validate::read_experiment(object).and_then(|spec| validate::experiment(&info, &spec).map(drop)),
        "Metric" => validate::read_metric(object).and_then(|spec| match validate::metric(&spec) {
            errors if errors.is_empty() => Ok(()),
            errors => Err(errors),
        }),
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
    use iter8::api::rules::{experiment, metric, release, route_policy, text};
    let cases = cases();
    let wanted: BTreeSet<&str> = cases.iter().filter_map(|case| case.error.as_deref()).collect();
    let texts = [text::RELEASE, text::ROUTE_POLICY, text::EXPERIMENT, text::METRIC];
    let texts = texts.into_iter().flatten().map(|text| text.message);
    let rules = [
        release::rules(),
        route_policy::rules(),
        experiment::rules(),
        metric::rules(),
    ];
    let rules = rules.into_iter().flatten().map(|rule| rule.message);
    for message in texts.chain(rules) {
        assert!(
            wanted
                .iter()
                .any(|part| message.contains(part) || part.ends_with(said_after_the_name(message))),
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

/// The beginning of a message that goes on from what it names.
fn said_after_the_name(message: &str) -> &str {
    message.split(':').next().unwrap()
}

fn document(object: &Value, namespace: &str) -> Value {
    let mut document = object.clone();
    let version = match object["kind"].as_str() {
        Some("Experiment" | "Metric") => "v2alpha1",
        _ => "v1alpha1",
    };
    document["apiVersion"] = json!(format!("iter8.tools/{version}"));
    document["metadata"]["namespace"] = json!(namespace);
    document
}

/// Installs these CRDs in place of those that are there, and waits until they are in force: until the API server's handlers,
/// which hear of them by a watch, print a column of this one time.
pub fn install(kubectl: &Kubectl, crds: &[Value]) {
    static TIMES: AtomicU64 = AtomicU64::new(0);
    let column = format!("INSTALLATION-{}", TIMES.fetch_add(1, Ordering::Relaxed));
    let documents = crds.iter().map(|crd| {
        let mut crd = crd.clone();
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array_mut();
        columns
            .unwrap()
            .push(json!({ "name": column, "type": "string", "jsonPath": ".metadata.name" }));
        crd.to_string()
    });
    let documents: Vec<String> = documents.collect();
    let apply = ["apply", "--server-side", "--force-conflicts", "--filename=-"];
    kubectl.ok(apply, &documents.join("\n---\n"));
    let api = Api::new(&kubectl.kubeconfig);
    for resource in ["release", "routepolicy", "experiment", "metric"] {
        wait_until(&format!("the CRD of {resource} is in force"), SOON, || {
            let columns = api.columns(&Resource::named(resource));
            let found = columns.contains(&column);
            found.then_some(()).ok_or_else(|| columns.join(" "))
        });
    }
}

/// The CRDs as they are generated.
pub fn crd_documents() -> Vec<Value> {
    let crds = crds::all();
    crds.iter().map(|crd| serde_json::to_value(crd).unwrap()).collect()
}

/// Takes the CEL rules out of a schema.
pub fn without_rules(schema: &mut Value) {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("x-kubernetes-validations");
        fields.values_mut().for_each(without_rules);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(without_rules);
    }
}

/// `kubectl apply` of all documents at once, and what became of each: `Some` is why it was refused.
///
/// One process for all: it takes longer to start than the API server takes to decide. Each document is a file of its
/// own, and kubectl names the file that it could not apply.
fn apply_all(kubectl: &Kubectl, documents: &[Value], more: &[&str]) -> Vec<Option<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |index: usize| folder.path().join(format!("{index}.json"));
    for (index, document) in documents.iter().enumerate() {
        fs::write(path(index), document.to_string()).unwrap();
    }
    let filename = format!("--filename={}", folder.path().display());
    let said = kubectl.run(["apply", &filename].iter().chain(more), "");
    // Of a single error kubectl prints the server's sentence alone.
    let refusals: Vec<&str> = said.stderr.split("Error from server").skip(1).collect();
    let answers: Vec<Option<String>> = (0..documents.len())
        .map(|index| {
            let name = path(index).display().to_string();
            let refusal = refusals.iter().find(|refusal| refusal.contains(&name));
            refusal.map(|text| (*text).to_owned())
        })
        .collect();
    let refused = answers.iter().flatten().count();
    let applied = said.stdout.lines().count();
    assert_eq!(refused + applied, documents.len(), "{}\n{}", said.stdout, said.stderr);
    answers
}

fn decided_by_the_server(case: &Case) -> bool {
    case.only != Some(Side::Validate)
}

#[test]
fn the_api_server_decides_every_case_as_the_list_says() {
    let cases: Vec<Case> = cases().into_iter().filter(decided_by_the_server).collect();
    let (updates, creations): (Vec<Case>, Vec<Case>) = cases.into_iter().partition(|case| case.old.is_some());
    // Nothing is stored of creations, so that one namespace does for all.
    let space = Test::without_operator("admission");
    let spaces: Vec<Test> = updates
        .iter()
        .map(|_| Test::without_operator("admission of updates"))
        .collect();
    let kubectl = &space.cluster.kubectl;
    let old: Vec<Value> = updates
        .iter()
        .zip(&spaces)
        .map(|(case, space)| document(case.old.as_ref().unwrap(), &space.namespace))
        .collect();
    assert!(apply_all(kubectl, &old, &[]).iter().all(Option::is_none));
    let new = updates
        .iter()
        .zip(&spaces)
        .chain(creations.iter().map(|case| (case, &space)));
    let documents: Vec<Value> = new
        .map(|(case, space)| document(&case.object, &space.namespace))
        .collect();
    let answers = apply_all(kubectl, &documents, &["--dry-run=server"]);
    let complaints: Vec<String> = updates
        .iter()
        .chain(&creations)
        .zip(&answers)
        .filter_map(|(case, refusal)| complaint(case, refusal.as_deref()))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Their status, their labels and an apply of the same spec still pass.
#[test]
fn objects_that_were_stored_before_there_were_rules_still_take_writes() {
    // Of its own, as the rules are taken out of the CRDs.
    let Some(cluster) = dedicated_cluster("admission") else {
        return;
    };
    let kubectl = &cluster.kubectl;
    let mut bare = crd_documents();
    bare.iter_mut().for_each(without_rules);
    install(kubectl, &bare);
    let refused = cases().into_iter().filter(|case| case.error.is_some());
    let refused: Vec<Case> = refused.filter(decided_by_the_server).collect();
    let spaces: Vec<String> = (0..refused.len()).map(|index| format!("stored-{index}")).collect();
    let namespaces: Vec<Value> = spaces
        .iter()
        .map(|name| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }))
        .collect();
    assert!(apply_all(kubectl, &namespaces, &[]).iter().all(Option::is_none));
    let documents: Vec<Value> = refused
        .iter()
        .zip(&spaces)
        .map(|(case, space)| document(&case.object, space))
        .collect();
    // What a bare schema refuses could never be stored.
    let answers = apply_all(kubectl, &documents, &[]);
    let stored = documents
        .into_iter()
        .zip(answers)
        .filter(|(_, refusal)| refusal.is_none());
    let mut stored: Vec<Value> = stored.map(|(object, _)| object).collect();
    assert!(
        stored.len() > 40,
        "only {} cases are refused by rules alone",
        stored.len()
    );
    install(kubectl, &crd_documents());

    for object in &mut stored {
        object["metadata"]["labels"] = json!({ "touched": "yes" });
    }
    let labelled = apply_all(kubectl, &stored, &[]);
    assert!(labelled.iter().all(Option::is_none), "{labelled:?}");
    let status = |object: &Value| {
        let metadata = json!({ "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] });
        let status = json!({ "observedGeneration": 1, "conditions": [] });
        json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata, "status": status })
    };
    let with_status = stored.iter().filter(|object| object["kind"] != "Metric");
    let with_status: Vec<Value> = with_status.map(status).collect();
    let reported = apply_all(
        kubectl,
        &with_status,
        &["--server-side", "--force-conflicts", "--subresource=status"],
    );
    assert!(reported.iter().all(Option::is_none), "{reported:?}");
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
