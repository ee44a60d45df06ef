//! Answers requests, each on a thread of its own, so that one that takes long holds up no other.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use backspace_init::protocol::{Answer, Ask, Ended, FileAnswer, FileTool, Ran, Request, Said, Script, WORK};
use backspace_init::{files, frame};

use crate::command;
use crate::shell::Surroundings;
use crate::tree;
use crate::trees::Trees;

/// How long room is made where too much runs. What has been killed counts until the kernel has done with it.
const ROOM_MAX: Duration = Duration::from_secs(5);
/// Told when room was made.
const ALL_ENDED: &str =
    "[… so many processes ran in the sandbox that none could be started; all of them were ended …]\n";
/// Walking and matching recurse; the memory is taken only when used.
const STACK_BYTES: usize = 8 << 20;

/// The way back to the trusted side; answers of several threads take turns.
pub(crate) type Answers = Arc<Mutex<File>>;

/// What requests are answered with.
pub(crate) struct Inside {
    pub(crate) surroundings: Surroundings,
    pub(crate) trees: Trees,
}

/// A request that waits for its thread.
struct Asked {
    id: u64,
    ask: Mutex<Option<Ask>>,
    inside: Arc<Inside>,
    answers: Answers,
}

/// Begins to answer `request`.
///
/// Where one bound on processes holds for this program too, commands can leave it no thread, and nobody inside could end
/// them any more. Then it ends all of them.
pub(crate) fn start(request: Request, inside: &Arc<Inside>, answers: &Answers) -> io::Result<()> {
    let Request { id, ask } = request;
    let refusal = match ask {
        Ask::Begin(_) => return Err(io::ErrorKind::InvalidData.into()),
        // These come in the order in which they are to be done.
        Ask::Lay(place, pieces) => return write(answers, id, inside.trees.lay(place, pieces)),
        Ask::Seal => return write(answers, id, inside.trees.seal()),
        Ask::Still => return write(answers, id, be_still(inside)),
        Ask::Run(_) => Said::Ran(Ran { output: ALL_ENDED.to_owned(), ..not_started(libc::EAGAIN) }),
        Ask::File(_) => Said::File(FileAnswer::Refused(ALL_ENDED.to_owned())),
        Ask::Changes | Ask::Content(_) | Ask::Added(_) | Ask::Load => Said::Failed(libc::EAGAIN),
    };
    let (inside, answers) = (Arc::clone(inside), Arc::clone(answers));
    let asked = Arc::new(Asked { id, ask: Mutex::new(Some(ask)), inside, answers });
    let until = Instant::now() + ROOM_MAX;
    let mut note = "";
    loop {
        let its = Arc::clone(&asked);
        match thread::Builder::new().stack_size(STACK_BYTES).spawn(move || its.answer(note)) {
            Ok(_) => return Ok(()),
            Err(_) if Instant::now() > until => return write(&asked.answers, id, refusal),
            Err(_) => {
                note = ALL_ENDED;
                tree::kill_all();
            }
        }
    }
}

impl Asked {
    fn answer(&self, note: &str) {
        let Some(ask) = self.ask.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let tell = |bytes: &[u8]| {
            // When nobody listens any more, the loop of requests ends as well, and this program with it.
            drop(write(&self.answers, self.id, Said::Printed(bytes.to_vec())));
        };
        let (mut said, held_open) = answer(ask, &self.inside, &tell);
        if let Said::Ran(ran) = &mut said {
            ran.output.insert_str(0, note);
        }
        if write(&self.answers, self.id, said).is_ok()
            && let Some(output) = held_open
        {
            command::drain(&output);
        }
    }
}

/// The answer, and the output pipe of a command that left processes behind which hold it.
fn answer(ask: Ask, inside: &Inside, tell: &command::Tell<'_>) -> (Said, Option<OwnedFd>) {
    let trees = &inside.trees;
    let said = match ask {
        Ask::Run(script) => {
            let (ran, held_open) = run(&script, &inside.surroundings, tell);
            return (Said::Ran(ran), held_open);
        }
        Ask::File(tool) => Said::File(work_on_file(&tool)),
        Ask::Changes => trees.changes(),
        Ask::Content(wanted) => trees.content(&wanted),
        Ask::Added(place) => trees.added(place),
        Ask::Load => trees.load(),
        // Answered before, in their order.
        Ask::Begin(_) | Ask::Lay(..) | Ask::Seal | Ask::Still => Said::Failed(libc::EINVAL),
    };
    (said, None)
}

/// Ends everything inside but this program.
fn be_still(inside: &Inside) -> Said {
    *inside.surroundings.still.write().unwrap_or_else(PoisonError::into_inner) = true;
    if tree::kill_all() { Said::Done } else { Said::Failed(libc::EBUSY) }
}

fn run(script: &Script, surroundings: &Surroundings, tell: &command::Tell<'_>) -> (Ran, Option<OwnedFd>) {
    let run = || {
        catch_unwind(AssertUnwindSafe(|| command::run(script, surroundings, tell)))
            .unwrap_or_else(|_| (not_started(libc::EIO), None))
    };
    let until = Instant::now() + ROOM_MAX;
    let (mut ran, mut held_open) = run();
    let mut note = "";
    while ran.ended == Ended::NotStarted(libc::EAGAIN) && Instant::now() < until {
        note = ALL_ENDED;
        tree::kill_all();
        (ran, held_open) = run();
    }
    ran.output.insert_str(0, note);
    (ran, held_open)
}

fn work_on_file(tool: &FileTool) -> FileAnswer {
    catch_unwind(AssertUnwindSafe(|| files::answer(Path::new(WORK), tool))).unwrap_or_else(|_| {
        FileAnswer::Refused("the tool failed on this input; nothing is known to be done".to_owned())
    })
}

fn not_started(errno: i32) -> Ran {
    Ran { output: String::new(), output_bytes: 0, ended: Ended::NotStarted(errno), duration_ms: 0 }
}

/// Writes an answer, whole.
pub(crate) fn write(answers: &Answers, id: u64, said: Said) -> io::Result<()> {
    let frame = frame::encode(&Answer { id, said }).or_else(|_| {
        let refusal = FileAnswer::Refused("the answer is too long".to_owned());
        frame::encode(&Answer { id, said: Said::File(refusal) })
    })?;
    answers.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame)
}
