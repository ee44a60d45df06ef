//! Runs the checks that were asked for, on the finished work, and writes down what they said.

use events::{CheckPhase, CheckRan, Event, Step};
use sandbox::{Command, Ended, Sandbox};

use super::Checkout;
use crate::failure::{self, Stopped};
use crate::run::Story;

/// More of a check's output than this nobody reads in a log.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;

/// A check that fails stops nothing: its result stands in the pull request.
pub(crate) async fn check(story: &Story, checkout: &Checkout, sandbox: &dyn Sandbox) -> Result<(), Stopped> {
    const STEP: Step = Step::Check;
    let checks = checkout.checks(&story.request);
    if checks.is_empty() {
        return Ok(());
    }
    story.still_wanted()?;
    story.begin(STEP, "Running the checks").await?;
    for command in checks {
        let script = Command {
            script: command.clone(),
            timeout: story.ports.command_timeout,
            output_bytes_max: OUTPUT_BYTES_MAX,
            live: None,
        };
        let ran = tokio::select! {
            ran = sandbox.run(&script) => ran.map_err(|error| failure::of_sandbox(STEP, &error))?,
            // The sandbox is closed next; that ends the command.
            () = story.cancel.cancelled() => return Err(Stopped::Cancelled),
        };
        let exit_code = match ran.ended {
            Ended::Exited(code) => code,
            Ended::Signalled(_) | Ended::TimedOut | Ended::NotStarted(_) => -1,
        };
        let check = CheckRan {
            command: command.clone(),
            exit_code,
            output: ran.output,
            phase: CheckPhase::After,
            duration_ms: ran.duration_ms,
        };
        story.record(STEP, vec![Event::CheckRan(check)]).await?;
    }
    Ok(())
}
