//! What a turn costs, and whether it stays so.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::figure::{Figure, Row};
use crate::forge::Forge;
use crate::model::{Exchange, Model, Reply};
use crate::process::{self, BINARY, Took};
use crate::{Measure, machine, repository, sandboxes};

pub(crate) const MEASURE: Measure = Measure {
    name: "turns",
    title: "agent time a turn",
    about: "A session of 400 turns, each a `bash` call in the sandbox: by turns one that prints 40 lines and one that also \
            appends to one of twenty files. From the moment at which the model begins to answer to the moment at which its \
            next request has arrived whole: reply parsed and stored, command run, work tree looked through, change \
            committed to the hidden ref, result stored. A figure is the median of the runs' medians.",
    run: measure,
};

const RUNS: usize = 5;
const TURNS: usize = 400;
/// More files than an agent usually has in hand.
const FILES: usize = 20;

fn measure() -> Result<Vec<Row>> {
    let folder = machine::folder()?;
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    let names: Vec<String> = (0..RUNS).map(|n| format!("turns-{n}")).collect();
    let forge = Forge::start(&seed, &names)?;
    let script: Vec<Reply> = (0..TURNS).map(turn).chain([Reply::finish()]).collect();
    let model = Model::start(&script, Duration::ZERO)?;
    let settings = process::settings(&folder.path().join("home"), &forge, &model);
    let mut runs: Vec<(Vec<Exchange>, Took)> = Vec::new();
    let (mut boxed, mut committed) = (Vec::new(), Vec::new());
    let plain = PlainCommits::new(&seed)?;
    for name in &names {
        let run = process::command(BINARY, &["run", &forge.address(name), "Count on"], &settings);
        let took = process::run(run, 0)?;
        let exchanges = model.take_exchanges();
        ensure!(exchanges.len() == TURNS + 1, "{} requests instead of {}", exchanges.len(), TURNS + 1);
        runs.push((exchanges, took));
        boxed.push(sandboxes::plain_commands(&seed, &command(0), 20)?);
        committed.push(plain.commits(20)?);
    }
    let mut rows = Vec::new();
    for (kind, what, bound) in [(0, "nothing changed", 10.0), (1, "change saved", 25.0)] {
        for quarter in 0..4 {
            let (first, last) = (quarter * TURNS / 4, (quarter + 1) * TURNS / 4);
            let medians = runs.iter().map(|(exchanges, _)| {
                let gaps = gaps(exchanges).skip(first).take(last - first).enumerate();
                Figure::ms(gaps.filter(|(n, _)| n % 2 == kind).map(|(_, gap)| gap)).median()
            });
            let row = Row::new(format!("{what}, turns {}–{last}", first + 1), Figure::new("ms", medians))
                .at_most(bound);
            let rival = if kind == 0 {
                ("the command in a fresh `bwrap`", &boxed)
            } else {
                ("`git add`, `git commit`", &committed)
            };
            let rival_medians =
                Figure::new("ms", rival.1.iter().map(|times| Figure::ms(times.iter().copied()).median()));
            rows.push(if quarter == 0 { row.beside(rival.0, rival_medians) } else { row });
        }
    }
    rows.extend(beyond_the_median(&runs));
    Ok(rows)
}

fn beyond_the_median(runs: &[(Vec<Exchange>, Took)]) -> Vec<Row> {
    let mut by_kind: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    for (exchanges, _) in runs {
        gaps(exchanges).enumerate().for_each(|(n, gap)| by_kind.entry(n % 2).or_default().push(gap));
    }
    let slow = |kind: usize| Figure::ms(by_kind.get(&kind).cloned().unwrap_or_default()).at_share(0.9);
    let last = runs.iter().filter_map(|(exchanges, _)| exchanges.last());
    let per_turn = runs.iter().map(|(_, took)| took.cpu / TURNS as u32);
    vec![
        Row::new("nothing changed: 90 % of all turns within", Figure::new("ms", [slow(0)])),
        Row::new("change saved: 90 % of all turns within", Figure::new("ms", [slow(1)])),
        Row::new("CPU a turn, the command's and git's included", Figure::ms(per_turn)),
        Row::new(
            "last request",
            Figure::new("kB", last.map(|exchange| exchange.request_bytes as f64 / 1000.0)),
        ),
        Row::new(
            "peak memory of the process",
            Figure::new("MiB", runs.iter().map(|(_, took)| took.peak_mib)),
        )
        .at_most(25.0),
    ]
}

/// Turn `n`: every second one changes a file.
fn turn(n: usize) -> Reply {
    Reply::bash(&command(n))
}

fn command(n: usize) -> String {
    let path = repository::small_path(n / 2 % FILES);
    let look = format!("head -n 40 {path}");
    if n.is_multiple_of(2) { look } else { format!("echo '# turn {n}' >> {path}; {look}") }
}

/// From each answer to the next request.
fn gaps(exchanges: &[Exchange]) -> impl Iterator<Item = Duration> {
    exchanges.windows(2).filter_map(|pair| match pair {
        [this, next] => Some(next.arrived.duration_since(this.answered)),
        _ => None,
    })
}

/// What people do to keep a step: `git add` and `git commit`.
struct PlainCommits {
    folder: tempfile::TempDir,
}

impl PlainCommits {
    fn new(seed: &Path) -> Result<Self> {
        let folder = machine::folder()?;
        let plain = Self { folder };
        let copied = Command::new("cp").arg("-a").arg(seed.join(".")).arg(plain.folder.path()).status();
        ensure!(copied.context("cannot copy the repository")?.success(), "cannot copy the repository");
        plain.git(&["init", "--quiet", "--initial-branch=main"])?;
        plain.git(&["add", "--all"])?;
        plain.git(&["commit", "--quiet", "--message=Base"])?;
        Ok(plain)
    }

    fn commits(&self, count: usize) -> Result<Vec<Duration>> {
        let path = self.folder.path().join(repository::small_path(1));
        let mut times = Vec::new();
        for _ in 0..count {
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(&path, text + "# turn\n")?;
            let started = Instant::now();
            self.git(&["add", "--all"])?;
            self.git(&["commit", "--quiet", "--message=Step"])?;
            times.push(started.elapsed());
        }
        Ok(times)
    }

    fn git(&self, arguments: &[&str]) -> Result<()> {
        let mut command = process::command("git", arguments, &process::plain_settings());
        let status = command.current_dir(self.folder.path()).status().context("cannot run git")?;
        ensure!(status.success(), "git {arguments:?} failed");
        Ok(())
    }
}
