//! The CRDs, the roles and the Metrics in `charts/controller`.

use std::fs;
use std::path::{Path, PathBuf};

use iter8::api::crds;
use iter8::cluster::permissions::{OWN_NAMESPACE, PERMISSIONS};

use crate::{golden, rbac};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn template(name: &str) -> PathBuf {
    top().join("charts/controller/templates").join(name)
}

/// A CRD as a template: with what makes Helm leave it.
fn crd(document: &str) -> String {
    assert!(!document.contains("{{"), "Helm would take this for its own");
    let (head, spec) = document.split_once("\nspec:\n").unwrap();
    format!(
        "{{{{- /* Made from src/api by `make generate`. */}}}}
{{{{- if .Values.crds.install }}}}
{head}
  labels:
    {{{{- include \"iter8.labels\" . | nindent 4 }}}}
  {{{{- if .Values.crds.keep }}}}
  annotations:
    helm.sh/resource-policy: keep
  {{{{- end }}}}
spec:
{spec}{{{{- end }}}}
"
    )
}

/// The rules of a role that is written by hand.
fn rules_of(file: &str) -> String {
    let text = fs::read_to_string(top().join("config/rbac").join(file)).unwrap();
    text.split_once("\nrules:\n").unwrap().1.to_owned()
}

fn rules() -> String {
    let within = PERMISSIONS.iter().filter(|rule| !rule.is_outside_of_namespaces());
    let outside = PERMISSIONS.iter().filter(|rule| rule.is_outside_of_namespaces());
    let defined = [
        ("rules", rbac::rules(within)),
        ("clusterRules", rbac::rules(outside)),
        ("ownRules", rbac::rules(OWN_NAMESPACE)),
        ("releasesEdit", rules_of("releases_edit.yaml")),
        ("routepoliciesEdit", rules_of("routepolicies_edit.yaml")),
        ("experimentsEdit", rules_of("experiments_edit.yaml")),
    ]
    .map(|(name, rules)| {
        let rules = rules.trim_end();
        format!("{{{{- define \"iter8.{name}\" -}}}}\n{rules}\n{{{{- end }}}}\n")
    });
    let head = "{{- /* Made from src/cluster/permissions.rs and config/rbac by `make generate`. */}}\n";
    format!("{head}{}", defined.join("\n"))
}

#[test]
fn the_roles_of_the_controller_chart_are_what_the_operator_says_it_needs() {
    golden::check([golden::compare_file(&template("_rules.tpl"), &rules())]);
}

#[test]
fn the_crds_of_the_controller_chart_are_what_the_types_say() {
    let files = crds::documents().unwrap().into_iter();
    golden::check(files.map(|(name, text)| golden::compare_file(&template(&format!("crds/{name}")), &crd(&text))));
}

#[test]
fn the_metrics_of_the_controller_chart_are_those_of_config() {
    golden::check(["istio", "knative", "linkerd"].map(|source| {
        let text = fs::read_to_string(top().join(format!("config/metrics/{source}.yaml"))).unwrap();
        let copy = top().join(format!("charts/controller/files/metrics/{source}.yaml"));
        golden::compare_file(&copy, &text)
    }));
}
