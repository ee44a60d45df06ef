//! What a turn costs, and whether it stays so.

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

/// A run and what it exchanged with the model.
struct Run {
    exchanges: Vec<Exchange>,
    took: Took,
}

fn measure() -> Result<Vec<Row>> {
    let (folder, in_memory) = (machine::folder()?, machine::folder_in_memory()?);
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    let names: Vec<String> = (0..RUNS).map(|n| format!("turns-{n}")).collect();
    let forge = Forge::start(&seed, &names)?;
    let script: Vec<Reply> = (0..TURNS).map(turn).chain([Reply::finish()]).collect();
    let model = Model::start(&script, Duration::ZERO)?;
    let run = |name: &str, home: &Path| {
        let settings = process::settings(home, &forge, &model);
        let command = process::command(BINARY, &["run", &forge.address(name), "Count on"], &settings);
        let took = process::run(command, 0)?;
        let exchanges = model.take_exchanges();
        ensure!(exchanges.len() == TURNS + 1, "{} requests instead of {}", exchanges.len(), TURNS + 1);
        Ok(Run { exchanges, took })
    };
    let (mut on_disk, mut without_disk) = (Vec::new(), Vec::new());
    let (mut boxed, mut committed) = (Vec::new(), Vec::new());
    let plain = PlainCommits::new(&seed)?;
    for name in &names {
        on_disk.push(run(name, &folder.path().join("home"))?);
        without_disk.push(run(name, &in_memory.path().join("home"))?);
        boxed.push(Figure::ms(sandboxes::plain_commands(&seed, &command(0), 20)?).median());
        committed.push(Figure::ms(plain.commits(20)?).median());
    }
    let mut unchanged = by_quarter(&on_disk, Kind::Unchanged);
    let mut changed = by_quarter(&on_disk, Kind::Changed);
    beside_first(&mut unchanged, "the command in a fresh `bwrap`", Figure::new("ms", boxed));
    beside_first(&mut changed, "`git add`, `git commit`", Figure::new("ms", committed));
    Ok([unchanged, changed, all_turns(&on_disk, &without_disk)].concat())
}

/// What a turn's command does to the work tree.
#[derive(Clone, Copy)]
enum Kind {
    Unchanged,
    Changed,
}

impl Kind {
    /// The target, in milliseconds.
    fn bound(self) -> f64 {
        match self {
            Self::Unchanged => 10.0,
            Self::Changed => 25.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "nothing changed",
            Self::Changed => "change saved",
        }
    }

    /// The turns of this kind among turns `from` up to `to`.
    fn of(self, run: &Run, from: usize, to: usize) -> Figure {
        let odd = usize::from(matches!(self, Self::Changed));
        let gaps = gaps(&run.exchanges).enumerate().take(to).skip(from);
        Figure::ms(gaps.filter(|(n, _)| n % 2 == odd).map(|(_, gap)| gap))
    }
}

fn by_quarter(runs: &[Run], kind: Kind) -> Vec<Row> {
    let quarter = |n: usize| {
        let (from, to) = (n * TURNS / 4, (n + 1) * TURNS / 4);
        let medians = runs.iter().map(|run| kind.of(run, from, to).median());
        let what = format!("{}, turns {}–{to}", kind.name(), from + 1);
        Row::new(what, Figure::new("ms", medians)).at_most(kind.bound())
    };
    (0..4).map(quarter).collect()
}

fn beside_first(rows: &mut [Row], name: &str, figure: Figure) {
    if let Some(row) = rows.first_mut() {
        *row = row.clone().beside(name, figure);
    }
}

fn all_turns(on_disk: &[Run], without_disk: &[Run]) -> Vec<Row> {
    let at_share = |runs: &[Run], kind: Kind, share: f64| {
        Figure::new("ms", runs.iter().map(|run| kind.of(run, 0, TURNS).at_share(share)))
    };
    let mut rows = Vec::new();
    for kind in [Kind::Unchanged, Kind::Changed] {
        let name = kind.name();
        rows.push(Row::new(format!("{name}: 90 % of all turns within"), at_share(on_disk, kind, 0.9)));
        let row = Row::new(
            format!("{name}, the state in memory (no disk to wait for)"),
            at_share(without_disk, kind, 0.5),
        );
        rows.push(row.beside("on disk", at_share(on_disk, kind, 0.5)));
    }
    let per_turn = on_disk.iter().map(|run| run.took.cpu / TURNS as u32);
    let last = on_disk.iter().filter_map(|run| run.exchanges.last());
    let peak = on_disk.iter().map(|run| run.took.peak_mib);
    rows.push(Row::new("CPU a turn, the command's and git's included", Figure::ms(per_turn)));
    rows.push(Row::new(
        "last request",
        Figure::new("kB", last.map(|exchange| exchange.request_bytes as f64 / 1000.0)),
    ));
    rows.push(Row::new("peak memory of the process", Figure::new("MiB", peak)).at_most(25.0));
    rows
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
