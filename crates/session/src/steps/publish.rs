//! Makes the commit, pushes it, opens the pull request, and believes it only after reading it back.

use agent::Stop;
use events::{
    Branch, CommitMade, Delivery, Entry, Event, Failure, FailureCode, Limit, Oid, Outcome, Publish,
    PullRequestOpened, Step, Target,
};
use forge::{NewPullRequest, PullRequest};
use repo::{Mirror, NewCommit};

use super::push::{Way, push, read_back};
use super::{Checkout, Place};
use crate::failure::Stopped;
use crate::pull_request::{self, Told};
use crate::run::Story;
use crate::{failure, telemetry};

const STEP: Step = Step::Publish;

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
) -> Result<Outcome, Stopped> {
    story.still_wanted()?;
    story.begin(STEP, "Committing the change").await?;
    let words = words(story, work.stop);
    let made = commit(story, &checkout.mirror, &checkout.commit, work.tree, &words).await?;
    let target = match story.request.publish {
        Publish::Patch => patch(story, checkout, &made).await?,
        Publish::Branch => {
            let branch = push_out(story, place, checkout, &made.commit).await?;
            let compare_url = place.forge.compare_url(&place.repository.remote, &checkout.base, &branch);
            Target::Branch { branch, compare_url }
        }
        Publish::Pr => {
            let branch = push_out(story, place, checkout, &made.commit).await?;
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
            let summary = format!("{} ended the work before the agent finished.", limit.cause());
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
    mirror: &Mirror,
    base: &Oid,
    tree: &Oid,
    words: &Words,
) -> Result<CommitMade, Failure> {
    let identity = &story.ports.identity;
    let new = NewCommit {
        tree_of: tree.clone(),
        parent: base.clone(),
        message: pull_request::commit_message(&words.title, &words.summary, story.id),
        author_name: identity.name.clone(),
        author_email: identity.email.clone(),
        at_us: story.created_us().await.map_err(|error| failure::internal(STEP, &error))?,
    };
    let commit = mirror.commit(&new).await.map_err(|error| failure::of_repo(STEP, &error))?;
    let files = mirror.stats(base, &commit).await.map_err(|error| failure::of_repo(STEP, &error))?;
    let made = CommitMade {
        commit,
        base: base.clone(),
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
    let kept = story.ports.keep_patch(story.id, diff).await;
    Ok(Target::Patch { path: kept.map_err(|error| failure::internal(STEP, &error))? })
}

/// Pushes `commit` to the session's branch.
async fn push_out(
    story: &Story,
    place: &Place,
    checkout: &Checkout,
    commit: &Oid,
) -> Result<Branch, Stopped> {
    story.still_wanted()?;
    let branch = pull_request::branch(&story.request, story.id, &story.ports.redactor);
    story.begin(STEP, format!("Pushing {branch}")).await?;
    let way = Way { mirror: &checkout.mirror, source: &checkout.source, forge: &*place.forge };
    Ok(push(story, &way, commit).await?)
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
) -> Result<Target, Stopped> {
    story.still_wanted()?;
    story.begin(STEP, "Opening the pull request").await?;
    let entries = telemetry::evidence(story).await.map_err(|error| failure::internal(STEP, &error))?;
    let told = told(story, with.words, &entries);
    let new = NewPullRequest {
        remote: place.repository.remote.clone(),
        head: with.branch,
        base: checkout.base.clone(),
        title: with.words.title.clone(),
        body: story.ports.redactor.redact(&pull_request::body(&told)).into_owned(),
        draft: story.request.draft || with.words.limit.is_some(),
        marker: pull_request::marker(story.id),
    };
    let opened =
        place.forge.open_pull_request(&new).await.map_err(|error| failure::of_forge(STEP, &error))?;
    let confirmed = confirm(story, place, &new, &opened, &with.made.commit).await;
    // Whatever fails from here on, there is a pull request, and its address must not be lost.
    Ok(confirmed.map_err(|failure| {
        failure::hinted(failure, &format!("The pull request was opened: {}", opened.url))
    })?)
}

/// Believes that the pull request is open only when the forge shows it so.
async fn confirm(
    story: &Story,
    place: &Place,
    new: &NewPullRequest,
    opened: &PullRequest,
    commit: &Oid,
) -> Result<Target, Failure> {
    for warning in &opened.warnings {
        story.warn(STEP, "pull_request", warning.clone()).await?;
    }
    let read = read_back(|| async move {
        let read = place.forge.pull_request(&new.remote, opened.number).await?;
        Ok(Some(read).filter(|read| confirms(read, new, commit)))
    });
    let Some(read) = read.await.map_err(|error| failure::of_forge(STEP, &error))? else {
        let reason = format!("{} was opened, but does not read back as open on our commit", opened.url);
        return Err(failure::at(STEP, FailureCode::NotConfirmed, reason));
    };
    let target = Target::PullRequest {
        url: read.url,
        number: read.number,
        draft: read.draft,
        compare_url: place.forge.compare_url(&new.remote, &new.base, &read.head),
        branch: read.head,
    };
    let event = PullRequestOpened {
        target: target.clone(),
        base: read.base,
        title: read.title,
        adopted: opened.adopted,
    };
    story.record(STEP, vec![Event::PullRequestOpened(event)]).await?;
    Ok(target)
}

fn told<'a>(story: &'a Story, words: &'a Words, entries: &'a [Entry]) -> Told<'a> {
    Told { request: &story.request, session: story.id, summary: &words.summary, limit: words.limit, entries }
}

/// Whether the forge has what we mean: open, our commit at its head, against the base.
fn confirms(read: &PullRequest, new: &NewPullRequest, commit: &Oid) -> bool {
    read.open && read.head == new.head && read.base == new.base && read.head_commit == *commit
}
