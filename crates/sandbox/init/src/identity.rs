//! Parts process 1 from the user of the commands, so that none of them may signal it or look into it.
//!
//! The rule is Unix's own, and every kernel keeps it, for every way to send a signal: only who is root, or has the real or
//! the saved user of a process, may send it one. Process 1 has a user of its own there. The commands' user is its effective
//! one: with that it makes and reads files as they do, may end them, and may become one of them.
#![expect(unsafe_code, reason = "no crate that we have tells the saved user")]

use std::io;

use backspace_init::protocol::Ids;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Has this process, which an engine started as root, take the users in `ids` and give up every capability for good. It
/// has one thread yet: users belong to threads.
///
/// # Errors
/// When it may not, or afterwards is not what it should be.
pub(crate) fn part(ids: Ids) -> io::Result<()> {
    let Ids { user, group, own } = ids;
    rustix::thread::set_no_new_privs(true)?;
    drop_bounding_set()?;
    let (user, group, own) = (Uid::from_raw(user), Gid::from_raw(group), Uid::from_raw(own));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(own, user, own)?;
    // Without root the kernel has taken most of them already. The ambient ones go with these.
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)?;
    let is_parted = users()? == [own, user, own] && rustix::thread::capabilities(None)? == none;
    if is_parted { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Has the calling process, a fresh child, become a command's: its real and saved user become the effective one, and it
/// has no way back. Where process 1 has one user only, nothing changes. Allocates nothing.
///
/// # Errors
/// As [`part`].
pub(crate) fn become_a_command() -> rustix::io::Result<()> {
    let user = rustix::process::geteuid();
    rustix::thread::set_thread_res_uid(user, user, user)?;
    if users()? == [user; 3] { Ok(()) } else { Err(Errno::PERM) }
}

/// No program that is executed finds a capability there. The kernel refuses a number that it does not know: the first one
/// after the last it knows.
fn drop_bounding_set() -> io::Result<()> {
    for capability in 0..u64::BITS {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << capability,
        )) {
            Ok(()) => {}
            Err(Errno::INVAL) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// The real, the effective and the saved user.
fn users() -> rustix::io::Result<[Uid; 3]> {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // SAFETY: the three places live as long as the call.
    let told = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    if told == 0 { Ok([real, effective, saved].map(Uid::from_raw)) } else { Err(Errno::PERM) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users belong to threads, so a test can try it in one. Only root may.
    #[test]
    fn who_has_parted_has_no_capability_and_who_became_a_command_no_way_back() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let [user, own] = [1_500_001, 1_500_002].map(Uid::from_raw);
        let parted = std::thread::spawn(move || {
            part(Ids { user: 1_500_001, group: 1_500_001, own: 1_500_002 }).unwrap();
            assert_eq!(users().unwrap(), [own, user, own]);
            assert!(!rustix::thread::capability_is_in_bounding_set(CapabilitySet::SETUID).unwrap());
            assert_eq!(
                part(Ids { user: 1, group: 1, own: 2 }).unwrap_err().raw_os_error(),
                Some(libc::EPERM)
            );
            become_a_command().unwrap();
            assert_eq!(users().unwrap(), [user; 3]);
            assert_eq!(rustix::thread::set_thread_res_uid(own, user, own), Err(Errno::PERM));
        });
        parted.join().unwrap();
        assert!(rustix::process::geteuid().is_root());
    }
}
