//! One request on its way through a chain: how often each model failed it, and whom to ask next.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{FAILURES_MAX, WINDOW};
use super::{Chain, Link, Rank};
use crate::Error;
use crate::retry::Jitter;

/// So often an answer that breaks the rules of its wire is asked for in all: a gateway's hiccup is over by then, and a
/// server that speaks something else never ends.
const NONSENSE_TRIES_MAX: u32 = 3;

/// One request on its way.
pub(super) struct Round<'c, 'm> {
    chain: &'c Chain<'m>,
    begun: Instant,
    tried: Vec<Tried>,
}

/// How a model did with this request.
struct Tried {
    /// How often it failed.
    failed: u32,
    /// When it may be asked again.
    ready_at: Instant,
    /// It is not asked with this request any more.
    over: bool,
    /// Its last answer was none: whoever else is there is asked first.
    nonsense: bool,
    /// Its last error.
    reason: String,
    jitter: Jitter,
}

/// Whom to ask next, and after how long.
pub(super) struct Next {
    pub(super) at: usize,
    pub(super) wait: Duration,
    /// How often it failed already, and how.
    pub(super) retry: u32,
    pub(super) reason: String,
}

/// What an error says about who may be asked.
enum Verdict {
    /// The same model, after so many milliseconds at least.
    Again(u64),
    /// Any other model; with none, the same one a few times.
    RatherAnother,
    /// Any other model; this one not with this request.
    Another,
    /// Any other model; this one not in this session.
    Useless,
    /// Nobody: it is ours to mend before anybody is asked again.
    Nobody,
}

impl<'c, 'm> Round<'c, 'm> {
    pub(super) fn begin(chain: &'c Chain<'m>, now: Instant) -> Self {
        let tried = |_| Tried {
            failed: 0,
            ready_at: now,
            over: false,
            nonsense: false,
            reason: String::new(),
            jitter: Jitter::new(&chain.policy),
        };
        Self { chain, begun: now, tried: (0..chain.links.len()).map(tried).collect() }
    }

    /// Whom to ask instead of `at`, whose provider is left alone for now, and why. With nobody else to turn to it is asked
    /// all the same.
    pub(super) fn around_open_breaker(&self, at: usize) -> Option<(usize, String)> {
        self.open(Rank::Ordinary).find(|other| *other != at)?;
        let provider = self.provider(at);
        let left = self.chain.breakers.admit(provider, self.begun).err()?;
        let next = self.ready_other(at, self.begun)?;
        let (window_s, left_s) = (WINDOW.as_secs(), left.as_millis().div_ceil(1000));
        let reason = format!(
            "{provider} has failed {FAILURES_MAX} times within {window_s} s and is left alone for another {left_s} s"
        );
        Some((next, reason))
    }

    /// Takes in that the model at `at` failed; gives whom to ask next, or nothing when nobody is left.
    pub(super) fn after(&mut self, at: usize, error: &Error, now: Instant) -> Option<Next> {
        self.tried[at].reason = error.to_string();
        match verdict(error) {
            Verdict::Nobody => return None,
            Verdict::Useless => self.chain.links[at].useless.store(true, Ordering::Relaxed),
            Verdict::Another => self.tried[at].over = true,
            Verdict::Again(ms) => {
                self.chain.breakers.failed(self.provider(at), now);
                self.put_off(at, now, Duration::from_millis(ms), self.chain.policy.tries_max);
                self.tried[at].nonsense = false;
            }
            Verdict::RatherAnother => {
                self.put_off(at, now, Duration::ZERO, NONSENSE_TRIES_MAX.min(self.chain.policy.tries_max));
                self.tried[at].nonsense = true;
            }
        }
        let next = self.choose(at, now)?;
        let tried = &self.tried[next];
        let wait = tried.ready_at.saturating_duration_since(now);
        Some(Next { at: next, wait, retry: tried.failed, reason: tried.reason.clone() })
    }

    /// Lets the model at `at` be asked again after `wait` at least, unless that was `tries_max` times or takes too long.
    fn put_off(&mut self, at: usize, now: Instant, wait: Duration, tries_max: u32) {
        let tried = &mut self.tried[at];
        tried.failed += 1;
        tried.ready_at = now + tried.jitter.next_wait().max(wait);
        let total_max = self.chain.policy.total_max;
        // A first try may have taken all of the time, where a server may be silent for long: it has a second one.
        let is_late = tried.failed > 1 && tried.ready_at.duration_since(self.begun) > total_max;
        tried.over = tried.failed >= tries_max || is_late || wait > total_max;
    }

    /// The same model while that is quick and its provider is not left alone, then whoever can be asked at once, then whoever
    /// can be asked first, and then the last resort.
    fn choose(&self, at: usize, now: Instant) -> Option<usize> {
        let left_alone = self.chain.breakers.is_open(self.provider(at), now);
        if self.open(Rank::Ordinary).any(|open| open == at) && self.is_quick(at, now) && !left_alone {
            return Some(at);
        }
        let soonest =
            || self.open(Rank::Ordinary).min_by_key(|open| (self.tried[*open].ready_at, *open != at));
        self.ready_other(at, now).or_else(soonest).or_else(|| self.open(Rank::LastResort).next())
    }

    /// Whether waiting for the model at `at` is still better than turning to another one.
    fn is_quick(&self, at: usize, now: Instant) -> bool {
        let (policy, tried) = (&self.chain.policy, &self.tried[at]);
        let wait = tried.ready_at.saturating_duration_since(now);
        let is_late = tried.ready_at.duration_since(self.begun) > policy.total_max;
        !tried.nonsense
            && !is_late
            && tried.failed < policy.tries_before_next
            && wait <= policy.wait_before_next
    }

    /// The first one but `at` that can be asked at once.
    fn ready_other(&self, at: usize, now: Instant) -> Option<usize> {
        let mut others =
            self.open(Rank::Ordinary).filter(|open| *open != at && self.tried[*open].ready_at <= now);
        others.find(|other| self.chain.breakers.admit(self.provider(*other), now).is_ok())
    }

    /// The models of this rank that may still be asked, in their order.
    fn open(&self, rank: Rank) -> impl Iterator<Item = usize> {
        let open = move |(link, tried): (&Link<'_>, &Tried)| {
            link.rank == rank && !tried.over && !link.useless.load(Ordering::Relaxed)
        };
        let links = self.chain.links.iter().zip(&self.tried).map(open).enumerate();
        links.filter(|(_, open)| *open).map(|(at, _)| at)
    }

    fn provider(&self, at: usize) -> &'c str {
        &self.chain.links[at].model.name().provider
    }
}

fn verdict(error: &Error) -> Verdict {
    match error {
        Error::Transient { retry_after_ms, .. } => Verdict::Again(retry_after_ms.unwrap_or(0)),
        Error::Protocol { .. } => Verdict::RatherAnother,
        Error::Key { .. } | Error::Quota { .. } | Error::NotFound { .. } => Verdict::Useless,
        // A filter of contents, a field that is not known, a signature: much of what one refuses, another one takes.
        Error::Refused { .. } => Verdict::Another,
        Error::ContextFull { .. } | Error::Beyond { .. } | Error::Config(_) => Verdict::Nobody,
    }
}
