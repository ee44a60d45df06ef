//! Asking again: when it can help, after how long, and how often at most.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{Conversation, Delta, Error, Live, Model, Reply};

/// How often and how long a model is asked again.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How often it is asked in all, the first time included.
    pub tries_max: u32,
    /// The shortest pause of our own choice.
    pub wait_min: Duration,
    /// The longest pause of our own choice; a provider may ask for a longer one.
    pub wait_max: Duration,
    /// Beyond this, counted from the first try, no pause is begun that would end later.
    pub total_max: Duration,
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
            seed: 0,
        }
    }
}

/// A pause before a model is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What went wrong.
    pub reason: String,
    /// How long the pause is.
    pub wait_ms: u64,
    /// Which retry follows it, from 1.
    pub retry: u32,
}

/// Asks until there is a reply or asking is pointless; `on_wait` is awaited before each pause, to write it down.
///
/// A reply that broke off is asked for from the start: nothing of it is kept or counted, and `live` is told so.
///
/// # Errors
/// The last error of the model, or what `on_wait` returned.
pub async fn ask<W, F, E>(
    model: &dyn Model,
    conversation: &Conversation,
    live: &dyn Live,
    policy: &Policy,
    mut on_wait: W,
) -> Result<Reply, E>
where
    W: FnMut(Wait) -> F,
    F: Future<Output = Result<(), E>>,
    E: From<Error>,
{
    let begun = Instant::now();
    let mut jitter = Jitter::new(policy);
    let mut retry = 1;
    loop {
        let error = match model.reply(conversation, live).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let Error::Transient { retry_after_ms, .. } = &error else { return Err(error.into()) };
        let asked = Duration::from_millis(retry_after_ms.unwrap_or(0));
        let wait = jitter.next_wait().max(asked);
        if retry >= policy.tries_max || begun.elapsed() + wait > policy.total_max {
            return Err(error.into());
        }
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        live.hear(Delta::Again);
        on_wait(Wait { reason: error.to_string(), wait_ms, retry }).await?;
        sleep(wait).await;
        retry += 1;
    }
}

/// Decorrelated jitter: each pause lies between the shortest one and three times the one before.
///
/// Sessions that were refused at the same moment spread out instead of coming back together.
struct Jitter {
    min_ms: u64,
    max_ms: u64,
    previous_ms: u64,
    state: u64,
}

impl Jitter {
    fn new(policy: &Policy) -> Self {
        let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let min_ms = ms(policy.wait_min);
        Self { min_ms, max_ms: ms(policy.wait_max).max(min_ms), previous_ms: min_ms, state: policy.seed }
    }

    fn next_wait(&mut self) -> Duration {
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

#[cfg(test)]
mod tests;
