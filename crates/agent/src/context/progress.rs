//! What the agent has done so far, as its calls and their results say: what stays known when the conversation does not.

use std::collections::VecDeque;
use std::fmt::Write as _;

use events::head_and_tail;
use model::{ToolCall, ToolResult};
use serde_json::Value;

/// Longer lists of files tell less than `git diff --stat`.
const FILES_MAX: usize = 60;
/// Commands of late.
const COMMANDS_MAX: usize = 15;
/// A command is told as one line.
const COMMAND_CHARS_MAX: usize = 160;
/// Failures that are told with what was said of them.
const FAILURES_MAX: usize = 4;
/// What is told of a failure: where it begins and where it ends.
const FAILURE_BYTES_MAX: usize = 1500;
/// A step of a plan is told as one line.
const STEP_CHARS_MAX: usize = 200;

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The plan as it was set last: text, and whether it is done.
    plan: Vec<(String, bool)>,
    /// The files that were changed by the file tools, in the order in which they first were.
    files: Vec<String>,
    /// The last commands, and whether they failed.
    commands: VecDeque<(String, bool)>,
    /// Calls that failed last time: what they were, and what came of them.
    failures: VecDeque<(String, String)>,
}

impl Progress {
    /// Takes in one more call and what came of it.
    pub(super) fn note(&mut self, call: &ToolCall, result: &ToolResult) {
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let text = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let what = match call.name.as_str() {
            "plan" if !result.failed => {
                self.plan = steps(&arguments);
                return;
            }
            "edit" | "write" => {
                let path = text("path");
                if !result.failed && !self.files.contains(&path) {
                    self.files.push(path.clone());
                }
                format!("{} {path}", call.name)
            }
            "bash" => {
                let command = one_line(&text("command"), COMMAND_CHARS_MAX);
                pushed(&mut self.commands, (command.clone(), result.failed), COMMANDS_MAX);
                command
            }
            _ => one_line(&format!("{} {}", call.name, call.arguments), COMMAND_CHARS_MAX),
        };
        self.failures.retain(|(failed, _)| *failed != what);
        if result.failed {
            let said = head_and_tail(&result.text, FAILURE_BYTES_MAX);
            pushed(&mut self.failures, (what, said), FAILURES_MAX);
        }
    }

    /// What has to be exact, whoever tells the rest: the plan, and which files were changed.
    pub(super) fn exact(&self) -> String {
        let mut text = String::new();
        if !self.plan.is_empty() {
            text.push_str("Your plan:\n");
            for (step, done) in &self.plan {
                let _ = writeln!(text, "- [{}] {step}", if *done { "x" } else { " " });
            }
        }
        if !self.files.is_empty() {
            let shown: Vec<&str> = self.files.iter().take(FILES_MAX).map(String::as_str).collect();
            let _ = write!(text, "Files that you have changed (`git diff` shows how): {}", shown.join(", "));
            if self.files.len() > FILES_MAX {
                let _ = write!(text, " and {} more", self.files.len() - FILES_MAX);
            }
            text.push('\n');
        }
        text
    }

    /// What stands in for a summary: the last commands, and what failed.
    pub(super) fn told(&self) -> String {
        let mut text = String::new();
        if !self.commands.is_empty() {
            text.push_str("The last commands:\n");
            for (command, failed) in &self.commands {
                let _ = writeln!(text, "- {command} ({})", if *failed { "failed" } else { "ok" });
            }
        }
        if !self.failures.is_empty() {
            text.push_str("What failed, and has not gone well since:\n");
            for (what, said) in &self.failures {
                let _ = writeln!(text, "- {what}\n{said}");
            }
        }
        text
    }
}

/// The steps of a plan, as the tool takes them.
fn steps(arguments: &Value) -> Vec<(String, bool)> {
    let steps = arguments.get("steps").and_then(Value::as_array).into_iter().flatten();
    let step = |step: &Value| {
        let text = step.get("text").and_then(Value::as_str)?;
        let done = step.get("done").and_then(Value::as_bool)?;
        Some((one_line(text, STEP_CHARS_MAX), done))
    };
    steps.filter_map(step).collect()
}

/// `text` as one line.
fn one_line(text: &str, chars_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars_max {
        return line;
    }
    line.chars().take(chars_max - 1).chain(['…']).collect()
}

fn pushed<T>(list: &mut VecDeque<T>, item: T, count_max: usize) {
    list.push_back(item);
    if list.len() > count_max {
        list.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn did(progress: &mut Progress, name: &str, arguments: &str, text: &str, failed: bool) {
        let call = ToolCall { id: "1".into(), name: name.into(), arguments: arguments.into() };
        progress.note(&call, &ToolResult { call_id: "1".into(), text: text.into(), failed });
    }

    #[test]
    fn plan_edits_and_open_failures_stay_known() {
        let mut progress = Progress::default();
        did(&mut progress, "plan", r#"{"steps":[{"text":"look","done":false}]}"#, "Noted.", false);
        did(&mut progress, "bash", r#"{"command":"make test"}"#, "1 failed\n[exit code 1]", true);
        did(&mut progress, "edit", r#"{"path":"a.rs","old_str":"x","new_str":"y"}"#, "Edited", false);
        did(
            &mut progress,
            "edit",
            r#"{"path":"b.rs","old_str":"x","new_str":"y"}"#,
            "It does not stand there.",
            true,
        );
        did(&mut progress, "write", r#"{"path":"c.rs","content":""}"#, "Created", false);
        did(&mut progress, "edit", r#"{"path":"a.rs","old_str":"y","new_str":"z"}"#, "Edited", false);
        did(&mut progress, "bash", r#"{"command":"make lint\nmake x"}"#, "bad\n[exit code 2]", true);
        did(&mut progress, "bash", r#"{"command":"make test"}"#, "ok\n[exit code 0]", false);
        did(
            &mut progress,
            "plan",
            r#"{"steps":[{"text":"look","done":true},{"text":"mend","done":false}]}"#,
            "",
            false,
        );
        did(&mut progress, "plan", "nonsense", "cannot be read", true);
        assert_eq!(
            progress.exact(),
            "Your plan:\n- [x] look\n- [ ] mend\nFiles that you have changed (`git diff` shows how): a.rs, c.rs\n"
        );
        assert_eq!(
            progress.told(),
            "The last commands:\n- make test (failed)\n- make lint make x (failed)\n- make test (ok)\n\
             What failed, and has not gone well since:\n- edit b.rs\nIt does not stand there.\n\
             - make lint make x\nbad\n[exit code 2]\n- plan nonsense\ncannot be read\n"
        );
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut progress = Progress::default();
        for n in 0..2000 {
            let path = format!(r#"{{"path":"{n}"}}"#);
            did(&mut progress, "write", &path, "Created", false);
            let command = format!(r#"{{"command":"{n} {}"}}"#, "x".repeat(10_000));
            did(&mut progress, "bash", &command, &"y".repeat(20_000), true);
        }
        let (exact, told) = (progress.exact(), progress.told());
        assert!(exact.len() < 1000 && exact.contains("59 and 1940 more"), "{exact}");
        assert!(told.len() < 12_000 && told.contains("- 1999 x"), "{}", told.len());
        assert_eq!(told.matches("(failed)").count(), COMMANDS_MAX);
    }
}
