//! A path inside a repository that is safe to give to git.

use std::fmt;

/// Deeper paths are refused: no real project has them, and some tools recurse.
const PARTS_MAX: usize = 64;
/// Linux refuses longer paths.
const BYTES_MAX: usize = 4096;

/// A relative path with `/` between its parts, as bytes, that names a file git may hold.
///
/// `git fast-import` takes `.git/config` and `a/../b` without a word, so the rules of `verify_path` in git's
/// `read-cache.c` are applied here, with `core.protectHFS` and `core.protectNTFS` on.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoPath(Vec<u8>);

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Empty, absolute, or with an empty part.
    #[error("is not a plain relative path")]
    Shape,
    /// More than 64 parts or 4,096 bytes.
    #[error("is too deep or too long")]
    Length,
    /// A part is `.` or `..`.
    #[error("has a part `.` or `..`")]
    Dots,
    /// A part is `.git`, or is read as `.git` by macOS or Windows.
    #[error("has a part that some system reads as `.git`")]
    DotGit,
    /// A NUL byte.
    #[error("has a NUL byte")]
    Nul,
}

impl RepoPath {
    /// Takes `bytes` as a path if git may hold it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(if bytes.is_empty() { PathError::Shape } else { PathError::Nul });
        }
        if bytes.len() > BYTES_MAX || bytes.iter().filter(|b| **b == b'/').count() >= PARTS_MAX {
            return Err(PathError::Length);
        }
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" => return Err(PathError::Shape),
                b"." | b".." => return Err(PathError::Dots),
                part if is_dot_git(part) => return Err(PathError::DotGit),
                _ => {}
            }
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes, as git holds them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text for people and JSON; what is not UTF-8 becomes U+FFFD.
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

/// Whether some file system reads `part` as `.git`: NTFS drops trailing dots and spaces and streams (`.git::$X`)
/// and knows `git~1`; HFS+ drops zero-width characters.
fn is_dot_git(part: &[u8]) -> bool {
    let text = String::from_utf8_lossy(part);
    let visible: String =
        text.chars().filter(|c| !is_ignored_by_hfs(*c)).flat_map(char::to_lowercase).collect();
    if visible == ".git" {
        return true;
    }
    // A backslash separates parts on Windows.
    text.split('\\').any(|piece| {
        let stem = piece.split(':').next().unwrap_or(piece);
        let stem = stem.trim_end_matches([' ', '.']).to_ascii_lowercase();
        stem == ".git" || stem == "git~1"
    })
}

/// The characters that `next_hfs_char` in git's `utf8.c` passes over.
fn is_ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_dot_git_is_refused() {
        for bad in [
            ".git",
            "a/.GIT/config",
            ".git ",
            ".git.",
            ".Git::$INDEX_ALLOCATION",
            "git~1",
            "x\\.git",
            ".g\u{200c}it",
        ] {
            assert_eq!(RepoPath::parse(bad.as_bytes()), Err(PathError::DotGit), "{bad:?}");
        }
        for good in [".github/workflows/ci.yml", ".gitignore", "git", "a.git", "naïve\tname", "-rf"] {
            assert!(RepoPath::parse(good.as_bytes()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        assert_eq!(RepoPath::parse(b"a/../b"), Err(PathError::Dots));
        assert_eq!(RepoPath::parse(b"/etc/passwd"), Err(PathError::Shape));
        assert_eq!(RepoPath::parse(b"a//b"), Err(PathError::Shape));
        assert_eq!(RepoPath::parse(b""), Err(PathError::Shape));
        assert_eq!(RepoPath::parse(b"a\0b"), Err(PathError::Nul));
        assert_eq!(RepoPath::parse("a/".repeat(64).as_bytes()), Err(PathError::Length));
    }
}
