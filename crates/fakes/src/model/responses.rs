//! OpenAI's Responses API, for clients that let nothing be stored.

mod events;
mod items;
mod rules;

use axum::Json;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Fake;
use super::cache::Kept;
use super::recording::Recorded;
use super::refusal::{Refusal, Vendor, instead};
use items::Shown;

/// When every reply is said to have been made: a clock would make no two runs alike.
const CREATED: u64 = 1_790_000_000;

/// Answers one request.
pub(super) async fn answer(fake: &Fake, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    super::chat_completions::check_headers(headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Refusal::invalid(
            "Unsupported Content-Type: this API method only accepts 'application/json'",
        ));
    }
    let request: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| Refusal::invalid("We could not parse the JSON body of your request."))?;
    let asked = rules::check(&request, fake)?;
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
    let frame = Frame { model, place: asked.place, shown: asked.shown, request: &request };
    if !asked.stream {
        let output = items::of(reply, asked.place, asked.shown).iter().map(items::Item::value).collect();
        return Ok(Json(frame.response(Some(reply), output)).into_response());
    }
    let overloaded = r#"{"type":"error","code":"server_error","message":"The server is overloaded","param":null,"sequence_number":99}"#;
    Ok(events::of(reply, &frame).respond(fault.as_ref(), (Some("error"), overloaded)))
}

/// What all forms of a response have in common.
struct Frame<'a> {
    model: &'a str,
    place: usize,
    shown: Shown,
    request: &'a Map<String, Value>,
}

impl Frame<'_> {
    /// The response object: still empty without a `reply`, whole with one.
    fn response(&self, reply: Option<&Recorded>, output: Vec<Value>) -> Value {
        let echoed = |name: &str, otherwise: Value| self.request.get(name).cloned().unwrap_or(otherwise);
        let (status, incomplete) = reply.map_or(("in_progress", Value::Null), ending);
        let mut response = json!({
            "id": format!("resp_fake{:04}", self.place), "object": "response", "created_at": CREATED,
            "status": status, "access_programs": null, "background": false, "error": null, "incomplete_details": incomplete,
            "instructions": echoed("instructions", Value::Null),
            "max_output_tokens": echoed("max_output_tokens", Value::Null),
            "metadata": {}, "model": self.model, "output": output, "parallel_tool_calls": true,
            "previous_response_id": null, "prompt_cache_key": echoed("prompt_cache_key", Value::Null),
            "reasoning": echoed("reasoning", json!({ "effort": null, "summary": null })),
            "service_tier": "default", "temperature": 1.0,
            "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": echoed("tools", json!([])),
            "top_p": 1.0, "truncation": "disabled",
        });
        if let Some(reply) = reply {
            response["usage"] = usage(reply);
        }
        response
    }
}

/// The status of a whole reply, and why it is not complete.
fn ending(reply: &Recorded) -> (&'static str, Value) {
    match reply.stop() {
        "max_tokens" | "model_context_window_exceeded" => {
            ("incomplete", json!({ "reason": "max_output_tokens" }))
        }
        "refusal" => ("incomplete", json!({ "reason": "content_filter" })),
        "end_turn" | "stop_sequence" | "tool_use" => ("completed", Value::Null),
        other => ("incomplete", json!({ "reason": other })),
    }
}

/// This wire counts cached tokens within the input.
fn usage(reply: &Recorded) -> Value {
    let usage = reply.usage;
    let input = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": input + usage.output_tokens,
    })
}
