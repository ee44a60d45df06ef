//! Moves bytes between a program inside and a host, counted and bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::pace::{Direction, Pace};
use super::tally::Moved;
use super::{Caps, Refusal};

/// One read. Larger ones move no more a second; a session's connections together hold 128 times two of them.
const READ_BYTES: usize = 64 * 1024;

/// What counts the bytes of a tunnel.
pub(super) struct Meter {
    pace: Arc<Pace>,
    moved: Arc<Moved>,
    /// Of this tunnel alone, to see whether it still moves.
    own: AtomicU64,
}

/// Why a tunnel ended before both of its sides had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    /// One side is gone: nobody is left to be told.
    #[error("one side is gone")]
    Broken,
    /// It may not go on.
    #[error("{0}")]
    Refused(Refusal),
}

/// Lets `speaking` go on for as long as a tunnel may.
pub(super) async fn bounded(
    speaking: impl Future<Output = Result<(), Cut>>,
    meter: &Meter,
    caps: &Caps,
) -> Result<(), Cut> {
    tokio::select! {
        ended = speaking => ended,
        () = stands_still(meter, caps) => Err(Cut::Refused(Refusal::Idle)),
        () = tokio::time::sleep(caps.lifetime_max) => Err(Cut::Refused(Refusal::TooLong)),
    }
}

/// Moves bytes both ways until both sides have ended.
pub(super) async fn pass(client: &mut UnixStream, server: &mut TcpStream, meter: &Meter) -> Result<(), Cut> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        one_way(from_client, to_server, Direction::Sent, meter),
        one_way(from_server, to_client, Direction::Received, meter)
    )
    .map(drop)
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    meter: &Meter,
) -> Result<(), Cut> {
    let broken = |_| Cut::Broken;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = from.read(&mut buffer).await.map_err(broken)?;
        if length == 0 {
            return to.shutdown().await.map_err(broken);
        }
        meter.count(direction, length as u64)?;
        to.write_all(&buffer[..length]).await.map_err(broken)?;
    }
}

/// Returns when nothing was moved for a while.
async fn stands_still(meter: &Meter, caps: &Caps) {
    let mut before = u64::MAX;
    loop {
        tokio::time::sleep(caps.idle_max).await;
        let now = meter.own.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

impl Meter {
    pub(super) fn new(pace: &Arc<Pace>, moved: Arc<Moved>) -> Self {
        Self { pace: Arc::clone(pace), moved, own: AtomicU64::new(0) }
    }

    /// Counts bytes before they are passed on, so that whoever has them finds them counted.
    pub(super) fn count(&self, direction: Direction, bytes: u64) -> Result<(), Cut> {
        self.pace.move_on(direction, bytes).map_err(Cut::Refused)?;
        self.own.fetch_add(bytes, Ordering::Relaxed);
        let counter = match direction {
            Direction::Sent => &self.moved.sent,
            Direction::Received => &self.moved.received,
        };
        counter.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }
}
