//! Which place in a session's life an append may take.

use events::NewEntry;

/// What an append would do to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It begins a session.
    First {
        /// It ends it as well.
        ends: bool,
    },
    /// It goes on with one.
    Later {
        /// It ends it.
        ends: bool,
    },
    /// Something would stand before the first entry or behind the final one.
    Broken,
}

impl Shape {
    /// Whether the session is over after it.
    pub(crate) fn ends(self) -> bool {
        matches!(self, Self::First { ends: true } | Self::Later { ends: true })
    }
}

/// What appending `entries` would do.
pub(crate) fn of(entries: &[NewEntry]) -> Shape {
    let begins_at = entries.iter().rposition(|entry| entry.kind == "session_requested");
    let ends_at = entries.iter().position(|entry| entry.kind == "session_ended");
    let ends = match ends_at {
        None => false,
        Some(at) if at + 1 == entries.len() => true,
        Some(_) => return Shape::Broken,
    };
    match begins_at {
        None => Shape::Later { ends },
        Some(0) => Shape::First { ends },
        Some(_) => Shape::Broken,
    }
}
