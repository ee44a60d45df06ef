//! Notices that the agent goes in circles: the same calls with the same results, over and over.
//!
//! A turn is the same as another when it makes the same calls and they give the same results, durations aside. One turn
//! repeated is a circle, and so are two or more that take turns, such as an edit, a failing test, and the edit's undoing.
//! The same failing test after edits that differ is none: the edits are part of what is compared.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use model::{ToolCall, ToolResult};

mod sameness;

use sameness::without_chance;

/// A circle of more turns than this nobody has seen.
const PERIOD_MAX: usize = 6;
/// A turn that comes so many times in a row is told of: three may be doubt, the fourth gives nothing new.
const ROUNDS_OF_ONE: usize = 4;
/// A circle of several turns is told of after so many rounds: the third is no coincidence any more.
const ROUNDS_OF_MORE: usize = 3;
/// After so many times the rounds that are told of, the agent has not listened.
const STUCK_FACTOR: usize = 2;
/// A circle in which something is waited for may be so many times as long: a build takes its time, and the budget of
/// minutes bounds it.
const WAITING_FACTOR: usize = 10;
/// Turns that are remembered: enough for the longest circle that ends the work.
const TURNS_KEPT: usize =
    PERIOD_MAX * (ROUNDS_OF_MORE * STUCK_FACTOR * WAITING_FACTOR + 1) + ROUNDS_OF_ONE * WAITING_FACTOR;
/// Words of a script that waits.
const WAITING: [&str; 2] = ["sleep", "wait"];

/// The turns of late.
#[derive(Debug, Default)]
pub(crate) struct Circles {
    turns: VecDeque<Turn>,
    /// The agent was told of the circle it is in.
    told: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    print: u64,
    waits: bool,
}

/// Where the agent is going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Course {
    /// On.
    Straight,
    /// In a circle: it is to be told this.
    Circling(String),
    /// In a circle that it was told of: the work ends. What repeats, for people.
    Stuck(String),
}

impl Circles {
    /// Where the agent is going after one more turn: `calls`, and what came of each.
    pub(crate) fn after(&mut self, calls: &[ToolCall], results: &[ToolResult]) -> Course {
        self.turns.push_back(Turn::new(calls, results));
        if self.turns.len() > TURNS_KEPT {
            self.turns.pop_front();
        }
        let worst = (1..=PERIOD_MAX).filter_map(|period| self.circle(period)).max_by_key(|c| c.times_told());
        let Some(circle) = worst else {
            self.told = false;
            return Course::Straight;
        };
        if circle.times_told() >= STUCK_FACTOR {
            return Course::Stuck(circle.in_words(calls));
        }
        if std::mem::replace(&mut self.told, true) {
            return Course::Straight;
        }
        Course::Circling(format!(
            "You are going in circles: {}. Doing it again will give the same. If you wait for something, wait within one \
             command (`sleep`). Otherwise find out why nothing changes, try another way, or call `finish` and say what \
             is left.",
            circle.in_words(calls)
        ))
    }

    /// The circle of `period` turns that the last turns are, once it is worth telling.
    fn circle(&self, period: usize) -> Option<Circle> {
        let latest = self.turns.iter().rev();
        let same = latest.clone().zip(latest.skip(period)).take_while(|(a, b)| a == b).count();
        let circle = Circle {
            period,
            rounds: same / period + 1,
            waits: self.turns.iter().rev().take(period).any(|turn| turn.waits),
        };
        (circle.times_told() > 0).then_some(circle)
    }
}

/// The same turns, over and over.
struct Circle {
    period: usize,
    rounds: usize,
    waits: bool,
}

impl Circle {
    /// How many times the rounds that are worth telling.
    fn times_told(&self) -> usize {
        let told = if self.period == 1 { ROUNDS_OF_ONE } else { ROUNDS_OF_MORE };
        self.rounds / if self.waits { told * WAITING_FACTOR } else { told }
    }

    /// What repeats, with the last turn's `calls`.
    fn in_words(&self, calls: &[ToolCall]) -> String {
        let mut names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
        names.dedup();
        let names = names.join(", ");
        if self.period == 1 {
            format!("the same call ({names}) has given the same result {} times in a row", self.rounds)
        } else {
            format!("the same {} turns (last: {names}) have come {} times in a row", self.period, self.rounds)
        }
    }
}

impl Turn {
    fn new(calls: &[ToolCall], results: &[ToolResult]) -> Self {
        let mut hasher = DefaultHasher::new();
        for (call, result) in calls.iter().zip(results) {
            (&call.name, &call.arguments, result.failed).hash(&mut hasher);
            without_chance(&result.text).hash(&mut hasher);
        }
        let waits = calls.iter().any(|call| call.name == "bash" && waits(&call.arguments));
        Self { print: hasher.finish(), waits }
    }
}

/// Whether a script, as JSON text, waits for something.
fn waits(script: &str) -> bool {
    script.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| WAITING.contains(&word))
}

#[cfg(test)]
mod tests;
