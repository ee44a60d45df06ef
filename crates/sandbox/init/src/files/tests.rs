//! The file tools on real folders: what they give, what they refuse, and that they never leave the work tree.

mod confinement;
mod search;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::answer;
use crate::protocol::{Applied, FileAnswer, FileTool, Passage, Tier};

/// A work tree with these files.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

fn read(root: &Path, path: &str, first_line: u64, lines_max: u64, bytes_max: u64) -> FileAnswer {
    answer(root, &FileTool::Read { path: path.to_owned(), first_line, lines_max, bytes_max })
}

fn text(root: &Path, path: &str) -> String {
    let answered = read(root, path, 1, 100, 10_000);
    let FileAnswer::Read { text, .. } = answered else { panic!("{answered:?}") };
    text
}

fn edit(root: &Path, path: &str, old: &str, new: &str) -> FileAnswer {
    let passage = Passage { old: old.to_owned(), new: new.to_owned(), every: false, near_line: None };
    answer(root, &FileTool::Edit { path: path.to_owned(), passages: vec![passage] })
}

fn write(root: &Path, path: &str, content: &str) -> FileAnswer {
    answer(root, &FileTool::Write { path: path.to_owned(), bytes: content.as_bytes().to_vec() })
}

fn refused(answer: FileAnswer) -> String {
    let FileAnswer::Refused(why) = answer else { panic!("not refused: {answer:?}") };
    why
}

/// Every name below the work tree, so that a test sees strays.
fn names(root: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            names.push(entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    names.sort();
    names
}

#[test]
fn reading_gives_the_lines_asked_for() {
    let root = tree(&[("a.txt", "one\r\ntwo\nthree"), ("empty", ""), ("bom", "\u{feff}x\n")]);
    let whole = |text: &str, first_line, lines| FileAnswer::Read {
        text: text.to_owned(),
        first_line,
        lines,
        lines_total: 3,
        bytes_total: 14,
    };
    assert_eq!(read(root.path(), "a.txt", 1, 10, 1000), whole("one\r\ntwo\nthree", 1, 3));
    assert_eq!(read(root.path(), "/work/./a.txt", 2, 1, 1000), whole("two\n", 2, 1));
    assert_eq!(read(root.path(), "a.txt", 1, 10, 7), whole("one\r\n", 1, 1));
    assert_eq!(read(root.path(), "a.txt", 0, 1, 1000), whole("one\r\n", 1, 1));
    assert_eq!(read(root.path(), "a.txt", 9, 1, 1000), whole("", 9, 0));
    let FileAnswer::Read { lines: 0, lines_total: 0, .. } = read(root.path(), "empty", 1, 9, 9) else {
        panic!()
    };
    assert_eq!(text(root.path(), "bom"), "x\n");
}

#[test]
fn long_lines_are_cut_with_a_note_and_at_a_character() {
    let long = format!("{}é{}\nnext\n", "a".repeat(1999), "b".repeat(100_000));
    let exact = format!("{}\r\n", "c".repeat(2000));
    let root = tree(&[("long", &long), ("exact", &exact), ("few", "ééé\nx\n")]);
    let cut = text(root.path(), "long");
    let note = "a [… line cut by this tool: it has 102002 bytes, the first 1999 are shown]\nnext\n";
    assert!(cut.ends_with(note), "{}", &cut[1990..]);
    assert_eq!(text(root.path(), "exact"), exact);
    let FileAnswer::Read { text, lines: 1, .. } = read(root.path(), "few", 1, 9, 3) else { panic!() };
    assert!(text.starts_with("é [… line cut"), "{text}");
}

#[test]
fn folders_are_listed_and_paged() {
    let root = tree(&[("d/b.txt", ""), ("d/a.txt", ""), ("d/sub/x", ""), ("d/.hidden", "")]);
    let folder = |names: &[&str]| FileAnswer::Folder {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        total: 4,
    };
    assert_eq!(read(root.path(), "d/", 1, 10, 1000), folder(&[".hidden", "a.txt", "b.txt", "sub/"]));
    assert_eq!(read(root.path(), "d", 3, 1, 1000), folder(&["b.txt"]));
    assert_eq!(read(root.path(), "d", 1, 10, 17), folder(&[".hidden", "a.txt"]));
    let FileAnswer::Folder { names, .. } = read(root.path(), "", 1, 10, 1000) else { panic!() };
    assert_eq!(names, ["d/"]);
}

#[test]
fn what_cannot_be_read_is_refused_with_a_reason() {
    let root = tree(&[("src/config.py", ""), ("lib/app.py", ""), ("bin", "ab\0c")]);
    let why = |path: &str| refused(read(root.path(), path, 1, 10, 1000));
    assert_eq!(why("bin"), "bin is a binary file of 4 bytes; it is not shown.");
    assert_eq!(why("src/confg.py"), "src/confg.py does not exist. The nearest that do: src/config.py.");
    assert_eq!(why("app.py"), "app.py does not exist. The nearest that do: lib/app.py.");
    assert_eq!(why("scr/config.py"), "scr/config.py does not exist. The nearest that do: src/config.py.");
    assert!(why("zzz").contains("nor does any file with a name like zzz"));
    assert!(why("bin/x").contains("bin is not a folder"));
    assert!(why("a\0b").contains("is not a path"));
    assert!(why(&"n/".repeat(2000)).contains("does not exist"));
    assert!(why(&"n/".repeat(3000)).contains("at most 4095 bytes"));
    assert!(why(&"n".repeat(300)).contains("the name is too long"));
}

#[test]
fn an_edit_changes_the_file_and_leaves_its_mode_and_no_strays() {
    let root = tree(&[("run.sh", "a\r\nb\r\n")]);
    fs::set_permissions(root.path().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let applied =
        Applied { old: "b\r\n".to_owned(), new: "c\r\n".to_owned(), line: 2, tier: Tier::LineEndings };
    assert_eq!(edit(root.path(), "run.sh", "b\n", "c\n"), FileAnswer::Edited { applied: vec![applied] });
    assert_eq!(fs::read(root.path().join("run.sh")).unwrap(), b"a\r\nc\r\n");
    assert_eq!(fs::metadata(root.path().join("run.sh")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(names(root.path()), ["run.sh"]);
}

#[test]
fn an_empty_old_text_creates_a_missing_file_only() {
    let root = tree(&[("there", "x\n")]);
    let applied = Applied { old: String::new(), new: "hi\n".to_owned(), line: 1, tier: Tier::Created };
    assert_eq!(edit(root.path(), "new/deep/file", "", "hi\n"), FileAnswer::Edited { applied: vec![applied] });
    assert_eq!(text(root.path(), "new/deep/file"), "hi\n");
    assert!(matches!(edit(root.path(), "new/__init__.py", "", ""), FileAnswer::Edited { .. }));
    let why = refused(edit(root.path(), "there", "", "hi"));
    assert!(
        why.starts_with("there: the old text is empty, which fits anywhere, and the file exists."),
        "{why}"
    );
    let why = refused(edit(root.path(), "their", "x", "y"));
    assert!(why.contains("The nearest that do: there. To create it, leave the old text empty."), "{why}");
    assert!(refused(edit(root.path(), "f/", "", "x")).contains("names a folder"));
    assert!(refused(edit(root.path(), "e", "", "a\n# ... existing code ...\n")).contains("left out"));
    assert_eq!(text(root.path(), "there"), "x\n");
}

#[test]
fn one_passage_that_fails_leaves_the_file_as_it_was() {
    let root = tree(&[("f", "one\ntwo\n")]);
    let passage =
        |old: &str| Passage { old: old.to_owned(), new: "x".to_owned(), every: false, near_line: None };
    let tool = FileTool::Edit { path: "f".to_owned(), passages: vec![passage("one"), passage("six")] };
    assert!(refused(answer(root.path(), &tool)).starts_with("f: passage 2 of 2: "));
    assert_eq!(text(root.path(), "f"), "one\ntwo\n");
    assert_eq!(names(root.path()), ["f"]);
}

#[test]
fn a_file_that_changed_since_it_was_read_is_edited_where_the_passage_still_stands() {
    let root = tree(&[("f", "one\ntwo\n")]);
    assert_eq!(text(root.path(), "f"), "one\ntwo\n");
    fs::write(root.path().join("f"), "zero\none\ntwo\n").unwrap();
    assert!(matches!(edit(root.path(), "f", "two", "2"), FileAnswer::Edited { .. }));
    assert_eq!(text(root.path(), "f"), "zero\none\n2\n");
}

#[test]
fn binaries_folders_and_huge_files_are_not_edited() {
    let root = tree(&[("bin", "a\0b"), ("d/x", ""), ("big", &"x\n".repeat(6 << 20))]);
    assert!(refused(edit(root.path(), "bin", "a", "b")).contains("is a binary file of 3 bytes"));
    assert!(refused(edit(root.path(), "d", "a", "b")).contains("is a folder"));
    assert!(
        refused(edit(root.path(), "big", "a", "b"))
            .contains("has 12 MiB; this tool takes files of at most 10 MiB")
    );
}

#[test]
fn writing_makes_folders_and_tells_what_was_there() {
    let root = tree(&[("run.sh", "old\n"), ("bin", "a\0b"), ("long", &"x".repeat(70_000))]);
    let written =
        |created, before: Option<&str>| FileAnswer::Written { created, before: before.map(str::to_owned) };
    assert_eq!(write(root.path(), "a/b/c.txt", "hi"), written(true, None));
    assert_eq!(write(root.path(), "a/b/d.txt", ""), written(true, None));
    fs::set_permissions(root.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(write(root.path(), "/work/run.sh", "new\n"), written(false, Some("old\n")));
    assert_eq!(fs::metadata(root.path().join("run.sh")).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(text(root.path(), "run.sh"), "new\n");
    assert_eq!(write(root.path(), "bin", "text"), written(false, None));
    assert_eq!(write(root.path(), "long", "short"), written(false, None));
    assert_eq!(names(root.path()), ["a", "a/b", "a/b/c.txt", "a/b/d.txt", "bin", "long", "run.sh"]);
}

#[test]
fn writing_refuses_what_would_lose_something() {
    let root = tree(&[("f.py", "a\nb\n"), ("d/x", "")]);
    for (path, why) in
        [("d", "names a folder"), ("new/", "names a folder"), ("f.py/x", "f.py is not a folder")]
    {
        assert!(refused(write(root.path(), path, "x")).contains(why), "{path}");
    }
    assert!(refused(write(root.path(), "f.py", "x\n# ... rest of the file ...\n")).contains("left out"));
    let tool = FileTool::Write { path: "huge".to_owned(), bytes: vec![b'x'; (10 << 20) + 1] };
    assert!(refused(answer(root.path(), &tool)).contains("at most 10 MiB"));
    assert_eq!(names(root.path()), ["d", "d/x", "f.py"]);
}
