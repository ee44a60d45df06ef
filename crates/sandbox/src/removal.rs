//! Removes folders that hostile programs have filled: however deep they lie and whatever modes they have.
//!
//! Folders are taken apart at the top: what is in one is removed, and the folders in it are moved up to where the removal
//! began, to wait for their turn. So a few descriptors are open at any depth, nothing here calls itself, and no path grows
//! long. All goes by descriptors, one name at a time, and follows no link.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::upper::{FOLDER, allow_owner};

/// Without these bits its owner can neither empty a folder nor move it.
const OWNER: u32 = 0o700;

/// Removes the folder `path` with all that is in it; one that is not there is removed. Nobody else changes it meanwhile.
/// What can be removed is, although something else cannot.
///
/// # Errors
/// A reason why something is left.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let top = match open(CWD, path.as_os_str().as_encoded_bytes()) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    let mut removal =
        Removal { top: top.as_fd(), waiting: Vec::new(), names_given: 0, removed: 0, left: None };
    loop {
        let before = removal.removed;
        removal.empty(top.as_fd(), At::Top);
        while let Some(name) = removal.waiting.pop() {
            let done = removal.take_apart(&name);
            removal.note(done);
        }
        match fs::remove_dir(path) {
            // A folder that shrinks while it is listed may not show all that is in it.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && removal.removed == before => {
                return Err(removal.left.map_or(error, io::Error::from));
            }
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            result => return result,
        }
    }
}

/// Where a folder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// It is the one to be removed.
    Top,
    /// In that one.
    Below,
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    /// The folders in it that are still to be taken apart.
    waiting: Vec<Vec<u8>>,
    /// To folders that were moved up: numbers.
    names_given: u64,
    removed: u64,
    /// The last reason why something could not be.
    left: Option<Errno>,
}

impl Removal<'_> {
    /// Removes what is in a folder, and has the folders in it wait.
    fn empty(&mut self, folder: BorrowedFd<'_>, at: At) {
        let names = match Dir::read_from(folder) {
            Ok(names) => names,
            Err(errno) => return self.note(Err(errno)),
        };
        for entry in names {
            let done = entry.and_then(|entry| match entry.file_name().to_bytes() {
                b"." | b".." => Ok(()),
                name => self.entry(folder, name, entry.file_type(), at),
            });
            self.note(done);
        }
    }

    fn entry(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        at: At,
    ) -> rustix::io::Result<()> {
        if kind != FileType::Directory {
            match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                // Not every file system tells the type along with the name.
                Err(Errno::ISDIR) => {}
                result => {
                    self.removed += u64::from(result.is_ok());
                    return result;
                }
            }
        }
        match at {
            At::Top => self.waiting.push(name.to_vec()),
            At::Below => match self.moved_up(folder, name) {
                Ok(number) => self.waiting.push(number),
                Err(errno) => self.remove_empty(folder, name).map_err(|_| errno)?,
            },
        }
        Ok(())
    }

    /// Moves a folder up; gives its new name.
    fn moved_up(&mut self, folder: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
        allow(folder, name)?;
        loop {
            let number = self.names_given.to_string().into_bytes();
            self.names_given += 1;
            match rustix::fs::renameat(folder, name, self.top, &*number) {
                // Somebody has taken this name. That is removed in its turn.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                result => return result.map(|()| number),
            }
        }
    }

    /// Empties and removes a folder at the top.
    fn take_apart(&mut self, name: &[u8]) -> rustix::io::Result<()> {
        let folder = match open(self.top, name) {
            Ok(folder) => folder,
            Err(errno) => return self.remove_empty(self.top, name).map_err(|_| errno),
        };
        loop {
            let before = (self.removed, self.names_given);
            self.empty(folder.as_fd(), At::Below);
            match self.remove_empty(self.top, name) {
                Err(Errno::NOTEMPTY) if (self.removed, self.names_given) != before => {}
                result => return result,
            }
        }
    }

    /// A folder that cannot be opened or moved may be removed all the same, when nothing is in it.
    fn remove_empty(&mut self, folder: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?;
        self.removed += 1;
        Ok(())
    }

    fn note(&mut self, done: rustix::io::Result<()>) {
        self.left = done.err().or(self.left);
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let shut = allow(parent, name)?;
    rustix::fs::openat(shut, ".", FOLDER, Mode::empty())
}

/// Gives a folder's owner all powers over it, whatever those inside took.
fn allow(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let shut = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(parent, name, shut, Mode::empty())?;
    let opened = allow_owner(folder.as_fd(), &rustix::fs::fstat(&folder)?, OWNER);
    opened.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    /// Folders in each other, as many as a command makes in no time: short chains, moved into each other.
    fn nest(place: &Path, levels: usize) {
        const CHAIN: usize = 100;
        let (whole, next) = (place.join("whole"), place.join("next"));
        let chain: PathBuf = std::iter::repeat_n("d", CHAIN - 1).collect();
        fs::create_dir(&whole).unwrap();
        for _ in 0..levels / CHAIN {
            fs::create_dir_all(next.join(&chain)).unwrap();
            fs::rename(&whole, next.join(&chain).join("d")).unwrap();
            fs::rename(&next, &whole).unwrap();
        }
    }

    #[test]
    fn depth_costs_neither_stack_nor_descriptors() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join("gone");
        fs::create_dir(&gone).unwrap();
        nest(&gone, 5_000);
        let small = std::thread::Builder::new().stack_size(64 << 10);
        small.spawn(move || remove(&gone).unwrap()).unwrap().join().unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn modes_names_and_links_hold_nothing_up_and_lead_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let (gone, kept) = (place.path().join("gone"), place.path().join("kept"));
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        // Names that a folder which is moved up would have: a file, a full folder and an empty one.
        fs::create_dir_all(gone.join("1/full")).unwrap();
        fs::create_dir_all(gone.join("2")).unwrap();
        fs::create_dir_all(gone.join("a/b/c/d")).unwrap();
        fs::create_dir_all(gone.join("a/0/x")).unwrap();
        for link in ["0", "a/link", "a/b/c/link"] {
            std::os::unix::fs::symlink(&kept, gone.join(link)).unwrap();
        }
        for shut in ["a/b/c", "a/b", "a", ""] {
            fs::set_permissions(gone.join(shut), Permissions::from_mode(0o000)).unwrap();
        }
        remove(&gone).unwrap();
        remove(&gone).unwrap();
        assert!(!gone.exists() && kept.join("file").exists());
    }

    #[test]
    fn what_cannot_be_removed_is_told_and_holds_nothing_else_up() {
        let place = tempfile::tempdir().unwrap();
        let gone = place.path().join("gone");
        fs::create_dir_all(gone.join("a/b")).unwrap();
        fs::create_dir_all(gone.join("mount")).unwrap();
        fs::write(gone.join("a/b/file"), "").unwrap();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        // A mount that somebody left is in the way of the folder alone.
        let mount = gone.join("mount");
        rustix::mount::mount("tmpfs", &mount, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        let error = remove(&gone).unwrap_err();
        rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::empty()).unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY), "{error}");
        assert!(mount.exists() && !gone.join("a").exists());
    }
}
