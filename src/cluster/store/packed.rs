//! Bodies as the store keeps them: as short as can be, and unpacked when somebody asks for one.
//!
//! Most of a body is names of fields and the sentences of conditions, which all objects of a kind have in common. So it is
//! kept as JSON, compressed by a dictionary of one typical application's objects. What is unlike it is only longer.

use std::sync::LazyLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde_json::Value;

use crate::cluster::view;
use crate::model::kind::KindRef;
use crate::model::observed::Body;

/// The objects of a typical application.
const TYPICAL: &str = include_str!("typical.json");

/// What bodies are likely to contain.
static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let objects: Vec<Value> = serde_json::from_str(TYPICAL).unwrap_or_default();
    objects.iter().filter_map(text).flatten().collect()
});

/// An object's body as JSON.
fn text(object: &Value) -> Option<Vec<u8>> {
    let kind = |key: &str| object.get(key)?.as_str();
    let kind = KindRef::new(kind("apiVersion")?, kind("kind")?);
    let seen = view::read(&kind, &object.to_string())?;
    serde_json::to_vec(&seen.object.body).ok()
}

/// A body, packed. Equal bodies are equal when packed.
#[derive(PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn new(body: &Body) -> Self {
        // No body has anything in it that JSON has not; if one had, it would be read as malformed.
        let text = serde_json::to_vec(body).unwrap_or_default();
        Self(compress_prepend_size_with_dict(&text, &DICTIONARY).into())
    }

    pub(super) fn unpack(&self) -> Body {
        let text = decompress_size_prepended_with_dict(&self.0, &DICTIONARY).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_else(|error| Body::Malformed(error.to_string().into()))
    }
}
