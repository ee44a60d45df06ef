//! Process 1 of a sandbox: answers the trusted side until it hangs up. Before that, told so, it is the stage.

mod answering;
mod command;
mod environment;
mod fence;
mod filters;
mod home;
mod identity;
mod open_files;
mod output;
mod shell;
mod tree;
mod trees;
mod watch;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use backspace_init::protocol::{Ask, BY_PIPES, Begin, HOME, Ids, RELAYS, Request, Said};
use backspace_init::{frame, relay, stage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, Resource, Rlimit};

use answering::{Answers, Inside};
use shell::Surroundings;
use trees::Trees;

/// What this program needs beside the commands' processes: its own threads and one supervisor a command.
const OWN_PROCESSES_MAX: u64 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // The kernel ends every process inside when this one returns.
    let answered = match arguments.next() {
        Some(told) if told == stage::ARGUMENT => return stage::run(),
        Some(told) if told == BY_PIPES => {
            // Before anything else; the trusted side hears of it as soon as it can.
            let ids = Ids::from_arguments(arguments).ok_or(io::ErrorKind::InvalidInput.into());
            answer_all(take_pipes, ids.and_then(identity::part))
        }
        // The launcher took care of the identity.
        Some(_) | None => answer_all(take_socket, stage::arrive()),
    };
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers until the trusted side hangs up, or the lifetime is over; nothing at all when this process is not who it should
/// be.
fn answer_all(channel: fn() -> io::Result<(File, File)>, identity: io::Result<()>) -> io::Result<()> {
    let started = Instant::now();
    // Else any process inside could write to this one's memory.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    shell::let_the_kernel_reap();
    shell::hear_no_faults_of_others();
    let (mut questions, answers) = channel()?;
    let answers: Answers = Arc::new(Mutex::new(answers));
    let Some(Request { id, ask: Ask::Begin(begin) }) = frame::read(&mut questions)? else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if let Err(error) = identity {
        let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
        answering::write(&answers, id, Said::Failed(errno))?;
        return Err(error);
    }
    let Begin { limits, environment, home, relays, filters, lifetime_ms } = begin;
    take_limits(limits.processes_max)?;
    home::lay(Path::new(HOME), &home)?;
    // Before any thread is started: fence and filters hold for the calling one and what comes after it.
    let fence = fence::set();
    filters::load(&filters)?;
    if let Some(bytes_max) = limits.watched_bytes_max {
        watch::start(bytes_max)?;
    }
    relay::start(relays.into_iter().map(|port| (port, PathBuf::from(format!("{RELAYS}/{port}")))))?;
    let environment = environment::of(&environment)?;
    let open_files_max = open_files::each(limits.processes_max);
    let surroundings = Surroundings { limits, open_files_max, environment, still: RwLock::new(false) };
    let inside = Arc::new(Inside { surroundings, trees: Trees::default() });
    answering::write(&answers, id, Said::Ready(fence))?;
    let end = started.checked_add(Duration::from_millis(lifetime_ms));
    while wait_for(&questions, end)
        && let Some(request) = frame::read(&mut questions)?
    {
        answering::start(request, &inside, &answers)?;
    }
    Ok(())
}

/// Moves the socket away from standard input, and puts nothing at the three descriptors that commands would inherit.
fn take_socket() -> io::Result<(File, File)> {
    let socket = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let same = socket.try_clone()?;
    put_nothing_in_their_place()?;
    Ok((socket, same))
}

/// As [`take_socket`], for two pipes.
fn take_pipes() -> io::Result<(File, File)> {
    let questions = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let answers = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    put_nothing_in_their_place()?;
    Ok((File::from(questions), File::from(answers)))
}

fn put_nothing_in_their_place() -> io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// Takes what is asked, or the most that an engine left.
fn take_limits(processes_max: u64) -> io::Result<()> {
    for (resource, wanted) in
        [(Resource::Nproc, processes_max.saturating_add(OWN_PROCESSES_MAX)), (Resource::Core, 0)]
    {
        let bound =
            rustix::process::getrlimit(resource).maximum.map_or(wanted, |maximum| maximum.min(wanted));
        rustix::process::setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })?;
    }
    Ok(())
}

/// Waits for a request or a hang-up; false when `end` came first.
fn wait_for(questions: &File, end: Option<Instant>) -> bool {
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        // What is longer than the system can wait for is waited for again.
        let wait = left.map(|left| Timespec {
            tv_sec: left.as_secs().min(3600).cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(questions, PollFlags::IN)], wait.as_ref()) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return false,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            // An error shows when it is read.
            Ok(_) | Err(_) => return true,
        }
    }
}
