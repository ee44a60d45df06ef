//! What a sandbox in a container costs beside a plain `docker run` of the same image.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::{Config, Policy, Tree, docker};
use tempfile::TempDir;

use crate::figure::{Figure, Row};
use crate::{Measure, machine, process, repository, sandboxes};

pub(crate) const MEASURE: Measure = Measure {
    name: "containers",
    title: "the sandbox in a container beside `docker run`",
    about: "An engine of its own is started (root; Debian's docker.io), with an image of this machine's small programs. A \
            session opens one container over a repository of 240 files and runs its commands in it: the engine lays the work \
            tree over the base, as for an ordinary user's files, or every file is sent into the container's memory, as for \
            root's and remote engines. The rival is `docker run --rm --network none IMAGE true`, with the engine's own \
            defaults and no work tree.",
    run: measure,
};

const OPENED: usize = 15;
const COMMANDS: usize = 100;
/// How much longer than the rival an open sandbox may take.
const OPEN_SHARE_MAX: f64 = 1.3;
const COMMAND_MS_MAX: f64 = 10.0;
/// A user that no machine has: root's files are never laid.
const USER: u32 = 1_500_000;
const IMAGE: &str = "backspace-sandbox";

/// An engine that ends with its standard input.
struct Engine {
    script: Child,
    folder: TempDir,
}

impl Engine {
    fn start() -> Result<Self> {
        // Its sockets have short paths.
        let folder = tempfile::tempdir().context("cannot make a folder for an engine")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sandbox/tests/engine");
        let mut command = Command::new(script);
        command.arg(folder.path().join("engine")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = command.spawn().context("cannot start an engine")?;
        let mut said = String::new();
        let output = script.stdout.take().context("the engine's output is a pipe")?;
        BufReader::new(output).read_line(&mut said).context("cannot hear of the engine")?;
        ensure!(said == "READY\n", "no container engine starts here: see `./dev engine`");
        Ok(Self { script, folder })
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine/docker.sock").display())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        drop(self.script.wait());
    }
}

fn measure() -> Result<Vec<Row>> {
    let engine = Engine::start()?;
    let folder = machine::folder()?;
    let base = folder.path().join("base");
    repository::small(&base)?;
    let changes = folder.path().join("changes");
    process::run_plain("chown", &["-R", &format!("{USER}:{USER}"), &base.display().to_string()])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let laid = runtime.block_on(of(&engine, &base, docker::Changes::Folder(changes)))?;
    let sent = runtime.block_on(of(&engine, &base, docker::Changes::Memory))?;
    Ok(laid.rows("the engine lays the tree").into_iter().chain(sent.rows("the tree is sent")).collect())
}

/// What one way to lay the work tree took.
#[derive(Default)]
struct Measured {
    opens: Vec<Duration>,
    runs: Vec<Duration>,
    commands: Vec<Duration>,
    lists: Vec<Duration>,
    closes: Vec<Duration>,
}

impl Measured {
    fn rows(self, way: &str) -> Vec<Row> {
        let rival = Figure::ms(self.runs);
        let bound = (rival.median() * OPEN_SHARE_MAX).round();
        vec![
            Row::new(format!("open, once a session; {way}"), Figure::ms(self.opens))
                .at_most(bound)
                .beside("`docker run … true`", rival),
            Row::new("· a command (`true` in a new bash)", Figure::ms(self.commands)).at_most(COMMAND_MS_MAX),
            Row::new("· listing what changed (nothing)", Figure::ms(self.lists)),
            Row::new("· close, with the container removed", Figure::ms(self.closes)),
        ]
    }
}

async fn of(engine: &Engine, base: &Path, changes: docker::Changes) -> Result<Measured> {
    let address = engine.address();
    let config = docker::Config { engine: address.clone(), image: IMAGE.to_owned(), runtime: None, changes };
    let (config, policy, tree) = (Config::Docker(config), Policy::default(), Tree::of(vec![base.to_owned()]));
    let rival = ["--host", &address, "run", "--rm", "--network", "none", IMAGE, "true"];
    // The first one prepares the image.
    sandbox::open(&config, &tree, &policy).await?.close().await?;
    process::run_plain("docker", &rival)?;
    let mut measured = Measured::default();
    for _ in 0..OPENED {
        let started = Instant::now();
        let opened = sandbox::open(&config, &tree, &policy).await?;
        measured.opens.push(started.elapsed());
        let started = Instant::now();
        opened.close().await?;
        measured.closes.push(started.elapsed());
        measured.runs.push(process::run_plain("docker", &rival)?);
    }
    let opened = sandbox::open(&config, &tree, &policy).await?;
    for _ in 0..COMMANDS {
        let started = Instant::now();
        sandboxes::run(&*opened, "true").await?;
        measured.commands.push(started.elapsed());
        let started = Instant::now();
        opened.changes().await?;
        measured.lists.push(started.elapsed());
    }
    opened.close().await?;
    Ok(measured)
}
