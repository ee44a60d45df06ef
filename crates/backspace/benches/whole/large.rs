//! A repository of 100,000 files.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use events::{Branch, ChangedPath, Content, Oid, Remote, SessionId, Tenant};
use repo::{BaseTree, Contents, ContentsError, Mirror, NewCommit, Repos, Source};
use sandbox::{Config, Policy, Sandbox, Tree, namespaces};

use crate::figure::{Figure, Row};
use crate::model::{Model, Reply};
use crate::{Measure, machine, process, repository, sandboxes};

pub(crate) const MEASURE: Measure = Measure {
    name: "large",
    title: "a repository of 100,000 files",
    about: "The parts themselves, on a local bare repository with the base tree warm: a sandbox is opened over it, a command \
            inside changes 10 files in 10 folders, the change is listed, read and saved on the session's hidden ref, made \
            one commit and checked as a pack by `git index-pack --strict`. The rival is a plain clone.",
    run: measure,
};

const RUNS: usize = 15;
const CHANGED: usize = 10;
/// A plain clone takes long; so often it commits.
const PLAIN_COMMITS: usize = 5;

#[derive(Default)]
struct Times {
    found: Vec<Duration>,
    begun: Vec<Duration>,
    opened: Vec<Duration>,
    saved: Vec<Duration>,
    committed: Vec<Duration>,
    both: Vec<Duration>,
}

fn measure() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure_large())
}

async fn measure_large() -> Result<Vec<Row>> {
    let origin = repository::large(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let folder = machine::folder()?;
    let repos = Repos::open(folder.path().join("repos")).await?;
    let source =
        Source { remote: Remote::Local(origin.clone()), tenant: Tenant::default(), credential: None };
    let branch: Branch = "main".parse().context("main is a branch")?;
    let started = Instant::now();
    let (mirror, _) = repos.mirror(&source).await?;
    let mirrored = started.elapsed();
    let base = mirror.branch(&branch).await?.context("the large repository has a main branch")?;
    let started = Instant::now();
    drop(mirror.base_tree(&base, &branch).await?);
    let laid_out = started.elapsed();
    let mut times = Times::default();
    for run in 0..RUNS {
        let started = Instant::now();
        let (mirror, _) = repos.mirror(&source).await?;
        let tree = mirror.base_tree(&base, &branch).await?;
        times.found.push(started.elapsed());
        one_session(run, &mirror, &tree, &mut times).await?;
    }
    let (starts, peaks) = whole_runs(&origin, folder.path())?;
    let (cloned, plain) = plain_clone(&origin, &folder.path().join("clone"))?;
    Ok(vec![
        Row::new("sandbox open", Figure::ms(times.opened)).at_most(50.0),
        Row::new("change of 10 files harvested, committed, checked", Figure::ms(times.both))
            .at_most(120.0)
            .beside("`git add --all`, `git commit` in a plain clone", Figure::ms(plain)),
        Row::new("· listed, read, saved on the hidden ref", Figure::ms(times.saved)),
        Row::new("· made one commit and checked", Figure::ms(times.committed)),
        Row::new("fetch that finds nothing, base tree found", Figure::ms(times.found)),
        Row::new("recorder begun", Figure::ms(times.begun)),
        Row::new("first time: mirror", Figure::seconds([mirrored])),
        Row::new("first time: base tree", Figure::seconds([laid_out]))
            .beside("`git clone`", Figure::seconds([cloned])),
        Row::new("`backspace run`: process start → first request", Figure::ms(starts)),
        Row::new("`backspace run`: peak memory of the process", Figure::new("MiB", peaks)),
    ])
}

async fn one_session(run: usize, mirror: &Mirror, tree: &BaseTree, times: &mut Times) -> Result<()> {
    let layers = Tree::of(tree.layers.clone());
    let started = Instant::now();
    let config = Config::Namespaces(namespaces::Config::default());
    let sandbox = sandbox::open(&config, &layers, &Policy::default()).await?;
    times.opened.push(started.elapsed());
    let started = Instant::now();
    let session = SessionId::new(1_700_000_000_000_000 + run as i64, run as u128);
    let mut recorder = mirror.recorder(session, tree, None).await?;
    times.begun.push(started.elapsed());
    let files: Vec<String> = (0..CHANGED).map(|n| repository::large_path(n * 9_876 + run)).collect();
    sandboxes::run(&*sandbox, &format!("for f in {}; do echo changed >> $f; done", files.join(" "))).await?;
    let started = Instant::now();
    let list = sandbox.changes().await?;
    let saved = recorder.save(&list, &FromSandbox(Arc::clone(&sandbox))).await?;
    times.saved.push(started.elapsed());
    let middle = Instant::now();
    let commit =
        mirror.commit(&commit_of(saved.commit.context("the change was saved")?, &tree.commit)).await?;
    times.committed.push(middle.elapsed());
    times.both.push(started.elapsed());
    recorder.close().await?;
    sandbox.close().await?;
    let files = mirror.stats(&tree.commit, &commit).await?;
    ensure!(files.len() == CHANGED, "the commit has {} files instead of {CHANGED}", files.len());
    Ok(())
}

fn commit_of(saved: Oid, base: &Oid) -> NewCommit {
    NewCommit {
        tree_of: saved,
        parent: base.clone(),
        message: "Change ten files\n".to_owned(),
        author_name: "Bench".to_owned(),
        author_email: "bench@example.org".to_owned(),
        at_us: 1_700_000_000_000_000,
    }
}

/// What a session joins as well: the sandbox, which knows what changed, and the recorder, which commits it.
struct FromSandbox(Arc<dyn Sandbox>);

#[async_trait]
impl Contents for FromSandbox {
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Option<Content>, ContentsError> {
        self.0.content(path, bytes_max).await.map(Some).map_err(|error| ContentsError(error.into()))
    }
}

/// A clone of one's own, and commits of ten files in it.
fn plain_clone(origin: &Path, clone: &Path) -> Result<(Duration, Vec<Duration>)> {
    let (from, to) = (origin.display().to_string(), clone.display().to_string());
    let cloned = process::run_plain("git", &["clone", "--quiet", &from, &to])?;
    let mut times = Vec::new();
    for run in 0..PLAIN_COMMITS {
        for n in 0..CHANGED {
            let path = clone.join(repository::large_path(n * 9_876 + run));
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(&path, text + "changed\n")?;
        }
        let added = process::run_plain("git", &["-C", &to, "add", "--all"])?;
        times.push(added + process::run_plain("git", &["-C", &to, "commit", "--quiet", "--message=Ten"])?);
    }
    Ok((cloned, times))
}

/// Sessions that change nothing, in a process each: when the model was first asked, and the memory they took.
fn whole_runs(origin: &Path, home: &Path) -> Result<(Vec<Duration>, Vec<f64>)> {
    let model = Model::start(&[Reply::finish()], Duration::ZERO)?;
    let settings = process::settings_without_forge(home, &model);
    let origin = origin.display().to_string();
    let (mut starts, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let command = process::command(process::BINARY, &["run", &origin, "Do nothing"], &settings);
        let took = process::run(command, 3)?;
        let exchanges = model.take_exchanges();
        let first = exchanges.first().context("the model was not asked")?;
        starts.push(first.arrived.duration_since(took.started));
        peaks.push(took.peak_mib);
    }
    Ok((starts, peaks))
}
