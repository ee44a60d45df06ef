//! What a sandbox costs beside plain bubblewrap.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::{Command, Config, Ended, FileTool, Policy, Sandbox, Tree, namespaces};

use crate::figure::{Figure, Row};
use crate::{Measure, machine, process, repository};

pub(crate) const MEASURE: Measure = Measure {
    name: "sandboxes",
    title: "the sandbox beside plain bubblewrap",
    about: "A session opens one sandbox (overlay over the base tree, quota, control group, filters, a program of our own \
            inside) and runs its commands in it. The rival is bubblewrap by hand: the same namespaces and root, the work \
            tree bound writable, no overlay, no quota, no filter; a fresh one for each command.",
    run: measure,
};

const OPENED: usize = 30;
const COMMANDS: usize = 100;

fn measure() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure_sandboxes())
}

async fn measure_sandboxes() -> Result<Vec<Row>> {
    let folder = machine::folder()?;
    let base = folder.path().join("base");
    repository::small(&base)?;
    let tree = Tree::of(vec![base.clone()]);
    let (config, policy) = (Config::Namespaces(namespaces::Config::default()), Policy::default());
    let (mut opens, mut closes) = (Vec::new(), Vec::new());
    let mut by_hand = Vec::new();
    for _ in 0..OPENED {
        let started = Instant::now();
        let opened = sandbox::open(&config, &tree, &policy).await?;
        opens.push(started.elapsed());
        let started = Instant::now();
        opened.close().await?;
        closes.push(started.elapsed());
        by_hand.extend(plain_commands(&base, "true", 1)?);
    }
    let opened = sandbox::open(&config, &tree, &policy).await?;
    let look =
        FileTool::Read { path: repository::small_path(3), first_line: 1, lines_max: 40, bytes_max: 8192 };
    let (mut commands, mut reads, mut lists) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        let started = Instant::now();
        run(&*opened, "true").await?;
        commands.push(started.elapsed());
        let started = Instant::now();
        opened.file(&look).await?;
        reads.push(started.elapsed());
        let started = Instant::now();
        opened.changes().await?;
        lists.push(started.elapsed());
    }
    opened.close().await?;
    let by_hand = Figure::ms(by_hand);
    Ok(vec![
        Row::new("open, once a session", Figure::ms(opens))
            .at_most(15.0)
            .beside("`bwrap … bash -c true`", by_hand.clone()),
        Row::new("a command (`true` in a new bash)", Figure::ms(commands))
            .at_most(5.0)
            .beside("`bwrap … bash -c true`", by_hand),
        Row::new("reading 40 lines of a file", Figure::ms(reads)),
        Row::new("listing what changed (nothing)", Figure::ms(lists)),
        Row::new("close, with all inside ended", Figure::ms(closes)),
    ])
}

/// Runs `script` in an open sandbox; it must succeed.
///
/// # Errors
/// When it does not.
pub(crate) async fn run(sandbox: &dyn Sandbox, script: &str) -> Result<()> {
    let command = Command {
        script: script.to_owned(),
        timeout: Duration::from_secs(60),
        output_bytes_max: 8 * 1024,
        live: None,
    };
    let ran = sandbox.run(&command).await?;
    ensure!(matches!(ran.ended, Ended::Exited(0)), "{script}: {:?}: {}", ran.ended, ran.output);
    Ok(())
}

/// Runs `script` so many times, each time in a fresh plain bubblewrap over `folder`.
///
/// # Errors
/// When one of them does not succeed.
pub(crate) fn plain_commands(folder: &Path, script: &str, count: usize) -> Result<Vec<Duration>> {
    let work = folder.display().to_string();
    let mut arguments = vec!["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"];
    arguments.extend(["--uid", "1000", "--gid", "1000", "--hostname", "sandbox"]);
    arguments.extend(["--new-session", "--die-with-parent", "--clearenv", "--ro-bind", "/usr", "/usr"]);
    arguments.extend(["--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]);
    if Path::new("/usr/lib64").is_dir() {
        arguments.extend(["--symlink", "usr/lib64", "/lib64"]);
    }
    arguments.extend([
        "--ro-bind",
        "/etc/alternatives",
        "/etc/alternatives",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
    ]);
    arguments.extend([
        "--tmpfs",
        "/tmp",
        "--dir",
        "/home/agent",
        "--bind",
        &work,
        "/work",
        "--chdir",
        "/work",
    ]);
    arguments.extend(["--remount-ro", "/", "--", "/bin/bash", "-c", script]);
    let one = || {
        let mut command = process::command("bwrap", &arguments, &process::Settings::new());
        let started = Instant::now();
        let status = command.status().context("cannot run bwrap")?;
        let took = started.elapsed();
        ensure!(status.success(), "bwrap … {script} ended with {status}");
        Ok(took)
    };
    (0..count).map(|_| one()).collect()
}
