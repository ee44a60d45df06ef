//! Everything that can happen in a session.
//!
//! No event is ever removed and none changes its meaning: logs of every past release stay readable. A new field is
//! optional or has a default; a change of shape raises the kind's version in [`crate::entry`] and is upcast there.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Branch, FileStat, Limit, Oid, Outcome, Remote, Request, Step, Target, Telemetry};

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
    /// The sandbox stands.
    SandboxOpened(SandboxOpened),
    /// The agent was given its task; with the replies and tool results this is the whole conversation.
    AgentBriefed(AgentBriefed),
    /// The model answered; verbatim.
    ModelReplied(ModelReplied),
    /// The model's provider could not answer and is asked again.
    ModelRetried(ModelRetried),
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
}

/// See [`Event::StepStarted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepStarted {
    /// Which.
    pub step: Step,
    /// What is being done, for people.
    pub message: String,
}

/// See [`Event::GitRan`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GitRan {
    /// The command as a person would type it; never a credential.
    pub command: String,
    /// What it printed, bounded.
    pub output: String,
    /// Its exit code; `-1` when a signal ended it.
    pub exit_code: i32,
    /// How long it took.
    pub duration_ms: u64,
}

/// See [`Event::BaseChosen`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BaseChosen {
    /// The repository, by the name it now has.
    pub remote: Remote,
    /// The branch to start from.
    pub base: Branch,
    /// Its commit.
    pub commit: Oid,
}

/// See [`Event::SandboxOpened`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxOpened {
    /// The backend: `namespaces`.
    pub backend: String,
    /// What holds here, each in a few words.
    pub enforced: Vec<String>,
    /// What this machine cannot enforce, each in a few words.
    pub soft: Vec<String>,
}

/// See [`Event::AgentBriefed`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentBriefed {
    /// The system prompt.
    pub system: String,
    /// The first message to the model.
    pub task: String,
    /// The tools' names.
    pub tools: Vec<String>,
}

/// See [`Event::ModelReplied`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelReplied {
    /// The provider that answered.
    pub provider: String,
    /// The model that answered, as the provider names it.
    pub model: String,
    /// The wire's own form of the assistant message, byte for byte.
    pub raw: Box<RawValue>,
    /// Why the model stopped, in the wire's own word.
    pub stop: String,
    /// What the reply used.
    pub usage: Usage,
    /// The session's totals with this reply.
    pub totals: Usage,
    /// How long the model took.
    pub duration_ms: u64,
}

/// What a reply, or a session, used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens that were neither read from nor written to a cache.
    pub input_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// US dollars; nothing when the price is not known.
    pub usd: Option<f64>,
}

impl Usage {
    /// All tokens.
    pub fn tokens(&self) -> u64 {
        [self.output_tokens, self.cache_read_tokens, self.cache_write_tokens]
            .into_iter()
            .fold(self.input_tokens, u64::saturating_add)
    }

    /// The sum; its price is known when both are. The counts are the provider's: absurd ones must end no session.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(other.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_add(other.cache_write_tokens),
            usd: self.usd.zip(other.usd).map(|(a, b)| a + b),
        }
    }

    /// Nothing used, at a known price of nothing: where a sum begins.
    pub fn zero() -> Self {
        Self { usd: Some(0.0), ..Self::default() }
    }
}

/// See [`Event::ModelRetried`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelRetried {
    /// What went wrong.
    pub reason: String,
    /// How long we wait before asking again.
    pub wait_ms: u64,
    /// Which retry this is, from 1.
    pub retry: u32,
}

/// See [`Event::Thought`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Thought {
    /// The text.
    pub text: String,
}

/// See [`Event::Said`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    /// The text.
    pub text: String,
}

/// See [`Event::FileEdited`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileEdited {
    /// The file, relative to the repository.
    pub path: String,
    /// The passage that was replaced, exactly; empty when the file was created.
    pub old: String,
    /// What stands there now, exactly.
    pub new: String,
    /// How the passage was found: `exact`, `line_endings`, `trailing_space`, `indent`, `punctuation`, or `created`.
    pub matched: String,
}

/// See [`Event::ToolFinished`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ToolFinished {
    /// The call it answers.
    pub call_id: String,
    /// The tool's name as the model wrote it.
    pub tool: String,
    /// The result as the model is given it.
    pub result: String,
    /// Whether the result tells of a failure.
    pub failed: bool,
    /// What people are shown of it.
    pub shown: Shown,
    /// The commit on the session's hidden ref that holds the work tree after this call, when it differs from before.
    pub saved: Option<Oid>,
    /// How long it took.
    pub duration_ms: u64,
}

/// What people are shown of a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case")]
pub enum Shown {
    /// Nothing: entries of their own tell of it ([`FileEdited`], [`LimitReached`] …).
    Nothing,
    /// A file was read.
    Read {
        /// The file, relative to the repository.
        path: String,
        /// How many lines were read.
        lines: u64,
    },
    /// Text or file names were searched.
    Search {
        /// The pattern.
        query: String,
        /// How many matches there are, up to the tool's bound.
        matches: u64,
    },
    /// A command was run.
    Bash {
        /// The command.
        command: String,
        /// Its output, bounded.
        output: String,
        /// Its exit code; `-1` when it was ended.
        exit_code: i32,
    },
    /// The plan was set.
    Plan {
        /// Its steps.
        steps: Vec<PlanStep>,
    },
    /// Any other call, refused ones among them.
    Other {
        /// The arguments, bounded.
        input: String,
        /// The result, bounded.
        output: String,
    },
}

/// A step of the agent's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What is to be done.
    pub text: String,
    /// Whether it is done.
    pub done: bool,
}

/// See [`Event::AgentTold`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentTold {
    /// The text, as the model is given it.
    pub text: String,
}

/// See [`Event::CheckRan`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckRan {
    /// The command.
    pub command: String,
    /// Its exit code; `-1` when it was ended.
    pub exit_code: i32,
    /// Its output, bounded.
    pub output: String,
    /// Whether it ran before the work or after it.
    pub phase: CheckPhase,
    /// How long it took.
    pub duration_ms: u64,
}

/// When a check was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckPhase {
    /// On the base.
    Before,
    /// On the change.
    After,
}

/// See [`Event::CommitMade`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitMade {
    /// The commit.
    pub commit: Oid,
    /// Its only parent.
    pub base: Oid,
    /// What it changes.
    pub files: Vec<FileStat>,
    /// Its one-line title.
    pub title: String,
    /// What was done and why.
    pub summary: String,
}

/// See [`Event::BranchPushed`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BranchPushed {
    /// The branch.
    pub branch: Branch,
    /// Its head.
    pub commit: Oid,
}

/// See [`Event::PullRequestOpened`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PullRequestOpened {
    /// The address, number, head and draft state.
    pub target: Target,
    /// Its base.
    pub base: Branch,
    /// Its title as the forge has it.
    pub title: String,
    /// Whether it was open already and is ours by its marker.
    pub adopted: bool,
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

/// See [`Event::LimitReached`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitReached {
    /// Which bound.
    pub limit: Limit,
}

/// See [`Event::SessionEnded`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SessionEnded {
    /// How.
    pub outcome: Outcome,
    /// What it used.
    pub telemetry: Telemetry,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_counts_do_not_overflow() {
        let absurd = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::zero() };
        let sum = absurd.plus(&absurd);
        assert_eq!((sum.input_tokens, sum.tokens()), (u64::MAX, u64::MAX));
    }
}
