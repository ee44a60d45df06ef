//! A project whose setup writes 10,000 files: the first session makes them, the next ones find them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use events::{Branch, Remote, SessionId, Tenant};
use repo::{Label, Place, PreparedKey, Repos, Source, Wanted};
use sandbox::{Allowance, Config, Policy, Tree, namespaces};

use crate::figure::{Figure, Row};
use crate::model::{Model, Reply};
use crate::{Measure, machine, process, repository, sandboxes};

pub(crate) const MEASURE: Measure = Measure {
    name: "setup",
    title: "a project whose setup writes 10,000 files",
    about: "`backspace run` on a repository of 240 files and of this machine, from the start of the process to the first \
            request, with the base tree warm. A script of setup writes 10,000 files of 4 KB in 500 folders, as a package \
            manager would, without any network. The parts of it, in one process: the files are written out of the ended \
            sandbox, brought to disk and given their place, and found again.",
    run: measure,
};

const RUNS: usize = 10;
/// Nothing was changed.
const UNCHANGED: i32 = 3;
const FILES: u64 = 10_000;
const SCRIPT: &str = "python3 - <<'END'
import os
text = 'x' * 4000
for n in range(500):
    folder = f'node_modules/package-{n}/lib'
    os.makedirs(folder)
    for m in range(20):
        with open(f'{folder}/file-{m}.js', 'w') as file:
            file.write(text)
END";

fn measure() -> Result<Vec<Row>> {
    let folder = machine::folder()?;
    let origin = folder.path().join("origin");
    repository::small(&origin)?;
    let git = |arguments: &[&str]| {
        let mut command = process::command("git", arguments, &process::plain_settings());
        let status = command.current_dir(&origin).status().context("cannot run git")?;
        ensure!(status.success(), "git {arguments:?} failed");
        Ok(())
    };
    git(&["init", "--quiet", "--initial-branch=main"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message=Base"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let parts = runtime.block_on(parts(&origin, &folder.path().join("parts")))?;
    let whole = whole_runs(&origin, folder.path())?;
    Ok(vec![
        Row::new("no setup: process start → first request", Figure::ms(whole.none)),
        Row::new("first session: process start → first request", Figure::ms(whole.first))
            .beside("its script alone, in a sandbox", Figure::ms(parts.ran)),
        Row::new("next session: process start → first request", Figure::ms(whole.next)).at_most(120.0),
        Row::new("· written out of the sandbox", Figure::ms(parts.exported))
            .beside("`cp --archive` of the same", Figure::ms(parts.copied)),
        Row::new("· brought to disk and given its place", Figure::ms(parts.kept)),
        Row::new("· found again", Figure::ms(parts.found)),
        Row::new("sandbox open over it", Figure::ms(parts.opened)).at_most(50.0),
    ])
}

#[derive(Default)]
struct Whole {
    none: Vec<Duration>,
    first: Vec<Duration>,
    next: Vec<Duration>,
}

/// Sessions that change nothing, in a process each: when the model was first asked.
fn whole_runs(origin: &Path, folder: &Path) -> Result<Whole> {
    let model = Model::start(&[Reply::finish()], Duration::ZERO)?;
    let settings = process::settings_without_forge(&folder.join("home"), &model);
    let origin = origin.display().to_string();
    let run = |setup: &str| {
        let arguments = ["run", &origin, "Do nothing", "--setup", setup];
        let took = process::run(process::command(process::BINARY, &arguments, &settings), UNCHANGED)?;
        let exchanges = model.take_exchanges();
        let first = exchanges.first().context("the model was not asked")?;
        Ok::<_, anyhow::Error>(first.arrived.duration_since(took.started))
    };
    run("none")?;
    let mut whole = Whole::default();
    for n in 0..RUNS {
        // Another text is another setup.
        let script = format!("{SCRIPT}\n# {n}");
        whole.none.push(run("none")?);
        whole.first.push(run(&script)?);
        whole.next.push(run(&script)?);
    }
    Ok(whole)
}

#[derive(Default)]
struct Parts {
    ran: Vec<Duration>,
    exported: Vec<Duration>,
    copied: Vec<Duration>,
    kept: Vec<Duration>,
    found: Vec<Duration>,
    opened: Vec<Duration>,
}

async fn parts(origin: &Path, home: &Path) -> Result<Parts> {
    let repos = Repos::open(home.join("repos")).await?;
    let source =
        Source { remote: Remote::Local(origin.to_owned()), tenant: Tenant::default(), credential: None };
    let branch: Branch = "main".parse().context("main is a branch")?;
    let (mirror, _) = repos.mirror(&source).await?;
    let commit = mirror.branch(&branch).await?.context("there is a main branch")?;
    let base = mirror.base_tree(&commit, &branch).await?;
    let (config, policy) = (Config::Namespaces(namespaces::Config::default()), Policy::default());
    let tree = Tree::of(base.layers.clone());
    let mut parts = Parts::default();
    for n in 0..RUNS {
        let wanted = Wanted { here: PreparedKey::of([n.to_string()]), elsewhere: None };
        let Place::Vacant(vacancy) = mirror.prepared(&base, &wanted).await? else {
            bail!("it is there already")
        };
        let sandbox = sandbox::open(&config, &tree, &policy).await?;
        let started = Instant::now();
        sandboxes::run(&*sandbox, SCRIPT).await?;
        parts.ran.push(started.elapsed());
        let started = Instant::now();
        let allowance = Allowance { bytes_max: policy.work_bytes_max, entries_max: policy.work_inodes_max };
        let exported = sandbox.export(&vacancy.folder(), allowance).await?;
        parts.exported.push(started.elapsed());
        sandbox.close().await?;
        ensure!(exported.entries > FILES, "{} entries were exported", exported.entries);
        let (from, to) = (vacancy.folder().display().to_string(), home.join("copy").display().to_string());
        parts.copied.push(process::run_plain("cp", &["--archive", &from, &to])?);
        std::fs::remove_dir_all(&to)?;
        let (entries, bytes) = (exported.entries, exported.bytes);
        let label = Label { entries, bytes, elsewhere: None, made_by: SessionId::new(n as i64, 0) };
        let started = Instant::now();
        let prepared = vacancy.keep(label, u64::MAX).await;
        parts.kept.push(started.elapsed());
        ensure!(prepared.is_kept(), "it was not kept");
        let started = Instant::now();
        let Place::Taken(found) = mirror.prepared(&base, &wanted).await? else { bail!("it is not found") };
        parts.found.push(started.elapsed());
        let over = Tree::clone(&tree).with_exported(&found.folder);
        let started = Instant::now();
        let sandbox = sandbox::open(&config, &over, &policy).await?;
        parts.opened.push(started.elapsed());
        sandbox.close().await?;
    }
    Ok(parts)
}
