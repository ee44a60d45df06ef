//! Runs a script to its end or its deadline.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use backspace_init::protocol::{Ended, Ran, Script};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::output::Output;
use crate::shell::{self, Report, Shell, Surroundings};
use crate::tree;

/// What a process tree is given between the request to end and the end.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long the output is read on after the shell has ended: something in the background may hold it open for ever.
const HELD_OUTPUT: Duration = Duration::from_secs(1);
/// How often a process tree that shall end is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// One read of a pipe that is full.
const READ_BYTES: usize = 64 * 1024;

/// Takes output while it comes.
pub(crate) type Tell<'a> = dyn Fn(&[u8]) + 'a;

/// Runs `script`; gives its output pipe as well when processes that it left in the background hold it. The output of a
/// live one is also given to `tell` while it comes; as long as that takes, the command waits.
pub(crate) fn run(script: &Script, surroundings: &Surroundings, tell: &Tell<'_>) -> (Ran, Option<OwnedFd>) {
    let started = Instant::now();
    let output_bytes_max = usize::try_from(script.output_bytes_max).unwrap_or(usize::MAX);
    let mut watched = match shell::start(&script.text, surroundings) {
        Ok(shell) => {
            let output = Output::new(output_bytes_max);
            Watched { shell, output, live: script.live.then_some(tell), open: true, ended: None }
        }
        Err(error) => {
            let ended = Ended::NotStarted(error.raw_os_error().unwrap_or(libc::EIO));
            return (
                Ran { output: String::new(), output_bytes: 0, ended, duration_ms: ms_since(started) },
                None,
            );
        }
    };
    watched.watch(started + Duration::from_millis(script.timeout_ms), |watched| watched.ended.is_some());
    let ended = match watched.ended {
        Some(ended) => ended,
        None => {
            watched.end_tree();
            Ended::TimedOut
        }
    };
    let duration_ms = ms_since(started);
    watched.watch(Instant::now() + HELD_OUTPUT, |watched| !watched.open);
    let output_bytes = watched.output.total();
    let mut output = watched.output.into_text();
    if watched.open {
        output.push_str(
            "\n[… processes in the background still hold the output; they go on, it is not read …]\n",
        );
    }
    (Ran { output, output_bytes, ended, duration_ms }, watched.open.then_some(watched.shell.output))
}

/// Reads `output` to its end for nobody: a server that was left in the background must not die of its log.
pub(crate) fn drain(output: &OwnedFd) {
    let mut buffer = [0; READ_BYTES];
    while read(output, &mut buffer) > 0 {}
}

struct Watched<'a> {
    shell: Shell,
    output: Output,
    /// Hears the output while it comes.
    live: Option<&'a Tell<'a>>,
    /// Something still holds the output's other end.
    open: bool,
    ended: Option<Ended>,
}

impl Watched<'_> {
    /// Reads what comes, until `until` or until `enough`.
    fn watch(&mut self, until: Instant, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.read_once(left);
        }
    }

    /// Waits at most `left` for output or the shell's end, and takes what has come.
    fn read_once(&mut self, left: Duration) {
        let wait =
            Timespec { tv_sec: left.as_secs().min(3600).cast_signed(), tv_nsec: left.subsec_nanos().into() };
        // A descriptor is asked for nothing once it has ended; then only its hang-up is told, and there is the sleep.
        let mut asked = Vec::with_capacity(2);
        if self.open {
            asked.push(PollFd::new(&self.shell.output, PollFlags::IN));
        }
        if self.ended.is_none() {
            asked.push(PollFd::new(&self.shell.report, PollFlags::IN));
        }
        match poll(&mut asked, Some(&wait)) {
            Ok(_) => {}
            Err(Errno::INTR) => return,
            Err(error) => {
                // Nothing more can be heard; waiting on would never end.
                self.open = false;
                self.ended.get_or_insert(Ended::NotStarted(error.raw_os_error()));
                return;
            }
        }
        let mut ready = asked.iter().map(|asked| !asked.revents().is_empty());
        let output_ready = self.open && ready.next().unwrap_or(false);
        let report_ready = self.ended.is_none() && ready.next().unwrap_or(false);
        if output_ready {
            self.take_output();
        }
        if report_ready {
            self.ended = Some(self.take_report());
        }
    }

    fn take_output(&mut self) {
        let mut buffer = [0; READ_BYTES];
        let length = read(&self.shell.output, &mut buffer);
        self.output.push(&buffer[..length]);
        self.open = length > 0;
        if let Some(tell) = self.live.filter(|_| self.open) {
            tell(&buffer[..length]);
        }
    }

    fn take_report(&self) -> Ended {
        let mut bytes = [0; Report::BYTES];
        if read(&self.shell.report, &mut bytes) < Report::BYTES {
            // Somebody inside killed the supervisor.
            return Ended::Signalled(libc::SIGKILL);
        }
        match Report::from_bytes(bytes) {
            Report::NotStarted(errno) => Ended::NotStarted(errno),
            Report::Ended(status) if libc::WIFSIGNALED(status) => Ended::Signalled(libc::WTERMSIG(status)),
            Report::Ended(status) => Ended::Exited(libc::WEXITSTATUS(status)),
        }
    }

    /// Asks the whole process tree to end, waits a little, then ends it.
    fn end_tree(&mut self) {
        let supervisor = self.shell.supervisor;
        tree::signal(supervisor, Signal::TERM);
        let until = Instant::now() + TERM_GRACE;
        while !tree::is_gone(supervisor) && Instant::now() < until {
            self.watch(Instant::now() + LOOK, |_| false);
        }
        tree::kill(supervisor);
    }
}

/// Reads once; an error ends the pipe as its end does.
fn read(pipe: &OwnedFd, buffer: &mut [u8]) -> usize {
    loop {
        match rustix::io::read(pipe, &mut *buffer) {
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::Interrupted => {}
            result => return result.unwrap_or(0),
        }
    }
}

fn ms_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
