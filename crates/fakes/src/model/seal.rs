//! Signatures of thinking: each holds for its text and for everything that was said before it.
//!
//! The real ones are secret; these need only tell a test what was altered. They are stateless, so that a stand-in
//! that was started again still knows them.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

/// What was said before a reply.
#[derive(Clone, Default)]
pub(super) struct Prefix(DefaultHasher);

/// What is wrong with a thinking block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It is not what the model thought.
    Altered,
    /// Something before it is not what it was.
    Moved,
}

impl Prefix {
    /// The prefix with one more part. Cache marks are no part of what was said.
    pub(super) fn push(&mut self, part: &Value) {
        hash_said(part, &mut self.0);
    }

    /// `recorded` with the seal for `text` at this place.
    pub(super) fn seal(&self, recorded: &str, text: &str) -> String {
        format!("{recorded}.{:016x}.{:016x}", hash_of(&(recorded, text)), self.0.finish())
    }

    /// Whether `signature` is the one for `text` at this place.
    pub(super) fn check(&self, signature: &str, text: &str) -> Result<(), Broken> {
        let mut parts = signature.rsplitn(3, '.');
        let (Some(place), Some(seal), Some(recorded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Broken::Altered);
        };
        if seal != format!("{:016x}", hash_of(&(recorded, text))) {
            return Err(Broken::Altered);
        }
        if place == format!("{:016x}", self.0.finish()) { Ok(()) } else { Err(Broken::Moved) }
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Hashes `value` without its cache marks.
fn hash_said(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(key, _)| *key != "cache_control") {
                key.hash(hasher);
                hash_said(value, hasher);
            }
            '}'.hash(hasher);
        }
        Value::Array(items) => {
            items.iter().for_each(|item| hash_said(item, hasher));
            ']'.hash(hasher);
        }
        Value::String(text) => text.hash(hasher),
        Value::Number(number) => number.hash(hasher),
        Value::Bool(bool) => bool.hash(hasher),
        Value::Null => '0'.hash(hasher),
    }
}
