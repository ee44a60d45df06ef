//! When a provider's cache had run out, from the times of a log: a replay's own clock must not decide that anew.

use events::{Entry, Event};
use model::CACHE_KEPT;

/// In microseconds, as logs count.
const KEPT_US: i64 = CACHE_KEPT.as_micros() as i64;

/// How long ago a cache was last used, entry by entry.
#[derive(Default)]
pub(super) struct Lapse {
    /// When the last answer was asked for, in microseconds after 1970.
    asked_us: Option<i64>,
    /// When the last try before an answer was over, and the pause after it, in the same.
    tried_us: i64,
    is_told: bool,
}

impl Lapse {
    /// Takes in the next entry; whether the cache has run out with it, which is told once after an answer.
    pub(super) fn after(&mut self, entry: &Entry) -> bool {
        let now = entry.at_us;
        if let Event::ModelReplied(replied) = &entry.event {
            // The model may have been asked several times before it answered.
            let asked = now.saturating_sub(us(replied.duration_ms)).max(self.tried_us);
            *self = Self { asked_us: Some(asked), ..Self::default() };
        } else if let Event::ModelRetried(retried) = &entry.event {
            self.tried_us = now.saturating_add(us(retried.wait_ms));
        } else if let Event::ModelSwitched(_) | Event::ReplyLost(_) = &entry.event {
            self.tried_us = now;
        } else if !matches!(&entry.event, Event::ToolFinished(_) | Event::AgentTold(_)) {
            // No other entry comes before the model is asked again.
            return false;
        }
        let has_run_out = self.asked_us.is_some_and(|asked| now.saturating_sub(asked) >= KEPT_US);
        has_run_out && !std::mem::replace(&mut self.is_told, true)
    }
}

fn us(ms: u64) -> i64 {
    i64::try_from(ms.saturating_mul(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use events::{
        Actor, AgentTold, ModelReplied, ModelRetried, Purpose, SessionId, StepStarted, Tenant, Usage,
    };

    use super::*;

    fn replied(duration_s: u64) -> Event {
        Event::ModelReplied(ModelReplied {
            provider: "a".to_owned(),
            model: "m".to_owned(),
            wire: None,
            asked: None,
            raw: serde_json::from_str("{}").unwrap(),
            stop: "tools".to_owned(),
            purpose: Purpose::Turn,
            usage: Usage::zero(),
            totals: Usage::zero(),
            duration_ms: duration_s * 1000,
        })
    }

    fn told() -> Event {
        Event::AgentTold(AgentTold { text: String::new() })
    }

    fn waits(seconds: u64) -> Event {
        let reason = String::new();
        Event::ModelRetried(ModelRetried { provider: None, reason, wait_ms: seconds * 1000, retry: 1 })
    }

    /// Which of `events`, each with the second in which it happened, tell that the cache has run out.
    fn run_out<const N: usize>(events: [(i64, Event); N]) -> [bool; N] {
        let mut lapse = Lapse::default();
        events.map(|(second, event)| {
            lapse.after(&Entry {
                tenant: Tenant::default(),
                session: SessionId::new(1, 2),
                seq: 1,
                attempt: 1,
                at_us: 1_700_000_000_000_000 + second * 1_000_000,
                actor: Actor::Agent,
                event,
            })
        })
    }

    #[test]
    fn five_minutes_after_an_answer_was_asked_for_it_has() {
        assert_eq!(run_out([(0, told()), (9000, told())]), [false; 2], "nobody has answered");
        assert_eq!(run_out([(0, replied(0)), (299, told()), (300, told())]), [false, false, true]);
        let once = [(100, replied(100)), (299, told()), (300, told()), (400, told()), (500, replied(1))];
        assert_eq!(run_out(once), [false, false, true, false, false]);
        assert_eq!(run_out([(300, replied(300)), (301, told())]), [true, false], "the answer took so long");
    }

    #[test]
    fn what_was_tried_before_the_answer_and_what_comes_after_the_agent_do_not_count() {
        let tried = [(0, waits(200)), (210, replied(210)), (499, told()), (500, told())];
        assert_eq!(run_out(tried), [false, false, false, true]);
        let check = Event::StepStarted(StepStarted { step: events::Step::Check, message: String::new() });
        assert_eq!(run_out([(0, replied(0)), (900, check)]), [false; 2]);
    }
}
