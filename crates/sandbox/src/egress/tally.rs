//! What was decided, counted: a flood of requests must not become a flood of entries in a log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Host, Refusal};

/// Different decisions on what is not on the list that are told one by one; a session that meets more is not read line by
/// line any more. Those on hosts of the list are bounded by it, and are all told: where something went is never hidden
/// by a flood of names.
const UNLISTED_MAX: usize = 100;
/// What a program inside asked for is shown so far: all of the longest name of a host.
const ASKED_CHARS_MAX: usize = 253;
/// What stands for all that are not told one by one. No host has such a name.
const OTHERS: &str = "(others)";

/// What was decided for one host, since it was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The host, or what was asked for instead of one, without control characters; `(others)` when there were too many
    /// to be told one by one.
    pub host: String,
    /// The port; nothing when none was understood.
    pub port: Option<u16>,
    /// What was decided.
    pub verdict: Verdict,
    /// How often.
    pub times: u64,
    /// Bytes that were sent to it.
    pub sent_bytes: u64,
    /// Bytes that came from it.
    pub received_bytes: u64,
}

/// What is decided of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It was let through.
    Allowed,
    /// It was not.
    Refused(Refusal),
}

/// All that was decided.
#[derive(Debug)]
pub(super) struct Tally {
    listed: BTreeSet<Host>,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    told: BTreeMap<Key, Row>,
    /// How many of them are on what is not on the list.
    unlisted: usize,
}

/// What makes two decisions the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: String,
    port: Option<u16>,
    verdict: Verdict,
}

#[derive(Debug, Default)]
struct Row {
    times: u64,
    moved: Arc<Moved>,
}

/// Bytes that were moved and are not told yet.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl Tally {
    /// Nothing yet, where the hosts that are `listed` may be reached.
    pub(super) fn new(listed: BTreeSet<Host>) -> Self {
        Self { listed, rows: Mutex::default() }
    }

    /// Counts a decision; what is moved because of it is to be counted in what is returned.
    pub(super) fn count(&self, asked: &str, port: Option<u16>, verdict: Verdict) -> Arc<Moved> {
        let mut rows = self.rows();
        let mut key = Key { host: shown(asked), port, verdict };
        if !self.is_listed(&key) && !rows.told.contains_key(&key) {
            if rows.unlisted < UNLISTED_MAX {
                rows.unlisted += 1;
            } else {
                OTHERS.clone_into(&mut key.host);
                key.port = None;
            }
        }
        let row = rows.told.entry(key).or_default();
        row.times += 1;
        Arc::clone(&row.moved)
    }

    /// What was decided since the last call, by host. What is moved later by a connection that goes on is told with the
    /// next decision of its kind, or by [`Tally::last`].
    pub(super) fn next(&self) -> Vec<Decision> {
        let mut rows = self.rows();
        let fresh = rows.told.iter_mut().filter(|(_, row)| row.times > 0);
        fresh.map(|(key, row)| row.tell(key)).collect()
    }

    /// All that was not told.
    pub(super) fn last(&self) -> Vec<Decision> {
        let mut rows = self.rows();
        let all = rows.told.iter_mut().map(|(key, row)| row.tell(key));
        all.filter(|told| told.times + told.sent_bytes + told.received_bytes > 0).collect()
    }

    /// Whether it is on a host of the list. What was no request has no port.
    fn is_listed(&self, key: &Key) -> bool {
        key.port.is_some() && self.listed.iter().any(|host| host.as_str() == key.host)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn tell(&mut self, key: &Key) -> Decision {
        Decision {
            host: key.host.clone(),
            port: key.port,
            verdict: key.verdict,
            times: std::mem::take(&mut self.times),
            sent_bytes: self.moved.sent.swap(0, Ordering::Relaxed),
            received_bytes: self.moved.received.swap(0, Ordering::Relaxed),
        }
    }
}

/// The beginning of what was asked for, as one line without powers.
fn shown(asked: &str) -> String {
    let short: String = asked.chars().take(ASKED_CHARS_MAX).collect();
    events::escape_control(&short.replace(['\n', '\t'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: Verdict = Verdict::Refused(Refusal::NotListed);

    fn tally() -> Tally {
        Tally::new(["a", "b"].map(|host| host.parse().unwrap()).into())
    }

    fn decision(host: &str, verdict: Verdict, times: u64, bytes: (u64, u64)) -> Decision {
        let port = (host != OTHERS).then_some(443);
        Decision { host: host.to_owned(), port, verdict, times, sent_bytes: bytes.0, received_bytes: bytes.1 }
    }

    #[test]
    fn the_same_decision_is_told_once_with_how_often() {
        let tally = tally();
        for host in ["b", "a", "b", "b"] {
            tally.count(host, Some(443), REFUSED);
        }
        tally.count("b", Some(443), Verdict::Allowed);
        let told = [
            decision("a", REFUSED, 1, (0, 0)),
            decision("b", Verdict::Allowed, 1, (0, 0)),
            decision("b", REFUSED, 3, (0, 0)),
        ];
        assert_eq!(tally.next(), told);
        assert_eq!(tally.next(), []);
        tally.count("b", Some(443), REFUSED);
        assert_eq!(tally.next(), [decision("b", REFUSED, 1, (0, 0))]);
    }

    #[test]
    fn bytes_are_told_once_the_late_ones_at_the_end() {
        let tally = tally();
        let moved = tally.count("a", Some(443), Verdict::Allowed);
        moved.sent.fetch_add(5, Ordering::Relaxed);
        assert_eq!(tally.next(), [decision("a", Verdict::Allowed, 1, (5, 0))]);
        moved.received.fetch_add(7, Ordering::Relaxed);
        assert_eq!(tally.next(), []);
        assert_eq!(tally.last(), [decision("a", Verdict::Allowed, 0, (0, 7))]);
        assert_eq!(tally.last(), []);
    }

    #[test]
    fn a_flood_of_names_becomes_one_line() {
        let tally = tally();
        for number in 0..UNLISTED_MAX + 50 {
            tally.count(&format!("{number:05}.example"), Some(443), REFUSED);
        }
        let told = tally.next();
        assert_eq!(told.len(), UNLISTED_MAX + 1);
        assert_eq!(told[0], decision(OTHERS, REFUSED, 50, (0, 0)));
        for number in 1000..2000 {
            tally.count(&format!("{number:05}.example"), Some(443), REFUSED);
        }
        assert_eq!(tally.next(), [decision(OTHERS, REFUSED, 1000, (0, 0))]);
    }

    #[test]
    fn no_flood_hides_what_was_decided_on_a_host_of_the_list() {
        let tally = tally();
        for number in 0..UNLISTED_MAX + 50 {
            tally.count(&format!("{number:05}.example"), Some(443), REFUSED);
        }
        let moved = tally.count("b", Some(443), Verdict::Allowed);
        moved.sent.fetch_add(5, Ordering::Relaxed);
        let spent = Verdict::Refused(Refusal::Spent);
        tally.count("b", Some(443), spent);
        // What is no request, though it reads like a host of the list.
        tally.count("a", None, REFUSED);
        let told = tally.next();
        assert_eq!(told.len(), UNLISTED_MAX + 3);
        assert_eq!(told[0], decision(OTHERS, REFUSED, 51, (0, 0)));
        let last = [decision("b", Verdict::Allowed, 1, (5, 0)), decision("b", spent, 1, (0, 0))];
        assert_eq!(told[UNLISTED_MAX + 1..], last);
    }

    #[test]
    fn what_was_asked_for_is_shown_without_powers_and_without_end() {
        let tally = tally();
        tally.count(&format!("\u{1b}[2J\r\n{}", "x".repeat(9999)), None, REFUSED);
        let told = tally.next();
        assert!(told[0].host.starts_with("\\u{1b}[2J\\u{d} xxx"), "{told:?}");
        assert!(told[0].host.len() < 300);
    }
}
