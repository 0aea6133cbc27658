//! The digest of a value while it is read, so that none of it has to be kept.

use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::fields::{Fields, Key};
use crate::model::quantity;

/// Digests bottom-up; `None` for nulls, empty maps and lists, and for what holds nothing else: nobody can own those.
///
/// In a map `requests` or `limits` all forms of one quantity have one digest; anywhere all forms of one number have.
#[derive(Clone, Copy)]
pub(super) struct Digest<'f> {
    /// What to take of the value; `None`: all of it.
    fields: Option<&'f Fields<'f>>,
    /// Whether the value, if it is none of other values, is a quantity.
    quantity: bool,
    /// Whether those of a map are.
    quantities: bool,
}

impl<'f> Digest<'f> {
    /// Of the whole value.
    pub(super) const WHOLE: Self = Self::part(None);

    /// Of the value cut down to these fields.
    pub(super) fn projected(fields: &'f Fields<'f>) -> Self {
        Self::part(Some(fields))
    }

    const fn part(fields: Option<&'f Fields<'f>>) -> Self {
        Self {
            fields,
            quantity: false,
            quantities: false,
        }
    }

    /// Of the value of a field.
    pub(super) fn field(self, name: &str) -> Self {
        Self {
            fields: None,
            quantity: self.quantities,
            quantities: matches!(name, "requests" | "limits"),
        }
    }

    pub(super) fn of(self, value: &Value) -> Option<u64> {
        self.deserialize(value).ok().flatten()
    }

    /// Of a value as JSON text.
    pub(super) fn of_text(self, text: &str) -> serde_json::Result<Option<u64>> {
        self.deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    /// What to take of it, if not all.
    fn some_fields(self) -> Option<&'f Fields<'f>> {
        self.fields.filter(|fields| !fields.is_whole())
    }

    fn scalar(self, tag: u8, text: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        if let Some(nano) = self.quantity.then(|| quantity::nano(text)).flatten() {
            hasher.write_u8(b'q');
            hasher.write_i128(nano);
        } else {
            hasher.write_u8(tag);
            hasher.write(text.as_bytes());
        }
        hasher.finish()
    }

    fn number(self, number: &Number) -> u64 {
        let text = number.to_string();
        // The server writes 50.0 as 50.
        self.scalar(b'n', text.strip_suffix(".0").unwrap_or(&text))
    }
}

impl<'de> DeserializeSeed<'de> for Digest<'_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Digest<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Option<u64>, E> {
        let (plain, text) = (Self::WHOLE, if truth { "true" } else { "false" });
        Ok(Some(plain.scalar(b'b', text)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Option<u64>, E> {
        Ok(Some(self.number(&number.into())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Option<u64>, E> {
        Ok(Some(self.number(&number.into())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Option<u64>, E> {
        Ok(Number::from_f64(number).map(|number| self.number(&number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<u64>, E> {
        Ok(Some(self.scalar(b's', text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
        let mut digests = Vec::new();
        while let Some(Key(name)) = map.next_key()? {
            let owned = self.some_fields().map(|fields| fields.field(&name));
            if let Some(None) = owned {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let fields = owned.flatten();
            let digest = map.next_value_seed(Digest {
                fields,
                ..self.field(&name)
            })?;
            digests.push((name, digest));
        }
        Ok(of_fields(digests))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<u64>, A::Error> {
        let mut items = Items::default();
        let Some(fields) = self.some_fields() else {
            while let Some(item) = list.next_element_seed(Self::WHOLE)? {
                items.add(item);
            }
            return Ok(items.digest());
        };
        // The owned items, in the order of the live list.
        let owned = fields.items();
        let mut index = 0;
        while let Some(item) = list.next_element::<Value>()? {
            let mut owned = owned.iter();
            if let Some((_, fields)) = owned.find(|(selector, _)| selector.matches(index, &item)) {
                items.add(Digest::projected(fields).deserialize(&item).map_err(A::Error::custom)?);
            }
            index += 1;
        }
        Ok(items.digest())
    }
}

/// The digest of a map with these fields, in any order.
pub(super) fn of_fields<K: AsRef<str> + Ord>(fields: impl IntoIterator<Item = (K, Option<u64>)>) -> Option<u64> {
    let fields = fields.into_iter();
    let mut fields: Vec<_> = fields.filter_map(|(key, digest)| Some((key, digest?))).collect();
    fields.sort_unstable();
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(b'{');
    for (key, digest) in &fields {
        hasher.write(key.as_ref().as_bytes());
        hasher.write_u8(0xff);
        hasher.write_u64(*digest);
    }
    (!fields.is_empty()).then(|| hasher.finish())
}

/// The items of a list that have a digest.
struct Items {
    hasher: DefaultHasher,
    empty: bool,
}

impl Default for Items {
    fn default() -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(b'[');
        Self { hasher, empty: true }
    }
}

impl Items {
    fn add(&mut self, digest: Option<u64>) {
        if let Some(digest) = digest {
            self.empty = false;
            self.hasher.write_u64(digest);
        }
    }

    fn digest(&self) -> Option<u64> {
        (!self.empty).then(|| self.hasher.finish())
    }
}
