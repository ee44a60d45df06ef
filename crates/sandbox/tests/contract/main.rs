//! What every sandbox keeps to, whoever opens it: root or an ordinary user.

#[cfg(test)]
mod changes;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod deep;
#[cfg(test)]
mod egress;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod process_1;
#[cfg(test)]
mod relays;
#[cfg(test)]
mod walls;
#[cfg(test)]
mod world;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

/// A user that no machine has.
pub(crate) const ORDINARY: u32 = 1_500_000;

/// Started by root, the whole suite runs a second time as somebody else.
#[test]
fn the_same_holds_for_an_ordinary_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // The build's folder may lie where only root comes.
    let home = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let program = home.path().join("contract");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    std::os::unix::fs::chown(&temporary, Some(ORDINARY), Some(ORDINARY)).unwrap();
    let status = std::process::Command::new(&program)
        .args(["--skip", "the_same_holds"])
        .env("TMPDIR", &temporary)
        .current_dir("/")
        .uid(ORDINARY)
        .gid(ORDINARY)
        .status()
        .unwrap();
    assert!(status.success(), "as an ordinary user: {status}");
}
