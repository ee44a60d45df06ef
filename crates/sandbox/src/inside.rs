//! What stands inside sandboxes before anything is put there: programs, and the system they belong to.

use std::iter;

use backspace_init::protocol::PATH;

/// What stands inside every sandbox of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    /// What tells this system from others: kind of sandbox, distribution, architecture.
    pub system: String,
    /// Where commands look for programs: the value of their `PATH`.
    pub path: String,
    /// The programs that were asked for and are found there.
    pub programs: Vec<Program>,
}

/// A program inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Another text for another version of it. It says nothing else.
    pub stamp: String,
}

impl Default for Inside {
    /// Nothing is known of it.
    fn default() -> Self {
        Self { system: String::new(), path: PATH.to_owned(), programs: Vec::new() }
    }
}

impl Inside {
    /// Whether there is a program of that name.
    pub fn has(&self, name: &str) -> bool {
        self.programs.iter().any(|program| program.name == name)
    }

    /// Texts that are the same as long as everything is.
    pub fn identity(&self) -> impl Iterator<Item = String> {
        let programs = self.programs.iter().map(|program| format!("{} {}", program.name, program.stamp));
        iter::once(self.system.clone()).chain(programs)
    }
}
