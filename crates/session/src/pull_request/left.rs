//! What of the task is left when something other than the agent ended the work: the open steps of its plan, and what
//! failed last. All of it is read from the log.

use std::fmt::Write as _;

use events::{Entry, Event, PlanStep, Shown};

use super::defuse::defuse_line;
use super::{bash, code, one_line};

/// Longer lists of failures tell no more of where to begin.
const FAILURES_MAX: usize = 5;

/// Appends the section to `body`.
pub(super) fn what_is_left(body: &mut String, entries: &[Entry]) {
    body.push_str("### What is left\n\n");
    match plan(entries) {
        None => body.push_str("The agent left no plan that says so.\n\n"),
        Some(steps) if steps.iter().all(|step| step.done) => {
            body.push_str(
                "All steps of the agent's plan are done, but it has not said that the task is.\n\n",
            );
        }
        Some(steps) => {
            steps.iter().filter(|step| !step.done).for_each(|step| {
                let _ = writeln!(body, "- [ ] {}", defuse_line(&one_line(&step.text)));
            });
            body.push('\n');
        }
    }
    let failures = failures(entries);
    if !failures.is_empty() {
        body.push_str(
            "These failed when they last ran:\n\n| command | exit code | log entry |\n|---|---|---|\n",
        );
        for (seq, command, exit_code) in failures {
            let _ = writeln!(body, "| {} | {exit_code} | {seq} |", code(command));
        }
        body.push('\n');
    }
}

/// The agent's last plan.
fn plan(entries: &[Entry]) -> Option<&[PlanStep]> {
    entries.iter().rev().find_map(|entry| {
        let Event::ToolFinished(tool) = &entry.event else { return None };
        if let Shown::Plan { steps } = &tool.shown { Some(steps.as_slice()) } else { None }
    })
}

/// The latest commands and checks that failed and have not gone well since, the oldest first.
fn failures(entries: &[Entry]) -> Vec<(u64, &str, i32)> {
    let (mut seen, mut failures) = (Vec::new(), Vec::new());
    for entry in entries.iter().rev() {
        let ran = if let Event::CheckRan(check) = &entry.event {
            Some((entry.seq, check.command.as_str(), check.exit_code))
        } else {
            bash(entry)
        };
        let Some(ran) = ran.filter(|(_, command, _)| !seen.contains(command)) else { continue };
        seen.push(ran.1);
        if ran.2 != 0 {
            failures.push(ran);
        }
        if failures.len() == FAILURES_MAX {
            break;
        }
    }
    failures.reverse();
    failures
}
