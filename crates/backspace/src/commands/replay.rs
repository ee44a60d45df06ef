//! `backspace replay FILE`: a recorded session again, offline.

mod beside;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use session::recording::Recording;
use session::replay::{self, Around, Inside, ReplayError, Stage, Strictness, Until, Verdict};
use tokio_util::sync::CancellationToken;

use crate::assemble::{self, AtOnce};
use crate::config::Settings;
use crate::output::{self, Usage};
use crate::show::CANCELLED;
use crate::signals::Ends;
use crate::telemetry;

/// Run a recorded session again, offline, and say where it goes another way.
///
/// The model's replies and the forge's answers are played from FILE; git, the agent's loop and the tools in the sandbox are
/// real. Compared are all events, but for times, what the machine decides, and output that differs from run to run
/// (docs/recordings.md lists it). Exit codes: 0 the same, 1 something differs, 2 the file cannot be played.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    /// A file that `run --record` or GET /v1/sessions/ID/recording made
    file: PathBuf,
    /// Play back the tools' results as well; needs no sandbox
    #[arg(long)]
    no_sandbox: bool,
    /// A repository on this machine that holds the base commit, for a recording without code
    #[arg(long, value_name = "PATH")]
    repo: Option<PathBuf>,
    /// Compare output that differs from run to run, too
    #[arg(long)]
    exact: bool,
    /// Keep the folder with the repository, the log and the branch that was pushed, and say where it is
    #[arg(long)]
    keep: bool,
}

const EXAMPLES: &str = "\
Examples:
  backspace run . \"Add tests for the parser\" --record parser.jsonl
  backspace replay parser.jsonl
  backspace replay examples/simple-api/recording.jsonl --no-sandbox";

/// Runs it.
///
/// # Errors
/// When the file cannot be played, or the machine does not let it.
pub(crate) async fn run(asked: Replay, settings: &Settings) -> Result<ExitCode> {
    telemetry::set_up(settings, "error")?;
    let recording = read(&asked.file)?;
    // On the file system that sandboxes are known to work on.
    let replays = assemble::home(settings)?.join("replays");
    std::fs::create_dir_all(&replays).with_context(|| format!("cannot make {}", replays.display()))?;
    let folder = tempfile::Builder::new().prefix("replay-").tempdir_in(&replays);
    let mut folder = folder.with_context(|| format!("cannot make a folder in {}", replays.display()))?;
    folder.disable_cleanup(asked.keep);
    let stage = stage(&asked, settings, folder.path())?;
    let verdict = until_ended(&recording, stage).await;
    if asked.keep {
        let kept = folder.path().display();
        output::say(format_args!("Kept: {kept}\n  git -C {kept}/remote.git log --stat --all"));
    }
    told(&asked.file, verdict?)
}

fn read(path: &Path) -> Result<Recording> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| Usage(format!("cannot open {shown}: {error}")))?;
    let recording = Recording::read(BufReader::new(file));
    recording.map_err(|error| Usage(format!("{shown}: {}", events::error_chain(&error))).into())
}

fn stage(asked: &Replay, settings: &Settings, home: &Path) -> Result<Stage> {
    let inside = if asked.no_sandbox {
        Inside::Recording
    } else {
        let config = assemble::sandbox_config(settings, home)?;
        let policy = assemble::policy(settings, &config, AtOnce::One)?;
        Inside::Sandbox(Box::new(Around { config, policy }))
    };
    let repository = asked.repo.as_deref().map(|path| {
        path.canonicalize().map_err(|error| Usage(format!("cannot find {}: {error}", path.display())))
    });
    let strictness = if asked.exact { Strictness::Exact } else { Strictness::Usual };
    Ok(Stage { home: home.to_owned(), repository: repository.transpose()?, inside, strictness })
}

/// Plays until something is found out, or Ctrl-C.
async fn until_ended(recording: &Recording, stage: Stage) -> Result<Verdict> {
    let ended = CancellationToken::new();
    let mut ends = Ends::hear()?;
    let played = replay::replay(recording, stage, &ended);
    let mut played = std::pin::pin!(played);
    let verdict = tokio::select! {
        verdict = &mut played => verdict,
        () = ends.next() => {
            ended.cancel();
            played.await
        }
    };
    verdict.map_err(|error| match error {
        ReplayError::CodeMissing { .. }
        | ReplayError::CommitMissing { .. }
        | ReplayError::Empty
        | ReplayError::StepsMissing
        | ReplayError::Reply { .. } => Usage(events::error_chain(&error)).into(),
        ReplayError::Repository(_) | ReplayError::Store(_) | ReplayError::Submit(_) | ReplayError::NoEnd => {
            error.into()
        }
    })
}

fn told(file: &Path, verdict: Verdict) -> Result<ExitCode> {
    match verdict {
        Verdict::Same { events, until: Until::End } => {
            output::result(format_args!("same: {events} events"));
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Same { events, until: Until::Outside(why) } => {
            let why = events::escape_control(&why);
            output::result(format_args!("same: {events} events; {why}"));
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Differs(difference) => {
            let file = file.display();
            output::result(format_args!("{file} goes another way here:\n\n{}", beside::told(&difference)));
            Ok(ExitCode::FAILURE)
        }
        Verdict::Ended => Ok(ExitCode::from(CANCELLED)),
    }
}
