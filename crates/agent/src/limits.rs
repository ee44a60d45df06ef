//! What the agent may use up.

use std::time::Duration;

use events::{Budget, Limit, Usage};
use tokio::time::Instant;

/// Without a bound of its own a session ends after so many replies: nothing we have seen finish took more.
const TURNS_MAX: u32 = 500;
/// No agent works longer than a week, so that a deadline can always be counted from now.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What the agent may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    turns_max: u32,
    tokens_max: Option<u64>,
    deadline: Instant,
}

impl Limits {
    /// The limits of a session that begins now with `budget`; its agent has `time_max` at most, whatever the budget says.
    pub fn starting_now(budget: &Budget, time_max: Duration) -> Self {
        let time_max = time_max.min(TIME_MAX);
        let asked = budget.minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes)));
        Self {
            turns_max: budget.turns.unwrap_or(TURNS_MAX),
            tokens_max: budget.tokens,
            deadline: Instant::now() + asked.map_or(time_max, |asked| asked.min(time_max)),
        }
    }

    /// The limit that forbids another call of the model after `turns` replies that used `totals`.
    pub fn reached(&self, turns: u32, totals: &Usage) -> Option<Limit> {
        if turns >= self.turns_max {
            Some(Limit::Turns)
        } else if self.tokens_max.is_some_and(|max| totals.tokens() >= max) {
            Some(Limit::Tokens)
        } else if self.time_left().is_zero() {
            Some(Limit::Minutes)
        } else {
            None
        }
    }

    /// When the time is up.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long it is until then; zero when the time is up.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_that_is_reached_is_named() {
        let budget = Budget { tokens: Some(100), turns: Some(3), minutes: Some(0) };
        let hour = Duration::from_secs(3600);
        let limits = Limits::starting_now(&budget, hour);
        let used = |input_tokens| Usage { input_tokens, ..Usage::zero() };
        assert_eq!(limits.reached(3, &used(0)), Some(Limit::Turns));
        assert_eq!(limits.reached(2, &used(100)), Some(Limit::Tokens));
        assert_eq!(limits.reached(2, &used(99)), Some(Limit::Minutes));
        assert_eq!(Limits::starting_now(&Budget::default(), hour).reached(2, &used(99)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_of_the_asked_and_the_possible_time_counts() {
        let left = |minutes, time_max| {
            Limits::starting_now(&Budget { minutes, ..Budget::default() }, time_max).time_left()
        };
        let hour = Duration::from_secs(3600);
        assert_eq!(left(None, hour), hour);
        assert_eq!(left(Some(120), hour), hour);
        assert_eq!(left(Some(1), hour), Duration::from_secs(60));
        assert_eq!(left(None, Duration::MAX), TIME_MAX);
    }
}
