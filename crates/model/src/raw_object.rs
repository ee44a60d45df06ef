//! A JSON object that keeps the order of its fields and the text of their values while pieces are added to it.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::halves::{Grown, mended};

/// A JSON object. A `serde_json::Value` would reorder its fields and turn 1.10 into 1.1. What it is written as is the same
/// text, but for halves of characters that stand alone: nobody takes those back.
#[derive(Debug, Default)]
pub(crate) struct RawObject {
    fields: IndexMap<String, Field>,
}

#[derive(Debug)]
enum Field {
    /// As it came.
    Raw(Box<RawValue>),
    /// A string that is still growing, decoded.
    Text(Grown),
    /// A list that is still growing.
    List(Vec<Box<RawValue>>),
}

impl RawObject {
    /// The field as it came; nothing when it is absent or has grown.
    pub(crate) fn raw(&self, key: &str) -> Option<&RawValue> {
        match self.get(key)? {
            Field::Raw(raw) => Some(raw),
            Field::Text(_) | Field::List(_) => None,
        }
    }

    /// The field as text, with U+FFFD where half a character stands; nothing when it is absent or no string.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Field::Raw(raw) => grown(raw).map(|text| text.text().into_owned()),
            Field::Text(text) => Some(text.text().into_owned()),
            Field::List(_) => None,
        }
    }

    /// The field read as what it is to be; nothing when it is absent or null.
    ///
    /// # Errors
    /// What is wrong with it. That may quote it.
    pub(crate) fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        let Some(raw) = self.raw(key) else { return Ok(None) };
        serde_json::from_str(raw.get()).map_err(|error| format!("`{key}` cannot be read: {error}"))
    }

    /// The names of the fields, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Sets a field, in its place when it is there and else as the last one.
    pub(crate) fn set(&mut self, key: &str, raw: Box<RawValue>) {
        self.put(key, Field::Raw(raw));
    }

    /// Sets a field to a string.
    pub(crate) fn set_text(&mut self, key: &str, text: String) {
        self.put(key, Field::Text(text.into()));
    }

    /// Sets a field to a string that may go on to grow.
    pub(crate) fn set_grown(&mut self, key: &str, text: Grown) {
        self.put(key, Field::Text(text));
    }

    /// Adds `piece` to a string field, and gives what is new in it; one that is absent, null, or no string begins empty.
    /// Nothing when the piece is no string, which changes nothing.
    pub(crate) fn append_text(&mut self, key: &str, piece: &RawValue) -> Option<String> {
        if let Some(Field::Text(text)) = self.get_mut(key) {
            return text.grow(piece);
        }
        let mut text = self.raw(key).and_then(grown).unwrap_or_default();
        let more = text.grow(piece)?;
        self.put(key, Field::Text(text));
        Some(more)
    }

    /// Adds to a list field; one that is absent, null, or no list begins empty.
    pub(crate) fn append_items(&mut self, key: &str, items: Vec<Box<RawValue>>) {
        if let Some(Field::List(list)) = self.get_mut(key) {
            list.extend(items);
            return;
        }
        let mut list: Vec<Box<RawValue>> =
            self.raw(key).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
        list.extend(items);
        self.put(key, Field::List(list));
    }

    /// Takes in one more piece of a field: strings and lists grow, null says nothing, anything else is set. Gives what is new
    /// in a string.
    pub(crate) fn merge(&mut self, key: &str, piece: Box<RawValue>) -> Option<String> {
        let more = self.append_text(key, &piece);
        if more.is_none() {
            match serde_json::from_str::<Vec<Box<RawValue>>>(piece.get()) {
                Ok(items) => self.append_items(key, items),
                Err(_) => self.set_told(key, piece),
            }
        }
        more
    }

    /// Sets a field to the whole of it; null says nothing.
    pub(crate) fn set_told(&mut self, key: &str, raw: Box<RawValue>) {
        if raw.get() != "null" {
            self.set(key, raw);
        }
    }

    /// The fields, to be taken apart.
    pub(crate) fn into_raw_fields(self) -> impl Iterator<Item = (String, Box<RawValue>)> {
        self.fields.into_iter().map(|(key, field)| match field {
            // As it came: a half of a character in it may have its other half in the next piece.
            Field::Raw(raw) => (key, raw),
            grown @ (Field::Text(_) | Field::List(_)) => {
                let mut json = String::new();
                grown.write(&mut json);
                (key, raw(json))
            }
        })
    }

    /// The object as JSON.
    pub(crate) fn to_raw(&self) -> Box<RawValue> {
        let mut json = String::from("{");
        for (key, field) in &self.fields {
            if json.len() > 1 {
                json.push(',');
            }
            push_json_string(&mut json, key);
            json.push(':');
            field.write(&mut json);
        }
        json.push('}');
        raw(json)
    }

    fn get(&self, key: &str) -> Option<&Field> {
        self.fields.get(key)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Field> {
        self.fields.get_mut(key)
    }

    fn put(&mut self, key: &str, field: Field) {
        match self.get_mut(key) {
            Some(place) => *place = field,
            None => drop(self.fields.insert(key.to_owned(), field)),
        }
    }
}

impl Field {
    fn write(&self, json: &mut String) {
        match self {
            Self::Raw(raw) => json.push_str(&mended(raw.get())),
            Self::Text(text) => push_json_string(json, &text.text()),
            Self::List(items) => {
                json.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        json.push(',');
                    }
                    json.push_str(&mended(item.get()));
                }
                json.push(']');
            }
        }
    }
}

/// The string that `raw` is, to grow.
fn grown(raw: &RawValue) -> Option<Grown> {
    let mut text = Grown::default();
    text.grow(raw).map(|_| text)
}

/// Appends `text` as a JSON string.
pub(crate) fn push_json_string(json: &mut String, text: &str) {
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// `json`, which is known to be one JSON value, as raw JSON.
#[expect(
    clippy::expect_used,
    reason = "callers hand over JSON that serde_json or this crate has just written"
)]
pub(crate) fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("the text was put together from JSON values")
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = RawObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawObject, A::Error> {
                let mut object = RawObject::default();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    object.put(&key, Field::Raw(value));
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> RawObject {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn order_and_number_text_survive() {
        let json = r#"{"z":1.10,"a":{"y":1e2,"b":[ 1 ]},"é\n":"x"}"#;
        assert_eq!(object(json).to_raw().get(), json);
    }

    #[test]
    fn pieces_grow_in_place() {
        let mut block = object(r#"{"text":"","n":null,"list":[1],"last":true}"#);
        for piece in [r#""a\"""#, r#""\u00e9""#, "null"] {
            block.merge("text", raw(piece.to_owned()));
        }
        block.merge("list", raw(r#"[{"x":2.50}]"#.to_owned()));
        block.append_text("n", &raw("\"t\"".to_owned()));
        block.merge("new", raw("7".to_owned()));
        assert_eq!(
            block.to_raw().get(),
            r#"{"text":"a\"é","n":"t","list":[1,{"x":2.50}],"last":true,"new":7}"#
        );
    }
}
