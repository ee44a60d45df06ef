//! Attacks by text: what a command, a file or a model says reaches terminals, streams, web pages and pull requests.

use std::process::Output;

use serde_json::{Value, json};

use super::stage::{Said, config};
use super::{Attack, Class, How, Trial, Tried};
use crate::cli::{backspace, recording};
use crate::world::{Bent, World, bash, calls, make_repository, the_fix, tool};

/// Text that means something to whoever shows it.
pub(crate) const CLASS: Class = Class { name: "injection", attacks: ATTACKS };

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "escape sequences for a terminal", how: How::Code(|_| terminal(ESCAPES)) },
    Attack {
        name: "text that is turned around or hidden, for a terminal",
        how: How::Code(|_| terminal(TURNED)),
    },
    Attack { name: "lines that a CI service takes for commands", how: How::Code(|_| commands_of_ci()) },
    Attack { name: "lines that forge a server-sent event", how: How::Code(|_| events()) },
    Attack { name: "bytes that are no text", how: How::Code(|_| no_text()) },
    Attack { name: "HTML, mentions and closing words in a pull request", how: How::Code(|_| pull_request()) },
];

const ESCAPES: &[&str] =
    &["\u{1b}]0;owned\u{7}", "\u{1b}[2J", "\u{9b}31m", "\u{1b}[6n", "\u{8}\u{8}\u{8}", "\rerror"];
const TURNED: &[&str] = &["\u{202e}gpj.exe", "\u{2066}x\u{2069}", "a\u{200b}b", "\u{200f}", "\u{feff}"];

/// `finish` that says `text` everywhere it can.
fn finish_with(text: &str) -> Value {
    tool("finish", json!({ "title": format!("Title {text}"), "summary": format!("Summary {text}") }))
}

/// A session of the real binary that is told `text` by a command, a file, a file's name, the plan and the model.
fn session_with(text: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("calc");
    make_repository(&folder);
    std::fs::write(folder.join("text"), text).unwrap();
    let escaped: String = text.bytes().map(|byte| format!("\\\\x{byte:02x}")).collect();
    let quoted = format!("$'{}'", escaped.replace("\\\\", "\\"));
    let replies = [
        json!({ "content": [{ "type": "text", "text": format!("I say {text}") }, bash(&format!("printf '%s\\n' {quoted}; printf '%s' {quoted} > told; cp told name-{quoted}; exit 1"))], "stop": "tool_use", "model": "story-1" }),
        calls([
            tool("read", json!({ "path": "told" })),
            tool("plan", json!({ "steps": [{ "text": format!("Step {text}"), "done": false }] })),
        ]),
        calls([bash(&format!("echo {quoted}")), the_fix()]),
        calls([finish_with(text)]),
    ];
    let recording = recording(home.path(), &replies);
    let repository = folder.display().to_string();
    // Control characters are refused at the door.
    let prompt = if text.contains(char::is_control) { "Do it".to_owned() } else { format!("Do {text}") };
    backspace(home.path())
        .args(["run", &repository, &prompt, "--provider", "scripted", "--model", &recording])
        // As on a terminal: else nothing would be coloured, and all sequences be taken out for that.
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap()
}

fn terminal(texts: &'static [&'static str]) -> Trial<'static> {
    Box::pin(async move {
        let mut through = Vec::new();
        for text in texts {
            let done = tokio::task::spawn_blocking(|| session_with(text)).await.unwrap();
            if done.status.code() != Some(0) {
                let attack = Said::Unclear(format!("{text:?}: {}", String::from_utf8_lossy(&done.stderr)));
                return Tried { attack, control: Said::Breached(String::new()) };
            }
            let printed = [done.stdout, done.stderr].concat();
            if printed.windows(text.len()).any(|part| part == text.as_bytes()) {
                through.push(text.escape_unicode().to_string());
            }
        }
        let attack = match through.is_empty() {
            true => Said::Held("all of them are shown as text".to_owned()),
            false => Said::Breached(through.join(", ")),
        };
        let plain = std::process::Command::new("printf").arg("%s").arg(texts[0]).output().unwrap().stdout;
        let control = match plain == texts[0].as_bytes() {
            true => Said::Breached("a program that passes it on passes all of it on".to_owned()),
            false => Said::Held("it is not passed on".to_owned()),
        };
        Tried { attack, control }
    })
}

fn commands_of_ci() -> Trial<'static> {
    const TEXT: &str = "x\n::error::owned\n##[error]owned\n::set-env name=PATH::/tmp";
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(|| session_with(TEXT)).await.unwrap();
        let printed = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        // A colour before it does not hide a command from those who take colours out.
        let plain = |line: &str| anstream_free(line).trim_start_matches('\r').to_owned();
        let lines: Vec<String> = printed
            .lines()
            .map(plain)
            .filter(|line| line.starts_with("::") || line.starts_with("##["))
            .collect();
        let attack = match (done.status.code(), lines.is_empty()) {
            (Some(0), true) => Said::Held("no line begins as a command".to_owned()),
            (Some(0), false) => Said::Breached(format!("{lines:?}")),
            (code, _) => Said::Unclear(format!("{code:?}: {printed}")),
        };
        // It is all in the log; whoever prints that as it is prints commands.
        let told = texts(&told_by_everybody(TEXT).await);
        let commands = told.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("::error::"));
        let control = match commands.count() {
            0 => Said::Held("the log has none of them".to_owned()),
            some => Said::Breached(format!("{some} in the log, printed as it is")),
        };
        Tried { attack, control }
    })
}

/// `line` without colours.
fn anstream_free(line: &str) -> String {
    let colour = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    colour.replace_all(line, "").into_owned()
}

fn events() -> Trial<'static> {
    const TEXT: &str = "x\n\nid: 999\nevent: message\ndata: {\"type\":\"complete\",\"status\":\"success\"}\n\n\r\rdata: y\u{85}\u{2028}data: z";
    Box::pin(async move {
        let entries = told_by_everybody(TEXT).await;
        let mut broken = Vec::new();
        for entry in &entries {
            let Some(event) = server::wire::event(entry) else { continue };
            let value: Value = serde_json::from_str(&event.json).unwrap();
            if event.json.contains(['\n', '\r']) || !event.json.is_ascii() || value["type"].is_null() {
                broken.push(event.json);
            }
        }
        let seen = entries
            .iter()
            .any(|entry| server::wire::event(entry).is_some_and(|it| it.json.contains("id: 999")));
        let attack = match (broken.is_empty(), seen) {
            (true, true) => Said::Held("each event is one line of ASCII".to_owned()),
            (false, _) => Said::Breached(format!("{broken:?}")),
            (true, false) => Said::Unclear("the text is nowhere in the events".to_owned()),
        };
        // It is all in the log; a stream of what stands there, as it is, has an event of the attacker's.
        let careless: String = texts(&entries).iter().map(|text| format!("data: {text}\n\n")).collect();
        let control = match careless.lines().filter(|line| *line == "id: 999").count() {
            0 => Said::Held("the log has none of it".to_owned()),
            some => Said::Breached(format!("{some} forged events")),
        };
        Tried { attack, control }
    })
}

/// The log of a session that was told `text` by a command and by its model.
async fn told_by_everybody(text: &str) -> Vec<events::Entry> {
    let quoted: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
    let says = json!({ "content": [{ "type": "text", "text": text }, bash(&format!("printf '%s' $'{quoted}'"))], "stop": "tool_use", "model": "story-1" });
    let mut bent = Bent::replies([says, calls([the_fix()]), calls([finish_with(text)])]);
    bent.sandbox = config();
    let world = World::local(bent).await;
    world.run_once(json!({})).await
}

fn no_text() -> Trial<'static> {
    Box::pin(async move {
        let bytes = "printf 'a\\xff\\xfe\\xc3\\x28\\xed\\xa0\\x80\\xf8\\0b'";
        let mut bent = Bent::replies([calls([bash(bytes)]), calls([the_fix()]), calls([finish_with("")])]);
        bent.sandbox = config();
        let world = World::local(bent).await;
        let entries = world.run_once(json!({})).await;
        let events: Vec<String> =
            entries.iter().filter_map(server::wire::event).map(|event| event.json).collect();
        let shown = events.iter().find(|json| json.contains("\"Tool: Bash\"") && json.contains("\\ufffd"));
        let attack = match shown {
            Some(json) if serde_json::from_str::<Value>(json).is_ok() && json.is_ascii() => {
                Said::Held("replaced".to_owned())
            }
            Some(json) => Said::Breached(json.clone()),
            None => Said::Unclear(format!("{events:?}")),
        };
        let careless = String::from_utf8(b"a\xff\xfe".to_vec());
        Tried { attack, control: careless.map_or_else(|error| Said::Breached(error.to_string()), Said::Held) }
    })
}

fn pull_request() -> Trial<'static> {
    const TEXT: &str = "<img src=x onerror=alert(1)><!-- hidden --> @everyone Closes #1, fixes octo/calc#2 ![](https://evil.example/p)";
    const POWERS: &[&str] = &["<img", "<!-- hidden", " @everyone", "Closes #1", "fixes octo/calc#2", "![]("];
    Box::pin(async move {
        let (attack, entries) = body_of(TEXT, POWERS).await;
        // What the model said stands in the log; a body made of that, as it is, has all these powers.
        let pasted = texts(&entries).into_iter().find(|text| POWERS.iter().all(|word| text.contains(word)));
        let control = match pasted {
            Some(text) => Said::Breached(text),
            None => Said::Held("the log has not all of it".to_owned()),
        };
        Tried { attack, control }
    })
}

/// The pull request's text of a session that finished with `text`, judged while its world stands.
async fn body_of(text: &str, powers: &[&str]) -> (Said, Vec<events::Entry>) {
    let mut bent = Bent::replies([calls([the_fix()]), calls([finish_with(text)])]);
    bent.sandbox = config();
    let world = World::local(bent).await;
    let entries = world.run_once(json!({})).await;
    let last: Value =
        serde_json::from_str(&server::wire::event(entries.last().unwrap()).unwrap().json).unwrap();
    let page = last["pr_url"].as_str().and_then(|url| url.strip_prefix("file://"));
    let said = match page.and_then(|page| std::fs::read_to_string(page).ok()) {
        Some(page) => judged(&page, powers),
        None => Said::Unclear(last.to_string()),
    };
    (said, entries)
}

/// All that the log says, as it was said.
fn texts(entries: &[events::Entry]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut left: Vec<Value> =
        entries.iter().map(|entry| serde_json::from_str(&entry.event.payload().unwrap()).unwrap()).collect();
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => texts.push(text),
            Value::Array(values) => left.extend(values),
            Value::Object(fields) => left.extend(fields.into_iter().map(|(_, value)| value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    texts
}

fn judged(page: &str, powers: &[&str]) -> Said {
    let kept: Vec<&&str> = powers.iter().filter(|word| page.contains(**word)).collect();
    match (kept.is_empty(), page.contains("everyone")) {
        (true, true) => Said::Held("it is there as text".to_owned()),
        (false, _) => Said::Breached(format!("{kept:?} in {page}")),
        (true, false) => Said::Unclear(page.to_owned()),
    }
}
