//! Lets the agent work, and keeps its work tree after every step.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use agent::{Bench, Brief, Instructions, Limits, Stop};
use events::{Bounds, Failure, FailureCode, Limit, Oid, Outcome, Step, Whose};
use sandbox::Sandbox;

use super::{Checkout, Ground};
use crate::contents::Keeper;
use crate::failure;
use crate::prices;
use crate::run::Story;

/// The files in which repositories tell agents how they are built; the first one there is taken.
const INSTRUCTIONS: [&str; 3] = ["AGENTS.md", "CLAUDE.md", ".cursorrules"];
/// More than this of a repository's instructions crowds out the task.
const INSTRUCTIONS_BYTES_MAX: u64 = 16 * 1024;
/// A longer list of names tells the model nothing at a glance.
const TOP_LEVEL_MAX: usize = 100;

/// What of a sandbox's lifetime is not the agent's beside the time for checks: enough to open the model, to end the
/// last command and to take in its changes.
const HARVEST_RESERVE: Duration = Duration::from_secs(60);

/// How far the agent came.
pub(crate) struct Worked {
    pub(crate) stop: Stop,
    /// The commit whose tree is the work; nothing when nothing differs from the base.
    pub(crate) tree: Option<Oid>,
}

pub(crate) async fn work(
    story: &Story,
    checkout: &Checkout,
    ground: &Ground,
    sandbox: &dyn Sandbox,
) -> Result<Worked, Failure> {
    const STEP: Step = Step::Work;
    let request = &story.request;
    let bounds = bounds(story, checkout);
    story.begin(STEP, begun(&bounds)).await?;
    let configs = story.ports.providers.chain(request.provider.as_deref(), request.model.as_deref());
    let configs = configs.map_err(|error| Failure {
        hint: Some(failure::SET_A_KEY.to_owned()),
        ..failure::at(STEP, FailureCode::ModelRefused, error.to_string())
    })?;
    let configs = if bounds.usd.is_some() { with_prices(story, configs).await? } else { configs };
    let configs: Vec<_> = configs
        .into_iter()
        .map(|config| config.for_session(&story.id.to_string(), &request.prompt))
        .collect();
    // Sessions that were refused at the same moment must not come back at the same moment.
    let retry = model::Policy { seed: story.id.chance(), ..story.ports.retry };
    let models = model::Chain::open(&configs, retry, story.ports.breakers.clone());
    let models = models.map_err(|error| failure::of_model(STEP, &error))?;
    let recorder = checkout.mirror.recorder(story.id, &checkout.tree, None).await;
    let keeper = Keeper::new(
        sandbox,
        recorder.map_err(|error| failure::of_repo(STEP, &error))?,
        &story.ports.redactor,
    );
    let bench = Bench {
        models: &models,
        live: &story.voice,
        sandbox,
        checkpoint: &keeper,
        journal: &story.journal,
        cancel: &story.cancel,
        command_timeout: story.ports.command_timeout,
    };
    let policy = &story.ports.policy;
    let time = agent_time(policy.lifetime, story.ports.command_timeout, checkout.checks(request).len());
    let limits = Limits::starting_now(bounds, time);
    let stop = agent::work(&brief(story, checkout, ground), &bench, &limits).await;
    let tree = keeper.close().await;
    let stop = stop.map_err(|error| failure::of_agent(&error))?;
    let tree = tree.map_err(|what| {
        let reason = format!("the agent's last state is too large to be kept: {what}");
        failure::at(STEP, FailureCode::ChangeRefused, reason)
    })?;
    Ok(Worked { stop, tree })
}

/// The outcome when the agent stopped and the work tree is as it was.
pub(crate) fn nothing_changed(stop: &Stop) -> Outcome {
    match stop {
        Stop::Finished(finish) => Outcome::Unchanged { summary: finish.summary.clone() },
        Stop::LimitReached(limit) => budget_without_work(*limit),
        Stop::Cancelled => Outcome::Cancelled { saved: None },
    }
}

fn budget_without_work(limit: Limit) -> Outcome {
    Outcome::Budget { limit, delivery: None }
}

/// The models of `chain` that may be asked under a budget in dollars. The door has looked already, but for a bound that
/// the repository sets.
async fn with_prices(story: &Story, chain: Vec<model::Config>) -> Result<Vec<model::Config>, Failure> {
    const STEP: Step = Step::Work;
    let (priced, passed_over) = prices::priced(chain).map_err(|unpriced| {
        let reason = format!("the session is bounded in US dollars, and {unpriced}");
        Failure { hint: Some(unpriced.mend()), ..failure::at(STEP, FailureCode::PriceUnknown, reason) }
    })?;
    for name in passed_over {
        let unpriced = prices::Unpriced(name);
        let message = format!("{unpriced}, so that it takes over from nobody while dollars are bounded");
        story.warn(STEP, "provider_passed_over", message).await?;
    }
    Ok(priced)
}

/// What the session may use up: the smallest of what was asked for and what repository and operator allow.
fn bounds(story: &Story, checkout: &Checkout) -> Bounds {
    Bounds::smallest(&[
        (Whose::Request, story.request.budget),
        (Whose::Repository, checkout.config.budget),
        (Whose::Operator, story.ports.budget),
    ])
}

fn begun(bounds: &Bounds) -> String {
    let bounds = bounds.in_words().join(", ");
    let within = if bounds.is_empty() { bounds } else { format!(", within {bounds}") };
    format!("The agent is at work{within}")
}

/// How long the agent may work in a sandbox that lives for `lifetime` and is to run `checks` after it. However long the
/// checks may take, three quarters are the agent's: few checks take the time they are allowed.
fn agent_time(lifetime: Duration, command_timeout: Duration, checks: usize) -> Duration {
    let checks = u32::try_from(checks).unwrap_or(u32::MAX);
    let reserve = command_timeout.saturating_mul(checks).saturating_add(HARVEST_RESERVE);
    lifetime - reserve.min(lifetime / 4)
}

/// What the agent is told.
fn brief(story: &Story, checkout: &Checkout, ground: &Ground) -> Brief {
    // The lowest layer is the checkout; what lies over it is the throw-away `.git`.
    let root = checkout.tree.layers.last();
    let masked = |text: &str| story.ports.redactor.mask_held(text).into_owned();
    let instructions = root.and_then(|root| instructions(root));
    Brief {
        task: masked(&story.request.prompt),
        repository: checkout.source.remote.to_text(),
        base: checkout.base.to_string(),
        top_level: root.map(|root| top_level(root)).unwrap_or_default(),
        setup: ground.told.as_deref().map(masked),
        reaches: story.journal.way_out.reaches(),
        instructions: instructions.map(|it| Instructions { text: masked(&it.text), ..it }),
    }
}

/// The names at the top of the tree, folders with a trailing `/`.
fn top_level(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| {
            let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            format!("{}{}", entry.file_name().to_string_lossy(), if folder { "/" } else { "" })
        })
        .collect();
    names.sort();
    if names.len() > TOP_LEVEL_MAX {
        let left_out = names.len() - TOP_LEVEL_MAX;
        names.truncate(TOP_LEVEL_MAX);
        names.push(format!("… and {left_out} more"));
    }
    names
}

/// What the repository tells agents. Links are not followed: they may lead out of the tree.
fn instructions(root: &Path) -> Option<Instructions> {
    let name = INSTRUCTIONS.iter().find(|name| {
        std::fs::symlink_metadata(root.join(name))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
    })?;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(root.join(name)).ok()?;
    file.take(INSTRUCTIONS_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(Instructions { path: (*name).to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_stops_while_its_sandbox_still_lives() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(agent_time(minutes(60), minutes(5), 0), minutes(59));
        assert_eq!(agent_time(minutes(60), minutes(5), 2), minutes(49));
        assert_eq!(agent_time(minutes(60), minutes(5), 100), minutes(45));
        assert_eq!(agent_time(minutes(2), minutes(5), 1), Duration::from_secs(90));
    }
}
