//! How the session goes on, as events of the contract.

use std::borrow::Cow;

use events::{
    AttemptStarted, BaseChosen, BranchPushed, CancelRequested, CommitMade, LimitReached, Preparation,
    PullRequestOpened, SandboxOpened, SessionId, SessionRequested, StepStarted, Target, TreePrepared, Whose,
};

use super::Parts;
use super::fields::{Fields, Progress, PullRequest, Status, Warning};

pub(super) fn requested(session: SessionId, requested: &SessionRequested) -> Parts<'_> {
    let message = format!("Session {session} for {}", requested.request.remote);
    status(message, Status { session_id: Some(session.to_string()), ..Status::default() })
}

pub(super) fn taken_up(attempt: u32, started: &AttemptStarted) -> Parts<'_> {
    let again = if attempt == 1 { String::new() } else { format!(" again, attempt {attempt}") };
    status(format!("Taken up{again} by backspace {}", started.release), Status::default())
}

pub(super) fn step(started: &StepStarted) -> Parts<'_> {
    let (progress, step) = (started.step.progress(), started.step.as_str());
    ("Progress".into(), (&*started.message).into(), Fields::Progress(Progress { progress, step }))
}

pub(super) fn base(chosen: &BaseChosen) -> Parts<'_> {
    let (branch, commit) = (chosen.base.as_str(), chosen.commit.as_str());
    let fields = Status { branch: Some(branch), commit: Some(commit), session_id: None };
    status(format!("Starting from {branch} at {commit}"), fields)
}

pub(super) fn prepared(prepared: &TreePrepared) -> Parts<'_> {
    let holds = format!("{} files and folders, {} MiB", prepared.entries, prepared.bytes.div_ceil(1 << 20));
    let by = prepared.commands.join("`, `");
    let message = match &prepared.how {
        Preparation::Kept => format!("Prepared by `{by}`: {holds}, kept for later sessions"),
        Preparation::ForThisSession => format!("Prepared by `{by}`: {holds}, for this session alone"),
        Preparation::Reused(session) => {
            format!("Prepared tree reused: {holds}, made by `{by}` in session {session}")
        }
    };
    status(message, Status::default())
}

pub(super) fn sandbox(opened: &SandboxOpened) -> Parts<'_> {
    let mut message = format!("Sandbox open ({}): {}", opened.backend, opened.enforced.join(", "));
    if !opened.soft.is_empty() {
        message = format!("{message}. Not enforced on this machine: {}", opened.soft.join(", "));
    }
    if !opened.passed_over.is_empty() {
        message = format!("{message}. Preferred, but not to be had: {}", opened.passed_over.join("; "));
    }
    status(message, Status::default())
}

pub(super) fn commit(made: &CommitMade) -> Parts<'_> {
    let message = format!("Commit {}: {} (files: {})", made.commit, made.title, made.files.len());
    status(message, Status { commit: Some(made.commit.as_str()), ..Status::default() })
}

pub(super) fn pushed(pushed: &BranchPushed) -> Parts<'_> {
    let (branch, commit) = (pushed.branch.as_str(), pushed.commit.as_str());
    status(
        format!("Pushed {branch}"),
        Status { branch: Some(branch), commit: Some(commit), session_id: None },
    )
}

pub(super) fn pull_request(opened: &PullRequestOpened) -> Option<Parts<'_>> {
    let Target::PullRequest { url, number, branch, draft, .. } = &opened.target else { return None };
    let message = format!("Pull request {number} is open: {url}");
    let fields = PullRequest {
        pr_url: url,
        number: *number,
        branch: branch.as_str(),
        base: opened.base.as_str(),
        title: &opened.title,
        draft: *draft,
    };
    Some(("PR Created".into(), message.into(), Fields::PullRequest(fields)))
}

pub(super) fn cancel(asked: &CancelRequested) -> Parts<'_> {
    status(format!("The session shall end ({})", asked.reason), Status::default())
}

pub(super) fn limit(reached: &LimitReached) -> Parts<'_> {
    let LimitReached { limit, whose, about } = reached;
    let about = match whose {
        Some(whose) => format!(" ({about}, set by the {})", whose.as_str()),
        None if about.is_empty() => String::new(),
        None => format!(" ({about})"),
    };
    let message = format!("{} ends the work{about}; what exists is landed", limit.cause());
    let fields = Warning { code: "budget", limit: Some(limit.as_str()), whose: whose.map(Whose::as_str) };
    ("Warning".into(), message.into(), Fields::Warning(fields))
}

pub(super) fn warning<'a>(code: &'a str, message: Cow<'a, str>) -> Parts<'a> {
    ("Warning".into(), message, Fields::Warning(Warning { code, limit: None, whose: None }))
}

pub(super) fn status(message: String, fields: Status<'_>) -> Parts<'_> {
    ("Status".into(), message.into(), Fields::Status(fields))
}
