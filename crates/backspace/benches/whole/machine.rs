//! What the figures were measured on.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::figure::Figure;

/// The machine and the programs on it, as a paragraph.
///
/// # Errors
/// When something does not tell what it is.
pub(crate) fn describe() -> Result<String> {
    let cores = std::thread::available_parallelism().context("cannot count the cores")?;
    let processor = field("/proc/cpuinfo", "model name")?;
    let memory_kib: u64 = first_word(&field("/proc/meminfo", "MemTotal")?).parse()?;
    let (system, kernel) = (field_of("/etc/os-release", "PRETTY_NAME", '=')?, told("uname", &["-r"])?);
    let (git, bubblewrap) = (told("git", &["--version"])?, told("bwrap", &["--version"])?);
    let (rust, sync) = (told("rustc", &["--version"])?, sync_ms()?);
    let user = if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" };
    Ok(format!(
        "Machine: {processor}, {cores} cores, {} GiB, {}, Linux {kernel}; {git}, {bubblewrap}, {rust}; as {user}. \
         A synced write of 4 KiB takes {:.2} ms here (90 % within {:.2} ms).",
        memory_kib.div_ceil(1 << 20),
        system.trim_matches('"'),
        sync.median(),
        sync.at_share(0.9),
    ))
}

/// The load average of the last minute.
///
/// # Errors
/// When the system does not tell.
pub(crate) fn load() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read the load average")?;
    Ok(first_word(&text).to_owned())
}

/// Today and now, in UTC.
///
/// # Errors
/// When the system does not tell.
pub(crate) fn date() -> Result<String> {
    told("date", &["-u", "+%F %H:%M UTC"])
}

/// Release and commit of what is measured.
///
/// # Errors
/// When git does not tell.
pub(crate) fn version() -> Result<String> {
    let commit =
        told("git", &["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty=, changed"])?;
    Ok(format!("backspace {} ({commit})", env!("CARGO_PKG_VERSION")))
}

/// Where everything of a run is kept: beside what Cargo builds, and so on a disk.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("cannot make a folder for the measure")
}

/// Where nothing waits for a disk, to tell what of a figure is the disk's.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn folder_in_memory() -> Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").context("cannot make a folder in memory")
}

/// What every saved step waits for, some times over.
fn sync_ms() -> Result<Figure> {
    const WRITES: usize = 50;
    let mut file =
        tempfile::tempfile_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).context("cannot make a file")?;
    let one = |file: &mut File| -> std::io::Result<Duration> {
        file.write_all(&[0; 4096])?;
        let started = Instant::now();
        file.sync_data()?;
        Ok(started.elapsed())
    };
    let times: std::io::Result<Vec<Duration>> = (0..WRITES).map(|_| one(&mut file)).collect();
    Ok(Figure::ms(times?))
}

fn told(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("cannot run {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn field(path: &str, name: &str) -> Result<String> {
    field_of(path, name, ':')
}

/// The value of `name` in a file of lines.
fn field_of(path: &str, name: &str, separator: char) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let fields = text.lines().filter_map(|line| line.split_once(separator));
    let value = fields.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned()).next();
    value.with_context(|| format!("{path} has no {name}"))
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}
