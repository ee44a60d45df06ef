//! Counts what the agent uses, and tells it once for each kind of budget that it should come to an end.

use events::{Limit, Usage};

use crate::Limits;
use crate::limits::{Left, Reached, Spent};

/// What was used of the limits so far.
pub(crate) struct Meter<'a> {
    limits: &'a Limits,
    turns: u32,
    totals: Usage,
    /// The kinds of which the agent was told.
    told: Vec<Limit>,
    /// Whether some of it is an estimate.
    is_estimated: bool,
}

impl<'a> Meter<'a> {
    /// Nothing was used.
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self { limits, turns: 0, totals: Usage::zero(), told: Vec::new(), is_estimated: false }
    }

    /// Counts what a reply used; gives the totals with it.
    pub(crate) fn count(&mut self, usage: &Usage) -> Usage {
        self.totals = self.totals.plus(usage);
        self.totals
    }

    /// From here on some of it is an estimate; whether that is new.
    pub(crate) fn estimates(&mut self) -> bool {
        !std::mem::replace(&mut self.is_estimated, true)
    }

    /// Counts a turn of the agent's, beside what its reply used.
    pub(crate) fn turn(&mut self) {
        self.turns += 1;
    }

    /// What forbids a call that is certain to use `next`.
    pub(crate) fn reached(&self, next: &Spent) -> Option<Reached> {
        self.limits.reached(&self.spent(), next)
    }

    /// What the budgets leave.
    pub(crate) fn left(&self) -> Left {
        self.limits.left(&self.spent())
    }

    /// What to tell the agent before a call that uses `next`: which budgets end soon, each kind once.
    pub(crate) fn warning(&mut self, next: &Spent) -> Option<String> {
        let mut near = self.limits.near(&self.spent(), next);
        near.retain(|(limit, _)| !self.told.contains(limit));
        let levels: Vec<&str> = near.iter().map(|(_, words)| words.as_str()).collect();
        if levels.is_empty() {
            return None;
        }
        let text = format!(
            "Nearly used up of what this session may use: {}. Come to an end now: begin nothing new, bring what you have \
             into a state that can be handed over, and call `finish`. At the limit your work is handed over as it stands \
             then, as a draft; an up-to-date `plan` tells others what is left.",
            levels.join(", ")
        );
        self.told.extend(near.iter().map(|(limit, _)| *limit));
        Some(text)
    }

    fn spent(&self) -> Spent {
        Spent::new(self.turns, &self.totals)
    }
}
