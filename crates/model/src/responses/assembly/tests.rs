//! Replies out of events: whole, odd, and cut.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::Unheard;
use crate::live::tests::Heard;
use crate::vendors::tests::ours;

const THOUGHT: &str = r#"{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"**Look**\n\nfirst 😀"},{"type":"summary_text","text":"Then act"}],"encrypted_content":"gAAA=","z":1.10}"#;
const SAID: &str = r#"{"id":"msg_1", "type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","annotations":[],"text":"I look."},{"type":"output_text","text":" "}],"phase":"commentary"}"#;
const ODD: &str = r#"{"type":"an_item_of_the_future","a":[ ],"b":2e0}"#;
const CALL: &str = r#"{"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":"bash","arguments":"{\"n\": 1.50}"}"#;

fn done(index: usize, item: &str) -> String {
    format!(
        "event: x\ndata: {{\"type\":\"response.output_item.done\",\"output_index\":{index},\"item\":{item}}}\n\n"
    )
}

fn added(index: usize) -> String {
    format!(
        "data: {{\"type\":\"response.output_item.added\",\"output_index\":{index},\"item\":{{\"type\":\"x\"}}}}\n\n"
    )
}

fn end(kind: &str, status: &str, fields: &str) -> String {
    format!(
        "data: {{\"type\":\"response.{kind}\",\"response\":{{\"status\":\"{status}\",\"model\":\"gpt-5-2025-08-07\"{fields}}}}}\n\n"
    )
}

/// A reply of one item of each kind.
fn whole() -> String {
    let usage = r#","usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":40,"cache_write_tokens":10},"output_tokens":50,"total_tokens":150}"#;
    [
        "event: response.created\r\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\",\"output\":[]}}\r\n\r\n",
        "data: {\"type\":\"keepalive\"}\n\n: comment\n",
        &added(0),
        "data: {\"type\":\"response.reasoning_summary_text.delta\",\"delta\":\"**Look**\"}\n\n",
        &done(0, THOUGHT),
        &added(1),
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"delta\":\"I \"}\n\n",
        "data: {\"type\":\"response.output_text.delta\",\"output_index\":1,\"delta\":\"look.\"}\n\n",
        &done(1, SAID),
        &done(2, ODD),
        &added(3),
        "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":3,\"delta\":\"{\"}\n\n",
        &done(3, CALL),
        &end("completed", "completed", usage),
    ]
    .concat()
}

/// What `body` is put together to, cut into pieces of the given lengths.
fn read(body: &str, pieces: &[usize]) -> Result<Reply, Error> {
    read_aloud(body, pieces, &Unheard)
}

fn read_aloud(body: &str, pieces: &[usize], live: &dyn Live) -> Result<Reply, Error> {
    let mut rest = body.as_bytes();
    let mut chunks: Vec<io::Result<Bytes>> = Vec::new();
    for length in pieces {
        let (chunk, after) = rest.split_at((*length).min(rest.len()));
        chunks.push(Ok(Bytes::copy_from_slice(chunk)));
        rest = after;
    }
    chunks.push(Ok(Bytes::copy_from_slice(rest)));
    let served = ours("openai", "gpt-5");
    let mut assembly = Assembling::new(&served, live, 3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(crate::stream::read(&served, stream::iter(chunks), &mut assembly))?;
    assembly.finish()
}

#[test]
fn items_stay_as_they_came_and_in_their_order() {
    let reply = read(&whole(), &[]).unwrap();
    assert_eq!(reply.raw.get(), format!("[{THOUGHT},{SAID},{ODD},{CALL}]"));
    let expected = [
        Part::Thought("**Look**\n\nfirst 😀".to_owned()),
        Part::Thought("Then act".to_owned()),
        Part::Text("I look.".to_owned()),
    ];
    assert_eq!(reply.parts, expected);
    let calls: Vec<_> = reply.calls.iter().map(|call| (&*call.id, &*call.name, &*call.arguments)).collect();
    assert_eq!(calls, [("call_1", "bash", "{\"n\": 1.50}")]);
    assert_eq!((&reply.stop, reply.model.as_str()), (&Stop::Tools, "gpt-5-2025-08-07"));
    let usage = reply.usage;
    assert_eq!((usage.input, usage.output, usage.cache_read, usage.cache_write), (50, 50, 40, 10));
    assert!((usage.usd.unwrap() - 580e-6).abs() < 1e-12, "{usage:?}");
}

#[test]
fn what_is_for_people_is_heard_as_it_comes() {
    let heard = Heard::default();
    read_aloud(&whole(), &[], &heard).unwrap();
    assert_eq!(heard.lines(), ["thought: **Look**", "text: I look."]);
    // That each item begins, and the arguments of a call as they come.
    assert_eq!(heard.unshown(), [0, 0, 0, 1]);
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_reply(pieces in prop::collection::vec(0usize..400, 0..40)) {
        let (whole, cut) = (read(&whole(), &[]).unwrap(), read(&whole(), &pieces).unwrap());
        prop_assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    }

    #[test]
    fn a_stream_cut_anywhere_is_asked_for_again(at in 0..whole().rfind("data: {\"type\":\"response.completed").unwrap()) {
        let whole = whole();
        let broke_off = matches!(read(&whole[..whole.floor_char_boundary(at)], &[]), Err(Error::Transient { .. }));
        prop_assert!(broke_off);
    }
}

#[test]
fn items_may_come_at_the_end_alone() {
    let output = format!(",\"output\":[{SAID},{CALL}]");
    for before in [String::new(), added(0), done(0, SAID), done(1, CALL), added(0) + &added(1)] {
        let reply = read(&(before.clone() + &end("completed", "completed", &output)), &[]).unwrap();
        assert_eq!(reply.raw.get(), format!("[{SAID},{CALL}]"), "{before}");
    }
    // What has begun and is nowhere whole is missed.
    for before in [added(0), done(0, SAID) + &added(1), done(1, CALL)] {
        let broken = read(&(before.clone() + &end("completed", "completed", "")), &[]);
        assert!(matches!(broken, Err(Error::Transient { .. })), "{before}: {broken:?}");
    }
    let nothing = read(&end("completed", "completed", ",\"output\":[]"), &[]).unwrap();
    assert_eq!((nothing.raw.get(), nothing.stop, nothing.usage), ("[]", Stop::Finished, Usage::default()));
}

#[test]
fn why_it_stopped_is_told() {
    let refusal = r#"{"id":"msg_1","type":"message","content":[{"type":"refusal","refusal":"No."}]}"#;
    let reason = |reason: &str| format!(",\"incomplete_details\":{{\"reason\":\"{reason}\"}}");
    for (items, end, stop, calls) in [
        (vec![SAID], end("completed", "completed", ""), Stop::Finished, 0),
        (vec![CALL, SAID], end("completed", "completed", ""), Stop::Tools, 1),
        (vec![refusal], end("completed", "completed", ""), Stop::Refused, 0),
        (vec![SAID], end("incomplete", "incomplete", &reason("max_output_tokens")), Stop::OutputLimit, 0),
        (vec![CALL], end("incomplete", "incomplete", &reason("max_output_tokens")), Stop::OutputLimit, 1),
        (vec![CALL], end("incomplete", "incomplete", &reason("content_filter")), Stop::Refused, 0),
        (vec![SAID], end("incomplete", "incomplete", &reason("moon")), Stop::Other("moon".to_owned()), 0),
        (vec![SAID], end("incomplete", "incomplete", &reason("output_limit")), Stop::OutputLimit, 0),
        (vec![CALL], end("incomplete", "incomplete", &reason("refused")), Stop::Refused, 0),
        (vec![SAID], end("completed", "cancelled", ""), Stop::Other("cancelled".to_owned()), 0),
    ] {
        let body: String = items.iter().enumerate().map(|(n, item)| done(n, item)).collect();
        let reply = read(&(body + &end), &[]).unwrap();
        assert_eq!((&reply.stop, reply.calls.len()), (&stop, calls), "{end}");
    }
    let reply = read(&(done(0, refusal) + &end("completed", "completed", "")), &[]).unwrap();
    assert_eq!(reply.parts, [Part::Text("No.".to_owned())]);
}

#[test]
fn calls_get_what_servers_leave_out_and_a_cut_one_is_no_whole_one() {
    let call = |fields: &str| format!(r#"{{"type":"function_call","name":"n"{fields}}}"#);
    let limit = end("incomplete", "incomplete", r#","incomplete_details":{"reason":"max_output_tokens"}"#);
    let complete = end("completed", "completed", "");
    for (item, end, id, arguments, sent) in [
        (call(r#","call_id":"c","arguments":"""#), &complete, "c", "{}", None),
        (call(r#","call_id":"c","arguments":"""#), &limit, "c", "", None),
        (call(r#","call_id":"c","arguments":"{\"a""#), &limit, "c", "{\"a", None),
        (call(r#","id":"fc_9","arguments":"{}""#), &complete, "fc_9", "{}", Some(r#","call_id":"fc_9"}"#)),
        (
            call(r#","call_id":"","arguments":"{}""#),
            &complete,
            "call_3_0",
            "{}",
            Some(r#""call_id":"call_3_0""#),
        ),
    ] {
        let reply = read(&(done(0, &item) + end), &[]).unwrap();
        assert_eq!((&*reply.calls[0].id, &*reply.calls[0].arguments), (id, arguments), "{item}");
        match sent {
            None => assert_eq!(reply.raw.get(), format!("[{item}]")),
            Some(part) => assert!(reply.raw.get().contains(part), "{}", reply.raw.get()),
        }
    }
}

#[test]
fn errors_in_the_stream_have_their_class_and_lose_the_key() {
    for (data, class) in [
        (r#"{"type":"error","code":"server_error","message":"sk-secret","param":null}"#, "transient"),
        (r#"{"type":"error","code":"rate_limit_exceeded","message":"slow down"}"#, "transient"),
        (r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#, "refused"),
        (r#"{"type":"error","code":"invalid_api_key","message":"no"}"#, "key"),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"boom"}}}"#,
            "transient",
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"invalid_prompt","message":"no"}}}"#,
            "refused",
        ),
        (
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"bio_policy","message":"no"}}}"#,
            "refused",
        ),
        (r#"{"type":"response.failed"}"#, "transient"),
    ] {
        let body = format!("{}data: {data}\n\n{}", done(0, SAID), end("completed", "completed", ""));
        let error = read(&body, &[]).unwrap_err();
        let is = if matches!(error, Error::Transient { .. }) {
            "transient"
        } else if matches!(error, Error::Key { .. }) {
            "key"
        } else {
            assert!(matches!(error, Error::Refused { .. }), "{data}: {error:?}");
            "refused"
        };
        assert_eq!(is, class, "{data}");
        assert!(!error.to_string().contains("sk-secret"), "{error}");
    }
}

#[test]
fn what_breaks_the_rules_is_an_error() {
    for data in [
        "nonsense",
        r#"{"type":"response.output_item.done","output_index":0}"#,
        r#"{"type":"response.output_item.done","item":{}}"#,
        r#"{"type":"response.output_item.done","output_index":1024,"item":{}}"#,
        r#"{"type":"response.output_item.added","output_index":18446744073709551615}"#,
        r#"{"type":"response.output_item.added"}"#,
        r#"{"type":"response.completed"}"#,
    ] {
        let result = read(&format!("data: {data}\n\n"), &[]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{data}: {result:?}");
    }
}

#[test]
fn the_halves_of_a_character_find_each_other() {
    let heard = Heard::default();
    let delta =
        |delta: &str| format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":\"{delta}\"}}\n\n");
    let said = SAID.replace("I look.", r"It is \ud83d\ude00 done");
    let body = delta(r"It is \ud83d")
        + &delta(r"\ude00 done")
        + &done(0, &said)
        + &end("completed", "completed", "");
    let reply = read_aloud(&body, &[], &heard).unwrap();
    assert_eq!(heard.lines(), ["text: It is 😀 done"]);
    assert_eq!(reply.parts, [Part::Text("It is 😀 done".to_owned())]);
}

#[test]
fn half_a_character_is_shown_as_one_that_nobody_knows_and_never_run() {
    let complete = end("completed", "completed", "");
    for (piece, text) in [(r"a\ud83d", "a\u{fffd}"), (r"\ude00b", "\u{fffd}b"), (r"\ud83dx", "\u{fffd}x")] {
        let reply = read(&(done(0, &SAID.replace("I look.", piece)) + &complete), &[]).unwrap();
        assert_eq!(reply.parts, [Part::Text(text.to_owned())], "{piece}");
        serde_json::from_str::<serde_json::Value>(reply.raw.get()).unwrap();
        let item = CALL.replace("1.50", &format!(r#"\"{piece}\""#));
        let result = read(&(done(0, &item) + &complete), &[]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{piece}: {result:?}");
    }
    let result = read(&(done(0, &CALL.replace(r#""{\"n\": 1.50}""#, "7")) + &complete), &[]);
    assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
}

#[test]
fn what_the_api_adds_is_passed_over_and_an_error_is_read_wherever_it_stands() {
    let added =
        r#"data: {"type":"new","response":"text","output_index":"a","item":7,"delta":[],"error":"x"}"#;
    assert_eq!(read(&format!("{added}\n\n{}", whole()), &[]).unwrap().calls.len(), 1);
    for (event, told) in [
        (r#"{"type":"error","message":"Overloaded"}"#, "openai is not answering: Overloaded"),
        (
            r#"{"type":"error","message":"Overloaded","response":"none"}"#,
            "openai is not answering: Overloaded",
        ),
        (r#"{"error":{"message":"boom"}}"#, "openai is not answering: boom"),
    ] {
        let error = read(&format!("data: {event}\n\n{}", whole()), &[]).unwrap_err();
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn what_breaks_the_rules_is_told_in_brief_and_without_the_key() {
    let long = format!("sk-secret{}", "x".repeat(4_000_000));
    for event in [
        format!(r#"{{"type":"response.output_item.done","output_index":"{long}"}}"#),
        format!(r#"{{"type":"response.completed","response":"{long}"}}"#),
        format!(r#""{long}""#),
    ] {
        let error = read(&format!("data: {event}\n\n"), &[]).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{:.200}", error.to_string());
        assert!(error.to_string().len() < 1200 && !error.to_string().contains("sk-secret"));
    }
}

#[test]
fn names_and_ids_are_bounded() {
    let (long, complete) = ("x".repeat(100_000), end("completed", "completed", ""));
    for body in [
        done(0, &CALL.replace("bash", &long)) + &complete,
        done(0, &CALL.replace("call_1", &long)) + &complete,
        done(0, SAID) + &complete.replace("gpt-5-2025-08-07", &long),
        done(0, SAID) + &end("completed", &long, ""),
    ] {
        assert!(matches!(read(&body, &[]), Err(Error::Protocol { .. })), "{body:.200}");
    }
}
