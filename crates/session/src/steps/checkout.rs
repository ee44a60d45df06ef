//! Fetches the repository and lays out the base tree.

use events::{BaseChosen, Branch, Event, Failure, FailureCode, GitRan, Oid, Request, Step};
use repo::{BaseTree, Mirror, Ran, Source};
use sandbox::egress::Config;

use super::Place;
use crate::failure;
use crate::repository_config::RepositoryConfig;
use crate::run::Story;

/// A longer list of hosts that are not allowed is told by its beginning.
const DENIED_TOLD_MAX: usize = 20;

/// The code that the session starts from.
pub(crate) struct Checkout {
    pub(crate) source: Source,
    pub(crate) mirror: Mirror,
    pub(crate) base: Branch,
    pub(crate) commit: Oid,
    pub(crate) tree: BaseTree,
    /// What the repository asks for.
    pub(crate) config: RepositoryConfig,
    /// What its commands may reach: what the operator allows, of that what the repository asks for when it says so.
    pub(crate) egress: Option<Config>,
}

impl Checkout {
    /// The commands to run on the finished work: those that were asked for, else those that the repository names.
    pub(crate) fn checks<'a>(&'a self, request: &'a Request) -> &'a [String] {
        if request.checks.is_empty() { &self.config.checks } else { &request.checks }
    }
}

pub(crate) async fn checkout(story: &Story, place: &Place) -> Result<Checkout, Failure> {
    const STEP: Step = Step::Checkout;
    let remote = &place.repository.remote;
    story.begin(STEP, format!("Fetching {remote}")).await?;
    let source = story.ports.source(&*place.forge, remote).await.map_err(|e| failure::of_forge(STEP, &e))?;
    let (mirror, ran) =
        story.ports.repos.mirror(&source).await.map_err(|error| failure::of_repo(STEP, &error))?;
    let base = story.request.base.clone().unwrap_or_else(|| place.repository.default_branch.clone());
    if story.request.branch.as_ref() == Some(&base) {
        let reason = format!("`{base}` is the branch to start from; it cannot be the one to push to");
        return Err(failure::at(STEP, FailureCode::ChangeRefused, reason));
    }
    let commit = mirror.branch(&base).await.map_err(|error| failure::of_repo(STEP, &error))?;
    let Some(commit) = commit else {
        return Err(failure::at(
            STEP,
            FailureCode::RepositoryUnavailable,
            format!("{remote} has no branch `{base}`"),
        ));
    };
    let mut events: Vec<Event> = ran.into_iter().map(git_ran).collect();
    events.push(Event::BaseChosen(BaseChosen {
        remote: remote.clone(),
        base: base.clone(),
        commit: commit.clone(),
    }));
    story.record(STEP, events).await?;
    let tree = mirror.base_tree(&commit, &base).await.map_err(|error| failure::of_repo(STEP, &error))?;
    // The lowest layer is the checkout; what lies over it is the throw-away `.git`.
    let config = tree.layers.last().map(|root| RepositoryConfig::read(root)).unwrap_or_default();
    for problem in &config.problems {
        story.warn(STEP, "repository_config", problem.clone()).await?;
    }
    let egress = egress(story, &config).await?;
    Ok(Checkout { source, mirror, base, commit, tree, config, egress })
}

async fn egress(story: &Story, config: &RepositoryConfig) -> Result<Option<Config>, Failure> {
    let Some(egress) = &story.ports.egress else { return Ok(None) };
    let Some(wanted) = &config.egress else { return Ok(Some(egress.config.clone())) };
    for host in egress.denied(wanted).take(DENIED_TOLD_MAX) {
        let message =
            format!("The repository asks for {host}, which the operator does not allow (BACKSPACE_EGRESS)");
        story.warn(Step::Checkout, "repository_config", message).await?;
    }
    Ok(Some(egress.narrowed_to(wanted)))
}

/// A git command of ours, for the log.
pub(crate) fn git_ran(ran: Ran) -> Event {
    let Ran { command, output, exit_code, duration_ms } = ran;
    Event::GitRan(GitRan { command, output, exit_code, duration_ms })
}
