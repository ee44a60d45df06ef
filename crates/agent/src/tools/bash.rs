//! `bash`: a shell script in the work tree.

use std::fmt::Write as _;
use std::time::Duration;

use events::Shown;
use sandbox::{Command, Ended, Ran};
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};
use crate::exchange::Exchange;
use crate::{Bench, Limits};

/// More output than this keeps its head and its tail; leaves room for the closing line within the bound on results.
const OUTPUT_BYTES_MAX: usize = 20 * 1024;

pub(super) const TOOL: Tool = Tool {
    name: "bash",
    description: "Run a shell script in /work and give its output and exit code. Each call is a new shell; background \
                  processes live on until the end of the session. No network. Long output is cut in the middle; all of it is then in a file that the result names, to page with `read`.",
    parameters: r#"{"type":"object","properties":{"command":{"type":"string"},"timeout_seconds":{"type":"integer","minimum":1}},"required":["command"],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    pub(super) command: String,
    timeout_seconds: Option<u64>,
}

pub(super) async fn run(text: &str, bench: &Bench<'_>, limits: &Limits) -> Result<Done, Trouble> {
    let Arguments { command, timeout_seconds } = asked(text)?;
    let asked = timeout_seconds.map_or(bench.command_timeout, Duration::from_secs);
    let time_left = limits.time_left();
    let timeout = asked.min(bench.command_timeout).min(time_left);
    let script = Command { script: command.clone(), timeout, output_bytes_max: OUTPUT_BYTES_MAX, live: None };
    let ran = tokio::select! {
        ran = bench.sandbox.run(&script) => ran?,
        // The sandbox is closed next; that ends the command. What it wrote until now is kept before.
        () = bench.cancel.cancelled() => return Ok(cancelled(command)),
    };
    let (exit_code, mut how) = ended(ran.ended, timeout);
    if timeout == time_left && ran.ended == Ended::TimedOut {
        how.push_str(": the time for the task is up");
    }
    let mut result = ran.output.clone();
    if !result.is_empty() && !result.ends_with('\n') {
        result.push('\n');
    }
    let _ = write!(result, "[{how}]");
    let shown = Shown::Bash { command, output: ran.output, exit_code };
    Ok(Done { failed: exit_code != 0, changed_files: true, ..Done::of(result, shown) })
}

/// What is to be run.
pub(super) fn asked(text: &str) -> Result<Arguments, Trouble> {
    let asked: Arguments = arguments(&TOOL, text)?;
    if asked.command.trim().is_empty() {
        return Err(Trouble::Refused("`command` is empty. Nothing was run.".to_owned()));
    }
    Ok(asked)
}

/// What the sandbox was asked and answered, when the model was told this.
pub(super) fn recalled(command: &str, shown: &Shown, closing: &str, duration_ms: u64) -> Option<Exchange> {
    let Shown::Bash { output, .. } = shown else { return None };
    let script = command.to_owned();
    let number = |before: &str| {
        let rest = closing.strip_prefix(before)?;
        rest.split(|c: char| !c.is_ascii_digit() && c != '-').next()?.parse().ok()
    };
    let ended = if let Some(code) = number("[exit code ") {
        Ended::Exited(code)
    } else if let Some(signal) = number("[ended by signal ") {
        Ended::Signalled(signal)
    } else if let Some(errno) = number("[not started: error ") {
        Ended::NotStarted(errno)
    } else if closing.starts_with("[ended after ") {
        Ended::TimedOut
    } else {
        return closing.starts_with("[cancelled: ").then_some(Exchange::Interrupted { script });
    };
    let output_bytes = output.len() as u64;
    Some(Exchange::Ran { script, ran: Ran { output: output.clone(), output_bytes, ended, duration_ms } })
}

/// What came of a command that the end of the session interrupted.
fn cancelled(command: String) -> Done {
    let how = "[cancelled: the session was ended while this ran]".to_owned();
    let shown = Shown::Bash { command, output: how.clone(), exit_code: -1 };
    Done { failed: true, changed_files: true, ..Done::of(how, shown) }
}

/// The exit code for people and the closing line for the model.
pub(super) fn ended(ended: Ended, timeout: Duration) -> (i32, String) {
    match ended {
        Ended::Exited(code) => (code, format!("exit code {code}")),
        Ended::Signalled(signal) => (-1, format!("ended by signal {signal}")),
        Ended::TimedOut => (-1, format!("ended after {} s, with all it had started", timeout.as_secs())),
        Ended::NotStarted(errno) => {
            (-1, format!("not started: error {errno}; too many processes may be running: end some"))
        }
    }
}
