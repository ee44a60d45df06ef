//! The user ids of sandboxes that root opens: one for each, so that no two can signal each other or share a limit.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The first of them: above what most accounts, containers' and `systemd`'s own ranges use.
const FIRST: u32 = 2_000_000;
/// More sandboxes than a machine holds.
const COUNT: u32 = 10_000;

/// A user id that no other sandbox of this machine has while this value lives.
#[derive(Debug)]
pub(crate) struct UserId {
    pub(crate) id: u32,
    /// Bound to a name made of the id. The kernel lets go of it when this process ends, however it ends.
    _held: UnixListener,
}

/// Takes a free one.
pub(crate) fn take() -> io::Result<UserId> {
    take_of(&(FIRST..FIRST + COUNT))
}

/// Takes a free one of `ids`.
pub(crate) fn take_of(ids: &Range<u32>) -> io::Result<UserId> {
    let taken = taken(&read("/etc/passwd"), &read("/etc/subuid"));
    // Processes begin at different places, or each would try all that the others hold.
    let start = ids.start + std::process::id() % (ids.end - ids.start);
    for id in (start..ids.end).chain(ids.start..start) {
        if taken.iter().any(|range| range.contains(&id)) {
            continue;
        }
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!(
            "backspace-sandbox-user-{id}"
        ))?) {
            Ok(held) => return Ok(UserId { id, _held: held }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("all user ids from {} to {} are taken", ids.start, ids.end)))
}

/// A machine without the file has given no ids by it.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The ids of accounts, and those that accounts may give to their containers.
fn taken(passwd: &str, subuid: &str) -> Vec<Range<u32>> {
    let accounts = passwd.lines().filter_map(|line| {
        let id = line.split(':').nth(2)?.parse::<u32>().ok()?;
        Some(id..id.saturating_add(1))
    });
    let containers = subuid.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        let first = fields.next()?.parse::<u32>().ok()?;
        Some(first..first.saturating_add(fields.next()?.trim().parse().ok()?))
    });
    accounts.chain(containers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_belong_to_somebody_are_known() {
        let passwd = "root:x:0:0::/root:/bin/sh\nodd\nsomebody:x:2000000:2000000::/home/s:/bin/sh\n";
        let found = taken(passwd, "somebody:2000100:65536\n#\nodd:x:y\n");
        assert_eq!(found, [0..1, 2_000_000..2_000_001, 2_000_100..2_065_636]);
    }

    #[test]
    fn two_sandboxes_never_have_the_same_user_and_a_closed_one_frees_it() {
        let (first, second) = (take().unwrap(), take().unwrap());
        assert_ne!(first.id, second.id);
        let freed = first.id;
        drop(first);
        assert_eq!(take().unwrap().id, freed);
    }
}
