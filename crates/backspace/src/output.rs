//! The only place that prints: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Error;

/// Wrong usage or configuration.
const WRONG_USAGE: u8 = 2;

/// A result, on standard output. A reader that went away is no error.
pub(crate) fn result(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// A line for people, on standard error.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// An error with its causes, once, and the exit code for it.
pub(crate) fn fail(error: &Error) -> ExitCode {
    print_error(error);
    if error.is::<Usage>() { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
}

/// As [`fail`], for what the user wrote.
pub(crate) fn wrong_usage(error: &Error) -> ExitCode {
    print_error(error);
    ExitCode::from(WRONG_USAGE)
}

fn print_error(error: &Error) {
    let red = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
    let text = events::escape_control(&format!("{error:#}"));
    say(format_args!("{red}error:{red:#} {text}"));
}

/// What the user wrote cannot be carried out; exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
