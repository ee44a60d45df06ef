//! The fields of each event on the wire, in the words of the contract.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

/// What every event has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event<'a> {
    /// Which kind of event it is.
    pub(crate) r#type: Cow<'a, str>,
    /// When it happened (RFC 3339, UTC).
    pub(crate) timestamp: String,
    /// What happened, for people.
    pub(crate) message: Cow<'a, str>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub(crate) fields: Fields<'a>,
}

/// What an event has besides, by its kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Fields<'a> {
    Text {},
    Status(Status<'a>),
    Progress(Progress),
    Plan(Plan<'a>),
    Read(Read<'a>),
    Search(Search<'a>),
    Edit(Edit<'a>),
    Bash(Bash<'a>),
    Tool(Tool<'a>),
    Check(Check<'a>),
    Usage(Usage<'a>),
    Warning(Warning<'a>),
    PullRequest(PullRequest<'a>),
    Complete(Box<Complete<'a>>),
    Error(Box<Error<'a>>),
}

/// How the session goes on.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Status<'a> {
    /// The session's id; in the first event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<String>,
    /// The branch it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) branch: Option<&'a str>,
    /// The commit it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<&'a str>,
}

/// A step of the story began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// How much is behind, in per cent; a rough figure.
    pub(crate) progress: u8,
    /// The step: `preflight`, `checkout`, `setup`, `provision`, `work`, `check`, `publish`,
    /// `teardown`.
    pub(crate) step: &'static str,
}

/// The agent set its plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plan<'a> {
    /// The steps, in their order.
    pub(crate) steps: Vec<PlanStep<'a>>,
}

/// A step of the agent's plan.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanStep<'a> {
    /// What is to be done.
    pub(crate) text: &'a str,
    /// Whether it is done.
    pub(crate) done: bool,
}

/// The agent read a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Read<'a> {
    /// The file, relative to the repository.
    pub(crate) filepath: &'a str,
    /// How many lines were read.
    pub(crate) lines: u64,
}

/// The agent searched text or file names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Search<'a> {
    /// The pattern.
    pub(crate) query: &'a str,
    /// How many matches there are, up to the tool's bound.
    pub(crate) matches: u64,
}

/// One passage of a file was replaced.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Edit<'a> {
    /// The file, relative to the repository.
    pub(crate) filepath: &'a str,
    /// The passage that was replaced, exactly; empty when the file was created.
    pub(crate) old_str: &'a str,
    /// What stands there now, exactly.
    pub(crate) new_str: &'a str,
    /// How the passage was found: `exact`, `line_endings`, `trailing_space`, `indent`, `punctuation`, `created`.
    pub(crate) r#match: &'a str,
}

/// A command was run, by the agent in its sandbox, by the project's setup before it or, for git, by the service itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bash<'a> {
    /// The command; never a credential.
    pub(crate) command: &'a str,
    /// Its output; says what was left out of it.
    pub(crate) output: &'a str,
    /// Its exit code; `-1` when it was ended.
    pub(crate) exit_code: i32,
    /// How long it took.
    pub(crate) duration_ms: u64,
}

/// Any other tool was called, or a call was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tool<'a> {
    /// The arguments.
    pub(crate) input: &'a str,
    /// The result.
    pub(crate) output: &'a str,
}

/// A check was run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check<'a> {
    /// The command.
    pub(crate) command: &'a str,
    /// Its exit code; `-1` when it was ended.
    pub(crate) exit_code: i32,
    /// Its output; says what was left out of it.
    pub(crate) output: &'a str,
    /// Whether it ran `before` the work or `after` it.
    pub(crate) phase: &'static str,
    /// How long it took.
    pub(crate) duration_ms: u64,
}

/// The model answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage<'a> {
    /// The provider that answered.
    pub(crate) provider: &'a str,
    /// The model that answered.
    pub(crate) model: &'a str,
    /// `true` where the reply broke off before its provider had counted anything: estimated from the length of texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated: Option<bool>,
    /// What this answer used.
    #[serde(flatten)]
    pub(crate) used: Tokens,
    /// What the session used so far.
    pub(crate) totals: Tokens,
}

/// Tokens, and what they cost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Input tokens that were neither read from nor written to a cache.
    pub(crate) input_tokens: u64,
    /// Output tokens, reasoning included.
    pub(crate) output_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub(crate) cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub(crate) cache_write_tokens: u64,
    /// US dollars; null when the price is not known.
    pub(crate) usd: Option<f64>,
}

/// Something that one should know and that stops nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Warning<'a> {
    /// The class, for programs; `model_retry`, `provider_switched`, `context_compacted`, `budget`, `egress_blocked`,
    /// `secret_in_output`, `usage_estimated` among them.
    pub(crate) code: &'a str,
    /// With `budget`: which limit was reached, as in the final event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<&'static str>,
    /// With `budget`: who set it: `request`, `repository`, `operator`, `service`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whose: Option<&'static str>,
}

/// A pull request is open on the branch and was read back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PullRequest<'a> {
    /// Its address.
    pub(crate) pr_url: &'a str,
    /// Its number.
    pub(crate) number: u64,
    /// Its head.
    pub(crate) branch: &'a str,
    /// Its base.
    pub(crate) base: &'a str,
    /// Its title as the forge has it.
    pub(crate) title: &'a str,
    /// Whether it is a draft.
    pub(crate) draft: bool,
}

/// The session ended as it should. Final.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Complete<'a> {
    /// `success`.
    pub(crate) status: &'static str,
    /// `pull_request`, `branch`, `patch`, `unchanged`, `budget`.
    pub(crate) outcome: &'static str,
    /// With the outcome `budget`: `usd`, `tokens`, `turns`, `minutes`, or `stuck` when the agent went in circles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<&'static str>,
    /// The session's id.
    pub(crate) session_id: String,
    /// The pull request's address.
    pub(crate) pr_url: Option<&'a str>,
    /// The pull request's number.
    pub(crate) number: Option<u64>,
    /// The branch that was pushed.
    pub(crate) branch: Option<&'a str>,
    /// The branch it was started from, and the pull request's base.
    pub(crate) base: Option<&'a str>,
    /// The commit that holds the change.
    pub(crate) commit: Option<&'a str>,
    /// A page that compares base and head, where the forge has one.
    pub(crate) compare_url: Option<&'a str>,
    /// The change as a patch, relative to this service.
    pub(crate) patch_url: Option<String>,
    /// What the commit changes: the first 100 files.
    pub(crate) files_changed: Vec<FileChanged<'a>>,
    /// How many files the commit changes.
    pub(crate) files_changed_count: usize,
    /// What the session used.
    pub(crate) telemetry: Telemetry<'a>,
}

/// How much a commit changes in one file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileChanged<'a> {
    /// The file, relative to the repository.
    pub(crate) path: &'a str,
    /// Lines added; null for a binary file.
    pub(crate) added: Option<u64>,
    /// Lines deleted; null for a binary file.
    pub(crate) deleted: Option<u64>,
}

/// The session could not reach its end, or somebody ended it. Final.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Error<'a> {
    /// `error`.
    pub(crate) status: &'static str,
    /// The class, for programs; `cancelled` among them.
    pub(crate) code: &'static str,
    /// The step in which it happened; null when it was cancelled.
    pub(crate) step: Option<&'static str>,
    /// What mends it, if we know.
    pub(crate) hint: Option<&'a str>,
    /// The session's id.
    pub(crate) session_id: String,
    /// The branch on which the work was saved.
    pub(crate) branch: Option<&'a str>,
    /// A page that compares base and that branch, where the forge has one.
    pub(crate) compare_url: Option<&'a str>,
    /// The work that was saved as a patch, relative to this service.
    pub(crate) patch_url: Option<String>,
    /// What the session used.
    pub(crate) telemetry: Telemetry<'a>,
}

/// What a session used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Telemetry<'a> {
    /// Replies of the model.
    pub(crate) turns: u32,
    /// Input tokens, cached ones included.
    pub(crate) input_tokens: u64,
    /// Output tokens.
    pub(crate) output_tokens: u64,
    /// US dollars; null when a price was not known.
    pub(crate) usd: Option<f64>,
    /// From the request to the end.
    pub(crate) duration_ms: u64,
    /// The provider that answered last.
    pub(crate) ai_provider: Option<&'a str>,
    /// The model that answered last.
    pub(crate) model: Option<&'a str>,
    /// What each model did, in the order in which they first answered.
    pub(crate) models: Vec<ModelUse<'a>>,
    /// The trace of the session; null when it was not traced.
    pub(crate) trace_id: Option<&'a str>,
    /// How many thoughts the agent had.
    pub(crate) thinking_logs_count: u64,
    /// The last five thoughts.
    pub(crate) recent_thoughts: Vec<RecentThought<'a>>,
    /// Whether the session was traced to LangSmith.
    pub(crate) langsmith_enabled: bool,
}

/// What one model did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelUse<'a> {
    /// Its provider.
    pub(crate) provider: &'a str,
    /// The model, as the provider names it.
    pub(crate) model: &'a str,
    /// Its replies.
    pub(crate) turns: u32,
    /// Input tokens, cached ones included.
    pub(crate) input_tokens: u64,
    /// Output tokens.
    pub(crate) output_tokens: u64,
    /// US dollars; null when a price was not known.
    pub(crate) usd: Option<f64>,
}

/// The beginning of a thought.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecentThought<'a> {
    /// The turn.
    pub(crate) step: u32,
    /// The thought.
    pub(crate) thought: &'a str,
}
