//! Runs a git command to its end, within its deadline and bounds.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use events::{Redactor, head_and_tail};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};

use super::{Call, Ran, Stdin};
use crate::Error;

/// More than this is not kept of what a command says on its standard error.
const STDERR_BYTES_MAX: usize = 256 << 10;
/// More than this of it stands in no error and no log entry.
const TOLD_BYTES_MAX: usize = 4 << 10;

/// Memory of one git: an object may claim to unpack to any size. The largest of well-known projects take a third. On a small
/// machine it is half of what there is.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
/// Size of one file that git writes: a remote may send without end. Packs of the largest of well-known projects are below
/// ten GiB.
const FILE_BYTES_MAX: u64 = 64 << 30;

/// What came of a git command.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit code; `-1` when a signal ended it.
    pub(crate) code: i32,
    /// It ended because nobody read what it wrote: whoever should have read knows why.
    pub(crate) unread: bool,
    pub(crate) stdout: Vec<u8>,
    /// More was printed than was allowed; `stdout` is its beginning.
    pub(crate) overflow: bool,
    /// What it said, bounded, without credentials and control characters.
    pub(crate) said: String,
    pub(crate) took: Duration,
    doing: String,
    redactor: Redactor,
}

/// Runs `call`; a command that fails is a result.
pub(crate) async fn run(call: Call) -> Result<Output, Error> {
    let started = Instant::now();
    let child = spawn(&call)?;
    let outcome = tokio::time::timeout(call.timeout, finish(child, &call)).await;
    let ended = outcome.map_err(|_| timed_out(&call))??;
    Ok(output(call, ended, started))
}

/// Runs `from`, whose output is the input of `into`, and gives what came of each.
pub(crate) async fn run_piped(from: Call, into: Call) -> Result<(Output, Output), Error> {
    let started = Instant::now();
    let mut first = spawn(&from)?;
    let pipe = first.0.stdout.take().ok_or_else(|| broken(&from, "no pipe"))?;
    let pipe: std::process::Stdio = pipe.try_into().map_err(|e| Error::system(from.doing.clone(), e))?;
    let started_second = into.command().and_then(|mut command| command.stdin(pipe).spawn());
    let second = Running(started_second.map_err(|e| Error::system("start git", e))?);
    bound(&second);
    let both = async { tokio::join!(finish(first, &from), finish(second, &into)) };
    let (one, two) = tokio::time::timeout(into.timeout, both).await.map_err(|_| timed_out(&into))?;
    Ok((output(from, one?, started), output(into, two?, started)))
}

impl Output {
    /// The output, if the command succeeded.
    pub(crate) fn success(self) -> Result<Self, Error> {
        if self.code == 0 { Ok(self) } else { Err(self.into_error()) }
    }

    pub(crate) fn into_error(self) -> Error {
        Error::Git { doing: self.doing, exit_code: self.code, message: self.said }
    }

    /// The standard output as text, without the newline at its end.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// The standard output as it may be shown, like `said`.
    pub(crate) fn told(&self) -> String {
        told(&self.redactor, &self.stdout)
    }

    /// For the log: `command` is the line that a person would type.
    pub(crate) fn ran(&self, command: String, output: String) -> Ran {
        let duration_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
        Ran { command, output, exit_code: self.code, duration_ms }
    }
}

fn output(call: Call, (status, stdout, stderr): Ended, started: Instant) -> Output {
    Output {
        code: status.code().unwrap_or(-1),
        unread: status.signal() == Some(Signal::PIPE.as_raw()),
        overflow: stdout.overflow,
        stdout: stdout.bytes,
        said: told(&call.redactor, &stderr.bytes),
        took: started.elapsed(),
        doing: call.doing,
        redactor: call.redactor,
    }
}

/// A child that is ended, with the programs it started, when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // `id` is gone once the child was waited for, so that no stranger's group is meant.
        let group = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            let _already_gone = kill_process_group(group, Signal::KILL);
        }
    }
}

fn spawn(call: &Call) -> Result<Running, Error> {
    let started = call.command().and_then(|mut command| command.spawn());
    let running = started.map(Running).map_err(|e| Error::system("start git (is it installed?)", e))?;
    bound(&running);
    Ok(running)
}

/// Bounds what one git takes, and each program that it starts from now on: what it reads is hostile.
fn bound(running: &Running) {
    let Some(process) = running.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else {
        return;
    };
    let system = rustix::system::sysinfo();
    let memory = MEMORY_BYTES_MAX.min(system.totalram.saturating_mul(system.mem_unit.into()) / 2);
    for (resource, most) in [(Resource::Data, memory), (Resource::Fsize, FILE_BYTES_MAX)] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        // Refused where a lower one holds already, and when it has ended.
        let _ = prlimit(Some(process), resource, limit);
    }
}

type Ended = (ExitStatus, Kept, Kept);

/// Feeds the child, reads what it prints, and waits for its end.
async fn finish(mut running: Running, call: &Call) -> Result<Ended, Error> {
    let child = &mut running.0;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let (_, stdout, stderr) = tokio::join!(
        feed(stdin, &call.stdin),
        keep(stdout, call.stdout_bytes_max),
        keep(stderr, STDERR_BYTES_MAX)
    );
    let read = |e| Error::system(format!("{}: read from git", call.doing), e);
    let (stdout, stderr) = (stdout.map_err(read)?, stderr.map_err(read)?);
    let status = child.wait().await.map_err(|e| Error::system("wait for git", e))?;
    Ok((status, stdout, stderr))
}

/// A command that does not read all of its input says why itself.
async fn feed(stdin: Option<ChildStdin>, input: &Stdin) {
    if let (Some(mut stdin), Stdin::Bytes(bytes)) = (stdin, input) {
        let _unread = stdin.write_all(bytes).await;
    }
}

/// What was kept of a stream.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    overflow: bool,
}

/// Reads to the end, or closes the pipe once there is more than `bytes_max`.
async fn keep(stream: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> std::io::Result<Kept> {
    let Some(stream) = stream else { return Ok(Kept::default()) };
    let mut bytes = Vec::new();
    stream.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await?;
    let overflow = bytes.len() > bytes_max;
    bytes.truncate(bytes_max);
    Ok(Kept { bytes, overflow })
}

/// What git said, as it may be shown.
fn told(redactor: &Redactor, stderr: &[u8]) -> String {
    // A progress meter overwrites its line.
    let text: String = String::from_utf8_lossy(stderr)
        .lines()
        .map(|line| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    let text = events::escape_control(&redactor.redact(text.trim()));
    head_and_tail(&text, TOLD_BYTES_MAX)
}

fn timed_out(call: &Call) -> Error {
    Error::Timeout { doing: call.doing.clone(), seconds: call.timeout.as_secs() }
}

fn broken(call: &Call, why: &'static str) -> Error {
    Error::system(call.doing.clone(), std::io::Error::other(why))
}
