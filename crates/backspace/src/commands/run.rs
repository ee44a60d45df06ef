//! `backspace run`: one session in this process.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use session::recording::Portion;
use session::request::{self, LocalRepositories, RequestError};
use session::{Provider, Sessions};

use super::record::Record;
use crate::assemble::{self, Wishes};
use crate::config::Settings;
use crate::output::{self, Usage};
use crate::show::{self, CANCELLED, Form, Watched};
use crate::telemetry;

/// Run one session here: REPO and PROMPT become a pull request.
///
/// Progress goes to standard error, the pull request's address alone to standard output.
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing to change, 4 ended by a budget, 130 cancelled.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    /// An https:// URL of a forge, OWNER/NAME (GitHub), or a path to a repository on this machine
    repo: String,
    /// What shall be done; `-` reads it from standard input
    #[arg(required_unless_present = "prompt_file", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// Read the prompt from a file
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// The branch to push to [default: backspace/WORDS-ID]
    #[arg(long)]
    branch: Option<String>,
    /// The branch to start from [default: the forge's default branch]
    #[arg(long)]
    base: Option<String>,
    /// The pull request's title [default: the agent's]
    #[arg(long)]
    title: Option<String>,
    /// Open the pull request as a draft
    #[arg(long)]
    draft: bool,
    /// Whom to ask first, such as anthropic or openai; offline is no model, but an agent with fixed rules for a few jobs;
    /// scripted plays replies that somebody wrote, in the file that --model names
    #[arg(long)]
    provider: Option<String>,
    /// The model to ask
    #[arg(long)]
    model: Option<String>,
    /// Where commands run: `namespaces`, `docker`, or a list of both [default: BACKSPACE_SANDBOX]
    #[arg(long, value_name = "KIND")]
    sandbox: Option<String>,
    /// How far to go
    #[arg(long, value_enum, default_value = "pr")]
    publish: PublishFlag,
    /// A shell script that sets the project up before the work, or `none` [default: what the repository says, or its
    /// lock files suggest]
    #[arg(long, value_name = "CMD")]
    setup: Option<String>,
    /// A command to run on the finished work; its result stands in the pull request (repeatable)
    #[arg(long = "check", value_name = "CMD")]
    checks: Vec<String>,
    /// End after so many US dollars, and land what exists as a draft
    #[arg(long, value_name = "USD")]
    max_usd: Option<f64>,
    /// End after so many tokens, and land what exists as a draft
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// End after so many replies of the model, and land what exists as a draft
    #[arg(long, value_name = "N")]
    max_turns: Option<u64>,
    /// End after so many minutes, and land what exists as a draft
    #[arg(long, value_name = "N")]
    max_minutes: Option<u64>,
    /// Write the session to a file that `backspace replay` plays, also when it fails; it holds the repository's files
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Leave the repository's files out of the recording
    #[arg(long, requires = "record")]
    record_without_code: bool,
    /// text for people; json: one document at the end; jsonl: one event a line
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
}

const EXAMPLES: &str = "\
Examples:
  backspace run https://github.com/OWNER/NAME \"Fix the off-by-one in pagination\"
  backspace run . \"Add tests for the parser\" --check \"python3 -m unittest\"
  echo \"Describe the API in README.md\" | backspace run OWNER/NAME - --draft --max-turns 40";

/// How far to go.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum PublishFlag {
    /// Push a branch and open a pull request
    Pr,
    /// Push a branch
    Branch,
    /// Keep a patch and touch no remote
    Patch,
}

/// Runs it.
///
/// # Errors
/// Wrong usage or configuration; what goes wrong in the session is its outcome.
pub(crate) async fn run(asked: Run, mut settings: Settings) -> Result<ExitCode> {
    telemetry::set_up(&settings, "warn")?;
    if let Some(kind) = &asked.sandbox {
        settings.set("BACKSPACE_SANDBOX", kind, "--sandbox");
    }
    let provider = scripted(&asked)?;
    let offline = asked.provider.as_deref() == Some(model::OFFLINE);
    let wishes = Wishes { local: LocalRepositories::Any, provider, offline, ..Wishes::default() };
    let assembled = assemble::assemble(&settings, wishes).await?;
    let body = body(&asked)?;
    let request = request::parse(body.to_string().as_bytes(), &assembled.rules).map_err(usage)?;
    if let (Form::Text, Some(folder)) = (asked.output, request.remote.local_path()) {
        let folder = folder.display();
        output::say(format_args!("{folder} stays as it is: the session starts from its last commit."));
    }
    let portion = if asked.record_without_code { Portion::LogAlone } else { Portion::WithCode };
    let record = asked.record.as_deref().map(|path| Record::begin(path, portion)).transpose()?;
    follow_one(&assembled.sessions, request, "run", asked.output, record).await
}

/// Submits `request`, shows the session until its end, and records it if that is wanted. Ctrl-C cancels it.
///
/// # Errors
/// When it is not taken on, or the log cannot be read.
pub(crate) async fn follow_one(
    sessions: &Sessions,
    request: events::Request,
    door: &str,
    form: Form,
    record: Option<Record>,
) -> Result<ExitCode> {
    let leftovers = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.recover().await }
    });
    let id = sessions.submit(request, door).await.map_err(show::refused)?;
    let Watched::Ended(code) = show::until_the_end(sessions, id, form).await? else {
        return Ok(ExitCode::from(CANCELLED));
    };
    // The last entry is written before the owner lets go: wait for it, and for what a crash left behind.
    sessions.drain(std::time::Duration::from_secs(10)).await;
    if let Some(record) = record {
        record.finish(sessions, id).await;
    }
    match leftovers.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!("Cannot look after sessions that a crash left behind: {error}"),
        Err(error) => tracing::warn!("Looking after what a crash left behind: {error}"),
    }
    Ok(code)
}

/// The script that `--provider scripted --model FILE` names.
fn scripted(asked: &Run) -> Result<Option<Provider>> {
    if asked.provider.as_deref() != Some("scripted") {
        return Ok(None);
    }
    let Some(path) = &asked.model else {
        let why = "--provider scripted plays a script of replies: name its file with --model FILE";
        return Err(Usage(why.to_owned()).into());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Usage(format!("cannot read the script {path}: {error}")))?;
    let config = model::Config::Scripted(model::ScriptedConfig { name: path.clone(), text });
    Ok(Some(Provider { name: "scripted".to_owned(), config }))
}

/// The request as the service takes it: one door, one set of rules.
fn body(asked: &Run) -> Result<Value> {
    let mut fields = Map::new();
    fields.insert("repoUrl".into(), json!(asked.repo));
    fields.insert("prompt".into(), json!(prompt(asked)?));
    let texts = [
        ("branch", &asked.branch),
        ("base", &asked.base),
        ("title", &asked.title),
        ("provider", &asked.provider),
        ("setup", &asked.setup),
    ];
    for (field, text) in texts {
        fields.extend(text.as_ref().map(|text| (field.to_owned(), json!(text))));
    }
    // The script's name is no model's.
    let model = asked.model.as_ref().filter(|_| asked.provider.as_deref() != Some("scripted"));
    fields.extend(model.map(|model| ("model".to_owned(), json!(model))));
    fields.insert("draft".into(), json!(asked.draft));
    fields.insert("checks".into(), json!(asked.checks));
    let publish = match asked.publish {
        PublishFlag::Pr => "pr",
        PublishFlag::Branch => "branch",
        PublishFlag::Patch => "patch",
    };
    fields.insert("publish".into(), json!(publish));
    let bounds = [
        ("usd", asked.max_usd.map(|usd| json!(usd))),
        ("tokens", asked.max_tokens.map(|tokens| json!(tokens))),
        ("turns", asked.max_turns.map(|turns| json!(turns))),
        ("minutes", asked.max_minutes.map(|minutes| json!(minutes))),
    ];
    let budget: Map<String, Value> =
        bounds.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), bound?))).collect();
    fields.insert("budget".into(), Value::Object(budget));
    Ok(Value::Object(fields))
}

fn prompt(asked: &Run) -> Result<String> {
    match (&asked.prompt_file, asked.prompt.as_deref()) {
        (Some(path), _) => std::fs::read_to_string(path)
            .map_err(|error| Usage(format!("cannot read the prompt in {}: {error}", path.display())).into()),
        (None, Some("-")) => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the prompt from standard input")?;
            Ok(text)
        }
        (None, prompt) => Ok(prompt.unwrap_or_default().to_owned()),
    }
}

/// Bad fields in the words of the command line.
fn usage(error: RequestError) -> anyhow::Error {
    let fields = match error {
        RequestError::Json(message) => return Usage(message).into(),
        RequestError::Address(field) => vec![field],
        RequestError::Fields(fields) => fields,
    };
    let said = fields.into_iter().map(|error| {
        let flag = match error.field.as_str() {
            "repoUrl" => "REPO".to_owned(),
            "prompt" => "PROMPT".to_owned(),
            "checks" => "--check".to_owned(),
            field => {
                field.strip_prefix("budget.").map_or(format!("--{field}"), |bound| format!("--max-{bound}"))
            }
        };
        format!("{flag} {}", error.message)
    });
    Usage(said.collect::<Vec<_>>().join("; ")).into()
}
