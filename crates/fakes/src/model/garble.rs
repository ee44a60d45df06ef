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
);

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
        Garble::Oversized => frames.insert(at, format!(": {}\n\n", "x".repeat(OVERSIZED_BYTES)).into()),
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
    let text = String::from_utf8_lossy(frame);
    let Some((head, data)) = text.split_once("data: ") else { return frame.clone() };
    let Ok(mut value) = serde_json::from_str::<Value>(data) else { return frame.clone() };
    recount(&mut value, change);
    format!("{head}data: {value}\n\n").into()
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
