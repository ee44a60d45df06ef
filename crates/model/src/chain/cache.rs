//! Whether the provider that is asked next still has the conversation in its cache.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Chain;

/// For so long after its last use a provider is believed to have a prompt in its cache. Anthropic's caches last five minutes
/// from their last use (platform.claude.com, "Prompt caching"), OpenAI's and Azure's five at least (developers.openai.com and
/// learn.microsoft.com, "Prompt caching"); who says nothing has not promised more.
pub const CACHE_KEPT: Duration = Duration::from_secs(5 * 60);

/// What is known of the cache of the provider that is asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// It has what it said it has when it answered last.
    Warm,
    /// It may have nothing: another one answered last, or too long ago.
    Cold,
}

/// The last answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    /// Whose.
    pub(super) by: usize,
    /// When it was asked for: that was the last use of the cache.
    pub(super) asked: Instant,
}

impl Chain<'_> {
    /// What is known of the cache of the model that is asked next. In a recording it had run out where it had then.
    pub fn cache(&self) -> Cache {
        let Some(Answered { by, asked }) = *self.answered() else { return Cache::Cold };
        let has_run_out = match &self.tape {
            Some(tape) => tape.cache_has_run_out(),
            None => asked.elapsed() >= CACHE_KEPT,
        };
        match by == self.at.load(Ordering::Relaxed) && !has_run_out {
            true => Cache::Warm,
            false => Cache::Cold,
        }
    }
}
