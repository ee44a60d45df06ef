//! Repositories to work on, the same in every run.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::model::Reply;
use serde_json::json;

/// Files of the small repository: as many as pallets/flask has.
const SMALL_FILES: usize = 240;
/// Their sizes in lines, in turn: most are short, some are long; 1.4 MB in all.
const SMALL_LINES: [usize; 12] = [8, 20, 35, 50, 70, 90, 120, 160, 210, 280, 400, 640];
/// Files of the large repository.
const LARGE_FILES: usize = 100_000;
/// What the text is made of.
const WORDS: [&str; 16] = [
    "request", "return", "self", "value", "context", "None", "def", "name", "app", "import", "config",
    "result", "handler", "for", "raise", "session",
];

/// Writes the small repository into `folder`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn small(folder: &Path) -> Result<()> {
    for n in 0..SMALL_FILES {
        let path = folder.join(small_path(n));
        let parent = path.parent().context("a file has a folder")?;
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, small_text(n)))
            .context("cannot write a file")?;
    }
    Ok(())
}

/// The path of a file of the small repository.
pub(crate) fn small_path(n: usize) -> String {
    let folder = ["src/app", "src/app/json", "tests", "docs", "examples/tutorial"][n % 5];
    format!("{folder}/module_{n:03}.py")
}

fn small_text(n: usize) -> String {
    let mut text = format!("\"\"\"Module {n}.\"\"\"\n\nMARKER_{n:03} = 0\n");
    let mut chance = n as u32 + 1;
    for _ in 0..SMALL_LINES[n % SMALL_LINES.len()] {
        text.push_str("   ");
        for _ in 0..6 {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push(' ');
            text.push_str(WORDS[(chance >> 28) as usize]);
        }
        text.push('\n');
    }
    text
}

/// Twelve turns on the small repository, and the end: list, read, then edit, check and read in turn, at last a look at
/// the whole change.
pub(crate) fn twelve_turns() -> Vec<Reply> {
    let path = |n: usize| small_path(n);
    let read = |n| Reply::call("read", json!({ "path": path(n) }));
    let edit = |n, from, to| {
        let marker = |value: u32| format!("MARKER_{n:03} = {value}");
        Reply::call("edit", json!({ "path": path(n), "old_str": marker(from), "new_str": marker(to) }))
    };
    let check = |n| Reply::bash(&format!("grep -n MARKER {}", path(n)));
    vec![
        Reply::call("read", json!({ "path": "." })),
        read(7),
        edit(7, 0, 1),
        check(7),
        read(7),
        edit(8, 0, 1),
        check(8),
        read(8),
        edit(7, 1, 2),
        check(7),
        read(9),
        Reply::bash("git diff --stat"),
        Reply::finish(),
    ]
}

/// The large repository, a bare one; made once, below `folder`.
///
/// # Errors
/// When git does not make it.
pub(crate) fn large(folder: &Path) -> Result<PathBuf> {
    let there = folder.join(format!("bench-{LARGE_FILES}.git"));
    if there.exists() {
        return Ok(there);
    }
    let new = folder.join("bench-new.git");
    drop(fs::remove_dir_all(&new));
    let mut init = Command::new("git");
    init.args(["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]).arg(&new);
    ensure!(init.status().context("cannot run git")?.success(), "git init failed");
    let mut import = Command::new("git");
    import.arg("--git-dir").arg(&new).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut child = import.spawn().context("cannot run git")?;
    let mut stream = BufWriter::new(child.stdin.take().context("git has no input")?);
    let head = "commit refs/heads/main\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata 4\nBase\n";
    stream.write_all(head.as_bytes()).context("cannot feed git")?;
    for n in 0..LARGE_FILES {
        let text = large_text(n);
        write!(stream, "M 100644 inline {}\ndata {}\n{text}\n", large_path(n), text.len())
            .context("cannot feed git")?;
    }
    stream.flush().context("cannot feed git")?;
    drop(stream);
    ensure!(child.wait().context("cannot wait for git")?.success(), "git fast-import failed");
    fs::rename(&new, &there).context("cannot name the large repository")?;
    Ok(there)
}

/// The path of a file of the large repository: a thousand folders of a hundred files.
pub(crate) fn large_path(n: usize) -> String {
    format!("part{:02}/unit{:02}/file_{:02}.txt", n / 10_000, n / 100 % 100, n % 100)
}

fn large_text(n: usize) -> String {
    let mut text = format!("file {n}\n");
    for line in 0..n % 40 {
        let _ = writeln!(text, "{} {} {line} {n}", WORDS[(n + line) % 16], WORDS[(n / 7 + line) % 16]);
    }
    text
}
