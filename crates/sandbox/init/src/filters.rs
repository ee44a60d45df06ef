//! Loads system call filters into this process, for all that it starts.
#![expect(unsafe_code, reason = "no crate that we have loads a filter that it did not write")]

use std::io;

/// An instruction: a code, two jumps and a value.
const INSTRUCTION_BYTES: usize = 8;

/// Loads `filters`, the first one first. There is one thread yet, so that no other is left without.
pub(crate) fn load(filters: &[Vec<u8>]) -> io::Result<()> {
    if filters.is_empty() {
        return Ok(());
    }
    rustix::thread::set_no_new_privs(true)?;
    filters.iter().try_for_each(|filter| load_one(&mut instructions(filter)))
}

fn instructions(filter: &[u8]) -> Vec<libc::sock_filter> {
    filter
        .chunks_exact(INSTRUCTION_BYTES)
        .map(|it| libc::sock_filter {
            code: u16::from_ne_bytes([it[0], it[1]]),
            jt: it[2],
            jf: it[3],
            k: u32::from_ne_bytes([it[4], it[5], it[6], it[7]]),
        })
        .collect()
}

fn load_one(instructions: &mut [libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: instructions.as_mut_ptr() };
    // SAFETY: the program and its instructions live as long as the call, and the length is theirs.
    let loaded = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0 as libc::c_ulong,
            &raw const program,
        )
    };
    if loaded == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
