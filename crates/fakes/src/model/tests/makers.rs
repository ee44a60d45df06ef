//! What the stand-in refuses on Chat Completions because of who made the model.

use serde_json::{Value, json};

use super::{Client, Refused};

/// A request that is in order for `model`, after the first reply.
async fn second_request(client: &Client, model: &str) -> Value {
    let mut body = json!({
        "model": model, "tools": [{ "type": "function", "function": { "name": "bash", "parameters": {} } }],
        "messages": [{ "role": "user", "content": "hi" }],
    });
    let (status, answer) = client.openai(&body).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(answer["choices"][0]["message"].clone());
    messages.extend(["t1", "t2"].map(|id| json!({ "role": "tool", "tool_call_id": id, "content": "x" })));
    body
}

const SIGNED: &str = "/messages/1/tool_calls/0/extra_content/google/thought_signature";

const MISTRAL: &[Refused] = &[
    (
        |b| b["messages"].as_array_mut().unwrap().push(json!({ "role": "user", "content": "x" })),
        "Unexpected role 'user' after role 'tool'",
    ),
    (
        |b| {
            let content = b["messages"][1]["content"].as_array_mut().unwrap();
            content.insert(0, content[0].clone());
        },
        "Expected at most one leading ThinkChunk, got 2",
    ),
    (|b| b["messages"][1]["content"][0]["thinking"] = "no".into(), "is not what the model answered"),
];
const GOOGLE: &[Refused] = &[
    (
        |b| drop(b["messages"][1]["tool_calls"][0].as_object_mut().unwrap().remove("extra_content")),
        "Function call is missing a thought_signature in functionCall parts.",
    ),
    (|b| *b.pointer_mut(SIGNED).unwrap() = "bm8=".into(), "Corrupted thought signature."),
];
const DEEPSEEK: &[Refused] = &[(
    |b| drop(b["messages"][1].as_object_mut().unwrap().remove("reasoning_content")),
    "Missing `reasoning_content` field in the assistant message at message index 1.",
)];

#[tokio::test]
async fn a_history_is_refused_as_the_model_s_maker_refuses_it() {
    let client = Client::new().await;
    for (model, refused) in [
        ("mistral-large-4", MISTRAL),
        ("mistralai/devstral-small", MISTRAL),
        ("google/gemini-4-neon", GOOGLE),
        ("kimi-k3", DEEPSEEK),
    ] {
        let good = second_request(&client, model).await;
        let (status, answer) = client.openai(&good).await;
        assert_eq!(status, 200, "{model}: {answer}");
        for (break_it, expected) in refused {
            let mut body = good.clone();
            break_it(&mut body);
            let (status, answer) = client.openai(&body).await;
            assert_eq!(status, 400, "{model}: {expected}: {answer}");
            assert!(answer.contains(expected), "{expected:?} is not in {answer}");
        }
    }
}

#[tokio::test]
async fn what_was_before_a_user_s_last_word_needs_no_signature() {
    let client = Client::new().await;
    let mut body = second_request(&client, "gemini-4-neon").await;
    body["messages"][1]["tool_calls"][0].as_object_mut().unwrap().remove("extra_content");
    body["messages"].as_array_mut().unwrap().push(json!({ "role": "user", "content": "x" }));
    let (status, answer) = client.openai(&body).await;
    assert_eq!(status, 200, "{answer}");
}
