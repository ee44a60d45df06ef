//! Opens what lies below a folder, by no link and by nothing that leads out.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The kernel gives up on a path while folders are renamed around it; after so many attempts so do we.
const ATTEMPTS_MAX: usize = 16;

/// Opens `path` below `root`. Only its last part may be a link, when `flags` take one.
///
/// # Errors
/// What the kernel says. [`Errno::LOOP`] and [`Errno::NOTDIR`] for a link on the way, [`Errno::XDEV`] for `..`.
pub fn open(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = flags | OFlags::CLOEXEC;
    for _ in 1..ATTEMPTS_MAX {
        match open_at_once(&root, path, flags) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS) => return open_by_parts(&root, path, flags),
            opened => return opened,
        }
    }
    open_at_once(&root, path, flags)
}

fn open_at_once(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)
}

/// For kernels without `openat2`, gVisor's among them: each part is opened in the one before it and may be no link.
fn open_by_parts(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.as_bytes()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        }
    }
    let last = parts.pop().unwrap_or(b".");
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = None;
    for name in parts {
        let parent = folder.as_ref().map_or(root.as_fd(), OwnedFd::as_fd);
        folder = Some(rustix::fs::openat(parent, name, way, Mode::empty())?);
    }
    let parent = folder.as_ref().map_or(root.as_fd(), OwnedFd::as_fd);
    rustix::fs::openat(parent, last, flags | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_way_follows_a_link_or_leaves() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("root/a/b")).unwrap();
        std::fs::write(place.path().join("root/a/b/f"), "x").unwrap();
        std::fs::write(place.path().join("outside"), "x").unwrap();
        for (link, target) in [("dir", "a"), ("file", "a/b/f"), ("out", ".."), ("abs", "/")] {
            std::os::unix::fs::symlink(target, place.path().join("root").join(link)).unwrap();
        }
        let root = std::fs::File::open(place.path().join("root")).unwrap();
        type Way = fn(&std::fs::File, &Path, OFlags) -> Result<OwnedFd, Errno>;
        let ways: [Way; 2] = [|r, p, f| open(r, p, f), |r, p, f| open_by_parts(r, p, f)];
        for way in ways {
            let read = |path: &str| way(&root, Path::new(path), OFlags::RDONLY);
            assert!(
                read("a/b/f").is_ok() && read("a").is_ok() && read(".").is_ok() && read("./a/./b").is_ok()
            );
            for path in ["dir/b/f", "file", "out/outside", "abs/etc", "../outside", "a/../../outside", "/etc"]
            {
                assert!(read(path).is_err(), "{path}");
            }
            assert_eq!(read("a/none").unwrap_err(), Errno::NOENT);
            assert!(
                way(&root, Path::new("file"), OFlags::PATH | OFlags::NOFOLLOW).is_ok(),
                "the link itself"
            );
        }
    }
}
