//! Keeps the work of a session that could not reach its end: on a branch, or as a patch, and says where.

use events::{
    Branch, Delivery, Event, Failure, FailureCode, Oid, Outcome, Publish, Saved, SessionId, SessionState,
    Step, Target,
};
use repo::Mirror;
use tracing::warn;

use super::publish::{Words, commit};
use super::push::{Way, push};
use crate::failure::Stopped;
use crate::run::Story;
use crate::{failure, pull_request, sessions, telemetry};

/// The outcome of a session that `stopped`, with its work kept.
pub(crate) async fn rescue(story: &Story, stopped: Stopped) -> Outcome {
    let kept = match sessions::state(&story.ports.store, story.id).await {
        Ok(None) => Ok(None),
        Ok(Some(state)) => {
            if let Some(outcome) = delivered(story, &state).await {
                return outcome;
            }
            let kept = keep(story, &state, &stopped).await;
            kept.map_err(|error| left_behind(story.id, state.commit.or(state.saved).as_ref(), &*error))
        }
        Err(error) => Err(left_behind(story.id, None, &error)),
    };
    let (saved, left_behind) = match kept {
        Ok(saved) => (saved, None),
        Err(where_it_is) => (None, Some(where_it_is)),
    };
    if let Some(text) = &left_behind {
        let id = story.id;
        warn!(session.id = %id, "Session {id}: {text}");
        // The outcome of a cancelled session has no room for it. A log that refuses this refuses the end, too.
        let _ended_with_the_same = story.warn(Step::Publish, "work_left_behind", text.clone()).await;
    }
    match (stopped, left_behind) {
        (Stopped::Cancelled, _) => Outcome::Cancelled { saved },
        (Stopped::Failed(failure), None) => Outcome::Failed(Failure { saved, ..failure }),
        (Stopped::Failed(failure), Some(text)) => Outcome::Failed(failure::hinted(failure, &text)),
    }
}

type Anything = Box<dyn std::error::Error + Send + Sync>;

/// Says where work is that could not be brought out.
fn left_behind(id: SessionId, commit: Option<&Oid>, error: &(dyn std::error::Error + 'static)) -> String {
    let why = failure::chain(error);
    let place = format!("refs/backspace/{id} in the service's mirror of the repository");
    match commit {
        Some(commit) => {
            format!("The work could not be brought out ({why}): it is commit {commit}, see {place}.")
        }
        None => format!("The work, if there was any, could not be brought out ({why}): see {place}."),
    }
}

/// The outcome of a session whose pull request was read back before it stopped: that is what was asked for.
async fn delivered(story: &Story, state: &SessionState) -> Option<Outcome> {
    let target = state.pull_request.clone()?;
    let (base, base_commit) = state.base.clone()?;
    let entries = telemetry::evidence(story).await.ok()?;
    let mut made = None;
    let mut limit = None;
    for entry in entries {
        if let Event::CommitMade(commit) = entry.event {
            made = Some(commit);
        } else if let Event::LimitReached(reached) = entry.event {
            limit = Some(reached.limit);
        }
    }
    let made = made?;
    let target = as_it_is_now(story, state, target, &made.commit).await;
    let delivery = Delivery {
        target,
        base,
        base_commit,
        commit: made.commit,
        files: made.files,
        title: made.title,
        summary: made.summary,
    };
    Some(match limit {
        None => Outcome::Delivered(delivery),
        Some(limit) => Outcome::Budget { limit, delivery: Some(delivery) },
    })
}

/// Reads the pull request once more. What became of it since is told and takes nothing back.
async fn as_it_is_now(story: &Story, state: &SessionState, target: Target, commit: &Oid) -> Target {
    let Target::PullRequest { url, number, branch, draft, compare_url } = target else { return target };
    let remote = state.repository();
    let read = match story.ports.forges.of(remote) {
        Some(forge) => forge.pull_request(remote, number).await.map_err(|error| failure::chain(&error)),
        None => Err(format!("no forge is configured for {remote}")),
    };
    let (draft, changed) = match read {
        Ok(read) if read.open && read.head_commit == *commit => (read.draft, None),
        Ok(read) => (read.draft, Some(format!("{url} was opened and has been changed or closed since"))),
        Err(error) => (draft, Some(format!("{url} was opened and cannot be read again: {error}"))),
    };
    if let Some(changed) = changed {
        // A log that refuses this refuses the end, too.
        let _ended_with_the_same = story.warn(Step::Publish, "pull_request", changed).await;
    }
    Target::PullRequest { url, number, branch, draft, compare_url }
}

/// Everything is read from the log and the hidden ref, so that it is the same after a crash. Nothing when nothing
/// differs from the base.
async fn keep(story: &Story, state: &SessionState, stopped: &Stopped) -> Result<Option<Saved>, Anything> {
    let Some((base, base_commit)) = &state.base else { return Ok(None) };
    let remote = state.repository();
    let on_branch = |branch: Branch, commit: Oid| {
        let forge = story.ports.forges.of(remote);
        let compare_url = forge.and_then(|forge| forge.compare_url(remote, base, &branch));
        Some(Saved::Branch { branch, commit, compare_url })
    };
    if let Some((branch, commit)) = state.pushed.clone() {
        return Ok(on_branch(branch, commit));
    }
    let mirror = match story.ports.mirror_of(state).await? {
        Some(mirror) => mirror,
        None if state.has_saved_work() => return Err("the mirror is not there".into()),
        None => return Ok(None),
    };
    let commit = match unfinished(story, state, &mirror, base_commit).await {
        Ok(Some(commit)) => commit,
        Ok(None) => return Ok(None),
        // What git does not take as a commit can still be looked at.
        Err(error) => {
            return as_patch(story, &mirror, base_commit, mirror.saved(story.id).await?.ok_or(error)?).await;
        }
    };
    if may_push(story, stopped) {
        match push_out(story, state, &mirror, &commit).await {
            Ok(branch) => return Ok(on_branch(branch, commit)),
            Err(error) => {
                let id = story.id;
                let error = failure::chain(&*error);
                warn!(session.id = %id, "The work of {id} is kept as a patch, not a branch: {error}");
            }
        }
    }
    as_patch(story, &mirror, base_commit, commit).await
}

async fn as_patch(
    story: &Story,
    mirror: &Mirror,
    base: &Oid,
    commit: Oid,
) -> Result<Option<Saved>, Anything> {
    let diff = mirror.diff(base, &commit).await?;
    Ok(Some(Saved::Patch { path: story.ports.keep_patch(story.id, diff).await?, commit }))
}

/// The commit that was made, or one of the last saved step; nothing when nothing differs from the base.
async fn unfinished(
    story: &Story,
    state: &SessionState,
    mirror: &Mirror,
    base: &Oid,
) -> Result<Option<Oid>, Anything> {
    if let Some(commit) = &state.commit {
        return Ok(Some(commit.clone()));
    }
    let Some(saved) = mirror.saved(story.id).await?.or(state.saved.clone()) else { return Ok(None) };
    if mirror.stats(base, &saved).await?.is_empty() {
        return Ok(None);
    }
    let words = Words {
        title: story.ports.redactor.redact(&pull_request::title(&state.request, "")).into_owned(),
        summary: "Unfinished work: the session ended before its agent had finished.".to_owned(),
        limit: None,
    };
    let made = commit(story, mirror, base, &saved, &words).await.map_err(|failure| failure.reason)?;
    Ok(Some(made.commit))
}

/// A branch only where one was wanted, nobody cancelled, and pushing is not what failed.
fn may_push(story: &Story, stopped: &Stopped) -> bool {
    let Stopped::Failed(failure) = stopped else { return false };
    let refused = matches!(failure.code, FailureCode::PushRejected | FailureCode::ForgeRefused);
    story.request.publish != Publish::Patch
        && !story.cancel.is_cancelled()
        && !(refused && failure.step == Step::Publish)
}

async fn push_out(
    story: &Story,
    state: &SessionState,
    mirror: &Mirror,
    commit: &Oid,
) -> Result<Branch, Anything> {
    let remote = state.repository();
    let forge = story.ports.forges.of(remote).ok_or("no forge is configured for the repository")?;
    let source = story.ports.source(&*forge, remote).await?;
    let way = Way { mirror, source: &source, forge: &*forge };
    Ok(push(story, &way, commit).await.map_err(|failure| failure.reason)?)
}
