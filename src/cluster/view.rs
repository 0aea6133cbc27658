//! Reads objects as the API server sends them, and keeps what decisions need.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::store::{Seen, Version};
use crate::api::{annotations, labels};
use crate::model::kind::{Kind, KindRef};
use crate::model::observed::{Body, Meta, Object, Raw, Service, ServicePort, Uid, WeightConfig};
use crate::model::ownership::{self, Fields, Manager};

mod route;
mod workload;

pub use workload::await_report;

/// Reads an object of a kind from its JSON text; `None` when not even its metadata can be read.
///
/// A `spec` or `status` of an unexpected form yields `Body::Malformed`, so one bad object never stops its kind's watch.
pub fn read(kind: &KindRef, text: &str) -> Option<Seen> {
    Some(Head::of(text)?.read(kind))
}

/// What an object's text says of which version of which object it is. Quick to read: most texts come twice, as the answer to
/// a write and as the event of it.
#[derive(Debug)]
pub struct Head<'a> {
    wire: Wire<'a>,
    text: &'a str,
}

impl<'a> Head<'a> {
    /// `None` when not even the metadata can be read. What is nested too deep for a JSON parser is in the way only of whoever
    /// looks into it.
    pub fn of(text: &'a str) -> Option<Self> {
        let wire = serde_json::from_str(text).ok()?;
        Some(Self { wire, text })
    }

    /// Which object it is.
    pub fn place(&self) -> (&str, &str) {
        (&self.wire.metadata.namespace, &self.wire.metadata.name)
    }

    /// Which version of it; `None` if that cannot be told.
    pub fn version(&self) -> Option<Version> {
        let resource_version = self.resource_version().parse().ok().filter(|version| *version > 0)?;
        let uid = Uid::parse(&self.wire.metadata.uid)?;
        Some(Version { uid, resource_version })
    }

    /// `metadata.resourceVersion`, as it is written.
    pub fn resource_version(&self) -> &str {
        &self.wire.metadata.resource_version
    }

    /// Reads the whole of it.
    pub fn read(&self, kind: &KindRef) -> Seen {
        let (namespace, name) = self.place();
        let managed = match kind {
            KindRef::Known(kind) => Managed::by(kind.manager(), self.wire.metadata.managed_fields),
            KindRef::Other(_) => Managed::default(),
        };
        let body = self.body(kind, &managed);
        Seen {
            namespace: namespace.into(),
            name: name.into(),
            object: Object {
                meta: self.meta(managed.ours.as_ref()),
                body: body.unwrap_or_else(|error| Body::Malformed(error.to_string().into())),
            },
        }
    }

    fn meta(&self, ours: Option<&Fields<'_>>) -> Meta {
        let metadata = &self.wire.metadata;
        let controller = metadata.owner_references.iter().find(|owner| owner.controller);
        let mut meta = Meta {
            uid: Uid::parse(&metadata.uid).unwrap_or_default(),
            resource_version: metadata.resource_version.parse().unwrap_or_default(),
            generation: metadata.generation,
            created: metadata.creation_timestamp.map_or(0, |time| time.timestamp()),
            deleting: metadata.deletion_timestamp.is_some(),
            controller: controller.and_then(|owner| Uid::parse(&owner.uid)),
            adoptable_by: None,
            digest: ours.map_or(0, |fields| ownership::digest_of_live(self.text, fields)),
        };
        if meta.is_orphan() {
            meta.adoptable_by = texts(metadata.labels).remove(labels::RELEASE).map(Into::into);
        }
        meta
    }

    fn body(&self, kind: &KindRef, managed: &Managed<'_>) -> serde_json::Result<Body> {
        let known = match kind {
            KindRef::Known(kind) => kind,
            KindRef::Other(gvk) => return Ok(workload::other(gvk, &serde_json::from_str(self.text)?)),
        };
        let Wire { metadata, spec, status } = &self.wire;
        let annotations = || texts(metadata.annotations);
        Ok(match known {
            Kind::Release => Body::Release(self.raw()),
            Kind::RoutePolicy => Body::RoutePolicy(self.raw()),
            Kind::Experiment => Body::Experiment(self.raw()),
            Kind::Metric => Body::Metric(self.raw()),
            Kind::Deployment => {
                let read = workload::deployment(&annotations(), &managed.all, part(*spec)?, &part(*status)?);
                Body::Deployment(Box::new(read))
            }
            Kind::Service => Body::Service(service(part(*spec)?)),
            Kind::ConfigMap => Body::ConfigMap(weight_config(annotations(), managed.ours.as_ref())),
            Kind::VirtualService => Body::Route(Box::new(route::virtual_service(part(*spec)?))),
            Kind::HttpRoute => {
                let route = route::http_route(&metadata.namespace, &managed.all, &part(*spec)?, part(*status)?);
                Body::Route(Box::new(route))
            }
        })
    }

    fn raw(&self) -> Raw {
        let text = |part: Option<&'a RawValue>| part.map(RawValue::get);
        Raw {
            spec: text(self.wire.spec).unwrap_or("null").into(),
            status: text(self.wire.status).unwrap_or_default().into(),
        }
    }
}

/// Who owns which fields.
#[derive(Default)]
struct Managed<'a> {
    all: Vec<Manager<'a>>,
    /// The fields of our own applies.
    ours: Option<Fields<'a>>,
}

impl<'a> Managed<'a> {
    /// `us`: the manager that we apply the object as.
    fn by(us: &str, managed_fields: Option<&'a RawValue>) -> Self {
        let all = Manager::all(managed_fields);
        let ours = all.iter().find(|who| who.applied_as(us)).and_then(Manager::fields);
        Self { all, ours }
    }
}

/// An object, of which no more has been looked at than what is always needed.
#[derive(Debug, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    creation_timestamp: Option<DateTime<Utc>>,
    #[serde(borrow)]
    deletion_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
    #[serde(borrow, default)]
    owner_references: Vec<OwnerReference<'a>>,
}

#[derive(Debug, Deserialize)]
struct OwnerReference<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(default)]
    controller: bool,
}

#[derive(Default, Deserialize)]
struct ServiceSpec {
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

fn service(spec: ServiceSpec) -> Service {
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
    Service {
        selector: spec.selector,
        ports: ports.collect(),
    }
}

fn weight_config(mut annotations: Texts, ours: Option<&Fields<'_>>) -> WeightConfig {
    let mut text = |key| annotations.remove(key).map(Into::into);
    let path = ["metadata", "annotations", annotations::WEIGHT];
    WeightConfig {
        weight: text(annotations::WEIGHT),
        spec_weight: text(annotations::SPEC_WEIGHT),
        weight_ours: ours.is_some_and(|fields| fields.contains(&path)),
    }
}

/// Labels or annotations.
type Texts = BTreeMap<String, String>;

/// Those that there are; none where they cannot be read.
fn texts(map: Option<&RawValue>) -> Texts {
    let read = map.and_then(|map| serde_json::from_str(map.get()).ok());
    read.unwrap_or_default()
}

/// `spec` or `status`; absent or null is the default.
fn part<'a, T: Default + Deserialize<'a>>(part: Option<&'a RawValue>) -> serde_json::Result<T> {
    part.map_or_else(
        || Ok(T::default()),
        |part| or_default(&mut serde_json::Deserializer::from_str(part.get())),
    )
}

/// Null is the default: Go writes it for an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
