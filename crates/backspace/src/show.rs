//! Shows a session while it happens, from its log and from nothing else.

mod lines;
mod summary;
mod words;

use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use clap::ValueEnum;
use events::{Entry, Event, Outcome, SessionId};
use futures_util::{StreamExt, stream};
use session::{Sessions, SubmitError};

use crate::output::{self, Usage};
use crate::signals::Ends;

use lines::Live;

/// How a session is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people: progress on standard error, the pull request's address on standard output
    Text,
    /// One JSON document at the end, on standard output
    Json,
    /// One JSON event a line, on standard output; the last one is final
    Jsonl,
}

/// How watching came to its end.
pub(crate) enum Watched {
    /// With the session; its outcome has this exit code.
    Ended(ExitCode),
    /// Before the session: the user would not wait.
    Left,
}

/// Shows session `id` until its last entry. Ctrl-C or SIGTERM cancels the session; a second one leaves at once.
///
/// # Errors
/// When the log cannot be read, or took no last entry.
pub(crate) async fn until_the_end(sessions: &Sessions, id: SessionId, form: Form) -> Result<Watched> {
    let mut live = Live::new(form == Form::Text);
    let spoken = sessions.listen(id).filter(|_| form == Form::Text);
    let mut spoken = spoken.map_or_else(|| stream::empty().boxed(), StreamExt::boxed);
    let entries = store::follow(sessions.store().log.clone(), id, 0);
    let mut entries = std::pin::pin!(entries);
    let (mut left, mut has_left) = (std::pin::pin!(sessions.left(id)), false);
    let (mut ends, mut told) = (Ends::hear()?, 0);
    loop {
        let entry = tokio::select! {
            biased;
            entry = entries.next() => entry,
            Some(heard) = spoken.next() => {
                live.hear(&heard.piece);
                continue;
            }
            () = &mut left, if !has_left => {
                has_left = true;
                let state = sessions.state(id).await.context("cannot read the session's log")?;
                if state.is_some_and(|state| state.status.is_final()) {
                    continue;
                }
                live.finish();
                let why = "the session's last entry could not be written (is the disk of BACKSPACE_HOME full?); the \
                           next run or serve ends the session and keeps its work";
                return Err(anyhow!(why));
            }
            () = ends.next() => {
                told += 1;
                if told > 1 {
                    return Ok(Watched::Left);
                }
                output::say("Cancelling: the sandbox is closed and the work is kept. Again to leave at once.");
                sessions.cancel(id, "asked").await.context("cannot cancel the session")?;
                continue;
            }
        };
        let Some(entry) = entry else { return Err(anyhow!("the session's log ended without a last entry")) };
        let entry = entry.context("cannot read the session's log")?;
        show(&entry, form, &mut live);
        if let Event::SessionEnded(ended) = &entry.event {
            live.finish();
            if form == Form::Text {
                summary::print(id, ended);
            }
            return Ok(Watched::Ended(exit_code(&ended.outcome)));
        }
    }
}

fn show(entry: &Entry, form: Form, live: &mut Live) {
    match form {
        Form::Text => live.show(entry),
        Form::Jsonl => {
            if let Some(event) = server::wire::event(entry) {
                output::result(event.json);
            }
        }
        Form::Json if matches!(entry.event, Event::SessionEnded(_)) => {
            if let Some(event) = server::wire::event(entry) {
                output::result(event.json);
            }
        }
        Form::Json => {}
    }
}

/// As a shell gives it for Ctrl-C.
pub(crate) const CANCELLED: u8 = 130;

/// The contract's exit codes.
fn exit_code(outcome: &Outcome) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Delivered(_) => 0,
        Outcome::Failed(_) => 1,
        Outcome::Unchanged { .. } => 3,
        Outcome::Budget { .. } => 4,
        Outcome::Cancelled { .. } => CANCELLED,
    })
}

/// Why a session was not taken on, with what mends it.
pub(crate) fn refused(error: SubmitError) -> anyhow::Error {
    match error {
        SubmitError::Unavailable(problem) => Usage(format!("{}. {}", problem.what, problem.mend)).into(),
        SubmitError::Draining
        | SubmitError::QueueFull(_)
        | SubmitError::Exists(_)
        | SubmitError::Journal(_)
        | SubmitError::Ownership(_) => error.into(),
    }
}
