//! The only place that prints: results on standard output, everything else on standard error. Nothing secret passes it.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::{LazyLock, PoisonError, RwLock};

use anyhow::Error;
use events::Redactor;

/// Knows this process's secrets, as far as they have been read.
static REDACTOR: LazyLock<RwLock<Redactor>> = LazyLock::new(RwLock::default);

/// Wrong usage or configuration.
const WRONG_USAGE: u8 = 2;

/// Keeps the secrets that `redactor` knows out of everything that is printed from now on. It takes the place of the one
/// before, so it knows what that one knew.
pub(crate) fn keep_secret(redactor: Redactor) {
    *REDACTOR.write().unwrap_or_else(PoisonError::into_inner) = redactor;
}

fn redactor() -> Redactor {
    REDACTOR.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn without_secrets(text: &str) -> Cow<'_, str> {
    redactor().redact(text)
}

/// A result, on standard output. A reader that went away is no error.
pub(crate) fn result(text: impl Display) {
    let _ = writeln!(anstream::stdout(), "{}", without_secrets(&text.to_string()));
}

/// The output of a foreign program on its way to standard output, without the secrets that this process holds: to another
/// program otherwise as it is, to a terminal without what would move its cursor or turn its text around.
pub(crate) struct Foreign {
    terminal: bool,
    redactor: Redactor,
    /// What may be the beginning of a secret.
    open: Vec<u8>,
    /// The beginning of a character whose end is still to come.
    begun: Vec<u8>,
}

impl Foreign {
    /// For standard output as it is now.
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            redactor: redactor(),
            open: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// Passes `bytes` on, but for an end of them that may turn out to be a secret.
    ///
    /// # Errors
    /// When the reader went away: a program that prints without end would go on for nobody.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let certain = self.certain(bytes);
        self.write(&certain)
    }

    /// Passes on what was held back: nothing more comes.
    ///
    /// # Errors
    /// As [`Foreign::pass`].
    pub(crate) fn end(mut self) -> std::io::Result<()> {
        let open = std::mem::take(&mut self.open);
        let masked = self.redactor.mask_held_bytes(&open).into_owned();
        self.write(&masked)
    }

    /// What of all that came so far can be shown now, without secrets.
    fn certain(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.open.extend_from_slice(bytes);
        let rest = self.open.split_off(self.redactor.held_open_end(&self.open));
        let certain = std::mem::replace(&mut self.open, rest);
        self.redactor.mask_held_bytes(&certain).into_owned()
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
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

    fn foreign(secrets: &[&str]) -> Foreign {
        let redactor = Redactor::new(secrets.iter().copied());
        Foreign { terminal: true, redactor, open: Vec::new(), begun: Vec::new() }
    }

    #[test]
    fn a_foreign_program_shows_no_secret_in_however_many_pieces() {
        let secret = "held-secret-value";
        let output = [b"\xff\0 a ", secret.as_bytes(), b"\0, held-sec"].concat();
        for size in 1..output.len() {
            let mut foreign = foreign(&[secret]);
            let mut shown: Vec<u8> = output.chunks(size).flat_map(|piece| foreign.certain(piece)).collect();
            shown.extend_from_slice(&foreign.redactor.mask_held_bytes(&foreign.open));
            assert_eq!(shown, b"\xff\0 a [redacted]\0, held-sec", "in pieces of {size}");
        }
    }

    #[test]
    fn a_terminal_gets_no_command_of_a_foreign_program_and_characters_in_one_piece() {
        let mut foreign = foreign(&[]);
        assert_eq!(foreign.escaped(b"a\x1b]0;x\x07\r\n\xe2\x82"), "a\\u{1b}]0;x\\u{7}\n");
        assert_eq!(foreign.escaped(b"\xac\xff"), "€\u{fffd}");
        assert_eq!(foreign.escaped(b"\xe2x"), "\u{fffd}x");
    }
}
