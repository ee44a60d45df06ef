//! Whom commands are and whom process 1 is, where an engine starts it as root.

use std::ffi::OsString;

/// The users of a container. None of them is root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Every command's, and whose files process 1 makes.
    pub user: u32,
    /// The group of all.
    pub group: u32,
    /// Process 1's own, which no command has.
    pub own: u32,
}

impl Ids {
    /// As the arguments that follow [`super::BY_PIPES`].
    pub fn to_arguments(self) -> [String; 3] {
        [self.user, self.group, self.own].map(|id| id.to_string())
    }

    /// Reads them. Nothing when there are fewer or more, one is root's, or process 1 would be the commands' user.
    pub fn from_arguments(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let ids: Option<Vec<u32>> = arguments.map(|it| it.to_str()?.parse().ok()).collect();
        let &[user, group, own] = ids?.as_slice() else { return None };
        let are_apart = user != own && ![user, group, own].contains(&0);
        are_apart.then_some(Self { user, group, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_root_and_process_1_is_nobody_else() {
        let read = |text: &str| Ids::from_arguments(text.split_whitespace().map(OsString::from));
        let ids = Ids { user: 7, group: 8, own: 9 };
        assert_eq!(read(&ids.to_arguments().join(" ")), Some(ids));
        for refused in ["", "7 8", "7 8 9 10", "0 8 9", "7 0 9", "7 8 0", "7 8 7", "7 8 x", "-1 8 9"] {
            assert_eq!(read(refused), None, "{refused:?}");
        }
    }
}
