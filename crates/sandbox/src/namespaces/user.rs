//! The user ids of sandboxes that root opens: one for each, so that no two can signal each other or share a limit.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The first of them: above what accounts, containers' and `systemd`'s own ranges use.
const FIRST: u32 = 2_000_000;
/// More sandboxes than a machine holds.
const COUNT: u32 = 10_000;

/// A user id that no other sandbox of this machine has while this value lives.
#[derive(Debug)]
pub(super) struct UserId {
    pub(super) id: u32,
    /// Bound to a name made of the id. The kernel lets go of it when this process ends, however it ends.
    _held: UnixListener,
}

/// Takes a free one.
pub(super) fn take() -> io::Result<UserId> {
    // Processes begin at different places, or each would try all that the others hold.
    let start = std::process::id() % COUNT;
    for number in (start..COUNT).chain(0..start) {
        let id = FIRST + number;
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!(
            "backspace-sandbox-user-{id}"
        ))?) {
            Ok(held) => return Ok(UserId { id, _held: held }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("all {COUNT} user ids from {FIRST} on are taken")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sandboxes_never_have_the_same_user_and_a_closed_one_frees_it() {
        let (first, second) = (take().unwrap(), take().unwrap());
        assert_ne!(first.id, second.id);
        let freed = first.id;
        drop(first);
        assert_eq!(take().unwrap().id, freed);
    }
}
