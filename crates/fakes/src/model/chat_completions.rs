//! OpenAI's Chat Completions API.

mod makers;
mod rules;

pub(super) use rules::{flag, known_fields, text, wrong_type};

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Fake;
use super::cache::Kept;
use super::recording::{Block, Recorded};
use super::refusal::{Refusal, Vendor, instead};
use super::sse::{Events, pieces};
use makers::Maker;

/// When every reply is said to have been made: a clock would make no two runs alike.
const CREATED: u64 = 1_790_000_000;

/// Answers one request.
pub(super) async fn answer(fake: &Fake, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    check_headers(headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Refusal::invalid(
            "Unsupported Content-Type: this API method only accepts 'application/json'",
        ));
    }
    let request: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Refusal::invalid("We could not parse the JSON body of your request."))?;
    let asked = rules::check(&request, fake.recording())?;
    let Some(reply) = fake.recording().reply(asked.place) else {
        let (count, place) = (fake.recording().len(), asked.place + 1);
        return Err(Refusal::invalid(format!(
            "the recording has {count} replies, and reply {place} was asked for"
        )));
    };
    let fault = fake.next_fault();
    tokio::time::sleep(reply.delay()).await;
    if let Some(answer) = instead(fault.as_ref(), Vendor::OpenAi) {
        return Ok(answer);
    }
    let reply = &*fake.counted(reply, body, Kept::in_common);
    let model = reply.model.as_deref().unwrap_or(asked.model);
    if !asked.stream {
        return Ok(Json(whole(reply, model, &asked)).into_response());
    }
    let overloaded =
        r#"{"error":{"message":"The server is overloaded","type":"server_error","param":null,"code":null}}"#;
    let chunks = Chunks { model, maker: asked.maker, place: asked.place, usage: asked.include_usage };
    Ok(chunks.events(reply).respond(fault.as_ref(), (None, overloaded)))
}

pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let auth = headers.get(AUTHORIZATION).and_then(|auth| auth.to_str().ok()).unwrap_or_default();
    if auth.strip_prefix("Bearer ").is_none_or(|key| key.trim().is_empty()) {
        let message = "You didn't provide an API key. You need to provide your API key in an Authorization header using \
                       Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
        return Err(Refusal::new(401, "invalid_request_error", message));
    }
    Ok(())
}

pub(super) fn models(names: &[&str]) -> Json<Value> {
    let model =
        |name: &&str| json!({ "id": name, "object": "model", "created": CREATED, "owned_by": "fake" });
    Json(json!({ "object": "list", "data": names.iter().map(model).collect::<Vec<_>>() }))
}

/// What all chunks of a reply have in common.
struct Chunks<'a> {
    model: &'a str,
    maker: Maker,
    place: usize,
    usage: bool,
}

impl Chunks<'_> {
    fn events(&self, reply: &Recorded) -> Events {
        let mut events = Events::default();
        self.push(&mut events, json!({ "role": "assistant", "content": "", "refusal": null }), Value::Null);
        let mut calls = 0;
        for block in &reply.content {
            match block.kind() {
                "text" => {
                    self.push_pieces(&mut events, block.text("text"), |piece| json!({ "content": piece }))
                }
                "thinking" => {
                    self.push_pieces(&mut events, block.text("thinking"), |piece| self.maker.thought(piece));
                }
                "tool_use" => {
                    self.push_call(&mut events, calls, block);
                    calls += 1;
                }
                _ => {}
            }
        }
        self.push(&mut events, json!({}), finish_reason(reply).into());
        if self.usage {
            let mut last = self.chunk(json!([]));
            last["usage"] = usage(reply);
            events.push(None, last);
        }
        events.push(None, "[DONE]");
        events
    }

    fn push_pieces(&self, events: &mut Events, text: &str, delta: impl Fn(&str) -> Value) {
        for piece in pieces(text) {
            self.push(events, delta(piece), Value::Null);
        }
    }

    fn push_call(&self, events: &mut Events, index: usize, block: &Block) {
        let function = json!({ "name": block.text("name"), "arguments": "" });
        let mut call =
            json!({ "index": index, "id": block.text("id"), "type": "function", "function": function });
        if let Some(call) = call.as_object_mut() {
            call.extend(self.maker.beside(index, self.place));
        }
        self.push(events, json!({ "tool_calls": [call] }), Value::Null);
        let pieces = pieces(block.arguments());
        for (n, piece) in pieces.iter().enumerate() {
            let call = json!({ "index": index, "function": { "arguments": piece } });
            self.push(events, json!({ "tool_calls": [call] }), Value::Null);
            if n == (pieces.len() - 1) / 2 {
                events.mark_amid_call();
            }
        }
    }

    fn push(&self, events: &mut Events, delta: Value, finish_reason: Value) {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason });
        events.push(None, self.chunk(json!([choice])));
    }

    fn chunk(&self, choices: Value) -> Value {
        let mut chunk = json!({
            "id": id(self.place), "object": "chat.completion.chunk", "created": CREATED, "model": self.model,
            "service_tier": "default", "system_fingerprint": "fp_fake", "choices": choices,
        });
        if self.usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

/// The reply in one piece.
fn whole(reply: &Recorded, model: &str, asked: &rules::Asked<'_>) -> Value {
    let said = |kind: &str, field: &str| {
        let blocks = reply.content.iter().filter(|block| block.kind() == kind);
        let text: String = blocks.map(|block| block.text(field)).collect();
        if text.is_empty() { Value::Null } else { text.into() }
    };
    let mut message = json!({ "role": "assistant", "content": said("text", "text"), "refusal": null });
    let calls = reply.content.iter().filter(|block| block.kind() == "tool_use").enumerate();
    let calls: Vec<Value> = calls.map(|(n, block)| call(block, asked.maker.beside(n, asked.place))).collect();
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    if let Some(thought) = said("thinking", "thinking").as_str() {
        asked.maker.put_thought(&mut message, thought);
    }
    let choice =
        json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(reply) });
    json!({
        "id": id(asked.place), "object": "chat.completion", "created": CREATED, "model": model,
        "service_tier": "default", "system_fingerprint": "fp_fake", "choices": [choice], "usage": usage(reply),
    })
}

fn call(block: &Block, beside: Map<String, Value>) -> Value {
    let function = json!({ "name": block.text("name"), "arguments": block.arguments() });
    let mut call = json!({ "id": block.text("id"), "type": "function", "function": function });
    if let Some(call) = call.as_object_mut() {
        call.extend(beside);
    }
    call
}

fn id(place: usize) -> String {
    format!("chatcmpl-fake{place:04}")
}

/// This wire counts cached tokens within the prompt.
fn usage(reply: &Recorded) -> Value {
    let usage = reply.usage;
    let prompt = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": { "cached_tokens": usage.cache_read_input_tokens, "audio_tokens": 0,
            "cache_write_tokens": usage.cache_creation_input_tokens },
        "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 },
    })
}

fn finish_reason(reply: &Recorded) -> &str {
    match reply.stop() {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool_calls",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "content_filter",
        other => other,
    }
}
