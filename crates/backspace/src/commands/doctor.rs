//! `backspace doctor`: what works on this machine, what is missing, and the command that mends it.

mod findings;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::config::Settings;
use crate::output;
use crate::telemetry;

use findings::{Finding, Verdict};

/// Say what works here, what is missing, and the command that mends it.
///
/// Really opens a sandbox and runs a command in it. With REPO it also asks the forge what the token may do there.
/// The exit code is 0 when a session could succeed, else 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  backspace doctor\n  backspace doctor https://github.com/OWNER/NAME")]
pub(crate) struct Doctor {
    /// A repository to ask about
    repo: Option<String>,
}

/// Looks at everything and says what it found.
///
/// # Errors
/// Settings that cannot be read at all.
pub(crate) async fn run(asked: Doctor, settings: &Settings) -> Result<ExitCode> {
    telemetry::set_up(settings, "error")?;
    let mut healthy = true;
    for finding in findings::all(settings, asked.repo.as_deref()).await {
        healthy &= !matches!(finding.verdict, Verdict::Missing { .. });
        show(&finding);
    }
    output::result(if healthy {
        "Everything that a session needs is here."
    } else {
        "A session cannot succeed yet."
    });
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(finding: &Finding) {
    let plain = |text: &str| events::escape_control(text);
    let name = finding.name;
    match &finding.verdict {
        Verdict::Fine(detail) => output::result(format_args!("ok       {name:<12} {}", plain(detail))),
        Verdict::Weak { what, mend } => {
            output::result(format_args!("note     {name:<12} {}", plain(what)));
            output::result(format_args!("{:22}{}", "", plain(mend)));
        }
        Verdict::Missing { what, mend } => {
            output::result(format_args!("MISSING  {name:<12} {}", plain(what)));
            output::result(format_args!("{:22}{}", "", plain(mend)));
        }
    }
}
