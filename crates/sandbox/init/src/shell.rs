//! Starts a shell below a supervisor, from which no descendant of the shell can be orphaned away.
//!
//! The supervisor is a fork of this program that declares itself the reaper of its descendants. So a daemon that forks
//! twice and takes a session of its own still stands below the supervisor of the command that started it.
#![expect(unsafe_code, reason = "fork and exec have no safe interface that also sets a reaper")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::ptr;
use std::sync::{PoisonError, RwLock};

use backspace_init::protocol::Limits;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit};

use crate::identity;

const WORK: &CStr = c"/work";
const BASH: &CStr = c"/bin/bash";
const SH: &CStr = c"/bin/sh";

/// Bytes that one process may keep from being swapped; the usual default of systems.
const LOCKED_BYTES_MAX: u64 = 8 << 20;
/// Bytes in all message queues of the user; the usual default.
const MESSAGE_BYTES_MAX: u64 = 819_200;
/// Signals that wait for the user's processes. They are the kernel's memory, which no other bound counts everywhere.
const SIGNALS_MAX: u64 = 4096;
/// Where no control group weighs processor time, commands come after the service.
const NICENESS: libc::c_int = 5;
/// When memory is short the kernel ends a command before it ends this program.
const OOM_SCORE: &[u8] = b"500";

/// What every shell is given.
pub(crate) struct Surroundings {
    /// What it and its descendants are held to.
    pub(crate) limits: Limits,
    /// Files that each of them may have open.
    pub(crate) open_files_max: u64,
    /// Its environment, as `NAME=VALUE`.
    pub(crate) environment: Vec<CString>,
    /// Whether none is started any more. Held while one is, so that whoever sets it finds all there are.
    pub(crate) still: RwLock<bool>,
}

/// A shell that runs.
pub(crate) struct Shell {
    /// The process that all of the shell's descendants stand below.
    pub(crate) supervisor: i32,
    /// Standard output and standard error of all of them.
    pub(crate) output: OwnedFd,
    /// Gives one [`Report`] when the shell has ended.
    pub(crate) report: OwnedFd,
}

/// What the supervisor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
    /// The shell ended with this status of `wait`.
    Ended(i32),
    /// It could not be started: an error number.
    NotStarted(i32),
}

impl Report {
    /// Its size on the way; less than a socket takes at once.
    pub(crate) const BYTES: usize = 8;

    /// Reads it.
    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [a, b, c, d, w, x, y, z] = bytes;
        let value = i32::from_ne_bytes([w, x, y, z]);
        if i32::from_ne_bytes([a, b, c, d]) == 0 { Self::Ended(value) } else { Self::NotStarted(value) }
    }

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let (kind, value) = match self {
            Self::Ended(status) => (0_i32, status),
            Self::NotStarted(errno) => (1, errno),
        };
        let ([a, b, c, d], [w, x, y, z]) = (kind.to_ne_bytes(), value.to_ne_bytes());
        [a, b, c, d, w, x, y, z]
    }
}

/// Children of this process, supervisors and orphans alike, leave no zombies; nobody waits for them.
pub(crate) fn let_the_kernel_reap() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// A fault of its own still ends this process; the same signal from another one, which may be sent by anybody inside,
/// does not: the kernel keeps it from a process 1 that has no code for it.
pub(crate) fn hear_no_faults_of_others() {
    for fault in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default installs no code; it takes away what the runtime had installed.
        unsafe { libc::signal(fault, libc::SIG_DFL) };
    }
}

/// Starts `script` in a shell in the work tree.
pub(crate) fn start(script: &str, surroundings: &Surroundings) -> io::Result<Shell> {
    let script = CString::new(script).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let (shell, name) = if rustix::fs::access(BASH, rustix::fs::Access::EXEC_OK).is_ok() {
        (BASH, c"bash")
    } else {
        (SH, c"sh")
    };
    let argv = [name.as_ptr(), c"-c".as_ptr(), script.as_ptr(), ptr::null()];
    let environment = surroundings.environment.iter();
    let envp: Vec<_> = environment.map(|entry| entry.as_ptr()).chain([ptr::null()]).collect();
    let (output, output_end) = pipe_with(PipeFlags::CLOEXEC)?;
    // A socket: gVisor's kernel lets a pipe be opened by the number that it has in another process.
    let (report, report_end) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let plan = Plan {
        shell,
        argv: &argv,
        envp: &envp,
        limits: &surroundings.limits,
        open_files_max: surroundings.open_files_max,
        output: output_end.as_raw_fd(),
        report: report_end.as_raw_fd(),
    };
    let still = surroundings.still.read().unwrap_or_else(PoisonError::into_inner);
    if *still {
        return Err(io::Error::from_raw_os_error(libc::ESHUTDOWN));
    }
    // SAFETY: the child calls nothing but the kernel (see `supervise`), so locks that other threads hold do not matter.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => unsafe { supervise(&plan) },
        supervisor => Ok(Shell { supervisor, output, report }),
    }
}

/// All that the child needs, made before the fork.
struct Plan<'a> {
    shell: &'a CStr,
    argv: &'a [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    limits: &'a Limits,
    open_files_max: u64,
    output: RawFd,
    report: RawFd,
}

/// Starts the shell, tells how it ended, and stays until the last of its descendants is gone.
///
/// # Safety
/// To be called in a fresh child. It only makes system calls, and never returns.
unsafe fn supervise(plan: &Plan<'_>) -> ! {
    // SAFETY: system calls on values that live until the end of the process.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        let shell = libc::fork();
        if shell == 0 {
            become_shell(plan);
        }
        if shell < 0 {
            tell(plan.report, Report::NotStarted(*libc::__errno_location()));
            libc::_exit(1);
        }
        // Else the output would never end.
        libc::dup2(plan.report, 0);
        libc::close_range(1, libc::c_uint::MAX, 0);
        loop {
            let mut status = 0;
            let ended = libc::waitpid(-1, &raw mut status, 0);
            if ended == shell {
                tell(0, Report::Ended(status));
                libc::close(0);
            }
            if ended < 0 && *libc::__errno_location() == libc::ECHILD {
                libc::_exit(0);
            }
        }
    }
}

/// Turns the calling process into the shell.
///
/// # Safety
/// To be called in a fresh child. It only makes system calls, and never returns.
unsafe fn become_shell(plan: &Plan<'_>) -> ! {
    // SAFETY: system calls on values that live until the end of the process.
    unsafe {
        libc::setsid();
        // Rust programs ignore it; shells expect that a writer without a reader ends.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::dup2(plan.output, 1);
        libc::dup2(plan.output, 2);
        libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS);
        let score = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        libc::write(score, OOM_SCORE.as_ptr().cast(), OOM_SCORE.len());
        let ready = identity::become_a_command().and_then(|()| take_limits(plan)).and_then(|()| enter_work());
        let errno = match ready {
            Ok(()) => {
                libc::execve(plan.shell.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr());
                *libc::__errno_location()
            }
            Err(errno) => errno.raw_os_error(),
        };
        tell(plan.report, Report::NotStarted(errno));
        libc::_exit(127)
    }
}

/// Goes to the work tree. What an earlier command shut is opened again: nobody could be told otherwise to do it. Allocates
/// nothing.
fn enter_work() -> rustix::io::Result<()> {
    match rustix::process::chdir(WORK) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmod(WORK, Mode::from_raw_mode(0o755))?;
            rustix::process::chdir(WORK)
        }
        entered => entered,
    }
}

/// Sets limits that a process cannot raise again; allocates nothing.
fn take_limits(plan: &Plan<'_>) -> rustix::io::Result<()> {
    let limits = plan.limits;
    let bounds = [
        (Resource::Nproc, limits.processes_max),
        (Resource::Data, limits.memory_bytes_max),
        (Resource::Fsize, limits.file_bytes_max),
        (Resource::Nofile, plan.open_files_max),
        (Resource::Core, 0),
    ];
    for (resource, wanted) in bounds {
        take_limit(resource, wanted)?;
    }
    let others = [
        (Resource::Memlock, LOCKED_BYTES_MAX),
        (Resource::Msgqueue, MESSAGE_BYTES_MAX),
        (Resource::Sigpending, SIGNALS_MAX),
        // Whatever the service's account may: no command runs before all others.
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    for (resource, wanted) in others {
        // gVisor's kernel has nothing that these would bound, and refuses.
        let _ = take_limit(resource, wanted);
    }
    Ok(())
}

fn take_limit(resource: Resource, wanted: u64) -> rustix::io::Result<()> {
    let bound = rustix::process::getrlimit(resource).maximum.map_or(wanted, |maximum| maximum.min(wanted));
    rustix::process::setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound) })
}

/// # Safety
/// Only makes a system call.
unsafe fn tell(report: RawFd, what: Report) {
    let bytes = what.to_bytes();
    // SAFETY: `bytes` lives as long as the call.
    unsafe { libc::write(report, bytes.as_ptr().cast(), bytes.len()) };
}
