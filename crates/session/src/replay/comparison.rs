//! Compares a session with its replay, event by event.

use events::{CancelRequested, Entry, Event, Shown, ToolFinished};
use serde_json::Value;

use super::reach::{Until, reach};
use super::volatile::{EVENTS, Exact, FIELDS, OUTPUTS, PATTERNS, When};
use super::{Inside, Stage, Strictness, Verdict};
use crate::recording::Recording;

/// The first event that is not the same.
#[derive(Debug)]
pub struct Difference {
    /// What was recorded; nothing when the replay went on.
    pub recorded: Option<Side>,
    /// What the replay did; nothing when the recording went on.
    pub replayed: Option<Side>,
}

/// One side of a difference.
#[derive(Debug)]
pub struct Side {
    /// The place of the entry in its log.
    pub seq: u64,
    /// The kind of event.
    pub kind: &'static str,
    /// Its fields, as far as they are compared.
    pub fields: Value,
}

/// What a replay is compared with, and how far it is.
pub(super) struct Comparison {
    expected: Vec<Expected>,
    until: Until,
    at: usize,
    rules: Rules,
}

/// An event that must come.
struct Expected {
    side: Side,
    /// Somebody asked for the end here.
    wish: Option<Wish>,
}

/// Somebody asks for the end of the session.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Why.
    pub(super) reason: String,
    /// The command that ran then, and did not come to its end.
    pub(super) during: Option<String>,
}

/// How the replay goes on after an entry.
pub(super) enum Step {
    /// It goes on.
    Goes,
    /// It is over.
    Over(Verdict),
}

/// Which lines of the tables hold.
#[derive(Debug, Clone, Copy)]
struct Rules {
    other_release: bool,
    no_sandbox: bool,
    exact: bool,
}

impl Comparison {
    pub(super) fn of(recording: &Recording, stage: &Stage) -> Self {
        let (entries, until) = reach(&recording.entries);
        let recorded_by = entries.iter().find_map(|entry| {
            if let Event::AttemptStarted(started) = &entry.event {
                Some(started.release.as_str())
            } else {
                None
            }
        });
        let rules = Rules {
            other_release: recorded_by.is_some_and(|release| release != env!("CARGO_PKG_VERSION")),
            no_sandbox: matches!(stage.inside, Inside::Recording),
            exact: stage.strictness == Strictness::Exact,
        };
        let expected = entries.iter().enumerate().filter_map(|(n, entry)| {
            Some(Expected { side: rules.side(entry)?, wish: wish(&entry.event, &entries[n + 1..]) })
        });
        Self { expected: expected.collect(), until, at: 0, rules }
    }

    /// Takes in what the replay did next.
    pub(super) fn take(&mut self, entry: &Entry) -> Step {
        let last = matches!(entry.event, Event::SessionEnded(_));
        if let Some(replayed) = self.rules.side(entry) {
            let recorded = self.expected.get_mut(self.at).map(|expected| &mut expected.side);
            let same = recorded
                .as_ref()
                .is_some_and(|recorded| recorded.kind == replayed.kind && recorded.fields == replayed.fields);
            if !same {
                let recorded = recorded.map(|side| Side { fields: side.fields.take(), ..*side });
                return Step::Over(Verdict::Differs(Box::new(Difference {
                    recorded,
                    replayed: Some(replayed),
                })));
            }
            self.at += 1;
        }
        if self.at == self.expected.len() && (last || self.until != Until::End) {
            return Step::Over(Verdict::Same { events: self.at, until: self.until.clone() });
        }
        if last {
            let recorded = self.expected.get_mut(self.at).map(|expected| &mut expected.side);
            let recorded = recorded.map(|side| Side { fields: side.fields.take(), ..*side });
            return Step::Over(Verdict::Differs(Box::new(Difference { recorded, replayed: None })));
        }
        Step::Goes
    }

    /// The wish that was told at this place of the recording, if one was.
    pub(super) fn wish(&self) -> Option<Wish> {
        self.expected.get(self.at)?.wish.clone()
    }
}

/// The wish for the end that `event` is, with what came `after` it.
fn wish(event: &Event, after: &[Entry]) -> Option<Wish> {
    let Event::CancelRequested(CancelRequested { reason }) = event else { return None };
    let during = after.iter().find_map(|entry| {
        if let Event::ToolFinished(ToolFinished { shown: Shown::Bash { command, output, .. }, .. }) =
            &entry.event
            && output.starts_with("[cancelled: ")
        {
            return Some(command.clone());
        }
        None
    });
    Some(Wish { reason: reason.clone(), during })
}

impl Rules {
    /// `entry` as it is compared; nothing when it is not.
    fn side(self, entry: &Entry) -> Option<Side> {
        let kind = entry.event.kind();
        // What was read from JSON, or is in a log, can be written as JSON.
        let text = entry.event.payload().unwrap_or_default();
        let mut fields: Value = serde_json::from_str(&text).unwrap_or_default();
        let passed = EVENTS.iter().any(|passed| {
            passed.kind == kind
                && passed.only.is_none_or(|(field, begin)| {
                    fields.get(field).and_then(Value::as_str).is_some_and(|text| text.starts_with(begin))
                })
        });
        if passed {
            return None;
        }
        for field in FIELDS.iter().filter(|field| self.holds(field.when)) {
            if field.kind.is_empty() || field.kind == kind {
                remove(&mut fields, field.path);
            }
        }
        self.pass_over(&mut fields);
        Some(Side { seq: entry.seq, kind, fields })
    }

    fn holds(self, when: When) -> bool {
        match when {
            When::Always => true,
            When::OtherRelease => self.other_release,
            When::NoSandbox => self.no_sandbox,
        }
    }

    /// Takes out of every text what differs from run to run.
    fn pass_over(self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (output, pattern) in OUTPUTS.iter().zip(PATTERNS.iter()) {
                    let compared = self.exact && output.exact == Exact::Compared;
                    if self.holds(output.when) && !compared && pattern.is_match(text) {
                        *text = pattern.replace_all(text, output.instead).into_owned();
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.pass_over(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.pass_over(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Removes the field at `path`.
fn remove(value: &mut Value, path: &str) {
    if let Some(name) = path.strip_prefix("**.") {
        match value {
            Value::Object(fields) => {
                fields.remove(name);
                fields.values_mut().for_each(|field| remove(field, path));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| remove(item, path)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        return;
    }
    let Value::Object(fields) = value else { return };
    match path.split_once('.') {
        None => {
            fields.remove(path);
        }
        Some((name, rest)) => {
            if let Some(field) = fields.get_mut(name) {
                remove(field, rest);
            }
        }
    }
}
