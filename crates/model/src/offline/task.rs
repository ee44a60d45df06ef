//! What the offline agent can be asked for, and what it says when it was asked for something else.

use std::fmt;

use super::licence::Licence;

/// A job that it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    /// Create a file that is not there.
    Create { path: String, text: String },
    /// Add a text at the end of a file.
    Append { path: String, text: String },
    /// Replace a text by another, wherever it stands in a file.
    Replace { path: String, old: String, new: String },
    /// Add a section at the end of a Markdown file.
    Section { path: String, title: String, text: String },
    /// Add a licence.
    Licence(Licence),
}

/// Why it does not do what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not understand the task as a whole.
    Unknown,
    /// It does, and something is missing or too much.
    Amiss(String),
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { path, .. } => write!(f, "create {path} with the given text"),
            Self::Append { path, .. } => write!(f, "append the given text to {path}"),
            Self::Replace { path, .. } => write!(f, "replace the given text in {path}"),
            Self::Section { path, title, .. } => write!(f, "add the section {title} to {path}"),
            Self::Licence(licence) => write!(f, "add the licence {}", licence.id()),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str(
                "follows fixed rules and does not understand this task. It knows such as these: Add a file \
                 NOTES.md with the text \"hello\" · Append \"one more line\" to NOTES.md · Replace \"old\" with \"new\" in \
                 NOTES.md · Add a section \"Usage\" to README.md with the text \"make run\" · Add the MIT licence for Jane \
                 Doe, 2026",
            ),
            Self::Amiss(why) => write!(f, "cannot do this: {why}"),
        }
    }
}
