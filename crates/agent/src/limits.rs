//! What the agent may use up.

use std::time::Duration;

use events::{Budget, Limit, Usage};
use tokio::time::Instant;

/// Without a bound of its own a session ends after so many replies: nothing we have seen finish took more.
const TURNS_MAX: u32 = 500;
/// Without a bound of its own a session ends after so many minutes.
const MINUTES_MAX: u32 = 120;

/// What the agent may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    turns_max: u32,
    tokens_max: Option<u64>,
    deadline: Instant,
}

impl Limits {
    /// The limits of a session that begins now with `budget`.
    pub fn starting_now(budget: &Budget) -> Self {
        let minutes = budget.minutes.unwrap_or(MINUTES_MAX);
        Self {
            turns_max: budget.turns.unwrap_or(TURNS_MAX),
            tokens_max: budget.tokens,
            deadline: Instant::now() + Duration::from_secs(60 * u64::from(minutes)),
        }
    }

    /// The limit that forbids another call of the model after `turns` replies that used `totals`.
    pub fn reached(&self, turns: u32, totals: &Usage) -> Option<Limit> {
        if turns >= self.turns_max {
            Some(Limit::Turns)
        } else if self.tokens_max.is_some_and(|max| totals.tokens() >= max) {
            Some(Limit::Tokens)
        } else if Instant::now() >= self.deadline {
            Some(Limit::Minutes)
        } else {
            None
        }
    }

    /// When the time is up.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_that_is_reached_is_named() {
        let budget = Budget { tokens: Some(100), turns: Some(3), minutes: Some(0) };
        let limits = Limits::starting_now(&budget);
        let used = |input_tokens| Usage { input_tokens, ..Usage::zero() };
        assert_eq!(limits.reached(3, &used(0)), Some(Limit::Turns));
        assert_eq!(limits.reached(2, &used(100)), Some(Limit::Tokens));
        assert_eq!(limits.reached(2, &used(99)), Some(Limit::Minutes));
        assert_eq!(Limits::starting_now(&Budget::default()).reached(2, &used(99)), None);
    }
}
