//! What entries mean for the list of sessions.

use events::{DecodeError, Event, SessionId, Status, Target};

use crate::{Error, Summary};

/// The beginning of a prompt that a list shows, in characters.
const PROMPT_CHARS_MAX: usize = 200;

/// What some entries of one session, in their order, change in its [`Summary`].
#[derive(Debug, Default)]
pub(crate) struct Revision {
    /// The session began.
    pub(crate) begun: Option<Begun>,
    /// Where it stands now, where they say so; otherwise it has gone on ([`Status::gone_on`]).
    pub(crate) status: Option<Status>,
    /// Its pull request.
    pub(crate) pr_url: Option<String>,
    /// When the last one happened.
    pub(crate) updated_us: i64,
}

/// What the first entry of a session says.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) repository: String,
    pub(crate) prompt: String,
    pub(crate) created_us: i64,
}

impl Revision {
    /// The kinds whose payload matters here; the others only move the time of the last change.
    pub(crate) const KINDS: [&str; 5] =
        ["session_requested", "attempt_started", "model_retried", "pull_request_opened", "session_ended"];

    /// Takes in the next entry. `payload` may be empty for kinds that are not in [`Self::KINDS`].
    pub(crate) fn take_in(
        &mut self,
        at_us: i64,
        kind: &str,
        version: u32,
        payload: &str,
    ) -> Result<(), DecodeError> {
        self.updated_us = at_us;
        self.status = self.status.map(Status::gone_on);
        if !Self::KINDS.contains(&kind) {
            return Ok(());
        }
        match Event::decode(kind, version, payload)? {
            Event::SessionRequested(requested) => {
                self.begun = Some(Begun {
                    repository: requested.request.remote.to_text(),
                    prompt: requested.request.prompt.chars().take(PROMPT_CHARS_MAX).collect(),
                    created_us: at_us,
                });
                self.status = Some(Status::Queued);
            }
            Event::AttemptStarted(_) => self.status = Some(Status::Running),
            Event::ModelRetried(_) => self.status = Some(Status::Waiting),
            Event::PullRequestOpened(opened) => {
                if let Target::PullRequest { url, .. } = opened.target {
                    self.pr_url = Some(url);
                }
            }
            Event::SessionEnded(ended) => self.status = Some(ended.outcome.status()),
            Event::StepStarted(_)
            | Event::GitRan(_)
            | Event::BaseChosen(_)
            | Event::SetupRan(_)
            | Event::TreePrepared(_)
            | Event::SandboxOpened(_)
            | Event::AgentBriefed(_)
            | Event::ModelReplied(_)
            | Event::ModelSwitched(_)
            | Event::ReplyLost(_)
            | Event::Thought(_)
            | Event::Said(_)
            | Event::FileEdited(_)
            | Event::ToolFinished(_)
            | Event::AgentTold(_)
            | Event::ContextCompacted(_)
            | Event::EgressDecided(_)
            | Event::CheckRan(_)
            | Event::CommitMade(_)
            | Event::BranchPushed(_)
            | Event::Warned(_)
            | Event::CancelRequested(_)
            | Event::LimitReached(_) => {}
        }
        Ok(())
    }

    /// Applies it to the summary of `session`, if there is one or it begins one.
    pub(crate) fn apply(self, session: SessionId, summary: &mut Option<Summary>) {
        if let Some(begun) = self.begun {
            *summary = Some(Summary {
                id: session,
                status: Status::Queued,
                repository: begun.repository,
                prompt: begun.prompt,
                created_us: begun.created_us,
                updated_us: begun.created_us,
                pr_url: None,
            });
        }
        if let Some(summary) = summary {
            summary.updated_us = self.updated_us;
            summary.status = self.status.unwrap_or(summary.status.gone_on());
            summary.pr_url = self.pr_url.or(summary.pr_url.take());
        }
    }
}

/// Words for an entry that cannot be read.
pub(crate) fn unreadable(session: SessionId) -> impl FnOnce(DecodeError) -> Error {
    move |source| Error::Decode { session, source }
}
