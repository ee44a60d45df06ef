//! What the Responses API refuses of a conversation, in its words.

use serde_json::Value;

use super::super::super::recording::Recording;
use super::super::super::refusal::Refusal;
use super::super::items::{self, Item, Shown};
use super::{is_name, known_fields, text, wrong_type};

/// Who an item is from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Client,
    Model,
}

/// Checks the items, and counts the replies that they come from: an unbroken run of the model's items is one.
pub(super) fn check(input: &[Value], recording: &Recording, shown: Shown) -> Result<usize, Refusal> {
    if input.is_empty() {
        let message = "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(Refusal::at("input", message));
    }
    check_ids(input)?;
    check_calls(input)?;
    let mut place = 0;
    let mut before = From::Client;
    let mut run = Vec::new();
    for (n, item) in input.iter().enumerate() {
        let at = format!("input[{n}]");
        let from = check_item(item, &at)?;
        match (before, from) {
            (_, From::Model) => run.push(item),
            (From::Model, From::Client) => {
                check_run(&run, recording, place, shown)?;
                run.clear();
                place += 1;
            }
            (From::Client, From::Client) => {}
        }
        before = from;
    }
    if before == From::Model {
        check_run(&run, recording, place, shown)?;
        place += 1;
    }
    Ok(place)
}

/// Checks the form of one item.
fn check_item(item: &Value, at: &str) -> Result<From, Refusal> {
    let kind = if item.get("type").is_some() { text(item, "type") } else { "message" };
    match kind {
        "message" => check_message(item, at),
        "reasoning" => {
            known_fields(item, at, &["type", "id", "summary", "content", "encrypted_content", "status"])?;
            required(item, at, &["id", "summary"])?;
            if item.get("encrypted_content").and_then(Value::as_str).is_none_or(str::is_empty) {
                let id = text(item, "id");
                let message = format!(
                    "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
                );
                return Err(Refusal::new(404, "invalid_request_error", message));
            }
            Ok(From::Model)
        }
        "function_call" => {
            known_fields(item, at, &["type", "id", "call_id", "name", "arguments", "status"])?;
            required(item, at, &["call_id", "name", "arguments"])?;
            if !item["arguments"].is_string() {
                return Err(wrong_type(&format!("{at}.arguments"), "a string", &item["arguments"]));
            }
            if text(item, "call_id").is_empty() || !is_name(text(item, "name")) {
                return Err(Refusal::at(at, format!("Invalid value for '{at}'.")));
            }
            Ok(From::Model)
        }
        "function_call_output" => {
            known_fields(item, at, &["type", "id", "call_id", "output", "status"])?;
            required(item, at, &["call_id", "output"])?;
            let output = &item["output"];
            if !output.is_string() && !output.is_array() {
                return Err(wrong_type(&format!("{at}.output"), "a string or array of objects", output));
            }
            Ok(From::Client)
        }
        // Whether it is one that the model made is seen when its reply is looked at.
        _ => Ok(From::Model),
    }
}

fn check_message(item: &Value, at: &str) -> Result<From, Refusal> {
    known_fields(item, at, &["type", "id", "role", "content", "status", "phase"])?;
    required(item, at, &["role", "content"])?;
    let (from, part) = match text(item, "role") {
        "user" | "system" | "developer" => (From::Client, "input_text"),
        "assistant" => (From::Model, "output_text"),
        other => {
            let message = format!(
                "Invalid value: '{other}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
            );
            return Err(Refusal::at(format!("{at}.role"), message));
        }
    };
    let content = &item["content"];
    let Some(parts) = content.as_array() else {
        let what = "one of an array of objects or a string";
        return if content.is_string() {
            Ok(from)
        } else {
            Err(wrong_type(&format!("{at}.content"), what, content))
        };
    };
    for (n, given) in parts.iter().enumerate() {
        let kind = text(given, "type");
        if kind != part && !(kind == "refusal" && from == From::Model) {
            let message = format!("Invalid value: '{kind}'. Supported values are: '{part}' and others.");
            return Err(Refusal::at(format!("{at}.content[{n}]"), message));
        }
    }
    Ok(from)
}

/// Ids have the beginning of their kind, and each stands once.
fn check_ids(input: &[Value]) -> Result<(), Refusal> {
    let mut seen = Vec::new();
    for (n, item) in input.iter().enumerate() {
        let Some(id) = item.get("id").and_then(Value::as_str) else { continue };
        let begins = match text(item, "type") {
            "message" => "msg",
            "reasoning" => "rs",
            "function_call" => "fc",
            _ => "",
        };
        if !id.starts_with(begins) {
            let message =
                format!("Invalid 'input[{n}].id': '{id}'. Expected an ID that begins with '{begins}'.");
            return Err(Refusal::at(format!("input[{n}].id"), message));
        }
        if seen.contains(&id) {
            let message = format!(
                "Duplicate item found with id {id}. Remove duplicate items from your input and try again."
            );
            return Err(Refusal::at("input", message));
        }
        seen.push(id);
    }
    Ok(())
}

/// Each call has one output after it, and each output its call before it.
fn check_calls(input: &[Value]) -> Result<(), Refusal> {
    let mut waiting: Vec<&str> = Vec::new();
    for item in input {
        let call = text(item, "call_id");
        match text(item, "type") {
            "function_call" => waiting.push(call),
            "function_call_output" => match waiting.iter().position(|waiting| *waiting == call) {
                Some(answered) => drop(waiting.remove(answered)),
                None => {
                    let message = format!("No tool call found for function call output with call_id {call}.");
                    return Err(Refusal::at("input", message));
                }
            },
            _ => {}
        }
    }
    match waiting.first() {
        None => Ok(()),
        Some(call) => Err(Refusal::at("input", format!("No tool output found for function call {call}."))),
    }
}

/// Checks the items of one reply against what the model answered there. Items without an id are a client's own making,
/// from another model's reply.
fn check_run(run: &[&Value], recording: &Recording, place: usize, shown: Shown) -> Result<(), Refusal> {
    if let Some(last) = run.last().filter(|item| text(item, "type") == "reasoning") {
        let id = text(last, "id");
        let message =
            format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
        return Err(Refusal::at("input", message));
    }
    let known = recording.reply(place).map(|reply| items::of(reply, place, shown)).unwrap_or_default();
    for item in run {
        let given = |known: &&Item<'_>| known.value() == **item;
        let kind = text(item, "type");
        match item.get("id").and_then(Value::as_str) {
            Some(id) => match known.iter().find(|known| known.id == id) {
                None => return Err(altered(kind, id)),
                Some(known) if known.value() == **item => {}
                Some(_) if kind == "reasoning" => {
                    let message = format!(
                        "The encrypted content {} could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
                        text(item, "encrypted_content")
                    );
                    return Err(Refusal::invalid(message).coded("invalid_encrypted_content"));
                }
                Some(_) => return Err(altered(kind, id)),
            },
            None if matches!(kind, "message" | "function_call" | "") => {}
            None if known.iter().any(|known| given(&known)) => {}
            None => return Err(Refusal::at("input", format!("Invalid value: '{kind}'."))),
        }
    }
    check_thoughts_are_there(run, &known)
}

fn altered(kind: &str, id: &str) -> Refusal {
    Refusal::at("input", format!("Item '{id}' of type '{kind}' is not what the model answered."))
}

/// What followed a thought comes with it.
fn check_thoughts_are_there(run: &[&Value], known: &[Item<'_>]) -> Result<(), Refusal> {
    for pair in known.windows(2) {
        let [thought, after] = pair else { continue };
        let stands = |item: &Item<'_>| run.iter().any(|given| text(given, "id") == item.id);
        if text(&thought.value(), "type") == "reasoning" && stands(after) && !stands(thought) {
            let (kind, id, missing) = (text(&after.value(), "type").to_owned(), &after.id, &thought.id);
            let message = format!(
                "Item '{id}' of type '{kind}' was provided without its required 'reasoning' item: '{missing}'."
            );
            return Err(Refusal::at("input", message));
        }
    }
    Ok(())
}

fn required(item: &Value, at: &str, fields: &[&str]) -> Result<(), Refusal> {
    match fields.iter().find(|field| item.get(**field).is_none()) {
        None => Ok(()),
        Some(field) => {
            let param = format!("{at}.{field}");
            Err(Refusal::at(param.clone(), format!("Missing required parameter: '{param}'.")))
        }
    }
}
