//! Bodies as the store keeps them: as short as can be, and unpacked when somebody asks for one.
//!
//! They are kept in a binary form without names of fields. Releases and RoutePolicies are text, most of which all of them
//! have in common: they are compressed by a dictionary of typical ones. One that is unlike it is only longer.

use std::sync::LazyLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde_json::Value;

use crate::cluster::view;
use crate::model::kind::KindRef;
use crate::model::observed::Body;

/// A typical Release and its RoutePolicy.
const TYPICAL: &str = include_str!("typical.json");

/// Bytes of what is compressed: of less there is little to gain.
const LONG: usize = 200;

/// What is likely to be in what is long.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let objects: Vec<Value> = serde_json::from_str(TYPICAL).unwrap_or_default();
    objects.iter().filter_map(plain).flatten().collect()
});

/// An object's body, not compressed.
fn plain(object: &Value) -> Option<Vec<u8>> {
    let text = |key: &str| object.get(key)?.as_str();
    let kind = KindRef::new(text("apiVersion")?, text("kind")?);
    let seen = view::read(&kind, &object.to_string())?;
    postcard::to_stdvec(&seen.object.body).ok()
}

/// A body, packed. Equal bodies are equal when packed.
#[derive(PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn new(body: &Body) -> Self {
        // Every body has a binary form; if one had none, it would be read as malformed.
        let mut bytes = postcard::to_stdvec(body).unwrap_or_default();
        let long = bytes.len() > LONG;
        if long {
            bytes = compress_prepend_size_with_dict(&bytes, &DICTIONARY);
        }
        bytes.push(u8::from(long));
        Self(bytes.as_slice().into())
    }

    pub(super) fn unpack(&self) -> Body {
        let body = match self.0.split_last() {
            Some((1, long)) => {
                let bytes = decompress_size_prepended_with_dict(long, &DICTIONARY).unwrap_or_default();
                postcard::from_bytes(&bytes)
            }
            Some((_, short)) => postcard::from_bytes(short),
            None => postcard::from_bytes(&[]),
        };
        body.unwrap_or_else(|error| Body::Malformed(error.to_string().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observed::{
        Deployment, Other, Raw, ReplicasOwner, Service, ServicePort, StoredBackend, StoredRoute, StoredRule,
        WeightConfig, Workload,
    };

    #[test]
    fn a_body_comes_out_as_it_went_in() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let raw = |status: &str| Raw {
            spec: deep.as_str().into(),
            status: status.into(),
        };
        let backend = StoredBackend {
            service: "web\u{fc}\"\\\n".into(),
            port: -1,
            weight: i32::MAX,
        };
        let bodies = [
            Body::Deployment(Box::new(Deployment {
                replicas_owner: ReplicasOwner::Promotion,
                spec_replicas: Some(3),
                observed_generation: i64::MIN,
                available_condition: Some(false),
                images: ["".into(), "web:1".into()].into(),
                ..Deployment::default()
            })),
            Body::Service(Service {
                selector: [("app".into(), "web".into())].into(),
                ports: [ServicePort::default()].into(),
            }),
            Body::ConfigMap(WeightConfig {
                weight: Some("".into()),
                ..WeightConfig::default()
            }),
            Body::Route(Box::new(StoredRoute {
                rules: [StoredRule {
                    mirrors: [backend].into(),
                    ..StoredRule::default()
                }]
                .into(),
                ..StoredRoute::default()
            })),
            Body::Workload(Workload::default()),
            Body::Other(Other::default()),
            Body::Release(raw("")),
            Body::RoutePolicy(raw("{}")),
            Body::Malformed("why".into()),
        ];
        for body in bodies {
            assert_eq!(Packed::new(&body).unpack(), body);
        }
    }

    #[test]
    fn what_is_typical_under_another_name_takes_a_fifth_of_its_bytes_or_less() {
        for object in serde_json::from_str::<Vec<Value>>(TYPICAL).unwrap() {
            let text = object.to_string().replace("web", "shop-backend");
            let bytes = plain(&serde_json::from_str(&text).unwrap()).unwrap();
            let packed = Packed::new(&postcard::from_bytes(&bytes).unwrap()).0.len();
            assert!(packed * 5 <= bytes.len(), "{packed} of {} bytes", bytes.len());
        }
    }
}
