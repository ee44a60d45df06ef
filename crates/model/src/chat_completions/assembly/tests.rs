//! Replies out of chunks, in the accents of the servers that are about.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::Unheard;
use crate::live::tests::Heard;
use crate::vendors::tests::ours;

/// What the chunks with `choices` and further events are put together to.
fn read(events: &[&str]) -> Result<Reply, Error> {
    read_body(&events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>(), &[])
}

fn read_body(body: &str, pieces: &[usize]) -> Result<Reply, Error> {
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
    let served = ours("openai", "gpt-4o");
    let mut assembly = Assembling::new(&served, live, 3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(crate::stream::read(&served, stream::iter(chunks), &mut assembly))?;
    assembly.finish()
}

/// A chunk with one choice.
fn chunk(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}],"usage":null}}"#
    )
}

fn plain() -> Vec<String> {
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":50,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":20}}}"#;
    vec![
        chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null"),
        chunk(r#"{"content":"Hé"}"#, "null"),
        chunk(r#"{"content":"😀"}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"bash","arguments":""}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"read","arguments":"{"}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":" 1.0}"}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"index":1,"function":{"arguments":"}"}}]}"#, "null"),
        chunk("{}", "\"tool_calls\""),
        usage.to_owned(),
        "[DONE]".to_owned(),
    ]
}

fn refs(events: &[String]) -> Vec<&str> {
    events.iter().map(String::as_str).collect()
}

#[test]
fn pieces_of_calls_are_told_apart_by_their_index() {
    let reply = read(&refs(&plain())).unwrap();
    let expected = concat!(
        r#"{"role":"assistant","content":"Hé😀","tool_calls":[{"id":"c1","type":"function","function":{"name":"bash","#,
        r#""arguments":"{\"a\": 1.0}"}},{"id":"c2","type":"function","function":{"name":"read","arguments":"{}"}}]}"#
    );
    assert_eq!(reply.raw.get(), expected);
    assert_eq!(reply.parts, [Part::Text("Hé😀".to_owned())]);
    assert_eq!(reply.calls[0].arguments, r#"{"a": 1.0}"#);
    assert_eq!((&reply.stop, reply.model.as_str()), (&Stop::Tools, "gpt-4o-2024-08-06"));
    let usage = reply.usage;
    assert_eq!((usage.input, usage.output, usage.cache_read, usage.cache_write), (60, 50, 40, 0));
    assert!((usage.usd.unwrap() - 700e-6).abs() < 1e-12, "{usage:?}");
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_reply(pieces in prop::collection::vec(0usize..300, 0..30)) {
        let body: String = plain().iter().map(|event| format!("data: {event}\n\n")).collect();
        let (whole, cut) = (read_body(&body, &[]).unwrap(), read_body(&body, &pieces).unwrap());
        prop_assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    }

    #[test]
    fn a_stream_cut_before_its_reason_is_asked_for_again(events in 0usize..8) {
        let broke_off = matches!(read(&refs(&plain()[..events])), Err(Error::Transient { .. }));
        prop_assert!(broke_off);
    }
}

#[test]
fn servers_may_leave_out_the_end_and_the_usage() {
    let reply = read(&refs(&plain()[..9])).unwrap();
    assert_eq!((reply.calls.len(), reply.usage), (2, Usage::default()));
    let reply = read(&[&chunk(r#"{"content":"x"}"#, "null"), "[DONE]"]).unwrap();
    assert_eq!(reply.stop, Stop::Finished);
    let usage = r#"{"choices":null,"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let reply = read(&[&chunk(r#"{"content":"x"}"#, "\"stop\""), usage]).unwrap();
    assert_eq!((reply.usage.input, reply.usage.output), (1, 2));
    // Gemini counts thoughts in the total alone; OpenRouter tells what it charges.
    let usage =
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":9,"cost":0.25}}"#;
    let reply = read(&[&chunk(r#"{"content":"x"}"#, "\"stop\""), usage]).unwrap();
    assert_eq!((reply.usage.input, reply.usage.output, reply.usage.usd), (1, 8, Some(0.25)));
}

#[test]
fn whole_calls_are_told_apart_by_their_ids() {
    let calls = r#"{"role":"assistant","content":null,"tool_calls":[
        {"index":0,"id":"a","function":{"name":"read","arguments":"{\"p\":1}"},"extra_content":{"google":{"thought_signature":"s=="}}},
        {"index":0,"id":"b","function":{"name":"bash","arguments":{"q":2.0}}},
        {"id":"","function":{"name":"plan","arguments":null}}]}"#
        .replace('\n', " ");
    let reply = read(&[&chunk(&calls, "\"stop\"")]).unwrap();
    let calls: Vec<(&str, &str)> =
        reply.calls.iter().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    // A call without id and index belongs to the one before it, as far as anybody can tell.
    assert_eq!(calls, [("a", r#"{"p":1}"#), ("b", r#"{"q":2.0}"#)]);
    assert_eq!(reply.stop, Stop::Tools);
    assert!(
        reply.raw.get().contains(r#""extra_content":{"google":{"thought_signature":"s=="}}"#),
        "{}",
        reply.raw.get()
    );
    assert!(reply.raw.get().starts_with(r#"{"role":"assistant","content":null,"tool_calls":["#));
}

#[test]
fn a_call_without_an_id_is_given_one() {
    let call =
        r#"{"tool_calls":[{"index":0,"function":{"name":"read"}},{"index":1,"function":{"name":"read"}}]}"#;
    let again = r#"{"tool_calls":[{"index":1,"function":{"name":"read","arguments":"{}"}}]}"#;
    let reply = read(&[&chunk(call, "null"), &chunk(again, "\"tool_calls\"")]).unwrap();
    let ids: Vec<&str> = reply.calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["call_3_0", "call_3_1"]);
    assert!(reply.calls.iter().all(|call| call.name == "read" && call.arguments == "{}"));
    assert!(reply.raw.get().contains(r#""id":"call_3_1""#));
}

#[test]
fn thoughts_grow_and_other_fields_are_what_was_said_last() {
    let reply = read(&[
        &chunk(r#"{"reasoning_content":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm","index":0}],"other":[{"t":1.0}],"channel":"final","name":"x"}"#, "null"),
        &chunk(r#"{"reasoning_content":"m","reasoning_details":[{"type":"reasoning.text","text":"m","index":0}],"other":[{"t":2}],"channel":"final","name":null,"content":null}"#, "null"),
        &chunk(r#"{"content":"Yes."}"#, "\"stop\""),
    ])
    .unwrap();
    assert_eq!(reply.parts, [Part::Thought("Hmm".to_owned()), Part::Text("Yes.".to_owned())]);
    let expected = r#"{"role":"assistant","reasoning_content":"Hmm","reasoning_details":[{"type":"reasoning.text","text":"Hmm","index":0}],"other":[{"t":2}],"channel":"final","name":"x","content":"Yes."}"#;
    assert_eq!(reply.raw.get(), expected);
}

#[test]
fn what_is_for_people_is_heard_as_it_comes() {
    let heard = Heard::default();
    let chunks = [
        chunk(r#"{"reasoning":"Hm","reasoning_content":"Hm"}"#, "null"),
        chunk(r#"{"reasoning":"m","content":null}"#, "null"),
        chunk(r#"{"reasoning":"","content":"Ye"}"#, "null"),
        chunk(r#"{"content":"s."}"#, "\"stop\""),
    ];
    let body: String = chunks.iter().map(|event| format!("data: {event}\n\n")).collect();
    read_aloud(&body, &[], &heard).unwrap();
    assert_eq!(heard.lines(), ["thought: Hmm", "text: Yes."]);
    assert!(heard.unshown().is_empty());
}

#[test]
fn a_content_that_is_a_list_is_heard_and_kept_in_its_place() {
    let heard = Heard::default();
    let thought = |text: &str| {
        chunk(
            &format!(
                r#"{{"content":[{{"type":"thinking","thinking":[{{"type":"text","text":"{text}"}}]}}]}}"#
            ),
            "null",
        )
    };
    let call = r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"n","arguments":"{}"}}]}"#;
    let chunks = [
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        thought("H"),
        chunk(r#"{"content":"","name":"x"}"#, "null"),
        thought("m."),
        chunk(r#"{"content":"I look."}"#, "null"),
        chunk(call, "\"tool_calls\""),
    ];
    let body: String = chunks.iter().map(|event| format!("data: {event}\n\n")).collect();
    let reply = read_aloud(&body, &[], &heard).unwrap();
    let expected = concat!(
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},{"type":"text","text":"I look."}],"#,
        r#""name":"x","tool_calls":[{"id":"c","type":"function","function":{"name":"n","arguments":"{}"}}]}"#
    );
    assert_eq!(reply.raw.get(), expected);
    assert_eq!(reply.parts, [Part::Thought("Hm.".to_owned()), Part::Text("I look.".to_owned())]);
    assert_eq!(heard.lines(), ["thought: Hm.", "text: I look."]);
    // A thought under two names is heard once, and kept under both.
    let twice = r#"{"reasoning_content":"Hm","content":[{"type":"thinking","thinking":"Hm"},{"type":"text","text":"So."}]}"#;
    let heard = Heard::default();
    let reply = read_aloud(&format!("data: {}\n\n", chunk(twice, "\"stop\"")), &[], &heard).unwrap();
    assert_eq!(reply.parts, [Part::Thought("Hm".to_owned()), Part::Text("So.".to_owned())]);
    assert_eq!(heard.lines(), ["thought: Hm", "text: So."]);
    assert!(reply.raw.get().contains(r#"[{"type":"thinking","thinking":"Hm"},"#), "{}", reply.raw.get());
}

#[test]
fn a_call_in_the_form_before_lists_is_one_all_the_same() {
    let piece =
        |function: &str, more: &str| chunk(&format!(r#"{{"function_call":{function}{more}}}"#), "null");
    let end = chunk(r#"{"function_call":null}"#, "\"function_call\"");
    let name = piece(r#"{"name":"bash","arguments":"{\"a\":"}"#, "");
    let reply = read(&[&name, &piece(r#"{"arguments":" 1}"}"#, ""), &end]).unwrap();
    let call =
        ToolCall { id: "call_3_0".to_owned(), name: "bash".to_owned(), arguments: r#"{"a": 1}"#.to_owned() };
    assert_eq!((reply.calls, reply.stop), (vec![call], Stop::Tools));
    assert_eq!(
        reply.raw.get(),
        r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_3_0","type":"function","function":{"name":"bash","arguments":"{\"a\": 1}"}}]}"#
    );
    // A server that sends both forms calls once.
    let both = piece(
        r#"{"name":"bash","arguments":"{}"}"#,
        r#","tool_calls":[{"index":0,"id":"c","function":{"name":"bash","arguments":"{}"}}]"#,
    );
    let reply = read(&[&both, &piece(r#"{"arguments":""}"#, ""), &end]).unwrap();
    assert_eq!(reply.calls.len(), 1, "{:?}", reply.calls);
    assert!(!reply.raw.get().contains("function_call"), "{}", reply.raw.get());
    for odd in ["7", r#""bash""#] {
        let result = read(&[&piece(odd, ""), &end]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{odd}: {result:?}");
    }
}

#[test]
fn a_call_is_heard_without_being_shown() {
    let heard = Heard::default();
    let piece =
        |function: &str| format!(r#"{{"tool_calls":[{{"index":0,"id":"c","function":{function}}}]}}"#);
    let chunks = [
        chunk(&piece(r#"{"name":"bash","arguments":""}"#), "null"),
        chunk(&piece(r#"{"name":"bash","arguments":"{\"command\":"}"#), "null"),
        chunk(&piece(r#"{"arguments":"\"ls\"}"}"#), "\"tool_calls\""),
    ];
    let body: String = chunks.iter().map(|event| format!("data: {event}\n\n")).collect();
    let reply = read_aloud(&body, &[], &heard).unwrap();
    assert_eq!(reply.calls[0].arguments, r#"{"command":"ls"}"#);
    assert_eq!((heard.lines(), heard.unshown()), (Vec::new(), vec![4, 11, 5]));
}

#[test]
fn a_cut_call_is_never_a_whole_one() {
    let call = r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"bash","arguments":""}}]}"#;
    let reply = read(&[&chunk(call, "\"length\"")]).unwrap();
    assert_eq!((&reply.stop, reply.calls[0].arguments.as_str()), (&Stop::OutputLimit, ""));
    let reply = read(&[&chunk(call, "\"content_filter\"")]).unwrap();
    assert_eq!((reply.stop, reply.calls.len()), (Stop::Refused, 0));
}

#[test]
fn errors_in_the_stream_have_their_class() {
    for (event, transient) in [
        (r#"{"error":{"message":"sk-secret busy","type":"server_error"}}"#, true),
        (r#"{"error":{"message":"no","code":400}}"#, false),
        (r#"{"choices":[{"index":0,"delta":{},"error":{"code":502,"message":"upstream"}}]}"#, true),
    ] {
        let error = read(&[&chunk(r#"{"content":"x"}"#, "null"), event]).unwrap_err();
        assert_eq!(matches!(error, Error::Transient { .. }), transient, "{error}");
        assert!(!error.to_string().contains("sk-secret"));
    }
    assert!(matches!(read(&["{"]), Err(Error::Protocol { .. })));
    assert!(matches!(read(&[&chunk(r#"{"tool_calls":7}"#, "null")]), Err(Error::Protocol { .. })));
}

#[test]
fn a_stop_word_is_recalled_from_the_log_as_what_it_was_taken_for() {
    for word in ["finished", "tools", "output_limit", "refused", "stop", "length", "moon"] {
        let stop = stop_of(word, false);
        assert_eq!(Stop::recalled(stop.as_str()), stop, "{word}");
    }
}

#[test]
fn the_halves_of_a_character_find_each_other() {
    let heard = Heard::default();
    let call = |piece: &str| {
        chunk(
            &format!(
                r#"{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"bash","arguments":"{piece}"}}}}]}}"#
            ),
            "null",
        )
    };
    let chunks = [
        chunk(r#"{"reasoning":"Hm \ud83d"}"#, "null"),
        chunk(r#"{"reasoning":"\ude00!"}"#, "null"),
        chunk(r#"{"content":"It is \ud83d"}"#, "null"),
        chunk(r#"{"content":"\ude00 done"}"#, "null"),
        call(r#"{\"a\": \"\ud83d"#),
        call(r#"\ude00\"}"#),
        chunk("{}", "\"tool_calls\""),
    ];
    let body: String = chunks.iter().map(|event| format!("data: {event}\n\n")).collect();
    let reply = read_aloud(&body, &[], &heard).unwrap();
    assert_eq!(reply.parts, [Part::Thought("Hm 😀!".to_owned()), Part::Text("It is 😀 done".to_owned())]);
    assert_eq!(reply.calls[0].arguments, r#"{"a": "😀"}"#);
    assert_eq!(heard.lines(), ["thought: Hm 😀!", "text: It is 😀 done"]);
}

#[test]
fn half_a_character_is_shown_as_one_that_nobody_knows_and_never_run() {
    for (piece, text) in
        [(r"a\ud83d", "a\u{fffd}"), (r"\ude00b", "\u{fffd}b"), (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}")]
    {
        let reply = read(&[&chunk(&format!(r#"{{"content":"{piece}"}}"#), "\"stop\"")]).unwrap();
        assert_eq!(reply.parts, [Part::Text(text.to_owned())], "{piece}");
        serde_json::from_str::<serde_json::Value>(reply.raw.get()).unwrap();
        let call = format!(
            r#"{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"n","arguments":"{{\"a\":\"{piece}\"}}"}}}}]}}"#
        );
        let result = read(&[&chunk(&call, "\"tool_calls\"")]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{piece}: {result:?}");
    }
    let fields = chunk(r#"{"content":"x","odd":{"deep":["\ud83d"]}}"#, "\"stop\"");
    assert!(read(&[&fields]).unwrap().raw.get().contains(r#""odd":{"deep":["\ufffd"]}"#));
}

#[test]
fn arguments_are_never_replaced_by_what_comes_later() {
    let call = |arguments: &str| {
        chunk(
            &format!(
                r#"{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"n","arguments":{arguments}}}}}]}}"#
            ),
            "null",
        )
    };
    let end = chunk("{}", "\"tool_calls\"");
    let reply = read(&[&call("\"\""), &call(r#"{"q":1.0}"#), &call("null"), &end]).unwrap();
    assert_eq!(reply.calls[0].arguments, r#"{"q":1.0}"#);
    for later in [r#"{"q":2}"#, "7"] {
        let result = read(&[&call(r#""{\"p\":1}""#), &call(later), &end]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{later}: {result:?}");
    }
}

#[test]
fn the_last_line_alone_makes_no_reply_of_a_call_or_of_nothing() {
    let call = r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"n","arguments":"{}"}}]}"#;
    for delta in [call, "{}", r#"{"content":" "}"#, r#"{"reasoning_content":"Hm"}"#] {
        let result = read(&[&chunk(delta, "null"), "[DONE]"]);
        assert!(matches!(result, Err(Error::Transient { .. })), "{delta}: {result:?}");
    }
}

#[test]
fn what_a_server_adds_is_passed_over_and_an_error_is_read_wherever_it_stands() {
    let said = chunk(r#"{"content":"x"}"#, "\"stop\"");
    for event in [
        r#"{"type":"new","message":"text","choices":"text","model":7,"usage":"much"}"#,
        r#"{"object":"new.thing","choices":{"a":1}}"#,
    ] {
        let reply = read(&[event, &said]).unwrap();
        assert_eq!((reply.parts.len(), reply.model.as_str()), (1, "gpt-4o-2024-08-06"), "{event}");
    }
    let error = read(&[r#"{"type":"error","message":"Overloaded"}"#, &said]).unwrap_err();
    assert_eq!(error.to_string(), "openai is not answering: Overloaded");
    let error = read(&[r#"{"object":"error","message":"no","code":"401"}"#, &said]).unwrap_err();
    assert!(matches!(error, Error::Key { status: 401, .. }), "{error:?}");
}

#[test]
fn what_breaks_the_rules_is_told_in_brief_and_without_the_key() {
    let long = format!("sk-secret{}", "x".repeat(4_000_000));
    for event in [
        format!(r#"{{"choices":[{{"delta":"{long}"}}]}}"#),
        format!(r#"{{"choices":[{{"finish_reason":{{"{long}":1}}}}]}}"#),
        format!(r#"{{"choices":"{long}"}}"#),
        format!(r#""{long}""#),
    ] {
        let error = read(&[&event]).unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{:.200}", error.to_string());
        assert!(error.to_string().len() < 1200 && !error.to_string().contains("sk-secret"));
    }
}

#[test]
fn names_and_ids_are_bounded() {
    let long = "x".repeat(100_000);
    let call = |id: &str, name: &str| {
        chunk(
            &format!(
                r#"{{"tool_calls":[{{"index":0,"id":"{id}","function":{{"name":"{name}","arguments":"{{}}"}}}}]}}"#
            ),
            "\"tool_calls\"",
        )
    };
    read(&[&call(&long[..4096], &long[..128])]).unwrap();
    for event in [
        call("c", &long),
        call(&long, "n"),
        chunk(r#"{"content":"x"}"#, &format!("\"{long}\"")),
        chunk(r#"{"content":"x"}"#, "\"stop\"").replace("gpt-4o", &long),
    ] {
        let result = read(&[&event]);
        assert!(matches!(result, Err(Error::Protocol { .. })), "{event:.200}");
    }
}
