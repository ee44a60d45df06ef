//! How many sessions one caller may ask for in a minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The window that the limit speaks of.
const WINDOW: Duration = Duration::from_secs(60);
/// Callers that are remembered; beyond it those who have waited long enough are forgotten, then the others.
const CALLERS_MAX: usize = 10_000;

/// Whose submissions are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// Whoever holds the service's token.
    Token,
    /// An IPv4 address, or the network of an IPv6 one: a single user has all of a /64.
    Address(IpAddr),
}

impl Caller {
    /// The caller at `address`.
    pub(crate) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self::Address(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            v4 @ IpAddr::V4(_) => Self::Address(v4),
        }
    }
}

/// Lets each caller submit so many sessions at once, and then one each time its share of the minute has passed (GCRA).
#[derive(Debug)]
pub(crate) struct Rate {
    per_minute: Option<NonZero<u32>>,
    /// When each caller's allowance is whole again.
    whole_at: Mutex<HashMap<Caller, Instant>>,
}

impl Rate {
    /// A limit of `per_minute`; none at all without one.
    pub(crate) fn new(per_minute: Option<NonZero<u32>>) -> Self {
        Self { per_minute, whole_at: Mutex::default() }
    }

    /// Counts a submission of `caller` at `now`, or says how long to wait.
    pub(crate) fn admit(&self, caller: Caller, now: Instant) -> Result<(), Duration> {
        let Some(per_minute) = self.per_minute else { return Ok(()) };
        let share = WINDOW / per_minute.get();
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let then = whole_at.get(&caller).map_or(now, |at| *at.max(&now)) + share;
        let wait = then.saturating_duration_since(now).saturating_sub(WINDOW);
        if !wait.is_zero() {
            return Err(wait);
        }
        if whole_at.len() >= CALLERS_MAX {
            whole_at.retain(|_, at| *at > now);
        }
        if whole_at.len() >= CALLERS_MAX {
            whole_at.clear();
        }
        whole_at.insert(caller, then);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_for_each_share_of_the_minute() {
        let rate = Rate::new(NonZero::new(10));
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for _ in 0..10 {
            assert_eq!(rate.admit(Caller::Token, at(0)), Ok(()));
        }
        assert_eq!(rate.admit(Caller::Token, at(0)), Err(Duration::from_secs(6)));
        assert_eq!(rate.admit(Caller::Token, at(4)), Err(Duration::from_secs(2)));
        assert_eq!(rate.admit(Caller::Token, at(6)), Ok(()));
        assert!(rate.admit(Caller::Token, at(6)).is_err());
        assert_eq!((0..20).filter(|_| rate.admit(Caller::Token, at(600)).is_ok()).count(), 10);
    }

    #[test]
    fn callers_do_not_use_up_each_others_share() {
        let rate = Rate::new(NonZero::new(1));
        let now = Instant::now();
        let caller = |text: &str| Caller::at(text.parse().unwrap());
        assert!(rate.admit(caller("10.0.0.1"), now).is_ok());
        assert!(rate.admit(caller("::ffff:10.0.0.1"), now).is_err());
        assert!(rate.admit(caller("10.0.0.2"), now).is_ok());
        assert!(rate.admit(caller("2001:db8::1"), now).is_ok());
        assert!(rate.admit(caller("2001:db8::ffff"), now).is_err());
        assert!(rate.admit(caller("2001:db8:0:1::1"), now).is_ok());
        assert!(Rate::new(None).admit(Caller::Token, now).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rate = Rate::new(NonZero::new(1));
        let now = Instant::now();
        for n in 0..CALLERS_MAX as u32 + 5 {
            assert!(rate.admit(Caller::Address(IpAddr::V4(n.into())), now).is_ok());
        }
        assert!(rate.whole_at.lock().unwrap().len() <= CALLERS_MAX);
    }
}
