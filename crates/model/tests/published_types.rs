//! What we send, and what the stand-in answers, held against the types that the vendors publish for their own clients.
//!
//! The types are those of npm's `openai` and `@anthropic-ai/sdk`, read by `typescript`: a field that they do not know, or
//! one that they miss, is an error. They are fetched once into the target folder and never checked in.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fakes::model::{Fake, Recording};
use model::{Config, Conversation, Message, Protocol, Served, ToolResult, ToolSpec, Unheard, Vendors};
use secrecy::SecretString;

const OPENAI: &str = "7.57.0";
const ANTHROPIC: &str = "1.14.0";
/// The last one that is a program for Node alone.
const TYPESCRIPT: &str = "5.9.3";

/// A piece of an answer as it is sent: `output_text` is added by OpenAI's client.
const SENT: &str = "type Sent<E> = E extends { response: infer R } \
                    ? Omit<E, 'response'> & { response: Omit<R, 'output_text'> } : E;\n";
/// Each kind of block that the types know; one that is cut at the end.
const TASK: &[&str] = &[
    r#"{"content":[{"type":"thinking","thinking":"Look first.","signature":"c2ln"},{"type":"text","text":"I look."},{"type":"tool_use","id":"t1","name":"bash","input":{"command":"ls"}}],"usage":{"input_tokens":5,"output_tokens":7},"model":"m"}"#,
    r#"{"content":[{"type":"redacted_thinking","data":"b64"},{"type":"tool_use","id":"t2","name":"bash","input":{"a":1}},{"type":"tool_use","id":"t3","name":"bash","input":{}}]}"#,
    r#"{"content":[{"type":"text","text":"Far too lo"}],"stop":"max_tokens"}"#,
];
/// Chat Completions has no field for thoughts; where servers put them is no type's.
const WITHOUT_THOUGHTS: &[&str] = &[
    r#"{"content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"t1","name":"bash","input":{}}]}"#,
    TASK[2],
];

/// A wire: how a request and a piece of an answer are called in its types.
struct Wire {
    vendor: &'static str,
    model: &'static str,
    protocol: Protocol,
    module: &'static str,
    request: &'static str,
    /// Nothing where the stand-in leaves out fields on purpose.
    event: Option<&'static str>,
    task: &'static [&'static str],
}

const WIRES: [Wire; 3] = [
    Wire {
        vendor: "openai",
        model: "gpt-5",
        protocol: Protocol::Responses,
        module: "openai/resources/responses/responses",
        request: "ResponseCreateParamsStreaming",
        event: Some("ResponseStreamEvent"),
        task: TASK,
    },
    Wire {
        vendor: "openai",
        model: "gpt-4.1",
        protocol: Protocol::ChatCompletions,
        module: "openai/resources/chat/completions/completions",
        request: "ChatCompletionCreateParamsStreaming",
        event: Some("ChatCompletionChunk"),
        task: WITHOUT_THOUGHTS,
    },
    Wire {
        vendor: "anthropic",
        model: "claude-opus-5-5",
        protocol: Protocol::Anthropic,
        module: "@anthropic-ai/sdk/resources/messages/messages",
        request: "MessageCreateParamsStreaming",
        event: None,
        task: TASK,
    },
];

#[tokio::test]
async fn requests_and_answers_are_of_the_published_types() {
    let mut program = SENT.to_owned();
    for (n, wire) in WIRES.iter().enumerate() {
        write_down(&mut program, n, wire).await;
    }
    match types() {
        Ok(folder) => {
            let wrong = check(&folder, &program).unwrap();
            assert!(wrong.is_empty(), "{wrong}");
            // The check can fail: a field that nobody knows is told, in a request and in an event.
            for (known, unknown) in
                [("\"store\":false", "\"stored\":false"), ("\"sequence_number\":2", "\"number\":2")]
            {
                let wrong = check(&folder, &program.replacen(known, unknown, 1)).unwrap();
                assert!(wrong.contains("error TS"), "{unknown} is taken");
            }
        }
        Err(why) if required() => panic!("{why}"),
        Err(why) => eprintln!("SKIPPED: the wires were not held against the published types: {why}"),
    }
}

/// Plays the task, and writes each request and each piece of an answer down as a value of its type.
async fn write_down(program: &mut String, n: usize, wire: &Wire) {
    let fake = Fake::new(Recording::parse(&wire.task.join("\n")).unwrap());
    let running = fake.start().await.unwrap();
    let (base_url, path) = match wire.protocol {
        Protocol::Anthropic => (running.anthropic_url(), "/v1/messages"),
        Protocol::Responses => (running.openai_url(), "/responses"),
        Protocol::ChatCompletions => (running.openai_url(), "/chat/completions"),
    };
    let vendors = Vendors::built_in();
    let served = Served::new(vendors.get(wire.vendor).unwrap(), SecretString::from("k"), wire.model);
    let served = served.speaking(wire.protocol).at(&base_url).with_cache_key("session-1");
    let model = model::open(&Config::Served(served)).unwrap();
    let tool = ToolSpec {
        name: "bash".to_owned(),
        description: "Runs a command.".to_owned(),
        parameters: serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap(),
    };
    let mut conversation = Conversation::new("You are careful.".to_owned(), vec![tool]);
    conversation.push(Message::User("Do it.".to_owned()));
    for _ in wire.task {
        let reply = model.reply(&conversation, Some(4000), &Unheard).await.unwrap();
        let result = |id: &str| ToolResult { call_id: id.to_owned(), text: "done".to_owned(), failed: true };
        let results = reply.calls.iter().map(|call| result(&call.id)).collect();
        conversation.push(Message::Assistant(reply));
        conversation.push(Message::Results(results));
    }
    let Wire { module, request, .. } = wire;
    let _ = writeln!(program, "import type * as m{n} from \"{module}\";");
    for (r, asked) in fake.asked().into_iter().enumerate() {
        let _ = writeln!(program, "export const r{n}_{r}: m{n}.{request} = {};", asked.body);
        let Some(event) = wire.event else { continue };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let again = client.post(format!("{base_url}{path}")).bearer_auth("k").body(asked.body);
        let answer =
            again.header("content-type", "application/json").send().await.unwrap().text().await.unwrap();
        let pieces =
            answer.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        for (e, data) in pieces.enumerate() {
            let _ = writeln!(program, "export const e{n}_{r}_{e}: Sent<m{n}.{event}> = {data};");
        }
    }
}

/// What the compiler finds wrong with `program`; nothing when it is right.
fn check(folder: &Path, program: &str) -> Result<String, String> {
    std::fs::write(folder.join("check.ts"), program).map_err(|error| error.to_string())?;
    let options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext"];
    let output = Command::new("node")
        .arg("node_modules/typescript/lib/tsc.js")
        .args(options)
        .args(["--moduleResolution", "bundler", "check.ts"])
        .current_dir(folder)
        .output()
        .map_err(|error| format!("node cannot be run: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    match (output.status.success(), told.is_empty()) {
        (true, _) => Ok(String::new()),
        (false, false) => Ok(told),
        (false, true) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A folder in which the types can be imported.
fn types() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("published-types").join(format!("{OPENAI}-{ANTHROPIC}-{TYPESCRIPT}"));
    if !folder.exists() {
        let place = folder.with_extension("unfinished");
        let _ = std::fs::remove_dir_all(&place);
        fetch(&place, "openai", OPENAI)?;
        fetch(&place, "@anthropic-ai/sdk", ANTHROPIC)?;
        fetch(&place, "typescript", TYPESCRIPT)?;
        std::fs::rename(&place, &folder).map_err(|error| error.to_string())?;
    }
    Ok(folder)
}

/// Unpacks a package; nothing of it is run, and none of what it depends on is needed for its types.
fn fetch(place: &Path, name: &str, version: &str) -> Result<(), String> {
    let inside = place.join("node_modules").join(name);
    std::fs::create_dir_all(&inside).map_err(|error| error.to_string())?;
    run(Command::new("npm").args(["pack", "--silent", &format!("{name}@{version}")]).current_dir(place))?;
    let archive = format!("{}-{version}.tgz", name.trim_start_matches('@').replace('/', "-"));
    run(Command::new("tar")
        .args(["-xzf", &archive, "--strip-components=1", "-C"])
        .arg(&inside)
        .current_dir(place))
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} failed: {}", String::from_utf8_lossy(&output.stderr)))
}

#[expect(clippy::disallowed_methods, reason = "a test has no configuration to be told by")]
fn required() -> bool {
    std::env::var("BACKSPACE_REQUIRE_OPENAPI").is_ok_and(|value| value == "1")
}
