//! Links, pipes and renames: nothing outside the work tree is read or written, and nothing waits for ever.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags};
use tempfile::TempDir;

use super::{edit, names, read, refused, text, tree, write};
use crate::files::answer;
use crate::protocol::{FileAnswer, FileTool};

/// A work tree beside a secret that links in it lead to.
fn beside_a_secret() -> (TempDir, std::path::PathBuf) {
    let outer = tree(&[("secret/key", "SECRET\n"), ("work/in/file", "inside\n")]);
    let root = outer.path().join("work");
    symlink("../../secret", root.join("in/folder_out")).unwrap();
    symlink("../../secret/key", root.join("in/file_out")).unwrap();
    symlink(outer.path().join("secret/key"), root.join("absolute")).unwrap();
    symlink("/work/in/file", root.join("by_work")).unwrap();
    symlink("in/./../in/file", root.join("to_file")).unwrap();
    symlink("in", root.join("to_folder")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("in/later", root.join("dangling")).unwrap();
    (outer, root)
}

#[test]
fn no_path_leaves_the_work_tree() {
    let (outer, root) = beside_a_secret();
    let paths = [
        "..",
        "../secret/key",
        "in/../../secret/key",
        "/etc/passwd",
        "/work/../secret/key",
        "/workx",
        "in/folder_out/key",
        "in/file_out",
        "absolute",
        "to_folder/folder_out/key",
        "in/folder_out/new",
        "to_folder/../../secret/key",
    ];
    for path in paths {
        let search = FileTool::SearchText {
            pattern: "SECRET".to_owned(),
            path: path.to_owned(),
            glob: String::new(),
            matches_max: 10,
        };
        for answer in [
            read(&root, path, 1, 10, 1000),
            edit(&root, path, "SECRET", "x"),
            edit(&root, path, "", "x"),
            write(&root, path, "x"),
            answer(&root, &search),
        ] {
            let why = refused(answer);
            assert!(
                why.contains("leads out of /work") || why.contains("not a path in /work"),
                "{path}: {why}"
            );
        }
    }
    assert_eq!(fs::read(outer.path().join("secret/key")).unwrap(), b"SECRET\n");
    assert_eq!(names(&outer.path().join("secret")), ["key"]);
}

#[test]
fn links_within_the_work_tree_lead_to_their_targets() {
    let (_outer, root) = beside_a_secret();
    for (link, before, after) in
        [("to_file", "inside", "1"), ("by_work", "1", "2"), ("to_folder/file", "2", "3")]
    {
        assert!(matches!(edit(&root, link, before, after), FileAnswer::Edited { .. }), "{link}");
        assert_eq!(text(&root, "in/file"), format!("{after}\n"));
    }
    assert!(fs::symlink_metadata(root.join("to_file")).unwrap().is_symlink());
    assert_eq!(write(&root, "dangling", "x"), FileAnswer::Written { created: true, before: None });
    assert_eq!(text(&root, "in/later"), "x");
    assert!(refused(read(&root, "loop", 1, 1, 1)).contains("more than 40 symbolic links"));
}

#[test]
fn pipes_are_refused_and_not_waited_for() {
    let root = tree(&[("a/file", "needle\n")]);
    for path in ["pipe", "a/.gitignore"] {
        let fifo = root.path().join(path);
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    assert!(refused(read(root.path(), "pipe", 1, 1, 1)).contains("is a named pipe"));
    assert!(refused(edit(root.path(), "pipe", "a", "b")).contains("is a named pipe"));
    assert!(refused(write(root.path(), "pipe", "x")).contains("is a named pipe"));
    let search = FileTool::SearchText {
        pattern: "needle".to_owned(),
        path: String::new(),
        glob: String::new(),
        matches_max: 10,
    };
    let found = FileAnswer::Found { matches: vec!["a/file:1:needle".to_owned()], more: false };
    assert_eq!(answer(root.path(), &search), found);
}

/// Swaps two names over and over while `work` runs.
fn while_swapping(a: &Path, b: &Path, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_folder_that_becomes_a_link_while_it_is_used_leads_nowhere() {
    let outer =
        tree(&[("secret/file", "SECRET\n"), ("work/d/file", "inside\n"), ("work/d/d/file", "inside\n")]);
    let root = outer.path().join("work");
    symlink("../secret", root.join("link")).unwrap();
    while_swapping(&root.join("d"), &root.join("link"), || {
        for _ in 0..1000 {
            if let FileAnswer::Read { text, .. } = read(&root, "d/file", 1, 10, 100) {
                assert_ne!(text, "SECRET\n");
            }
            edit(&root, "d/file", "inside", "inside");
            write(&root, "d/file", "inside\n");
            write(&root, "d/new/file", "x");
        }
    });
    assert_eq!(fs::read(outer.path().join("secret/file")).unwrap(), b"SECRET\n");
    assert_eq!(names(&outer.path().join("secret")), ["file"]);
}

#[test]
fn a_file_that_becomes_a_link_while_it_is_written_is_replaced_and_not_followed() {
    let outer = tree(&[("secret", "SECRET\n"), ("work/file", "inside 1\n")]);
    let root = outer.path().join("work");
    symlink("../secret", root.join("link")).unwrap();
    while_swapping(&root.join("file"), &root.join("link"), || {
        for number in 0..300 {
            write(&root, "file", &format!("inside {number}\n"));
            edit(&root, "file", "inside", "inside:");
        }
    });
    assert_eq!(fs::read(outer.path().join("secret")).unwrap(), b"SECRET\n");
}

#[test]
fn readers_see_the_old_file_or_the_new_one() {
    let (old, new) = ("a\n".repeat(50_000), "b\n".repeat(40_000));
    let root = tree(&[("file", &old)]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) || seen == 0 {
                let content = fs::read_to_string(root.path().join("file")).unwrap();
                assert!(content == old || content == new, "{} bytes", content.len());
                seen += 1;
            }
        });
        for _ in 0..50 {
            write(root.path(), "file", &new);
            write(root.path(), "file", &old);
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(names(root.path()), ["file"]);
}
