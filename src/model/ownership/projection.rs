//! A live object cut down to a set of fields.

use serde_json::{Map, Value};

/// A part of an object: all of it, or some of its fields or items.
#[derive(Debug)]
pub(super) enum Projected<'a> {
    Whole(&'a Value),
    Map(Vec<(&'a str, Projected<'a>)>),
    List(Vec<Projected<'a>>),
}

impl<'a> Projected<'a> {
    /// `value` cut down to the fields of a `fieldsV1`.
    ///
    /// Its keys: `f:<name>` a field, `k:<json>` the item of a list that has these fields, `v:<json>` the item of a set
    /// that is this value, `i:<number>` the item at this index, `.` the value itself. Without keys: the whole value.
    pub(super) fn new(value: &'a Value, fields: &'a Value) -> Self {
        let Some(fields) = fields.as_object().filter(|fields| !fields.is_empty()) else {
            return Self::Whole(value);
        };
        match value {
            Value::Object(map) => {
                let owned = fields.iter().filter_map(|(key, fields)| {
                    let (name, value) = map.get_key_value(key.strip_prefix("f:")?)?;
                    Some((name.as_str(), Self::new(value, fields)))
                });
                Self::Map(owned.collect())
            }
            Value::Array(list) => Self::items(list, fields),
            scalar => Self::Whole(scalar),
        }
    }

    /// The owned items, in the order of the live list.
    fn items(list: &'a [Value], fields: &'a Map<String, Value>) -> Self {
        let selectors: Vec<_> = fields
            .iter()
            .filter_map(|(key, fields)| Some((Selector::parse(key)?, fields)))
            .collect();
        let owned = list.iter().enumerate().filter_map(|(index, item)| {
            let (_, fields) = selectors.iter().find(|(selector, _)| selector.matches(index, item))?;
            Some(Self::new(item, fields))
        });
        Self::List(owned.collect())
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self, Self::Whole(value) if !value.is_object() && !value.is_array())
    }
}

/// Which item of a list.
enum Selector {
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

    fn matches(&self, index: usize, item: &Value) -> bool {
        match self {
            Self::Keys(keys) => keys.iter().all(|(key, value)| item.get(key) == Some(value)),
            Self::Value(value) => item == value,
            Self::Index(at) => *at == index,
        }
    }
}

/// Whether a `fieldsV1` has the field at `path`, itself or as a part of a whole value.
pub(super) fn contains(fields: &Value, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    let Some(fields) = fields.as_object() else { return false };
    let field = fields.iter().find(|(key, _)| key.strip_prefix("f:") == Some(first));
    let Some((_, fields)) = field else { return false };
    fields.as_object().is_some_and(Map::is_empty) || contains(fields, rest)
}
