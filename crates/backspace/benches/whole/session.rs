//! All fixed work of a session, from the checkout to the pull request.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::figure::{Figure, Row};
use crate::forge::Forge;
use crate::model::{Model, Reply};
use crate::process::{self, BINARY, Took};
use crate::{Measure, machine, repository, sandboxes};

pub(crate) const MEASURE: Measure = Measure {
    name: "session",
    title: "the whole fixed work of a session of 12 turns",
    about: "`backspace run` on a repository of 240 files, from the start of the process to its end, with the pull request \
            open and read back: list, read, three edits with a check and a look each, `git diff --stat`, finish. Warm: the \
            mirror and the base tree are there, and nothing new is on the forge. CPU is that of the process and of all its \
            children; the forge's and its git's are not in it. Beside it the least that the same work takes by hand: \
            `git clone --depth 1`, a fresh `bwrap` for each of the twelve commands, `git add`, `commit`, `push`, with \
            nothing checked, nothing stored and no pull request.",
    run: measure,
};

const RUNS: usize = 10;
const UNCHANGED: i32 = 3;

fn measure() -> Result<Vec<Row>> {
    let (folder, in_memory) = (machine::folder()?, machine::folder_in_memory()?);
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    // One repository for each session: a branch that a former one pushed would have to be fetched first.
    let names: Vec<String> = (0..RUNS).map(|n| format!("work-{n}")).collect();
    let forge = Forge::start(&seed, &names)?;
    let model = Model::start(&repository::twelve_turns(), Duration::ZERO)?;
    let idle = Model::start(&[Reply::finish()], Duration::ZERO)?;
    let (mut cold, mut warm, mut without_disk, mut by_hand) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for name in &names {
        let address = forge.address(name);
        let run = |home: &Path, model: &Model, code: i32| {
            let settings = process::settings(home, &forge, model);
            process::run(process::command(BINARY, &["run", &address, "Count on"], &settings), code)
        };
        let (first, second) =
            (folder.path().join(format!("{name}-a")), folder.path().join(format!("{name}-b")));
        let third = in_memory.path().join(name);
        // Before anything is pushed, so that a warm session finds nothing new.
        run(&second, &idle, UNCHANGED)?;
        warm.push(run(&second, &model, 0)?);
        run(&third, &idle, UNCHANGED)?;
        without_disk.push(run(&third, &model, 0)?);
        cold.push(run(&first, &model, 0)?);
        let asked = model.take_exchanges().len();
        ensure!(asked == 3 * repository::twelve_turns().len(), "the model was asked {asked} times");
        by_hand.push(work_by_hand(&forge, name, &folder.path().join(format!("{name}-c")))?);
    }
    let wall = |runs: &[Took]| Figure::ms(runs.iter().map(|took| took.wall));
    let cpu = |runs: &[Took]| Figure::new("s", runs.iter().map(|took| took.cpu.as_secs_f64()));
    Ok(vec![
        Row::new("warm: wall", wall(&warm)).at_most(350.0).beside("by hand", Figure::ms(by_hand)),
        Row::new("warm: CPU", cpu(&warm)).at_most(0.3),
        Row::new("warm, the state in memory (no disk to wait for): wall", wall(&without_disk)),
        Row::new("cold, mirror and base tree made first: wall", wall(&cold)).at_most(350.0),
        Row::new("cold: CPU", cpu(&cold)).at_most(0.3),
        Row::new("peak memory of the process", Figure::new("MiB", warm.iter().map(|took| took.peak_mib)))
            .at_most(25.0),
    ])
}

/// The least that the same work takes with git and bubblewrap alone.
fn work_by_hand(forge: &Forge, name: &str, clone: &Path) -> Result<Duration> {
    let git = |arguments: &[&str]| -> Result<()> {
        let mut command = process::command("git", arguments, &process::plain_settings());
        let folder = if clone.exists() { clone } else { Path::new("/") };
        let status = command.current_dir(folder).status().context("cannot run git")?;
        ensure!(status.success(), "git {arguments:?} failed");
        Ok(())
    };
    let (address, target) = (forge.address_with_token(name), clone.display().to_string());
    let (path, branch) = (repository::small_path(7), "HEAD:refs/heads/by-hand");
    let started = Instant::now();
    git(&["clone", "--quiet", "--depth=1", &address, &target])?;
    sandboxes::plain_commands(clone, &format!("grep -n MARKER {path}"), 12)?;
    let file = clone.join(&path);
    let text = std::fs::read_to_string(&file)?.replace("MARKER_007 = 0", "MARKER_007 = 2");
    std::fs::write(&file, text)?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message=Count on"])?;
    git(&["push", "--quiet", "origin", branch])?;
    Ok(started.elapsed())
}
