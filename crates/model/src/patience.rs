//! How long a reply is waited for once its answer has begun: for the next bytes, for the next piece, and for the whole of it.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

/// Servers send signs of life while a model waits for its turn or thinks unseen: Anthropic `ping` events, OpenRouter comments.
/// For so long nothing else may come: OpenAI's and Anthropic's own clients give a request as much by default.
const SIGNS_MAX: Duration = Duration::from_secs(10 * 60);
/// A whole reply. The longest on offer has 128,000 tokens and takes 71 minutes at 30 a second; 32,000, which is what a model
/// is asked for as a rule, come in time at five a second.
const REPLY_MAX: Duration = Duration::from_secs(2 * 60 * 60);

/// How long a reply is still waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long the server may be silent.
    idle: Duration,
    begun: Instant,
    /// When the reply grew last.
    grown: Instant,
}

/// Of what there was too much.
#[derive(Debug, Clone, Copy)]
enum Excess {
    Silence,
    SignsOfLife,
    Time,
}

impl Patience {
    /// For a reply that begins now, of a server that may be silent for `idle`.
    pub(crate) fn begin(idle: Duration) -> Self {
        let now = Instant::now();
        Self { idle, begun: now, grown: now }
    }

    /// The reply has grown.
    pub(crate) fn grew(&mut self) {
        self.grown = Instant::now();
    }

    /// What comes next of `body`; nothing at its end.
    ///
    /// # Errors
    /// Why it is waited for no longer.
    pub(crate) async fn next<S: Stream>(&self, mut body: Pin<&mut S>) -> Result<Option<S::Item>, String> {
        let (end, excess) = self.end();
        // What is there at once is no reason to go on for ever.
        let next = if end > Instant::now() { timeout_at(end, body.next()).await.ok() } else { None };
        next.ok_or_else(|| self.why(excess))
    }

    /// When the waiting ends, and why then.
    fn end(&self) -> (Instant, Excess) {
        let silence = (Instant::now() + self.idle, Excess::Silence);
        let others =
            [(self.grown + self.signs_max(), Excess::SignsOfLife), (self.begun + REPLY_MAX, Excess::Time)];
        others.into_iter().fold(silence, |first, other| if other.0 < first.0 { other } else { first })
    }

    /// Who may be silent for long may also be heard of for longer than that: silence is no sign.
    fn signs_max(&self) -> Duration {
        SIGNS_MAX.max(self.idle * 2)
    }

    fn why(&self, excess: Excess) -> String {
        match excess {
            Excess::Silence => {
                let seconds = self.idle.as_secs();
                format!("nothing came for {seconds} s in the middle of the reply (`idle_seconds`)")
            }
            Excess::SignsOfLife => {
                format!("nothing but signs of life came for {} s", self.signs_max().as_secs())
            }
            Excess::Time => format!("the reply had not come to its end after {} s", REPLY_MAX.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;

    const IDLE: Duration = Duration::from_secs(120);

    /// How a reply ends in which something comes every so many `seconds`, and each `growing`th time a piece of it: after how many
    /// seconds, and why.
    async fn ends(idle: Duration, seconds: u64, growing: u64) -> (u64, String) {
        let pieces = stream::unfold(0, |n| async move {
            sleep(Duration::from_secs(seconds)).await;
            Some((n + 1, n + 1))
        });
        let (mut body, mut patience, begun) = (pin!(pieces), Patience::begin(idle), Instant::now());
        loop {
            match patience.next(body.as_mut()).await {
                Ok(Some(n)) if n % growing == 0 => patience.grew(),
                Ok(_) => {}
                Err(why) => return (begun.elapsed().as_secs(), why),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_signs_of_life_and_drops_have_an_end_each() {
        let alive = "nothing but signs of life came for 600 s".to_owned();
        let slow = "the reply had not come to its end after 7200 s".to_owned();
        for (seconds, growing, end, why) in [
            (121, 1, 120, "nothing came for 120 s in the middle of the reply (`idle_seconds`)".to_owned()),
            (119, u64::MAX, 600, alive.clone()),
            (15, u64::MAX, 600, alive.clone()),
            (15, 41, 600, alive),
            (15, 39, 7200, slow.clone()),
            (119, 1, 7200, slow),
        ] {
            assert_eq!(ends(IDLE, seconds, growing).await, (end, why), "{seconds} s, {growing}");
        }
        let half_an_hour = Duration::from_secs(1800);
        let (end, why) = ends(half_an_hour, 60, u64::MAX).await;
        assert_eq!((end, why.as_str()), (3600, "nothing but signs of life came for 3600 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_lets_wait_has_an_end_too() {
        let (mut body, patience) = (pin!(stream::repeat(())), Patience::begin(IDLE));
        assert_eq!(patience.next(body.as_mut()).await, Ok(Some(())));
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!(patience.next(body.as_mut()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_reply_has_time_at_thirty_tokens_a_second() {
        let pieces = stream::unfold(0, |n| async move {
            sleep(Duration::from_secs(1)).await;
            (n < 128_000 / 30).then_some(((), n + 1))
        });
        let (mut body, mut patience) = (pin!(pieces), Patience::begin(IDLE));
        while patience.next(body.as_mut()).await.unwrap().is_some() {
            patience.grew();
        }
    }
}
