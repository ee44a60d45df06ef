//! What the sandbox's commands wanted to reach and did not: often why something could not be installed or checked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use events::{EgressDecided, Entry, Event};

use super::code;

/// More hosts than this are in the log. Those that were asked for most often are shown: a program that makes up names
/// asks for each of them once.
const HOSTS_SHOWN: usize = 20;

/// Writes a table of them, each once. The names are the commands' words, the reasons ours.
pub(super) fn not_reached(body: &mut String, entries: &[Entry]) {
    let mut hosts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for entry in entries {
        if let Event::EgressDecided(EgressDecided { host, refused: Some(refused), times, .. }) = &entry.event
        {
            let often = hosts.entry((host, &refused.reason)).or_default();
            *often = often.saturating_add(*times);
        }
    }
    if hosts.is_empty() {
        return;
    }
    body.push_str("### What the sandbox did not reach\n\n| host | times | why |\n|---|---|---|\n");
    let mut hosts: Vec<_> = hosts.into_iter().collect();
    // Stable: those of one count stay in the order of their names.
    hosts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    for ((host, reason), times) in hosts.iter().take(HOSTS_SHOWN) {
        let _ = writeln!(body, "| {} | {times} | {} |", code(host), code(reason));
    }
    if hosts.len() > HOSTS_SHOWN {
        let rest = &hosts[HOSTS_SHOWN..];
        let times = rest.iter().fold(0, |all: u64, (_, times)| all.saturating_add(*times));
        let _ = writeln!(body, "\nAnd {} more, asked for {times} times in all.", rest.len());
    }
    body.push('\n');
}
