//! The door: HTTP in, server-sent events out.

mod access;
mod connections;
mod deltas;
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

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use session::Sessions;
use session::request::Rules;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use access::Access;
use connections::Bounds;
use rate::Rate;
use stream::Streams;

/// Proxies close connections that are silent for longer, some after 20 seconds.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// So long sessions may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// A held stream costs a client nothing and us some 40 kB: more of them than this are no crowd of people.
const CONNECTIONS_MAX: usize = 10_000;
/// Longer than the 60 seconds for which common proxies keep an idle connection, so that they never send a request into
/// one that we are closing.
const HEADERS_WITHIN: Duration = Duration::from_secs(75);
/// The largest body takes a slow telephone so long.
const BODY_WITHIN: Duration = Duration::from_secs(30);

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
    /// Connections at once; the next ones wait until one of them is closed.
    pub connections_max: usize,
    /// A connection on which no request has come whole so long, its body apart, is closed.
    pub headers_within: Duration,
    /// A request's body must be here so long after its headers.
    pub body_within: Duration,
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
            connections_max: CONNECTIONS_MAX,
            headers_within: HEADERS_WITHIN,
            body_within: BODY_WITHIN,
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
    body_within: Duration,
    keys: idempotency::Keys,
}

/// Serves `sessions` until `shutdown`. Then no connection is taken any more and the sessions are drained, all of them,
/// whether or not somebody follows them. The streams end with them; clients that do not read to the end of theirs are
/// left after a few seconds, and this returns.
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
    let bounds = Bounds { connections_max: config.connections_max, headers_within: config.headers_within };
    let grace = config.grace;
    let app = Arc::new(App {
        sessions: sessions.clone(),
        rules: config.rules,
        access: Access { token: config.token, origins: config.cors_origins },
        rate: Rate::new(config.submissions_per_minute),
        streams: Streams { heartbeat: config.heartbeat, closing: closing.clone() },
        body_within: config.body_within,
        keys: idempotency::Keys::default(),
    });
    let drained = async {
        shutdown.await;
        stopping.cancel();
        sessions.drain(grace).await;
        // All of our sessions have their last entry now; whoever follows another process's comes back to the next one.
        closing.cancel();
    };
    let taken = connections::take(listener, routes::router(app), bounds, stopping.clone());
    let ((), open) = tokio::join!(drained, taken);
    connections::let_end(open).await;
    Ok(())
}
