//! What the stand-in refuses and how it answers on the Responses wire.

use serde_json::{Value, json};

use super::{Client, RECORDING, Refused};
use crate::model::{Counts, Fake, Manner, Organization, Recording};

/// A request that is in order, after the first reply.
async fn second_request(client: &Client) -> Value {
    let mut body = json!({
        "model": "gpt-x", "store": false, "include": ["reasoning.encrypted_content"],
        "tools": [{ "type": "function", "name": "bash", "parameters": { "type": "object" }, "strict": false }],
        "input": [{ "role": "user", "content": "hi" }],
    });
    let (status, answer) = client.responses(&body).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let input = body["input"].as_array_mut().unwrap();
    input.extend(answer["output"].as_array().unwrap().clone());
    input.extend(
        ["t1", "t2"].map(|id| json!({ "type": "function_call_output", "call_id": id, "output": "x" })),
    );
    body
}

/// Places of the input of that request.
const THOUGHT: usize = 1;
const SAID: usize = 2;
const CALL: usize = 3;
const OUTPUT: usize = 5;

fn input(body: &mut Value) -> &mut Vec<Value> {
    body["input"].as_array_mut().unwrap()
}

const REFUSED: &[Refused] = &[
    (|b| b["foo"] = 1.into(), "Unknown parameter: 'foo'."),
    (|b| b["messages"] = json!([]), "Unknown parameter: 'messages'."),
    (|b| b["model"] = "".into(), "Missing required parameter: 'model'."),
    (|b| drop(b.as_object_mut().unwrap().remove("input")), "Missing required parameter: 'input'."),
    (|b| b["input"] = json!([]), "Invalid 'input': empty array"),
    (|b| b["input"] = json!(7), "expected one of a list or a string, but got a number"),
    (|b| b["store"] = true.into(), "stores nothing"),
    (|b| b["max_output_tokens"] = 8.into(), "Invalid 'max_output_tokens': 8"),
    (|b| b["prompt_cache_key"] = "x".repeat(65).into(), "maximum length 64, but got a string with length 65"),
    (|b| b["include"] = json!(["reasoning"]), "Invalid value: 'reasoning'."),
    (|b| b["model"] = "gpt-4.1".into(), "Encrypted content is not supported with this model."),
    (|b| b["reasoning"] = json!({ "summary": "please" }), "Invalid value: \\\"please\\\"."),
    (|b| b["reasoning"] = json!({ "budget": 1 }), "Unknown parameter: 'reasoning.budget'."),
    (|b| b["tools"][0]["name"] = "no spaces".into(), "does not match pattern"),
    (|b| b["tools"][0]["function"] = json!({}), "Unknown parameter: 'tools[0].function'."),
    (
        |b| drop(b["tools"][0].as_object_mut().unwrap().remove("strict")),
        "'additionalProperties' is required to be supplied and to be false",
    ),
    (|b| b["input"][0]["role"] = "robot".into(), "Invalid value: 'robot'"),
    (
        |b| b["input"][0]["content"] = json!([{ "type": "output_text", "text": "x" }]),
        "Supported values are: 'input_text'",
    ),
    (|b| b["input"][0]["extra"] = 1.into(), "Unknown parameter: 'input[0].extra'."),
    (|b| drop(input(b).pop()), "No tool output found for function call t2."),
    (|b| drop(input(b).remove(CALL)), "No tool call found for function call output with call_id t1."),
    (|b| input(b).swap(CALL, OUTPUT), "No tool call found for function call output with call_id t1."),
    (
        |b| {
            let again = input(b)[OUTPUT].clone();
            input(b).push(again);
        },
        "No tool call found for function call output with call_id t1.",
    ),
    (
        |b| {
            let again = input(b)[SAID].clone();
            input(b).push(again);
        },
        "Duplicate item found with id msg_fake000001",
    ),
    (|b| input(b)[CALL]["id"] = "call_1".into(), "Expected an ID that begins with 'fc'."),
    (|b| input(b)[CALL]["arguments"] = json!({}), "expected a string, but got an object"),
    (|b| input(b)[CALL]["arguments"] = "{}".into(), "is not what the model answered"),
    (|b| input(b)[SAID]["content"][0]["text"] = "other".into(), "is not what the model answered"),
    (
        |b| input(b)[SAID]["id"] = "msg_other".into(),
        "Item 'msg_other' of type 'message' is not what the model answered",
    ),
    (
        |b| input(b)[THOUGHT]["encrypted_content"] = "c2ln".into(),
        "The encrypted content c2ln could not be verified.",
    ),
    (
        |b| drop(input(b).remove(THOUGHT)),
        "Item 'msg_fake000001' of type 'message' was provided without its required 'reasoning' item: 'rs_fake000000'.",
    ),
    (
        |b| {
            let thought = input(b).remove(THOUGHT);
            input(b).insert(CALL + 1, thought);
            input(b).insert(CALL + 2, json!({ "role": "user", "content": "x" }));
        },
        "Item 'rs_fake000000' of type 'reasoning' was provided without its required following item.",
    ),
    (|b| input(b)[THOUGHT]["type"] = "unheard_of".into(), "is not what the model answered"),
    (|b| input(b).insert(SAID, json!({ "type": "unheard_of" })), "Invalid value: 'unheard_of'."),
];

#[tokio::test]
async fn requests_that_are_not_in_order_are_refused() {
    let client = Client::new().await;
    let good = second_request(&client).await;
    let (status, answer) = client.responses(&good).await;
    assert_eq!(status, 200, "{answer}");
    for (break_it, expected) in REFUSED {
        let mut body = good.clone();
        break_it(&mut body);
        let (status, answer) = client.responses(&body).await;
        assert_eq!(status, 400, "{expected}: {answer}");
        assert!(answer.contains(expected), "{expected:?} is not in {answer}");
    }
    let mut body = good.clone();
    input(&mut body)[THOUGHT]["encrypted_content"] = Value::Null;
    let (status, answer) = client.responses(&body).await;
    assert!(status == 404 && answer.contains("Items are not persisted"), "{status} {answer}");
    let mut body = good;
    input(&mut body)[THOUGHT]["encrypted_content"] = "x".into();
    let (_, answer) = client.responses(&body).await;
    assert!(answer.contains(r#""code":"invalid_encrypted_content""#), "{answer}");
}

#[tokio::test]
async fn other_models_replies_need_no_ids() {
    let client = Client::new().await;
    let mut body = second_request(&client).await;
    let foreign = [
        json!({ "role": "assistant", "content": "I look." }),
        json!({ "type": "function_call", "call_id": "x1", "name": "bash", "arguments": "{}" }),
        json!({ "type": "function_call_output", "call_id": "x1", "output": "x" }),
    ];
    input(&mut body).splice(1.., foreign);
    let (status, answer) = client.responses(&body).await;
    assert!(status == 200 && answer.contains("Done."), "{answer}");
}

#[tokio::test]
async fn only_verified_organizations_see_summaries() {
    let recording = Recording::parse(RECORDING).unwrap();
    for (organization, expected) in [(Organization::Verified, 200), (Organization::Unverified, 400)] {
        let manner = Manner { organization, counts: Counts::Recorded };
        let client = Client::of(Fake::with_manner(recording.clone(), manner)).await;
        let body =
            json!({ "model": "gpt-x", "store": false, "input": "hi", "reasoning": { "summary": "auto" } });
        let (status, answer) = client.responses(&body).await;
        assert_eq!(status, expected, "{answer}");
        let told = if expected == 200 {
            r#""summary":[{"text":"Look first.","type":"summary_text"}]"#
        } else {
            r#""param":"reasoning.summary""#
        };
        assert!(answer.contains(told), "{answer}");
    }
}

#[tokio::test]
async fn streams_have_the_events_of_the_real_ones() {
    let client = Client::new().await;
    let body = json!({ "model": "gpt-x", "store": false, "stream": true, "input": "hi", "reasoning": { "summary": "auto" } });
    let (_, answer) = client.responses(&body).await;
    let names: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let mut once = names.clone();
    once.dedup();
    assert_eq!(
        once,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let events: Vec<Value> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let numbers: Vec<usize> =
        events.iter().map(|event| event["sequence_number"].as_u64().unwrap() as usize).collect();
    assert_eq!(numbers, (0..events.len()).collect::<Vec<_>>());
    let last = &events.last().unwrap()["response"];
    let done = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| &event["item"]);
    assert_eq!(last["output"].as_array().unwrap().iter().collect::<Vec<_>>(), done.collect::<Vec<_>>());
    assert_eq!((&last["usage"]["total_tokens"], &last["status"]), (&json!(12), &json!("completed")));
}
