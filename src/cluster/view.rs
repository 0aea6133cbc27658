//! Reads objects as the API server sends them, and keeps what decisions need.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::store::{Seen, Version};
use crate::api::{annotations, labels};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Meta, Object, Raw, Service, ServicePort, Uid, WeightConfig};
use crate::model::ownership;

mod route;
mod workload;

pub use workload::await_report;

/// Reads an object of a kind from its JSON text; `None` when not even its metadata can be read.
///
/// A `spec` or `status` of an unexpected form yields `Body::Malformed`, so one bad object never stops its kind's watch.
/// Not even nesting too deep for a JSON parser does: its metadata can be read without it.
pub fn read(kind: &KindRef, text: &str) -> Option<Seen> {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Some(Head::of(text)?.read(kind, text));
    };
    let metadata = Metadata::deserialize(value.get("metadata")?).ok()?;
    Some(whole(metadata, kind, &value))
}

/// An object of which all could be read.
fn whole(metadata: Metadata, kind: &KindRef, value: &Value) -> Seen {
    let (namespace, name) = (metadata.namespace.clone(), metadata.name.clone());
    let object = Object {
        meta: metadata.read(kind, value),
        body: body(kind, value).unwrap_or_else(|error| Body::Malformed(error.to_string().into())),
    };
    Seen {
        namespace,
        name,
        object,
    }
}

/// What an object's text says of which version of which object it is. Quick to read: most texts come twice, as the answer to
/// a write and as the event of it.
#[derive(Debug)]
pub struct Head(Metadata);

impl Head {
    /// `None` when not even the metadata can be read.
    pub fn of(text: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(text).ok()?;
        Some(Self(wire.metadata))
    }

    /// Which object it is.
    pub fn place(&self) -> (&str, &str) {
        (&self.0.namespace, &self.0.name)
    }

    /// Which version of it; `None` if that cannot be told.
    pub fn version(&self) -> Option<Version> {
        let resource_version = self.0.resource_version.parse().ok().filter(|version| *version > 0)?;
        let uid = Uid::parse(&self.0.uid)?;
        Some(Version { uid, resource_version })
    }

    /// `metadata.resourceVersion`, as it is written.
    pub fn resource_version(&self) -> &str {
        &self.0.resource_version
    }

    /// Reads the whole of it.
    pub fn read(self, kind: &KindRef, text: &str) -> Seen {
        let error = match serde_json::from_str::<Value>(text) {
            Ok(value) => return whole(self.0, kind, &value),
            Err(error) => error,
        };
        let (namespace, name) = (self.0.namespace.clone(), self.0.name.clone());
        let object = Object {
            meta: self.0.read(kind, &Value::Null),
            body: unread(kind, text).unwrap_or_else(|| Body::Malformed(error.to_string().into())),
        };
        Seen {
            namespace,
            name,
            object,
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Box<str>,
    #[serde(default)]
    namespace: Box<str>,
    #[serde(default)]
    uid: Box<str>,
    #[serde(default)]
    resource_version: Box<str>,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    creation_timestamp: Option<DateTime<Utc>>,
    #[serde(default)]
    deletion_timestamp: Option<Box<str>>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

#[derive(Debug, Deserialize)]
struct OwnerReference {
    uid: Box<str>,
    #[serde(default)]
    controller: bool,
}

impl Metadata {
    fn read(self, kind: &KindRef, object: &Value) -> Meta {
        let controller = self.owner_references.iter().find(|owner| owner.controller);
        let controller = controller.and_then(|owner| Uid::parse(&owner.uid));
        let mut meta = Meta {
            uid: Uid::parse(&self.uid).unwrap_or_default(),
            resource_version: self.resource_version.parse().unwrap_or_default(),
            generation: self.generation,
            created: self.creation_timestamp.map_or(0, |time| time.timestamp()),
            deleting: self.deletion_timestamp.is_some(),
            controller,
            ..Meta::default()
        };
        if let KindRef::Known(kind) = kind {
            meta.digest = ownership::digest_of_live(object, kind.manager());
            if meta.is_orphan() {
                meta.adoptable_by = metadata_text(object, "labels", labels::RELEASE);
            }
        }
        meta
    }
}

fn body(kind: &KindRef, object: &Value) -> serde_json::Result<Body> {
    let known = match kind {
        KindRef::Known(kind) => kind,
        KindRef::Other(gvk) => return Ok(workload::other(gvk, object)),
    };
    Ok(match known {
        Kind::Release => Body::Release(raw(object)?),
        Kind::RoutePolicy => Body::RoutePolicy(raw(object)?),
        Kind::Experiment => Body::Experiment(raw(object)?),
        Kind::Metric => Body::Metric(raw(object)?),
        Kind::Deployment => Body::Deployment(Box::new(workload::deployment(object)?)),
        Kind::Service => Body::Service(service(object)?),
        Kind::ConfigMap => Body::ConfigMap(weight_config(object)),
        Kind::VirtualService => Body::Route(Box::new(route::virtual_service(object)?)),
        Kind::HttpRoute => Body::Route(Box::new(route::http_route(object)?)),
    })
}

fn raw(object: &Value) -> serde_json::Result<Raw> {
    let text = |key| object.get(key).map(serde_json::to_string).transpose();
    Ok(Raw {
        spec: text("spec")?.unwrap_or_else(|| "null".to_owned()).into(),
        status: text("status")?.unwrap_or_default().into(),
    })
}

/// One of our own objects that is nested too deep: its status can be read all the same, and must be, or it would be
/// written again and again.
fn unread(kind: &KindRef, text: &str) -> Option<Body> {
    #[derive(Deserialize)]
    struct Parts {
        spec: Option<Box<RawValue>>,
        status: Option<Box<RawValue>>,
    }
    let Parts { spec, status } = serde_json::from_str(text).ok()?;
    let text = |part: Option<Box<RawValue>>| part.map(|part| part.get().into()).unwrap_or_default();
    let raw = Raw {
        spec: text(spec),
        status: text(status),
    };
    match kind {
        KindRef::Known(Kind::Release) => Some(Body::Release(raw)),
        KindRef::Known(Kind::RoutePolicy) => Some(Body::RoutePolicy(raw)),
        KindRef::Known(Kind::Experiment) => Some(Body::Experiment(raw)),
        KindRef::Known(Kind::Metric) => Some(Body::Metric(raw)),
        _ => None,
    }
}

fn service(object: &Value) -> serde_json::Result<Service> {
    #[derive(Default, Deserialize)]
    struct Spec {
        #[serde(default, deserialize_with = "or_default")]
        selector: BTreeMap<Box<str>, Box<str>>,
        #[serde(default, deserialize_with = "or_default")]
        ports: Vec<Exposed>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Exposed {
        #[serde(default)]
        name: Box<str>,
        port: i32,
        target_port: Option<Value>,
    }
    let spec: Spec = part(object, "spec")?;
    let ports = spec.ports.into_iter().map(
        |Exposed {
             name,
             port,
             target_port,
         }| ServicePort {
            name,
            port,
            // The default is the port itself.
            target: match target_port {
                Some(Value::String(name)) => name.into(),
                Some(number) => number.to_string().into(),
                None => port.to_string().into(),
            },
        },
    );
    Ok(Service {
        selector: spec.selector,
        ports: ports.collect(),
    })
}

fn weight_config(object: &Value) -> WeightConfig {
    let path = ["metadata", "annotations", annotations::WEIGHT];
    WeightConfig {
        weight: metadata_text(object, "annotations", annotations::WEIGHT),
        spec_weight: metadata_text(object, "annotations", annotations::SPEC_WEIGHT),
        weight_ours: ownership::owns(object, Kind::ConfigMap.manager(), &path),
    }
}

/// A label or an annotation.
fn metadata_text(object: &Value, map: &str, key: &str) -> Option<Box<str>> {
    let text = object.get("metadata")?.get(map)?.get(key)?.as_str()?;
    Some(text.into())
}

/// `spec` or `status`; absent or null is the default.
fn part<'a, T: Default + Deserialize<'a>>(object: &'a Value, key: &str) -> serde_json::Result<T> {
    object.get(key).map_or_else(|| Ok(T::default()), or_default)
}

/// Null is the default: Go writes it for an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
