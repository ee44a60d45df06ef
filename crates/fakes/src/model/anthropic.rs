//! Anthropic's Messages API.

mod rules;

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Fake;
use super::cache::Kept;
use super::recording::{Block, Recorded};
use super::refusal::{Refusal, Vendor, instead};
use super::seal::Prefix;
use super::sse::{Events, pieces};

pub(super) use rules::is_name;

/// Answers one request.
pub(super) async fn answer(fake: &Fake, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    check_headers(headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Refusal::invalid("content-type: application/json is required"));
    }
    let request: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("The request body is not valid JSON: {error}")))?;
    let asked = rules::check(&request, fake.recording())?;
    let Some(reply) = fake.recording().reply(asked.place) else {
        let (count, place) = (fake.recording().len(), asked.place + 1);
        return Err(Refusal::invalid(format!(
            "the recording has {count} replies, and reply {place} was asked for"
        )));
    };
    let fault = fake.next_fault();
    tokio::time::sleep(reply.delay()).await;
    if let Some(answer) = instead(fault.as_ref(), Vendor::Anthropic) {
        return Ok(answer);
    }
    let reply = &*fake.counted(reply, body, Kept::up_to_marks);
    let model = reply.model.as_deref().unwrap_or(asked.model);
    if !asked.stream {
        return Ok(Json(whole(reply, model, asked.place, &asked.prefix)).into_response());
    }
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let events = events(reply, model, asked.place, &asked.prefix);
    Ok(events.respond(fault.as_ref(), (Some("error"), overloaded)))
}

pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    let filled = |name| headers.get(name).is_some_and(|value| !value.as_bytes().is_empty());
    if !filled("x-api-key") && !filled("authorization") {
        return Err(Refusal::new(401, "authentication_error", "x-api-key header is required"));
    }
    if !filled("anthropic-version") {
        return Err(Refusal::invalid("anthropic-version: header is required"));
    }
    Ok(())
}

pub(super) fn models(names: &[&str]) -> Json<Value> {
    let model = |name: &&str| json!({ "type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z" });
    let data: Vec<Value> = names.iter().map(model).collect();
    Json(json!({ "data": data, "has_more": false, "first_id": names.first(), "last_id": names.last() }))
}

fn events(reply: &Recorded, model: &str, place: usize, prefix: &Prefix) -> Events {
    let mut events = Events::default();
    let mut start = message(reply, model, place);
    start["usage"]["output_tokens"] = 1.into();
    push(&mut events, json!({ "type": "message_start", "message": start }));
    push(&mut events, json!({ "type": "ping" }));
    for (index, block) in reply.content.iter().enumerate() {
        let ends = if reply.is_cut() && index + 1 == reply.content.len() { Ends::Cut } else { Ends::Whole };
        push_block(&mut events, (index, block), prefix, ends);
    }
    let delta = json!({ "stop_reason": reply.stop(), "stop_sequence": null });
    let usage = json!({ "output_tokens": reply.usage.output_tokens });
    push(&mut events, json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    push(&mut events, json!({ "type": "message_stop" }));
    events
}

/// How a block ends.
#[derive(PartialEq, Eq)]
enum Ends {
    /// As the model ended it.
    Whole,
    /// At the limit of the output: a thought has no signature then.
    Cut,
}

fn push_block(events: &mut Events, (index, block): (usize, &Block), prefix: &Prefix, ends: Ends) {
    let start = match block.kind() {
        "text" => with_field(&block.value, "text", "".into()),
        "thinking" => with_field(&with_field(&block.value, "thinking", "".into()), "signature", "".into()),
        "tool_use" => with_field(&block.value, "input", json!({})),
        "redacted_thinking" => sealed(block, prefix),
        _ => {
            // A kind that nobody knows comes whole, as it was written.
            let raw = block.raw.get();
            let data = format!(r#"{{"type":"content_block_start","index":{index},"content_block":{raw}}}"#);
            events.push(Some("content_block_start"), data);
            push(events, json!({ "type": "content_block_stop", "index": index }));
            return;
        }
    };
    push(events, json!({ "type": "content_block_start", "index": index, "content_block": start }));
    let mut delta =
        |delta: Value| push(events, json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    match block.kind() {
        "text" => pieces(block.text("text"))
            .iter()
            .for_each(|text| delta(json!({ "type": "text_delta", "text": text }))),
        "thinking" => {
            let thinking = block.text("thinking");
            for piece in pieces(thinking) {
                delta(json!({ "type": "thinking_delta", "thinking": piece }));
            }
            if ends == Ends::Whole {
                let signature = prefix.seal(block.text("signature"), thinking);
                delta(json!({ "type": "signature_delta", "signature": signature }));
            }
        }
        "tool_use" => {
            delta(json!({ "type": "input_json_delta", "partial_json": "" }));
            let pieces = pieces(block.arguments());
            for (n, piece) in pieces.iter().enumerate() {
                push(
                    events,
                    json!({ "type": "content_block_delta", "index": index,
                    "delta": { "type": "input_json_delta", "partial_json": piece } }),
                );
                if n == (pieces.len() - 1) / 2 {
                    events.mark_amid_call();
                }
            }
        }
        _ => {}
    }
    push(events, json!({ "type": "content_block_stop", "index": index }));
}

fn push(events: &mut Events, data: Value) {
    let name = data["type"].as_str().map(str::to_owned);
    events.push(name.as_deref(), data);
}

/// The reply in one piece.
fn whole(reply: &Recorded, model: &str, place: usize, prefix: &Prefix) -> Value {
    let mut message = message(reply, model, place);
    message["content"] = reply.content.iter().map(|block| sealed(block, prefix)).collect();
    message["stop_reason"] = reply.stop().into();
    message
}

/// The reply without its content.
fn message(reply: &Recorded, model: &str, place: usize) -> Value {
    let usage = json!({
        "input_tokens": reply.usage.input_tokens,
        "cache_creation_input_tokens": reply.usage.cache_creation_input_tokens,
        "cache_read_input_tokens": reply.usage.cache_read_input_tokens,
        "output_tokens": reply.usage.output_tokens,
        "service_tier": "standard",
    });
    json!({
        "id": format!("msg_fake{place:04}"), "type": "message", "role": "assistant", "model": model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    })
}

/// The block with the signature that holds in this conversation.
fn sealed(block: &Block, prefix: &Prefix) -> Value {
    match block.kind() {
        "thinking" => {
            let signature = prefix.seal(block.text("signature"), block.text("thinking"));
            with_field(&block.value, "signature", signature.into())
        }
        "redacted_thinking" => with_field(&block.value, "data", prefix.seal(block.text("data"), "").into()),
        _ => block.value.clone(),
    }
}

/// `block` with another value in `field`.
fn with_field(block: &Value, field: &str, value: Value) -> Value {
    let mut block = block.clone();
    block[field] = value;
    block
}
