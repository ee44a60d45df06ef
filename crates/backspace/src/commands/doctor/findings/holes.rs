//! Known holes in the programs that sandboxes and checkouts rely on, each with the versions that it is mended in.

use super::Verdict;

/// A hole that was published.
struct Hole {
    /// As the program names itself, in lower case.
    program: &'static str,
    /// Its number or numbers.
    id: &'static str,
    /// What it lets whom do.
    what: &'static str,
    /// The first mended version of each line of releases, the oldest first; every version after the last one is mended.
    mended: &'static [Version],
    reach: Reach,
}

/// Whether somebody hostile can use a hole through what backspace does.
enum Reach {
    /// As far as we know.
    Reached,
    /// Not, for this reason: an update is wise all the same.
    NotReached(&'static str),
}

/// Major, minor, patch.
type Version = (u32, u32, u32);

/// From the projects' own advisories and release notes, as of November 2026. A kernel is not judged: distributions mend
/// theirs without another number.
const HOLES: &[Hole] = &[
    Hole {
        program: "git",
        id: "CVE-2022-23521, CVE-2022-41903",
        what: "a repository's attributes overflow memory of git when it is checked out",
        mended: &[(2, 37, 5), (2, 38, 3), (2, 39, 1)],
        reach: Reach::Reached,
    },
    Hole {
        program: "git",
        id: "CVE-2024-32004, CVE-2024-32465",
        what: "a repository of another user of this machine runs programs when it is fetched from",
        mended: GIT_MAY_2024,
        reach: Reach::Reached,
    },
    Hole {
        program: "git",
        id: "CVE-2024-32002",
        what: "a submodule's folder is written to by another name, and a hook runs",
        mended: GIT_MAY_2024,
        reach: Reach::NotReached("submodules are never checked out"),
    },
    Hole {
        program: "git",
        id: "CVE-2025-48384",
        what: "a submodule's path writes a hook that runs",
        mended: GIT_JULY_2025,
        reach: Reach::NotReached("submodules are never checked out"),
    },
    Hole {
        program: "git",
        id: "CVE-2025-48385",
        what: "a server has git write files anywhere by a bundle that it offers",
        mended: GIT_JULY_2025,
        reach: Reach::NotReached("mirrors fetch, and only a clone asks for bundles"),
    },
    Hole {
        program: "bubblewrap",
        id: "CVE-2026-87766",
        what: "a link in a folder that is shown inside leads mounts that are made below it out to this machine",
        mended: &[(0, 12, 0)],
        reach: Reach::NotReached("nothing is mounted below what somebody inside has written"),
    },
    Hole {
        program: "runc",
        id: "CVE-2024-21626",
        what: "a container gets hold of a folder of this machine",
        mended: &[(1, 1, 12)],
        reach: Reach::Reached,
    },
    Hole {
        program: "runc",
        id: "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        what: "a container gets out by what is mounted over /proc and /dev while it starts",
        mended: &[(1, 2, 8), (1, 3, 3), (1, 4, 0)],
        reach: Reach::Reached,
    },
];

const GIT_MAY_2024: &[Version] =
    &[(2, 39, 4), (2, 40, 2), (2, 41, 1), (2, 42, 2), (2, 43, 4), (2, 44, 1), (2, 45, 1)];
const GIT_JULY_2025: &[Version] =
    &[(2, 43, 7), (2, 44, 4), (2, 45, 4), (2, 46, 4), (2, 47, 3), (2, 48, 2), (2, 49, 1), (2, 50, 1)];

/// What is known of `programs`, each as it names itself with its version.
pub(super) fn judge(programs: &[String]) -> Verdict {
    let found: Vec<String> = programs.iter().flat_map(|program| known(program)).collect();
    if found.is_empty() {
        return Verdict::Fine(format!("{}: no hole that this release knows of", programs.join(", ")));
    }
    Verdict::Weak {
        what: found.join("; "),
        mend: "Update these. Distributions mend older versions without another number: their own notices say of each \
               CVE whether yours is mended"
            .to_owned(),
    }
}

/// The holes of `program`, such as `git version 2.39.0`.
fn known(program: &str) -> Vec<String> {
    let open = open(program).into_iter();
    open.map(|hole| {
        let last = hole.mended.last().map_or(String::new(), |(a, b, c)| format!("{a}.{b}.{c}"));
        let reach = match hole.reach {
            Reach::Reached => String::new(),
            Reach::NotReached(why) => format!(" (not reached by what backspace does: {why})"),
        };
        format!("{program} has {}: {}; mended in {last}{reach}", hole.id, hole.what)
    })
    .collect()
}

/// Those of [`HOLES`] that `program` has, if it is one that we know and its version can be read.
fn open(program: &str) -> Vec<&'static Hole> {
    let Some((name, release)) = read(program) else { return Vec::new() };
    HOLES.iter().filter(|hole| hole.program == name && !is_mended(release, hole.mended)).collect()
}

/// A version of a program.
#[derive(Clone, Copy)]
struct Release {
    version: Version,
    /// It came before the version that it is named after.
    is_candidate: bool,
}

/// The first word in lower case, and the first word that begins with numbers.
fn read(program: &str) -> Option<(String, Release)> {
    let mut words = program.split_whitespace();
    let name = words.next()?.to_ascii_lowercase();
    let text = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    let mut numbers = text.split('.').map_while(digits);
    let version = (numbers.next()?, numbers.next()?, numbers.next().unwrap_or(0));
    Some((name, Release { version, is_candidate: text.contains("-rc") }))
}

fn is_mended(release: Release, mended: &[Version]) -> bool {
    let Release { version, is_candidate } = release;
    let same_line = |first: &&Version| (first.0, first.1) == (version.0, version.1);
    match mended.iter().find(same_line) {
        Some(first) => version > *first || version == *first && !is_candidate,
        None => mended.last().is_some_and(|last| version > *last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(program: &str) -> Vec<&'static str> {
        open(program).into_iter().map(|hole| hole.id.split(',').next().unwrap()).collect()
    }

    #[test]
    fn a_version_is_mended_in_its_own_line_of_releases_or_by_a_later_one() {
        for (program, open) in [
            (
                "git version 2.38.2",
                &["CVE-2022-23521", "CVE-2024-32004", "CVE-2024-32002", "CVE-2025-48384", "CVE-2025-48385"][..],
            ),
            ("git version 2.39.5 (Apple Git-154)", &["CVE-2025-48384", "CVE-2025-48385"]),
            ("git version 2.47.2", &["CVE-2025-48384", "CVE-2025-48385"]),
            ("git version 2.47.3", &[]),
            ("git version 2.50.0.windows.1", &["CVE-2025-48384", "CVE-2025-48385"]),
            ("git version 2.51.0", &[]),
            ("git version 3.0.0", &[]),
            ("bubblewrap 0.8.0", &["CVE-2026-87766"]),
            ("bubblewrap 0.12.0", &[]),
            ("runc 1.1.5+ds1", &["CVE-2024-21626", "CVE-2025-31133"]),
            ("runc 1.1.15", &["CVE-2025-31133"]),
            ("runc version 1.2.8", &[]),
            ("runc 1.4.0-rc.2", &["CVE-2025-31133"]),
            ("runc 1.4.1", &[]),
            ("runc 1.3.3-0ubuntu1", &[]),
            ("Engine 20.10.24+dfsg1", &[]),
            ("Linux 6.1.0-18-amd64", &[]),
        ] {
            assert_eq!(ids(program), open, "{program}");
        }
    }

    #[test]
    fn what_is_told_names_the_hole_what_it_is_and_what_mends_it() {
        let Verdict::Weak { what, mend } = judge(&["bubblewrap 0.8.0".to_owned()]) else {
            panic!("it has a hole")
        };
        assert_eq!(
            what,
            "bubblewrap 0.8.0 has CVE-2026-87766: a link in a folder that is shown inside leads mounts that are made \
             below it out to this machine; mended in 0.12.0 (not reached by what backspace does: nothing is mounted \
             below what somebody inside has written)"
        );
        assert!(mend.starts_with("Update these."));
        assert!(matches!(
            judge(&["git version 2.51.0".to_owned(), "nonsense".to_owned(), String::new()]),
            Verdict::Fine(_)
        ));
    }
}
