//! The only place that prints: results on standard output, everything else on standard error. Nothing secret passes it.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::Error;
use events::Redactor;

/// Knows this process's secrets, once they have been read.
static REDACTOR: OnceLock<Redactor> = OnceLock::new();

/// Wrong usage or configuration.
const WRONG_USAGE: u8 = 2;

/// Keeps the secrets that `redactor` knows out of everything that is printed from now on. The first call counts.
pub(crate) fn keep_secret(redactor: Redactor) {
    // A second one comes with the same settings.
    drop(REDACTOR.set(redactor));
}

fn without_secrets(text: &str) -> Cow<'_, str> {
    REDACTOR.get_or_init(Redactor::default).redact(text)
}

/// A result, on standard output. A reader that went away is no error.
pub(crate) fn result(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{}", without_secrets(&text.to_string()));
}

/// The output of a foreign program on its way to standard output: to another program as it is, to a terminal without
/// what would move its cursor or turn its text around.
pub(crate) struct Foreign {
    terminal: bool,
    /// The beginning of a character whose end is still to come.
    begun: Vec<u8>,
}

impl Foreign {
    /// For standard output as it is now.
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), begun: Vec::new() }
    }

    /// Passes `bytes` on.
    ///
    /// # Errors
    /// When the reader went away: a program that prints without end would go on for nobody.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout();
        let written =
            if self.terminal { out.write_all(self.escaped(bytes).as_bytes()) } else { out.write_all(bytes) };
        written.and_then(|()| out.flush())
    }

    fn escaped(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => self.begun.len(),
        };
        let rest = self.begun.split_off(whole);
        let text = events::escape_control(&String::from_utf8_lossy(&self.begun).replace("\r\n", "\n"));
        self.begun = rest;
        text
    }
}

/// A line for people, on standard error.
pub(crate) fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{}", without_secrets(&text.to_string()));
}

/// Standard error, for the process's own log: a line comes in one piece.
pub(crate) struct Errors;

impl std::io::Write for Errors {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        std::io::stderr().write_all(without_secrets(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_command_of_a_foreign_program_and_characters_in_one_piece() {
        let mut foreign = Foreign { terminal: true, begun: Vec::new() };
        assert_eq!(foreign.escaped(b"a\x1b]0;x\x07\r\n\xe2\x82"), "a\\u{1b}]0;x\\u{7}\n");
        assert_eq!(foreign.escaped(b"\xac\xff"), "€\u{fffd}");
        assert_eq!(foreign.escaped(b"\xe2x"), "\u{fffd}x");
    }
}
