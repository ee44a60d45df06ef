//! Lists what an overlay's upper folder changes in the layers below it, from outside and while the sandbox lives.
//!
//! The walk goes by descriptors, one part of a path at a time, and follows no link: what it walks is hostile.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;

use events::{ChangeList, ChangedKind, ChangedPath, Stamp};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Dependencies that were installed and build output are listed before ignore rules drop them, and some projects have
/// hundreds of thousands of such files. Beyond this the list is cut and says so.
pub(crate) const PATHS_MAX: usize = 400_000;
/// A list of long paths is cut as one of many: 400,000 paths of the longest kind would take 7 GiB of this process's memory.
const LIST_BYTES_MAX: usize = 64 << 20;
/// Names that are looked at for one list. Folders count here, which are not listed; and whoever moves folders about while
/// they are walked can show the same ones again and again.
const NAMES_MAX: usize = 4 * PATHS_MAX;
/// Git takes no deeper path (see `events::RepoPath`), and every level holds descriptors open.
const DEPTH_MAX: usize = 72;
/// A folder that is shut while it is looked at is opened again so often.
const ATTEMPTS_MAX: usize = 16;
/// The throw-away repository of the work tree.
pub(crate) const LEFT_OUT: &[u8] = b".git";

/// Lists at most `paths_max` changes of `upper` against `lower`, the uppermost layer first.
pub(crate) fn changes(upper: BorrowedFd<'_>, lower: &[OwnedFd], paths_max: usize) -> io::Result<ChangeList> {
    bounded(upper, lower, Bounds { paths_max, bytes_max: LIST_BYTES_MAX, names_max: NAMES_MAX })
}

/// What a list may cost.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    paths_max: usize,
    /// Of all its paths together.
    bytes_max: usize,
    /// Looked at, listed or not.
    names_max: usize,
}

fn bounded(upper: BorrowedFd<'_>, lower: &[OwnedFd], bounds: Bounds) -> io::Result<ChangeList> {
    let mut walk = Walk { paths: Vec::new(), bytes: 0, names: 0, bounds, way: Way::default() };
    let walked = walk.folder(upper, lower, Below::Merged);
    let truncated = match walked {
        Ok(()) => false,
        Err(Stop::Full) => true,
        Err(Stop::Failed(error)) => return Err(error),
    };
    walk.paths.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(ChangeList { paths: walk.paths, truncated })
}

/// What tells two states of a file apart without reading it.
pub(crate) fn stamp(stat: &Stat) -> Stamp {
    let ctime_ns = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
    Stamp { inode: stat.st_ino, ctime_ns }
}

/// What stands there. No folder is asked for.
pub(crate) fn kind(stat: &Stat) -> ChangedKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => ChangedKind::File {
            executable: stat.st_mode & 0o100 != 0,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
        },
        FileType::Symlink => ChangedKind::Symlink,
        FileType::CharacterDevice if stat.st_rdev == 0 => ChangedKind::Deleted,
        FileType::Directory
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => ChangedKind::Special,
    }
}

/// Lets this process read what its owner may not, as `chmod 0` leaves it; tells whether it had to. Root needs no leave.
pub(crate) fn allow_owner(file: BorrowedFd<'_>, stat: &Stat, bits: u32) -> io::Result<bool> {
    if stat.st_mode & bits == bits || rustix::process::geteuid().is_root() {
        return Ok(false);
    }
    let mode = Permissions::from_mode((stat.st_mode | bits) & 0o7777);
    std::fs::set_permissions(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)?;
    Ok(true)
}

/// What the layers below have to do with a folder of the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Below {
    /// They show through.
    Merged,
    /// They are hidden: what is not in the upper folder again is deleted.
    Hidden,
}

/// What the layers below hold at a path.
pub(crate) enum Lower {
    Nothing,
    /// A file or a link.
    Leaf,
    /// A folder, of these layers.
    Folder(Vec<OwnedFd>),
}

enum Stop {
    Full,
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Where a walk is.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// Relative to where it began.
    pub(crate) path: Vec<u8>,
    /// How many parts the path has.
    pub(crate) depth: usize,
}

impl Way {
    /// Goes to `name` in the folder where the walk is; gives the way back.
    pub(crate) fn enter(&mut self, name: &[u8]) -> usize {
        let parent = self.path.len();
        if parent > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        self.depth += 1;
        parent
    }

    pub(crate) fn leave(&mut self, parent: usize) {
        self.path.truncate(parent);
        self.depth -= 1;
    }
}

struct Walk {
    paths: Vec<ChangedPath>,
    bytes: usize,
    names: usize,
    bounds: Bounds,
    way: Way,
}

impl Walk {
    fn folder(&mut self, upper: BorrowedFd<'_>, lower: &[OwnedFd], below: Below) -> Result<(), Stop> {
        // One name after the other: a folder may hold more than anybody should keep in memory.
        for entry in with_leave(upper, || Dir::read_from(upper)).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || self.way.path.is_empty() && name == LEFT_OUT {
                continue;
            }
            self.count()?;
            let parent = self.way.enter(name);
            self.entry(upper, name, lower, below)?;
            self.way.leave(parent);
        }
        if below == Below::Hidden {
            for name in all_names(lower)? {
                if look(upper, &name)?.is_none() {
                    let parent = self.way.enter(&name);
                    self.deleted(find(lower, &name)?)?;
                    self.way.leave(parent);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.names += 1;
        if self.names > self.bounds.names_max { Err(Stop::Full) } else { Ok(()) }
    }

    /// Lists one name of the upper folder.
    fn entry(
        &mut self,
        upper: BorrowedFd<'_>,
        name: &[u8],
        lower: &[OwnedFd],
        below: Below,
    ) -> Result<(), Stop> {
        let Some(stat) = look(upper, name)? else {
            return Ok(());
        };
        let lower = find(lower, name)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let kind = kind(&stat);
            if kind == ChangedKind::Deleted {
                return self.deleted(lower);
            }
            if let Lower::Folder(_) = lower {
                self.deleted(lower)?;
            }
            return self.add(kind, stamp(&stat));
        }
        if self.way.depth == DEPTH_MAX {
            return self.add(ChangedKind::Special, stamp(&stat));
        }
        let folder = match open_upper(upper, name, &stat) {
            Ok(Some(folder)) => folder,
            Ok(None) => return Ok(()),
            // Shut again as often as it was opened: whoever does that wants nothing kept of it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return self.add(ChangedKind::Special, stamp(&stat));
            }
            Err(error) => return Err(error.into()),
        };
        let (lower, below) = match lower {
            Lower::Nothing => (Vec::new(), Below::Merged),
            Lower::Leaf => {
                self.add(ChangedKind::Deleted, Stamp::default())?;
                (Vec::new(), Below::Merged)
            }
            Lower::Folder(layers) if is_opaque(&folder)? => (layers, Below::Hidden),
            Lower::Folder(layers) => (layers, below),
        };
        self.folder(folder.as_fd(), &lower, below)
    }

    /// Lists what stood below at a path as deleted; of a folder, all its files.
    fn deleted(&mut self, lower: Lower) -> Result<(), Stop> {
        match lower {
            Lower::Nothing => Ok(()),
            // All deleted paths are alike: their stamp says nothing.
            Lower::Leaf => self.add(ChangedKind::Deleted, Stamp::default()),
            // No deeper path is part of a change, and every level holds descriptors open.
            Lower::Folder(_) if self.way.depth == DEPTH_MAX => {
                self.add(ChangedKind::Deleted, Stamp::default())
            }
            Lower::Folder(layers) => {
                for name in all_names(&layers)? {
                    self.count()?;
                    let parent = self.way.enter(&name);
                    self.deleted(find(&layers, &name)?)?;
                    self.way.leave(parent);
                }
                Ok(())
            }
        }
    }

    fn add(&mut self, kind: ChangedKind, stamp: Stamp) -> Result<(), Stop> {
        self.bytes += self.way.path.len();
        if self.paths.len() == self.bounds.paths_max || self.bytes > self.bounds.bytes_max {
            return Err(Stop::Full);
        }
        self.paths.push(ChangedPath { path: self.way.path.clone(), kind, stamp });
        Ok(())
    }
}

/// What the layers hold at `name`: the uppermost that has it decides, and folders show each other through.
pub(crate) fn find(layers: &[OwnedFd], name: &[u8]) -> io::Result<Lower> {
    let mut folders = Vec::new();
    for layer in layers {
        let Some(stat) = look(layer.as_fd(), name)? else {
            continue;
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if folders.is_empty() && kind(&stat) != ChangedKind::Deleted {
                return Ok(Lower::Leaf);
            }
            break;
        }
        let folder = rustix::fs::openat(layer, name, FOLDER, Mode::empty())?;
        let opaque = is_opaque(&folder)?;
        folders.push(folder);
        if opaque {
            break;
        }
    }
    Ok(if folders.is_empty() { Lower::Nothing } else { Lower::Folder(folders) })
}

/// How an entry is opened that is not looked into: whatever it allows.
const ENTRY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
pub(crate) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Nothing when it has gone meanwhile.
pub(crate) fn open_upper(parent: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<Option<OwnedFd>> {
    let open = |flags| {
        let opened = with_leave(parent, || rustix::fs::openat(parent, name, flags, Mode::empty()));
        unless_gone(opened)
    };
    let shut = |stat: &Stat| stat.st_mode & 0o500 != 0o500;
    if shut(stat)
        && let Some(folder) = open(ENTRY)?
    {
        allow_owner(folder.as_fd(), stat, 0o500)?;
    }
    for _ in 1..ATTEMPTS_MAX {
        match open(FOLDER) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if let Some(folder) = open(ENTRY)? {
                    open_up(folder.as_fd())?;
                }
            }
            opened => return opened,
        }
    }
    open(FOLDER)
}

/// Lets this process look into a folder that its owner may have shut.
pub(crate) fn open_up(folder: BorrowedFd<'_>) -> io::Result<()> {
    allow_owner(folder, &rustix::fs::fstat(folder)?, 0o500).map(drop)
}

/// Does `work`, which looks into `folder`. A command can shut that at any time, the work tree itself among them, so it is
/// opened as often as it takes, within reason.
fn with_leave<T>(folder: BorrowedFd<'_>, work: impl Fn() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    for _ in 1..ATTEMPTS_MAX {
        match work() {
            Err(Errno::ACCESS) if open_up(folder).is_ok() => {}
            done => return done,
        }
    }
    work()
}

/// Nothing when it has gone meanwhile.
pub(crate) fn look(folder: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Stat>> {
    unless_gone(with_leave(folder, || rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)))
}

fn unless_gone<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

pub(crate) fn is_opaque(folder: &OwnedFd) -> io::Result<bool> {
    let mut value = [0; 2];
    match rustix::fs::fgetxattr(folder, "user.overlay.opaque", &mut value) {
        Ok(length) => Ok(value[..length] == *b"y"),
        // No such attribute, none at all on this file system, or a longer value, which is not the overlay's.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

pub(crate) fn all_names(layers: &[OwnedFd]) -> io::Result<BTreeSet<Vec<u8>>> {
    let mut all = BTreeSet::new();
    for layer in layers {
        all.extend(names(layer.as_fd())?);
    }
    Ok(all)
}

pub(crate) fn names(folder: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in with_leave(folder, || Dir::read_from(folder))? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn a_list_without_end_is_cut_and_says_so() {
        let upper = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c/d"] {
            std::fs::create_dir_all(upper.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(upper.path().join(name), name).unwrap();
        }
        let folder = std::fs::File::open(upper.path()).unwrap();
        let enough = Bounds { paths_max: 3, bytes_max: "abc/d".len(), names_max: 4 };
        let is_cut = |bounds| bounded(folder.as_fd(), &[], bounds).unwrap().truncated;
        assert!(!is_cut(enough));
        assert!(is_cut(Bounds { paths_max: 2, ..enough }));
        assert!(is_cut(Bounds { bytes_max: enough.bytes_max - 1, ..enough }));
        assert!(is_cut(Bounds { names_max: 3, ..enough }));
        assert_eq!(changes(folder.as_fd(), &[], 2).unwrap().paths.len(), 2);
    }

    #[test]
    fn what_was_deleted_deeper_than_git_goes_is_told_of_at_the_bound() {
        let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let deep: std::path::PathBuf = std::iter::repeat_n("d", DEPTH_MAX + 500).collect();
        std::fs::create_dir_all(lower.path().join(deep)).unwrap();
        // A folder that hides what is below, as the overlay writes one that was deleted and made again.
        std::fs::create_dir(upper.path().join("d")).unwrap();
        let made = std::fs::File::open(upper.path().join("d")).unwrap();
        if rustix::fs::fsetxattr(&made, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).is_err()
        {
            return;
        }
        let open = |folder: &tempfile::TempDir| OwnedFd::from(std::fs::File::open(folder.path()).unwrap());
        let list = changes(open(&upper).as_fd(), &[open(&lower)], PATHS_MAX).unwrap();
        assert_eq!((list.paths.len(), list.truncated), (1, false));
        assert_eq!(list.paths[0].path.len(), 2 * DEPTH_MAX - 1);
    }
}
