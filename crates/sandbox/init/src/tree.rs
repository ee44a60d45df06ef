//! The tree of processes below a supervisor.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A tree that still stands after so long is ended together with everything else inside.
const ENDING_MAX: Duration = Duration::from_secs(5);
/// How long killed processes are given to go before they are looked for again.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether nothing lives below `supervisor`; what cannot be looked at is not gone.
pub(crate) fn is_gone(supervisor: i32) -> bool {
    fs::read_dir("/proc").is_ok() && descendants(supervisor).is_empty()
}

/// Sends `signal` to everything below `supervisor`.
pub(crate) fn signal(supervisor: i32, signal: Signal) {
    for process in descendants(supervisor) {
        // It may have ended meanwhile.
        let _ = kill_process(process, signal);
    }
}

/// Ends everything below `supervisor`; returns when it is gone.
pub(crate) fn kill(supervisor: i32) {
    let until = Instant::now() + ENDING_MAX;
    while !is_gone(supervisor) && Instant::now() < until {
        stop(supervisor, until);
        signal(supervisor, Signal::KILL);
        std::thread::sleep(PAUSE);
    }
    if !is_gone(supervisor) {
        kill_everything();
    }
}

/// Ends everything inside but this program; tells whether it is gone.
pub(crate) fn kill_all() -> bool {
    let until = Instant::now() + ENDING_MAX;
    let own = rustix::process::getpid().as_raw_pid();
    loop {
        kill_everything();
        // Threads of commands that were just asked for may still start one, so it is looked for again.
        if is_gone(own) {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// `kill(-1)`: from process 1 this reaches everything inside but itself.
fn kill_everything() {
    let _ = rustix::process::kill_process_group(Pid::INIT, Signal::KILL);
}

/// Stops everything below `supervisor`, so that it forks no faster than it is killed.
fn stop(supervisor: i32, until: Instant) {
    let mut stopped = HashSet::new();
    while Instant::now() < until {
        let fresh: Vec<_> =
            descendants(supervisor).into_iter().filter(|process| stopped.insert(*process)).collect();
        if fresh.is_empty() {
            return;
        }
        for process in fresh {
            let _ = kill_process(process, Signal::STOP);
        }
    }
}

/// The living processes below `supervisor`.
fn descendants(supervisor: i32) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(parent) = fs::read(entry.path().join("stat")).ok().and_then(|stat| living_parent(&stat)) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![supervisor];
    while let Some(parent) = next.pop() {
        let below = children.remove(&parent).unwrap_or_default();
        found.extend(below.iter().filter_map(|process| Pid::from_raw(*process)));
        next.extend(below);
    }
    found
}

/// The parent that a line of `/proc/PID/stat` names; nothing for a process that has ended.
fn living_parent(stat: &[u8]) -> Option<i32> {
    // The name before it is in parentheses, and may hold any byte.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_field_does_not_mislead() {
        assert_eq!(living_parent(b"12 (a) S 7 (b\xff) R 1 12 12 0"), Some(1));
        assert_eq!(living_parent(b"12 (x) Z 1 12"), None);
        assert_eq!(living_parent(b"12 (x"), None);
    }

    #[test]
    fn this_process_stands_below_its_parent() {
        let own = rustix::process::getpid();
        assert!(descendants(Pid::as_raw(rustix::process::getppid())).contains(&own));
    }
}
