//! Finds new names that differ from others by case alone: on macOS and Windows only one of them can be checked out.

use std::collections::{HashMap, HashSet};

use events::RepoPath;

use super::folders;
use crate::base_tree::Manifest;

/// Remembers the names of the folders it looked into: the base does not change.
#[derive(Debug, Default)]
pub(crate) struct Collisions {
    /// By folder: names in lower case, and how the base writes them.
    names: HashMap<Vec<u8>, HashMap<String, Vec<Vec<u8>>>>,
}

impl Collisions {
    /// Those of the `new` paths that collide with each other or with what is left of the base.
    pub(crate) fn find<'a>(
        &mut self,
        new: &[&'a RepoPath],
        gone: &HashSet<&[u8]>,
        base: &Manifest,
    ) -> Vec<&'a RepoPath> {
        let mut spellings: HashMap<String, &[u8]> = HashMap::new();
        let mut colliding = Vec::new();
        for path in new {
            let mut parts = folders(path.as_bytes()).chain([path.as_bytes()]);
            let collides = parts.any(|part| {
                let spelled = *spellings.entry(lower(part)).or_insert(part);
                spelled != part || self.collides_with_base(part, gone, base)
            });
            if collides {
                colliding.push(*path);
            }
        }
        colliding
    }

    fn collides_with_base(&mut self, path: &[u8], gone: &HashSet<&[u8]>, base: &Manifest) -> bool {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(end) => (&path[..end], &path[end + 1..]),
            None => (b"".as_slice(), path),
        };
        if !self.names.contains_key(folder) {
            let mut names: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
            for name in base.names(folder) {
                names.entry(lower(name)).or_default().push(name.to_vec());
            }
            self.names.insert(folder.to_vec(), names);
        }
        let others = self.names.get(folder).and_then(|names| names.get(&lower(name)));
        others.into_iter().flatten().filter(|other| other.as_slice() != name).any(|other| {
            let whole =
                if folder.is_empty() { other.clone() } else { [folder, b"/", other.as_slice()].concat() };
            // Renamed by case only is no collision: the other one is gone, or all that was in it.
            let mut left = base.below(&whole).filter(|path| !gone.contains(path)).take(1);
            (base.get(&whole).is_some() && !gone.contains(whole.as_slice())) || left.next().is_some()
        })
    }
}

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_lowercase()
}
