//! What a model thought as OpenRouter and LiteLLM stream it: a list of items, of which each arrives in pieces.

use serde_json::value::RawValue;

use crate::raw_object::{RawObject, raw};

/// The fields of a message and of its pieces: OpenRouter's, and LiteLLM's for Claude.
pub(super) const FIELDS: [&str; 2] = ["reasoning_details", "thinking_blocks"];
/// The fields of an item that grow; all others come whole.
const GROWING: [&str; 3] = ["text", "summary", "thinking"];

/// The items so far. They are sent back as whole ones: a signature is for the whole text and stands beside it.
#[derive(Debug, Default)]
pub(super) struct Details {
    items: Vec<RawObject>,
}

impl Details {
    /// Takes in a piece of the field: items, of which the first may go on with the last one so far.
    pub(super) fn take(&mut self, pieces: Vec<RawObject>) {
        for piece in pieces {
            match self.items.last_mut().filter(|last| goes_on(last, &piece)) {
                Some(last) => grow(last, piece),
                None => self.items.push(piece),
            }
        }
    }

    /// The field as it is sent back; nothing when no piece of it came.
    pub(super) fn to_raw(&self) -> Option<Box<RawValue>> {
        if self.items.is_empty() {
            return None;
        }
        let items: Vec<Box<RawValue>> = self.items.iter().map(RawObject::to_raw).collect();
        let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
        Some(raw(format!("[{}]", items.join(","))))
    }
}

/// Whether `piece` is more of `item`. What is encrypted always comes whole.
fn goes_on(item: &RawObject, piece: &RawObject) -> bool {
    let same = |key: &str| item.raw(key).map(RawValue::get) == piece.raw(key).map(RawValue::get);
    let grows = match piece.text("type").as_deref() {
        Some("reasoning.text" | "reasoning.summary") => true,
        // Nothing but its signature ends one of these.
        Some("thinking") => item.text("signature").is_none_or(|signature| signature.is_empty()),
        Some(_) | None => false,
    };
    // An id may come with one of the pieces only.
    let other_id = item.text("id").zip(piece.text("id")).is_some_and(|(item, piece)| item != piece);
    grows && same("type") && same("index") && !other_id
}

fn grow(item: &mut RawObject, piece: RawObject) {
    for (key, value) in piece.into_raw_fields() {
        if GROWING.contains(&key.as_str()) {
            item.merge(&key, value);
        } else {
            item.set_told(&key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_together(pieces: &[&str]) -> String {
        let mut details = Details::default();
        for piece in pieces {
            details.take(serde_json::from_str(piece).unwrap());
        }
        details.to_raw().unwrap().get().to_owned()
    }

    #[test]
    fn a_text_and_its_signature_become_one_item() {
        let whole = put_together(&[
            r#"[{"type":"reasoning.text","text":"H","signature":null,"format":"f","index":0}]"#,
            r#"[{"type":"reasoning.text","text":"m","format":"f","index":0}]"#,
            r#"[{"type":"reasoning.text","signature":"s","index":0}]"#,
        ]);
        assert_eq!(
            whole,
            r#"[{"type":"reasoning.text","text":"Hm","signature":"s","format":"f","index":0}]"#
        );
    }

    #[test]
    fn the_signature_of_a_block_ends_it() {
        let whole = put_together(&[
            r#"[{"type":"thinking","thinking":"H","signature":null}]"#,
            r#"[{"type":"thinking","thinking":"m"}]"#,
            r#"[{"type":"thinking","thinking":"","signature":"s"}]"#,
            r#"[{"type":"redacted_thinking","data":"x"}]"#,
            r#"[{"type":"thinking","thinking":"So","signature":"t"}]"#,
            r#"[{"type":"thinking","thinking":"it","signature":""}]"#,
        ]);
        let blocks = [
            r#"{"type":"thinking","thinking":"Hm","signature":"s"}"#,
            r#"{"type":"redacted_thinking","data":"x"}"#,
            r#"{"type":"thinking","thinking":"So","signature":"t"}"#,
            r#"{"type":"thinking","thinking":"it","signature":""}"#,
        ];
        assert_eq!(whole, format!("[{}]", blocks.join(",")));
    }

    #[test]
    fn items_that_differ_stay_apart() {
        let pieces = [
            r#"[{"type":"reasoning.summary","summary":"A","index":0},{"type":"reasoning.summary","summary":"B","index":1}]"#,
            r#"[{"type":"reasoning.encrypted","data":"x","id":"one","index":1}]"#,
            r#"[{"type":"reasoning.encrypted","data":"y","id":"one","index":1}]"#,
            r#"[{"type":"reasoning.text","text":"C","id":"two"}]"#,
            r#"[{"type":"reasoning.text","text":"D","id":"three"}]"#,
            r#"[{"t":1.0},{"t":1.0}]"#,
        ];
        let apart: Vec<&str> =
            pieces.iter().map(|piece| piece.trim_start_matches('[').trim_end_matches(']')).collect();
        assert_eq!(put_together(&pieces), format!("[{}]", apart.join(",")));
    }
}
