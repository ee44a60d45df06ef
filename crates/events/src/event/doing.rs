//! What tools and checks do, and what people are shown of it.

use serde::{Deserialize, Serialize};

use crate::{Oid, SessionId};

/// See [`crate::Event::SetupRan`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetupRan {
    /// The command.
    pub command: String,
    /// Who wants it.
    pub origin: SetupOrigin,
    /// Its output, bounded.
    pub output: String,
    /// Its exit code; `-1` when it was ended.
    pub exit_code: i32,
    /// How long it took.
    pub duration_ms: u64,
}

/// Who wants a project to be set up in a certain way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupOrigin {
    /// Whoever asked for the session.
    Request,
    /// The repository, in `.backspace/config.toml` of the base branch.
    Repository,
    /// Nobody said so: lock files of the repository are known to be installed like this.
    Detected,
}

/// See [`crate::Event::TreePrepared`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TreePrepared {
    /// How it came about.
    pub how: Preparation,
    /// The commands that made it.
    pub commands: Vec<String>,
    /// Files, folders and links that it adds to the work tree and the home folder.
    pub entries: u64,
    /// Bytes of all its files together.
    pub bytes: u64,
}

/// How a prepared tree came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// It was made now, and is kept for later sessions.
    Kept,
    /// It was made now, for this session alone.
    ForThisSession,
    /// It was made by this session, earlier.
    Reused(SessionId),
}

/// See [`crate::Event::FileEdited`].
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

/// See [`crate::Event::ToolFinished`].
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
    /// Nothing: entries of their own tell of it ([`FileEdited`], [`crate::LimitReached`] …).
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

/// See [`crate::Event::EgressDecided`]. The same decision, taken again and again by one command, is one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressDecided {
    /// The host, or what was asked for instead of one; `(others)` when there were too many to be told one by one.
    pub host: String,
    /// The port; nothing when none was understood.
    pub port: Option<u16>,
    /// Why it was not let through; nothing when it was.
    pub refused: Option<EgressRefused>,
    /// How often; 0 when only bytes are told, of connections that were told before.
    pub times: u64,
    /// Bytes that were sent to it, as far as they are not told yet.
    pub sent_bytes: u64,
    /// Bytes that came from it, as far as they are not told yet.
    pub received_bytes: u64,
}

/// Why something was not let out of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRefused {
    /// The class, for programs: `not_listed`, `request`, `special` and others.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// See [`crate::Event::CheckRan`].
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
