//! What the agent may use up, and how near it is to that.

use std::time::Duration;

use events::{Bound, Bounds, Limit, LimitReached, Usage, Whose, usd};
use tokio::time::Instant;

/// Without a bound of anybody's a session ends after so many replies: nothing we have seen finish took more.
const TURNS_MAX: u32 = 500;
/// No agent works longer than a week, so that a deadline can always be counted from now.
const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// From this share of a bound on the agent is told to come to an end: late enough to use what was given, early enough
/// for what it has begun.
const NEARLY: f64 = 0.85;

/// What the agent may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    bounds: Bounds,
    turns: Bound<u32>,
    begun: Instant,
    time: Bound<Duration>,
}

/// What was used, or will be.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spent {
    /// Replies of the model.
    pub(crate) turns: u32,
    /// Tokens of all kinds together.
    pub(crate) tokens: u64,
    /// US dollars; nothing when a price is not known.
    pub(crate) usd: Option<f64>,
}

/// What budgets leave; nothing where there is no budget of the kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Left {
    /// Tokens of all kinds together.
    pub(crate) tokens: Option<u64>,
    /// US dollars.
    pub(crate) usd: Option<f64>,
}

/// How one kind of budget stands.
struct Level {
    limit: Limit,
    whose: Whose,
    /// What would be used after the next call, for certain, as a share of the bound.
    share: f64,
    /// Whether there is no room for the next call.
    full: bool,
    /// What was used and the bound, for people: `33 of 40 turns`.
    words: String,
    /// The bound alone: `40 turns`.
    bound: String,
}

/// A bound that forbids another call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reached {
    /// Of which kind.
    pub(crate) limit: Limit,
    /// Who set it.
    pub(crate) whose: Whose,
    /// The bound with its unit.
    pub(crate) bound: String,
}

impl Limits {
    /// The limits of a session that begins now within `bounds`; its agent has `time_max` at most, which the operator
    /// sets, whatever they say.
    pub fn starting_now(bounds: Bounds, time_max: Duration) -> Self {
        let possible = Bound { max: time_max.min(TIME_MAX), whose: Whose::Operator };
        let asked = bounds.minutes.map(|minutes| Bound {
            max: Duration::from_secs(60 * u64::from(minutes.max)),
            whose: minutes.whose,
        });
        Self {
            bounds,
            turns: bounds.turns.unwrap_or(Bound { max: TURNS_MAX, whose: Whose::Service }),
            begun: Instant::now(),
            time: asked.filter(|asked| asked.max < possible.max).unwrap_or(possible),
        }
    }

    /// What was asked for.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// When the time is up.
    pub fn deadline(&self) -> Instant {
        self.begun + self.time.max
    }

    /// How long it is until then; zero when the time is up.
    pub fn time_left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// The bound that forbids a call which uses `next`, after `spent`.
    pub(crate) fn reached(&self, spent: &Spent, next: &Spent) -> Option<Reached> {
        let full = self.levels(spent, next).into_iter().find(|level| level.full)?;
        Some(Reached { limit: full.limit, whose: full.whose, bound: full.bound })
    }

    /// What is left of the budgets after `spent`. Money that cannot be counted is not spent.
    pub(crate) fn left(&self, spent: &Spent) -> Left {
        let usd = self.bounds.usd.map(|bound| (bound.max - spent.usd.unwrap_or(bound.max)).max(0.0));
        Left { tokens: self.bounds.tokens.map(|bound| bound.max.saturating_sub(spent.tokens)), usd }
    }

    /// The kinds of budget that are nearly used up once a call uses `next` after `spent`, each with how it stands.
    pub(crate) fn near(&self, spent: &Spent, next: &Spent) -> Vec<(Limit, String)> {
        let levels = self.levels(spent, next).into_iter();
        levels.filter(|level| level.share >= NEARLY).map(|level| (level.limit, level.words)).collect()
    }

    fn levels(&self, spent: &Spent, next: &Spent) -> Vec<Level> {
        let mut levels = vec![Level {
            limit: Limit::Turns,
            whose: self.turns.whose,
            share: f64::from(spent.turns + next.turns) / f64::from(self.turns.max),
            full: spent.turns + next.turns > self.turns.max,
            words: format!("{} of {} turns", spent.turns, self.turns.max),
            bound: format!("{} turns", self.turns.max),
        }];
        levels.extend(self.bounds.tokens.map(|Bound { max, whose }| {
            let then = spent.tokens.saturating_add(next.tokens);
            Level {
                limit: Limit::Tokens,
                whose,
                share: then as f64 / max as f64,
                full: spent.tokens >= max || then > max,
                words: format!("{} of {max} tokens", spent.tokens),
                bound: format!("{max} tokens"),
            }
        }));
        levels.extend(self.bounds.usd.map(|Bound { max, whose }| {
            // Money that cannot be counted is not spent.
            let (used, then) = (spent.usd.unwrap_or(max), spent.usd.zip(next.usd).map(|(a, b)| a + b));
            Level {
                limit: Limit::Usd,
                whose,
                share: then.unwrap_or(max) / max,
                full: used >= max || then.is_none_or(|then| then > max),
                words: format!("{} of {}", usd(used), usd(max)),
                bound: usd(max),
            }
        }));
        let (used, Bound { max, whose }) = (self.begun.elapsed(), self.time);
        levels.push(Level {
            limit: Limit::Minutes,
            whose,
            share: used.as_secs_f64() / max.as_secs_f64(),
            full: used >= max,
            words: format!("{} of {}", used.as_secs() / 60, minutes(max)),
            bound: minutes(max),
        });
        levels
    }
}

impl From<Reached> for LimitReached {
    fn from(reached: Reached) -> Self {
        Self { limit: reached.limit, whose: Some(reached.whose), about: reached.bound }
    }
}

impl Spent {
    /// A turn that uses nothing else.
    pub(crate) const TURN: Self = Self { turns: 1, tokens: 0, usd: Some(0.0) };

    /// What `totals` say, with `turns` replies.
    pub(crate) fn new(turns: u32, totals: &Usage) -> Self {
        Self { turns, tokens: totals.tokens(), usd: totals.usd }
    }
}

/// A time for people: whole minutes, seconds where there is not one.
fn minutes(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} seconds"),
        60..120 => "1 minute".to_owned(),
        seconds => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests;
