//! What the stand-in refuses and how it answers, on all wires.

mod makers;
mod responses;

use serde_json::{Value, json};

use super::*;

const RECORDING: &str = concat!(
    r#"{"content":[{"type":"thinking","thinking":"Look first.","signature":"c2ln"},{"type":"text","text":"I look."},"#,
    r#"{"type":"tool_use","id":"t1","name":"bash","input":{"command":"ls -la"}},"#,
    r#"{"type":"tool_use","id":"t2","name":"bash","input":{}}],"usage":{"input_tokens":5,"output_tokens":7},"model":"claude-x"}"#,
    "\n",
    r#"{"content":[{"type":"text","text":"Done."}]}"#,
    "\n"
);

struct Client {
    fake: Fake,
    running: Running,
    http: reqwest::Client,
}

impl Client {
    async fn new() -> Self {
        Self::of(Fake::new(Recording::parse(RECORDING).unwrap())).await
    }

    async fn of(fake: Fake) -> Self {
        let running = fake.start().await.unwrap();
        Self { fake, running, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn anthropic(&self, body: &Value) -> (u16, String) {
        let url = format!("{}/v1/messages", self.running.anthropic_url());
        let request = self.http.post(url).header("x-api-key", "k").header("anthropic-version", "2023-06-01");
        Self::send(request, body).await
    }

    async fn openai(&self, body: &Value) -> (u16, String) {
        let url = format!("{}/chat/completions", self.running.openai_url());
        Self::send(self.http.post(url).bearer_auth("k"), body).await
    }

    async fn responses(&self, body: &Value) -> (u16, String) {
        let url = format!("{}/responses", self.running.openai_url());
        Self::send(self.http.post(url).bearer_auth("k"), body).await
    }

    async fn send(request: reqwest::RequestBuilder, body: &Value) -> (u16, String) {
        let answer =
            request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// A request of Anthropic's wire that is in order, after the first reply.
async fn second_request(client: &Client) -> Value {
    let mut body = json!({
        "model": "claude-x", "max_tokens": 1000, "system": "s",
        "tools": [{ "name": "bash", "input_schema": { "type": "object" } }],
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "hi" }] }],
    });
    let (status, answer) = client.anthropic(&body).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let result = |id: &str| json!({ "type": "tool_result", "tool_use_id": id, "content": "x" });
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": answer["content"] }));
    messages.push(json!({ "role": "user", "content": [result("t1"), result("t2")] }));
    body
}

/// A change to a request, and a part of the refusal that it earns.
type Refused = (fn(&mut Value), &'static str);

const ANTHROPIC: &[Refused] = &[
    (|b| b["max_tokens"] = Value::Null, "max_tokens: Input should be a valid integer"),
    (|b| drop(b.as_object_mut().unwrap().remove("max_tokens")), "max_tokens: Field required"),
    (|b| b["max_tokens"] = 128_001.into(), "128001 > 128000"),
    (|b| b["max_output"] = 1.into(), "max_output: Extra inputs are not permitted"),
    (|b| b["messages"] = json!([]), "at least one message is required"),
    (
        |b| drop(b["messages"].as_array_mut().unwrap().remove(0)),
        "first message must use the \\\"user\\\" role",
    ),
    (|b| drop(b["messages"].as_array_mut().unwrap().pop()), "does not support assistant message prefill"),
    (|b| b["messages"][0]["role"] = "system".into(), "Unexpected role"),
    (|b| b["messages"][0]["content"] = json!([]), "all messages must have non-empty content"),
    (|b| b["messages"][0]["content"][0]["text"] = "".into(), "text content blocks must be non-empty"),
    (|b| b["messages"][0]["content"][0]["text"] = " \n".into(), "must contain non-whitespace text"),
    (
        |b| drop(b["messages"][2]["content"].as_array_mut().unwrap().pop()),
        "without `tool_result` blocks immediately after: t2",
    ),
    (
        |b| {
            b["messages"][2]["content"]
                .as_array_mut()
                .unwrap()
                .insert(0, json!({ "type": "text", "text": "first" }))
        },
        "without `tool_result` blocks immediately after: t1, t2",
    ),
    (
        |b| {
            let orphan = json!({ "type": "tool_result", "tool_use_id": "t9", "content": "x" });
            b["messages"][2]["content"].as_array_mut().unwrap().push(orphan);
        },
        "unexpected `tool_use_id` found in `tool_result` blocks: t9",
    ),
    (
        |b| {
            let again = b["messages"][2]["content"][0].clone();
            b["messages"][2]["content"].as_array_mut().unwrap().push(again);
        },
        "each tool_use must have a single result",
    ),
    (
        |b| b["messages"][2]["content"][0]["is_error"] = "yes".into(),
        "is_error: Input should be a valid boolean",
    ),
    (
        |b| {
            b["messages"][2]["content"][0] =
                json!({ "type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": "" })
        },
        "content cannot be empty if `is_error` is true",
    ),
    (
        |b| b["messages"][1]["content"][2]["input"] = "{}".into(),
        "tool_use.input: Input should be a valid dictionary",
    ),
    (|b| b["messages"][1]["content"][3]["id"] = "t1".into(), "`tool_use` ids must be unique"),
    (
        |b| b["messages"][1]["content"][0]["thinking"] = "Look last.".into(),
        "latest assistant message cannot be modified",
    ),
    (
        |b| b["messages"][1]["content"][0]["signature"] = "c2ln".into(),
        "latest assistant message cannot be modified",
    ),
    (
        |b| drop(b["messages"][1]["content"].as_array_mut().unwrap().remove(0)),
        "Expected `thinking` or `redacted_thinking`",
    ),
    (
        |b| {
            let thought = b["messages"][1]["content"][0].clone();
            b["messages"][1]["content"].as_array_mut().unwrap().push(thought);
        },
        "messages.1: The final block in an assistant message cannot be `thinking`.",
    ),
    (|b| b["system"] = "other".into(), "bound to a different conversation"),
    (|b| b["messages"][0]["content"][0]["text"] = "ho".into(), "bound to a different conversation"),
    (|b| b["messages"][1]["content"][1] = json!({ "type": "odd" }), "Input tag 'odd'"),
    (
        |b| b["messages"][1]["content"][0]["cache_control"] = json!({ "type": "ephemeral" }),
        "thinking.cache_control: Extra inputs",
    ),
    (
        |b| {
            let block = json!({ "type": "text", "text": "x", "cache_control": { "type": "ephemeral" } });
            b["messages"][2]["content"].as_array_mut().unwrap().extend(vec![block; 5]);
        },
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (|b| b["tools"][0]["name"] = "no spaces".into(), "should match pattern"),
    (|b| b["tools"][0]["input_schema"] = json!({}), "input_schema.type"),
    (|b| drop(b.as_object_mut().unwrap().remove("tools")), "must define tools"),
    (
        |b| b["thinking"] = json!({ "type": "enabled", "budget_tokens": 2000 }),
        "is not supported for this model",
    ),
    (
        |b| {
            b["model"] = "claude-haiku-4-5".into();
            b["thinking"] = json!({ "type": "enabled", "budget_tokens": 1024 });
        },
        "must be greater than `thinking.budget_tokens`",
    ),
];

#[tokio::test]
async fn anthropic_requests_that_are_not_in_order_are_refused() {
    let client = Client::new().await;
    let good = second_request(&client).await;
    let (status, answer) = client.anthropic(&good).await;
    assert_eq!(status, 200, "{answer}");
    for (break_it, expected) in ANTHROPIC {
        let mut body = good.clone();
        break_it(&mut body);
        let (status, answer) = client.anthropic(&body).await;
        assert_eq!(status, 400, "{expected}: {answer}");
        assert!(answer.contains(expected), "{expected:?} is not in {answer}");
        assert!(answer.contains(r#""type":"invalid_request_error""#), "{answer}");
    }
}

#[tokio::test]
async fn cache_marks_move_freely_and_consecutive_user_messages_are_one() {
    let client = Client::new().await;
    let mut body = second_request(&client).await;
    let mark = json!({ "type": "ephemeral" });
    body["messages"][0]["content"][0]["cache_control"] = mark.clone();
    body["messages"][2]["content"][1]["cache_control"] = mark.clone();
    body["tools"][0]["cache_control"] = mark.clone();
    body["system"] = json!("s");
    body["messages"].as_array_mut().unwrap().push(json!({ "role": "user", "content": "and another thing" }));
    let (status, answer) = client.anthropic(&body).await;
    assert_eq!(status, 200, "{answer}");
}

const OPENAI: &[Refused] = &[
    (|b| b["foo"] = 1.into(), "Unrecognized request argument supplied: foo"),
    (|b| b["model"] = "".into(), "you must provide a model parameter"),
    (|b| b["stream_options"] = json!({ "include_usage": true }), "only allowed when 'stream' is enabled"),
    (|b| b["messages"] = json!([]), "Invalid 'messages': empty array"),
    (|b| b["messages"][0]["role"] = "robot".into(), "Invalid value: 'robot'"),
    (|b| drop(b["messages"].as_array_mut().unwrap().pop()), "did not have response messages: t2"),
    (
        |b| b["messages"].as_array_mut().unwrap().insert(3, json!({ "role": "user", "content": "x" })),
        "did not have response messages: t2",
    ),
    (
        |b| b["messages"][3]["tool_call_id"] = "t1".into(),
        "must be a response to a preceeding message with 'tool_calls'",
    ),
    (
        |b| b["messages"][1]["tool_calls"][0]["function"]["arguments"] = json!({}),
        "expected a string, but got an object",
    ),
    (|b| b["messages"][1]["reasoning_content"] = "no".into(), "is not what the model answered"),
    (|b| b["messages"][1]["extra"] = 1.into(), "Unknown parameter: 'messages[1].extra'"),
    (|b| b["tools"][0]["function"]["name"] = "no spaces".into(), "does not match pattern"),
    (|b| b["tools"] = json!([]), "Invalid 'tools': empty array"),
    (|b| b["max_tokens"] = 0.into(), "out of range"),
];

#[tokio::test]
async fn openai_requests_that_are_not_in_order_are_refused() {
    let client = Client::new().await;
    let mut good = json!({
        "model": "gpt-x", "tools": [{ "type": "function", "function": { "name": "bash", "parameters": {} } }],
        "messages": [{ "role": "user", "content": "hi" }],
    });
    let (_, answer) = client.openai(&good).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let messages = good["messages"].as_array_mut().unwrap();
    messages.push(answer["choices"][0]["message"].clone());
    for id in ["t1", "t2"] {
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": "x" }));
    }
    let (status, answer) = client.openai(&good).await;
    assert_eq!(status, 200, "{answer}");
    for (break_it, expected) in OPENAI {
        let mut body = good.clone();
        break_it(&mut body);
        let (status, answer) = client.openai(&body).await;
        assert_eq!(status, 400, "{expected}: {answer}");
        assert!(answer.contains(expected), "{expected:?} is not in {answer}");
    }
}

#[tokio::test]
async fn keys_are_asked_for_and_never_kept() {
    let client = Client::new().await;
    let base = client.running.anthropic_url();
    for (path, shape) in [
        ("messages", "authentication_error"),
        ("chat/completions", "invalid_api_key"),
        ("responses", "invalid_api_key"),
    ] {
        let request = client.http.post(format!("{base}/v1/{path}"));
        let (status, answer) = Client::send(request, &json!({})).await;
        assert_eq!(status, 401);
        assert!(answer.contains(shape), "{answer}");
    }
    let models = client.http.get(format!("{base}/v1/models")).bearer_auth("secret").send().await.unwrap();
    assert!(models.text().await.unwrap().contains("claude-x"));
    client.openai(&json!({ "model": "m" })).await;
    let log = format!("{:?}", client.fake.asked());
    assert!(log.contains("/v1/chat/completions") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn streams_have_the_events_of_the_real_ones() {
    let client = Client::new().await;
    let body = json!({ "model": "m", "max_tokens": 9, "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
    let (_, answer) = client.anthropic(&body).await;
    let names: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    for word in
        ["thinking_delta", "signature_delta", "text_delta", "input_json_delta", r#""stop_reason":"tool_use""#]
    {
        assert!(answer.contains(word), "{word}");
    }
    let body = json!({ "model": "m", "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "hi" }] });
    let (_, answer) = client.openai(&body).await;
    let chunks: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(chunks.last(), Some(&"[DONE]"));
    let usage: Value = serde_json::from_str(chunks[chunks.len() - 2]).unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(12)));
    assert!(answer.contains(r#""finish_reason":"tool_calls""#));
}
