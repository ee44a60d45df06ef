//! One direction of a connection: from a socket through a pipe to another socket.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::Shutdown;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// How much one direction holds: what a pipe takes by default, so that no user's share of pipe memory is outgrown.
const HELD_BYTES_MAX: usize = 64 * 1024;
/// How often in a row one direction moves bytes before others have their turn.
const TURNS_MAX: usize = 16;

/// How a direction, or a connection, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// One of its sockets will tell when it can go on.
    Waits,
    /// It could go on, but others are due.
    Goes,
    /// Its end was passed on.
    Over,
}

/// One direction.
pub(super) struct Flow {
    read: OwnedFd,
    write: OwnedFd,
    /// Bytes in the pipe.
    held: usize,
    /// Nothing more comes.
    ended: bool,
    /// The end was passed on, or nobody is there to hear of it.
    over: bool,
}

impl Flow {
    pub(super) fn new() -> rustix::io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { read, write, held: 0, ended: false, over: false })
    }

    /// What it holds can be given to nobody.
    pub(super) fn give_up(&mut self) {
        self.over = true;
    }

    /// Moves bytes from `from` to `to` until one of them makes it wait, and passes the end on.
    pub(super) fn go_on(&mut self, from: impl AsFd, to: impl AsFd) -> Way {
        for _ in 0..TURNS_MAX {
            if self.over {
                return Way::Over;
            }
            let taken = self.take(&from);
            let given = self.give(&to);
            if self.ended && self.held == 0 && !self.over {
                // A half that was closed: the other one may still have much to say.
                let _ = rustix::net::shutdown(&to, Shutdown::Write);
                self.over = true;
            }
            if !taken && !given {
                return if self.over { Way::Over } else { Way::Waits };
            }
        }
        Way::Goes
    }

    fn take(&mut self, from: impl AsFd) -> bool {
        if self.ended || self.held >= HELD_BYTES_MAX {
            return false;
        }
        match splice(from, None, &self.write, None, HELD_BYTES_MAX - self.held, flags()) {
            // What was torn off ends as what was closed.
            Ok(0) => self.ended = true,
            Ok(bytes) => self.held += bytes,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(_) => self.ended = true,
        }
        true
    }

    fn give(&mut self, to: impl AsFd) -> bool {
        if self.held == 0 || self.over {
            return false;
        }
        match splice(&self.read, None, to, None, self.held, flags()) {
            Ok(bytes) => self.held -= bytes.min(self.held),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return false,
            Err(_) => self.over = true,
        }
        true
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}
