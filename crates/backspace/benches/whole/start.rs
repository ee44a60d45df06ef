//! From the start of the process to the first thing that the model is asked.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::figure::{Figure, Row};
use crate::forge::Forge;
use crate::model::{Model, Reply};
use crate::process::{self, BINARY};
use crate::{Measure, machine, repository};

pub(crate) const MEASURE: Measure = Measure {
    name: "start",
    title: "from the start of the process to the first request",
    about: "`backspace run` on a repository of 240 files, with its base tree warm: the forge is asked about the \
            repository, `git ls-remote` over loopback HTTP finds nothing new, a sandbox is opened, the model is asked.",
    run: measure,
};

const RUNS: usize = 30;
/// Nothing was changed.
const UNCHANGED: i32 = 3;

fn measure() -> Result<Vec<Row>> {
    let (folder, in_memory) = (machine::folder()?, machine::folder_in_memory()?);
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    let forge = Forge::start(&seed, &["small".to_owned()])?;
    let model = Model::start(&[Reply::finish()], Duration::ZERO)?;
    let address = forge.address("small");
    let run = |home: &Path| {
        let settings = process::settings(home, &forge, &model);
        let command = process::command(BINARY, &["run", &address, "Do nothing"], &settings);
        let took = process::run(command, UNCHANGED)?;
        Ok::<_, anyhow::Error>((first_request(&model, took.started)?, took))
    };
    let (home, other) = (folder.path().join("home"), in_memory.path().join("home"));
    let (cold, _) = run(&home)?;
    run(&other)?;
    let (mut starts, mut without_disk, mut whole, mut cpu, mut peaks) =
        (vec![], vec![], vec![], vec![], vec![]);
    let (mut listed, mut cloned) = (vec![], vec![]);
    for n in 0..RUNS {
        let (start, took) = run(&home)?;
        starts.push(start);
        whole.push(took.wall);
        cpu.push(took.cpu);
        peaks.push(took.peak_mib);
        without_disk.push(run(&other)?.0);
        listed.push(process::run_plain("git", &["ls-remote", "--heads", &address])?);
        let clone = folder.path().join(format!("clone-{n}"));
        let target = clone.display().to_string();
        cloned.push(process::run_plain("git", &["clone", "--quiet", "--depth=1", &address, &target])?);
    }
    Ok(vec![
        Row::new("process start → first request", Figure::ms(starts))
            .at_most(60.0)
            .beside("`git ls-remote` alone", Figure::ms(listed))
            .beside("`git clone --depth 1`", Figure::ms(cloned)),
        Row::new("the same, mirror and base tree not made yet", Figure::ms([cold])),
        Row::new("the same, warm, the state in memory (no disk to wait for)", Figure::ms(without_disk)),
        Row::new("peak memory of the process", Figure::new("MiB", peaks)).at_most(25.0),
        Row::new("the whole run, until the process has ended", Figure::ms(whole)),
        Row::new("its CPU, git's and the sandbox's included", Figure::ms(cpu)),
    ])
}

fn first_request(model: &Model, started: Instant) -> Result<Duration> {
    let exchanges = model.take_exchanges();
    let first = exchanges.first().context("the model was not asked")?;
    Ok(first.arrived.duration_since(started))
}
