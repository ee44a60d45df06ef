//! Measures a commit before it is checked out. Packs are small when what they hold repeats itself, so a few kilobytes may
//! hold more files than there is memory for, and more bytes than there is disk.

use std::path::Path;

use events::Oid;

use crate::mirror::Mirror;
use crate::{Error, at, git};

use super::manifest;

/// A checkout of more bytes is none that a session is made of; the largest of well-known projects take a tenth.
const BYTES_MAX: u64 = 64 << 30;
/// This part of what is free on the disk may go to one checkout.
const FREE_PART_MAX: u64 = 2;

impl Mirror {
    /// What `commit` holds, as git lists it, if a checkout of it fits below `trees`.
    ///
    /// # Errors
    /// [`Error::Unfit`] when it does not.
    pub(super) async fn measured(&self, commit: &Oid, trees: &Path) -> Result<Vec<u8>, Error> {
        let list = |format: &[&str]| {
            let args = ["ls-tree", "-r", "-z", "--full-tree"].iter().chain(format);
            self.call("list the base", args).arg(commit.as_str())
        };
        // It is told as it is found: git itself needs no memory for it, and ends when nobody reads on.
        let paths = git::run(list(&[]).stdout_bytes_max(manifest::BYTES_MAX)).await?;
        if paths.overflow {
            return Err(Error::Unfit { what: "it holds more files than can be worked with".to_owned() });
        }
        let paths = paths.success()?.stdout;
        let sizes = git::run(list(&["--format=%(objectsize)"])).await?.success()?;
        let disk = at("look at", trees, rustix::fs::statvfs(trees).map_err(std::io::Error::from))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        fits(sum(&sizes.stdout), BYTES_MAX.min(free / FREE_PART_MAX))?;
        Ok(paths)
    }
}

/// The sum of numbers that end in NUL; a submodule has none.
fn sum(sizes: &[u8]) -> u64 {
    let sizes =
        sizes.split(|byte| *byte == 0).filter_map(|size| std::str::from_utf8(size).ok()?.parse().ok());
    sizes.fold(0, u64::saturating_add)
}

fn fits(bytes: u64, bytes_max: u64) -> Result<(), Error> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let (mib, mib_max) = (bytes >> 20, bytes_max >> 20);
    Err(Error::Unfit {
        what: format!("a checkout of it takes {mib} MiB, and at most {mib_max} MiB are given to one"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_summed_without_an_end_to_what_they_may_be() {
        assert_eq!(sum(&[&b"1"[..], b"20", b"-", b"300", b""].join(&0)), 321);
        assert_eq!(sum(&[&b"18446744073709551615"[..], b"5"].join(&0)), u64::MAX);
        assert_eq!(sum(b""), 0);
        assert!(fits(7, 7).is_ok() && fits(8, 7).is_err());
    }
}
