//! The rules of a Release.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ObjectInfo, check_matches, default_matches, default_weight, repeated, schema};
use crate::api::release::{Environment, Metadata, ReleaseSpec, Specification, Strategy, Version};
use crate::api::rules::release::{
    APPLICATION_NAME_TAKEN, BAD_DEFAULT_APPLICATION, BAD_KEY, DEFAULT_NAME_TAKEN, DUPLICATE_NAME, LONG_DEFAULT_NAME,
    LONG_RELEASE, NAMESPACE, NO_GATEWAY, NO_IMAGE, RESERVED_KEY, SPECIFICATION_NAME, UNSUPPORTED_PAIR,
};
use crate::api::rules::{ALL_WEIGHTS_ZERO, NO_VERSION, ONE_DEFAULT_MATCH, text};
use crate::model::release as valid;
use crate::model::{FieldError, names};

/// The Release with all defaults in place, or everything that is wrong with it.
pub fn release(info: &ObjectInfo, spec: &ReleaseSpec) -> Result<valid::Release, Vec<FieldError>> {
    let named = spec
        .application
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.name.as_deref());
    let application = named.unwrap_or(&info.name);
    let mut errors = schema::bounds(&schema::RELEASE, spec);
    check_names(info, named, spec, &mut errors);
    check_strategy(spec, &mut errors);
    check_metadata(
        "spec.application.metadata",
        spec.application.metadata.as_ref(),
        &mut errors,
    );
    for (index, version) in spec.application.versions.iter().enumerate() {
        check_version(&format!("spec.application.versions[{index}]"), version, &mut errors);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(build(info, application, spec))
}

/// The version's own name.
fn own_name(version: &Version) -> Option<&str> {
    version.metadata.as_ref()?.name.as_deref()
}

fn check_names(info: &ObjectInfo, named: Option<&str>, spec: &ReleaseSpec, errors: &mut Vec<FieldError>) {
    let application = named.unwrap_or(&info.name);
    let versions = &spec.application.versions;
    let at = |index: usize| format!("spec.application.versions[{index}].metadata.name");
    if info.name.len() > names::LONGEST {
        errors.push(FieldError::invalid("metadata.name", LONG_RELEASE));
    }
    if named.is_none() && !(names::dns_1035(application) && application.len() <= names::LONGEST) {
        errors.push(FieldError::invalid("metadata.name", BAD_DEFAULT_APPLICATION));
    }
    for (index, version) in versions.iter().enumerate() {
        let default = names::default_version(application, index);
        match own_name(version) {
            Some(name) if name == application => errors.push(FieldError::invalid(at(index), APPLICATION_NAME_TAKEN)),
            Some(_) => {}
            None if default.len() > names::LONGEST_VERSION => {
                errors.push(FieldError::invalid(at(index), LONG_DEFAULT_NAME));
            }
            None => {
                let taken = versions
                    .iter()
                    .position(|other| own_name(other) == Some(default.as_str()));
                errors.extend(taken.map(|other| FieldError::invalid(at(other), DEFAULT_NAME_TAKEN)));
            }
        }
    }
    for index in repeated(versions.iter().map(own_name)) {
        errors.push(FieldError::invalid(at(index), DUPLICATE_NAME));
    }
}

fn check_strategy(spec: &ReleaseSpec, errors: &mut Vec<FieldError>) {
    let application = &spec.application;
    let versions = &application.versions;
    if spec.environment == Environment::Deployment {
        if application.strategy != Strategy::None {
            errors.push(FieldError::invalid("spec.application.strategy", UNSUPPORTED_PAIR));
        }
        if spec.gateway.is_some() {
            errors.push(FieldError::invalid("spec.gateway", NO_GATEWAY));
        }
    }
    if versions.is_empty() {
        errors.push(FieldError::invalid("spec.application.versions", NO_VERSION));
    } else if application.strategy == Strategy::BlueGreen && versions.iter().all(|version| version.weight == Some(0)) {
        errors.push(FieldError::invalid("spec.application.versions", ALL_WEIGHTS_ZERO));
    }
    let open = versions
        .iter()
        .skip(1)
        .filter(|version| version.matches.is_empty())
        .count();
    if application.strategy == Strategy::Canary && open > 1 {
        errors.push(FieldError::invalid("spec.application.versions", ONE_DEFAULT_MATCH));
    }
}

fn check_version(at: &str, version: &Version, errors: &mut Vec<FieldError>) {
    check_metadata(&format!("{at}.metadata"), version.metadata.as_ref(), errors);
    check_matches(&format!("{at}.matches"), &version.matches, errors);
    let specifications = [
        ("deploymentSpecification", version.deployment_specification.as_ref()),
        ("serviceSpecification", version.service_specification.as_ref()),
    ];
    for (field, specification) in specifications {
        let at = format!("{at}.{field}.metadata");
        let metadata = specification.and_then(|specification| specification.metadata.as_ref());
        if metadata.is_some_and(|metadata| metadata.name.is_some()) {
            errors.push(FieldError::invalid(format!("{at}.name"), SPECIFICATION_NAME));
        }
        check_metadata(&at, metadata, errors);
    }
    let spec = version
        .deployment_specification
        .as_ref()
        .and_then(|specification| specification.spec.as_ref());
    if version.image.is_none() && !spec.is_some_and(has_containers) {
        errors.push(FieldError::invalid(format!("{at}.image"), NO_IMAGE));
    }
}

/// Whether a Deployment's `spec` names a container: CEL does not see into it, so this is decided here alone.
fn has_containers(spec: &Map<String, Value>) -> bool {
    let containers = spec
        .get("template")
        .and_then(|template| template.pointer("/spec/containers"));
    containers
        .and_then(Value::as_array)
        .is_some_and(|containers| !containers.is_empty())
}

fn check_metadata(at: &str, metadata: Option<&Metadata>, errors: &mut Vec<FieldError>) {
    let Some(metadata) = metadata else { return };
    if metadata.namespace.is_some() {
        errors.push(FieldError::invalid(format!("{at}.namespace"), NAMESPACE));
    }
    for (field, map) in [("labels", &metadata.labels), ("annotations", &metadata.annotations)] {
        let at = format!("{at}.{field}");
        if map.keys().any(|key| key.starts_with("iter8.tools/")) {
            errors.push(FieldError::invalid(&at, RESERVED_KEY));
        }
        if !map.keys().all(|key| text::key(key)) {
            errors.push(FieldError::invalid(&at, BAD_KEY));
        }
    }
}

fn build(info: &ObjectInfo, application: &str, spec: &ReleaseSpec) -> valid::Release {
    let (labels, annotations) = maps(spec.application.metadata.as_ref());
    let version = |(index, version): (usize, &Version)| {
        let (own_labels, own_annotations) = maps(version.metadata.as_ref());
        let candidate = index > 0 && spec.application.strategy == Strategy::Canary;
        valid::Version {
            name: own_name(version).map_or_else(|| names::default_version(application, index), str::to_owned),
            labels: over(&labels, own_labels),
            annotations: over(&annotations, own_annotations),
            image: version.image.clone(),
            port: version.port.unwrap_or(spec.application.port),
            replicas: version.replicas,
            weight: version
                .weight
                .unwrap_or_else(|| default_weight(spec.application.strategy == Strategy::Mirror)),
            matches: if candidate && version.matches.is_empty() {
                default_matches()
            } else {
                version.matches.clone()
            },
            deployment_specification: version.deployment_specification.as_ref().map(specification),
            service_specification: version.service_specification.as_ref().map(specification),
            merged: valid::Merged::default(),
        }
    };
    valid::Release {
        name: info.name.clone(),
        namespace: info.namespace.clone(),
        uid: info.uid,
        generation: info.generation,
        application: application.to_owned(),
        environment: spec.environment,
        strategy: spec.application.strategy,
        gateway: spec.gateway.as_deref().map(gateway),
        port: spec.application.port,
        versions: spec.application.versions.iter().enumerate().map(version).collect(),
        drain_seconds: spec.drain_seconds,
        suspend: spec.suspend,
        labels,
        annotations,
    }
}

type Entries = BTreeMap<String, String>;

fn maps(metadata: Option<&Metadata>) -> (Entries, Entries) {
    metadata
        .map(|metadata| (metadata.labels.clone(), metadata.annotations.clone()))
        .unwrap_or_default()
}

fn over(below: &Entries, mut above: Entries) -> Entries {
    for (key, value) in below {
        above.entry(key.clone()).or_insert_with(|| value.clone());
    }
    above
}

fn specification(given: &Specification) -> valid::Specification {
    let (labels, annotations) = maps(given.metadata.as_ref());
    valid::Specification {
        labels,
        annotations,
        spec: given.spec.clone().unwrap_or_default(),
    }
}

fn gateway(text: &str) -> valid::GatewayRef {
    let (namespace, name) = text
        .split_once('/')
        .map_or((None, text), |(namespace, name)| (Some(namespace), name));
    valid::GatewayRef {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }
}
