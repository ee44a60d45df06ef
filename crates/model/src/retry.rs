//! Asking again: after how long, and how often at most.

use std::time::Duration;

/// How often and how long a model is asked again.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How often it is asked in all, the first time included.
    pub tries_max: u32,
    /// The shortest pause of our own choice.
    pub wait_min: Duration,
    /// The longest pause of our own choice; a provider may ask for a longer one.
    pub wait_max: Duration,
    /// Beyond this, counted from the first try, no pause is begun that would end later, but for the one before the second
    /// try; no pause at all is longer.
    pub total_max: Duration,
    /// How often a model is asked before another one is, when there is one.
    pub tries_before_next: u32,
    /// The longest pause that is waited for before another model is asked, when there is one.
    pub wait_before_next: Duration,
    /// What the jitter is drawn from: chance is an argument, so that a test can say how long each pause is.
    pub seed: u64,
}

impl Default for Policy {
    /// Rides out a minute-long rate limit and a short outage, and tells the user of a long one within ten minutes.
    fn default() -> Self {
        Self {
            tries_max: 8,
            wait_min: Duration::from_millis(500),
            wait_max: Duration::from_secs(60),
            total_max: Duration::from_secs(600),
            // A hiccup is over after the second try; what asks for more time than this is no hiccup.
            tries_before_next: 3,
            wait_before_next: Duration::from_secs(10),
            seed: 0,
        }
    }
}

/// Decorrelated jitter: each pause lies between the shortest one and three times the one before.
///
/// Sessions that were refused at the same moment spread out instead of coming back together.
pub(crate) struct Jitter {
    min_ms: u64,
    max_ms: u64,
    previous_ms: u64,
    state: u64,
}

impl Jitter {
    pub(crate) fn new(policy: &Policy) -> Self {
        let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let min_ms = ms(policy.wait_min);
        Self { min_ms, max_ms: ms(policy.wait_max).max(min_ms), previous_ms: min_ms, state: policy.seed }
    }

    pub(crate) fn next_wait(&mut self) -> Duration {
        let upper = self.previous_ms.saturating_mul(3).clamp(self.min_ms, self.max_ms);
        let span = (upper - self.min_ms).saturating_add(1);
        self.previous_ms = self.min_ms + self.next_random() % span;
        Duration::from_millis(self.previous_ms)
    }

    /// SplitMix64: enough for jitter, and the same on every machine.
    fn next_random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
