//! What a session is, as the sum of what happened in it.

use serde::{Deserialize, Serialize};

use crate::{Branch, Entry, Event, Oid, Outcome, Remote, Request, SessionId, Step, Target, Telemetry, Usage};

/// Where a session stands, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Asked for; nobody has taken it up.
    Queued,
    /// Somebody is at it.
    Running,
    /// It stands still until its model's provider can be asked again.
    Waiting,
    /// Over, as it should be.
    Done,
    /// Over; it could not reach its end.
    Failed,
    /// Over; somebody ended it.
    Cancelled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Waiting, Self::Done, Self::Failed, Self::Cancelled];

    /// The name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the name in the contract.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// The status when something happened that changes none: whatever was waited for has come.
    #[must_use]
    pub fn gone_on(self) -> Self {
        match self {
            Self::Waiting => Self::Running,
            Self::Queued | Self::Running | Self::Done | Self::Failed | Self::Cancelled => self,
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// What a session is: the fold over its entries.
#[derive(Debug, Clone)]
pub struct SessionState {
    /// Its name.
    pub id: SessionId,
    /// What was asked for.
    pub request: Request,
    /// Where it stands.
    pub status: Status,
    /// The attempt that wrote last.
    pub attempt: u32,
    /// The step it is in.
    pub step: Option<Step>,
    /// When it was asked for, in microseconds after 1970.
    pub created_us: i64,
    /// When something happened last, in microseconds after 1970.
    pub updated_us: i64,
    /// The place of the last entry.
    pub last_seq: u64,
    /// The repository by the name it has now; another one than was asked for when it was renamed.
    pub remote: Option<Remote>,
    /// The branch and commit it was started from.
    pub base: Option<(Branch, Oid)>,
    /// The last saved state of the work tree.
    pub saved: Option<Oid>,
    /// The commit to deliver.
    pub commit: Option<Oid>,
    /// The branch that was pushed.
    pub pushed: Option<(Branch, Oid)>,
    /// The pull request.
    pub pull_request: Option<Target>,
    /// Whether somebody asked for its end.
    pub cancel_requested: bool,
    /// What it used so far.
    pub usage: Usage,
    /// Replies of the model so far.
    pub turns: u32,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What it used in all.
    pub telemetry: Option<Telemetry>,
}

impl SessionState {
    /// The state after all of `entries`, which begin with the first one of a session; nothing when they do not.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut entries = entries.into_iter();
        let mut state = Self::begin(entries.next()?)?;
        entries.for_each(|entry| state.apply(entry));
        Some(state)
    }

    /// The state after the first entry of a session.
    pub fn begin(first: &Entry) -> Option<Self> {
        let Event::SessionRequested(requested) = &first.event else { return None };
        Some(Self {
            id: first.session,
            request: requested.request.clone(),
            status: Status::Queued,
            attempt: first.attempt,
            step: None,
            created_us: first.at_us,
            updated_us: first.at_us,
            last_seq: first.seq,
            remote: None,
            base: None,
            saved: None,
            commit: None,
            pushed: None,
            pull_request: None,
            cancel_requested: false,
            usage: Usage::zero(),
            turns: 0,
            outcome: None,
            telemetry: None,
        })
    }

    /// The repository by the name it has now, as far as is known.
    pub fn repository(&self) -> &Remote {
        self.remote.as_ref().unwrap_or(&self.request.remote)
    }

    /// Whether something of its work is kept in the mirror.
    pub fn has_saved_work(&self) -> bool {
        self.saved.is_some() || self.commit.is_some()
    }

    /// Takes in the next entry.
    pub fn apply(&mut self, entry: &Entry) {
        self.status = self.status.gone_on();
        self.attempt = entry.attempt;
        self.updated_us = entry.at_us;
        self.last_seq = entry.seq;
        match &entry.event {
            Event::AttemptStarted(_) => self.status = Status::Running,
            Event::ModelRetried(_) => self.status = Status::Waiting,
            Event::StepStarted(started) => self.step = Some(started.step),
            Event::BaseChosen(chosen) => {
                self.remote = Some(chosen.remote.clone());
                self.base = Some((chosen.base.clone(), chosen.commit.clone()));
            }
            Event::ModelReplied(reply) => {
                self.usage = reply.totals;
                self.turns += u32::from(reply.purpose.is_turn());
            }
            Event::ReplyLost(lost) => self.usage = lost.totals,
            Event::ToolFinished(tool) => {
                if let Some(oid) = &tool.saved {
                    self.saved = Some(oid.clone());
                }
            }
            Event::CommitMade(made) => self.commit = Some(made.commit.clone()),
            Event::BranchPushed(pushed) => self.pushed = Some((pushed.branch.clone(), pushed.commit.clone())),
            Event::PullRequestOpened(opened) => self.pull_request = Some(opened.target.clone()),
            Event::CancelRequested(_) => self.cancel_requested = true,
            Event::SessionEnded(ended) => {
                self.status = ended.outcome.status();
                self.outcome = Some(ended.outcome.clone());
                self.telemetry = Some(ended.telemetry.clone());
            }
            Event::SessionRequested(_)
            | Event::GitRan(_)
            | Event::SetupRan(_)
            | Event::TreePrepared(_)
            | Event::SandboxOpened(_)
            | Event::AgentBriefed(_)
            | Event::ModelSwitched(_)
            | Event::Thought(_)
            | Event::Said(_)
            | Event::FileEdited(_)
            | Event::AgentTold(_)
            | Event::ContextCompacted(_)
            | Event::EgressDecided(_)
            | Event::CheckRan(_)
            | Event::Warned(_)
            | Event::LimitReached(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AttemptStarted, Budget, CancelRequested, ModelRetried, Publish, Said, SessionRequested, Tenant,
    };

    /// The state after these events, the first of which is the request.
    fn state_after(events: impl IntoIterator<Item = Event>) -> SessionState {
        let request = Request {
            remote: Remote::Local("/srv/calc".into()),
            prompt: "Make add() add".into(),
            branch: None,
            base: None,
            title: None,
            draft: false,
            provider: None,
            model: None,
            publish: Publish::Pr,
            setup: crate::SetupWish::AsFound,
            checks: Vec::new(),
            budget: Budget::default(),
        };
        let first = Event::SessionRequested(SessionRequested { request, door: "run".into() });
        let entry = |(seq, event): (u64, Event)| Entry {
            tenant: Tenant::default(),
            session: SessionId::new(1, 2),
            seq,
            attempt: 1,
            at_us: 0,
            actor: event.actor(),
            event,
        };
        let entries: Vec<Entry> = (1..).zip(std::iter::once(first).chain(events)).map(entry).collect();
        SessionState::fold(&entries).unwrap()
    }

    fn cancel() -> Event {
        Event::CancelRequested(CancelRequested { reason: "asked".into() })
    }

    #[test]
    fn a_wish_to_cancel_is_remembered() {
        assert!(!state_after([]).cancel_requested);
        let state = state_after([cancel()]);
        assert!(state.cancel_requested && !state.status.is_final());
    }

    #[test]
    fn a_session_waits_from_a_pause_on_until_something_happens() {
        let begun = Event::AttemptStarted(AttemptStarted { release: "0.1.0".into(), conditions: None });
        let pause = Event::ModelRetried(ModelRetried {
            provider: Some("anthropic".into()),
            reason: "429".into(),
            wait_ms: 60_000,
            retry: 1,
        });
        let said = Event::Said(Said { text: "Well.".into() });
        let all = [begun, pause.clone(), pause, said];
        let statuses = [Status::Queued, Status::Running, Status::Waiting, Status::Waiting, Status::Running];
        for (count, status) in statuses.into_iter().enumerate() {
            assert_eq!(state_after(all[..count].to_vec()).status, status, "after {count}");
        }
        assert_eq!(state_after([cancel()]).status, Status::Queued);
    }
}
