//! Versions of programs that stand between a repository and this machine, and have known holes.

/// A hole, and who closed it.
struct Hole {
    /// The program, as it calls itself.
    program: &'static str,
    name: &'static str,
    /// The first release of each line in which it is closed, in order. A line without one is open before the last of them.
    closed_in: &'static [Version],
}

/// Major, minor, patch.
type Version = (u32, u32, u32);

const HOLES: &[Hole] = &[
    Hole { program: "bubblewrap", name: "CVE-2020-5291", closed_in: &[(0, 4, 1)] },
    Hole {
        program: "git",
        name: "CVE-2024-32002",
        closed_in: &[(2, 39, 4), (2, 40, 2), (2, 41, 1), (2, 42, 2), (2, 43, 4), (2, 44, 1), (2, 45, 1)],
    },
    Hole {
        program: "git",
        name: "CVE-2025-48384",
        closed_in: &[
            (2, 43, 7),
            (2, 44, 4),
            (2, 45, 4),
            (2, 46, 4),
            (2, 47, 3),
            (2, 48, 2),
            (2, 49, 1),
            (2, 50, 1),
        ],
    },
    Hole { program: "runc", name: "CVE-2024-21626", closed_in: &[(1, 1, 12)] },
    Hole {
        program: "runc",
        name: "CVE-2025-31133, CVE-2025-52565, CVE-2025-52881",
        closed_in: &[(1, 2, 8), (1, 3, 3), (1, 4, 0)],
    },
];

/// What is to be said of `told`, such as `runc 1.1.5+ds1` or `git version 2.47.3`; nothing when nothing is known against it.
pub(super) fn said_of(told: &str) -> Option<String> {
    let program = told.split(' ').next()?;
    let version = version(told.split(' ').rfind(|word| word.starts_with(|it: char| it.is_ascii_digit()))?)?;
    let open: Vec<&Hole> =
        HOLES.iter().filter(|hole| hole.program == program && hole.is_open_in(version)).collect();
    let (major, minor, patch) = open.iter().filter_map(|hole| hole.closed_in.last()).max()?;
    let names: Vec<&str> = open.iter().map(|hole| hole.name).collect();
    Some(format!(
        "{told} has known holes, unless your distribution closed them under the same number: {}; \
         {major}.{minor}.{patch} has none of them",
        names.join(", ")
    ))
}

impl Hole {
    fn is_open_in(&self, version: Version) -> bool {
        let of_line = self.closed_in.iter().find(|closed| (closed.0, closed.1) == (version.0, version.1));
        of_line.or(self.closed_in.last()).is_some_and(|closed| version < *closed)
    }
}

/// The numbers that a version begins with; one that is left out is zero.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(|part| {
        let digits = part.len() - part.trim_start_matches(|it: char| it.is_ascii_digit()).len();
        part[..digits].parse().ok()
    });
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_holes_that_its_line_closed_later() {
        let open = |told: &str| {
            HOLES.iter().filter(|hole| said_of(told).is_some_and(|said| said.contains(hole.name))).count()
        };
        for (told, holes) in [
            ("runc 1.1.5+ds1", 2),
            ("runc 1.1.12", 1),
            ("runc 1.2.8", 0),
            ("runc 1.3.2", 1),
            ("runc 1.3.3-0ubuntu1", 0),
            ("runc 1.5.0", 0),
            ("git version 2.39.5", 1),
            ("git version 2.47.3", 0),
            ("git version 2.50.0", 1),
            ("git version 2.51.0.windows.1", 0),
            ("git version 2.37", 2),
            ("bubblewrap 0.8.0", 0),
            ("bubblewrap 0.4", 1),
            ("Engine 20.10.24+dfsg1", 0),
            ("Linux", 0),
            ("", 0),
        ] {
            assert_eq!(open(told), holes, "{told}");
        }
        let said = said_of("runc 1.1.5+ds1").unwrap();
        assert!(said.ends_with("CVE-2025-52881; 1.4.0 has none of them"), "{said}");
    }
}
