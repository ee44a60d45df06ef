//! The final event.

use events::{Delivery, Entry, Failure, Limit, Outcome, Saved, SessionEnded, SessionId, Target};

use super::Parts;
use super::fields::{Complete, Error, Fields, FileChanged, ModelUse, RecentThought, Telemetry};

/// Beyond so many files the event says how many there are; the diff has them all.
const FILES_MAX: usize = 100;

/// The final event of the session of `entry`.
pub(super) fn of<'a>(entry: &'a Entry, ended: &'a SessionEnded) -> Parts<'a> {
    let id = entry.session;
    let telemetry = telemetry(&ended.telemetry);
    match &ended.outcome {
        Outcome::Delivered(delivery) => {
            let message = format!("{}\n\n{}", delivered(delivery), delivery.summary);
            complete(message, delivered_fields(id, outcome_of(&delivery.target), delivery, telemetry))
        }
        Outcome::Unchanged { summary } => {
            complete(format!("Nothing was changed. {summary}"), empty(id, "unchanged", telemetry))
        }
        Outcome::Budget { limit, delivery: None } => {
            let message = format!("{} Nothing had been changed.", budget(*limit));
            complete(message, Complete { limit: Some(limit.as_str()), ..empty(id, "budget", telemetry) })
        }
        Outcome::Budget { limit, delivery: Some(delivery) } => {
            let message = format!("{}\n\n{}\n\n{}", delivered(delivery), budget(*limit), delivery.summary);
            let fields = delivered_fields(id, "budget", delivery, telemetry);
            complete(message, Complete { limit: Some(limit.as_str()), ..fields })
        }
        Outcome::Cancelled { saved } => {
            let message = format!("The session was cancelled{}", whereabouts(saved.as_ref()));
            let about = About { code: "cancelled", step: None, hint: None };
            error(id, message, about, saved.as_ref(), telemetry)
        }
        Outcome::Failed(failure) => {
            let Failure { code, step, reason, hint, saved } = failure;
            let message = format!("{}{}", reason.trim_end_matches('.'), whereabouts(saved.as_ref()));
            let about = About { code: code.as_str(), step: Some(step.as_str()), hint: hint.as_deref() };
            error(id, message, about, saved.as_ref(), telemetry)
        }
    }
}

fn complete(message: String, fields: Complete<'_>) -> Parts<'_> {
    ("complete".into(), message.into(), Fields::Complete(Box::new(fields)))
}

/// Why it ended without success.
struct About<'a> {
    code: &'static str,
    step: Option<&'static str>,
    hint: Option<&'a str>,
}

fn error<'a>(
    id: SessionId,
    message: String,
    about: About<'a>,
    saved: Option<&'a Saved>,
    telemetry: Telemetry<'a>,
) -> Parts<'a> {
    let (branch, compare_url) = match saved {
        Some(Saved::Branch { branch, compare_url, .. }) => (Some(branch.as_str()), compare_url.as_deref()),
        Some(Saved::Patch { .. }) | None => (None, None),
    };
    let fields = Error {
        status: "error",
        code: about.code,
        step: about.step,
        hint: about.hint,
        session_id: id.to_string(),
        branch,
        compare_url,
        patch_url: saved.map(|_| patch_url(id)),
        telemetry,
    };
    ("error".into(), message.into(), Fields::Error(Box::new(fields)))
}

/// Where a change went, in one line.
fn delivered(delivery: &Delivery) -> String {
    match &delivery.target {
        Target::PullRequest { url, .. } => format!("Pull request created: {url}"),
        Target::Branch { branch, .. } => format!("Branch pushed: {branch}"),
        Target::Patch { .. } => "The change is kept as a patch.".to_owned(),
    }
}

fn budget(limit: Limit) -> String {
    format!("{} ended the session; this is what existed then.", limit.cause())
}

/// The end of a sentence that says why there is no success.
fn whereabouts(saved: Option<&Saved>) -> String {
    match saved {
        None => ".".to_owned(),
        Some(Saved::Branch { branch, .. }) => format!(". The work so far is on branch {branch}."),
        Some(Saved::Patch { .. }) => ". The work so far is kept as a patch.".to_owned(),
    }
}

fn outcome_of(target: &Target) -> &'static str {
    match target {
        Target::PullRequest { .. } => "pull_request",
        Target::Branch { .. } => "branch",
        Target::Patch { .. } => "patch",
    }
}

fn delivered_fields<'a>(
    id: SessionId,
    outcome: &'static str,
    delivery: &'a Delivery,
    telemetry: Telemetry<'a>,
) -> Complete<'a> {
    let (pr_url, number, branch, compare_url) = match &delivery.target {
        Target::PullRequest { url, number, branch, compare_url, .. } => {
            (Some(&**url), Some(*number), Some(branch.as_str()), compare_url.as_deref())
        }
        Target::Branch { branch, compare_url } => (None, None, Some(branch.as_str()), compare_url.as_deref()),
        Target::Patch { .. } => (None, None, None, None),
    };
    let changed = delivery.files.iter().take(FILES_MAX);
    Complete {
        pr_url,
        number,
        branch,
        base: Some(delivery.base.as_str()),
        commit: Some(delivery.commit.as_str()),
        compare_url,
        patch_url: Some(patch_url(id)),
        files_changed: changed
            .map(|file| FileChanged { path: &file.path, added: file.added, deleted: file.deleted })
            .collect(),
        files_changed_count: delivery.files.len(),
        ..empty(id, outcome, telemetry)
    }
}

/// A success that changed nothing.
fn empty<'a>(id: SessionId, outcome: &'static str, telemetry: Telemetry<'a>) -> Complete<'a> {
    Complete {
        status: "success",
        outcome,
        limit: None,
        session_id: id.to_string(),
        pr_url: None,
        number: None,
        branch: None,
        base: None,
        commit: None,
        compare_url: None,
        patch_url: None,
        files_changed: Vec::new(),
        files_changed_count: 0,
        telemetry,
    }
}

/// Where this service gives the change as a patch. The file on its machine is nobody else's business.
fn patch_url(id: SessionId) -> String {
    format!("/v1/sessions/{id}/diff")
}

fn telemetry(used: &events::Telemetry) -> Telemetry<'_> {
    Telemetry {
        turns: used.turns,
        input_tokens: used.input_tokens,
        output_tokens: used.output_tokens,
        usd: used.usd,
        duration_ms: used.duration_ms,
        ai_provider: used.provider.as_deref(),
        model: used.model.as_deref(),
        models: used.models.iter().map(model_use).collect(),
        trace_id: None,
        thinking_logs_count: used.thoughts.count,
        recent_thoughts: used
            .thoughts
            .recent
            .iter()
            .map(|(step, thought)| RecentThought { step: *step, thought })
            .collect(),
        langsmith_enabled: false,
    }
}

fn model_use(used: &events::ModelUse) -> ModelUse<'_> {
    let events::ModelUse { provider, model, turns, usage } = used;
    ModelUse {
        provider,
        model,
        turns: *turns,
        input_tokens: usage.tokens().saturating_sub(usage.output_tokens),
        output_tokens: usage.output_tokens,
        usd: usage.usd,
    }
}
