//! Runs `backspace` and its rivals as people do, and notes what they take.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::forge::Forge;
use crate::model::Model;

/// The program that is measured.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_backspace");
/// Nothing of the caller's environment reaches what is measured.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// So often the memory of a process is looked at; its peak is what the system remembers, so little is missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Linux tells processor time in steps of this length, whatever it counts in itself.
const TICK: Duration = Duration::from_millis(10);

/// Settings, as environment variables.
pub(crate) type Settings = Vec<(String, String)>;

/// What a process took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) started: Instant,
    pub(crate) wall: Duration,
    /// Of the process and of all that it waited for.
    pub(crate) cpu: Duration,
    /// Of the process alone.
    pub(crate) peak_mib: f64,
}

/// The settings of a `backspace` at `home` that knows `forge` and `model`.
pub(crate) fn settings(home: &Path, forge: &Forge, model: &Model) -> Settings {
    [forge.settings.clone(), settings_without_forge(home, model)].concat()
}

/// The settings of a `backspace` at `home` that knows `model`, for repositories on this machine.
pub(crate) fn settings_without_forge(home: &Path, model: &Model) -> Settings {
    let home = home.display().to_string();
    let settings = [
        ("BACKSPACE_HOME", home),
        ("ANTHROPIC_API_KEY", "any-key".to_owned()),
        ("ANTHROPIC_BASE_URL", model.url()),
    ];
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A command with an environment of its own.
pub(crate) fn command(program: &str, arguments: &[&str], settings: &Settings) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", SEARCH_PATH).envs(settings.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs `command` to its end, which must have the exit code `code`.
///
/// # Errors
/// When it cannot be started or ends otherwise; what it said is told.
pub(crate) fn run(mut command: Command, code: i32) -> Result<Took> {
    let mut said = tempfile::tempfile().context("cannot make a file")?;
    command.stderr(said.try_clone().context("cannot share a file")?);
    let cpu_before = cpu_of_children()?;
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let id = child.id();
    let looking = thread::spawn(move || peak_mib_until_end(id));
    let status = child.wait().context("cannot wait for a process")?;
    let wall = started.elapsed();
    let cpu = cpu_of_children()?.saturating_sub(cpu_before);
    if status.code() != Some(code) {
        bail!("{command:?} ended with {status} instead of {code}:\n{}", text(&mut said)?);
    }
    let peak_mib = looking.join().unwrap_or(f64::NAN);
    Ok(Took { started, wall, cpu, peak_mib })
}

/// Runs a rival's command, which must succeed.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_plain(program: &str, arguments: &[&str]) -> Result<Duration> {
    Ok(run(command(program, arguments, &plain_settings()), 0)?.wall)
}

/// Git without anybody's settings.
pub(crate) fn plain_settings() -> Settings {
    let variables = [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "Bench"),
        ("GIT_AUTHOR_EMAIL", "bench@example.org"),
        ("GIT_COMMITTER_NAME", "Bench"),
        ("GIT_COMMITTER_EMAIL", "bench@example.org"),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Memory that a process has now, in KiB.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_kib(id: u32) -> Result<f64> {
    memory(id, "VmRSS:").with_context(|| format!("process {id} is gone"))
}

/// What a living process itself has used of the processors so far.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_of(id: u32) -> Result<Duration> {
    // utime and stime
    ticks(&format!("/proc/{id}/stat"), 11)
}

/// Asks a process to end as Ctrl-C does, and waits until it has.
pub(crate) fn end(child: &mut Child) {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let asked = id.is_some_and(|id| rustix::process::kill_process(id, rustix::process::Signal::INT).is_ok());
    if !asked {
        drop(child.kill());
    }
    drop(child.wait());
}

/// What all children that were waited for have used of the processors, with all that they waited for.
fn cpu_of_children() -> Result<Duration> {
    // cutime and cstime
    ticks("/proc/self/stat", 13)
}

/// The sum of two neighbouring counters of a `stat` file, the `first` one counted after the program's name.
fn ticks(path: &str, first: usize) -> Result<Duration> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let (_, fields) = text.rsplit_once(')').with_context(|| format!("{path} is odd"))?;
    let counters: Vec<u32> = fields.split_whitespace().skip(first).take(2).flat_map(str::parse).collect();
    Ok(TICK * counters.iter().sum::<u32>())
}

fn peak_mib_until_end(id: u32) -> f64 {
    let mut peak_kib = f64::NAN;
    while let Some(kib) = memory(id, "VmHWM:") {
        peak_kib = kib;
        thread::sleep(LOOK_EVERY);
    }
    peak_kib / 1024.0
}

/// A line of a process's status, in KiB; nothing once it has ended.
fn memory(id: u32, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

fn text(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).context("cannot read what was said")?;
    Ok(text)
}
