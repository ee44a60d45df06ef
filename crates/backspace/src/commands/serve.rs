//! `backspace serve`: the service.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::assemble::{self, AtOnce, Wishes};
use crate::config::{Settings, for_help};
use crate::show;
use crate::signals::Ends;
use crate::telemetry;

/// So often we look for sessions that a crashed process left behind.
const LOOK_AFTER_EVERY: Duration = Duration::from_secs(30);

/// Run the service: the HTTP API, with live events.
///
/// POST /code {"repoUrl": …, "prompt": …} answers with server-sent events at once; see /openapi.json.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", for_help()))]
pub(crate) struct Serve {
    /// The address to listen on; other than loopback needs BACKSPACE_API_TOKEN [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  GITHUB_TOKEN=… ANTHROPIC_API_KEY=… backspace serve
  curl -N http://127.0.0.1:8000/code -H 'Content-Type: application/json' \\
       -d '{\"repoUrl\": \"https://github.com/OWNER/NAME\", \"prompt\": \"Add input validation\"}'

`backspace serve --help` lists the settings.";

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// Wrong configuration, or an address that cannot be listened on.
pub(crate) async fn run(asked: Serve, settings: &Settings) -> Result<ExitCode> {
    telemetry::set_up(settings, "info")?;
    let listen = assemble::listen(settings, asked.listen.as_deref())?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen at {listen}"))?;
    let listen = listener.local_addr().context("cannot tell the address")?;
    let serves_at = Some(reachable(listen));
    let wishes = Wishes { probes: true, at_once: AtOnce::AsSet, serves_at, ..Wishes::default() };
    let assembled = assemble::assemble(settings, wishes).await?;
    let sessions = assembled.sessions.clone();
    for problem in sessions.problems() {
        warn!("No session can be taken on: {}. {}", problem.what, problem.mend);
    }
    let looking_after = tokio::spawn(look_after(sessions.clone()));
    let config = assemble::server_config(settings, listen, assembled.rules)?;
    let (first, told) = oneshot::channel();
    let told = async move { told.await.unwrap_or(()) };
    tokio::select! {
        served = server::serve_on(listener, config, sessions, told) => {
            served.with_context(|| format!("cannot serve at {listen}"))?;
        }
        () = told_twice(Ends::hear()?, first) => {
            warn!("Told twice: leaving; the next start looks after what is left");
            return Ok(ExitCode::from(show::CANCELLED));
        }
    }
    looking_after.abort();
    info!("Every session has its last entry; good-bye");
    Ok(ExitCode::SUCCESS)
}

/// `listen` as an address that a browser on this machine can open.
fn reachable(listen: SocketAddr) -> String {
    let any = listen.ip().is_unspecified();
    let here = if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(if any { here } else { listen.ip() }, listen.port()).to_string()
}

/// Ends what crashed processes left behind, now and from time to time.
async fn look_after(sessions: session::Sessions) {
    loop {
        match sessions.recover().await {
            Ok(0) => {}
            Ok(count) => info!("{count} sessions that a crash left behind are ended, their work kept"),
            Err(error) => warn!("Cannot look after sessions that a crash left behind: {error}"),
        }
        tokio::time::sleep(LOOK_AFTER_EVERY).await;
    }
}

/// Passes the first request to end on to the service, and returns at the second.
async fn told_twice(mut ends: Ends, first: oneshot::Sender<()>) {
    ends.next().await;
    info!("Told to end: no new sessions, the living ones are brought to an end; again to leave at once");
    // The service may be gone already.
    let _ = first.send(());
    ends.next().await;
}
