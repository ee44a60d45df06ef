//! Keeps the work of a session that could not reach its end: on a branch, or as a patch, and says where.

use events::{Branch, Failure, FailureCode, Oid, Outcome, Publish, Saved, SessionState, Step};
use repo::{Expect, Mirror, NewCommit};
use tracing::warn;

use crate::run::Story;
use crate::{failure, pull_request, sessions};

/// The outcome of a session that `failure` ended, with its work kept.
pub(crate) async fn rescue(story: &Story, failure: Failure) -> Outcome {
    let saved = match keep(story, &failure).await {
        Ok(saved) => saved,
        Err(error) => {
            let id = story.id;
            warn!(session.id = %id, "The work of {id} could not be kept: {}", failure::chain(&*error));
            None
        }
    };
    if story.cancel.is_cancelled() {
        Outcome::Cancelled { saved }
    } else {
        Outcome::Failed(Failure { saved, ..failure })
    }
}

type Anything = Box<dyn std::error::Error + Send + Sync>;

/// Everything is read from the log and the hidden ref, so that it is the same after a crash.
async fn keep(story: &Story, failure: &Failure) -> Result<Option<Saved>, Anything> {
    let Some(state) = sessions::state(&story.ports.store, story.id).await? else { return Ok(None) };
    let Some((base, base_commit)) = state.base.clone() else { return Ok(None) };
    let compare = |branch: &Branch| {
        let forge = story.ports.forges.of(&state.request.remote)?;
        forge.compare_url(&state.request.remote, &base, branch)
    };
    if let Some((branch, commit)) = state.pushed.clone() {
        return Ok(Some(Saved::Branch { compare_url: compare(&branch), branch, commit }));
    }
    let Some(mirror) = story.ports.mirror_of(&state).await? else { return Ok(None) };
    let Some(commit) = commit(story, &state, &mirror, &base_commit).await? else { return Ok(None) };
    if may_push(story, failure) {
        match push(story, &mirror, &commit).await {
            Ok(branch) => return Ok(Some(Saved::Branch { compare_url: compare(&branch), branch, commit })),
            Err(error) => {
                let id = story.id;
                warn!(session.id = %id, "The work of {id} is kept as a patch, not a branch: {}", failure::chain(&*error));
            }
        }
    }
    let diff = mirror.diff(&base_commit, &commit).await?;
    Ok(Some(Saved::Patch { path: story.ports.keep_patch(story.id, &diff)?, commit }))
}

/// The commit that was made, or one of the last saved step; nothing when nothing differs from the base.
async fn commit(
    story: &Story,
    state: &SessionState,
    mirror: &Mirror,
    base: &Oid,
) -> Result<Option<Oid>, Anything> {
    if let Some(commit) = &state.commit {
        return Ok(Some(commit.clone()));
    }
    let Some(saved) = mirror.saved(story.id).await? else { return Ok(None) };
    if mirror.stats(base, &saved).await?.is_empty() {
        return Ok(None);
    }
    let title = pull_request::title(&state.request, "");
    let summary = "Unfinished work: the session ended before its agent had finished.";
    let new = NewCommit {
        tree_of: saved,
        parent: base.clone(),
        message: pull_request::commit_message(&title, summary, story.id),
        author_name: story.ports.identity.name.clone(),
        author_email: story.ports.identity.email.clone(),
        at_us: state.created_us,
    };
    Ok(Some(mirror.commit(&new).await?))
}

/// A branch only where one was wanted, nobody cancelled, and pushing is not what failed.
fn may_push(story: &Story, failure: &Failure) -> bool {
    let refused = matches!(failure.code, FailureCode::PushRejected | FailureCode::ForgeRefused);
    story.request.publish != Publish::Patch
        && !story.cancel.is_cancelled()
        && !(refused && failure.step == Step::Publish)
}

async fn push(story: &Story, mirror: &Mirror, commit: &Oid) -> Result<Branch, Anything> {
    let remote = &story.request.remote;
    let forge = story.ports.forges.of(remote).ok_or("no forge is configured for the repository")?;
    let source = story.ports.source(&*forge, remote).await?;
    let branch = pull_request::branch(&story.request, story.id);
    mirror.push(&source, commit, &branch, &Expect::New).await?;
    Ok(branch)
}
