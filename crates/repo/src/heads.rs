//! The branches of a repository as a remote lists them, and as a mirror keeps them beside its objects.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use events::{Branch, Oid};

/// The file in a mirror that says which branches its last fetch left.
const FILE: &str = "backspace-heads";

/// The branches of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Branches by their name without `refs/heads/`.
    pub(crate) branches: BTreeMap<String, Oid>,
    /// The branch that `HEAD` names, where the remote was asked.
    pub(crate) head: Option<Branch>,
}

impl Heads {
    /// Reads what `git ls-remote` or `git for-each-ref` printed. Lines that tell of something else are passed over.
    pub(crate) fn parse(listing: &[u8]) -> Self {
        let mut heads = Self::default();
        for line in String::from_utf8_lossy(listing).lines() {
            let Some((what, name)) = line.split_once('\t') else { continue };
            if let Some(branch) = what.strip_prefix("ref: refs/heads/").filter(|_| name == "HEAD") {
                heads.head = branch.parse().ok();
            } else if let (Some(name), Ok(oid)) = (name.strip_prefix("refs/heads/"), what.parse()) {
                heads.branches.insert(name.to_owned(), oid);
            }
        }
        heads
    }

    /// What the mirror in `dir` holds; nothing when that is not known for certain.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        std::fs::read(dir.join(FILE)).ok().map(|listing| Self::parse(&listing))
    }

    /// Notes beside the mirror in `dir` that it holds these.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        let lines: String =
            self.branches.iter().map(|(name, oid)| format!("{oid}\trefs/heads/{name}\n")).collect();
        // Renamed into place: a reader sees the old list or the new one.
        let new = dir.join(format!("{FILE}.new"));
        std::fs::write(&new, lines)?;
        std::fs::rename(new, dir.join(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_are_read_from_a_listing() {
        let a = "a".repeat(40);
        let listing = format!(
            "ref: refs/heads/main\tHEAD\n{a}\tHEAD\n{a}\trefs/heads/main\n{a}\trefs/heads/x/y\n\
             {a}\trefs/remotes/origin/refs/heads/no\nwarning\n"
        );
        let heads = Heads::parse(listing.as_bytes());
        assert_eq!(heads.head, Some("main".parse().unwrap()));
        assert_eq!(heads.branches.keys().collect::<Vec<_>>(), ["main", "x/y"]);
    }
}
