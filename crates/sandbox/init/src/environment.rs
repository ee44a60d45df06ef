//! The environment of every command.

use std::ffi::CString;
use std::io;

/// What every sandbox has. Nothing pages or asks: nobody could answer.
const FIXED: &[(&str, &str)] = &[
    ("PATH", backspace_init::protocol::PATH),
    ("HOME", backspace_init::protocol::HOME),
    ("USER", "agent"),
    ("LOGNAME", "agent"),
    ("SHELL", "/bin/bash"),
    ("PWD", backspace_init::protocol::WORK),
    ("LANG", "C.UTF-8"),
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("CI", "1"),
];

/// The fixed variables and `given`, which take the place of those of the same name, as `NAME=VALUE`.
///
/// # Errors
/// A name that is empty or holds `=`, or a zero byte anywhere.
pub(crate) fn of(given: &[(String, String)]) -> io::Result<Vec<CString>> {
    if given.iter().any(|(name, _)| name.is_empty() || name.contains('=')) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let kept = FIXED.iter().filter(|(name, _)| given.iter().all(|(other, _)| other != name));
    let kept = kept.map(|(name, value)| format!("{name}={value}"));
    let entries = kept.chain(given.iter().map(|(name, value)| format!("{name}={value}")));
    entries.map(|entry| Ok(CString::new(entry)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_takes_the_place_of_what_is_fixed() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let entries = of(&[pair("TERM", "xterm"), pair("X", "a=b")]).unwrap();
        assert_eq!(entries.len(), FIXED.len() + 1);
        let has = |entry: &str| entries.iter().filter(|it| it.to_bytes() == entry.as_bytes()).count();
        assert_eq!(
            (has("TERM=xterm"), has("TERM=dumb"), has("X=a=b"), has("HOME=/home/agent")),
            (1, 0, 1, 1)
        );
        for (name, value) in [("", "x"), ("A=B", "x"), ("A", "x\0y"), ("A\0", "x")] {
            assert!(of(&[pair(name, value)]).is_err(), "{name:?}");
        }
    }
}
