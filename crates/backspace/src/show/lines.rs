//! A session as lines for people, with a line at the bottom that says what is going on now.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use events::{
    CheckPhase, EgressDecided, Entry, Event, LimitReached, Preparation, Shown, TreePrepared, escape_control,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use session::Piece;

use super::words::Words;
use crate::output;

/// The last lines of a command's output; the log has all of it.
const OUTPUT_LINES: usize = 6;
/// A line for people.
const LINE_CHARS_MAX: usize = 160;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const RED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));
const GREEN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const YELLOW: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow)));

/// Shows entries as they come.
pub(super) struct Live {
    bar: ProgressBar,
    /// What the model says before its reply is whole.
    words: Words,
}

impl Live {
    pub(super) fn new(visible: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        if visible {
            bar.set_style(ProgressStyle::default_spinner());
            // On anything but a terminal indicatif draws nothing.
            bar.enable_steady_tick(Duration::from_millis(120));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, words: Words::default() }
    }

    /// Prints what `entry` tells, and says below what comes next.
    pub(super) fn show(&mut self, entry: &Entry) {
        self.words = Words::default();
        let text = lines(&entry.event);
        if !text.is_empty() {
            self.bar.suspend(|| output::say(text));
        }
        if let Some(now) = going_on(&entry.event) {
            self.bar.set_message(now);
        }
    }

    /// Says below what the model is saying.
    pub(super) fn hear(&mut self, piece: &Piece) {
        self.bar.set_message(self.words.with(piece));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// What is going on after `event`, until the next one.
fn going_on(event: &Event) -> Option<String> {
    if let Event::StepStarted(started) = event {
        return Some(one_line(&started.message));
    }
    if let Event::ModelRetried(retried) = event {
        return Some(format!("Waiting {} s to ask the model again", retried.wait_ms.div_ceil(1000)));
    }
    if let Event::ModelSwitched(switched) = event {
        return Some(format!("{} is thinking", one_line(&switched.to.model)));
    }
    if matches!(event, Event::ModelReplied(_)) {
        return Some("Running tools".to_owned());
    }
    let asked = matches!(event, Event::AgentBriefed(_) | Event::ToolFinished(_) | Event::AgentTold(_));
    asked.then(|| "The model is thinking".to_owned())
}

/// `event` as lines; empty for what people need not see.
fn lines(event: &Event) -> String {
    match event {
        Event::StepStarted(started) => format!("{BOLD}{}{BOLD:#}", one_line(&started.message)),
        Event::GitRan(ran) => command(&ran.command, &ran.output, ran.exit_code),
        Event::BaseChosen(chosen) => {
            format!("  {DIM}from{DIM:#} {} {DIM}at {}{DIM:#}", chosen.base, chosen.commit.short())
        }
        Event::SetupRan(ran) => command(&ran.command, &ran.output, ran.exit_code),
        Event::TreePrepared(prepared) => prepared_line(prepared),
        Event::SandboxOpened(opened) => {
            let soft = if opened.soft.is_empty() {
                String::new()
            } else {
                format!("\n  {YELLOW}not enforced here: {}{YELLOW:#}", one_line(&opened.soft.join("; ")))
            };
            let passed_over = if opened.passed_over.is_empty() {
                String::new()
            } else {
                let words = one_line(&opened.passed_over.join("; "));
                format!("\n  {YELLOW}preferred, but not to be had: {words}{YELLOW:#}")
            };
            let enforced = one_line(&opened.enforced.join(", "));
            format!("  {DIM}{}: {enforced}{DIM:#}{soft}{passed_over}", opened.backend)
        }
        Event::Thought(thought) => indented(&thought.text, DIM),
        Event::Said(said) => indented(&said.text, Style::new()),
        Event::FileEdited(edited) => {
            let (added, deleted) = (edited.new.lines().count(), edited.old.lines().count());
            let what = if edited.matched == "created" { "create" } else { "edit" };
            format!("  {what} {} {GREEN}+{added}{GREEN:#} {RED}-{deleted}{RED:#}", one_line(&edited.path))
        }
        Event::ToolFinished(tool) => tool_lines(&tool.tool, &tool.shown),
        Event::CheckRan(check) => {
            let phase = match check.phase {
                CheckPhase::Before => "before",
                CheckPhase::After => "after",
            };
            format!(
                "  {DIM}check {phase}{DIM:#}\n{}",
                command(&check.command, &check.output, check.exit_code)
            )
        }
        Event::EgressDecided(decided) => egress(decided),
        Event::ModelRetried(retried) => format!("  {YELLOW}{}{YELLOW:#}", one_line(&retried.reason)),
        Event::ModelSwitched(switched) => {
            let (to, reason) = (one_line(&switched.to.model), one_line(&switched.reason));
            format!("  {YELLOW}{reason}{YELLOW:#}\n  {BOLD}{to} goes on{BOLD:#}")
        }
        Event::Warned(warned) => format!("  {YELLOW}warning: {}{YELLOW:#}", one_line(&warned.message)),
        Event::ContextCompacted(compacted) => {
            let (before, after) = (compacted.before_tokens, compacted.after_tokens);
            format!("  {DIM}the conversation was shortened from about {before} to {after} tokens{DIM:#}")
        }
        Event::LimitReached(LimitReached { limit, about, .. }) => {
            format!("  {YELLOW}{} ends the work: {}{YELLOW:#}", limit.cause(), one_line(about))
        }
        Event::PullRequestOpened(opened) => format!("  {GREEN}open:{GREEN:#} {}", one_line(&opened.title)),
        Event::SessionRequested(_)
        | Event::AttemptStarted(_)
        | Event::AgentBriefed(_)
        | Event::ModelReplied(_)
        | Event::ReplyLost(_)
        | Event::AgentTold(_)
        | Event::CommitMade(_)
        | Event::BranchPushed(_)
        | Event::CancelRequested(_)
        | Event::SessionEnded(_) => String::new(),
    }
}

/// What was not reached is what people look for.
fn egress(decided: &EgressDecided) -> String {
    let host = one_line(&decided.host);
    let often = if decided.times > 1 { format!(" ×{}", decided.times) } else { String::new() };
    match &decided.refused {
        Some(refused) => {
            format!("  {YELLOW}not reached: {host}{often}: {}{YELLOW:#}", one_line(&refused.reason))
        }
        None => {
            let received = decided.received_bytes.div_ceil(1024);
            format!("  {DIM}reached {host}{often} ({received} KiB received){DIM:#}")
        }
    }
}

fn prepared_line(prepared: &TreePrepared) -> String {
    let what = match prepared.how {
        Preparation::Kept => "prepared, and kept for later sessions",
        Preparation::ForThisSession => "prepared for this session",
        Preparation::Reused(_) => "prepared tree reused",
    };
    let (entries, mib) = (prepared.entries, prepared.bytes.div_ceil(1 << 20));
    format!("  {DIM}{what}: {entries} files and folders, {mib} MiB{DIM:#}")
}

fn tool_lines(tool: &str, shown: &Shown) -> String {
    match shown {
        Shown::Nothing => String::new(),
        Shown::Read { path, lines } => {
            format!("  {DIM}read{DIM:#} {} {DIM}({lines} lines){DIM:#}", one_line(path))
        }
        Shown::Search { query, matches } => {
            format!("  {DIM}search{DIM:#} {} {DIM}({matches} found){DIM:#}", one_line(query))
        }
        Shown::Bash { command: script, output, exit_code } => command(script, output, *exit_code),
        Shown::Plan { steps } => {
            let steps =
                steps.iter().map(|s| format!("  {} {}", if s.done { "✓" } else { "·" }, one_line(&s.text)));
            steps.collect::<Vec<_>>().join("\n")
        }
        Shown::Other { output, .. } => {
            format!("  {YELLOW}{}: {}{YELLOW:#}", one_line(tool), one_line(output))
        }
    }
}

/// A command, its exit code, and the end of what it printed.
fn command(script: &str, output: &str, exit_code: i32) -> String {
    let code = if exit_code == 0 { String::new() } else { format!(" {RED}exit code {exit_code}{RED:#}") };
    let mut text = format!("  {BOLD}${BOLD:#} {}{code}", one_line(script));
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    for line in &lines[lines.len().saturating_sub(OUTPUT_LINES)..] {
        text.push_str(&format!("\n    {DIM}{}{DIM:#}", one_line(line)));
    }
    text
}

fn indented(text: &str, style: Style) -> String {
    let lines = text.trim().lines().map(|line| format!("  {style}{}{style:#}", escape_control(line)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Text that we did not write, as one line without powers over the terminal.
fn one_line(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default();
    let mut line: String = first.chars().take(LINE_CHARS_MAX).collect();
    if lines.next().is_some() || line.len() < first.len() {
        line.push('…');
    }
    escape_control(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_moves_the_cursor() {
        let line = one_line("\u{1b}[2Jgone\rover\u{202e}\nsecond");
        assert_eq!(line, "\\u{1b}[2Jgone\\u{d}over\\u{202e}…");
    }
}
