//! What every model does alike: all wires against a strict stand-in, and a recording.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "contract/connection.rs"]
mod connection;
#[path = "contract/thoughts.rs"]
mod thoughts;

use fakes::model::{Asked, Counts, Fake, Fault, Manner, Organization, Recording, Running};
use model::{
    Breakers, Chain, Config, Conversation, Error, Message, Model, Notice, Part, Policy, Protocol, Reply,
    ScriptedConfig, Served, Stop, ToolResult, ToolSpec, Unheard, Vendors,
};
use secrecy::SecretString;

const KEY: &str = "sk-very-secret-key";
const MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;

/// A task in five replies: thinking, parallel calls, arguments that are no JSON, a block of an unknown kind, the end.
const TASK: &[&str] = &[
    r#"{"content":[{"type":"thinking","thinking":"Look first. 😀","signature":"c2lnbmF0dXJl"},{"type":"text","text":"I look."},{"type":"tool_use","id":"t1","name":"bash","input":{"command": "ls -la","n":1.0}}],"usage":{"input_tokens":10,"output_tokens":20,"cache_read_input_tokens":30,"cache_creation_input_tokens":40},"model":"claude-opus-5-5"}"#,
    r#"{"content":[{"type":"thinking","thinking":"Two at once.","signature":"YWdhaW4="},{"type":"tool_use","id":"t2","name":"bash","input":{"command":"a"}},{"type":"tool_use","id":"t3","name":"read","input":{}}]}"#,
    r#"{"content":[{"type":"tool_use","id":"t4","name":"bash","input":{"INVALID_JSON":"{\"command\": \"unfin"}}]}"#,
    r#"{"content":[{"type":"redacted_thinking","data":"b3BhcXVl"},{"type":"brand_new_block","z":1.50,"a":[ ]},{"type":"text","text":"Odd."},{"type":"tool_use","id":"t5","name":"no_such_tool","input":{"x":[1,2]}}]}"#,
    r#"{"content":[{"type":"text","text":"Done."}],"stop":"end_turn"}"#,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Anthropic,
    Responses,
    ChatCompletions,
    Scripted,
}

/// Those that speak over a wire.
const WIRES: [Backend; 3] = [Backend::Anthropic, Backend::Responses, Backend::ChatCompletions];
const ALL: [Backend; 4] =
    [Backend::Anthropic, Backend::Responses, Backend::ChatCompletions, Backend::Scripted];

/// A backend with a recording behind it.
struct Bench {
    backend: Backend,
    text: String,
    fake: Fake,
    running: Running,
}

impl Bench {
    async fn new(backend: Backend, lines: &[&str]) -> Self {
        Self::counting(backend, lines, Counts::Recorded).await
    }

    async fn counting(backend: Backend, lines: &[&str], counts: Counts) -> Self {
        let text = lines.join("\n");
        let manner = Manner { organization: Organization::Verified, counts };
        let fake = Fake::with_manner(Recording::parse(&text).unwrap(), manner);
        let running = fake.start().await.unwrap();
        Self { backend, text, fake, running }
    }

    fn config(&self) -> Config {
        match self.backend {
            Backend::Anthropic => anthropic(&self.running.anthropic_url()),
            Backend::Responses => responses(&self.running.openai_url()),
            Backend::ChatCompletions => chat_completions(&self.running.openai_url()),
            Backend::Scripted => {
                Config::Scripted(ScriptedConfig { name: "recording".to_owned(), text: self.text.clone() })
            }
        }
    }

    fn open(&self) -> Box<dyn Model> {
        model::open(&self.config()).unwrap()
    }

    /// The requests that were answered, as they were sent.
    fn sent(&self) -> Vec<String> {
        self.fake
            .asked()
            .into_iter()
            .filter(|asked| asked.status == 200)
            .map(|asked: Asked| asked.body)
            .collect()
    }
}

fn anthropic(base_url: &str) -> Config {
    served("anthropic", "claude-opus-5-5", Protocol::Anthropic, base_url)
}

fn responses(base_url: &str) -> Config {
    served("openai", "gpt-5", Protocol::Responses, base_url)
}

fn chat_completions(base_url: &str) -> Config {
    served("openai", "gpt-5", Protocol::ChatCompletions, base_url)
}

fn served(vendor: &str, model: &str, protocol: Protocol, base_url: &str) -> Config {
    let served = Served::new(Vendors::built_in().get(vendor).unwrap(), SecretString::from(KEY), model);
    Config::Served(served.speaking(protocol).at(base_url))
}

fn conversation() -> Conversation {
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: format!("Does {name}."),
        parameters: serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap(),
    };
    let mut conversation = Conversation::new("You are careful.".to_owned(), vec![tool("bash"), tool("read")]);
    conversation.push(Message::User("Do it.".to_owned()));
    conversation
}

/// Takes a reply into the conversation, and answers its calls.
fn answer(conversation: &mut Conversation, reply: &Reply) {
    conversation.push(Message::Assistant(reply.clone()));
    let result =
        |id: &str| ToolResult { call_id: id.to_owned(), text: format!("result of {id}"), failed: id == "t4" };
    let results: Vec<ToolResult> = reply.calls.iter().map(|call| result(&call.id)).collect();
    if !results.is_empty() {
        conversation.push(Message::Results(results));
    }
}

/// Asks until the model calls no more tools.
async fn work(model: &dyn Model, conversation: &mut Conversation) -> Vec<Reply> {
    let mut replies = Vec::new();
    loop {
        let reply = model.reply(conversation, None, &Unheard).await.unwrap();
        answer(conversation, &reply);
        replies.push(reply);
        if replies.last().unwrap().calls.is_empty() {
            return replies;
        }
    }
}

#[tokio::test]
async fn a_task_of_several_turns_is_the_same_everywhere() {
    let text = |text: &str| Part::Text(text.to_owned());
    let thought = |text: &str| Part::Thought(text.to_owned());
    for backend in ALL {
        let bench = Bench::new(backend, TASK).await;
        let replies = work(&*bench.open(), &mut conversation()).await;
        let parts: Vec<&[Part]> = replies.iter().map(|reply| reply.parts.as_slice()).collect();
        let expected: [&[Part]; 5] = [
            &[thought("Look first. 😀"), text("I look.")],
            &[thought("Two at once.")],
            &[],
            &[text("Odd.")],
            &[text("Done.")],
        ];
        assert_eq!(parts, expected, "{backend:?}");
        let calls = |n: usize| -> Vec<(&str, &str, &str)> {
            let calls = replies[n].calls.iter();
            calls.map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect()
        };
        assert_eq!(calls(0), [("t1", "bash", r#"{"command": "ls -la","n":1.0}"#)], "{backend:?}");
        assert_eq!(calls(1), [("t2", "bash", r#"{"command":"a"}"#), ("t3", "read", "{}")], "{backend:?}");
        assert_eq!(calls(2), [("t4", "bash", r#"{"command": "unfin"#)], "{backend:?}");
        assert_eq!(calls(3), [("t5", "no_such_tool", r#"{"x":[1,2]}"#)], "{backend:?}");
        let stops: Vec<&Stop> = replies.iter().map(|reply| &reply.stop).collect();
        assert_eq!(
            stops,
            [&Stop::Tools, &Stop::Tools, &Stop::Tools, &Stop::Tools, &Stop::Finished],
            "{backend:?}"
        );
        let usage = replies[0].usage;
        assert_eq!(
            (usage.input, usage.output, usage.cache_read, usage.cache_write),
            (10, 20, 30, 40),
            "{backend:?}"
        );
        assert_eq!(replies[0].model, "claude-opus-5-5");
        let paid = replies[0].usage.usd.unwrap();
        assert!(if backend == Backend::Scripted { paid == 0.0 } else { paid > 0.0 }, "{backend:?}: {paid}");
    }
}

#[tokio::test]
async fn replies_go_back_byte_for_byte_and_the_past_never_changes() {
    for backend in WIRES {
        let bench = Bench::new(backend, TASK).await;
        let replies = work(&*bench.open(), &mut conversation()).await;
        let sent = bench.sent();
        assert_eq!(sent.len(), TASK.len());
        let mut before = String::new();
        for (n, body) in sent.iter().enumerate() {
            assert!(body.matches(MARK).count() <= 4);
            let plain = body.replace(MARK, "");
            // Behind the messages stands the limit of the reply, where a wire must have one.
            let open = plain.strip_suffix("]}").or_else(|| plain.strip_suffix(r#"],"max_tokens":32000}"#));
            let open = open.unwrap();
            assert!(open.starts_with(&before), "{backend:?}: request {n} changed the past");
            before = open.to_owned();
            for reply in &replies[..n] {
                // A reply of several items is a list here, and the list goes on there.
                let sent_back = match backend {
                    Backend::Responses => reply.raw.get().trim_start_matches('[').trim_end_matches(']'),
                    Backend::Anthropic | Backend::ChatCompletions | Backend::Scripted => reply.raw.get(),
                };
                assert!(plain.contains(sent_back), "{backend:?}: {sent_back} is not in request {n}");
            }
        }
        if backend != Backend::ChatCompletions {
            assert!(before.contains(r#"{"type":"brand_new_block","z":1.50,"a":[ ]}"#));
        }
        if backend == Backend::Responses {
            assert!(before.contains(r#""encrypted_content":"c2lnbmF0dXJl."#), "{before}");
            assert!(
                before.contains(r#"{"type":"function_call_output","call_id":"t4","output":"result of t4"}"#)
            );
        }
        if backend == Backend::Anthropic {
            assert!(before.contains(r#""thinking":"Look first. 😀""#));
            assert!(before.contains(r#""signature":"c2lnbmF0dXJl."#));
            assert!(before.contains(r#""input":{"command": "ls -la","n":1.0}"#));
        }
    }
}

#[tokio::test]
async fn all_of_a_request_is_found_in_the_cache_by_the_next() {
    for backend in WIRES {
        let bench = Bench::counting(backend, TASK, Counts::Simulated).await;
        let mut conversation = conversation();
        // Long enough for every provider.
        conversation.push(Message::User("Mind this. ".repeat(1000)));
        let replies = work(&*bench.open(), &mut conversation).await;
        let mut kept = 0;
        for (n, reply) in replies.iter().enumerate() {
            let usage = reply.usage;
            assert_eq!(usage.cache_read, kept, "{backend:?}, request {n}: {usage:?}");
            kept = usage.cache_read + usage.cache_write;
            // What OpenAI keeps ends at a step, what Anthropic keeps at the mark at the end.
            let rest = if backend == Backend::Anthropic { 0 } else { 127 };
            assert!(kept > 2000 && usage.input <= rest, "{backend:?}, request {n}: {usage:?}");
        }
    }
}

#[tokio::test]
async fn a_session_taken_up_by_another_process_goes_on_with_the_same_bytes() {
    for backend in ALL {
        let bench = Bench::new(backend, TASK).await;
        let mut conversation = conversation();
        let first = bench.open();
        for _ in 0..2 {
            let reply = first.reply(&conversation, None, &Unheard).await.unwrap();
            answer(&mut conversation, &reply);
        }
        let resumed = bench.open();
        let (here, there) = (
            first.reply(&conversation, None, &Unheard).await.unwrap(),
            resumed.reply(&conversation, None, &Unheard).await.unwrap(),
        );
        assert_eq!(format!("{here:?}"), format!("{there:?}"));
        assert_eq!(here.calls[0].id, "t4", "{backend:?}");
        let sent = bench.sent();
        assert_eq!(sent.last(), sent.iter().rev().nth(1), "{backend:?}");
    }
}

#[tokio::test]
async fn thoughts_that_may_not_be_shown_are_not_asked_for_again() {
    let recording = Recording::parse(&TASK.join("\n")).unwrap();
    let manner = Manner { organization: Organization::Unverified, counts: Counts::Recorded };
    let fake = Fake::with_manner(recording, manner);
    let running = fake.start().await.unwrap();
    let model = model::open(&responses(&running.openai_url())).unwrap();
    let replies = work(&*model, &mut conversation()).await;
    assert_eq!(replies[0].parts, [Part::Text("I look.".to_owned())]);
    let statuses: Vec<u16> = fake.asked().iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [400, 200, 200, 200, 200, 200]);
    assert!(fake.asked().last().unwrap().body.contains(r#""encrypted_content":"c2lnbmF0dXJl."#));
}

#[tokio::test]
async fn a_recording_that_is_over_refuses_further_requests() {
    for backend in ALL {
        let bench = Bench::new(backend, &TASK[..1]).await;
        let model = bench.open();
        let mut conversation = conversation();
        let reply = model.reply(&conversation, None, &Unheard).await.unwrap();
        answer(&mut conversation, &reply);
        let error = model.reply(&conversation, None, &Unheard).await.unwrap_err();
        assert!(matches!(error, Error::Refused { status: 400, .. }), "{backend:?}: {error:?}");
        assert!(
            error.to_string().contains("the recording has 1 replies, and reply 2 was asked for"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn errors_have_the_class_of_their_status_and_never_the_key() {
    for backend in WIRES {
        let bench = Bench::new(backend, TASK).await;
        let model = bench.open();
        for status in [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529] {
            bench.fake.fail_next(Fault::status(status));
            let error = model.reply(&conversation(), None, &Unheard).await.unwrap_err();
            let class = match &error {
                Error::Key { .. } => "key",
                Error::Quota { .. } => "quota",
                Error::NotFound { .. } => "not found",
                Error::ContextFull { .. } => "context",
                Error::Refused { .. } => "refused",
                Error::Transient { .. } => "transient",
                Error::Protocol { .. } | Error::Beyond { .. } | Error::Config(_) => "other",
            };
            let expected = match status {
                401 | 403 => "key",
                402 => "quota",
                404 => "not found",
                413 => "context",
                400 | 422 => "refused",
                _ => "transient",
            };
            assert_eq!(class, expected, "{backend:?} {status}: {error}");
            assert!(!format!("{error} {error:?}").contains(KEY));
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
        assert!(!format!("{:?}", bench.config()).contains(KEY));
        assert!(!format!("{:?}", bench.fake.asked()).contains(KEY));
    }
}

#[tokio::test]
async fn a_cut_reply_is_asked_for_again_as_if_it_had_never_begun() {
    for backend in WIRES {
        for fault in [Fault::Cut, Fault::EndEarly, Fault::ErrorInStream] {
            let bench = Bench::new(backend, TASK).await;
            let model = bench.open();
            bench.fake.fail_next(fault.clone());
            let error = model.reply(&conversation(), None, &Unheard).await.unwrap_err();
            assert!(matches!(error, Error::Transient { .. }), "{backend:?} {fault:?}: {error:?}");
            let reply = model.reply(&conversation(), None, &Unheard).await.unwrap();
            assert_eq!((reply.calls.len(), reply.usage.output), (1, 20));
            let sent = bench.sent();
            assert_eq!((sent.len(), &sent[0]), (2, &sent[1]));
        }
    }
}

#[tokio::test]
async fn a_reply_that_stalls_is_never_taken_for_a_whole_one() {
    for backend in WIRES {
        let bench = Bench::new(backend, TASK).await;
        let (model, conversation) = (bench.open(), conversation());
        bench.fake.fail_next(Fault::Stall);
        let stalled = async {
            while bench.sent().is_empty() {
                tokio::task::yield_now().await;
            }
            // Many more rounds than the rest of a whole reply would take.
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            reply = model.reply(&conversation, None, &Unheard) => panic!("{backend:?}: {reply:?}"),
            () = stalled => {}
        }
        assert_eq!(model.reply(&conversation, None, &Unheard).await.unwrap().calls[0].id, "t1");
    }
}

#[tokio::test]
async fn waiting_is_as_long_as_the_provider_says_and_written_down() {
    let policy = Policy { wait_min: std::time::Duration::from_millis(1), tries_max: 3, ..Policy::default() };
    let policy = Policy { wait_max: policy.wait_min, ..policy };
    for backend in WIRES {
        let bench = Bench::new(backend, TASK).await;
        let headers = vec![("retry-after-ms", "7".to_owned()), ("retry-after", "60".to_owned())];
        bench.fake.fail_next(Fault::Status { status: 429, headers });
        bench.fake.fail_next(Fault::status(529));
        let waits = std::sync::Mutex::new(Vec::new());
        let on_notice = async |notice: Notice| {
            let Notice::Wait(wait) = notice else { panic!("{notice:?}") };
            waits.lock().unwrap().push(wait);
            Ok::<(), Error>(())
        };
        let chain = Chain::of(vec![bench.open()], policy.clone(), Breakers::default());
        let reply = chain.ask(&conversation(), |_| None, &Unheard, on_notice).await.unwrap();
        assert_eq!(reply.calls[0].id, "t1");
        let waits = waits.into_inner().unwrap();
        assert_eq!(waits.iter().map(|wait| (wait.wait_ms, wait.retry)).collect::<Vec<_>>(), [(7, 1), (1, 2)]);
        assert!(waits[0].reason.contains("(429)") && waits[1].reason.contains("(529)"), "{waits:?}");
        let headers = vec![("x-should-retry", "false".to_owned())];
        bench.fake.fail_next(Fault::Status { status: 503, headers });
        let refused = chain.ask(&conversation(), |_| None, &Unheard, async |_| Ok::<(), Error>(())).await;
        assert!(matches!(refused, Err(Error::Refused { status: 503, .. })));
    }
}

#[tokio::test]
async fn a_conversation_that_was_begun_again_goes_on_everywhere() {
    for backend in ALL {
        let bench = Bench::new(backend, TASK).await;
        let model = bench.open();
        let mut begun = conversation();
        for _ in 0..2 {
            let reply = model.reply(&begun, None, &Unheard).await.unwrap();
            answer(&mut begun, &reply);
        }
        let kept = begun.messages()[3..].to_vec();
        assert_eq!(kept.len(), 2, "a reply that thought and called twice, and the results");
        let mut next = begun.going_on("Do it. You have looked.".to_owned(), kept);
        // The stand-in answers by the number of replies it sees; a recording counts all that there were.
        let seen = if backend == Backend::Scripted { 2 } else { 1 };
        let replies = work(&*model, &mut next).await;
        assert_eq!(replies.len(), TASK.len() - seen, "{backend:?}");
        let Some(first) = bench.sent().into_iter().nth(2) else { continue };
        assert!(first.contains("Do it. You have looked.") && !first.contains("Look first"), "{first}");
        assert!(first.contains("result of t2") && first.contains("result of t3"), "{first}");
        assert!(!first.contains("Two at once."), "a thought is signed for what stood before it: {first}");
    }
}
