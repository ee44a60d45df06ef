//! What went wrong in a leaf, in the words of a session's outcome.

use std::error::Error as StdError;

use events::{Failure, FailureCode, Step};

/// Why a step did not come to its end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Somebody ended the session.
    Cancelled,
    /// It cannot go on.
    Failed(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The reason with its causes, outermost first, in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent wrapper says the same again.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// A failure at `step` without a hint.
pub(crate) fn at(step: Step, code: FailureCode, reason: impl Into<String>) -> Failure {
    Failure { code, step, reason: reason.into(), hint: None, saved: None }
}

/// `failure` with `hint` before what mends it.
pub(crate) fn hinted(failure: Failure, hint: &str) -> Failure {
    let hint = failure.hint.as_ref().map_or_else(|| hint.to_owned(), |mend| format!("{hint} {mend}"));
    Failure { hint: Some(hint), ..failure }
}

/// The forge did not do it.
pub(crate) fn of_forge(step: Step, error: &forge::Error) -> Failure {
    let (code, hint) = match error {
        forge::Error::NotFound(_) => (
            FailureCode::RepositoryUnavailable,
            Some("Check the address; for a private repository GITHUB_TOKEN must be allowed to see it."),
        ),
        forge::Error::Denied { .. } => (
            FailureCode::ForgeRefused,
            Some(
                "Set GITHUB_TOKEN to a token with write access to contents and pull requests of the repository.",
            ),
        ),
        forge::Error::Refused { .. } => (FailureCode::ForgeRefused, None),
        forge::Error::Unavailable { .. } => (FailureCode::ForgeUnavailable, Some("Try again later.")),
        forge::Error::Config(_) => (FailureCode::ForgeUnavailable, None),
    };
    Failure { hint: hint.map(str::to_owned), ..at(step, code, chain(error)) }
}

/// No sandbox, or it is gone.
pub(crate) fn of_sandbox(step: Step, error: &sandbox::Error) -> Failure {
    match error {
        sandbox::Error::Unavailable { reason, mend } => {
            let reason = format!("no sandbox can be opened here: {reason}");
            Failure { hint: Some(mend.clone()), ..at(step, FailureCode::SandboxUnavailable, reason) }
        }
        sandbox::Error::Lost { .. } => at(step, FailureCode::SandboxLost, chain(error)),
        sandbox::Error::TooLarge { .. } | sandbox::Error::Changed | sandbox::Error::System { .. } => {
            at(step, FailureCode::Internal, chain(error))
        }
    }
}

/// The agent met what it cannot help.
pub(crate) fn of_agent(error: &agent::Error) -> Failure {
    let step = Step::Work;
    match error {
        agent::Error::Model(model) => of_model(step, model),
        agent::Error::ContextTooSmall { .. } => Failure {
            hint: Some(LONGER_CONTEXT.to_owned()),
            ..at(step, FailureCode::ModelRefused, chain(error))
        },
        agent::Error::Sandbox(sandbox) => of_sandbox(step, sandbox),
        agent::Error::Checkpoint(_) | agent::Error::Journal(_) => {
            at(step, FailureCode::Internal, chain(error))
        }
    }
}

/// What gives a session a model.
pub(crate) const SET_A_KEY: &str =
    "For a language model set ANTHROPIC_API_KEY or OPENAI_API_KEY; `backspace doctor` lists all providers.";

/// What mends a conversation that a model cannot hold.
const LONGER_CONTEXT: &str = "Ask for less at once, or name a model with a longer context. Where its server holds less than the table \
                              of vendors says, set `context` and `output` of the model in the file of BACKSPACE_VENDORS.";
/// What mends a request for longer replies than a model gives.
const SHORTER_REPLIES: &str = "If its server gives shorter replies than the table of vendors says, set `output` of the model in the file \
                               of BACKSPACE_VENDORS.";
/// What the wires call the longest reply, as refusals name it.
const OUTPUT_LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// What OpenAI says to organizations that have not shown who they are, of its newest models (crush#1216).
const UNVERIFIED: &str = "must be verified to stream this model";
/// What mends that: every reply is streamed.
const VERIFY: &str = "Verify the organization of the API key at the address in the error, or name a model that does not ask for that; replies \
                      are always streamed.";

/// The model does not reply.
pub(crate) fn of_model(step: Step, error: &model::Error) -> Failure {
    let (code, hint) = match error {
        model::Error::Key { provider, variable, .. } => {
            (FailureCode::ModelRefused, Some(key_hint(provider, variable.as_deref())))
        }
        model::Error::Quota { .. } => (
            FailureCode::ModelRefused,
            Some("Raise the limit of that account, or name another provider.".to_owned()),
        ),
        model::Error::NotFound { .. } => (
            FailureCode::ModelRefused,
            Some("Name another model, or check the provider's base URL.".to_owned()),
        ),
        model::Error::ContextFull { .. } => (FailureCode::ModelRefused, Some(LONGER_CONTEXT.to_owned())),
        model::Error::Beyond { before: None, .. } => (FailureCode::ModelRefused, Some(SET_A_KEY.to_owned())),
        // A model was there to be asked: what mends it is what gives the session a model again.
        model::Error::Beyond { before: Some(before), .. } => {
            (FailureCode::ModelRefused, of_model(step, before).hint)
        }
        model::Error::Refused { message, .. } => {
            (FailureCode::ModelRefused, refused_hint(message).map(str::to_owned))
        }
        model::Error::Config(_) => (FailureCode::ModelRefused, None),
        model::Error::Transient { .. } => {
            (FailureCode::ModelUnavailable, Some("Try again later, or name another provider.".to_owned()))
        }
        model::Error::Protocol { .. } => (FailureCode::ModelProtocol, None),
    };
    Failure { hint, ..at(step, code, chain(error)) }
}

/// What mends a request that was refused, as far as the words of the refusal tell.
fn refused_hint(message: &str) -> Option<&'static str> {
    if message.contains(UNVERIFIED) {
        return Some(VERIFY);
    }
    OUTPUT_LIMITS.iter().any(|name| message.contains(name)).then_some(SHORTER_REPLIES)
}

/// What mends a key that was refused.
fn key_hint(provider: &str, variable: Option<&str>) -> String {
    match variable {
        Some(name) => format!("Set {name} to a valid key of {provider}."),
        None => {
            format!("Give {provider} a `key_variable` in the table of vendors, and that setting a valid key.")
        }
    }
}

/// The log or a lock refused.
pub(crate) fn internal(step: Step, error: &(dyn StdError + 'static)) -> Failure {
    at(step, FailureCode::Internal, chain(error))
}

/// What git, a remote or a folder refused.
pub(crate) fn of_repo(step: Step, error: &repo::Error) -> Failure {
    use repo::Error as E;
    let (code, hint) = match error {
        E::NotFound { .. } => (
            FailureCode::RepositoryUnavailable,
            Some("Check the address; for a private repository GITHUB_TOKEN must be allowed to see it."),
        ),
        E::Auth { .. } => {
            (FailureCode::ForgeRefused, Some("Set GITHUB_TOKEN to a token with write access to contents."))
        }
        E::Network { .. } => (FailureCode::ForgeUnavailable, Some("Try again later.")),
        E::BranchTaken { .. } => (FailureCode::PushRejected, Some("Name another branch (--branch).")),
        E::Rejected { .. } => (FailureCode::PushRejected, None),
        E::LeadsAway { .. } => (
            FailureCode::PushRejected,
            Some("Take it out of the repository's .git, or work on a fresh clone."),
        ),
        E::Unfit { .. } => (
            FailureCode::RepositoryUnavailable,
            Some("Repositories of this size need more room in BACKSPACE_HOME, or are out of reach."),
        ),
        E::TooLarge { .. } | E::Unsound { .. } => (FailureCode::ChangeRefused, None),
        E::Timeout { .. } | E::Busy { .. } | E::Git { .. } | E::Contents(_) | E::System { .. } => {
            (FailureCode::Internal, None)
        }
    };
    Failure { hint: hint.map(str::to_owned), ..at(step, code, chain(error)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_a_server_does_not_have_is_mended_in_the_table() {
        let hint = |error: &model::Error| of_model(Step::Work, error).hint.unwrap_or_default();
        let (p, status) = (|| "vllm".to_owned(), 400);
        let refused = |message: &str| {
            hint(&model::Error::Refused { provider: p(), status, message: message.to_owned() })
        };
        let full = model::Error::ContextFull { provider: p(), status, message: "too long".to_owned() };
        assert!(
            hint(&full).contains("set `context` and `output` of the model in the file of BACKSPACE_VENDORS")
        );
        for message in [
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens",
            "max_tokens: 64000 > 32000, which is the maximum allowed number of output tokens for claude-opus-4-1",
            "Invalid 'max_output_tokens': integer above maximum value.",
        ] {
            assert!(refused(message).contains("set `output` of the model in the file of BACKSPACE_VENDORS"));
        }
        assert_eq!(refused("messages: at least one message is required"), "");
        let unverified = refused(
            "Your organization must be verified to stream this model. Please go to: \
             https://platform.openai.com/settings/organization/general and click on Verify Organization.",
        );
        assert!(unverified.starts_with("Verify the organization of the API key"), "{unverified}");
    }

    #[test]
    fn the_offline_agent_names_what_gives_the_session_its_model_again() {
        let beyond = |before: Option<model::Error>| {
            let error =
                model::Error::Beyond { why: "cannot do this".to_owned(), before: before.map(Box::new) };
            let failure = of_model(Step::Work, &error);
            assert_eq!(failure.code, FailureCode::ModelRefused);
            failure.hint.unwrap_or_default()
        };
        let (provider, message) = (|| "mistral".to_owned(), || "no".to_owned());
        let variable = Some("MISTRAL_API_KEY".to_owned());
        let key = model::Error::Key { provider: provider(), status: 401, message: message(), variable };
        assert_eq!(beyond(Some(key)), "Set MISTRAL_API_KEY to a valid key of mistral.");
        let quota = model::Error::Quota { provider: provider(), status: 402, message: message() };
        assert!(beyond(Some(quota)).starts_with("Raise the limit of that account"));
        let refused = model::Error::Refused { provider: provider(), status: 400, message: message() };
        assert_eq!(beyond(Some(refused)), "");
        assert!(beyond(None).contains("set ANTHROPIC_API_KEY or OPENAI_API_KEY"));
    }
}
