//! Replies out of events: whole, odd, and cut.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::Unheard;
use crate::live::tests::Heard;
use crate::vendors::tests::ours;

const STREAM: &str = concat!(
    "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"claude-opus-5-5\",\"usage\":",
    "{\"input_tokens\":10,\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":30,\"output_tokens\":1}}}\r\n\r\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n: comment\n",
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\",\"x\":1.10}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"Hm\\u00e9 \"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"😀\\n\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"c2ln+/=\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"b64\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
    "data: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":\"odd_block\",\"z\":2e0,\"a\":[ ]}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"odd_delta\",\"more\":\"a\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":{\"type\":\"odd_delta\",\"more\":\"b\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":2}\n\n",
    "data: {\"type\":\"an_event_of_the_future\"}\n\n",
    "data: {\"type\":\"content_block_start\",\"index\":3,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"bash\",\"input\":{}}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"n\\\": 1.\"}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"50}\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":3}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":40}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
);

/// What `body` is put together to, cut into pieces of the given lengths.
fn read(body: &str, pieces: &[usize]) -> Result<Reply, Error> {
    read_aloud(body, pieces, &Unheard)
}

/// The same, heard by `live`.
fn read_aloud(body: &str, pieces: &[usize], live: &dyn Live) -> Result<Reply, Error> {
    let mut rest = body.as_bytes();
    let mut chunks: Vec<io::Result<Bytes>> = Vec::new();
    for length in pieces {
        let (chunk, after) = rest.split_at((*length).min(rest.len()));
        chunks.push(Ok(Bytes::copy_from_slice(chunk)));
        rest = after;
    }
    chunks.push(Ok(Bytes::copy_from_slice(rest)));
    let served = ours("anthropic", "claude-opus-5-5");
    let mut assembly = Assembling::new(&served, live);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(crate::stream::read(&served, stream::iter(chunks), &mut assembly))?;
    assembly.finish()
}

/// The events of a reply with one tool call whose arguments come as `pieces`, stopped by `stop`.
fn call(pieces: &[&str], stop: &str) -> String {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}"#;
    let mut body = format!("data: {start}\n\n");
    for piece in pieces {
        let piece = serde_json::Value::from(*piece);
        let delta = format!(r#"{{"type":"input_json_delta","partial_json":{piece}}}"#);
        body += &format!("data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n");
    }
    body += "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
    body += &format!("data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{stop}\"}}}}\n\n");
    body + "data: {\"type\":\"message_stop\"}\n\n"
}

#[test]
fn blocks_stay_as_they_came_and_in_their_order() {
    let reply = read(STREAM, &[]).unwrap();
    let expected = concat!(
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"Hmé 😀\n","signature":"c2ln+/=","x":1.10},"#,
        r#"{"type":"redacted_thinking","data":"b64"},{"type":"odd_block","z":2e0,"a":[ ],"more":"ab"},"#,
        r#"{"type":"tool_use","id":"t1","name":"bash","input":{"n": 1.50}}]}"#
    );
    assert_eq!(reply.raw.get(), expected);
    assert_eq!(reply.parts, [Part::Thought("Hmé 😀\n".to_owned())]);
    assert_eq!((reply.calls.len(), reply.calls[0].arguments.as_str()), (1, r#"{"n": 1.50}"#));
    assert_eq!((&reply.stop, reply.model.as_str()), (&Stop::Tools, "claude-opus-5-5"));
    let usage = reply.usage;
    assert_eq!((usage.input, usage.output, usage.cache_read, usage.cache_write), (10, 40, 30, 20));
    assert!((usage.usd.unwrap() - 946e-6).abs() < 1e-12, "{usage:?}");
}

#[test]
fn what_is_for_people_is_heard_as_it_comes() {
    let text = STREAM.replace("\"odd_block\",\"z\":2e0", "\"text\",\"text\":\"I \"");
    let text = text.replace("\"odd_delta\",\"more\"", "\"text_delta\",\"text\"");
    let heard = Heard::default();
    let reply = read_aloud(&text, &[], &heard).unwrap();
    let expected = ["used: 10 in, 1 out", "thought: Hmé 😀\n", "text: I ab", "used: 10 in, 40 out"];
    assert_eq!(heard.lines(), expected);
    assert_eq!(reply.parts, [Part::Thought("Hmé 😀\n".to_owned()), Part::Text("I ab".to_owned())]);
    // That each block begins, with the name of a tool, and its arguments as they come.
    assert_eq!(heard.unshown(), [0, 0, 0, 4, 8, 3]);
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_reply(pieces in prop::collection::vec(0usize..400, 0..40)) {
        let (whole, cut) = (read(STREAM, &[]).unwrap(), read(STREAM, &pieces).unwrap());
        prop_assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    }

    #[test]
    fn a_stream_cut_anywhere_is_asked_for_again(at in 0..STREAM.rfind("data: {\"type\":\"message_delta").unwrap()) {
        let at = STREAM.floor_char_boundary(at);
        let broke_off = matches!(read(&STREAM[..at], &[]), Err(Error::Transient { .. }));
        prop_assert!(broke_off);
    }
}

#[test]
fn arguments_are_passed_on_as_the_model_wrote_them() {
    for (pieces, arguments, input) in [
        (&["{\"a\": \"b", "\"}"][..], r#"{"a": "b"}"#, r#"{"a": "b"}"#),
        (&[], "{}", "{}"),
        (&["{\"a\": "], r#"{"a": "#, r#"{"INVALID_JSON":"{\"a\": "}"#),
        (&["[1]"], "[1]", r#"{"INVALID_JSON":"[1]"}"#),
    ] {
        let reply = read(&call(pieces, "tool_use"), &[]).unwrap();
        assert_eq!(reply.calls[0].arguments, arguments);
        assert!(reply.raw.get().contains(&format!(r#""input":{input}}}"#)), "{}", reply.raw.get());
    }
}

#[test]
fn a_call_that_was_cut_before_its_arguments_is_not_one_without() {
    let reply = read(&call(&[], "max_tokens"), &[]).unwrap();
    assert_eq!((&reply.stop, reply.calls[0].arguments.as_str()), (&Stop::OutputLimit, ""));
}

#[test]
fn calls_that_were_held_back_are_not_made() {
    let reply = read(&call(&["{}"], "refusal"), &[]).unwrap();
    assert_eq!((reply.stop, reply.calls.len()), (Stop::Refused, 0));
}

#[test]
fn stop_words_that_nobody_knows_are_kept() {
    let reply = read(&call(&["{}"], "pause_turn"), &[]).unwrap();
    assert_eq!(reply.stop, Stop::Other("pause_turn".to_owned()));
    // One of our own words is recalled from the log as what it was taken for.
    for word in ["finished", "tools", "output_limit", "refused"] {
        let reply = read(&call(&["{}"], word), &[]).unwrap();
        assert_eq!(reply.stop, Stop::recalled(reply.stop.as_str()), "{word}");
    }
}

#[test]
fn what_breaks_the_rules_is_an_error() {
    let block = "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let stop = "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
    let delta = "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n";
    for body in [
        format!("{block}{block}"),
        format!("{block}{stop}{delta}"),
        delta.to_owned(),
        stop.to_owned(),
        "data: {\"type\":\n\n".to_owned(),
        "data: []\n\n".to_owned(),
    ] {
        assert!(matches!(read(&body, &[]), Err(Error::Protocol { .. })), "{body}");
    }
}

#[test]
fn an_error_in_the_stream_keeps_its_class_and_loses_the_key() {
    let event = |kind: &str| {
        format!(
            "data: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"sk-secret said no\"}}}}\n\n"
        )
    };
    let overloaded = read(&event("overloaded_error"), &[]).unwrap_err();
    assert_eq!(overloaded.to_string(), "anthropic is not answering: [key] said no");
    assert!(matches!(read(&event("invalid_request_error"), &[]), Err(Error::Refused { .. })));
    assert!(matches!(read(&event("authentication_error"), &[]), Err(Error::Key { .. })));
}

/// The events of a reply with one block that begins as `begin` and grows by `deltas`.
fn block(begin: &str, deltas: &[&str]) -> String {
    let mut body =
        format!("data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{begin}}}\n\n");
    for delta in deltas {
        body += &format!("data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{delta}}}\n\n");
    }
    body + "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
        + "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}\n\n"
}

const TEXT: &str = r#"{"type":"text","text":""}"#;
const CALL: &str = r#"{"type":"tool_use","id":"t","name":"n","input":{}}"#;

#[test]
fn the_halves_of_a_character_find_each_other() {
    let heard = Heard::default();
    let text = |text: &str| format!(r#"{{"type":"text_delta","text":"{text}"}}"#);
    let body = block(TEXT, &[&text(r"It is \ud83d"), &text(r"\ude00 done")]);
    let reply = read_aloud(&body, &[], &heard).unwrap();
    assert_eq!(reply.parts, [Part::Text("It is 😀 done".to_owned())]);
    assert_eq!(heard.lines(), ["text: It is 😀 done"]);
    let thinking = |text: &str| format!(r#"{{"type":"thinking_delta","thinking":"{text}"}}"#);
    let begin = r#"{"type":"thinking","thinking":""}"#;
    let reply = read(&block(begin, &[&thinking(r"\ud83d"), &thinking(r"\ude00")]), &[]).unwrap();
    assert_eq!(reply.parts, [Part::Thought("😀".to_owned())]);
    let piece = |piece: &str| format!(r#"{{"type":"input_json_delta","partial_json":"{piece}"}}"#);
    let reply = read(&block(CALL, &[&piece(r#"{\"a\":\"\ud83d"#), &piece(r#"\ude00\"}"#)]), &[]).unwrap();
    assert_eq!(reply.calls[0].arguments, r#"{"a":"😀"}"#);
    let odd = |more: &str| format!(r#"{{"type":"odd_delta","more":"{more}"}}"#);
    let reply = read(&block(r#"{"type":"odd"}"#, &[&odd(r"x\ud83d"), &odd(r"\ude00")]), &[]).unwrap();
    assert!(reply.raw.get().contains(r#""more":"x😀""#), "{}", reply.raw.get());
}

#[test]
fn half_a_character_is_shown_as_one_that_nobody_knows_and_never_run() {
    for (piece, text) in [(r"a\ud83d", "a\u{fffd}"), (r"\ude00b", "\u{fffd}b"), (r"\ud83dx", "\u{fffd}x")] {
        let reply =
            read(&block(TEXT, &[&format!(r#"{{"type":"text_delta","text":"{piece}"}}"#)]), &[]).unwrap();
        assert_eq!(reply.parts, [Part::Text(text.to_owned())], "{piece}");
        let reply = read(&block(&TEXT.replace("\"\"", &format!("\"{piece}\"")), &[]), &[]).unwrap();
        assert_eq!(reply.parts, [Part::Text(text.to_owned())], "{piece}");
        serde_json::from_str::<serde_json::Value>(reply.raw.get()).unwrap();
        let json = format!(r#"{{"type":"input_json_delta","partial_json":"{{\"a\":\"{piece}\"}}"}}"#);
        let result = read(&block(CALL, &[&json]), &[]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{piece}: {result:?}");
    }
    let result = read(&block(CALL, &[r#"{"type":"input_json_delta","partial_json":7}"#]), &[]);
    assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
}

#[test]
fn arguments_that_no_server_takes_back_are_sent_back_as_text() {
    // The model itself wrote half a character into its JSON: the API would refuse each request from here on.
    let half = r#"{"a":"\ud83d"}"#;
    let bodies = [call(&[half], "tool_use"), block(&CALL.replace("{}", half), &[])];
    for body in bodies {
        let reply = read(&body, &[]).unwrap();
        assert_eq!(reply.calls[0].arguments, half);
        let expected = r#""input":{"INVALID_JSON":"{\"a\":\"\\ud83d\"}"}"#;
        assert!(reply.raw.get().contains(expected), "{}", reply.raw.get());
    }
}

#[test]
fn what_the_api_adds_is_passed_over_and_an_error_is_read_wherever_it_stands() {
    let added = r#"data: {"type":"new","message":"text","index":"a","delta":[],"usage":7,"content_block":1}"#;
    let reply = read(&format!("{added}\n\n{STREAM}"), &[]).unwrap();
    assert_eq!(reply.calls.len(), 1);
    for (event, told) in [
        (r#"{"type":"error","message":"Overloaded"}"#, "anthropic is not answering: Overloaded"),
        (r#"{"error":{"message":"boom"}}"#, "anthropic is not answering: boom"),
    ] {
        let error = read(&format!("data: {event}\n\n{STREAM}"), &[]).unwrap_err();
        assert_eq!(error.to_string(), told);
    }
}

#[test]
fn what_breaks_the_rules_is_told_in_brief_and_without_the_key() {
    let long = format!("sk-secret{}", "x".repeat(4_000_000));
    for event in [
        format!(r#"{{"type":"content_block_start","index":0,"content_block":"{long}"}}"#),
        format!(r#"{{"type":"content_block_start","index":"{long}"}}"#),
        format!(r#"{{"type":"message_start","message":"{long}"}}"#),
        format!(r#""{long}""#),
    ] {
        let error = read(&format!("data: {event}\n\n"), &[]).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{:.200}", error.to_string());
        assert!(error.to_string().len() < 1200 && !error.to_string().contains("sk-secret"));
    }
}

#[test]
fn blocks_names_and_ids_are_bounded() {
    let many = |count: usize| -> String {
        let block = |n| {
            format!(
                "data: {{\"type\":\"content_block_start\",\"index\":{n},\"content_block\":{TEXT}}}\n\ndata: {{\"type\":\"content_block_stop\",\"index\":{n}}}\n\n"
            )
        };
        let blocks: String = (0..count).map(block).collect();
        blocks + "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n"
    };
    read(&many(1024), &[]).unwrap();
    let long = "x".repeat(100_000);
    for body in [
        many(1025),
        block(&CALL.replace(":\"n\"", &format!(":\"{long}\"")), &[]),
        block(&CALL.replace(":\"t\"", &format!(":\"{long}\"")), &[]),
        block(TEXT, &[]).replace("\"tool_use\"", &format!("\"{long}\"")),
        STREAM.replace("claude-opus-5-5", &long),
    ] {
        assert!(matches!(read(&body, &[]), Err(Error::Protocol { .. })), "{body:.200}");
    }
}
