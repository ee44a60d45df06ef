//! What a session has used of what it may use of the network.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Caps, Refusal};

/// Counts what a session uses.
#[derive(Debug)]
pub(super) struct Pace {
    caps: Caps,
    connections: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// When the next connection may begin; a burst of a second's worth may begin at once.
    next: Mutex<Instant>,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the host.
    Sent,
    /// From the host.
    Received,
}

impl Pace {
    pub(super) fn new(caps: &Caps) -> Self {
        Self {
            caps: *caps,
            connections: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for the turn of a connection.
    pub(super) async fn turn(&self) -> Result<(), Refusal> {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= self.caps.connections_max {
            return Err(Refusal::TooMany);
        }
        let spent = |counter: &AtomicU64, max| counter.load(Ordering::Relaxed) >= max;
        if spent(&self.sent, self.caps.sent_bytes_max) || spent(&self.received, self.caps.received_bytes_max)
        {
            return Err(Refusal::Spent);
        }
        let now = Instant::now();
        let turn = self.book(now);
        // To sleep until now takes the timer a millisecond.
        if turn > now {
            tokio::time::sleep_until(turn).await;
        }
        Ok(())
    }

    /// Books the next free turn, and says when it is.
    fn book(&self, now: Instant) -> Instant {
        let burst = Duration::from_secs(1);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(now) + burst / self.caps.per_second_max.max(1);
        // What was not used before is used at once.
        next.checked_sub(burst).unwrap_or(now).max(now)
    }

    /// Counts `bytes`; an error when there are none left.
    pub(super) fn move_on(&self, direction: Direction, bytes: u64) -> Result<(), Refusal> {
        let (counter, max) = match direction {
            Direction::Sent => (&self.sent, self.caps.sent_bytes_max),
            Direction::Received => (&self.received, self.caps.received_bytes_max),
        };
        let before = counter.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > max { Err(Refusal::Spent) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_what_follows_in_turn() {
        let caps = Caps { per_second_max: 10, ..Caps::default() };
        let pace = Pace::new(&caps);
        let now = Instant::now();
        let waits: Vec<u128> = (0..13).map(|_| (pace.book(now) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 200, 300]);
        // A second later ten more of them are due, less the three that were booked ahead.
        let later = now + Duration::from_secs(1);
        let waits: Vec<u128> = (0..9).map(|_| (pace.book(later) - later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 0, 100, 200]);
    }

    #[tokio::test]
    async fn what_is_used_up_is_refused() {
        let caps = Caps { connections_max: 2, sent_bytes_max: 10, ..Caps::default() };
        let pace = Pace::new(&caps);
        pace.turn().await.unwrap();
        pace.move_on(Direction::Sent, 10).unwrap();
        pace.move_on(Direction::Received, 11).unwrap();
        assert_eq!(pace.turn().await, Err(Refusal::Spent));
        assert_eq!(pace.turn().await, Err(Refusal::TooMany));
        assert_eq!(pace.move_on(Direction::Sent, 1), Err(Refusal::Spent));
    }
}
