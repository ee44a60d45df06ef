//! Replies with something wrong in them.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::fault::Garble;

/// An event of this many bytes is longer than any that a provider sends.
const OVERSIZED_BYTES: usize = 5 * 1024 * 1024;
/// What no client can know, in the form of every wire; the comment is what OpenRouter sends while it waits.
const UNKNOWN: &str = concat!(
    ": OPENROUTER PROCESSING\n\n",
    "id: 7\nretry: 10\nevent: brand_new\ndata: {\"type\":\"brand_new\",\"object\":\"brand.new\",\"brand_new\":[{}]}\n\n",
    "data: {\"type\":\"brand_new\",\"message\":\"text\",\"index\":\"a\",\"delta\":7,\"content_block\":1,\"response\":[],",
    "\"output_index\":{},\"item\":\"text\",\"choices\":\"none\",\"model\":7,\"usage\":\"much\"}\n\n",
);
/// What proxies say, whatever wire is spoken through them.
const BARE_ERROR: &str = "data: {\"type\":\"error\",\"message\":\"Overloaded\"}\n\n";

/// `frames`, each an event, with something wrong in them; `place` is the one in the middle.
pub(super) fn garbled(garble: &Garble, frames: Vec<Bytes>, place: usize) -> Vec<Bytes> {
    let mut frames = frames;
    // The piece that came last before the middle.
    let at = place.saturating_sub(1).min(frames.len().saturating_sub(1));
    match garble {
        Garble::Twice => {
            let repeated = frames.get(at).cloned();
            frames.splice(at..at, repeated);
        }
        Garble::NotUtf8 => frames.insert(at, Bytes::from_static(b"data: \xc3\x28\xff\n\n")),
        Garble::NotJson => {
            if let Some(frame) = frames.get_mut(at) {
                let half = frame.slice(..frame.len() - frame.len() / 4);
                *frame = [&half[..], b"\n\n"].concat().into();
            }
        }
        Garble::Unknown => frames.insert(at, UNKNOWN.into()),
        Garble::Repeats => frames.iter_mut().for_each(|frame| *frame = changed(frame, &repeat)),
        Garble::Oversized => {
            frames.insert(at, format!("data: \"{}\"\n\n", "x".repeat(OVERSIZED_BYTES)).into());
        }
        Garble::OversizedComment => {
            frames.insert(at, format!(": {}\n\n", "x".repeat(OVERSIZED_BYTES)).into());
        }
        Garble::Halves => return frames.iter().flat_map(halved).collect(),
        Garble::HalfAlone => {
            return frames.iter().filter_map(|frame| halved(frame).into_iter().next()).collect();
        }
        Garble::BareError => frames.insert(at, BARE_ERROR.into()),
        Garble::NoReason => frames.retain_mut(|frame| {
            let text = String::from_utf8_lossy(frame);
            let is_last = ["message_delta", "response.completed", "response.incomplete"]
                .iter()
                .any(|kind| text.contains(&format!("\"type\":\"{kind}\"")));
            *frame = changed(frame, &|event| {
                if let Some(reason) = event.pointer_mut("/choices/0/finish_reason") {
                    *reason = Value::Null;
                }
            });
            !is_last
        }),
        Garble::Counts(count) => frames.iter_mut().for_each(|frame| {
            *frame = recounted(frame, &|counts| {
                counts.values_mut().filter(|value| value.is_u64()).for_each(|value| *value = count.clone());
            });
        }),
        Garble::NoCounts => {
            frames.iter_mut().for_each(|frame| *frame = recounted(frame, &Map::clear));
        }
        Garble::Crumbs => {
            let whole = frames.concat();
            let lines = whole.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(&b"\r\n"[..]);
            return lines.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
        }
    }
    frames
}

/// `frame` with each object of counts changed.
fn recounted(frame: &Bytes, change: &dyn Fn(&mut Map<String, Value>)) -> Bytes {
    changed(frame, &|event| recount(event, change))
}

/// `frame` with its data changed.
fn changed(frame: &Bytes, change: &dyn Fn(&mut Value)) -> Bytes {
    let text = String::from_utf8_lossy(frame);
    let Some((head, data)) = text.split_once("data: ") else { return frame.clone() };
    let Ok(mut value) = serde_json::from_str::<Value>(data) else { return frame.clone() };
    change(&mut value);
    format!("{head}data: {value}\n\n").into()
}

/// Puts a field that nobody knows where the piece is.
fn repeat(event: &mut Value) {
    let place = ["/choices/0/delta", "/delta"]
        .into_iter()
        .find(|place| event.pointer(place).is_some_and(Value::is_object));
    let piece = event.pointer_mut(place.unwrap_or_default()).and_then(Value::as_object_mut);
    if let Some(piece) = piece {
        piece.insert("channel".to_owned(), "final".into());
    }
}

/// `frame`, when it is a piece with a character of two halves, as two of them: the character is cut.
fn halved(frame: &Bytes) -> Vec<Bytes> {
    let text = String::from_utf8_lossy(frame);
    let cut =
        text.contains("\"delta\"").then(|| text.char_indices().find(|(_, c)| c.len_utf16() == 2)).flatten();
    let Some((at, character)) = cut else { return vec![frame.clone()] };
    let (begin, end) = string_around(&text, at);
    let mut units = [0; 2];
    let [first, second] = character.encode_utf16(&mut units) else { return vec![frame.clone()] };
    let rest = &text[at + character.len_utf8()..end];
    vec![
        format!(r"{}\u{first:04x}{}", &text[..at], &text[end..]).into(),
        format!(r"{}\u{second:04x}{rest}{}", &text[..begin], &text[end..]).into(),
    ]
}

/// Where the JSON string begins and ends that is around `at`.
fn string_around(text: &str, at: usize) -> (usize, usize) {
    let (mut begin, mut escaped) = (None, false);
    for (n, byte) in text.bytes().enumerate() {
        match (byte, begin) {
            _ if std::mem::take(&mut escaped) => {}
            (b'\\', Some(_)) => escaped = true,
            (b'"', Some(begun)) if n > at => return (begun, n),
            (b'"', Some(_)) => begin = None,
            (b'"', None) => begin = Some(n + 1),
            _ => {}
        }
    }
    (at, text.len())
}

fn recount(value: &mut Value, change: &dyn Fn(&mut Map<String, Value>)) {
    let Some(object) = value.as_object_mut() else { return };
    for (key, value) in object {
        match value.as_object_mut() {
            Some(counts) if key == "usage" => {
                counts.values_mut().filter_map(Value::as_object_mut).for_each(change);
                change(counts);
            }
            Some(_) | None => recount(value, change),
        }
    }
}
