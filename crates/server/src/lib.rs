//! The door: HTTP in, server-sent events out.

mod access;
pub mod docs;
mod error;
mod idempotency;
mod openapi;
mod rate;
mod request_id;
mod routes;
mod stream;
mod submission;
pub mod wire;

use std::future::{Future, IntoFuture as _};
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::{ListenerExt as _, TapIo};
use secrecy::SecretString;
use session::Sessions;
use session::request::Rules;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use access::Access;
use rate::Rate;
use stream::Streams;

/// Proxies close connections that are silent for longer, some after 20 seconds.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// So long sessions may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// Clients that do not read any more hold the end of the process up so long.
const LAST_CALL: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The token that callers must send; without one only this machine may call.
    pub token: Option<SecretString>,
    /// The origins of web pages that may call, such as `https://page.example`; `*` for all.
    pub cors_origins: Vec<String>,
    /// Submissions a minute and caller; no limit without it.
    pub submissions_per_minute: Option<NonZero<u32>>,
    /// What may be asked for.
    pub rules: Rules,
    /// A comment is sent on a stream when nothing happened for so long.
    pub heartbeat: Duration,
    /// So long sessions may go on after the end was asked for; then they are cancelled, their work kept.
    pub grace: Duration,
}

impl ServerConfig {
    /// Serves at `listen` what `rules` allow, to callers on this machine.
    pub fn new(listen: SocketAddr, rules: Rules) -> Self {
        Self {
            listen,
            token: None,
            cors_origins: Vec::new(),
            submissions_per_minute: None,
            rules,
            heartbeat: HEARTBEAT,
            grace: GRACE,
        }
    }
}

/// What every request can reach.
pub(crate) struct App {
    sessions: Sessions,
    rules: Rules,
    access: Access,
    rate: Rate,
    streams: Streams,
    keys: idempotency::Keys,
}

/// Serves `sessions` until `shutdown`. Then no connection is taken any more, the sessions are drained, the streams end
/// with them, and this returns.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    config: ServerConfig,
    sessions: Sessions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(config.listen).await?;
    serve_on(listener, config, sessions, shutdown).await
}

/// As [`serve`], on a socket that listens already.
///
/// # Errors
/// When the socket's address cannot be told.
pub async fn serve_on(
    listener: TcpListener,
    config: ServerConfig,
    sessions: Sessions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    info!("Listening on http://{}", listener.local_addr()?);
    let stopping = CancellationToken::new();
    let closing = CancellationToken::new();
    let grace = config.grace;
    let app = Arc::new(App {
        sessions: sessions.clone(),
        rules: config.rules,
        access: Access { token: config.token, origins: config.cors_origins },
        rate: Rate::new(config.submissions_per_minute),
        streams: Streams { heartbeat: config.heartbeat, closing: closing.clone() },
        keys: idempotency::Keys::default(),
    });
    let router = routes::router(app).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(without_delay(listener), router)
        .with_graceful_shutdown(stopping.clone().cancelled_owned());
    let ended = async move {
        shutdown.await;
        stopping.cancel();
        sessions.drain(grace).await;
        // All of our sessions have their last entry now; whoever follows another process's comes back to the next one.
        closing.cancel();
        tokio::time::sleep(LAST_CALL).await;
        warn!("Some clients do not read; leaving without them");
    };
    tokio::select! {
        result = served.into_future() => result,
        () = ended => Ok(()),
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
    use axum::serve::Listener as _;

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
