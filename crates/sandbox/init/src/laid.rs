//! A work tree that was laid piece by piece, and what of it has changed since.
//!
//! Programs inside change it all the while, so each look goes by descriptors and follows no link. What is told is
//! believed by nobody; it has to be right as long as this program is whole.

mod added;
mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::look::{self, kind, stamp};
use crate::protocol::laid::{Added, Changed, Changes, Found, Kind, PIECE_BYTES_MAX, Piece, Stamp, Wanted};
use crate::{beneath, pack};

/// Git takes no deeper path, and every level holds a descriptor open.
const DEPTH_MAX: usize = 72;
/// The throw-away repository of the work tree.
const LEFT_OUT: &[u8] = b".git";
/// What every folder allows: its owner must be able to fill it.
const FOLDER_MODE: u32 = 0o700;

/// What every file allows: it is read again.
const FILE_MODE: u32 = 0o400;
/// What is made of a folder that a piece lies in and that did not come before it.
const PARENT_MODE: u32 = 0o755;

/// What becomes of a folder that a piece lies in and that did not come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// It has to come.
    Come,
    /// It is made.
    Made,
}

/// The work tree.
#[derive(Debug)]
pub struct Laid {
    root: OwnedFd,
    parents: Parents,
    /// What was laid, without folders and without what is left out.
    base: BTreeMap<Vec<u8>, Mark>,
    /// The folders that were laid.
    folders: BTreeSet<Vec<u8>>,
    /// Names of files that have several.
    linked: BTreeSet<Vec<u8>>,
    /// Of folders, in the order in which they came; what is laid in them changes them.
    times: Vec<(Vec<u8>, Timestamps)>,
    /// The file that more bytes may come for.
    open: Option<(Vec<u8>, File, Timestamps)>,
}

/// What a path looked like when it had been laid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    kind: Kind,
    stamp: Stamp,
}

/// What a list may hold.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Paths.
    pub paths: usize,
    /// Bytes of all paths together.
    pub bytes: usize,
}

impl Laid {
    /// Begins at the empty folder `root`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn new(root: &Path, parents: Parents) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())?;
        Ok(Self {
            root,
            parents,
            base: BTreeMap::new(),
            folders: BTreeSet::new(),
            linked: BTreeSet::new(),
            times: Vec::new(),
            open: None,
        })
    }

    /// Lays `pieces`. Nothing else runs inside yet.
    ///
    /// # Errors
    /// What the system says, for instance that there is no room.
    pub fn lay(&mut self, pieces: Vec<Piece>) -> io::Result<()> {
        for piece in pieces {
            match piece {
                Piece::More { bytes } => match &mut self.open {
                    Some((_, file, _)) => file.write_all(&bytes)?,
                    None => return Err(io::ErrorKind::InvalidData.into()),
                },
                Piece::Folder { path, mode, modified } => {
                    self.finish_file()?;
                    let (parent, name) = self.parent(&path)?;
                    let mode = Mode::from_raw_mode(mode & 0o777 | FOLDER_MODE);
                    rustix::fs::mkdirat(&parent, name, mode)?;
                    // The mask of this process is not to take from it.
                    rustix::fs::chmodat(&parent, name, mode, AtFlags::empty())?;
                    self.times.push((path.clone(), times(modified)));
                    if !is_left_out(&path) {
                        self.folders.insert(path);
                    }
                }
                Piece::Link { path, to } => {
                    self.finish_file()?;
                    let ((parent, name), (folder, first)) = (self.parent(&path)?, self.parent(&to)?);
                    rustix::fs::linkat(&folder, first, &parent, name, AtFlags::empty())?;
                    // A name more is a change of the file, for all its names.
                    self.linked.extend([path, to]);
                }
                Piece::Symlink { path, target, modified } => {
                    self.finish_file()?;
                    let (parent, name) = self.parent(&path)?;
                    rustix::fs::symlinkat(target, &parent, name)?;
                    rustix::fs::utimensat(&parent, name, &times(modified), AtFlags::SYMLINK_NOFOLLOW)?;
                    let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    self.mark(path, &stat);
                }
                Piece::File { path, mode, modified, bytes } => {
                    self.finish_file()?;
                    let (parent, name) = self.parent(&path)?;
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                    let file = rustix::fs::openat(&parent, name, flags, Mode::RUSR | Mode::WUSR)?;
                    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode & 0o777 | FILE_MODE))?;
                    let mut file = File::from(file);
                    file.write_all(&bytes)?;
                    self.open = Some((path, file, times(modified)));
                }
            }
        }
        Ok(())
    }

    /// Ends the laying: everything that comes now is a change.
    ///
    /// # Errors
    /// As [`Laid::lay`].
    pub fn seal(&mut self) -> io::Result<()> {
        self.finish_file()?;
        for path in std::mem::take(&mut self.linked) {
            let (parent, name) = self.parent(&path)?;
            let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            self.mark(path, &stat);
        }
        for (path, modified) in std::mem::take(&mut self.times).into_iter().rev() {
            let path = Path::new(std::ffi::OsStr::from_bytes(&path));
            let folder = beneath::open(&self.root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
            rustix::fs::futimens(&folder, &modified)?;
        }
        Ok(())
    }

    fn finish_file(&mut self) -> io::Result<()> {
        if let Some((path, file, modified)) = self.open.take() {
            rustix::fs::futimens(&file, &modified)?;
            let stat = rustix::fs::fstat(&file)?;
            self.mark(path, &stat);
        }
        Ok(())
    }

    fn mark(&mut self, path: Vec<u8>, stat: &Stat) {
        if !is_left_out(&path) {
            self.base.insert(path, Mark { kind: kind(stat), stamp: stamp(stat) });
        }
    }

    /// The folder that `path` lies in, and its name there.
    fn parent<'a>(&self, path: &'a [u8]) -> io::Result<(OwnedFd, &'a std::ffi::OsStr)> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        match beneath::open(&self.root, parent, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) if self.parents == Parents::Made => self.make_folders(parent)?,
            opened => drop(opened?),
        }
        Ok((beneath::open(&self.root, parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }

    fn make_folders(&self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().collect();
        for pair in above.windows(2).rev() {
            let (&[folder, parent], Some(name)) = (pair, pair[0].file_name()) else { continue };
            if beneath::open(&self.root, folder, OFlags::PATH | OFlags::DIRECTORY).is_ok() {
                continue;
            }
            let parent = beneath::open(&self.root, parent, OFlags::PATH | OFlags::DIRECTORY)?;
            rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(PARENT_MODE))?;
        }
        Ok(())
    }

    /// Lists what differs, as far as there is `room`.
    ///
    /// # Errors
    /// What the system says.
    pub fn changes(&self, room: Room) -> io::Result<Changes> {
        let mut walk =
            Walk { base: &self.base, seen: BTreeSet::new(), paths: Vec::new(), room, path: Vec::new() };
        let truncated = match walk.folder(self.root.as_fd(), 0).and_then(|()| walk.deleted()) {
            Ok(()) => false,
            Err(Stop::Full) => true,
            Err(Stop::Failed(error)) => return Err(error),
        };
        walk.paths.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(Changes { paths: walk.paths, truncated })
    }

    /// Lists what stands where nothing was laid, to be read piece by piece, and tells where what was laid has changed.
    ///
    /// # Errors
    /// What the system says.
    pub fn added(&self) -> io::Result<(pack::Pack, Added)> {
        added::added(self)
    }

    /// Reads what is `wanted`, when it still is what was listed.
    ///
    /// # Errors
    /// What the system says.
    pub fn content(&self, wanted: &Wanted) -> io::Result<Found> {
        content::content(self.root.as_fd(), wanted, PIECE_BYTES_MAX)
    }
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let modified = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: modified, last_modification: modified }
}

fn is_left_out(path: &[u8]) -> bool {
    path.strip_prefix(LEFT_OUT).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

enum Stop {
    Full,
    Failed(io::Error),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno.into())
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Goes through the whole work tree.
struct Walk<'a> {
    base: &'a BTreeMap<Vec<u8>, Mark>,
    /// Paths of the base at which something other than a folder stands.
    seen: BTreeSet<&'a [u8]>,
    paths: Vec<Changed>,
    room: Room,
    /// Where the walk is.
    path: Vec<u8>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: BorrowedFd<'_>, depth: usize) -> Result<(), Stop> {
        for name in look::names(folder)? {
            let parent = self.path.len();
            if parent > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            if !is_left_out(&self.path) {
                self.entry(folder, &name, depth + 1)?;
            }
            self.path.truncate(parent);
        }
        Ok(())
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, name: &[u8], depth: usize) -> Result<(), Stop> {
        let Some(stat) = look::at(folder, name)? else {
            return Ok(());
        };
        if look::is_folder(&stat) {
            if depth == DEPTH_MAX {
                return self.add(Kind::Special, stamp(&stat));
            }
            return match look::open_folder(folder, name, &stat) {
                Ok(Some(folder)) => self.folder(folder.as_fd(), depth),
                Ok(None) => Ok(()),
                // Shut again as often as it was opened: whoever does that wants nothing kept of it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.add(Kind::Special, stamp(&stat))
                }
                Err(error) => Err(error.into()),
            };
        }
        let mark = Mark { kind: kind(&stat), stamp: stamp(&stat) };
        if let Some((path, before)) = self.base.get_key_value(&self.path) {
            self.seen.insert(path);
            if *before == mark {
                return Ok(());
            }
        }
        self.add(mark.kind, mark.stamp)
    }

    /// Lists what was laid and is not there any more.
    fn deleted(&mut self) -> Result<(), Stop> {
        for path in self.base.keys() {
            if !self.seen.contains(path.as_slice()) {
                self.path.clone_from(path);
                self.add(Kind::Deleted, Stamp::default())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: Kind, stamp: Stamp) -> Result<(), Stop> {
        let bytes = self.room.bytes.checked_sub(self.path.len());
        let paths = self.room.paths.checked_sub(1);
        let (Some(bytes), Some(paths)) = (bytes, paths) else {
            return Err(Stop::Full);
        };
        self.room = Room { paths, bytes };
        self.paths.push(Changed { path: self.path.clone(), kind, stamp });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
