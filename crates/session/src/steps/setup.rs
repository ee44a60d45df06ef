//! Sets the project up before the agent works, or finds what an earlier session has set up.
//!
//! Setup has a sandbox of its own, which has ended when the agent's opens: nothing that it started, and no way out that
//! it had, is the agent's. What it added lies below the agent's work tree, so that it is no change of the agent's.

use std::path::Path;
use std::time::Duration;

use events::{Event, Failure, Preparation, SetupRan, Step, TreePrepared};
use repo::{Elsewhere, Label, Place, Prepared, Vacancy};
use sandbox::egress::{Config, Host};
use sandbox::{Allowance, Command, Ended, Exported, Policy, Sandbox, Tree};
use tokio::time::Instant;
use tracing::warn;

use super::Checkout;
use super::ground::Ground;
use crate::SetupLimits;
use crate::failure::{self, Stopped};
use crate::run::Story;
use crate::setup::{self, Asked, Outside, Recipe, Surroundings};

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
        asked: &checkout.config.env,
        hosts: checkout.egress.as_ref().map(hosts).unwrap_or_default(),
        branch: checkout.base.as_str(),
    };
    let found = async {
        let asked = setup::asked(&recipe, &checkout.tree, &surroundings).await?;
        Ok::<_, repo::Error>((checkout.mirror.prepared(&checkout.tree, &asked.wanted).await?, asked))
    };
    let found = async { found.await.map_err(|error| failure::of_repo(STEP, &error)) };
    let (place, asked) = story.unless_cancelled(found).await?;
    let ground = match place {
        Place::Taken(prepared) => reuse(story, &recipe, prepared).await,
        Place::Vacant(vacancy) => {
            let until = Instant::now() + limits.time_max;
            make(story, checkout, &Plan { recipe, asked, policy, limits, until }, vacancy).await
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
    asked: Asked,
    policy: Policy,
    limits: SetupLimits,
    /// When its time is up.
    until: Instant,
}

/// What came of following a recipe.
struct Made {
    ran: Vec<SetupRan>,
    exported: Result<Exported, sandbox::Error>,
    /// How it holds over other commits.
    elsewhere: Option<Elsewhere>,
}

impl Made {
    fn failed(&self) -> impl Iterator<Item = &SetupRan> {
        self.ran.iter().filter(|ran| ran.exit_code != 0)
    }
}

async fn make(story: &Story, checkout: &Checkout, plan: &Plan, vacancy: Vacancy) -> Result<Ground, Stopped> {
    story.still_wanted()?;
    let Plan { recipe, limits, .. } = plan;
    let made = match make_for_all(story, checkout, plan, &vacancy).await? {
        Some(made) => made,
        None => {
            let tree = Tree::of(checkout.tree.layers.clone());
            follow_over(story, checkout, plan, &tree, &vacancy.folder()).await?
        }
    };
    for SetupRan { command, exit_code, .. } in made.failed() {
        let command = shortened(command);
        let text = format!("`{command}` returned {exit_code}; the agent works with what setup left");
        story.warn(STEP, "setup_failed", text).await?;
    }
    let is_whole = made.failed().next().is_none();
    let Made { ran, exported, elsewhere } = made;
    let prepared = match exported {
        Err(error) => {
            vacancy.give_up().await;
            let why = failure::chain(&error);
            let text = format!("what setup made cannot be used, the agent works without it: {why}");
            story.warn(STEP, "setup_not_kept", text).await?;
            None
        }
        Ok(exported) => {
            undone(story, &exported).await?;
            let Exported { entries, bytes, .. } = exported;
            let label = Label { entries, bytes, elsewhere, made_by: story.id };
            let prepared =
                if is_whole { vacancy.keep(label, limits.kept_bytes_max).await } else { vacancy.lend(label) };
            let how = if prepared.is_kept() { Preparation::Kept } else { Preparation::ForThisSession };
            story.record(STEP, vec![told(recipe, &prepared.label, how)]).await?;
            Some(prepared)
        }
    };
    Ok(Ground::of(recipe, &ran, prepared))
}

/// What holds over other commits: made of nothing but the files that they must have as well. Nothing when that is not
/// enough, which has been told.
async fn make_for_all(
    story: &Story,
    checkout: &Checkout,
    plan: &Plan,
    vacancy: &Vacancy,
) -> Result<Option<Made>, Stopped> {
    let Asked { wanted, shown } = &plan.asked;
    let (Some(shown), Some(key), Some(root)) = (shown, &wanted.elsewhere, checkout.tree.layers.last()) else {
        return Ok(None);
    };
    let place = vacancy.beside();
    if let Err(error) = shown.lay(&place) {
        warn!("What a setup is shown cannot be laid: {error}");
        return Ok(None);
    }
    let folder = vacancy.folder();
    let made = follow_over(story, checkout, plan, &Tree::of(vec![place]), &folder).await?;
    let failed = made.failed().next();
    let failed = failed.map(|ran| format!("`{}` returned {}", shortened(&ran.command), ran.exit_code));
    // Another try would have no time: what was made so far is better than nothing.
    if failed.is_some() && Instant::now() >= plan.until {
        return Ok(Some(made));
    }
    let why = match (failed, made.exported.as_ref().ok().map(|exported| folders(exported, root))) {
        (Some(why), _) => why,
        // With more files there would be no less of it.
        (None, None) => return Ok(Some(made)),
        (None, Some(None)) => "something was added that is no folder of dependencies".to_owned(),
        (None, Some(Some(folders))) => {
            let elsewhere = Some(Elsewhere { key: key.clone(), folders });
            return Ok(Some(Made { elsewhere, ..made }));
        }
    };
    let text = format!(
        "with the files alone that decide what is installed, {why}; setup runs again with all of them, for this commit alone"
    );
    story.warn(STEP, "setup_again", text).await?;
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    if let Ok(Err(error)) = removed {
        warn!("What a setup left cannot be removed: {error}");
    }
    Ok(None)
}

/// Follows the recipe in a sandbox over `tree`; what it adds is written into `folder`.
async fn follow_over(
    story: &Story,
    checkout: &Checkout,
    plan: &Plan,
    tree: &Tree,
    folder: &Path,
) -> Result<Made, Stopped> {
    let Plan { recipe, policy, until, .. } = plan;
    let sandbox = super::provision::open(story, checkout, STEP, tree, policy).await?;
    let followed = async {
        let ran = follow(story, recipe, *until, &*sandbox).await?;
        let exported = sandbox.export(folder, allowance(policy)).await;
        Ok(Made { ran, exported, elsewhere: None })
    };
    let made = followed.await;
    super::teardown(story, &*sandbox).await;
    made
}

/// Runs the commands one after the other, also after one that failed, and writes down what each did.
async fn follow(
    story: &Story,
    recipe: &Recipe,
    until: Instant,
    sandbox: &dyn Sandbox,
) -> Result<Vec<SetupRan>, Stopped> {
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

/// The folders that are all there is of `exported`, when each is one of dependencies and hides nothing of the checkout at
/// `root`.
fn folders(exported: &Exported, root: &Path) -> Option<Vec<String>> {
    let folder = |path: &Vec<u8>| {
        let path = std::str::from_utf8(path).ok()?;
        let is_whole = setup::is_dependency_folder(path) && setup::is_free(root, Path::new(path));
        is_whole.then(|| path.to_owned())
    };
    exported.roots.as_ref()?.iter().map(folder).collect()
}

fn told(recipe: &Recipe, label: &Label, how: Preparation) -> Event {
    let (entries, bytes) = (label.entries, label.bytes);
    Event::TreePrepared(TreePrepared { how, commands: recipe.commands.clone(), entries, bytes })
}
