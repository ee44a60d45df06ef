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
        without_marks(part).to_string().hash(&mut self.0);
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

fn without_marks(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "cache_control")
            .map(|(key, value)| (key.clone(), without_marks(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_marks).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
