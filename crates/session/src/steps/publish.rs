//! Makes the commit, pushes it, opens the pull request, and believes it only after reading it back.

use std::time::Duration;

use agent::Stop;
use events::{
    Branch, BranchPushed, CommitMade, Delivery, Entry, Event, Failure, FailureCode, Limit, Oid, Outcome,
    Publish, PullRequestOpened, Step, Target,
};
use forge::{NewPullRequest, PullRequest};
use repo::{Expect, NewCommit};

use super::checkout::git_ran;
use super::{Checkout, Place};
use crate::pull_request::{self, Told};
use crate::run::Story;
use crate::{failure, telemetry};

const STEP: Step = Step::Publish;
/// A forge may show a push some seconds late.
const READ_BACK_TRIES: u32 = 5;
/// The pause before the second look; it doubles.
const READ_BACK_PAUSE: Duration = Duration::from_millis(500);

/// What the agent left.
pub(crate) struct Work<'a> {
    pub(crate) stop: &'a Stop,
    /// The commit whose tree is the work.
    pub(crate) tree: &'a Oid,
}

pub(crate) async fn publish(
    story: &Story,
    place: &Place,
    checkout: &Checkout,
    work: &Work<'_>,
) -> Result<Outcome, Failure> {
    story.begin(STEP, "Committing the change").await?;
    let words = words(story, work.stop);
    let made = commit(story, checkout, work.tree, &words).await?;
    let target = match story.request.publish {
        Publish::Patch => patch(story, checkout, &made).await?,
        Publish::Branch => {
            let branch = push(story, place, checkout, &made.commit).await?;
            let compare_url = place.forge.compare_url(&place.repository.remote, &checkout.base, &branch);
            Target::Branch { branch, compare_url }
        }
        Publish::Pr => {
            let branch = push(story, place, checkout, &made.commit).await?;
            open(story, place, checkout, Opening { branch, made: &made, words: &words }).await?
        }
    };
    let delivery = Delivery {
        target,
        base: checkout.base.clone(),
        base_commit: checkout.commit.clone(),
        commit: made.commit,
        files: made.files,
        title: words.title,
        summary: words.summary,
    };
    Ok(match words.limit {
        None => Outcome::Delivered(delivery),
        Some(limit) => Outcome::Budget { limit, delivery: Some(delivery) },
    })
}

/// Title and summary of the change.
pub(super) struct Words {
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) limit: Option<Limit>,
}

fn words(story: &Story, stop: &Stop) -> Words {
    let (title, summary, limit) = match stop {
        Stop::Finished(finish) => (finish.title.as_str(), finish.summary.clone(), None),
        Stop::LimitReached(limit) => {
            let summary =
                format!("The work was ended by its budget ({}) before the agent finished.", limit.as_str());
            ("", summary, Some(*limit))
        }
        Stop::Cancelled => ("", "The session was cancelled before the agent finished.".to_owned(), None),
    };
    let redact = |text: &str| story.ports.redactor.redact(text).into_owned();
    Words { title: redact(&pull_request::title(&story.request, title)), summary: redact(&summary), limit }
}

/// Makes the one commit that is delivered: the work's tree on the base. The same work gives the same commit again.
pub(super) async fn commit(
    story: &Story,
    checkout: &Checkout,
    tree: &Oid,
    words: &Words,
) -> Result<CommitMade, Failure> {
    let identity = &story.ports.identity;
    let new = NewCommit {
        tree_of: tree.clone(),
        parent: checkout.commit.clone(),
        message: pull_request::commit_message(&words.title, &words.summary, story.id),
        author_name: identity.name.clone(),
        author_email: identity.email.clone(),
        at_us: story.created_us().await,
    };
    let commit = checkout.mirror.commit(&new).await.map_err(|error| failure::of_repo(STEP, &error))?;
    let files = checkout
        .mirror
        .stats(&checkout.commit, &commit)
        .await
        .map_err(|error| failure::of_repo(STEP, &error))?;
    let made = CommitMade {
        commit,
        base: checkout.commit.clone(),
        files,
        title: words.title.clone(),
        summary: words.summary.clone(),
    };
    story.record(STEP, vec![Event::CommitMade(made.clone())]).await?;
    Ok(made)
}

/// Keeps the change as a file and touches no remote.
async fn patch(story: &Story, checkout: &Checkout, made: &CommitMade) -> Result<Target, Failure> {
    let diff = checkout
        .mirror
        .diff(&checkout.commit, &made.commit)
        .await
        .map_err(|error| failure::of_repo(STEP, &error))?;
    let path = story.ports.keep_patch(story.id, &diff).map_err(|error| failure::internal(STEP, &error))?;
    Ok(Target::Patch { path })
}

/// Pushes `commit` to the session's branch and asks the forge whether it is there.
pub(super) async fn push(
    story: &Story,
    place: &Place,
    checkout: &Checkout,
    commit: &Oid,
) -> Result<Branch, Failure> {
    let branch = pull_request::branch(&story.request, story.id);
    story.begin(STEP, format!("Pushing {branch}")).await?;
    let pushed = checkout.mirror.push(&checkout.source, commit, &branch, &Expect::New).await;
    let ran = pushed.map_err(|error| failure::of_repo(STEP, &error))?;
    story.record(STEP, vec![git_ran(ran)]).await?;
    let remote = &place.repository.remote;
    let mut pause = READ_BACK_PAUSE;
    for _ in 0..READ_BACK_TRIES {
        let head = place.forge.branch_head(remote, &branch).await.map_err(|e| failure::of_forge(STEP, &e))?;
        if head.as_ref() == Some(commit) {
            let pushed = BranchPushed { branch: branch.clone(), commit: commit.clone() };
            story.record(STEP, vec![Event::BranchPushed(pushed)]).await?;
            return Ok(branch);
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let reason = format!("{branch} was pushed, but the forge does not show {} at its head", commit.short());
    Err(failure::at(STEP, FailureCode::NotConfirmed, reason))
}

/// What a pull request is opened with.
struct Opening<'a> {
    branch: Branch,
    made: &'a CommitMade,
    words: &'a Words,
}

/// Opens the pull request and reads it back.
async fn open(
    story: &Story,
    place: &Place,
    checkout: &Checkout,
    with: Opening<'_>,
) -> Result<Target, Failure> {
    story.begin(STEP, "Opening the pull request").await?;
    let remote = &place.repository.remote;
    let entries = telemetry::entries(story).await;
    let told = told(story, with.words, &entries);
    let new = NewPullRequest {
        remote: remote.clone(),
        head: with.branch.clone(),
        base: checkout.base.clone(),
        title: with.words.title.clone(),
        body: story.ports.redactor.redact(&pull_request::body(&told)).into_owned(),
        draft: story.request.draft || with.words.limit.is_some(),
        marker: pull_request::marker(story.id),
    };
    let opened =
        place.forge.open_pull_request(&new).await.map_err(|error| failure::of_forge(STEP, &error))?;
    for warning in &opened.warnings {
        story.warn(STEP, "pull_request", warning.clone()).await?;
    }
    let mut pause = READ_BACK_PAUSE;
    for _ in 0..READ_BACK_TRIES {
        let read = place.forge.pull_request(remote, opened.number).await;
        let read = read.map_err(|error| failure::of_forge(STEP, &error))?;
        if confirms(&read, &new, &with.made.commit) {
            return confirmed(story, place, checkout, PullRequest { adopted: opened.adopted, ..read }).await;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    let reason = format!("{} was opened, but does not read back as open on our commit", opened.url);
    Err(failure::at(STEP, FailureCode::NotConfirmed, reason))
}

fn told<'a>(story: &'a Story, words: &'a Words, entries: &'a [Entry]) -> Told<'a> {
    Told { request: &story.request, session: story.id, summary: &words.summary, limit: words.limit, entries }
}

/// Whether the forge has what we mean: open, our commit at its head, against the base.
fn confirms(read: &PullRequest, new: &NewPullRequest, commit: &Oid) -> bool {
    read.open && read.head == new.head && read.base == new.base && read.head_commit == *commit
}

async fn confirmed(
    story: &Story,
    place: &Place,
    checkout: &Checkout,
    read: PullRequest,
) -> Result<Target, Failure> {
    let target = Target::PullRequest {
        url: read.url,
        number: read.number,
        branch: read.head.clone(),
        draft: read.draft,
        compare_url: place.forge.compare_url(&place.repository.remote, &checkout.base, &read.head),
    };
    let opened = PullRequestOpened {
        target: target.clone(),
        base: read.base,
        title: read.title,
        adopted: read.adopted,
    };
    story.record(STEP, vec![Event::PullRequestOpened(opened)]).await?;
    Ok(target)
}
