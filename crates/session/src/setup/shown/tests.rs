use std::path::PathBuf;
use std::process::Command;

use events::{Branch, Remote, SetupOrigin, Tenant};
use repo::{Repos, Source};

use super::*;

/// What `command` is shown of a repository with `files`, each of them at least an empty one.
async fn shown(command: &str, files: &[(&str, &str)]) -> Option<Shown> {
    let home = tempfile::tempdir().unwrap();
    let origin = home.path().join("origin");
    for (path, text) in files {
        let path = origin.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for arguments in [&["init", "-q", "-b", "main"][..], &["add", "--all"], &["commit", "-q", "-m", "x"]] {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments);
        assert!(git.current_dir(&origin).env("GIT_CONFIG_GLOBAL", "/dev/null").status().unwrap().success());
    }
    let repos = Repos::open(home.path().join("home")).await.unwrap();
    let source = Source { remote: Remote::Local(origin), tenant: Tenant::default(), credential: None };
    let (mirror, _) = repos.mirror(&source).await.unwrap();
    let main: Branch = "main".parse().unwrap();
    let commit = mirror.branch(&main).await.unwrap().unwrap();
    let base = mirror.base_tree(&commit, &main).await.unwrap();
    let recipe = Recipe { origin: SetupOrigin::Detected, commands: vec![command.to_owned()] };
    Shown::to(&recipe, &base).await.unwrap()
}

/// What stands in a folder where `shown` was laid: paths with modes and contents, folders without.
fn laid(shown: &Shown) -> Vec<(String, u32, Option<String>)> {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    shown.lay(&root).unwrap();
    let (mut found, mut left) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let content = meta.is_file().then(|| fs::read_to_string(&path).unwrap());
            found.push((name, meta.permissions().mode() & 0o7777, content));
            left.extend(meta.is_dir().then_some(path));
        }
    }
    found.sort();
    found
}

fn file(path: &str, content: &str) -> (String, u32, Option<String>) {
    (path.to_owned(), FILE_MODE, Some(content.to_owned()))
}

fn folder(path: &str) -> (String, u32, Option<String>) {
    (path.to_owned(), FOLDER_MODE, None)
}

const NPM: &str = "npm ci";
const BUNDLE: &str = "bundle config set --local path vendor/bundle && bundle install";

#[tokio::test]
async fn nothing_is_shown_but_the_files_of_known_names() {
    let files = [
        ("package.json", "{}"),
        ("package-lock.json", "1"),
        (".npmrc", "git=/work/e.sh\n"),
        ("e.sh", "evil"),
        ("apps/a/package.json", "{\"name\": \"a\"}"),
        ("apps/a/index.js", "evil"),
        ("venv.py", "evil"),
    ];
    let shown = shown(NPM, &files).await.unwrap();
    let expected = [
        file(".npmrc", "git=/work/e.sh\n"),
        folder("apps"),
        folder("apps/a"),
        file("apps/a/package.json", "{\"name\": \"a\"}"),
        file("package-lock.json", "1"),
        file("package.json", "{}"),
    ];
    assert_eq!(laid(&shown), expected);
}

#[tokio::test]
async fn what_stands_in_the_tree_is_shown_whatever_attributes_ask_for() {
    let files = [("package.json", "{}\n"), ("package-lock.json", "1\n")];
    let plain = shown(NPM, &files).await.unwrap();
    let attributes = [&files[..], &[(".gitattributes", "* text eol=crlf\n")]].concat();
    let changed = shown(NPM, &attributes).await.unwrap();
    assert_eq!(changed, plain);
    assert_eq!(changed.files[&PathBuf::from("package.json")], b"{}\n");
}

#[tokio::test]
async fn where_it_would_add_to_what_the_repository_holds_everything_is_needed() {
    let files = [("Gemfile", "gem 'b'\n"), ("Gemfile.lock", "GEM\n")];
    let with = async |path: &str| shown(BUNDLE, &[&files[..], &[(path, "x")]].concat()).await;
    assert_eq!(laid(&shown(BUNDLE, &files).await.unwrap()).len(), 2);
    let beside = with("vendor/assets/x").await.unwrap();
    assert_eq!(laid(&beside)[2..], [folder("vendor")], "so that what is added is `vendor/bundle`");
    assert_ne!(
        beside.parts().collect::<Vec<_>>(),
        shown(BUNDLE, &files).await.unwrap().parts().collect::<Vec<_>>()
    );
    for path in [".bundle/config", "vendor/bundle/x", "vendor"] {
        assert_eq!(with(path).await, None, "{path}");
    }
    let modules = [("package.json", "{}"), ("package-lock.json", "1"), ("node_modules/a/x.js", "evil")];
    assert_eq!(shown(NPM, &modules).await, None);
}

#[tokio::test]
async fn what_is_too_much_is_not_shown() {
    let long = " ".repeat(usize::try_from(BYTES_MAX).unwrap());
    assert_eq!(shown(NPM, &[("package.json", "{}"), ("package-lock.json", &long)]).await, None);
    assert!(shown(NPM, &[("package-lock.json", &long)]).await.is_some());
    let paths: Vec<String> = (0..FILES_MAX).map(|n| format!("{n}/package.json")).collect();
    let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (&**path, "{}")).collect();
    assert!(shown(NPM, &files).await.is_some());
    files.push(("package-lock.json", "1"));
    assert_eq!(shown(NPM, &files).await, None);
}

#[tokio::test]
async fn cargo_finds_the_targets_that_it_asks_for() {
    let manifest = "[package]\nname = \"a\"\n";
    let files = [("Cargo.toml", manifest), ("Cargo.lock", ""), ("src/lib.rs", "evil"), ("build.rs", "evil")];
    let shown = shown("cargo fetch --locked", &files).await.unwrap();
    let expected = [
        file("Cargo.lock", ""),
        file("Cargo.toml", manifest),
        folder("src"),
        file("src/lib.rs", ""),
        file("src/main.rs", ""),
    ];
    assert_eq!(laid(&shown), expected);
}
