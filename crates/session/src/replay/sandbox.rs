//! A sandbox that is none: it answers from a recording what the real one answered then, and nothing else.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use agent::Exchange;
use async_trait::async_trait;
use events::{ChangeList, ChangedPath, CheckRan, Content, Entry, Event, Oid, SandboxOpened};
use model::ToolCall;
use repo::Planted;
use sandbox::{Allowance, Command, Ended, Error, Exported, FileAnswer, FileTool, Ran, Sandbox, Terms};

use super::{ReplayError, tape};

/// A sandbox that answers from a recording.
pub(super) struct PlayedSandbox {
    terms: Terms,
    planted: Planted,
    /// Nothing for a session that never had one, and so no sandbox.
    base: Option<Oid>,
    state: Mutex<State>,
    /// What the work tree differs in now.
    change: tokio::sync::Mutex<Change>,
}

struct State {
    left: VecDeque<Played>,
    /// The step that the work tree is at.
    at: Option<Oid>,
}

/// An exchange, and the step that the work tree was at after it, when it was another one.
struct Played {
    exchange: Exchange,
    saved: Option<Oid>,
}

/// What a step differs in.
#[derive(Default)]
struct Change {
    step: Option<Oid>,
    paths: Vec<(ChangedPath, Content)>,
}

impl PlayedSandbox {
    /// A sandbox that answers as the one did that `entries` tell of, over the commit `base` of `planted`.
    ///
    /// # Errors
    /// [`ReplayError::Reply`] when a reply is not in the form of its wire.
    pub(super) fn new(planted: Planted, base: Option<Oid>, entries: &[Entry]) -> Result<Self, ReplayError> {
        let (mut left, mut calls, mut edits) = (VecDeque::new(), VecDeque::<ToolCall>::new(), Vec::new());
        let mut terms = Terms { backend: "recording", ..Terms::default() };
        for entry in entries {
            if let Event::SandboxOpened(SandboxOpened { enforced, soft, .. }) = &entry.event {
                (terms.enforced, terms.soft) = (enforced.clone(), soft.clone());
            } else if let Event::ModelReplied(replied) = &entry.event {
                let reply = tape::reply(replied);
                let reply = reply.map_err(|source| ReplayError::Reply { seq: entry.seq, source })?;
                calls = reply.calls.into();
            } else if let Event::FileEdited(edit) = &entry.event {
                edits.push(edit.clone());
            } else if let Event::ToolFinished(tool) = &entry.event {
                let edits = std::mem::take(&mut edits);
                let Some(call) = calls.pop_front() else { continue };
                let mut saved = tool.saved.clone();
                left.extend(agent::exchanges(&call, tool, &edits).into_iter().map(|exchange| {
                    // The tree was saved after the first of them.
                    Played { exchange, saved: saved.take() }
                }));
            } else if let Event::CheckRan(check) = &entry.event {
                left.push_back(Played { exchange: ran(check), saved: None });
            }
        }
        let state = Mutex::new(State { left, at: None });
        Ok(Self { terms, planted, base, state, change: tokio::sync::Mutex::default() })
    }

    /// Takes the next exchange, if it is about what is `asked`.
    fn next(&self, asked: &str, fits: impl Fn(&Exchange) -> bool) -> Result<Exchange, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = |then: String| Error::Lost {
            reason: format!("the recording was asked {asked:.200}, and then it was {then:.200}"),
        };
        match state.left.pop_front() {
            Some(Played { exchange, saved }) if fits(&exchange) => {
                state.at = saved.or(state.at.take());
                Ok(exchange)
            }
            Some(Played { exchange, .. }) => Err(lost(format!("{exchange:?}"))),
            None => Err(lost("over".to_owned())),
        }
    }

    /// Brings `change` to the step that the work tree is at.
    async fn catch_up(&self, change: &mut Change) -> Result<(), Error> {
        let at = self.state.lock().unwrap_or_else(PoisonError::into_inner).at.clone();
        if change.step == at {
            return Ok(());
        }
        change.paths = match (&at, &self.base) {
            (None, _) | (_, None) => Vec::new(),
            (Some(step), Some(base)) => {
                self.planted.change(base, step).await.map_err(|error| Error::Lost {
                    reason: format!("step {step} is not in the recording: {}", events::error_chain(&error)),
                })?
            }
        };
        change.step = at;
        Ok(())
    }
}

fn ran(check: &CheckRan) -> Exchange {
    let ended = if check.exit_code < 0 { Ended::TimedOut } else { Ended::Exited(check.exit_code) };
    let (output, output_bytes) = (check.output.clone(), check.output.len() as u64);
    let ran = Ran { output, output_bytes, ended, duration_ms: check.duration_ms };
    Exchange::Ran { script: check.command.clone(), ran }
}

#[async_trait]
impl Sandbox for PlayedSandbox {
    async fn run(&self, command: &Command) -> Result<Ran, Error> {
        let fits = |exchange: &Exchange| match exchange {
            Exchange::Ran { script, .. } | Exchange::Interrupted { script } => *script == command.script,
            Exchange::File { .. } | Exchange::Kept { .. } => false,
        };
        match self.next(&format!("to run {:?}", command.script), fits)? {
            Exchange::Ran { ran, .. } => Ok(ran),
            // Somebody will end the session, as then.
            Exchange::Interrupted { .. } | Exchange::File { .. } | Exchange::Kept { .. } => {
                std::future::pending().await
            }
        }
    }

    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, Error> {
        let fits = |exchange: &Exchange| match exchange {
            Exchange::File { tool: then, .. } => then == tool,
            Exchange::Kept { .. } => matches!(tool, FileTool::Keep { .. }),
            Exchange::Ran { .. } | Exchange::Interrupted { .. } => false,
        };
        match self.next(&format!("for {tool:?}"), fits)? {
            Exchange::File { answer, .. } | Exchange::Kept { answer } => Ok(answer),
            Exchange::Ran { .. } | Exchange::Interrupted { .. } => std::future::pending().await,
        }
    }

    async fn changes(&self) -> Result<ChangeList, Error> {
        let mut change = self.change.lock().await;
        self.catch_up(&mut change).await?;
        Ok(ChangeList {
            paths: change.paths.iter().map(|(path, _)| path.clone()).collect(),
            truncated: false,
        })
    }

    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Content, Error> {
        let change = self.change.lock().await;
        let (_, content) = change.paths.iter().find(|(there, _)| there == path).ok_or(Error::Changed)?;
        match content {
            Content::File { bytes, .. } | Content::Symlink(bytes) if bytes.len() as u64 > bytes_max => {
                Err(Error::Changed)
            }
            Content::File { .. } | Content::Symlink(_) | Content::Deleted => Ok(content.clone()),
        }
    }

    async fn export(&self, _: &Path, _: Allowance) -> Result<Exported, Error> {
        Err(Error::Lost { reason: "a recording has nothing to export".to_owned() })
    }

    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }
}
