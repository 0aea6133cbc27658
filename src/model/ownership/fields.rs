//! A set of fields, as `fieldsV1` has it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A set of fields. Its keys: `f:<name>` a field, `k:<json>` the item of a list that has these fields, `v:<json>` the item
/// of a set that is this value, `i:<number>` the item at this index, `.` the value itself. Without keys: the whole value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Fields<'a>)>);

impl Fields<'_> {
    /// Whether the field at `path` is in it, itself or as a part of a whole value.
    pub fn contains(&self, path: &[&str]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return true;
        };
        let fields = self.field(first);
        fields.is_some_and(|fields| fields.is_whole() || fields.contains(rest))
    }

    /// Whether it is the whole value.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// What is in it of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let mut fields = self.0.iter();
        let found = fields.find(|(key, _)| key.strip_prefix("f:") == Some(name));
        found.map(|(_, fields)| fields)
    }

    /// What is in it of which items of a list.
    pub(super) fn items(&self) -> Vec<(Selector, &Self)> {
        let fields = self.0.iter();
        let items = fields.filter_map(|(key, fields)| Some((Selector::parse(key)?, fields)));
        items.collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a set of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    fields.push((key.0, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// The key of a map, borrowed where nothing in it is escaped.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Key<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Which item of a list.
pub(super) enum Selector {
    Keys(Map<String, Value>),
    Value(Value),
    Index(usize),
}

impl Selector {
    fn parse(key: &str) -> Option<Self> {
        let (form, text) = key.split_once(':')?;
        match form {
            "k" => serde_json::from_str(text).ok().map(Self::Keys),
            "v" => serde_json::from_str(text).ok().map(Self::Value),
            "i" => text.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    pub(super) fn matches(&self, index: usize, item: &Value) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
            Self::Value(value) => item == value,
            Self::Index(at) => *at == index,
        }
    }
}
