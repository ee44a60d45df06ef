//! What stands in the `content` of a reply: a text, or a list of parts, as which Mistral's models send what they think.

use serde_json::value::RawValue;

use crate::Part;
use crate::halves::Grown;
use crate::raw_object::{RawObject, push_json_string, raw};

/// Parts of one reply. Neighbours of a kind are one part; a server that sends more of them is broken.
const PARTS_MAX: usize = 1024;

/// The content so far.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What came as a text before any list did.
    text: Grown,
    /// What came since the first list; that text is its first part.
    list: Option<Vec<Item>>,
}

/// A part of a list. Its pieces are sent back as one: Mistral refuses thoughts in several parts, 400 "Expected at most one
/// leading ThinkChunk" (github.com/earendil-works/pi/issues/9674).
#[derive(Debug, Default)]
struct Item {
    fields: RawObject,
    /// What stands in its `thinking` where that is a list.
    thoughts: Vec<RawObject>,
}

impl Content {
    /// Takes in a piece of it, which is a text or a list whatever came before, and gives what is new for people. Nothing when
    /// the piece is neither, which changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, piece: &RawValue) -> Result<Option<Vec<Part>>, &'static str> {
        let is_text = piece.get().starts_with('"');
        if is_text && self.list.is_none() {
            let more = self.text.grow(piece).filter(|more| !more.is_empty());
            return Ok(Some(more.map(Part::Text).into_iter().collect()));
        }
        let items =
            if is_text { Some(vec![text_item(piece)]) } else { serde_json::from_str(piece.get()).ok() };
        let Some(items): Option<Vec<RawObject>> = items else { return Ok(None) };
        let list = self.list.get_or_insert_with(|| begun_with(std::mem::take(&mut self.text)));
        let heard = items.into_iter().filter_map(|item| take_item(list, item)).collect();
        if list.len() > PARTS_MAX { Err("its content has too many parts") } else { Ok(Some(heard)) }
    }

    /// It as it is sent back; nothing when there is nothing in it.
    pub(super) fn into_raw(self) -> Option<Box<RawValue>> {
        match self.list {
            Some(list) if list.is_empty() => None,
            Some(list) => Some(listed(list.into_iter().map(Item::into_raw))),
            None if self.text.is_empty() => None,
            None => {
                let mut json = String::new();
                push_json_string(&mut json, &self.text.text());
                Some(raw(json))
            }
        }
    }
}

impl Item {
    fn is(&self, kind: &str) -> bool {
        self.fields.text("type").as_deref() == Some(kind)
    }

    /// Whether a thought goes on here that is said in a list, or as a text, or says nothing. Its signature alone ends one.
    fn goes_on(&self, is_listed: Option<bool>, is_signed: bool) -> bool {
        let is_open = is_blank(&self.fields, "signature") || (is_listed.is_none() && !is_signed);
        self.is("thinking") && is_open && is_listed.is_none_or(|listed| listed != self.thoughts.is_empty())
    }

    fn into_raw(mut self) -> Box<RawValue> {
        if !self.thoughts.is_empty() {
            self.fields.set("thinking", listed(self.thoughts.iter().map(RawObject::to_raw)));
        }
        self.fields.to_raw()
    }
}

/// What a whole content says and thinks, in its order. A text that something else stands in, such as a reference, is one.
pub(super) fn parts(content: &RawValue) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for part in Content::default().take(content).ok().flatten().unwrap_or_default() {
        match (parts.last_mut(), part) {
            (Some(Part::Text(text)), Part::Text(more)) => text.push_str(&more),
            (Some(Part::Thought(thought)), Part::Thought(more)) => thought.push_str(&more),
            (_, part) => parts.push(part),
        }
    }
    parts
}

/// A list whose first part is `text`, if it says something.
fn begun_with(text: Grown) -> Vec<Item> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut fields = RawObject::default();
    fields.set_text("type", "text".to_owned());
    fields.set_grown("text", text);
    vec![Item { fields, thoughts: Vec::new() }]
}

/// Takes a part into `list`, which may go on with the last one there. Gives what is new in it for people.
fn take_item(list: &mut Vec<Item>, item: RawObject) -> Option<Part> {
    match item.text("type").as_deref() {
        Some("text") => take_text(list, item).map(Part::Text),
        Some("thinking") => take_thought(list, item).map(Part::Thought),
        Some(_) | None => {
            list.push(Item { fields: item, thoughts: Vec::new() });
            None
        }
    }
}

fn take_text(list: &mut Vec<Item>, item: RawObject) -> Option<String> {
    // A text of nothing between two pieces of a thought would part them.
    if is_blank(&item, "text") {
        return None;
    }
    if !list.last().is_some_and(|last| last.is("text")) {
        list.push(Item::default());
    }
    grow(&mut list.last_mut()?.fields, "text", item)
}

fn take_thought(list: &mut Vec<Item>, mut item: RawObject) -> Option<String> {
    let listed: Option<Vec<RawObject>> =
        item.raw("thinking").and_then(|thought| serde_json::from_str(thought.get()).ok());
    let is_listed = listed.is_some();
    let mut thoughts = listed.unwrap_or_default();
    thoughts
        .retain(|thought| !(is_blank(thought, "text") && thought.text("type").as_deref() == Some("text")));
    let says = !thoughts.is_empty() || (!is_listed && !is_blank(&item, "thinking"));
    let is_signed = !is_blank(&item, "signature");
    let goes_on = list.last().is_some_and(|last| last.goes_on(says.then_some(is_listed), is_signed));
    if !goes_on && !says && !is_signed {
        return None;
    }
    if !goes_on {
        list.push(Item::default());
    }
    let last = list.last_mut()?;
    if is_listed {
        // Its place among the fields; what stands in it comes when all of it has come.
        item.set("thinking", raw("[]".to_owned()));
    }
    let mut heard = grow(&mut last.fields, "thinking", item).unwrap_or_default();
    for thought in thoughts {
        let is_text = |thought: &RawObject| thought.text("type").as_deref() == Some("text");
        if !is_text(&thought) {
            last.thoughts.push(thought);
            continue;
        }
        if !last.thoughts.last().is_some_and(is_text) {
            last.thoughts.push(RawObject::default());
        }
        let grown = last.thoughts.last_mut().and_then(|last| grow(last, "text", thought));
        heard.push_str(&grown.unwrap_or_default());
    }
    Some(heard).filter(|heard| !heard.is_empty())
}

/// Takes the fields of a piece into a part: the text called `key` grows, others are what was said last. Gives what is new
/// in the text.
fn grow(part: &mut RawObject, key: &str, piece: RawObject) -> Option<String> {
    let mut more = None;
    for (field, value) in piece.into_raw_fields() {
        if field == key && value.get().starts_with('"') {
            more = part.append_text(key, &value);
        } else if field != key || part.keys().all(|there| there != key) {
            part.set_told(&field, value);
        }
    }
    more.filter(|more| !more.is_empty())
}

/// A text as a part of a list.
fn text_item(text: &RawValue) -> RawObject {
    let mut item = RawObject::default();
    item.set_text("type", "text".to_owned());
    item.set("text", text.to_owned());
    item
}

/// Whether nothing stands in a field. Half a character is not nothing.
fn is_blank(object: &RawObject, key: &str) -> bool {
    object.text(key).is_none_or(|text| text.is_empty())
}

fn listed(items: impl Iterator<Item = Box<RawValue>>) -> Box<RawValue> {
    let items: Vec<Box<RawValue>> = items.collect();
    let items: Vec<&str> = items.iter().map(|item| item.get()).collect();
    raw(format!("[{}]", items.join(",")))
}

#[cfg(test)]
mod tests;
