//! The words of a pull request: branch name, title, commit message, body.

use std::fmt::Write as _;

use events::{Branch, CheckRan, Entry, Event, Limit, LimitReached, Redactor, Request, SessionId, Shown};

pub(crate) use defuse::defuse_line;
use defuse::{defuse, defuse_plain, longest_run};
use left::what_is_left;
use not_reached::not_reached;

mod defuse;
mod left;
mod not_reached;

/// Forges cut longer titles in their lists.
const TITLE_CHARS_MAX: usize = 72;
/// A slug is a reminder, not the title.
const SLUG_BYTES_MAX: usize = 40;
/// GitHub takes 65,536 characters; what the forge adds must still fit.
const SUMMARY_CHARS_MAX: usize = 40_000;
/// A longer prompt is cut in the body; the log has all of it.
const PROMPT_CHARS_MAX: usize = 4_000;
/// More commands than this are no evidence any more.
const COMMANDS_SHOWN: usize = 12;
/// A command is shown as one line.
const COMMAND_CHARS_MAX: usize = 160;

/// The branch that was asked for, or `backspace/<slug>-<id>`: a function of request and session, so that a second
/// attempt finds it again.
pub(crate) fn branch(request: &Request, session: SessionId, redactor: &Redactor) -> Branch {
    let slug = slug(&redactor.redact(request.title.as_deref().unwrap_or(&request.prompt)));
    let name = if slug.is_empty() { session.short() } else { format!("{slug}-{}", session.short()) };
    let ours = format!("backspace/{name}").parse().ok();
    request.branch.clone().or(ours).unwrap_or_else(|| unreachable_name(session))
}

/// Lower-case ASCII words joined by `-`.
fn slug(text: &str) -> String {
    let first_line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut slug = String::new();
    for word in first_line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if slug.len() + word.len() + 1 > SLUG_BYTES_MAX {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    // `x.lock` and the like cannot come out of ASCII words.
    slug
}

#[expect(clippy::expect_used, reason = "hexadecimal digits after a fixed prefix are a branch name")]
fn unreachable_name(session: SessionId) -> Branch {
    format!("backspace/{}", session.short()).parse().expect("hexadecimal digits are a branch name")
}

/// One line: what was asked for, else what the agent says, else the beginning of the prompt.
pub(crate) fn title(request: &Request, finish_title: &str) -> String {
    let first_line = request.prompt.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let text = match &request.title {
        Some(title) => return title.clone(),
        None if !finish_title.is_empty() => finish_title,
        None => first_line,
    };
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    // A title becomes the commit message when its pull request is squashed.
    defuse_plain(&shortened(events::escape_control(&text).trim(), TITLE_CHARS_MAX))
}

/// `text`, or its beginning up to a word.
fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let cut: String = text.chars().take(chars_max - 1).collect();
    let at_word = cut.rfind(' ').filter(|at| *at > chars_max / 2).unwrap_or(cut.len());
    format!("{}…", cut[..at_word].trim_end())
}

/// The commit message. It pings nobody and closes nothing, and lines that git and forges read as trailers are indented:
/// nobody signed anything off.
pub(crate) fn commit_message(title: &str, summary: &str, session: SessionId) -> String {
    let (title, summary) = (defuse_plain(title), defuse_plain(&events::escape_control(summary)));
    let summary: Vec<String> = summary
        .lines()
        .map(|line| if is_trailer(line) { format!("    {line}") } else { line.to_owned() })
        .collect();
    format!("{title}\n\n{}\n\nBackspace-Session: {session}\n", summary.join("\n").trim())
}

fn is_trailer(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, _)| {
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && key.contains('-')
    })
}

/// The hidden text that says whose pull request it is.
pub(crate) fn marker(session: SessionId) -> String {
    format!("<!-- backspace:session={session} -->")
}

/// What the body tells besides the summary.
pub(crate) struct Told<'a> {
    pub(crate) request: &'a Request,
    pub(crate) session: SessionId,
    pub(crate) summary: &'a str,
    /// What ended the work, when the agent did not.
    pub(crate) limit: Option<Limit>,
    /// The session's log: the evidence.
    pub(crate) entries: &'a [Entry],
}

/// The body, in Markdown. The model's words cannot ping people, close issues or hide things; the evidence is ours.
pub(crate) fn body(told: &Told<'_>) -> String {
    let mut body = String::new();
    if let Some(limit) = told.limit {
        let cause = limit.cause();
        let about = match about(told.entries) {
            about if about.is_empty() => about,
            about => format!(" ({})", defuse_line(&one_line(&about))),
        };
        let _ =
            writeln!(body, "> **Unfinished.** {cause} ended the work{about}; this is what existed then.\n");
    }
    let summary: String = told.summary.chars().take(SUMMARY_CHARS_MAX).collect();
    let _ = writeln!(body, "{}\n", defuse(summary.trim()));
    evidence(&mut body, told.entries);
    not_reached(&mut body, told.entries);
    if told.limit.is_some() {
        what_is_left(&mut body, told.entries);
    }
    let prompt = defuse(&shortened(&told.request.prompt, PROMPT_CHARS_MAX)).replace('\n', "\n> ");
    let _ = writeln!(body, "<details><summary>What was asked for</summary>\n\n> {prompt}\n\n</details>\n");
    let with = models(told.entries);
    let _ =
        writeln!(body, "Made by backspace{with}, session `{}`.\n\n{}", told.session, marker(told.session));
    body
}

/// Which bound was reached and who set it, or what the agent repeated; empty when nobody says.
fn about(entries: &[Entry]) -> String {
    let reached = entries
        .iter()
        .rev()
        .find_map(|entry| if let Event::LimitReached(reached) = &entry.event { Some(reached) } else { None });
    match reached {
        Some(LimitReached { whose: Some(whose), about, .. }) => {
            format!("{about}, set by the {}", whose.as_str())
        }
        Some(LimitReached { whose: None, about, .. }) => about.clone(),
        None => String::new(),
    }
}

/// The models that answered, in the order in which they first did; their names are their providers' words.
fn models(entries: &[Entry]) -> String {
    let mut names: Vec<String> = Vec::new();
    for entry in entries {
        let Event::ModelReplied(reply) = &entry.event else { continue };
        let name = format!("{} ({})", code(&reply.model), reply.provider);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { String::new() } else { format!(" with {}", names.join(", then ")) }
}

/// The commands that ran and what they returned: each line stands for an entry of the log.
fn evidence(body: &mut String, entries: &[Entry]) {
    let checks: Vec<(u64, &CheckRan)> = entries
        .iter()
        .filter_map(
            |entry| if let Event::CheckRan(check) = &entry.event { Some((entry.seq, check)) } else { None },
        )
        .collect();
    body.push_str("### How it was checked\n\n");
    if checks.is_empty() {
        body.push_str("No check was asked for. ");
    } else {
        body.push_str("| check | exit code | log entry |\n|---|---|---|\n");
        for (seq, check) in checks {
            let _ = writeln!(body, "| {} | {} | {seq} |", code(&check.command), check.exit_code);
        }
        body.push('\n');
    }
    let ran: Vec<(u64, &str, i32)> = entries.iter().filter_map(bash).collect();
    if ran.is_empty() {
        body.push_str("The agent ran no command: **not checked**.\n\n");
        return;
    }
    let shown = &ran[ran.len().saturating_sub(COMMANDS_SHOWN)..];
    let _ = writeln!(body, "The agent ran {} commands; the last {}:\n", ran.len(), shown.len());
    body.push_str("| command | exit code | log entry |\n|---|---|---|\n");
    for (seq, command, exit_code) in shown {
        let _ = writeln!(body, "| {} | {exit_code} | {seq} |", code(command));
    }
    body.push('\n');
}

fn bash(entry: &Entry) -> Option<(u64, &str, i32)> {
    let Event::ToolFinished(tool) = &entry.event else { return None };
    let Shown::Bash { command, exit_code, .. } = &tool.shown else { return None };
    Some((entry.seq, command, *exit_code))
}

/// `text` as one line of code in a table. Its signs are broken as well: should a forge see the code end before we do,
/// what is left has no powers.
fn code(text: &str) -> String {
    let line = defuse_line(&shortened(&one_line(text), COMMAND_CHARS_MAX));
    // A backslash before would take the power of the one that we put.
    let line = line.replace("\\|", "\\\u{200b}|").replace('|', "\\|");
    let fence = "`".repeat(longest_run(&line) + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{line}{pad}{fence}")
}

fn one_line(text: &str) -> String {
    events::escape_control(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests;
