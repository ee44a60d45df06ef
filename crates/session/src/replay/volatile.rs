//! What may differ between a session and its replay, and why: everything else must be the same.
//!
//! This file is data. Whoever adds a line makes every replay blinder: give the reason, and keep it narrow.

use std::sync::LazyLock;

use regex::Regex;

/// These tables as Markdown, for the documentation.
pub fn not_compared() -> String {
    let mut text = String::from("| event | field | why | when |\n|---|---|---|---|\n");
    for Passed { kind, only, why } in EVENTS {
        let which = only
            .map_or_else(|| "all".to_owned(), |(field, begin)| format!("all whose `{field}` is `{begin}` …"));
        text.push_str(&format!("| `{kind}` | {which} | {why} | always |\n"));
    }
    for Field { kind, path, when, why } in FIELDS {
        let kind = if kind.is_empty() { "any".to_owned() } else { format!("`{kind}`") };
        let path = path.trim_start_matches("**.");
        text.push_str(&format!("| {kind} | `{path}` | {why} | {} |\n", when.in_words()));
    }
    text.push_str("\n| in any text | is compared as | why | when |\n|---|---|---|---|\n");
    for Output { pattern, instead, when, exact, why } in OUTPUTS {
        let when = match exact {
            Exact::Compared => format!("{}, but not with `--exact`", when.in_words()),
            Exact::Passed => when.in_words().to_owned(),
        };
        let pattern = pattern.replace('|', "\\|");
        let instead = if instead.is_empty() { "nothing".to_owned() } else { format!("`{instead}`") };
        text.push_str(&format!("| `{pattern}` | {instead} | {why} | {when} |\n"));
    }
    text
}

/// When a line of these tables holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// In every replay.
    Always,
    /// When another release recorded than replays.
    OtherRelease,
    /// When the tools' results are played.
    NoSandbox,
}

impl When {
    fn in_words(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OtherRelease => "when another release recorded",
            Self::NoSandbox => "with `--no-sandbox`",
        }
    }
}

/// Events that are not compared.
pub(super) struct Passed {
    pub(super) kind: &'static str,
    /// Only those that have a field which begins like this.
    pub(super) only: Option<(&'static str, &'static str)>,
    /// Why.
    pub(super) why: &'static str,
}

/// A field that is not compared.
pub(super) struct Field {
    /// The kind of event; any, when it is empty.
    pub(super) kind: &'static str,
    /// Its path from the payload, `.` between names; `**.` stands for any depth.
    pub(super) path: &'static str,
    pub(super) when: When,
    /// Why.
    pub(super) why: &'static str,
}

/// A part of a text that is not compared.
pub(super) struct Output {
    pub(super) pattern: &'static str,
    /// What is compared instead.
    pub(super) instead: &'static str,
    pub(super) when: When,
    /// Whether a replay that shall be exact compares it all the same.
    pub(super) exact: Exact,
    /// Why.
    pub(super) why: &'static str,
}

/// Whether an exact replay compares something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exact {
    /// It does.
    Compared,
    /// It cannot: the value is never the same.
    Passed,
}

/// What the agent finds is compared, and what it is told.
const SETUP: &str = "an earlier session may have set the project up already";

pub(super) const EVENTS: &[Passed] = &[
    Passed {
        kind: "git_ran",
        only: Some(("command", "git ls-remote")),
        why: "how many branches a remote has is no part of a recording",
    },
    Passed {
        kind: "git_ran",
        only: Some(("command", "git fetch")),
        why: "what is fetched depends on what the mirror had",
    },
    Passed { kind: "setup_ran", only: None, why: SETUP },
    Passed { kind: "tree_prepared", only: None, why: SETUP },
    Passed { kind: "step_started", only: Some(("step", "setup")), why: SETUP },
    Passed { kind: "warned", only: Some(("code", "setup_")), why: SETUP },
    Passed { kind: "egress_decided", only: None, why: "a replay has no way out of its sandbox" },
    Passed {
        kind: "warned",
        only: Some(("code", "provider_passed_over")),
        why: "a recording has the models that could be asked, not those that could not",
    },
    Passed {
        kind: "warned",
        only: Some(("code", "usage_estimated")),
        why: "a recording has the estimate, not that a provider counted nothing",
    },
];

pub(super) const FIELDS: &[Field] = &[
    Field { kind: "", path: "**.duration_ms", when: When::Always, why: "time" },
    Field { kind: "attempt_started", path: "release", when: When::Always, why: "the release that replays" },
    Field {
        kind: "attempt_started",
        path: "conditions",
        when: When::Always,
        why: "the replay goes by them; the first releases did not tell them",
    },
    Field { kind: "sandbox_opened", path: "backend", when: When::Always, why: "the machine that replays" },
    Field { kind: "sandbox_opened", path: "enforced", when: When::Always, why: "the machine that replays" },
    Field { kind: "sandbox_opened", path: "soft", when: When::Always, why: "the machine that replays" },
    Field { kind: "git_ran", path: "output", when: When::Always, why: "the words of git and of the remote" },
    Field {
        kind: "session_ended",
        path: "outcome.target.path",
        when: When::Always,
        why: "a file of the machine that recorded",
    },
    Field {
        kind: "session_ended",
        path: "outcome.delivery.target.path",
        when: When::Always,
        why: "a file of the machine that recorded",
    },
    Field {
        kind: "session_ended",
        path: "outcome.saved.path",
        when: When::Always,
        why: "a file of the machine that recorded",
    },
    Field {
        kind: "session_ended",
        path: "outcome.hint",
        when: When::Always,
        why: "what mends it is told by the settings of a machine",
    },
    Field {
        kind: "agent_briefed",
        path: "system",
        when: When::OtherRelease,
        why: "each release words its rules anew",
    },
    Field {
        kind: "agent_briefed",
        path: "tools",
        when: When::OtherRelease,
        why: "each release has its own tools",
    },
    Field { kind: "step_started", path: "message", when: When::OtherRelease, why: "words for people" },
];

pub(super) const OUTPUTS: &[Output] = &[
    Output {
        pattern: r"\b\d+\.\d+ ?(ns|us|µs|ms|s|secs?|seconds)\b|\b\d+ ?(ns|us|µs|ms)\b|\bin \d+ ?s\b",
        instead: "<time>",
        when: When::Always,
        exact: Exact::Compared,
        why: "how long tests and builds take: `Ran 3 tests in 0.001s`",
    },
    Output {
        pattern: r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?",
        instead: "<date>",
        when: When::Always,
        exact: Exact::Compared,
        why: "the date, in the form of logs",
    },
    Output {
        pattern: r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} +(\d\d:\d\d|\d{4})\b",
        instead: "<date>",
        when: When::Always,
        exact: Exact::Compared,
        why: "the date of a file, as `ls -l` shows it",
    },
    Output {
        pattern: r"(?m)^ *[~^]+[~^ ]*\n",
        instead: "",
        when: When::Always,
        exact: Exact::Compared,
        why: "the marks below a line of a traceback, which every Python draws in its own way",
    },
    Output {
        pattern: r"\b0x[0-9a-f]{6,16}\b",
        instead: "<address>",
        when: When::Always,
        exact: Exact::Compared,
        why: "addresses of memory, as in Python's and Go's words for an object",
    },
    Output {
        pattern: r"/tmp/tmp[._][A-Za-z0-9_]+|/tmp/tmp[a-z0-9_]{8}\b",
        instead: "/tmp/<name>",
        when: When::Always,
        exact: Exact::Compared,
        why: "names of temporary files by mktemp and Python",
    },
    Output {
        pattern: r"\n<setup>\n[\s\S]*?\n</setup>\n",
        instead: "",
        when: When::NoSandbox,
        exact: Exact::Passed,
        why: "nothing is set up where nothing is run",
    },
    Output {
        pattern: r"\nCommands reach these hosts, by https [^\n]*\n",
        instead: "",
        when: When::Always,
        exact: Exact::Passed,
        why: "a replay has no way out of its sandbox",
    },
    Output {
        pattern: r"(\n\[note: [^\n]*\])+$",
        instead: "",
        when: When::NoSandbox,
        exact: Exact::Passed,
        why: "what was left out of a change is not in its steps, so that nothing can be said of it",
    },
];

/// The patterns of [`OUTPUTS`], in their order.
pub(super) static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the patterns are constants, and a test reads them all")]
    let pattern = |output: &Output| Regex::new(output.pattern).expect("a pattern of ours is one");
    OUTPUTS.iter().map(pattern).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_what_is_meant() {
        let told = |text: &str| {
            let mut text = text.to_owned();
            for (output, pattern) in
                OUTPUTS.iter().zip(PATTERNS.iter()).filter(|(o, _)| o.when == When::Always)
            {
                text = pattern.replace_all(&text, output.instead).into_owned();
            }
            text
        };
        for (text, expected) in [
            ("Ran 3 tests in 0.001s\n\nOK", "Ran 3 tests in <time>\n\nOK"),
            ("5 passed in 1.20 s; finished in 12ms", "5 passed in <time>; finished in <time>"),
            ("<App object at 0x7f12ab34cd56>", "<App object at <address>>"),
            ("drwxr-xr-x 2 u u 4096 Jan  5 12:34 src", "drwxr-xr-x 2 u u 4096 <date> src"),
            ("at 2026-11-18T10:00:00.123Z done", "at <date> done"),
            ("/tmp/tmp.Ab3dE6gH1j /tmp/tmpk3j2h1g0", "/tmp/<name> /tmp/<name>"),
            ("    check(body)\n    ~~~~~^^^^^^\nKeyError: 'name'", "    check(body)\nKeyError: 'name'"),
        ] {
            assert_eq!(told(text), expected);
        }
        for same in [
            "exit code 5",
            "3 tests",
            "version 1.2.3",
            "0x1f",
            "sleep 5",
            "line 12: main",
            "2026-11-18",
            "~/x\n",
        ] {
            assert_eq!(told(same), same);
        }
    }
}
