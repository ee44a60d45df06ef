//! How far back a history goes that is taken along: where it ends, and with what.

use std::collections::{HashMap, HashSet};

use events::Oid;

use crate::mirror::Mirror;
use crate::{Error, git};

/// How many generations back: enough for `git log` and `git blame` to be of use.
pub(crate) const DEPTH: usize = 50;
/// With many merges a generation holds many commits; the history ends before there are more.
const COMMITS_MAX: usize = 1_000;

impl Mirror {
    /// The commits at which the last `depth` generations of `commit` end although they have parents.
    pub(crate) async fn history_ends(&self, commit: &Oid, depth: usize) -> Result<Vec<String>, Error> {
        let count = format!("--max-count={}", COMMITS_MAX * 2);
        let list = self.call("read the history", ["rev-list", "--parents", &count, commit.as_str(), "--"]);
        let listing = git::run(list).await?.success()?.text();
        // A clone without its whole history, on this machine, ends earlier.
        let ends = std::fs::read_to_string(self.dir.join("shallow")).unwrap_or_default();
        let ends = shallow_commits(&listing, commit.as_str(), &ends.lines().collect(), depth);
        Ok(ends.into_iter().map(str::to_owned).collect())
    }
}

/// What `git pack-objects --revs` is to be told of these ends.
pub(crate) fn shallow_lines(ends: &[String]) -> String {
    ends.iter().map(|oid| format!("--shallow {oid}\n")).collect()
}

/// The commits at which a history of `depth` generations ends although they have parents; `ends` of a history that was
/// cut before among them.
fn shallow_commits<'a>(listing: &'a str, tip: &'a str, ends: &HashSet<&str>, depth: usize) -> Vec<&'a str> {
    let parents: HashMap<&str, Vec<&str>> = listing
        .lines()
        .filter_map(|line| {
            let mut oids = line.split(' ');
            Some((oids.next()?, oids.collect()))
        })
        .collect();
    let mut kept: HashSet<&str> = [tip].into();
    let mut generation = vec![tip];
    for _ in 1..depth {
        let of = |oid: &&str| parents.get(*oid).into_iter().flatten().copied().collect::<Vec<_>>();
        // A parent that was not listed lies too far back.
        let next: HashSet<&str> = generation
            .iter()
            .flat_map(of)
            .filter(|oid| parents.contains_key(oid) && !kept.contains(oid))
            .collect();
        if next.is_empty() || kept.len() + next.len() > COMMITS_MAX {
            break;
        }
        kept.extend(&next);
        generation = next.into_iter().collect();
    }
    let lacks_parents =
        |oid: &str| parents.get(oid).is_some_and(|of| of.iter().any(|parent| !kept.contains(parent)));
    let mut shallow: Vec<&str> =
        kept.iter().copied().filter(|oid| ends.contains(oid) || lacks_parents(oid)).collect();
    shallow.sort_unstable();
    shallow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_ends_where_a_parent_is_missing() {
        // A merge `m` of `a` and `b`, whose parent `z` lies behind the listing.
        let none = HashSet::new();
        assert_eq!(shallow_commits("m a b\nb a\na z\n", "m", &none, DEPTH), ["a"]);
        assert_eq!(shallow_commits("m a b\nb a\na\n", "m", &none, DEPTH), Vec::<&str>::new());
        assert_eq!(shallow_commits("m a b\nb a\na\n", "m", &["a", "z"].into(), DEPTH), ["a"]);
    }

    #[test]
    fn history_is_no_deeper_than_its_bound() {
        let listing: String = (0..100).map(|n| format!("{n} {}\n", n + 1)).collect();
        let none = HashSet::new();
        assert_eq!(shallow_commits(&listing, "0", &none, DEPTH), [(DEPTH - 1).to_string()]);
        assert_eq!(shallow_commits(&listing, "0", &none, 1), ["0"]);
    }
}
