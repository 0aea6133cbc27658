//! The Service of a version.

use serde_json::{Map, Value, json};

use super::deployment::{self, HTTP};
use super::version_metadata;
use crate::model::kind::Kind;
use crate::model::merge::merge;
use crate::model::observed::{Service, ServicePort};
use crate::model::release::{Release, Version};
use crate::model::template::APP_LABEL;
use crate::plan::metadata::object;

const PORTS: &str = "ports";
const TARGET_PORT: &str = "targetPort";
const TCP: &str = "TCP";

/// The Service. `held`: its main port, while that stays as it is; `extra_ports` are those that a stored route still names, though the spec has changed to another: they
/// are served until no route names them.
pub fn service(release: &Release, version: &Version, held: Option<&ServicePort>, extra_ports: &[i32]) -> Value {
    let mut spec = merged_spec(version).clone();
    if let (Some(held), Some(main)) = (held, main_port_mut(&mut spec)) {
        let target = held.target.parse::<i32>();
        let target = target.map_or_else(|_| Value::from(&*held.target), Value::from);
        main.insert("port".to_owned(), held.port.into());
        main.insert(TARGET_PORT.to_owned(), target);
    }
    keep_ports(&mut spec, extra_ports);
    let specification = version.service_specification.as_ref();
    let metadata = version_metadata(release, version, &version.name, specification, &[]);
    object(Kind::Service, &metadata, Some(spec.into()))
}

/// Makes the Service select the pods of its Deployment by the labels that no roll changes: those of before and those of
/// after it.
pub fn select_all(service: &mut Value, version: &Version) {
    let deployment = deployment::merged_spec(version);
    let labels = deployment
        .get("selector")
        .and_then(|selector| selector.get("matchLabels"));
    let labels = labels.filter(|labels| labels.as_object().is_some_and(|labels| !labels.is_empty()));
    if let (Some(labels), Some(selector)) = (labels, service.pointer_mut("/spec/selector")) {
        selector.clone_from(labels);
    }
}

/// The main port of the stored Service, if pods of before and of after a roll are not to be reached at the same target.
pub fn other_target<'a>(live: &'a Service, version: &Version) -> Option<&'a ServicePort> {
    let wanted = target(main_port(merged_spec(version))?)?;
    let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
    let mut ports = live.ports.iter();
    let main = ports.find(|port| *port.name == *HTTP).or(live.ports.first())?;
    (*main.target != *wanted).then_some(main)
}

/// The port of the Service that requests are sent to: the one called `http`, else the first.
pub fn backend_port(version: &Version) -> i32 {
    main_port(merged_spec(version)).and_then(number).unwrap_or(version.port)
}

/// `spec`: what is generated, with the specification merged over it.
pub(super) fn merged_spec(version: &Version) -> &Map<String, Value> {
    version.merged.service.get_or_init(|| {
        let port = json!({
            "name": HTTP, "port": version.port, "protocol": TCP, TARGET_PORT: target_port(version), "appProtocol": HTTP,
        });
        let mut spec = Map::new();
        spec.insert("selector".to_owned(), json!({ APP_LABEL: version.name }));
        spec.insert(PORTS.to_owned(), json!([port]));
        if let Some(specification) = &version.service_specification {
            merge(&mut spec, &specification.spec);
        }
        spec
    })
}

/// The container port that is served: the one called `http`, else the first by its name or number, else the version's.
fn target_port(version: &Version) -> Value {
    let ports: Vec<_> = deployment::containers(deployment::merged_spec(version))
        .filter_map(|container| container.get(PORTS).and_then(Value::as_array))
        .flatten()
        .collect();
    ports
        .iter()
        .find(|port| is_http(port))
        .or(ports.first())
        .and_then(|port| port.get("name").or_else(|| port.get("containerPort")))
        .cloned()
        .unwrap_or_else(|| version.port.into())
}

/// Name of a port that is served for a while after the spec has changed to another.
pub fn kept_port(port: i32) -> String {
    format!("{HTTP}-{port}")
}

/// Adds `extra` ports, with the target of the main port.
fn keep_ports(spec: &mut Map<String, Value>, extra: &[i32]) {
    let target = main_port(spec).and_then(target).cloned();
    let (Some(target), Some(ports)) = (target, spec.get_mut(PORTS).and_then(Value::as_array_mut)) else {
        return;
    };
    for &extra in extra {
        if ports.iter().any(|port| number(port) == Some(extra)) {
            continue;
        }
        // A Service with several ports must name each of them.
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.entry("name").or_insert_with(|| HTTP.into());
        }
        ports.push(json!({
            "name": kept_port(extra), "port": extra, "protocol": TCP, TARGET_PORT: target, "appProtocol": HTTP,
        }));
    }
}

fn main_port(spec: &Map<String, Value>) -> Option<&Value> {
    let ports = spec.get(PORTS)?.as_array()?;
    ports.iter().find(|port| is_http(port)).or(ports.first())
}

fn main_port_mut(spec: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let ports = spec.get_mut(PORTS)?.as_array_mut()?;
    let index = ports.iter().position(is_http).unwrap_or_default();
    ports.get_mut(index)?.as_object_mut()
}

fn target(port: &Value) -> Option<&Value> {
    port.get(TARGET_PORT).or_else(|| port.get("port"))
}

fn is_http(port: &Value) -> bool {
    port.get("name").and_then(Value::as_str) == Some(HTTP)
}

fn number(port: &Value) -> Option<i32> {
    port.get("port")?.as_i64().and_then(|number| i32::try_from(number).ok())
}
