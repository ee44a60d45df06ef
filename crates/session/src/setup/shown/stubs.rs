//! Empty files in the place of sources that an installer asks for, and does not read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where cargo looks for targets that a manifest lists by their names.
const TARGETS: &[(&str, &str)] =
    &[("bin", "src/bin"), ("example", "examples"), ("test", "tests"), ("bench", "benches")];

/// cargo refuses a package without a target, and a listed target without a file. What it fetches is decided by the
/// manifests alone, and so are these.
pub(super) fn of(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(PathBuf, Vec<u8>)> {
    let manifests = files.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    let stubs = manifests.flat_map(|(path, content)| {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        of_package(content).into_iter().map(move |stub| (folder.join(stub), Vec::new()))
    });
    stubs.collect()
}

fn of_package(manifest: &[u8]) -> Vec<String> {
    let manifest = std::str::from_utf8(manifest).ok().and_then(|text| text.parse::<Table>().ok());
    let Some(manifest) = manifest else { return Vec::new() };
    let Some(package) = manifest.get("package").and_then(Value::as_table) else { return Vec::new() };
    let name = package.get("name").and_then(Value::as_str);
    let mut stubs = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    let listed = TARGETS.iter().flat_map(|(kind, folder)| {
        let targets = manifest.get(*kind).and_then(Value::as_array).into_iter().flatten();
        let targets = targets.filter(|target| target.get("path").is_none());
        targets
            .filter_map(|target| target.get("name").and_then(Value::as_str))
            .map(move |name| (*folder, name))
    });
    let run = package.get("default-run").and_then(Value::as_str).map(|run| ("src/bin", run));
    // The package's own program is `src/main.rs`.
    let others = listed.chain(run).filter(|(folder, target)| *folder != "src/bin" || name != Some(target));
    stubs
        .extend(others.filter(|(_, name)| is_name(name)).map(|(folder, name)| format!("{folder}/{name}.rs")));
    stubs
}

/// Whether `text` is one part of a path and leads nowhere.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stubs(manifest: &str) -> Vec<String> {
        let files = BTreeMap::from([(PathBuf::from("a/Cargo.toml"), manifest.as_bytes().to_vec())]);
        of(&files).into_iter().map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn a_package_has_the_targets_that_its_manifest_lists_and_no_others() {
        let both = ["a/src/lib.rs", "a/src/main.rs"];
        assert_eq!(stubs("[package]\nname = 'a'"), both);
        assert_eq!(stubs("[workspace]\nmembers = ['x']"), [""; 0]);
        assert_eq!(stubs("[package\n"), [""; 0]);
        let listed = "[package]\nname = 'a'\ndefault-run = 'c'\n[[bin]]\nname = 'a'\n[[bin]]\nname = 'b'\n\
                      [[bin]]\nname = 'd'\npath = 'd.rs'\n[[bench]]\nname = 'e'\n[[test]]\nname = '../../f'\n";
        assert_eq!(stubs(listed)[2..], ["a/src/bin/b.rs", "a/benches/e.rs", "a/src/bin/c.rs"]);
    }
}
