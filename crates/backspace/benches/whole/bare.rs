//! The rival of the streams: axum alone, streaming bytes that it holds in memory, in a process of its own.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::IntoResponse;
use axum::serve::ListenerExt as _;

use crate::process;

/// The word with which this program is told to be that server.
pub(crate) const COMMAND: &str = "bare-axum";

/// The running rival. It ends when this is dropped.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Bare {
    /// Starts it; it streams the events in `file`, one by one.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(file: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        let mut child =
            command.arg(COMMAND).arg(file).stdout(Stdio::piped()).spawn().context("cannot start axum")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("axum has no output")?;
        BufReader::new(stdout).read_line(&mut line).context("cannot read axum's address")?;
        let address = line.trim().parse().context("axum does not tell its address")?;
        Ok(Self { child, address })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}

/// Is that server, until it is told to end.
///
/// # Errors
/// When the file cannot be read, or there is no port.
pub(crate) fn serve(file: &str) -> Result<()> {
    let text = std::fs::read_to_string(file).context("cannot read the events")?;
    let events: Vec<Bytes> =
        text.split_inclusive("\n\n").map(|event| Bytes::from(event.to_owned())).collect();
    let events = Arc::new(events);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        crate::say(&listener.local_addr()?.to_string());
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let router = Router::new().fallback(move || {
            let events = Arc::clone(&events);
            async move { stream(events) }
        });
        let told = async { drop(tokio::signal::ctrl_c().await) };
        axum::serve(listener, router).with_graceful_shutdown(told).await.context("cannot serve")
    })
}

fn stream(events: Arc<Vec<Bytes>>) -> impl IntoResponse {
    let count = events.len();
    let chunks = (0..count).map(move |n| Ok::<_, Infallible>(events.get(n).cloned().unwrap_or_default()));
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(futures_util::stream::iter(chunks)))
}
