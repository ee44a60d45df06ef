//! `backspace demo`: the whole path with nothing configured.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use events::Event;
use model::Pace;
use serde_json::json;
use session::Provider;
use session::recording::Recording;
use session::replay;
use session::request::{self, LocalRepositories};

use super::run::follow_one;
use crate::assemble::{self, Wishes};
use crate::config::Settings;
use crate::output;
use crate::show::Form;
use crate::telemetry;

/// The recording of a session on a sample repository. Its replies were written for the demo, not given by a model.
const RECORDING: &[u8] = include_bytes!("../../../../examples/simple-api/recording.jsonl");
/// What the played models are called, as a provider.
const PROVIDER: &str = "recording";

/// Show the whole path with nothing configured: a sample repository, recorded model replies, everything else real.
///
/// The sandbox, git, the tests that run, the branch and the pull request are real; the pull request lives on a
/// repository below BACKSPACE_HOME. Only the model's replies are recorded (examples/simple-api/recording.jsonl).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  backspace demo")]
pub(crate) struct Demo {
    /// text for people; json: one document at the end; jsonl: one event a line
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
}

/// Runs it.
///
/// # Errors
/// When the sample cannot be laid out, or the session is not taken on.
pub(crate) async fn run(asked: Demo, settings: &Settings) -> Result<ExitCode> {
    telemetry::set_up(settings, "warn")?;
    let home = assemble::home(settings)?;
    let recording = Recording::read(RECORDING).context("cannot read the demo's recording")?;
    let Some(Event::SessionRequested(recorded)) = recording.entries.first().map(|first| &first.event) else {
        bail!("the demo's recording asks for nothing");
    };
    let repository = lay_out(&home, &recording).await?;
    output::say(format_args!("A sample repository: {}", repository.display()));
    output::say(format_args!("What is asked for:   {}", recorded.request.prompt));
    output::say("The model's replies are recorded; the sandbox, git, tests and pull request are real.\n");
    let config = model::Config::Played(replay::models(&recording, Pace::AsThen)?);
    let provider = Some(Provider { name: PROVIDER.to_owned(), config });
    let wishes = Wishes { local: LocalRepositories::Any, provider, ..Wishes::default() };
    let assembled = assemble::assemble(settings, wishes).await?;
    let body = json!({
        "repoUrl": repository,
        "prompt": recorded.request.prompt,
        "provider": PROVIDER,
        "checks": recorded.request.checks,
    });
    let request = request::parse(body.to_string().as_bytes(), &assembled.rules);
    let Ok(request) = request else { bail!("the demo's own request is refused: {request:?}") };
    let code = follow_one(&assembled.sessions, request, "demo", asked.output, None).await?;
    if asked.output == Form::Text && code == ExitCode::SUCCESS {
        how_to_look(&repository)?;
    }
    Ok(code)
}

/// Lays the recording's repository out, with its files.
async fn lay_out(home: &Path, recording: &Recording) -> Result<PathBuf> {
    let samples = home.join("demo");
    std::fs::create_dir_all(&samples).with_context(|| format!("cannot make {}", samples.display()))?;
    let folder = free_folder(&samples)?;
    let code = recording.code.as_ref().context("the demo's recording has no code")?;
    let packed = code.packed.as_ref().map_err(|why| anyhow!("the demo's recording has no code: {why}"))?;
    let repos =
        repo::Repos::open(home.join("repos")).await.context("cannot prepare the folder for mirrors")?;
    repos
        .plant(folder.join(".git"), &code.branch, Some(packed))
        .await
        .context("cannot lay the sample out")?;
    git(&folder, &["config", "core.bare", "false"])?;
    git(&folder, &["reset", "--quiet", "--hard"])?;
    Ok(folder)
}

/// The first of `simple-api`, `simple-api-2` … that is not there yet.
fn free_folder(samples: &Path) -> Result<PathBuf> {
    for number in 1.. {
        let name = if number == 1 { "simple-api".to_owned() } else { format!("simple-api-{number}") };
        let folder = samples.join(name);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", folder.display())),
        }
    }
    bail!("there is no free folder for the sample")
}

/// Runs git in the sample, which is ours and new; the user's own settings are left out of it.
fn git(folder: &Path, arguments: &[&str]) -> Result<()> {
    let done = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .context("cannot run git; install it (apt-get install git)")?;
    if !done.status.success() {
        bail!("git {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}

/// The diff, and how to see it again.
fn how_to_look(repository: &Path) -> Result<()> {
    let branches = Command::new("git")
        .args(["for-each-ref", "--format=%(refname:short)", "refs/heads/backspace/"])
        .current_dir(repository)
        .output()
        .context("cannot list the branches of the sample")?;
    let branches = String::from_utf8_lossy(&branches.stdout);
    let Some(branch) = branches.lines().next() else { return Ok(()) };
    let diff = Command::new("git")
        .args(["diff", if std::io::stderr().is_terminal() { "--color=always" } else { "--color=never" }])
        .arg(format!("main...{branch}"))
        .current_dir(repository)
        .output()
        .context("cannot show the diff of the sample")?;
    output::say(format_args!("\n{}", String::from_utf8_lossy(&diff.stdout).trim_end()));
    let folder = repository.display();
    output::say("\nLook at it:");
    output::say(format_args!("  git -C {folder} log --stat main..{branch}"));
    output::say(format_args!("  git -C {folder} diff main...{branch}"));
    output::say(
        "Try your own: backspace run PATH_OR_URL \"What shall be done\" (needs ANTHROPIC_API_KEY or OPENAI_API_KEY)",
    );
    Ok(())
}
