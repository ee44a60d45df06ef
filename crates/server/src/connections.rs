//! Takes connections, so many at once, and speaks HTTP/1.1 on each of them.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::serve::{Listener as _, ListenerExt as _, TapIo};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;
use tracing::{debug, warn};

/// Clients that do not read any more hold the end of the process up so long.
const LAST_CALL: Duration = Duration::from_secs(5);

/// What a crowd, or one client of ill will, may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at once.
    pub(crate) connections_max: usize,
    /// A connection on which no headers came whole for so long is closed.
    pub(crate) headers_within: Duration,
}

/// Takes connections until `stopping`, and returns those that are still being answered. Beyond the bound the next ones
/// wait in the system's queue.
pub(crate) async fn take(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    stopping: CancellationToken,
) -> JoinSet<()> {
    let mut listener = without_delay(listener);
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.headers_within);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return open,
            Some(_closed) = open.join_next() => {}
            (stream, peer) = listener.accept(), if open.len() < bounds.connections_max => {
                let router = router.clone();
                open.spawn(answer(builder.clone(), stream, peer, router, stopping.clone()));
            }
        }
    }
}

/// Waits until what is being answered was read, but not for those that do not read.
pub(crate) async fn let_end(mut open: JoinSet<()>) {
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_CALL, all).await.is_err() {
        warn!("{} clients do not read; leaving without them", open.len());
        open.shutdown().await;
    }
}

/// Answers all requests of a connection; after `stopping` only the one that is being answered.
async fn answer(
    builder: Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stopping: CancellationToken,
) {
    let service = TowerToHyperService::new(Extension(ConnectInfo(peer)).layer(router));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("A connection of {peer} broke: {error}");
    }
}

/// Sends what is written at once. By default a small write waits until the last one was acknowledged, and an event
/// comes 40 milliseconds late.
fn without_delay(listener: TcpListener) -> TapIo<TcpListener, fn(&mut TcpStream)> {
    listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            warn!("Cannot set TCP_NODELAY: {error}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_send_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let mut listener = without_delay(listener);
        let (client, (accepted, _)) = tokio::join!(client, listener.accept());
        assert!(accepted.nodelay().unwrap());
        assert!(!client.unwrap().nodelay().unwrap(), "the system's default is the other way round");
    }
}
