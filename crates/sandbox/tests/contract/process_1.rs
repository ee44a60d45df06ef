//! What a command inside cannot do to process 1, which answers for all of them.

use crate::world::{Kind, World, says_nothing_of};

#[tokio::test]
async fn process_1_cannot_be_ended_or_crippled_from_inside() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    for signal in ["KILL", "STOP", "SEGV", "BUS", "ILL", "FPE", "ABRT", "TERM", "SYS"] {
        assert_eq!(
            sandbox.ok(&format!("kill -{signal} 1; echo alive")).await.lines().last(),
            Some("alive"),
            "{signal}"
        );
    }
    for command in
        ["prlimit --pid 1 --nofile=0:0", "prlimit --pid 1 --as=0:0", "renice -n 19 -p 1", "chrt -i -p 0 1"]
    {
        let ran = sandbox.sh(&format!("{command} 2>&1")).await;
        assert!(ran.output.contains("Operation not permitted"), "{command}: {}", ran.output);
    }
    // By the number of any of its threads neither: each request has one, as long as it is answered.
    let ways = ["prlimit --nofile=4:4 --pid", "renice -n 19 -p", "chrt -i -p 0", "taskset -p 1"];
    let refused = "2>&1 > /dev/null | grep -q 'Operation not permitted'";
    let tries = ways.map(|way| format!("{way} $thread {refused} || echo \"{way} $thread\""));
    let threads = "threads=$(ls /proc/1/task); [ $(echo $threads | wc -w) -gt 1 ]";
    let script = format!("{threads} && for thread in $threads; do {}; done", tries.join("; "));
    assert_eq!(sandbox.ok(&script).await, "");
    // Nor is a signal let through, or does what process 1 is and does not hear.
    for signal in ["STOP", "SEGV", "IO", "RTMIN", "KILL"] {
        let by_thread =
            format!("{threads}; for thread in $threads; do kill -{signal} $thread; done; echo sent");
        assert_eq!(sandbox.ok(&by_thread).await.lines().last(), Some("sent"), "{signal}");
    }
    assert_eq!(sandbox.ok("echo still here").await, "still here\n");
    // What a program does to itself goes on.
    let own = "ulimit -n 64; ulimit -n; nice -n 9 nice; taskset 1 echo pinned; chrt -o 0 echo as ever";
    assert_eq!(sandbox.ok(own).await, "64\n14\npinned\nas ever\n");
    assert_eq!(sandbox.ok("prlimit --nofile=32 sh -c 'ulimit -n'").await, "32\n");
    sandbox.close().await;
}

#[tokio::test]
async fn process_1_of_a_container_has_a_user_of_its_own_and_no_powers() {
    if says_nothing_of(&[Kind::Namespaces], "there Linux shields process 1") {
        return;
    }
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let user = sandbox.ok("id -u").await.trim().to_owned();
    let status = sandbox.ok("cat /proc/1/status").await;
    let told = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().split_ascii_whitespace().collect::<Vec<_>>()
    };
    let [real, effective, saved, files] = told("Uid")[..] else { panic!("{status}") };
    assert_eq!([effective, files], [&user, &user], "its files are the commands'");
    assert_eq!(real, saved);
    assert!(
        real.parse::<u32>().unwrap() >= 2_020_256 && real != user,
        "nobody else's, and not root's: {real}"
    );
    assert_eq!(told("Groups"), [""; 0]);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(told(set), ["0000000000000000"], "{set}");
    }
    // What stands between it and a command is shielded as well, and it makes files as commands do.
    let above = sandbox.sh("kill -KILL $PPID; echo $?; kill -STOP $PPID; echo $?").await.output;
    assert_eq!(above.lines().filter(|line| *line == "1").count(), 2, "{above}");
    sandbox.close().await;
}
