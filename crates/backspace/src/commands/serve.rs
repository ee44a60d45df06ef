//! `backspace serve`: the service.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::assemble::{self, Wishes};
use crate::config::{Settings, for_help};
use crate::telemetry;

/// So long living sessions may go on after the process was told to end; then they are cancelled, their work kept.
const GRACE: Duration = Duration::from_secs(10);
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
    let wishes = Wishes { probes: true, serves_at: Some(listen.to_string()), ..Wishes::default() };
    let assembled = assemble::assemble(settings, wishes).await?;
    let sessions = assembled.sessions.clone();
    for problem in sessions.problems() {
        warn!("No session can be taken on: {}. {}", problem.what, problem.mend);
    }
    let looking_after = tokio::spawn(look_after(sessions.clone()));
    let config = assemble::server_config(settings, listen, assembled.rules)?;
    server::serve(config, sessions.clone(), told_to_end())
        .await
        .with_context(|| format!("cannot serve at {listen}"))?;
    looking_after.abort();
    sessions.drain(GRACE).await;
    info!("Every session has its last entry; good-bye");
    Ok(ExitCode::SUCCESS)
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

/// Returns when the process is told to end.
async fn told_to_end() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => info!("Told to end: no new sessions"),
        _ = tokio::signal::ctrl_c() => info!("Interrupted: no new sessions"),
    }
}
