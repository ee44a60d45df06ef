//! Sets the project up before the agent works, or finds what an earlier session has set up.
//!
//! Setup has a sandbox of its own, which has ended when the agent's opens: nothing that it started, and no way out that
//! it had, is the agent's. What it added lies below the agent's work tree, so that it is no change of the agent's.

use std::time::Duration;

use events::{Event, Failure, Preparation, SetupRan, Step, TreePrepared};
use repo::{Elsewhere, Label, Place, Prepared, Vacancy, Wanted};
use sandbox::egress::{Config, Host};
use sandbox::{Allowance, Command, Ended, Exported, Policy, Sandbox, Tree};
use tokio::time::Instant;

use super::Checkout;
use super::ground::Ground;
use crate::SetupLimits;
use crate::failure::{self, Stopped};
use crate::run::Story;
use crate::setup::{self, Outside, Recipe, Surroundings};

const STEP: Step = Step::Setup;
/// More of a command's output than this nobody reads in a log.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Of a longer script the beginning says enough in a message; the entry of its end has all of it.
const COMMAND_CHARS_MAX: usize = 200;
/// What the sandbox lives longer than setup may take: it is to end by its work, not by its lifetime.
const SLACK: Duration = Duration::from_secs(60);

/// A setup that fails stops nothing: the agent is told of it, and works with what there is.
pub(crate) async fn setup(story: &Story, checkout: &Checkout) -> Result<Ground, Stopped> {
    let (Some(limits), Some(root)) = (story.ports.setup, checkout.tree.layers.last()) else {
        return Ok(Ground::default());
    };
    if !setup::is_suggested(&story.request.setup, &checkout.config, root) {
        return Ok(Ground::default());
    }
    let policy = super::provision::policy(story, checkout);
    let policy = Policy { lifetime: limits.time_max.saturating_add(SLACK), ..policy };
    let tree = Tree::of(checkout.tree.layers.clone());
    let inside = sandbox::inside(&story.ports.sandbox, &tree, &policy, &setup::programs()).await;
    let inside = inside.map_err(|error| failure::of_sandbox(STEP, &error))?;
    let outside = outside(story, checkout);
    let decided = setup::decide(&story.request.setup, &checkout.config, root, &inside, outside);
    for reason in decided.passed_over {
        story.warn(STEP, "setup_passed_over", reason).await?;
    }
    let Some(recipe) = decided.recipe else { return Ok(Ground::default()) };
    let commands = recipe.commands.iter().map(|command| shortened(command)).collect::<Vec<_>>().join("; ");
    story.begin(STEP, format!("Setting the project up: {commands}")).await?;
    let surroundings = Surroundings {
        inside: &inside,
        environment: &policy.environment,
        hosts: checkout.egress.as_ref().map(hosts).unwrap_or_default(),
        branch: checkout.base.as_str(),
    };
    let found = async {
        let wanted = setup::wanted(&recipe, &checkout.tree, &surroundings).await?;
        Ok::<_, repo::Error>((checkout.mirror.prepared(&checkout.tree, &wanted).await?, wanted))
    };
    let found = async { found.await.map_err(|error| failure::of_repo(STEP, &error)) };
    let (place, wanted) = story.unless_cancelled(found).await?;
    let ground = match place {
        Place::Taken(prepared) => reuse(story, &recipe, prepared).await,
        Place::Vacant(vacancy) => {
            make(story, checkout, &Plan { recipe, wanted, policy, limits }, vacancy).await
        }
    };
    Ok(ground?.before(inside.path))
}

/// What setup reaches.
fn outside(story: &Story, checkout: &Checkout) -> Outside {
    let (Some(allowed), Some(egress)) = (&story.ports.egress, &checkout.egress) else {
        return Outside::Nothing;
    };
    match egress.hosts.is_empty() {
        true => Outside::Nothing,
        false if egress.hosts.is_subset(&allowed.packages) => Outside::Packages,
        false => Outside::Hosts,
    }
}

/// The hosts that setup reaches. One that it reaches with a credential may give it other things.
fn hosts(egress: &Config) -> Vec<String> {
    let lent = |host: &Host| egress.lent.iter().any(|lent| lent.host == *host);
    let told = |host: &Host| if lent(host) { format!("{host}, with a credential") } else { host.to_string() };
    egress.hosts.iter().map(told).collect()
}

/// A script as one line for people.
fn shortened(script: &str) -> String {
    let script = script.trim();
    let line: String = script.lines().next().unwrap_or_default().chars().take(COMMAND_CHARS_MAX).collect();
    if line.len() < script.len() { format!("{line}…") } else { line }
}

async fn reuse(story: &Story, recipe: &Recipe, prepared: Prepared) -> Result<Ground, Stopped> {
    let how = Preparation::Reused(prepared.label.made_by);
    story.record(STEP, vec![told(recipe, &prepared.label, how)]).await?;
    Ok(Ground::of(recipe, &[], Some(prepared)))
}

/// What is to be made.
struct Plan {
    recipe: Recipe,
    wanted: Wanted,
    policy: Policy,
    limits: SetupLimits,
}

async fn make(story: &Story, checkout: &Checkout, plan: &Plan, vacancy: Vacancy) -> Result<Ground, Stopped> {
    story.still_wanted()?;
    let Plan { recipe, wanted, policy, limits } = plan;
    let tree = Tree::of(checkout.tree.layers.clone());
    let sandbox = super::provision::open(story, checkout, STEP, &tree, policy).await?;
    let ran = follow(story, recipe, *limits, &*sandbox).await;
    let exported = match ran {
        Ok(_) => Some(sandbox.export(&vacancy.folder(), allowance(policy)).await),
        Err(_) => None,
    };
    super::teardown(story, &*sandbox).await;
    let ran = ran?;
    let failed: Vec<&SetupRan> = ran.iter().filter(|ran| ran.exit_code != 0).collect();
    for SetupRan { command, exit_code, .. } in &failed {
        let command = shortened(command);
        let text = format!("`{command}` returned {exit_code}; the agent works with what setup left");
        story.warn(STEP, "setup_failed", text).await?;
    }
    let prepared = match exported {
        None => None,
        Some(Err(error)) => {
            vacancy.give_up().await;
            let why = failure::chain(&error);
            let text = format!("what setup made cannot be used, the agent works without it: {why}");
            story.warn(STEP, "setup_not_kept", text).await?;
            None
        }
        Some(Ok(exported)) => {
            undone(story, &exported).await?;
            let label = label(story, wanted, &exported);
            let prepared = if failed.is_empty() {
                vacancy.keep(label, limits.kept_bytes_max).await
            } else {
                vacancy.lend(label)
            };
            let how = if prepared.is_kept() { Preparation::Kept } else { Preparation::ForThisSession };
            story.record(STEP, vec![told(recipe, &prepared.label, how)]).await?;
            Some(prepared)
        }
    };
    Ok(Ground::of(recipe, &ran, prepared))
}

/// Runs the commands one after the other, also after one that failed, and writes down what each did.
async fn follow(
    story: &Story,
    recipe: &Recipe,
    limits: SetupLimits,
    sandbox: &dyn Sandbox,
) -> Result<Vec<SetupRan>, Stopped> {
    let until = Instant::now() + limits.time_max;
    let mut all = Vec::new();
    for command in &recipe.commands {
        story.still_wanted()?;
        let begun = Instant::now();
        let (exit_code, output) = tokio::select! {
            ran = run(sandbox, command, until - begun) => ran?,
            // The sandbox is closed next; that ends the command.
            () = story.cancel.cancelled() => return Err(Stopped::Cancelled),
        };
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ran =
            SetupRan { command: command.clone(), origin: recipe.origin, output, exit_code, duration_ms };
        story.record(STEP, vec![Event::SetupRan(ran.clone())]).await?;
        all.push(ran);
    }
    Ok(all)
}

/// Exit code and output of `command`, which has `timeout`: what is left of the time for setup.
async fn run(sandbox: &dyn Sandbox, command: &str, timeout: Duration) -> Result<(i32, String), Failure> {
    const NO_TIME: &str = "the time for setup is up (BACKSPACE_SETUP_TIMEOUT)";
    if timeout.is_zero() {
        return Ok((-1, format!("[not run: {NO_TIME}]\n")));
    }
    let script = command.to_owned();
    let command = Command { script, timeout, output_bytes_max: OUTPUT_BYTES_MAX, live: None };
    let ran = match sandbox.run(&command).await {
        Ok(ran) => ran,
        Err(error @ sandbox::Error::Lost { .. }) => {
            return Ok((-1, format!("[{}]\n", failure::chain(&error))));
        }
        Err(error) => return Err(failure::of_sandbox(STEP, &error)),
    };
    Ok(match ran.ended {
        Ended::Exited(code) => (code, ran.output),
        Ended::TimedOut => (-1, format!("{}\n[ended: {NO_TIME}]\n", ran.output)),
        Ended::Signalled(signal) => (-1, format!("{}\n[ended by signal {signal}]\n", ran.output)),
        Ended::NotStarted(errno) => (-1, format!("[not started: error {errno}]\n")),
    })
}

/// As much as the sandbox could hold.
fn allowance(policy: &Policy) -> Allowance {
    Allowance { bytes_max: policy.work_bytes_max, entries_max: policy.work_inodes_max }
}

/// Says which files of the repository setup changed in vain.
async fn undone(story: &Story, exported: &Exported) -> Result<(), Stopped> {
    if exported.undone_total == 0 {
        return Ok(());
    }
    let named = exported.undone.iter().map(|path| events::escape_control(&String::from_utf8_lossy(path)));
    let mut named = named.collect::<Vec<_>>().join(", ");
    let more = exported.undone_total.saturating_sub(exported.undone.len() as u64);
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    let text = format!("setup changed files of the repository, which are as in the base again: {named}");
    Ok(story.warn(STEP, "setup_undone", text).await?)
}

fn label(story: &Story, wanted: &Wanted, exported: &Exported) -> Label {
    let folder = |path: &Vec<u8>| {
        let path = std::str::from_utf8(path).ok()?;
        setup::is_dependency_folder(path).then(|| path.to_owned())
    };
    let folders =
        exported.roots.as_ref().and_then(|roots| roots.iter().map(folder).collect::<Option<Vec<_>>>());
    let elsewhere = wanted.elsewhere.clone().zip(folders).map(|(key, folders)| Elsewhere { key, folders });
    Label { entries: exported.entries, bytes: exported.bytes, elsewhere, made_by: story.id }
}

fn told(recipe: &Recipe, label: &Label, how: Preparation) -> Event {
    let (entries, bytes) = (label.entries, label.bytes);
    Event::TreePrepared(TreePrepared { how, commands: recipe.commands.clone(), entries, bytes })
}
