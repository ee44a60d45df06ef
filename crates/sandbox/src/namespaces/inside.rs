//! Which programs a sandbox shows of this machine, by looking at the machine as commands inside would.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use backspace_init::protocol::PATH;

use crate::{Inside, Policy, Program};

/// Below these everything stands inside as well, but for what hand-installed software brought.
const SHOWN: &[&str] = &["/usr", "/bin", "/sbin", "/lib"];
/// It is empty inside but for what is named.
const NOT_SHOWN: &str = "/usr/local";

/// Looks for programs called `names` where commands look for them, `tools` standing inside as well.
pub(super) fn look(tools: &[PathBuf], policy: &Policy, names: &[&str]) -> Inside {
    let given = policy.environment.iter().rev().find(|(name, _)| name == "PATH");
    let path = given.map_or(PATH, |(_, path)| path);
    let find = |name: &&str| {
        let places = path.split(':').map(|folder| Path::new(folder).join(name));
        let stamp = places.into_iter().find_map(|place| stamp(&place, tools))?;
        Some(Program { name: (*name).to_owned(), stamp })
    };
    // A machine without the file is told from others by its programs.
    let release = fs::read_to_string("/usr/lib/os-release").unwrap_or_default();
    Inside {
        system: format!("namespaces {} {release}", std::env::consts::ARCH),
        path: path.to_owned(),
        programs: names.iter().filter_map(find).collect(),
    }
}

/// What tells the program at `place` from another version of it; nothing when there is none inside.
fn stamp(place: &Path, tools: &[PathBuf]) -> Option<String> {
    let is_shown = |path: &Path| {
        tools.iter().any(|tool| path.starts_with(tool))
            || SHOWN.iter().any(|shown| path.starts_with(shown)) && !path.starts_with(NOT_SHOWN)
    };
    // What a link leads through stands inside at the same place, or the link leads nowhere.
    let program = place.canonicalize().ok().filter(|program| is_shown(place) && is_shown(program))?;
    let metadata = program.metadata().ok()?;
    let runs = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    let (size, at, at_ns) = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    runs.then(|| format!("{} {size} {at}.{at_ns}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inside: &Inside) -> Vec<&str> {
        inside.programs.iter().map(|program| &*program.name).collect()
    }

    #[test]
    fn programs_of_the_system_are_found_and_others_are_not() {
        let inside = look(&[], &Policy::default(), &["sh", "no-such-program", "passwd.txt", "env"]);
        assert_eq!(names(&inside), ["sh", "env"]);
        assert!(inside.has("sh") && !inside.has("no-such-program"));
    }

    #[test]
    fn a_folder_outside_counts_when_it_is_shown_and_in_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("mytool");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let path = vec![("PATH".to_owned(), format!("{}:/usr/bin", folder.path().display()))];
        let policy = Policy { environment: path, ..Policy::default() };
        let tools = [folder.path().to_owned()];
        assert!(!look(&tools, &policy, &["mytool"]).has("mytool"), "it cannot be executed");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let first = look(&tools, &policy, &["mytool"]);
        assert!(first.has("mytool"));
        assert!(!look(&[], &policy, &["mytool"]).has("mytool"), "it is not shown");
        assert!(!look(&tools, &Policy::default(), &["mytool"]).has("mytool"), "it is not in the path");
        fs::write(&program, "#!/bin/sh\n# version 2\n").unwrap();
        assert_ne!(look(&tools, &policy, &["mytool"]), first, "another version is another program");
    }
}
