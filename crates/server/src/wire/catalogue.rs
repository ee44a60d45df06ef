//! Every type of event with its fields, for the documents that are made from the code.

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields;

/// A type of event.
pub(crate) struct Kind {
    /// Its `type`.
    pub(crate) name: &'static str,
    /// When it is sent.
    pub(crate) about: &'static str,
    /// Its fields beyond those of every event.
    pub(crate) fields: Option<RefOr<Schema>>,
    /// The schemas that its fields name.
    pub(crate) named: Vec<(String, RefOr<Schema>)>,
}

/// All types of events, in the order in which a session meets them.
pub(crate) fn catalogue() -> Vec<Kind> {
    vec![
        with::<fields::Status<'_>>(
            "Status",
            "How the session goes on. The first event of every session is one.",
        ),
        with::<fields::Progress>("Progress", "A step of the story begins."),
        text("AI Thinking", "What the model thought; `message` is the text."),
        text("AI Message", "What the model said; `message` is the text."),
        with::<fields::Plan<'_>>("Plan", "The agent set its plan, or ticked a step off."),
        with::<fields::Read<'_>>("Tool: Read", "The agent read a file."),
        with::<fields::Search<'_>>("Tool: Search", "The agent searched text or file names."),
        with::<fields::Edit<'_>>("Tool: Edit", "One passage of a file was replaced, exactly as told."),
        with::<fields::Bash<'_>>(
            "Tool: Bash",
            "A command was run: the agent's in the sandbox, one that sets the project up, or git by the service itself.",
        ),
        with::<fields::Tool<'_>>("Tool: NAME", "Any other tool was called, or a call was refused."),
        with::<fields::Check<'_>>("Check", "A check was run."),
        with::<fields::Usage<'_>>("Usage", "The model answered; what that used, and the session so far."),
        with::<fields::Warning<'_>>("Warning", "Something that one should know and that stops nothing."),
        with::<fields::PullRequest<'_>>("PR Created", "The pull request is open and was read back."),
        with::<fields::Complete<'_>>("complete", "The session ended as it should. Final."),
        with::<fields::Error<'_>>("error", "The session failed or was cancelled. Final."),
    ]
}

fn with<T: ToSchema + PartialSchema>(name: &'static str, about: &'static str) -> Kind {
    let mut named = Vec::new();
    T::schemas(&mut named);
    Kind { name, about, fields: Some(T::schema()), named }
}

fn text(name: &'static str, about: &'static str) -> Kind {
    Kind { name, about, fields: None, named: Vec::new() }
}
