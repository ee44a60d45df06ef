//! Writes what a sandbox added to its base into a folder that other sandboxes can be laid over.
//!
//! What the base holds stays as the base holds it: the folder only adds, so it needs no whiteouts and hides nothing.
//! Nothing inside runs any more. All the same the walk goes by descriptors, one part of a path at a time, and follows no
//! link: what it walks is hostile. No attribute is copied but mode and times.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use events::ChangedKind;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::upper::{
    FOLDER, LEFT_OUT, Lower, Way, all_names, allow_owner, find, is_opaque, kind, look, names, open_upper,
};
use crate::{Allowance, EXPORTED_HOME, EXPORTED_WORK, Error, Exported};

/// Dependencies lie deep, and every level holds descriptors open.
const DEPTH_MAX: usize = 128;
/// Changed paths of the base beyond this many are counted and not named: people read them.
const NAMED_MAX: usize = 20;
/// Topmost new paths beyond this many are not listed: whoever wants to know them wants to know all.
const ROOTS_MAX: usize = 1_000;

/// Where what a sandbox added is found.
pub(crate) struct Added<'a> {
    /// The upper folder of the work tree.
    pub(crate) work: BorrowedFd<'a>,
    /// What lies below it, the uppermost first.
    pub(crate) base: &'a [OwnedFd],
    /// The home folder, which began empty.
    pub(crate) home: BorrowedFd<'a>,
}

/// Writes `added` into the folder `into`, which is made.
///
/// # Errors
/// [`Error::TooLarge`] beyond `allowance`.
pub(crate) fn write(added: &Added<'_>, into: &Path, allowance: Allowance) -> Result<Exported, Error> {
    let mut exported =
        Exported { entries: 0, bytes: 0, roots: Some(Vec::new()), undone: Vec::new(), undone_total: 0 };
    for (name, upper, lower) in [(EXPORTED_WORK, added.work, added.base), (EXPORTED_HOME, added.home, &[])] {
        let written = write_one(upper, lower, &into.join(name), allowance, &mut exported);
        written.map_err(|halt| match halt {
            Halt::TooLarge(what) => Error::TooLarge { what },
            Halt::Failed(source) => {
                Error::System { doing: "write what a sandbox has added".to_owned(), source }
            }
        })?;
    }
    Ok(exported)
}

/// Why an export ends before its end.
enum Halt {
    /// There is more than is allowed: what.
    TooLarge(String),
    Failed(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for Halt {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno.into())
    }
}

/// Writes what `upper` adds to the layers `lower`, and counts it in `exported`.
fn write_one(
    upper: BorrowedFd<'_>,
    lower: &[OwnedFd],
    into: &Path,
    allowance: Allowance,
    exported: &mut Exported,
) -> Result<(), Halt> {
    fs::create_dir_all(into)?;
    // Whatever this process's umask is, another user shall pass.
    fs::set_permissions(into, Permissions::from_mode(0o755))?;
    let into = OwnedFd::from(File::open(into)?);
    let mut export = Export { into: &into, allowance, exported, way: Way::default(), names: HashMap::new() };
    export.folder(upper, lower, into.as_fd())
}

/// An entry of an upper folder.
struct Found<'a> {
    upper: BorrowedFd<'a>,
    name: &'a [u8],
    stat: Stat,
}

struct Export<'a> {
    into: &'a OwnedFd,
    allowance: Allowance,
    exported: &'a mut Exported,
    way: Way,
    /// Files with several names by their inode: what is written of them already. All lie on one file system.
    names: HashMap<u64, Vec<u8>>,
}

impl Export<'_> {
    fn folder(&mut self, upper: BorrowedFd<'_>, lower: &[OwnedFd], to: BorrowedFd<'_>) -> Result<(), Halt> {
        for name in names(upper)? {
            // Of the work tree, which has a base.
            if self.way.path.is_empty() && name == LEFT_OUT && !lower.is_empty() {
                continue;
            }
            let parent = self.way.enter(&name);
            self.entry(upper, &name, lower, to)?;
            self.way.leave(parent);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        upper: BorrowedFd<'_>,
        name: &[u8],
        lower: &[OwnedFd],
        to: BorrowedFd<'_>,
    ) -> Result<(), Halt> {
        let Some(stat) = look(upper, name)? else { return Ok(()) };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let found = Found { upper, name, stat };
        match find(lower, name)? {
            Lower::Nothing if is_folder => {
                self.root(lower);
                self.count(0)?;
                self.enter(&found, &[], to)
            }
            Lower::Nothing => self.leaf(&found, lower, to),
            Lower::Folder(layers) if is_folder => self.enter(&found, &layers, to),
            Lower::Leaf if !is_folder && is_same(&found, lower)? => Ok(()),
            Lower::Leaf | Lower::Folder(_) => {
                self.stays();
                Ok(())
            }
        }
    }

    /// A folder, that of the layers `below` at the same place if there is any.
    fn enter(&mut self, found: &Found<'_>, below: &[OwnedFd], to: BorrowedFd<'_>) -> Result<(), Halt> {
        let Found { upper, name, stat } = found;
        if self.way.depth > DEPTH_MAX {
            return Err(Halt::TooLarge(format!("folders more than {DEPTH_MAX} deep")));
        }
        let Some(folder) = open_upper(*upper, name, stat)? else { return Ok(()) };
        rustix::fs::mkdirat(to, *name, Mode::RWXU)?;
        let written = rustix::fs::openat(to, *name, FOLDER, Mode::empty())?;
        self.folder(folder.as_fd(), below, written.as_fd())?;
        if is_opaque(&folder)? {
            let there: BTreeSet<Vec<u8>> = names(folder.as_fd())?.into_iter().collect();
            for gone in all_names(below)?.difference(&there) {
                let parent = self.way.enter(gone);
                self.stays();
                self.way.leave(parent);
            }
        }
        // A folder of the base to which nothing was added is the base's own affair.
        if !below.is_empty() && names(written.as_fd())?.is_empty() {
            return Ok(rustix::fs::unlinkat(to, *name, AtFlags::REMOVEDIR)?);
        }
        // Else it could not be removed by an ordinary user.
        rustix::fs::fchmod(&written, Mode::from_raw_mode((stat.st_mode & 0o777) | 0o700))?;
        Ok(rustix::fs::futimens(&written, &times(stat))?)
    }

    /// What is no folder and stands where the base has nothing.
    fn leaf(&mut self, found: &Found<'_>, lower: &[OwnedFd], to: BorrowedFd<'_>) -> Result<(), Halt> {
        let Found { upper, name, stat } = found;
        let kind = kind(stat);
        let bytes = match kind {
            ChangedKind::File { bytes, .. } => bytes,
            ChangedKind::Symlink => 0,
            ChangedKind::Deleted | ChangedKind::Special => return Ok(()),
        };
        self.root(lower);
        if stat.st_nlink > 1
            && let Some(first) = self.names.get(&stat.st_ino)
        {
            rustix::fs::linkat(self.into, first.as_slice(), to, *name, AtFlags::empty())?;
            return self.count(0);
        }
        self.count(bytes)?;
        if kind == ChangedKind::Symlink {
            let target = rustix::fs::readlinkat(upper, *name, Vec::new())?;
            rustix::fs::symlinkat(target, to, *name)?;
            return Ok(rustix::fs::utimensat(to, *name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?);
        }
        let from = open_file(*upper, name, stat)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut written = File::from(rustix::fs::openat(to, *name, flags, Mode::RUSR | Mode::WUSR)?);
        io::copy(&mut from.take(bytes), &mut written)?;
        rustix::fs::fchmod(&written, Mode::from_raw_mode((stat.st_mode & 0o777) | 0o400))?;
        rustix::fs::futimens(&written, &times(stat))?;
        if stat.st_nlink > 1 {
            self.names.insert(stat.st_ino, self.way.path.clone());
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> Result<(), Halt> {
        self.exported.entries += 1;
        self.exported.bytes = self.exported.bytes.saturating_add(bytes);
        let Allowance { bytes_max, entries_max } = self.allowance;
        if self.exported.entries > entries_max {
            return Err(Halt::TooLarge(format!("more than {entries_max} files")));
        }
        if self.exported.bytes > bytes_max {
            return Err(Halt::TooLarge(format!("more than {} MiB", bytes_max >> 20)));
        }
        Ok(())
    }

    /// Notes that something new begins here, in a folder of the base.
    fn root(&mut self, lower: &[OwnedFd]) {
        if lower.is_empty() {
            return;
        }
        let roots = self.exported.roots.take().filter(|roots| roots.len() < ROOTS_MAX);
        self.exported.roots = roots.map(|mut roots| {
            roots.push(self.way.path.clone());
            roots
        });
    }

    /// Notes that the base stays as it is here, whatever was done to it inside.
    fn stays(&mut self) {
        self.exported.undone_total += 1;
        if self.exported.undone.len() < NAMED_MAX {
            self.exported.undone.push(self.way.path.clone());
        }
    }
}

/// Whether what is no folder is as in the base, though it was written to.
fn is_same(found: &Found<'_>, lower: &[OwnedFd]) -> Result<bool, Halt> {
    let Found { upper, name, stat } = found;
    for layer in lower {
        let Some(base) = look(layer.as_fd(), name)? else { continue };
        if kind(&base) != kind(stat) {
            return Ok(false);
        }
        return Ok(match kind(stat) {
            ChangedKind::File { bytes, .. } => {
                let (old, new) = (open_file(layer.as_fd(), name, &base)?, open_file(*upper, name, stat)?);
                has_same_bytes(old.take(bytes), new.take(bytes))?
            }
            ChangedKind::Symlink => {
                rustix::fs::readlinkat(layer, *name, Vec::new())?
                    == rustix::fs::readlinkat(upper, *name, Vec::new())?
            }
            ChangedKind::Deleted | ChangedKind::Special => false,
        });
    }
    Ok(false)
}

fn has_same_bytes(one: impl io::Read, other: impl io::Read) -> io::Result<bool> {
    let (mut one, mut other) = (io::BufReader::new(one).bytes(), io::BufReader::new(other).bytes());
    loop {
        match (one.next().transpose()?, other.next().transpose()?) {
            (None, None) => return Ok(true),
            (a, b) if a != b => return Ok(false),
            (_, _) => {}
        }
    }
}

fn open_file(folder: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> io::Result<File> {
    if stat.st_mode & 0o400 == 0 {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        allow_owner(rustix::fs::openat(folder, name, flags, Mode::empty())?.as_fd(), stat, 0o400)?;
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?))
}

fn times(stat: &Stat) -> Timestamps {
    let modified = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.cast_signed() };
    Timestamps { last_access: modified, last_modification: modified }
}
