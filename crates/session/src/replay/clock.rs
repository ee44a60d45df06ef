//! The clock of a replay: it begins when the recorded session began, and gives that session's id.

use std::sync::OnceLock;
use std::time::Instant;

use events::SessionId;

use crate::Clock;

/// A clock that shows what it showed then. Times are not compared; but the first one is the date of the session's
/// commits, and so part of their names.
pub(super) struct PlayedClock {
    begun_us: i64,
    session: SessionId,
    started: OnceLock<Instant>,
}

impl PlayedClock {
    pub(super) fn new(begun_us: i64, session: SessionId) -> Self {
        Self { begun_us, session, started: OnceLock::new() }
    }
}

impl Clock for PlayedClock {
    fn now_us(&self) -> i64 {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(*self.started.get_or_init(|| now));
        self.begun_us.saturating_add(i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX))
    }

    fn new_id(&self) -> SessionId {
        self.session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_is_the_recorded_one() {
        let id = SessionId::new(5, 7);
        let clock = PlayedClock::new(1_700_000_000_000_001, id);
        assert_eq!(clock.now_us(), 1_700_000_000_000_001);
        assert_eq!(clock.new_id(), id);
    }
}
