//! Everything that can happen in a session.
//!
//! No event is ever removed and none changes its meaning: logs of every past release stay readable. A new field is
//! optional or has a default; a change of shape raises the kind's version in [`crate::entry`] and is upcast there.

mod delivering;
mod doing;
mod thinking;

use serde::{Deserialize, Serialize};

use crate::{Outcome, Request, Step, Telemetry};

pub use delivering::*;
pub use doing::*;
pub use thinking::*;

/// Something that happened in a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A session was asked for. The first entry of every log.
    SessionRequested(SessionRequested),
    /// A process took the session up, again after a crash.
    AttemptStarted(AttemptStarted),
    /// A step of the story began.
    StepStarted(StepStarted),
    /// The trusted side ran git.
    GitRan(GitRan),
    /// The commit to start from was settled.
    BaseChosen(BaseChosen),
    /// A command of the project's setup was run.
    SetupRan(SetupRan),
    /// What setup added is there for the agent.
    TreePrepared(TreePrepared),
    /// The sandbox stands.
    SandboxOpened(SandboxOpened),
    /// The agent was given its task; with the replies and tool results this is the whole conversation.
    AgentBriefed(AgentBriefed),
    /// The model answered; verbatim.
    ModelReplied(ModelReplied),
    /// The model's provider could not answer and is asked again.
    ModelRetried(ModelRetried),
    /// A model does not answer, and another one goes on with the conversation.
    ModelSwitched(ModelSwitched),
    /// A reply broke off after its provider had counted tokens for it, and is asked for again.
    ReplyLost(ReplyLost),
    /// What the model thought, for people.
    Thought(Thought),
    /// What the model said, for people.
    Said(Said),
    /// One passage of a file was replaced.
    FileEdited(FileEdited),
    /// A tool call was carried out.
    ToolFinished(ToolFinished),
    /// The service told the agent something that no tool call had asked for.
    AgentTold(AgentTold),
    /// The conversation with the model had become too long and began again, shorter.
    ContextCompacted(ContextCompacted),
    /// The sandbox's way out let something through, or did not.
    EgressDecided(EgressDecided),
    /// A check was run.
    CheckRan(CheckRan),
    /// The commit to deliver was made.
    CommitMade(CommitMade),
    /// The remote took a branch.
    BranchPushed(BranchPushed),
    /// A pull request is open on the branch and was read back.
    PullRequestOpened(PullRequestOpened),
    /// Something that the user should know and that stops nothing.
    Warned(Warned),
    /// Somebody asked for the end of the session.
    CancelRequested(CancelRequested),
    /// A budget was reached.
    LimitReached(LimitReached),
    /// The session is over. The last entry of every log.
    SessionEnded(SessionEnded),
}

/// See [`Event::SessionRequested`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionRequested {
    /// What was asked for.
    pub request: Request,
    /// The door it came in by: `run`, `demo`, `code`, `sessions`.
    pub door: String,
}

/// See [`Event::AttemptStarted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// The release of `backspace` that took it up.
    pub release: String,
    /// What of this machine's settings decides how the session goes; unsaid in the logs of the first releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
}

/// What of a machine's settings decides how a session goes, beside what other events tell. A replay goes by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// How long a command may run, in seconds.
    pub command_timeout_s: u64,
    /// How long a sandbox may live, in seconds.
    pub lifetime_s: u64,
    /// The name of whom commits are by.
    pub author_name: String,
    /// Their e-mail address.
    pub author_email: String,
}

/// See [`Event::StepStarted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepStarted {
    /// Which.
    pub step: Step,
    /// What is being done, for people.
    pub message: String,
}

/// See [`Event::SandboxOpened`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxOpened {
    /// The backend: `namespaces` or `docker`.
    pub backend: String,
    /// What holds here, each in a few words.
    pub enforced: Vec<String>,
    /// What this machine cannot enforce, each in a few words.
    pub soft: Vec<String>,
    /// Backends that the operator prefers and that were not to be had, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<String>,
}

/// See [`Event::Warned`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Warned {
    /// The class, for programs.
    pub code: String,
    /// The text, for people.
    pub message: String,
}

/// See [`Event::CancelRequested`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CancelRequested {
    /// Why: `asked`, or `shutdown`.
    pub reason: String,
}

/// See [`Event::SessionEnded`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionEnded {
    /// How.
    pub outcome: Outcome,
    /// What it used.
    pub telemetry: Telemetry,
}
