use model::{Origin, Stop, ToolCall, Usage};
use serde_json::value::RawValue;

use super::*;

fn reply(argument_bytes: usize) -> Message {
    let origin = Origin { wire: Wire::Scripted, provider: String::new(), model: String::new() };
    let call = ToolCall { id: "1".into(), name: "bash".into(), arguments: "x".repeat(argument_bytes) };
    Message::Assistant(Reply {
        raw: RawValue::from_string("{}".into()).unwrap(),
        origin,
        parts: vec![Part::Thought("long thought ".repeat(100)), Part::Text("said".into())],
        calls: vec![call],
        stop: Stop::Tools,
        usage: Usage::default(),
        model: String::new(),
    })
}

fn results(lengths: &[usize]) -> Message {
    let result = |n: &usize| ToolResult { call_id: "1".into(), text: "y".repeat(*n), failed: false };
    Message::Results(lengths.iter().map(result).collect())
}

fn user(text: &str) -> Message {
    Message::User(text.to_owned())
}

/// What kind each message is.
fn kinds(tail: &Tail) -> String {
    let kind = |message: &Message| match message {
        Message::User(_) => 'u',
        Message::Assistant(_) => 'a',
        Message::Results(_) => 'r',
    };
    tail.messages.iter().map(kind).collect()
}

#[test]
fn whole_turns_are_kept_as_long_as_they_fit() {
    let turn = || [reply(100), results(&[1000])];
    let mut messages = vec![user("task")];
    messages.extend(turn().into_iter().chain(turn()).chain([user("told")]).chain(turn()));
    let of_a_turn = 64 + 4 + 64 + 4 + 100 + 64 + 1000;
    for (bytes_max, kept, turns) in [
        (of_a_turn - 1, "ar", 1),
        (of_a_turn, "ar", 1),
        (2 * of_a_turn + 67, "ar", 1),
        (2 * of_a_turn + 68, "aruar", 2),
        (u64::MAX, "araruar", 3),
    ] {
        let tail = last_turns(&messages, bytes_max);
        assert_eq!((kinds(&tail).as_str(), tail.turns), (kept, turns), "{bytes_max}");
        assert_eq!(tail.result_bytes_max.is_some(), bytes_max < of_a_turn);
    }
}

#[test]
fn results_of_the_last_turn_are_cut_when_it_does_not_fit() {
    let messages = [user("task"), reply(100), results(&[50_000, 10, 90_000])];
    let tail = last_turns(&messages, 5000);
    assert_eq!((kinds(&tail).as_str(), tail.turns), ("ar", 1));
    assert!(tail.messages.iter().map(bytes).sum::<u64>() <= 5000);
    let Message::Results(cut) = &tail.messages[1] else { panic!() };
    let share = tail.result_bytes_max.unwrap();
    assert_eq!(cut[0].text, head_and_tail(&"y".repeat(50_000), usize::try_from(share).unwrap()));
    assert_eq!(cut[1].text, "yyyyyyyyyy");
    assert!(cut[2].text.contains("bytes left out"));
}

#[test]
fn a_turn_that_cannot_fit_is_left_out_with_its_results() {
    // The call itself is too long, or so many results leave nothing for each.
    for messages in [[reply(9000), results(&[10])], [reply(10), results(&[500; 20])]] {
        let tail = last_turns(&messages, 5000);
        assert_eq!((kinds(&tail).as_str(), tail.turns, tail.result_bytes_max), ("", 0, None));
    }
    assert_eq!(last_turns(&[user("task")], 5000).turns, 0);
}

#[test]
fn what_is_carried_over_takes_less_than_what_was_thought_with_it() {
    let Message::Assistant(mut whole) = reply(10) else { panic!() };
    whole.raw = RawValue::from_string(format!("\"{}\"", "z".repeat(998))).unwrap();
    assert_eq!(bytes(&Message::Assistant(whole.clone())), 1000);
    whole.origin.wire = Wire::Carried;
    assert_eq!(bytes(&Message::Assistant(whole)), 64 + 4 + 64 + 4 + 10);
}
