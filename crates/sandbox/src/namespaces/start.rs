//! Starts the processes of a sandbox, and ends them.

use std::fs::File;
use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use backspace_init::frame::{self, LENGTH_BYTES};
use backspace_init::protocol::{Answer, Ask, Begin, Fence, Request, Said};
use backspace_init::stage::{self, Orders, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::cgroup::Groups;
use super::mend;
use crate::folder::Folder;
use crate::user::UserId;
use crate::{Error, program};

/// Opening takes milliseconds; on a machine that is swamped it may take long, but not for ever.
const STEP_MAX: Duration = Duration::from_secs(20);
/// What is given to everything inside to end when process 1 has been told to.
const END_MAX: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// The launcher's complaint is a line or two.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// All of a sandbox that the machine must be rid of afterwards.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    pub(super) child: Option<Child>,
    pub(super) groups: Option<Groups>,
    pub(super) folder: Option<Folder>,
    pub(super) user: Option<UserId>,
}

/// A sandbox whose program inside is ready.
pub(super) struct Started {
    pub(super) socket: UnixStream,
    pub(super) uppers: Uppers,
    /// What the program inside has set around itself.
    pub(super) fence: Fence,
}

/// The folders that hold what is changed inside.
pub(super) struct Uppers {
    /// The upper one of the work tree's overlay.
    pub(super) work: OwnedFd,
    /// The home folder, or the upper one of its overlay.
    pub(super) home: OwnedFd,
}

/// Starts the stage, which becomes the launcher, which starts the program inside; waits until that one is ready.
pub(super) fn start(orders: &Orders, begin: Begin, belongings: &mut Belongings) -> Result<Started, Error> {
    let (socket, theirs) = UnixStream::pair().map_err(failed("make a socket"))?;
    socket.set_read_timeout(Some(STEP_MAX)).map_err(failed("set a timeout"))?;
    socket.set_write_timeout(Some(STEP_MAX)).map_err(failed("set a timeout"))?;
    let mut command = Command::new(program::path().map_err(failed("keep a program in memory"))?);
    command.arg(stage::ARGUMENT).env_clear().current_dir("/");
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = belongings.child.insert(spawn(command).map_err(failed("start the stage of a sandbox"))?);
    let complaint = child.stderr.take();
    converse(&socket, orders, begin).and_then(|begun| match begun {
        Some((uppers, fence)) => Ok(Started { socket, uppers, fence }),
        None => {
            // Its end of the pipe ends with it.
            belongings.end();
            Err(mend::launcher_failed(&read_complaint(complaint)))
        }
    })
}

/// Gives the folders of the changes and the fence; nothing when the other side hung up without the reason.
fn converse(
    mut socket: &UnixStream,
    orders: &Orders,
    begin: Begin,
) -> Result<Option<(Uppers, Fence)>, Error> {
    let asked = "talk with the stage of a sandbox";
    let frame = frame::encode(orders).map_err(failed(asked))?;
    socket.write_all(&frame).map_err(failed(asked))?;
    let uppers = match receive_report(socket).map_err(failed(asked))? {
        None => return Ok(None),
        Some((Report::Refused { step, errno }, _)) => return Err(mend::refused(step, errno)),
        Some((Report::Laid, None)) => return Err(failed(asked)(io::ErrorKind::InvalidData.into())),
        Some((Report::Laid, Some(uppers))) => uppers,
    };
    let begin = frame::encode(&Request { id: 0, ask: Ask::Begin(begin) }).map_err(failed(asked))?;
    // When the launcher has failed this fails too, or the answer does not come.
    drop(socket.write_all(&begin));
    match frame::read::<Answer>(&mut socket) {
        Ok(Some(Answer { id: 0, said: Said::Ready(fence) })) => Ok(Some((uppers, fence))),
        Ok(Some(_)) => Err(failed(asked)(io::ErrorKind::InvalidData.into())),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(failed(asked)(error)),
    }
}

fn receive_report(mut socket: &UnixStream) -> io::Result<Option<(Report, Option<Uppers>)>> {
    let mut prefix = [0; LENGTH_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    // The stage sends it at once, so its length comes in one piece, and the descriptors with it.
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut prefix)],
        &mut along,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes < LENGTH_BYTES {
        return Ok(None);
    }
    let mut uppers = None;
    for message in along.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            uppers = descriptors.next().zip(descriptors.next()).map(|(work, home)| Uppers { work, home });
        }
    }
    let mut body = vec![0; frame::length(prefix)?];
    socket.read_exact(&mut body)?;
    Ok(Some((frame::decode(&body)?, uppers)))
}

fn read_complaint(complaint: Option<impl Into<OwnedFd>>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = complaint {
        // What was read before an error is what there is to tell.
        drop(File::from(pipe.into()).take(COMPLAINT_BYTES_MAX).read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Belongings {
    /// Waits until everything inside has ended, and leaves nothing on the machine. Its process 1 has been hung up on.
    pub(super) fn take_down(&mut self) -> io::Result<()> {
        self.end();
        if let Some(groups) = self.groups.take() {
            groups.remove();
        }
        let removed = self.folder.take().map_or(Ok(()), |folder| folder.remove());
        self.user = None;
        removed
    }

    /// Waits until everything inside has ended: the launcher ends when process 1 has, and process 1 when all others
    /// inside have.
    pub(super) fn end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let ended =
            Pid::from_raw(child.id().cast_signed()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(launcher) = ended
            && !ends_in_time(launcher.as_fd())
        {
            let _ = pidfd_send_signal(&launcher, Signal::KILL);
        }
        // It is a zombie now, or about to be one.
        drop(child.wait());
    }
}

fn ends_in_time(process: impl AsFd) -> bool {
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&END_MAX)).is_ok_and(|ready| ready == 1)
}

impl Drop for Belongings {
    /// Without [`Belongings::take_down`] nobody has hung up yet, or nobody waited.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Everything inside dies with its launcher.
            drop(child.kill());
        }
        drop(self.take_down());
    }
}

/// Starts a program from a thread that lives as long as this process.
///
/// A sandbox dies with the *thread* that started it (`PR_SET_PDEATHSIG`), and a runtime ends its threads as it likes.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::SyncSender<io::Result<Child>>);
    static PARENT: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let parent = PARENT.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                // Whoever asked may have gone; then the child is dropped and ends, since its socket is closed.
                drop(answer.send(command.spawn()));
            }
        });
        sender
    });
    let (answer, child) = mpsc::sync_channel(1);
    let gone = |_| io::Error::other("the thread that starts sandboxes is gone");
    parent
        .send((command, answer))
        .map_err(|_| io::Error::other("the thread that starts sandboxes is gone"))?;
    child.recv().map_err(gone)?
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::System { doing: doing.to_owned(), source }
}
