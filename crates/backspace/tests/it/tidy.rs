//! The house rules that a test can see, each with how to mend it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates a crate may import. A crate exists only to make Cargo forbid an import.
const IMPORTS: &[(&str, &[&str])] = &[
    ("events", &[]),
    ("store", &["events"]),
    ("model", &[]),
    ("backspace-init", &[]),
    ("sandbox", &["events", "backspace-init"]),
    ("repo", &["events"]),
    ("forge", &["events"]),
    ("agent", &["events", "model", "sandbox"]),
    ("session", &["events", "store", "model", "sandbox", "repo", "forge", "agent"]),
    ("server", &["events", "store", "session", "forge"]),
    ("fakes", &["events"]),
    (
        "backspace",
        &["events", "store", "model", "sandbox", "repo", "forge", "agent", "session", "server", "fakes"],
    ),
];

/// Names that say nothing of what a thing is.
const EMPTY_NAMES: &[&str] =
    &["util", "helper", "common", "core", "misc", "manager", "handler", "service", "impl", "mod"];

/// Beyond this many lines a file holds more than one idea.
const LINES_MAX: usize = 450;

#[test]
fn tidy_imports_are_those_of_the_table() {
    let table: BTreeMap<&str, BTreeSet<&str>> =
        IMPORTS.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    let mut seen = BTreeSet::new();
    for manifest in manifests() {
        let text = fs::read_to_string(&manifest).unwrap();
        let value: toml::Table = text.parse().unwrap();
        let name = value["package"]["name"].as_str().unwrap().to_owned();
        let may = table.get(name.as_str()).unwrap_or_else(|| {
            panic!("{name} is not in the table: a new crate needs a reason in ARCHITECTURE.md and a line in IMPORTS")
        });
        let empty = toml::Table::new();
        let dependencies = value.get("dependencies").and_then(toml::Value::as_table).unwrap_or(&empty);
        for dependency in dependencies.keys().filter(|name| table.contains_key(name.as_str())) {
            assert!(
                may.contains(dependency.as_str()),
                "{name} may not import {dependency}: see ARCHITECTURE.md"
            );
        }
        seen.insert(name);
    }
    let listed: BTreeSet<String> = table.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(seen, listed, "the table and the workspace differ");
}

#[test]
fn tidy_files_are_named_after_what_they_hold() {
    for path in sources() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let words: BTreeSet<&str> =
            stem.split('_').flat_map(|w| [w, w.strip_suffix('s').unwrap_or(w)]).collect();
        let empty = EMPTY_NAMES.iter().find(|name| words.contains(*name));
        assert!(empty.is_none(), "{}: name the thing, not its role", path.display());
    }
}

#[test]
fn tidy_files_open_with_what_they_are_for() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let is_tests = path.file_name().is_some_and(|name| name == "tests.rs");
        assert!(is_tests || text.starts_with("//! "), "{}: begin with one `//!` sentence", path.display());
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines: which idea should leave?", path.display());
    }
}

#[test]
fn tidy_only_one_place_reads_the_environment_and_only_one_prints() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let shown = path.display().to_string();
        let is_test = shown.contains("/tests") || shown.contains("/benches/") || shown.ends_with("build.rs");
        let reads = ["env::var(", "env::var_os(", "env::vars"].iter().any(|call| text.contains(call));
        assert!(is_test || !reads || shown.contains("backspace/src/config"), "{shown} reads the environment");
        let prints = ["println!(", "eprintln!(", "print!("].iter().any(|call| text.contains(call));
        assert!(is_test || !prints, "{shown} prints: only backspace/src/output.rs does");
    }
}

#[test]
fn tidy_only_the_git_module_runs_git() {
    for path in sources() {
        let shown = path.display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let runs = text.contains("Command::new(\"git\")");
        // The demo makes a repository of its own, the stand-in for GitHub serves real ones, doctor asks for the version.
        let may = [
            "/repo/src/git",
            "/tests",
            "/benches/",
            "commands/demo.rs",
            "commands/doctor",
            "/fakes/src/forge/",
        ];
        assert!(
            !runs || may.iter().any(|part| shown.contains(part)),
            "{shown} runs git: repo/src/git.rs does that"
        );
    }
}

#[test]
fn tidy_every_measure_has_its_figures() {
    let document = fs::read_to_string(root().join("docs/benchmarks.md")).unwrap();
    let files = fs::read_dir(root().join("crates/backspace/benches/whole")).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let names: BTreeSet<String> = texts
        .filter_map(|text| {
            let (_, measure) = text.split_once("const MEASURE: Measure = Measure {")?;
            let (_, name) = measure.split_once("name: \"")?;
            Some(name.split_once('"')?.0.to_owned())
        })
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let written = |name: &&String| document.contains(&format!("\n## {name}: "));
    let missing: Vec<&String> = names.iter().filter(|name| !written(name)).collect();
    assert!(
        missing.is_empty(),
        "docs/benchmarks.md lacks {missing:?}: `./dev bench NAME` measures and writes a section"
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn manifests() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("Cargo.toml"))
        .collect();
    found.push(root().join("crates/sandbox/init/Cargo.toml"));
    found
}

/// Every Rust file of ours.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}
