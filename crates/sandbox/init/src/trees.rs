//! Answers what is asked of a work tree and a home folder that were laid from outside.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use backspace_init::laid::{Laid, Parents, Room};
use backspace_init::pack::Pack;
use backspace_init::protocol::laid::{Piece, Place, Wanted};
use backspace_init::protocol::{FRAME_BYTES_MAX, HOME, Said, WORK};

/// What a list of changes may hold: more paths than any bound of the trusted side, in less than a frame.
const CHANGES_MAX: Room = Room { paths: 1_000_000, bytes: FRAME_BYTES_MAX / 2 };

/// What was laid. Empty where an overlay was mounted instead.
#[derive(Default)]
pub(crate) struct Trees {
    work: RwLock<Option<Laid>>,
    home: RwLock<Option<Laid>>,
    /// What is being read out.
    pack: Mutex<Option<Pack>>,
}

impl Trees {
    /// Lays `pieces` at `place`.
    pub(crate) fn lay(&self, place: Place, pieces: Vec<Piece>) -> Said {
        let (tree, root, parents) = match place {
            Place::Work => (&self.work, WORK, Parents::Come),
            // What the policy puts there comes one by one.
            Place::Home => (&self.home, HOME, Parents::Made),
        };
        let mut laid = tree.write().unwrap_or_else(PoisonError::into_inner);
        let work = || {
            let laid = match &mut *laid {
                Some(laid) => laid,
                none => none.insert(Laid::new(Path::new(root), parents)?),
            };
            laid.lay(pieces)
        };
        said(work().map(|()| Said::Done))
    }

    /// Everything is laid.
    pub(crate) fn seal(&self) -> Said {
        let seal = |tree: &RwLock<Option<Laid>>| {
            tree.write().unwrap_or_else(PoisonError::into_inner).as_mut().map_or(Ok(()), Laid::seal)
        };
        said(seal(&self.work).and_then(|()| seal(&self.home)).map(|()| Said::Done))
    }

    /// Lists what differs.
    pub(crate) fn changes(&self) -> Said {
        said(of(&self.work, |laid| laid.changes(CHANGES_MAX)).map(Said::Changes))
    }

    /// Reads what stands at a changed path.
    pub(crate) fn content(&self, wanted: &Wanted) -> Said {
        said(of(&self.work, |laid| laid.content(wanted)).map(Said::Content))
    }

    /// Lists what was added at `place`.
    pub(crate) fn added(&self, place: Place) -> Said {
        let tree = match place {
            Place::Work => &self.work,
            Place::Home => &self.home,
        };
        let listed = of(tree, Laid::added).map(|(pack, added)| {
            *self.pack.lock().unwrap_or_else(PoisonError::into_inner) = Some(pack);
            Said::Added(added)
        });
        said(listed)
    }

    /// Reads the next pieces of what was listed.
    pub(crate) fn load(&self) -> Said {
        let mut pack = self.pack.lock().unwrap_or_else(PoisonError::into_inner);
        said(pack.as_mut().map_or(Err(io::ErrorKind::InvalidInput.into()), Pack::load).map(Said::Load))
    }
}

/// What stands in `tree` is hostile, so a fault of ours ends the look at it and no more.
fn of<T>(tree: &RwLock<Option<Laid>>, ask: impl FnOnce(&Laid) -> io::Result<T>) -> io::Result<T> {
    let laid = tree.read().unwrap_or_else(PoisonError::into_inner);
    let laid = laid.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
    let fault = |_| Err(io::Error::from_raw_os_error(libc::EIO));
    catch_unwind(AssertUnwindSafe(|| ask(laid))).unwrap_or_else(fault)
}

fn said(result: io::Result<Said>) -> Said {
    result.unwrap_or_else(|error| Said::Failed(error.raw_os_error().unwrap_or(libc::EINVAL)))
}
