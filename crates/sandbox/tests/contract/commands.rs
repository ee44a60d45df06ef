//! How commands run: their output, their end, and what they leave behind.

use std::time::Duration;

use sandbox::{Ended, FileAnswer, FileTool};

use crate::world::{Kind, World, kind, says_nothing_of};

#[tokio::test]
async fn a_command_has_a_plain_environment_and_no_input() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let environment = sandbox.ok("env | sort").await;
    for expected in ["HOME=/home/agent", "LANG=C.UTF-8", "PAGER=cat", "PWD=/work", "TERM=dumb", "CI=1"] {
        assert!(environment.lines().any(|line| line == expected), "{expected} in {environment}");
    }
    assert!(environment.lines().count() < 20, "{environment}");
    assert_eq!(sandbox.ok("cat; read x || echo no input; tty || true").await, "no input\nnot a tty\n");
    assert_eq!(sandbox.ok("ls /proc/self/fd | wc -w").await, "4\n", "0, 1, 2 and the listing's own");
    assert_eq!(
        sandbox.ok("[[ -d . ]] && echo bash; ps -o sid= -p $$ 2>/dev/null | wc -l").await.lines().next(),
        Some("bash")
    );
    sandbox.close().await;
}

#[tokio::test]
async fn a_command_ends_with_its_code_or_its_signal() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(sandbox.sh("exit 3").await.ended, Ended::Exited(3));
    assert_eq!(sandbox.sh("kill -9 $$").await.ended, Ended::Signalled(9));
    assert_eq!(sandbox.sh("no-such-program").await.ended, Ended::Exited(127));
    assert_eq!(sandbox.sh("yes | head -1").await.output, "y\n");
    assert_eq!(sandbox.sh("set -o pipefail; yes | head -1").await.ended, Ended::Exited(141));
    let long = format!(": {}", "x".repeat(200_000));
    // gVisor's kernel says it in another way.
    let too_long = if kind() == Kind::Gvisor { libc::ENAMETOOLONG } else { libc::E2BIG };
    assert_eq!(sandbox.sh(&long).await.ended, Ended::NotStarted(too_long));
    assert_eq!(sandbox.sh("a\0b").await.ended, Ended::NotStarted(libc::EINVAL));
    sandbox.close().await;
}

#[tokio::test]
async fn output_keeps_its_order_its_head_and_its_tail() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(sandbox.ok("echo 1; echo 2 >&2; echo 3").await, "1\n2\n3\n");
    assert_eq!(sandbox.ok("printf 'a\\377b'").await, "a\u{fffd}b");
    let ran = sandbox.sh("echo first; head -c 5000000 /dev/zero | tr '\\0' '\\377'; echo last").await;
    assert_eq!(ran.output_bytes, 5_000_011);
    assert!(ran.output.starts_with("first\n") && ran.output.ends_with("last\n"));
    assert!(ran.output.contains("bytes left out") && ran.output.len() < 1_100_000, "{}", ran.output.len());
    // All of it can be paged.
    let (_, named) = ran.output.split_once("all of it is in ").unwrap();
    let path = named.split(' ').next().unwrap();
    assert_eq!(
        sandbox.ok(&format!("wc -c < {path}; head -n 1 {path}; tail -n 1 {path} | tail -c 5")).await,
        "5000011\nfirst\nlast\n"
    );
    sandbox.close().await;
}

#[tokio::test]
async fn a_kept_output_is_paged_by_reading_it() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let ran = sandbox.sh("seq 300000").await;
    let (_, named) = ran.output.split_once("all of it is in ").unwrap();
    let printed = named.split(' ').next().unwrap().to_owned();
    let whole: String = (1..=300_000).map(|n| format!("{n}\n")).collect();
    let keep = FileTool::Keep { bytes: whole.clone().into_bytes() };
    let FileAnswer::Kept { path: kept, bytes } = sandbox.0.file(&keep).await.unwrap() else { panic!() };
    assert_eq!(bytes, whole.len() as u64);
    assert_ne!(printed, kept);
    for path in [printed, kept] {
        let (mut read, mut first_line) = (String::new(), 1);
        while read.len() < whole.len() {
            let page =
                FileTool::Read { path: path.clone(), first_line, lines_max: 50_000, bytes_max: 200_000 };
            let FileAnswer::Read { text, lines, .. } = sandbox.0.file(&page).await.unwrap() else { panic!() };
            assert!(lines > 0);
            read.push_str(&text);
            first_line += lines;
        }
        assert_eq!(read, whole);
    }
    // Nothing else there can be read, nor written, by way of an output's name; the change has none of it.
    sandbox
        .ok("ln -s /etc/passwd /tmp/output-900.txt; ln -s ../etc/passwd /tmp/output-901.txt; echo x > /tmp/x")
        .await;
    for path in ["/tmp/output-900.txt", "/tmp/output-901.txt", "/tmp/output-1.txt/../x", "/tmp/x"] {
        let page = FileTool::Read { path: path.to_owned(), first_line: 1, lines_max: 1, bytes_max: 100 };
        let answer = sandbox.0.file(&page).await.unwrap();
        assert!(matches!(answer, FileAnswer::Refused(_)), "{path}: {answer:?}");
    }
    let write = FileTool::Write { path: "/tmp/output-1.txt".to_owned(), bytes: vec![] };
    assert!(matches!(sandbox.0.file(&write).await.unwrap(), FileAnswer::Refused(_)));
    assert!(sandbox.0.changes().await.unwrap().paths.is_empty());
    sandbox.close().await;
}

#[tokio::test]
async fn several_commands_run_at_once() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    // Each waits for the other; one after the other they would never end.
    let (first, second) = tokio::join!(
        sandbox.sh("mkfifo a b; echo 1 > a; cat b"),
        sandbox.sh("until [ -p b ]; do sleep 0.01; done; cat a; echo 2 > b"),
    );
    assert_eq!((first.output.as_str(), second.output.as_str()), ("2\n", "1\n"));
    sandbox.close().await;
}

#[tokio::test]
async fn at_the_deadline_the_whole_tree_ends_daemons_too() {
    let reason = "its kernel has no reapers of orphans: daemons end with the sandbox";
    if says_nothing_of(&[Kind::Gvisor], reason) {
        return;
    }
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let script = "echo begun
        trap '' TERM
        (setsid sh -c 'trap \"\" TERM; setsid sleep 1001 & sleep 1001' > /dev/null 2>&1 &)
        nohup sleep 1001 > /dev/null 2>&1 &
        sleep 1001; sleep 1001";
    let ran = sandbox.sh_for(script, Duration::from_millis(500)).await;
    assert_eq!((ran.output.as_str(), ran.ended), ("begun\n", Ended::TimedOut));
    assert_eq!(sandbox.ok("grep -l '100[1]' /proc/[0-9]*/cmdline 2>/dev/null || true").await, "");
    sandbox.close().await;
}

#[tokio::test]
async fn a_command_that_forks_faster_than_it_is_killed_ends_all_the_same() {
    if says_nothing_of(&[Kind::Gvisor], "its kernel is a process of the container, and ends first") {
        return;
    }
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let bomb = "trap '' TERM; f() { f & f & }; f; wait";
    let ran = sandbox.sh_for(bomb, Duration::from_secs(1)).await;
    assert!(matches!(ran.ended, Ended::TimedOut | Ended::Exited(_)), "{ran:?}");
    // Before it may stand that room was made for it, where one bound holds for process 1 too.
    let said = sandbox.ok("echo alive").await;
    assert!(said.ends_with("alive\n"), "{said}");
    sandbox.close().await;
}

#[tokio::test]
async fn a_server_in_the_background_outlives_its_command_and_its_log() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let server = "import socket, sys
s = socket.create_server(('127.0.0.1', 8080))
print('listening', flush=True)
while True:
    c, _ = s.accept()
    print('somebody came', flush=True)
    c.sendall(b'served\\n')
    c.close()";
    let started = sandbox
        .ok(&format!("cat > /tmp/server.py <<'E'\n{server}\nE\npython3 /tmp/server.py & sleep 0.1"))
        .await;
    assert!(started.contains("still hold the output"), "{started}");
    let ask = "import socket,time
for _ in range(500):
    try: c = socket.create_connection(('127.0.0.1', 8080)); break
    except OSError: time.sleep(0.01)
print(c.recv(100).decode(), end='')";
    for _ in 0..3 {
        assert_eq!(sandbox.ok(&format!("python3 -c \"{ask}\"")).await, "served\n");
    }
    sandbox.close().await;
}

#[tokio::test]
async fn what_has_ended_is_reaped() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox
        .ok("for i in $(seq 40); do (setsid true &) ; done; for i in $(seq 40); do sleep 0 & done; wait")
        .await;
    let zombies = "for i in $(seq 500); do grep -qs '^State:.Z' /proc/[0-9]*/status || exit 0; sleep 0.01; done; exit 1";
    sandbox.ok(zombies).await;
    sandbox.close().await;
}

#[tokio::test]
async fn file_tools_work_inside() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let write = FileTool::Write { path: "new/file".to_owned(), bytes: b"one\n".to_vec() };
    assert_eq!(sandbox.0.file(&write).await.unwrap(), FileAnswer::Written { created: true, before: None });
    assert_eq!(
        sandbox.ok("cat new/file; stat -c %u new/file").await,
        format!("one\n{}", sandbox.ok("id -u").await)
    );
    let outside = FileTool::Write { path: "../tmp/x".to_owned(), bytes: vec![] };
    assert!(matches!(sandbox.0.file(&outside).await.unwrap(), FileAnswer::Refused(_)));
    let huge = FileTool::Write { path: "huge".to_owned(), bytes: vec![b'x'; 40 << 20] };
    assert!(matches!(sandbox.0.file(&huge).await.unwrap(), FileAnswer::Refused(_)));
    let read = FileTool::Read { path: "new/file".to_owned(), first_line: 1, lines_max: 10, bytes_max: 100 };
    let FileAnswer::Read { text, .. } = sandbox.0.file(&read).await.unwrap() else { panic!("not read") };
    assert_eq!(text, "one\n");
    sandbox.close().await;
}
