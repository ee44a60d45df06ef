//! What searches find, leave out and refuse.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{refused, tree};
use crate::files::answer;
use crate::protocol::{FileAnswer, FileTool};

fn grep(root: &Path, pattern: &str, path: &str, glob: &str, matches_max: u64) -> FileAnswer {
    let (pattern, path, glob) = (pattern.to_owned(), path.to_owned(), glob.to_owned());
    answer(root, &FileTool::SearchText { pattern, path, glob, matches_max })
}

fn find(root: &Path, glob: &str, path: &str) -> FileAnswer {
    answer(root, &FileTool::SearchNames { glob: glob.to_owned(), path: path.to_owned(), matches_max: 100 })
}

fn found(answer: FileAnswer) -> Vec<String> {
    let FileAnswer::Found { matches, more: false } = answer else { panic!("{answer:?}") };
    matches
}

#[test]
fn text_is_found_with_path_and_line() {
    let root = tree(&[
        ("b.txt", "x\nneedle one\r\n"),
        ("a/c.rs", "fn needle() {}\n"),
        (".hidden/d", "needle"),
        (".git/config", "needle"),
        ("sub/.git/config", "needle"),
        ("bin", "needle\0"),
    ]);
    symlink("b.txt", root.path().join("link")).unwrap();
    symlink("/etc", root.path().join("out")).unwrap();
    let root = root.path();
    let all = [".hidden/d:1:needle", "a/c.rs:1:fn needle() {}", "b.txt:2:needle one"];
    assert_eq!(found(grep(root, "needle", "", "", 10)), all);
    assert_eq!(found(grep(root, "needle one$", "", "", 10)), all[2..]);
    assert_eq!(found(grep(root, "needle", "", "*.rs", 10)), all[1..2]);
    assert_eq!(found(grep(root, "needle", "/work/a", "", 10)), all[1..2]);
    assert_eq!(found(grep(root, "needle", "link", "", 10)), all[2..]);
    assert_eq!(found(grep(root, "(?i)NEEDLE ONE", "", "", 10)), all[2..]);
    assert_eq!(found(grep(root, "nothing", "", "", 10)), Vec::<String>::new());
    let first = FileAnswer::Found { matches: vec![all[0].to_owned()], more: true };
    assert_eq!(grep(root, "needle", "", "", 1), first);
}

#[test]
fn ignore_rules_hold_without_git_and_from_the_folders_above() {
    let root = tree(&[
        (".gitignore", "\u{feff}*.log\n/build/\n!keep.log\n[\n"),
        ("a.log", "needle"),
        ("keep.log", "needle"),
        ("build/out", "needle"),
        ("src/build/out", "needle"),
        ("src/x.log", "needle"),
        ("src/.gitignore", "local\n!x.log\n"),
        ("src/local", "needle"),
        ("src/deep/local", "needle"),
        ("local", "needle"),
    ]);
    let root = root.path();
    assert_eq!(
        found(find(root, "**", "")),
        [".gitignore", "keep.log", "local", "src/.gitignore", "src/build/out", "src/x.log"]
    );
    assert_eq!(found(find(root, "**", "src")), ["src/.gitignore", "src/build/out", "src/x.log"]);
    assert_eq!(found(grep(root, "needle", "src/deep", "", 9)), Vec::<String>::new());
    // What is asked for by name is searched all the same.
    assert_eq!(found(grep(root, "needle", "build", "", 9)), ["build/out:1:needle"]);
    assert_eq!(found(grep(root, "needle", "a.log", "", 9)), ["a.log:1:needle"]);
}

#[test]
fn names_are_found_by_glob() {
    let root =
        tree(&[("a.py", ""), ("src/b.py", ""), ("src/deep/c_test.py", ""), ("src/d.rs", ""), ("ä.txt", "")]);
    let root = root.path();
    assert_eq!(found(find(root, "*.py", "")), ["a.py", "src/b.py", "src/deep/c_test.py"]);
    assert_eq!(found(find(root, "**/*.py", "")), ["a.py", "src/b.py", "src/deep/c_test.py"]);
    assert_eq!(found(find(root, "src/*.py", "")), ["src/b.py"]);
    assert_eq!(found(find(root, "/work/src/*.py", "")), ["src/b.py"]);
    assert_eq!(found(find(root, "deep/*", "src")), ["src/deep/c_test.py"]);
    assert_eq!(found(find(root, "src/", "")), ["src/b.py", "src/d.rs", "src/deep/c_test.py"]);
    assert_eq!(found(find(root, "*test*", "src")), ["src/deep/c_test.py"]);
    assert_eq!(found(find(root, "*.{rs,txt}", "")), ["src/d.rs", "ä.txt"]);
    assert_eq!(found(find(root, "[a-b].p?", "")), ["a.py", "src/b.py"]);
}

#[test]
fn long_lines_are_cut_around_the_match() {
    let line = format!("{}é needle é{}\n", "a".repeat(5000), "b".repeat(5000));
    let root = tree(&[("f", &line)]);
    let shown = found(grep(root.path(), "needle", "", "", 9)).remove(0);
    assert!(shown.starts_with("f:1:[…]aaaa") && shown.ends_with("bbbb[…]"), "{shown}");
    assert!(shown.contains("é needle é") && shown.len() < 500, "{shown}");
}

#[test]
fn answers_stay_within_their_bounds() {
    let root = tree(&[("f", &format!("needle {}\n", "x".repeat(390)).repeat(3000))]);
    let FileAnswer::Found { matches, more: true } = grep(root.path(), "needle", "", "", 1_000_000) else {
        panic!()
    };
    let bytes: usize = matches.iter().map(String::len).sum();
    assert!(matches.len() > 100 && bytes <= 256 * 1024, "{} {bytes}", matches.len());
    fs::write(root.path().join("one_line"), "y".repeat(20 << 20)).unwrap();
    let FileAnswer::Found { more: false, .. } = grep(root.path(), "y+", "one_line", "", 5) else { panic!() };
}

#[test]
fn searches_that_cannot_be_made_are_refused_with_what_is_wrong() {
    let root = tree(&[("f", "foo(bar\n")]);
    let root = root.path();
    let why = refused(grep(root, "foo(", "", "", 9));
    assert!(why.contains("unclosed group") && why.contains(r"As plain text it is written: foo\("), "{why}");
    assert_eq!(found(grep(root, r"foo\(", "", "", 9)), ["f:1:foo(bar"]);
    assert!(refused(grep(root, "(?=x)", "", "", 9)).contains("look-around"));
    assert!(refused(grep(root, "a\nb", "", "", 9)).contains("one line at a time"));
    assert!(refused(grep(root, "(a{1000}){1000}", "", "", 9)).contains("size limit"));
    for pattern in ["", &"x".repeat(5000)] {
        assert!(refused(grep(root, pattern, "", "", 9)).contains("a pattern of 1 to 4096 bytes"));
    }
    assert!(refused(grep(root, "x", "", "a[", 9)).contains("glob is not understood"));
    assert!(refused(find(root, "!*.py", "")).contains("cannot exclude"));
    assert!(refused(find(root, "", "")).contains("needs a glob"));
    assert!(refused(grep(root, "x", "nowhere", "", 9)).contains("does not exist"));
    assert!(refused(grep(root, "x", ".git", "", 9)).contains("never searched"));
}
