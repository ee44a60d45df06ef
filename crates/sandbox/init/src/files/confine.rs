//! A folder, mostly the work tree, as a place that no path leaves, whatever is linked or renamed in it meanwhile.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Refusal, refuse, size};
use crate::beneath;

/// As many links as the kernel follows in one path.
const LINKS_MAX: usize = 40;
/// The kernel takes no longer path, and no refusal should repeat one.
const PATH_BYTES_MAX: usize = 4095;

/// An open work tree, or the folder of kept outputs.
pub(super) struct Tree {
    root: OwnedFd,
    /// Its path inside a sandbox, with which absolute paths begin.
    name: &'static str,
}

/// A place in the work tree, with every symbolic link on the way to it followed.
#[derive(Debug)]
pub(super) struct Place {
    /// Relative to the work tree, without links and dots; empty for the work tree itself.
    pub(super) path: PathBuf,
    /// What stands there.
    pub(super) stands: Stands,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Neither, in words.
    Special(&'static str),
    /// Nothing.
    Nothing,
}

/// What one look at a path without links shows.
enum Seen {
    Standing(Stands),
    Link(OsString),
}

impl Tree {
    /// Opens the folder at `root`, which is called `name` inside.
    pub(super) fn open(root: &Path, name: &'static str) -> Result<Self, Refusal> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(root, flags, Mode::empty()) {
            Ok(root) => Ok(Self { root, name }),
            Err(errno) => refuse(format!("{name} cannot be opened: {errno}.")),
        }
    }

    /// Finds the place that `asked` names, relative to the folder or below its name.
    pub(super) fn place(&self, asked: &str) -> Result<Place, Refusal> {
        if asked.len() > PATH_BYTES_MAX {
            return refuse(format!(
                "A path has at most {PATH_BYTES_MAX} bytes; this one has {}.",
                asked.len()
            ));
        }
        let name = self.name;
        let relative = inside(Path::new(asked), name).filter(|_| !asked.contains('\0'));
        let Some(relative) = relative else {
            return refuse(format!("{asked:?} is not a path in {name}, where this tool works."));
        };
        let leaves =
            || Refusal(format!("{asked} leads out of {name}, where this tool works. Nothing was done."));
        let mut todo = backwards(relative);
        let mut place = Place { path: PathBuf::new(), stands: Stands::Folder };
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                if place.stands != Stands::Folder {
                    return self.no_folder(asked, &place);
                }
                if !place.path.pop() {
                    return Err(leaves());
                }
                continue;
            }
            match place.stands {
                Stands::Folder => {}
                Stands::Nothing => {
                    place.path.push(part);
                    continue;
                }
                Stands::File | Stands::Special(_) => return self.no_folder(asked, &place),
            }
            let next = place.path.join(&part);
            match self.look(&next).map_err(|errno| trouble(asked, errno))? {
                Seen::Standing(stands) => place = Place { path: next, stands },
                Seen::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return refuse(format!("{asked} goes through more than {LINKS_MAX} symbolic links."));
                    }
                    let target = PathBuf::from(target);
                    if target.is_absolute() {
                        place.path.clear();
                    }
                    todo.extend(backwards(inside(&target, name).ok_or_else(leaves)?));
                }
            }
        }
        Ok(place)
    }

    fn no_folder<T>(&self, asked: &str, place: &Place) -> Result<T, Refusal> {
        let what = if place.stands == Stands::Nothing { "does not exist" } else { "is not a folder" };
        refuse(format!("{asked}: {} {what}.", place.path.display()))
    }

    /// What stands at `path`, which has no links before its last part.
    fn look(&self, path: &Path) -> Result<Seen, Errno> {
        let fd = match self.beneath(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(Seen::Standing(Stands::Nothing)),
            Err(errno) => return Err(errno),
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        if kind == FileType::Symlink {
            let target = rustix::fs::readlinkat(&fd, "", Vec::new())?;
            return Ok(Seen::Link(OsString::from_vec(target.into_bytes())));
        }
        Ok(Seen::Standing(stands(kind)))
    }

    /// Opens the folder at a place's path, for reading its names or as the start of further calls.
    pub(super) fn folder(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.beneath(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens the regular file at a place's path for reading. A named pipe or device that was put there meanwhile is
    /// not waited for, and refused.
    pub(super) fn file(&self, path: &Path) -> Result<(File, Stat), Errno> {
        let fd = self.beneath(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW)?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::NODEV);
        }
        Ok((File::from(fd), stat))
    }

    /// Reads the regular file at `path`, all of it, when it has at most `bytes_max`.
    pub(super) fn content(
        &self,
        asked: &str,
        path: &Path,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, Stat), Refusal> {
        let (file, stat) = self.file(path).map_err(|errno| trouble(asked, errno))?;
        let mut bytes = Vec::new();
        let limit = bytes_max as u64 + 1;
        if let Err(error) = file.take(limit).read_to_end(&mut bytes) {
            return refuse(format!("{asked} cannot be read: {error}."));
        }
        if bytes.len() > bytes_max {
            let (has, most) = (size(stat.st_size.unsigned_abs()), size(bytes_max as u64));
            return refuse(format!("{asked} has {has}; this tool takes files of at most {most}. Use bash."));
        }
        Ok((bytes, stat))
    }

    fn beneath(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        beneath::open(&self.root, path, flags)
    }
}

/// What a file type means to the tools.
pub(super) fn stands(kind: FileType) -> Stands {
    match kind {
        FileType::RegularFile => Stands::File,
        FileType::Directory => Stands::Folder,
        FileType::Symlink => Stands::Special("a symbolic link"),
        FileType::Fifo => Stands::Special("a named pipe"),
        FileType::Socket => Stands::Special("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Stands::Special("a device"),
        FileType::Unknown => Stands::Special("no regular file"),
    }
}

/// What the system refused, in words for the model.
pub(super) fn trouble(asked: &str, errno: Errno) -> Refusal {
    let why = match errno {
        Errno::ACCESS | Errno::PERM => "its permissions do not allow it",
        Errno::NOENT => "it does not exist, or was removed just now",
        Errno::NAMETOOLONG => "the name is too long",
        Errno::NOTDIR => "a part of its path is not a folder",
        Errno::ISDIR => "it is a folder",
        Errno::LOOP | Errno::XDEV | Errno::AGAIN => {
            "links or folders on its path were changed just now; try again"
        }
        Errno::NODEV | Errno::NXIO => "it is no regular file",
        Errno::NOSPC | Errno::DQUOT => "there is no space left in the work tree; remove what is not needed",
        Errno::FBIG => "it would be larger than a file may be here",
        Errno::ROFS => "it stands on a read-only file system",
        other => return Refusal(format!("{asked}: {other}. Nothing was changed.")),
    };
    Refusal(format!("{asked}: {why}. Nothing was changed."))
}

/// The part of a path below the folder called `name`; none when it is absolute and elsewhere.
fn inside<'a>(path: &'a Path, name: &str) -> Option<&'a Path> {
    if path.is_absolute() { path.strip_prefix(name).ok() } else { Some(path) }
}

/// The parts of a relative path, the first one last, so that it is the next to be taken.
fn backwards(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::from_bytes(b"..").to_owned()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}
