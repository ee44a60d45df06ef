//! Looks after the memory of all commands together, where no control group bounds it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often it is looked at: seldom enough to cost nothing, often enough for what a processor can fill meanwhile.
const LOOK: Duration = Duration::from_millis(500);

/// Ends the largest process whenever all of them take more than `bytes_max`, from a thread that lives as long as this
/// process. It is as the kernel does it to a control group, only later.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start(bytes_max: u64) -> io::Result<()> {
    let look = move || {
        loop {
            thread::sleep(LOOK);
            if let Some(largest) = too_much(&processes(), bytes_max) {
                // It may have ended meanwhile.
                let _ = kill_process(largest, Signal::KILL);
            }
        }
    };
    thread::Builder::new().name("watch".to_owned()).spawn(look)?;
    Ok(())
}

/// The largest process, when all together are over the bound. What several of them share is counted for each.
fn too_much(processes: &[(Pid, u64)], bytes_max: u64) -> Option<Pid> {
    let total: u64 = processes.iter().map(|(_, bytes)| bytes).sum();
    let (largest, _) = processes.iter().max_by_key(|(_, bytes)| bytes)?;
    (total > bytes_max).then_some(*largest)
}

/// Every process inside but this one, with its bytes of memory.
fn processes() -> Vec<(Pid, u64)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let others = numbered.filter_map(Pid::from_raw).filter(|process| !process.is_init());
    let mut seen = HashSet::new();
    others
        .filter_map(|process| {
            let own = PathBuf::from(format!("/proc/{process}"));
            let status = fs::read_to_string(own.join("status")).ok()?;
            let held = bytes_of(&status).saturating_add(anonymous_files(&own.join("fd"), &mut seen));
            Some((process, held))
        })
        .collect()
}

/// The bytes of open files that only memory holds; each counts once, for the first process that has it open. No
/// process's own numbers tell of one that is not mapped.
fn anonymous_files(open: &Path, seen: &mut HashSet<u64>) -> u64 {
    // What a file takes is told in such blocks, whatever its own are.
    const BLOCK_BYTES: u64 = 512;
    let files = fs::read_dir(open).into_iter().flatten().flatten().map(|entry| entry.path());
    let anonymous = files.filter(|file| {
        fs::read_link(file).is_ok_and(|name| name.as_os_str().as_bytes().starts_with(b"/memfd:"))
    });
    let told = anonymous.filter_map(|file| fs::metadata(file).ok());
    let first = told.filter(|file| seen.insert(file.ino()));
    first.map(|file| file.blocks().saturating_mul(BLOCK_BYTES)).fold(0, u64::saturating_add)
}

/// What a process holds that is no file's: its own memory, and what it shares by name.
fn bytes_of(status: &str) -> u64 {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let names = ["RssAnon", "RssShmem", "VmSwap"];
    names.into_iter().filter_map(kib).fold(0, u64::saturating_add).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_goes_when_all_together_are_too_large() {
        let [first, second] = [7, 8].map(|number| Pid::from_raw(number).unwrap());
        let both = [(first, 100), (second, 101)];
        assert_eq!(too_much(&both, 201), None);
        assert_eq!(too_much(&both, 200), Some(second));
        assert_eq!(too_much(&[], 0), None);
    }

    #[test]
    fn what_a_process_holds_stands_in_its_status() {
        let status = "Name:\tx\nVmRSS:\t 900 kB\nRssAnon:\t  10 kB\nRssFile:\t 800 kB\nRssShmem:\t 2 kB\nVmSwap:\t1 kB\n";
        assert_eq!(bytes_of(status), 13 * 1024);
        assert_eq!(bytes_of("Name:\tkthread\n"), 0);
        assert!(bytes_of(&fs::read_to_string("/proc/self/status").unwrap()) > 0);
    }

    #[test]
    fn an_anonymous_file_counts_once_however_often_it_is_open() {
        use std::io::Write as _;
        let mut seen = HashSet::new();
        anonymous_files(Path::new("/proc/self/fd"), &mut seen);
        let file = rustix::fs::memfd_create("held", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = fs::File::from(file);
        file.write_all(&[1; 1 << 20]).unwrap();
        file.set_len(1 << 40).unwrap();
        let _again = file.try_clone().unwrap();
        assert_eq!(anonymous_files(Path::new("/proc/self/fd"), &mut seen), 1 << 20, "holes are no memory");
        assert_eq!(anonymous_files(Path::new("/proc/self/fd"), &mut seen), 0);
    }
}
