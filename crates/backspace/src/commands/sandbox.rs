//! `backspace sandbox`: one command in a sandbox over a folder, to try what holds there.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use events::{ChangeList, ChangedKind};
use sandbox::egress::{Decision, Verdict};
use sandbox::{Ended, Ran, Tree};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::assemble::{self, AtOnce};
use crate::config::Settings;
use crate::output::{self, Usage};
use crate::show::CANCELLED;
use crate::signals::Ends;
use crate::telemetry;

/// All of the output is passed on while it comes; this is kept besides, for nobody.
const KEPT_BYTES_MAX: usize = 1024;
/// Pieces of output that wait to be printed. When nobody takes them, the command waits.
const PIECES_MAX: usize = 16;
/// A command that is over its time is ended by the sandbox, before the sandbox itself is.
const ENDING_MAX: Duration = Duration::from_secs(30);
/// As `timeout` gives it.
const TIMED_OUT: u8 = 124;
/// As shells give it for what cannot be started.
const NOT_STARTED: u8 = 126;
/// As shells give it for who prints and is read no more (SIGPIPE).
const UNREAD: u8 = 141;
/// Shells add the number of the signal that ended a command.
const SIGNALLED: i32 = 128;

/// Run one command in a sandbox over a folder, exactly as a session would.
///
/// The folder is shown as it is, and stays as it is: what the command changes goes with the sandbox. Output is passed on
/// while it comes (to a terminal without control characters), standard input is not, and the exit code is the command's. The command is ended with the sandbox's
/// lifetime (SANDBOX_TIMEOUT; exit code 124).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sandbox {
    /// Where to open it: `namespaces`, `docker`, or a list of both [default: BACKSPACE_SANDBOX]
    #[arg(long, value_name = "KIND")]
    sandbox: Option<String>,
    /// What the command may reach, such as `packages` or registry.example.com [default: BACKSPACE_EGRESS]
    #[arg(long, value_name = "HOSTS")]
    egress: Option<String>,
    /// Say afterwards, on standard error, what the command changed
    #[arg(long)]
    changes: bool,
    /// The folder [default: the current one]
    dir: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  backspace sandbox -- sh test.sh
  backspace sandbox --egress packages ./some/folder -- npm ci
  backspace sandbox --changes ./some/folder -- sh -c 'echo hello > greeting'";

/// How it went on until the sandbox was closed.
enum Over {
    /// The command ended, or the sandbox was lost.
    Ran(Result<Ran, sandbox::Error>),
    /// Somebody asked for its end.
    Asked,
    /// Its output could not be passed on any more.
    Unheard(Printed),
}

/// Runs it.
///
/// # Errors
/// No such folder, no sandbox to be had here, a sandbox that was lost.
pub(crate) async fn run(asked: Sandbox, mut settings: Settings) -> Result<ExitCode> {
    telemetry::set_up(&settings, "warn")?;
    if let Some(kind) = &asked.sandbox {
        settings.set("BACKSPACE_SANDBOX", kind, "--sandbox");
    }
    if let Some(hosts) = &asked.egress {
        settings.set("BACKSPACE_EGRESS", hosts, "--egress");
    }
    let folder = folder(asked.dir.as_deref())?;
    let home = assemble::home(&settings)?;
    let config = assemble::sandbox_config(&settings, &home)?;
    let mut policy = assemble::policy(&settings, &config, AtOnce::One)?;
    let timeout = policy.lifetime;
    policy.lifetime += ENDING_MAX;
    let way_out = match assemble::egress(&settings, &home).await? {
        Some(reach) => Some(sandbox::egress::open(&reach.told().config)?),
        None => None,
    };
    if let Some(way_out) = &way_out {
        policy = way_out.granted_to(&policy);
    }
    let mut ends = Ends::hear()?;
    let sandbox = sandbox::open(&config, &Tree::of(vec![folder.clone()]), &policy).await?;
    let (live, mut printing) = print_pieces();
    let command = sandbox::Command {
        script: script(&asked.command),
        timeout,
        output_bytes_max: KEPT_BYTES_MAX,
        live: Some(live),
    };
    let over = tokio::select! {
        biased;
        ran = sandbox.run(&command) => Over::Ran(ran),
        () = ends.next() => Over::Asked,
        printed = &mut printing => Over::Unheard(printed),
    };
    drop(command);
    let changes = match over {
        Over::Ran(_) if asked.changes => Some(sandbox.changes().await),
        Over::Ran(_) | Over::Asked | Over::Unheard(_) => None,
    };
    sandbox.close().await?;
    if let Some(way_out) = way_out {
        let (decided, removed) = way_out.close().await;
        if !decided.is_empty() {
            output::say(reached(&decided).trim_end());
        }
        removed.context("cannot remove the folder of the way out")?;
    }
    let ran = match over {
        Over::Ran(ran) => ran?,
        Over::Asked => return Ok(ExitCode::from(CANCELLED)),
        Over::Unheard(printed) => return passed_on(printed).map(|()| ExitCode::from(UNREAD)),
    };
    passed_on(printing.await)?;
    if let Some(changes) = changes {
        output::say(listed(&changes?, &folder).trim_end());
    }
    Ok(exit_code(ran.ended))
}

/// The folder's own path: a mount follows no link.
fn folder(asked: Option<&Path>) -> Result<PathBuf> {
    let asked = asked.unwrap_or(Path::new("."));
    let refused = |why: String| Usage(format!("{}: {why}", asked.display()));
    let folder = asked.canonicalize().map_err(|error| refused(error.to_string()))?;
    if !folder.is_dir() {
        return Err(refused("is no folder".to_owned()).into());
    }
    Ok(folder)
}

/// Prints what is sent to it, piece by piece, on a thread of its own: printing blocks.
fn print_pieces() -> (mpsc::Sender<Vec<u8>>, JoinHandle<io::Result<()>>) {
    let (sender, mut pieces) = mpsc::channel::<Vec<u8>>(PIECES_MAX);
    let printing = tokio::task::spawn_blocking(move || {
        let mut foreign = output::Foreign::new();
        while let Some(piece) = pieces.blocking_recv() {
            foreign.pass(&piece)?;
        }
        foreign.end()
    });
    (sender, printing)
}

/// What came of printing.
type Printed = Result<io::Result<()>, JoinError>;

/// A reader that went away is no error.
fn passed_on(printed: Printed) -> Result<()> {
    match printed.map_err(io::Error::other).flatten() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot pass the output on")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// One command line of which the shell changes nothing.
fn script(command: &[String]) -> String {
    let quoted = command.iter().map(|argument| format!("'{}'", argument.replace('\'', r"'\''")));
    format!("exec {}", quoted.collect::<Vec<_>>().join(" "))
}

/// What the command reached and what not, one host a line.
fn reached(decided: &[Decision]) -> String {
    let mut text = String::new();
    for Decision { host, verdict, times, sent_bytes, received_bytes, .. } in decided {
        let _ = match verdict {
            Verdict::Allowed => {
                writeln!(text, "reached {host} ×{times}: {sent_bytes} bytes sent, {received_bytes} received")
            }
            Verdict::Refused(refusal) => writeln!(text, "not reached: {host} ×{times}: {refusal}"),
        };
    }
    text
}

/// The changes, one a line, as git's short form says them.
fn listed(changes: &ChangeList, folder: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut text = String::new();
    for changed in &changes.paths {
        let was_there = folder.join(std::ffi::OsStr::from_bytes(&changed.path)).symlink_metadata().is_ok();
        let letter = match changed.kind {
            ChangedKind::Deleted => 'D',
            // Never part of a pull request.
            ChangedKind::Special => '!',
            ChangedKind::File { .. } | ChangedKind::Symlink if was_there => 'M',
            ChangedKind::File { .. } | ChangedKind::Symlink => 'A',
        };
        let _ =
            writeln!(text, "{letter} {}", events::escape_control(&String::from_utf8_lossy(&changed.path)));
    }
    if changes.truncated {
        text.push_str("… and more than can be listed\n");
    } else if changes.paths.is_empty() {
        text.push_str("nothing changed\n");
    }
    text
}

fn exit_code(ended: Ended) -> ExitCode {
    let said = |code: i32| ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    match ended {
        Ended::Exited(code) => said(code),
        Ended::Signalled(signal) => said(SIGNALLED + signal),
        Ended::TimedOut => ExitCode::from(TIMED_OUT),
        Ended::NotStarted(_) => ExitCode::from(NOT_STARTED),
    }
}
