//! Looks after the memory of all commands together, where no control group bounds it.

use std::fs;
use std::io;
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
    others
        .filter_map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            Some((process, bytes_of(&status)))
        })
        .collect()
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
}
