//! What of a result is chance: how long something took, at what time, under which name its output was kept.

/// Units of time as test runners, compilers and shells write them after a number.
const UNITS: [&str; 17] = [
    "ns", "us", "µs", "μs", "ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute",
    "minutes", "h", "hours",
];

/// `text` with `#` for each number that is a time or the number of a kept output.
pub(super) fn without_chance(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number_on) = rest.split_at(at);
        out.push_str(before);
        let end = number_on.find(|c: char| !is_of_number(c)).unwrap_or(number_on.len());
        let (number, after) = number_on.split_at(number_on[..end].trim_end_matches(['.', ':']).len());
        let chance = is_clock(number) || is_time(after) || before.ends_with("/tmp/output-");
        out.push_str(if chance { "#" } else { number });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Digits, and what stands between those of a decimal number or a clock.
fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | ':')
}

/// `12:30:01`, with or without decimals; `12:30:` is a line and a column.
fn is_clock(number: &str) -> bool {
    let parts: Vec<&str> = number.split(':').collect();
    parts.len() == 3 && parts.iter().all(|part| part.split('.').next().is_some_and(|whole| whole.len() == 2))
}

/// Whether a number before `after` is one of time units.
fn is_time(after: &str) -> bool {
    let after = after.strip_prefix(' ').unwrap_or(after);
    let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
    UNITS.contains(&&after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_chance_and_other_numbers_are_not() {
        for (text, same) in [
            ("Ran 3 tests in 0.001s", "Ran 3 tests in #s"),
            ("finished in 1.20 seconds, 4 failed", "finished in # seconds, 4 failed"),
            ("12:30:01 listening on port 8000", "# listening on port 8000"),
            ("progress 10 % of 20 steps", "progress 10 % of 20 steps"),
            ("took 3ms; all of it is in /tmp/output-12.txt", "took #ms; all of it is in /tmp/output-#.txt"),
            ("line 5 says 3 more", "line 5 says 3 more"),
            ("a.rs:12:30: at 01:02:03.456", "a.rs:12:30: at #"),
            ("no number", "no number"),
            ("é9", "é9"),
        ] {
            assert_eq!(without_chance(text), same);
        }
    }
}
