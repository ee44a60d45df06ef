//! What came of asking, in exact words.

use std::sync::Mutex;
use std::time::Duration;

use model::{Delta, Error, Live, Lost, LostUsage, Notice, Part, Policy, Reply, Stop, Usage, Wait};

use crate::bench::{Bench, KEY};

/// The pause of our own choice: always the same here, so that the words can leave it out.
const PAUSE: Duration = Duration::from_secs(1);

/// What came of asking.
pub(crate) struct Came {
    pub(crate) reply: Result<Reply, Error>,
    pub(crate) waits: Vec<Wait>,
    lost: Vec<LostUsage>,
    /// What was shown, and not taken back.
    shown: String,
    /// How often the provider was asked before the next model was; nothing while that was not asked.
    switched_after: Option<usize>,
    asked: usize,
}

/// What comes of asking the model of `bench`, alone and with another one behind it.
pub(crate) async fn of(bench: &Bench) -> String {
    let (expected, alone) = (bench.expected().await, ask(bench, Vec::new()).await);
    let backed = ask(&bench.anew().await, vec![bench.next()]).await;
    let words = match (&alone.reply, alone.asked) {
        (Ok(reply), 1) => taken(&expected, reply, &alone),
        (Ok(reply), 2) => again(&expected, reply, &alone),
        (Err(error), 1) => format!("gives up: {}", class(error)),
        (Err(error @ Error::Transient { .. }), times) => {
            check_is_busy(error);
            format!("asks {times} times, then gives up")
        }
        (Err(error), times) => format!("asks {times} times, then gives up: {}", class(error)),
        (Ok(_), times) => panic!("asked {times} times"),
    };
    let switched = match (backed.switched_after, alone.reply.is_ok()) {
        (None, _) => {
            assert_eq!(backed.reply.is_ok(), alone.reply.is_ok());
            String::new()
        }
        (Some(_), true) => ", or the next model at once".to_owned(),
        (Some(1), false) => ", the next model".to_owned(),
        (Some(times), false) => format!(", the next model after {times}"),
    };
    format!("{words}{switched}{}", lost(&alone.lost, expected.raw.get().len()))
}

/// What is counted for replies that broke off, of which `whole` bytes had come at the end.
fn lost(all: &[LostUsage], whole: usize) -> String {
    let (mut tokens, mut estimates) = (0, 0);
    for lost in all {
        match lost {
            LostUsage::Counted { used, heard: _ } => {
                tokens += used.input + used.output + used.cache_read + used.cache_write;
            }
            LostUsage::Heard(bytes) => {
                assert!((1..whole as u64).contains(bytes), "{bytes} of {whole} bytes");
                estimates += 1;
            }
            LostUsage::Estimated(_) => panic!("nothing was recorded"),
        }
    }
    match (tokens, estimates) {
        (0, 0) => String::new(),
        (tokens, 0) => format!("; counts {tokens} tokens lost"),
        (0, 1) => "; estimates the tokens lost".to_owned(),
        (0, times) => format!("; estimates the tokens lost {times} times"),
        (tokens, times) => panic!("{tokens} tokens were counted, and {times} replies were not"),
    }
}

/// Asks, and checks what holds whatever happens.
pub(crate) async fn ask(bench: &Bench, others: Vec<Box<dyn model::Model>>) -> Came {
    let policy = Policy { wait_min: PAUSE, wait_max: PAUSE, ..Policy::default() };
    let (waits, lost) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let switched = Mutex::new(None);
    let on_notice = async |notice: Notice| {
        match notice {
            Notice::Wait(wait) => waits.lock().unwrap().push(wait),
            Notice::Lost(Lost { usage, .. }) => lost.lock().unwrap().push(usage),
            Notice::Switched(_) => *switched.lock().unwrap() = Some(bench.asked()),
        }
        Ok::<(), Error>(())
    };
    let shown = Shown::default();
    let models = std::iter::once(bench.model()).chain(others).collect();
    let chain = model::Chain::of(models, policy, model::Breakers::default());
    let reply = chain.ask(&bench.conversation(), |_| None, &shown, on_notice).await;
    let came = Came {
        reply,
        waits: waits.into_inner().unwrap(),
        lost: lost.into_inner().unwrap(),
        shown: shown.0.into_inner().unwrap(),
        switched_after: switched.into_inner().unwrap(),
        asked: bench.asked(),
    };
    let bodies = bench.bodies();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "it asks for the same again");
    let told = format!("{:?} {:?}", came.reply, came.waits);
    assert!(!told.contains(KEY), "{told}");
    came
}

fn again(expected: &Reply, reply: &Reply, came: &Came) -> String {
    assert_eq!(compared(expected, reply), "", "what broke off leaves nothing behind");
    assert_eq!(came.shown, said(reply), "what was shown of it is taken back");
    let [wait] = came.waits.as_slice() else { panic!("{:?}", came.waits) };
    assert_eq!(wait.retry, 1);
    match Duration::from_millis(wait.wait_ms) {
        PAUSE => "asks again".to_owned(),
        other => format!("asks again after {} s", other.as_secs_f64()),
    }
}

fn taken(expected: &Reply, reply: &Reply, came: &Came) -> String {
    assert_eq!(came.waits, []);
    let (differs, said) = (compared(expected, reply), said(reply));
    let calls = reply.calls.iter().map(|call| call.arguments.as_str());
    let run =
        if calls.clone().all(is_object) { "" } else { "; the call is not run: its arguments are no JSON" };
    let shown = if came.shown == said {
        ""
    } else if came.shown == with_half(&said) {
        "; people see U+FFFD for it until it is whole"
    } else {
        assert!(has_piece_twice(&came.shown, &said), "{}", came.shown);
        "; people see the piece twice until it is whole"
    };
    let stop = match &reply.stop {
        Stop::Finished | Stop::Tools => String::new(),
        Stop::OutputLimit => " as cut short".to_owned(),
        Stop::Refused => {
            assert_eq!(reply.calls, []);
            " as held back, without its calls".to_owned()
        }
        Stop::Other(word) => format!(" as `{word}`"),
    };
    let what = if said.is_empty() && reply.calls.is_empty() { "an empty" } else { "the" };
    format!("takes {what} reply{stop}{differs}{run}{shown}")
}

fn said(reply: &Reply) -> String {
    let text = |part: &Part| match part {
        Part::Text(text) | Part::Thought(text) => text.clone(),
    };
    reply.parts.iter().map(text).collect()
}

/// Whether `text` is `expected` with a piece repeated.
fn has_piece_twice(text: &str, expected: &str) -> bool {
    let more = text.len().saturating_sub(expected.len());
    more > 0
        && (0..=expected.len() - more)
            .any(|at| text == format!("{}{}", &expected[..at + more], &expected[at..]))
}

/// `text` with U+FFFD where the second half of a character is missing.
fn with_half(text: &str) -> String {
    text.chars().map(|c| if c.len_utf16() == 2 { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether these arguments are what the agent runs a tool with.
fn is_object(arguments: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(arguments).is_ok()
}

/// How a reply differs from the one that was to be given.
fn compared(expected: &Reply, reply: &Reply) -> String {
    let mut differs = String::new();
    let (text, expected_text) = (said(reply), said(expected));
    if text == with_half(&expected_text) && text != expected_text {
        differs += " with U+FFFD for it";
    } else if text != expected_text {
        assert!(has_piece_twice(&text, &expected_text), "{text}");
        differs += " with the piece twice";
    }
    let pairs = || reply.calls.iter().zip(&expected.calls);
    assert_eq!(reply.calls.len(), expected.calls.len());
    assert!(pairs().all(|(call, expected)| (&call.id, &call.name) == (&expected.id, &expected.name)));
    for (call, expected) in pairs().filter(|(call, expected)| call.arguments != expected.arguments) {
        assert!(has_piece_twice(&call.arguments, &expected.arguments), "{}", call.arguments);
        assert!(!is_object(&call.arguments), "it would be run");
    }
    assert_eq!(reply.stop, expected.stop);
    let Usage { input, output, cache_read, cache_write, usd } = reply.usage;
    let counts = [input, output, cache_read, cache_write];
    if counts != [10, 20, 30, 40] {
        differs += &format!(" counting {counts:?}");
    }
    if usd.is_none() {
        differs += " at an unknown cost";
    }
    differs
}

fn class(error: &Error) -> String {
    match error {
        Error::Key { status, variable, .. } => {
            format!("key refused ({status}), names `{}`", variable.as_deref().unwrap_or_default())
        }
        Error::Quota { status, .. } => format!("quota spent ({status})"),
        Error::NotFound { status, .. } => format!("model unknown ({status})"),
        Error::ContextFull { status, .. } => format!("context full ({status})"),
        Error::Refused { status, .. } => format!("refused ({status})"),
        Error::Transient { .. } => "busy".to_owned(),
        Error::Protocol { .. } => "no protocol".to_owned(),
        Error::Beyond { .. } | Error::Config(_) => panic!("{error}"),
    }
}

/// A transient error says what is the matter, and promises nothing.
fn check_is_busy(error: &Error) {
    assert!(error.to_string().contains("is not answering: "), "{error}");
}

/// What people were shown and not taken back.
#[derive(Default)]
struct Shown(Mutex<String>);

impl Live for Shown {
    fn hear(&self, delta: Delta<'_>) {
        let mut shown = self.0.lock().unwrap();
        match delta {
            Delta::Text(text) | Delta::Thought(text) => shown.push_str(text),
            Delta::Used(_) | Delta::Unshown(_) => {}
            Delta::Again => shown.clear(),
        }
    }
}
