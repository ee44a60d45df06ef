//! `backspace sandbox`: a command in a sandbox over a folder, by the real binary.

use std::io::Read as _;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::cli::backspace;

fn folder(home: &Path) -> std::path::PathBuf {
    let folder = home.join("a folder");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("README"), "hello\n").unwrap();
    std::fs::write(folder.join("sub/old"), "old\n").unwrap();
    folder
}

fn tried(home: &Path, arguments: &[&str]) -> Output {
    backspace(home).arg("sandbox").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_output_and_the_exit_code_are_the_commands_and_the_folder_stays() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path());
    let dir = folder.to_str().unwrap();
    let script =
        "cat README; printf 'more\\377'; echo x >> README; rm sub/old; mkfifo pipe; echo n > \"$1\"; exit 7";
    let done = tried(home.path(), &["--changes", dir, "--", "sh", "-c", script, "sh", "a 'new' $HOME"]);
    assert_eq!((done.status.code(), &done.stdout[..]), (Some(7), &b"hello\nmore\xff"[..]), "{done:?}");
    assert_eq!(text(&done.stderr), "M README\nA a 'new' $HOME\n! pipe\nD sub/old\n");
    assert_eq!(std::fs::read_to_string(folder.join("README")).unwrap(), "hello\n");
    assert!(folder.join("sub/old").exists() && !folder.join("pipe").exists());
    let done = tried(home.path(), &["--changes", dir, "--", "cat", "README"]);
    assert_eq!((text(&done.stdout), text(&done.stderr)), ("hello\n", "nothing changed\n"));
}

#[test]
fn output_is_passed_on_while_it_comes_and_an_interrupt_ends_the_sandbox() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path());
    let mut running = backspace(home.path())
        .args(["sandbox", folder.to_str().unwrap(), "--", "sh", "-c", "echo begun; sleep 1001.77"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begun = [0; 6];
    running.stdout.as_mut().unwrap().read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"begun\n");
    let process = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert_eq!(sleepers("1001.77"), 0, "nothing inside goes on");
}

#[test]
fn a_command_that_nobody_reads_any_more_is_ended() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path());
    let mut child = backspace(home.path())
        .arg("sandbox")
        .arg(&folder)
        .args(["--", "yes"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    // The pipe is closed by now, and the command has an hour.
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

/// The processes of this machine that sleep for `time`.
fn sleepers(time: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| *line == format!("sleep\0{time}\0").into_bytes()).count()
}

#[test]
fn a_command_that_ends_otherwise_has_the_exit_code_that_shells_give() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder(home.path());
    let dir = folder.to_str().unwrap();
    assert_eq!(tried(home.path(), &[dir, "--", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    assert_eq!(tried(home.path(), &[dir, "--", "no-such-program"]).status.code(), Some(127));
    let short = backspace(home.path())
        .args(["sandbox", dir, "--", "sleep", "1001.78"])
        .env("SANDBOX_TIMEOUT", "1")
        .output()
        .unwrap();
    assert_eq!(short.status.code(), Some(124), "{short:?}");
}

#[test]
fn what_cannot_be_opened_is_said() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, code, said) in [
        (&["no/such/folder", "--", "true"][..], 2, "no/such/folder: No such file"),
        (&["/etc/passwd", "--", "true"], 2, "is no folder"),
        (&["--sandbox", "cardboard", ".", "--", "true"], 2, "BACKSPACE_SANDBOX is `cardboard`"),
        (&["."], 2, "--"),
    ] {
        let done = tried(home.path(), arguments);
        let err = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{err}");
        assert!(err.contains(said), "{err}");
    }
}
