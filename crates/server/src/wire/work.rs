//! What model, tools and git did, as events of the contract.

use std::borrow::Cow;

use events::{
    CheckPhase, CheckRan, Compacted, ContextCompacted, CountedBy, EgressDecided, FileEdited, GitRan,
    ModelReplied, ModelRetried, ModelSwitched, ReplyLost, SetupRan, Shown, ToolFinished,
};

use super::fields::{Bash, Check, Edit, Fields, Plan, PlanStep, Read, Search, Status, Tokens, Tool, Usage};
use super::{Parts, story};

pub(super) fn usage(reply: &ModelReplied) -> Parts<'_> {
    let message = format!("{} answered after {} ms", reply.model, reply.duration_ms);
    let (used, totals) = (tokens(&reply.usage), tokens(&reply.totals));
    let fields = Usage { provider: &reply.provider, model: &reply.model, estimated: None, used, totals };
    ("Usage".into(), message.into(), Fields::Usage(fields))
}

pub(super) fn retried(retried: &ModelRetried) -> Parts<'_> {
    let wait_s = retried.wait_ms.div_ceil(1000);
    let provider = retried.provider.as_deref().unwrap_or("The model's provider");
    let message = format!("{provider} does not answer ({}); again in {wait_s} s", retried.reason);
    story::warning("model_retry", message.into())
}

pub(super) fn switched(switched: &ModelSwitched) -> Parts<'_> {
    let ModelSwitched { from, to, reason } = switched;
    let message = format!(
        "{} ({}) goes on instead of {} ({}): {reason}",
        to.provider, to.model, from.provider, from.model
    );
    story::warning("provider_switched", message.into())
}

/// What a lost reply has used is use like any other.
pub(super) fn lost(lost: &ReplyLost) -> Parts<'_> {
    let (provider, model) = (&*lost.from.provider, &*lost.from.model);
    let (message, estimated) = match lost.by {
        CountedBy::Provider => {
            (format!("A reply of {model} broke off; what {provider} had counted for it is counted"), None)
        }
        CountedBy::Estimate => {
            let message = format!(
                "A reply of {model} broke off before {provider} had counted anything; what it has used is estimated"
            );
            (message, Some(true))
        }
    };
    let (used, totals) = (tokens(&lost.usage), tokens(&lost.totals));
    ("Usage".into(), message.into(), Fields::Usage(Usage { provider, model, estimated, used, totals }))
}

pub(super) fn compacted(compacted: &ContextCompacted) -> Parts<'_> {
    let ContextCompacted { before_tokens, after_tokens, how, .. } = compacted;
    let how = match how {
        Compacted::ByModel => "the model summed it up",
        Compacted::ByRule => "old output was dropped",
    };
    let message = format!(
        "The conversation with the model was shortened from about {before_tokens} to {after_tokens} tokens: {how}"
    );
    story::warning("context_compacted", message.into())
}

pub(super) fn git(ran: &GitRan) -> Parts<'_> {
    let (command, output, exit_code) = (&*ran.command, &*ran.output, ran.exit_code);
    bash(Bash { command, output, exit_code, duration_ms: ran.duration_ms })
}

pub(super) fn setup(ran: &SetupRan) -> Parts<'_> {
    let (command, output, exit_code) = (&*ran.command, &*ran.output, ran.exit_code);
    bash(Bash { command, output, exit_code, duration_ms: ran.duration_ms })
}

pub(super) fn edit(edited: &FileEdited) -> Parts<'_> {
    let (filepath, r#match) = (&*edited.path, &*edited.matched);
    let did = if edited.old.is_empty() { "Created" } else { "Edited" };
    let fields = Edit { filepath, old_str: &edited.old, new_str: &edited.new, r#match };
    ("Tool: Edit".into(), format!("{did} {filepath}").into(), Fields::Edit(fields))
}

pub(super) fn egress(decided: &EgressDecided) -> Parts<'_> {
    let EgressDecided { host, refused, times, sent_bytes, received_bytes, .. } = decided;
    let often = if *times > 1 { format!(" ({times} times)") } else { String::new() };
    match refused {
        Some(refused) => {
            let message = format!("The sandbox did not reach {host}{often}: {}", refused.reason);
            story::warning("egress_blocked", message.into())
        }
        None => story::status(
            format!("The sandbox reached {host}{often}: {sent_bytes} bytes sent, {received_bytes} received"),
            Status::default(),
        ),
    }
}

pub(super) fn check(ran: &CheckRan) -> Parts<'_> {
    let phase = match ran.phase {
        CheckPhase::Before => "before",
        CheckPhase::After => "after",
    };
    let CheckRan { command, exit_code, output, duration_ms, .. } = ran;
    let message = format!("Check `{command}` returned {exit_code} ({phase} the work)");
    let fields = Check { command, exit_code: *exit_code, output, phase, duration_ms: *duration_ms };
    ("Check".into(), message.into(), Fields::Check(fields))
}

/// What people are shown of a tool call.
pub(super) fn tool(tool: &ToolFinished) -> Option<Parts<'_>> {
    Some(match &tool.shown {
        Shown::Nothing => return None,
        Shown::Read { path, lines } => {
            let message = format!("Read {lines} lines of {path}");
            ("Tool: Read".into(), message.into(), Fields::Read(Read { filepath: path, lines: *lines }))
        }
        Shown::Search { query, matches } => {
            let message = format!("Searched for {query}: {matches} matches");
            ("Tool: Search".into(), message.into(), Fields::Search(Search { query, matches: *matches }))
        }
        Shown::Bash { command, output, exit_code } => {
            bash(Bash { command, output, exit_code: *exit_code, duration_ms: tool.duration_ms })
        }
        Shown::Plan { steps } => {
            let done = steps.iter().filter(|step| step.done).count();
            let message = format!("Plan: {done} of {} steps done", steps.len());
            let steps = steps.iter().map(|step| PlanStep { text: &step.text, done: step.done }).collect();
            ("Plan".into(), message.into(), Fields::Plan(Plan { steps }))
        }
        Shown::Other { input, output } => {
            let what = if tool.failed { "was refused or failed" } else { "was called" };
            let message = format!("Tool {} {what}", tool.tool);
            let name = format!("Tool: {}", unlike_ours(&tool.tool));
            (name.into(), message.into(), Fields::Tool(Tool { input, output }))
        }
    })
}

/// A model may call a tool by any name; under the names of our types clients expect other fields.
fn unlike_ours(tool: &str) -> Cow<'_, str> {
    if ["Read", "Search", "Edit", "Bash"].contains(&tool) { tool.to_lowercase().into() } else { tool.into() }
}

fn bash(fields: Bash<'_>) -> Parts<'_> {
    let message = format!("`{}` returned {}", fields.command, fields.exit_code);
    ("Tool: Bash".into(), message.into(), Fields::Bash(fields))
}

fn tokens(usage: &events::Usage) -> Tokens {
    Tokens {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_read_tokens: usage.cache_read_tokens,
        cache_write_tokens: usage.cache_write_tokens,
        usd: usage.usd,
    }
}
