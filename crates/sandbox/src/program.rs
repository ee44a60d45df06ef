//! The program that lays a sandbox's ground and runs inside it, carried in this one.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, SealFlags};

/// Linked static by the build script, so that it runs in any root.
pub(crate) static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/backspace-init"));

/// A path by which a child of this process can execute the program.
///
/// It lives in memory alone, so that nothing stays behind, and sealed, so that nobody can change it.
pub(crate) fn path() -> io::Result<PathBuf> {
    static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();
    let program = match PROGRAM.get() {
        Some(program) => program,
        None => {
            let made = make()?;
            PROGRAM.get_or_init(|| made)
        }
    };
    Ok(PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd())))
}

fn make() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Before Linux 6.3 every one may be executed, and the flag is not known.
    let program = rustix::fs::memfd_create("backspace-init", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("backspace-init", flags))?;
    let mut file = File::from(program);
    file.write_all(BYTES)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}
