//! Leaves a provider alone that has just failed again and again, whichever sessions it failed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many failures within [`WINDOW`] are no bad luck any more: one session alone turns away after three.
pub(super) const FAILURES_MAX: usize = 5;
/// Failures that lie further apart than this tell nothing of the next request.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// So long a provider is left alone, and then asked once: short outages are over by then, and a long one costs each
/// session no more than one request in so long.
pub(super) const PAUSE: Duration = Duration::from_secs(30);

/// The breakers of this process, one a provider; clones are the same ones.
///
/// A breaker opens after several failures in a short time, and sessions that have another provider go straight to that.
/// After a pause one request is let through: its answer closes the breaker, its failure begins another pause.
#[derive(Debug, Clone, Default)]
pub struct Breakers(Arc<Mutex<HashMap<String, Breaker>>>);

#[derive(Debug, Default)]
struct Breaker {
    /// When it failed, the oldest first.
    failures: VecDeque<Instant>,
    /// Nobody is let through before; the first one after begins the next pause for everybody else.
    open_until: Option<Instant>,
}

impl Breakers {
    /// `provider` has answered.
    pub(super) fn answered(&self, provider: &str) {
        self.with(|breakers| breakers.remove(provider));
    }

    /// `provider` has failed in a way that asking again may mend.
    pub(super) fn failed(&self, provider: &str, now: Instant) {
        self.with(|breakers| {
            let breaker = breakers.entry(provider.to_owned()).or_default();
            breaker.failures.push_back(now);
            while breaker.failures.front().is_some_and(|at| now.duration_since(*at) > WINDOW) {
                breaker.failures.pop_front();
            }
            if breaker.open_until.is_some() || breaker.failures.len() >= FAILURES_MAX {
                breaker.open_until = Some(now + PAUSE);
            }
        });
    }

    /// Whether `provider` may be asked now.
    ///
    /// # Errors
    /// How long it is still to be left alone.
    pub(super) fn admit(&self, provider: &str, now: Instant) -> Result<(), Duration> {
        self.with(|breakers| {
            let Some(breaker) = breakers.get_mut(provider) else { return Ok(()) };
            match breaker.open_until {
                Some(until) if now < until => Err(until - now),
                Some(_) => {
                    breaker.open_until = Some(now + PAUSE);
                    Ok(())
                }
                None => Ok(()),
            }
        })
    }

    /// Whether `provider` is left alone now; asks for nothing.
    pub(super) fn is_open(&self, provider: &str, now: Instant) -> bool {
        self.with(|breakers| {
            breakers.get(provider).and_then(|breaker| breaker.open_until).is_some_and(|until| now < until)
        })
    }

    /// Whoever panicked while holding the lock left whole entries behind.
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Breaker>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn failures_close_together_open_it_and_others_do_not() {
        let (breakers, begun) = (Breakers::default(), Instant::now());
        for n in 0..20 {
            breakers.failed("slow", begun + seconds(16 * n));
        }
        assert_eq!(breakers.admit("slow", begun + seconds(16 * 19)), Ok(()));
        for n in 0..4 {
            breakers.failed("p", begun + seconds(n));
        }
        assert_eq!(breakers.admit("p", begun + seconds(4)), Ok(()));
        breakers.failed("p", begun + seconds(4));
        assert_eq!(breakers.admit("p", begun + seconds(5)), Err(seconds(29)));
        assert_eq!(breakers.admit("q", begun + seconds(5)), Ok(()), "another provider");
    }

    #[test]
    fn after_the_pause_one_is_let_through_and_decides() {
        let (breakers, begun) = (Breakers::default(), Instant::now());
        (0..5).for_each(|_| breakers.failed("p", begun));
        let tried = begun + PAUSE;
        assert_eq!(breakers.admit("p", tried), Ok(()));
        assert_eq!(breakers.clone().admit("p", tried), Err(PAUSE), "clones are the same ones");
        breakers.failed("p", tried + seconds(90));
        assert_eq!(breakers.admit("p", tried + seconds(91)), Err(seconds(29)), "one failure is enough now");
        assert_eq!(breakers.admit("p", tried + seconds(120)), Ok(()));
        breakers.answered("p");
        assert_eq!(breakers.admit("p", tried + seconds(120)), Ok(()));
        breakers.failed("p", tried + seconds(121));
        assert_eq!(breakers.admit("p", tried + seconds(121)), Ok(()), "what was before is forgotten");
    }
}
