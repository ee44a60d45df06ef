//! Time and chance, as arguments: a replay gives both again.

use events::SessionId;
use jiff::Timestamp;

/// Tells the time and makes ids.
pub trait Clock: Send + Sync {
    /// Now, in microseconds after 1970, UTC.
    fn now_us(&self) -> i64;

    /// An id that nobody has had.
    fn new_id(&self) -> SessionId;
}

/// The system's clock and source of chance.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        Timestamp::now().as_microsecond()
    }

    fn new_id(&self) -> SessionId {
        SessionId::new(self.now_us(), uuid::Uuid::now_v7().as_u128())
    }
}
