//! The Deployment of a version.

use serde_json::{Map, Value, json};

use super::version_metadata;
use crate::api::annotations;
use crate::model::kind::Kind;
use crate::model::merge::merge;
use crate::model::release::{Release, Version};
use crate::model::template::{self, APP_LABEL};
use crate::plan::metadata::object;

/// Name of the container port, of the Service port and its application protocol.
pub const HTTP: &str = "http";
const REPLICAS: &str = "replicas";

/// The Deployment, with `spec.replicas` only when they are given.
pub fn deployment(release: &Release, version: &Version, replicas: Option<i32>) -> Value {
    let mut spec = merged_spec(version).clone();
    if let Some(replicas) = replicas {
        spec.insert(REPLICAS.to_owned(), replicas.into());
    }
    let specification = version.deployment_specification.as_ref();
    let annotations = [(annotations::TEMPLATE, template_digest(version))];
    let metadata = version_metadata(release, version, &version.name, specification, &annotations);
    object(Kind::Deployment, &metadata, Some(spec.into()))
}

/// The number of pods that the spec asks for: `deploymentSpecification.spec.replicas` stands over
/// `versions[].replicas`, as everything in a specification stands over what is generated; null there means none.
pub fn replicas(version: &Version) -> Option<i32> {
    match specified_replicas(version) {
        Some(value) => value.as_i64().and_then(|number| i32::try_from(number).ok()),
        None => version.replicas,
    }
}

/// `deploymentSpecification.spec.replicas`, as it is written.
pub(super) fn specified_replicas(version: &Version) -> Option<&Value> {
    version.deployment_specification.as_ref()?.spec.get(REPLICAS)
}

/// Annotation `iter8.tools/template` of the Deployment that the version asks for.
pub fn template_digest(version: &Version) -> &str {
    version.merged.template.get_or_init(|| {
        let template = merged_spec(version).get("template");
        template::digest(template.unwrap_or(&Value::Null), &version.name)
    })
}

/// Images of the containers that the version asks for, in their order.
pub fn images(version: &Version) -> Vec<Box<str>> {
    let spec = merged_spec(version);
    let containers = spec
        .get("template")
        .and_then(|template| template.pointer("/spec/containers"));
    let containers = containers.and_then(Value::as_array).into_iter().flatten();
    containers
        .filter_map(|container| container.get("image").and_then(Value::as_str))
        .map(Box::from)
        .collect()
}

/// `spec` without `replicas`: what is generated, with the specification merged over it.
pub(super) fn merged_spec(version: &Version) -> &Map<String, Value> {
    version.merged.deployment.get_or_init(|| {
        let mut spec = generated_spec(version);
        if let Some(specification) = &version.deployment_specification {
            merge(&mut spec, &specification.spec);
        }
        spec.remove(REPLICAS);
        spec
    })
}

/// The containers of a merged `spec`.
pub(super) fn containers(spec: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    spec.get("template")
        .and_then(|template| template.pointer("/spec/containers"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// The container is only there for a version with an image; any other brings its own.
fn generated_spec(version: &Version) -> Map<String, Value> {
    let labels = json!({ APP_LABEL: version.name });
    let mut pod = Map::new();
    if let Some(image) = &version.image {
        let port = json!({ "name": HTTP, "containerPort": version.port, "protocol": "TCP" });
        let container = json!({ "name": version.name, "image": image, "ports": [port] });
        pod.insert("containers".to_owned(), json!([container]));
    }
    let mut spec = Map::new();
    spec.insert("selector".to_owned(), json!({ "matchLabels": labels }));
    spec.insert(
        "template".to_owned(),
        json!({ "metadata": { "labels": labels }, "spec": pod }),
    );
    spec
}
