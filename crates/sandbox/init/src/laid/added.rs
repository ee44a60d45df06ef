//! Lists what stands in a work tree where nothing was laid.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use super::{Laid, is_left_out};
use crate::look;
use crate::pack::{Pack, What};
use crate::protocol::laid::{ADDED_DEPTH_MAX, Added, Kind, ROOTS_MAX};

/// Paths that are named; people read them.
const NAMED_MAX: usize = 20;

/// What `laid` did not lay.
pub(super) fn added(laid: &Laid) -> io::Result<(Pack, Added)> {
    let mut walk = Walk {
        laid,
        pack: Pack::of(vec![laid.root.try_clone()?]),
        added: Added { roots: Some(Vec::new()), undone: Vec::new(), undone_total: 0, too_deep: false },
        stands: BTreeSet::new(),
        differs: BTreeSet::new(),
        path: Vec::new(),
    };
    walk.folder(laid.root.as_fd(), Below::Laid, 0)?;
    walk.gone();
    Ok((walk.pack, walk.added))
}

/// What was laid where the walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// The folder.
    Laid,
    /// Nothing.
    New,
}

struct Walk<'a> {
    laid: &'a Laid,
    pack: Pack,
    added: Added,
    /// What was laid and still stands, folders too.
    stands: BTreeSet<Vec<u8>>,
    /// What was laid and is something else now.
    differs: BTreeSet<Vec<u8>>,
    path: Vec<u8>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: BorrowedFd<'_>, below: Below, depth: usize) -> io::Result<()> {
        if depth > ADDED_DEPTH_MAX {
            self.added.too_deep = true;
            return Ok(());
        }
        let mut names = look::names(folder)?;
        names.sort_unstable();
        for name in names {
            let parent = self.path.len();
            if parent > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            if !is_left_out(&self.path) {
                self.entry(folder, &name, below, depth)?;
            }
            self.path.truncate(parent);
        }
        Ok(())
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, name: &[u8], below: Below, depth: usize) -> io::Result<()> {
        let Some(stat) = look::at(folder, name)? else { return Ok(()) };
        let (was_folder, was) = (self.laid.folders.contains(&self.path), self.laid.base.get(&self.path));
        if look::is_folder(&stat) {
            let here = match (was_folder, was) {
                (true, _) => {
                    self.stands.insert(self.path.clone());
                    Below::Laid
                }
                (false, Some(_)) => return self.stays(),
                (false, None) => {
                    self.root(below);
                    self.pack.add(&self.path, What::Folder { stat });
                    Below::New
                }
            };
            let Some(folder) = look::open_folder(folder, name, &stat)? else { return Ok(()) };
            return self.folder(folder.as_fd(), here, depth + 1);
        }
        if was_folder {
            return self.stays();
        }
        let kind = look::kind(&stat);
        if let Some(mark) = was {
            if kind == mark.kind && look::stamp(&stat) == mark.stamp {
                self.stands.insert(self.path.clone());
                return Ok(());
            }
            return self.stays();
        }
        let what = match kind {
            Kind::File { .. } => What::File { layer: 0, stat },
            Kind::Symlink => What::Symlink { layer: 0, stat },
            Kind::Deleted | Kind::Special => return Ok(()),
        };
        self.root(below);
        self.pack.add(&self.path, what);
        Ok(())
    }

    /// Notes that something new begins here, in a folder that was laid.
    fn root(&mut self, below: Below) {
        if below == Below::New {
            return;
        }
        let roots = self.added.roots.take().filter(|roots| roots.len() < ROOTS_MAX);
        self.added.roots = roots.map(|mut roots| {
            roots.push(self.path.clone());
            roots
        });
    }

    /// Notes that what was laid here has changed.
    fn stays(&mut self) -> io::Result<()> {
        self.differs.insert(self.path.clone());
        self.undone(self.path.clone());
        Ok(())
    }

    fn undone(&mut self, path: Vec<u8>) {
        self.added.undone_total += 1;
        if self.added.undone.len() < NAMED_MAX {
            self.added.undone.push(path);
        }
    }

    /// Notes what was laid and is gone; of a folder that is gone, itself.
    fn gone(&mut self) {
        let laid = self.laid;
        for path in laid.folders.iter().chain(laid.base.keys()) {
            let parent = path.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |at| &path[..at]);
            let is_gone = !self.stands.contains(path) && !self.differs.contains(path);
            if is_gone && (parent.is_empty() || self.stands.contains(parent)) {
                self.undone(path.clone());
            }
        }
    }
}
