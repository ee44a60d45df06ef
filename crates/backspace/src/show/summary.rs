//! The end of a session, for people: where the work is, and the address alone on standard output.

use anstyle::{AnsiColor, Style};
use events::{
    Delivery, FileStat, Outcome, Saved, SessionEnded, SessionId, Target, Telemetry, escape_control,
};

use crate::output;

/// Longer lists of files are cut; the pull request has all of them.
const FILES_SHOWN: usize = 20;

const BOLD: Style = Style::new().bold();
const RED: Style = Style::new().bold().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

pub(super) fn print(id: SessionId, ended: &SessionEnded) {
    output::say("");
    match &ended.outcome {
        Outcome::Delivered(delivery) => delivered(delivery),
        Outcome::Unchanged { summary } => {
            output::say(format_args!("{BOLD}Nothing to change.{BOLD:#} {}", escape_control(summary)));
        }
        Outcome::Budget { limit, delivery } => {
            output::say(format_args!("{BOLD}{} ended the session.{BOLD:#}", limit.cause()));
            match delivery {
                Some(delivery) => delivered(delivery),
                None => output::say("Nothing had changed by then."),
            }
        }
        Outcome::Cancelled { saved: kept } => {
            output::say(format_args!("{BOLD}Cancelled.{BOLD:#}"));
            saved(kept.as_ref());
        }
        Outcome::Failed(failure) => {
            let (step, reason) = (failure.step.as_str(), escape_control(&failure.reason));
            output::say(format_args!("{RED}Failed at {step}:{RED:#} {reason}"));
            if let Some(hint) = &failure.hint {
                output::say(escape_control(hint));
            }
            saved(failure.saved.as_ref());
        }
    }
    output::say(format_args!("{} {}", used(&ended.telemetry), id));
}

fn delivered(delivery: &Delivery) {
    output::say(format_args!("{BOLD}{}{BOLD:#}", escape_control(&delivery.title)));
    files(&delivery.files);
    match &delivery.target {
        Target::PullRequest { url, branch, .. } => {
            output::say(format_args!("Pull request on {branch}, against {}:", delivery.base));
            output::result(url);
        }
        Target::Branch { branch, .. } => {
            output::say("The branch:");
            output::result(branch);
        }
        Target::Patch { path } => {
            output::say("The patch (git apply FILE):");
            output::result(path);
        }
    }
}

fn files(files: &[FileStat]) {
    for file in files.iter().take(FILES_SHOWN) {
        let count = |n: Option<u64>| n.map_or_else(|| "binary".to_owned(), |n| n.to_string());
        let path = escape_control(&file.path);
        output::say(format_args!("  {path} +{} -{}", count(file.added), count(file.deleted)));
    }
    if files.len() > FILES_SHOWN {
        output::say(format_args!("  … and {} more", files.len() - FILES_SHOWN));
    }
}

fn saved(saved: Option<&Saved>) {
    match saved {
        None => output::say("There was no work to keep."),
        Some(Saved::Branch { branch, commit, .. }) => {
            output::say(format_args!("The work so far is on branch {branch} ({})", commit.short()));
        }
        Some(Saved::Patch { path, .. }) => {
            output::say(format_args!("The work so far is in {path} (git apply FILE)"))
        }
    }
}

fn used(telemetry: &Telemetry) -> String {
    let usd = telemetry.usd.filter(|usd| *usd > 0.0).map(|usd| format!(", ${usd:.2}")).unwrap_or_default();
    let seconds = telemetry.duration_ms as f64 / 1000.0;
    let (input, output) = (telemetry.input_tokens, telemetry.output_tokens);
    let turns = if telemetry.turns == 1 { "1 turn".to_owned() } else { format!("{} turns", telemetry.turns) };
    format!("{turns}, {input} + {output} tokens{usd}, {seconds:.1} s. Session")
}
