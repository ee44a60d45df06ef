//! A reply of the Responses API as its events.

use serde_json::{Value, json};

use super::super::recording::Recorded;
use super::super::sse::{Events, pieces};
use super::Frame;
use super::items::{self, Item, Summary};

/// The events of `reply`.
pub(super) fn of(reply: &Recorded, frame: &Frame<'_>) -> Events {
    let mut told = Told { events: Events::default(), count: 0 };
    told.push(json!({ "type": "response.created", "response": frame.response(None, Vec::new()) }));
    told.push(json!({ "type": "response.in_progress", "response": frame.response(None, Vec::new()) }));
    let items = items::of(reply, frame.place, frame.shown);
    for (index, item) in items.iter().enumerate() {
        told.item(index, item, frame);
    }
    let response = frame.response(Some(reply), items.iter().map(Item::value).collect());
    let kind = if response["status"] == "completed" { "response.completed" } else { "response.incomplete" };
    told.push(json!({ "type": kind, "response": response }));
    told.events
}

/// The events so far, each with its number.
struct Told {
    events: Events,
    count: usize,
}

impl Told {
    fn push(&mut self, mut event: Value) {
        event["sequence_number"] = self.count.into();
        self.count += 1;
        let name = event["type"].as_str().map(str::to_owned);
        self.events.push(name.as_deref(), event);
    }

    fn item(&mut self, index: usize, item: &Item<'_>, frame: &Frame<'_>) {
        let place = json!({ "item_id": item.id, "output_index": index });
        let mut begun = item.value();
        match item.block.kind() {
            "text" => {
                begun["status"] = "in_progress".into();
                begun["content"] = json!([]);
                self.added(index, begun);
                self.text(&place, item);
            }
            "thinking" => {
                begun["summary"] = json!([]);
                self.added(index, begun);
                if frame.shown.summary == Summary::Told {
                    self.summary(&place, item);
                }
            }
            "tool_use" => {
                begun["status"] = "in_progress".into();
                begun["arguments"] = "".into();
                self.added(index, begun);
                self.arguments(&place, item);
            }
            _ => self.added(index, begun),
        }
        let count = self.count;
        self.count += 1;
        let json = item.json();
        let data = format!(
            r#"{{"type":"response.output_item.done","output_index":{index},"item":{json},"sequence_number":{count}}}"#
        );
        self.events.push(Some("response.output_item.done"), data);
    }

    fn added(&mut self, index: usize, item: Value) {
        self.push(json!({ "type": "response.output_item.added", "output_index": index, "item": item }));
    }

    fn text(&mut self, place: &Value, item: &Item<'_>) {
        let text = item.block.text("text");
        let part =
            |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
        self.at(
            place,
            json!({ "type": "response.content_part.added", "content_index": 0, "part": part("") }),
        );
        for piece in pieces(text) {
            let delta = json!({ "type": "response.output_text.delta", "content_index": 0, "delta": piece, "logprobs": [] });
            self.at(place, delta);
        }
        self.at(
            place,
            json!({ "type": "response.output_text.done", "content_index": 0, "text": text, "logprobs": [] }),
        );
        self.at(
            place,
            json!({ "type": "response.content_part.done", "content_index": 0, "part": part(text) }),
        );
    }

    fn summary(&mut self, place: &Value, item: &Item<'_>) {
        let text = item.block.text("thinking");
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        self.at(
            place,
            json!({ "type": "response.reasoning_summary_part.added", "summary_index": 0, "part": part("") }),
        );
        for piece in pieces(text) {
            let delta = json!({ "type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": piece });
            self.at(place, delta);
        }
        self.at(
            place,
            json!({ "type": "response.reasoning_summary_text.done", "summary_index": 0, "text": text }),
        );
        self.at(
            place,
            json!({ "type": "response.reasoning_summary_part.done", "summary_index": 0, "part": part(text) }),
        );
    }

    fn arguments(&mut self, place: &Value, item: &Item<'_>) {
        let pieces = pieces(item.block.arguments());
        for (n, piece) in pieces.iter().enumerate() {
            self.at(place, json!({ "type": "response.function_call_arguments.delta", "delta": piece }));
            if n == (pieces.len() - 1) / 2 {
                self.events.mark_amid_call();
            }
        }
        let arguments = item.block.arguments();
        self.at(place, json!({ "type": "response.function_call_arguments.done", "arguments": arguments }));
    }

    /// An event about the item at `place`.
    fn at(&mut self, place: &Value, mut event: Value) {
        event["item_id"] = place["item_id"].clone();
        event["output_index"] = place["output_index"].clone();
        self.push(event);
    }
}
