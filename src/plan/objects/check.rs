//! What can only be checked once users' specifications are merged.

use serde_json::{Map, Value};

use super::{deployment, service};
use crate::model::release::{Release, Version};
use crate::model::{FieldError, Refusal};

/// What is wrong with the objects that the Release is made into: a Service that does not select its own pods
/// (reason `SelectorMismatch`), a number of replicas that is none.
pub fn validate_built(release: &Release) -> Vec<FieldError> {
    let versions = release.versions.iter().enumerate();
    versions.flat_map(|(index, version)| mistakes(index, version)).collect()
}

/// The same of the version at this place in the list.
pub fn mistakes(index: usize, version: &Version) -> Vec<FieldError> {
    let path = format!("spec.application.versions[{index}]");
    let mistakes = [selector(&path, version), replicas(&path, version)];
    mistakes.into_iter().flatten().collect()
}

fn selector(path: &str, version: &Version) -> Option<FieldError> {
    let service = service::merged_spec(version);
    let deployment = deployment::merged_spec(version);
    let selector = service.get("selector").and_then(Value::as_object);
    let labels = deployment
        .get("template")
        .and_then(|template| template.pointer("/metadata/labels"))
        .and_then(Value::as_object);
    (!selects(selector, labels)).then(|| {
        let message = format!(
            "the Service selects pods with {}, but the pods of its Deployment have {}: make \
             serviceSpecification.spec.selector and deploymentSpecification.spec.template.metadata.labels agree",
            text(selector),
            text(labels)
        );
        FieldError {
            reason: Refusal::SelectorMismatch,
            ..FieldError::invalid(format!("{path}.serviceSpecification.spec.selector"), message)
        }
    })
}

/// A Service without selector selects nothing.
fn selects(selector: Option<&Map<String, Value>>, labels: Option<&Map<String, Value>>) -> bool {
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
    })
}

/// Labels as `kubectl get --show-labels` prints them.
fn text(labels: Option<&Map<String, Value>>) -> String {
    let pairs: Vec<_> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            value
                .as_str()
                .map_or_else(|| format!("{key}={value}"), |value| format!("{key}={value}"))
        })
        .collect();
    if pairs.is_empty() {
        "no labels".to_owned()
    } else {
        pairs.join(",")
    }
}

fn replicas(path: &str, version: &Version) -> Option<FieldError> {
    let value = deployment::specified_replicas(version)?;
    let valid = value.is_null() || deployment::replicas(version).is_some_and(|replicas| replicas >= 0);
    (!valid).then(|| {
        let path = format!("{path}.deploymentSpecification.spec.replicas");
        FieldError::invalid(path, format!("must be an integer from 0 on, not {value}"))
    })
}
