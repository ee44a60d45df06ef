//! Shows the files of layers as a user's own, by idmapped mounts.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

/// Where the mounts stand.
pub(super) const FOLDER: &str = "/tmp/layers";

/// Mounts each of `layers` such that what belongs to the owner of its root folder belongs to `id`; gives the places.
pub(super) fn owned_by(layers: &[OwnedFd], id: u32) -> io::Result<Vec<String>> {
    let place = |(number, layer): (usize, &OwnedFd)| {
        let place = format!("{FOLDER}/{number}");
        fs::create_dir(&place)?;
        mount_mapped(layer, id, &place)?;
        Ok(place)
    };
    layers.iter().enumerate().map(place).collect()
}

fn mount_mapped(layer: &OwnedFd, id: u32, place: &str) -> io::Result<()> {
    let owner = rustix::fs::fstat(layer)?;
    let mapping = user_namespace(&format!("{} {id} 1", owner.st_uid), &format!("{} {id} 1", owner.st_gid))?;
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(layer, "", flags)?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(mapping.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: the path is an empty C string, and the attributes live as long as the call and are of the size given.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    move_mount(&tree, "", rustix::fs::CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    Ok(())
}

/// Makes a user namespace with these maps; nobody is in it.
fn user_namespace(uid_map: &str, gid_map: &str) -> io::Result<OwnedFd> {
    let (ready, child_ready) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // SAFETY: this process has one thread; the child calls nothing but the kernel until it is killed.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above. An error is told by the parent, which finds nothing in the pipe or no map to write.
        unsafe {
            if libc::unshare(libc::CLONE_NEWUSER) == 0 {
                libc::write(child_ready.as_raw_fd(), b"y".as_ptr().cast(), 1);
                loop {
                    libc::pause();
                }
            }
            libc::_exit(1);
        }
    }
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    drop(child_ready);
    let made = wait_for_byte(&ready).and_then(|()| {
        fs::write(format!("/proc/{child}/uid_map"), uid_map)?;
        fs::write(format!("/proc/{child}/gid_map"), gid_map)?;
        Ok(OwnedFd::from(fs::File::open(format!("/proc/{child}/ns/user"))?))
    });
    // SAFETY: `child` is a child of this process that nobody has waited for yet.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    made
}

fn wait_for_byte(ready: &OwnedFd) -> io::Result<()> {
    let mut byte = [0];
    if rustix::io::read(ready, &mut byte)? == 1 {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
