//! Process 1 of a sandbox: answers the trusted side until it hangs up. Before that, told so, it is the stage.

mod command;
mod environment;
mod fence;
mod output;
mod shell;
mod tree;
mod watch;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use backspace_init::protocol::{
    Answer, Ask, Begin, Ended, Fence, FileAnswer, FileTool, HOME, RELAYS, Ran, Request, Said, Script, WORK,
};
use backspace_init::{files, frame, relay, stage};
use rustix::process::{DumpableBehavior, Resource, Rlimit};

use shell::Surroundings;

/// What this program needs beside the commands' processes: its own threads and one supervisor a command.
const OWN_PROCESSES_MAX: u64 = 64;
/// Walking and matching recurse; the memory is taken only when used.
const STACK_BYTES: usize = 8 << 20;

/// The way back to the trusted side; answers of several threads take turns.
type Answers = Arc<Mutex<File>>;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == stage::ARGUMENT) {
        return stage::run();
    }
    // The kernel ends every process inside when this one returns.
    match answer_all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Answers until the socket at standard input ends.
fn answer_all() -> io::Result<()> {
    // Else any process inside could write to this one's memory.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    shell::let_the_kernel_reap();
    shell::hear_no_faults_of_others();
    let mut questions = take_socket()?;
    let answers: Answers = Arc::new(Mutex::new(questions.try_clone()?));
    let Some(Request { id, ask: Ask::Begin(Begin { limits, environment, home, relays }) }) =
        frame::read(&mut questions)?
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    take_limits(limits.processes_max)?;
    lay_home(&home)?;
    // Before any thread is started: the fence holds for the calling one and what comes after it.
    let fence = fence::set();
    if let Some(bytes_max) = limits.watched_bytes_max {
        watch::start(bytes_max)?;
    }
    relay::start(relays.into_iter().map(|port| (port, PathBuf::from(format!("{RELAYS}/{port}")))))?;
    let surroundings = Arc::new(Surroundings { limits, environment: environment::of(&environment)? });
    write(&answers, id, Said::Ready(fence))?;
    while let Some(request) = frame::read(&mut questions)? {
        start_answering(request, &surroundings, &answers)?;
    }
    Ok(())
}

/// Moves the socket away from standard input, and puts nothing at the three descriptors that commands would inherit.
fn take_socket() -> io::Result<File> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(File::from(socket))
}

fn take_limits(processes_max: u64) -> io::Result<()> {
    let processes = Some(processes_max.saturating_add(OWN_PROCESSES_MAX));
    rustix::process::setrlimit(Resource::Nproc, Rlimit { current: processes, maximum: processes })?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// Before any command: nothing can stand in the way yet.
fn lay_home(files: &[(String, Vec<u8>)]) -> io::Result<()> {
    for (path, content) in files {
        let path = Path::new(HOME).join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, content)?;
    }
    Ok(())
}

/// Answers `request` on a thread of its own, so that one that takes long holds up no other.
fn start_answering(request: Request, surroundings: &Arc<Surroundings>, answers: &Answers) -> io::Result<()> {
    let id = request.id;
    let refusal = match &request.ask {
        Ask::Begin(_) => return Err(io::ErrorKind::InvalidData.into()),
        Ask::Run(_) => Said::Ran(not_started(libc::EAGAIN)),
        Ask::File(_) => Said::File(FileAnswer::Refused(
            "too many processes run in the sandbox; end some of them".to_owned(),
        )),
    };
    let threads_answers = Arc::clone(answers);
    let surroundings = Arc::clone(surroundings);
    let work = move || {
        let tell = |bytes: &[u8]| {
            // When nobody listens any more, the loop of requests ends as well, and this program with it.
            drop(write(&threads_answers, id, Said::Printed(bytes.to_vec())));
        };
        let (said, held_open) = answer(request.ask, &surroundings, &tell);
        if write(&threads_answers, id, said).is_ok()
            && let Some(output) = held_open
        {
            command::drain(&output);
        }
    };
    match thread::Builder::new().stack_size(STACK_BYTES).spawn(work) {
        Ok(_) => Ok(()),
        Err(_) => write(answers, id, refusal),
    }
}

/// The answer, and the output pipe of a command that left processes behind which hold it.
fn answer(ask: Ask, surroundings: &Surroundings, tell: &command::Tell<'_>) -> (Said, Option<OwnedFd>) {
    match ask {
        Ask::Begin(_) => (Said::Ready(Fence::None), None),
        Ask::Run(script) => {
            let (ran, held_open) = run(&script, surroundings, tell);
            (Said::Ran(ran), held_open)
        }
        Ask::File(tool) => (Said::File(work_on_file(&tool)), None),
    }
}

fn run(script: &Script, surroundings: &Surroundings, tell: &command::Tell<'_>) -> (Ran, Option<OwnedFd>) {
    catch_unwind(AssertUnwindSafe(|| command::run(script, surroundings, tell)))
        .unwrap_or_else(|_| (not_started(libc::EIO), None))
}

fn work_on_file(tool: &FileTool) -> FileAnswer {
    catch_unwind(AssertUnwindSafe(|| files::answer(Path::new(WORK), tool))).unwrap_or_else(|_| {
        FileAnswer::Refused("the tool failed on this input; nothing is known to be done".to_owned())
    })
}

fn not_started(errno: i32) -> Ran {
    Ran { output: String::new(), output_bytes: 0, ended: Ended::NotStarted(errno), duration_ms: 0 }
}

fn write(answers: &Answers, id: u64, said: Said) -> io::Result<()> {
    let frame = frame::encode(&Answer { id, said }).or_else(|_| {
        let refusal = FileAnswer::Refused("the answer is too long".to_owned());
        frame::encode(&Answer { id, said: Said::File(refusal) })
    })?;
    answers.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
}
