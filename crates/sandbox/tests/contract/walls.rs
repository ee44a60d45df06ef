//! What a command inside cannot do.

use crate::world::{Kind, World, kind, says_nothing_of, small_disk};

/// Calls the kernel by number; prints the error's name, or `done`.
fn call(number: i64, arguments: &str) -> String {
    format!(
        "python3 -c 'import ctypes, errno; c = ctypes.CDLL(None, use_errno=True); c.syscall.restype = ctypes.c_long
print(\"done\" if c.syscall(ctypes.c_long({number}), {arguments}) >= 0 else errno.errorcode[ctypes.get_errno()])'"
    )
}

#[tokio::test]
async fn a_command_is_nobody_with_no_powers() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(sandbox.ok("id -un; hostname").await, "agent\nsandbox\n");
    let user: u32 = sandbox.ok("id -u").await.trim().parse().unwrap();
    match kind() {
        Kind::Namespaces => assert_eq!(user, 1000),
        // Its files are the work tree's, which the engine lays as it is.
        Kind::Container => assert_eq!(user, crate::ORDINARY),
        Kind::Sent | Kind::Gvisor => assert!(user >= 2_020_000, "nobody of this machine: {user}"),
    }
    assert_eq!(sandbox.ok("id -g").await, format!("{user}\n"));
    let status = sandbox.ok("cat /proc/self/status").await;
    // gVisor's kernel tells of no ambient ones.
    let ambient = (kind() != Kind::Gvisor).then_some("CapAmb");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd"].into_iter().chain(ambient) {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "{set} in {status}");
    }
    assert!(status.contains("Seccomp:\t2"), "{status}");
    if kind() != Kind::Gvisor {
        // Its kernel does not tell.
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    assert_eq!(sandbox.sh("ulimit -c").await.output, "0\n");
    if kind() != Kind::Container {
        // There the kernel would count this user's other processes as well; the engine bounds the container.
        assert_eq!(sandbox.sh("ulimit -u").await.output, "64\n");
    }
    sandbox.close().await;
}

#[tokio::test]
async fn root_becomes_another_user_and_existing_files_are_its_own() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let own = sandbox.ok("echo $(id -u):$(id -g)").await;
    assert_eq!(sandbox.ok("stat -c %u:%g . README .git src /tmp /home/agent | sort -u").await, own);
    sandbox.ok("echo >> README; chmod 600 src/a; rm -rf .git; touch ~/x /tmp/x /dev/shm/x /var/tmp/y").await;
    if rustix::process::geteuid().is_root() && kind() != Kind::Gvisor {
        let marker = &crate::ends::marker(1);
        sandbox.ok(&format!("sleep {marker} > /dev/null 2>&1 &")).await;
        crate::ends::until("it runs", || !crate::ends::processes_with(marker).is_empty()).await;
        let owners = crate::ends::processes_with(marker).into_iter().map(crate::ends::owner);
        assert!(owners.clone().count() > 0 && owners.clone().all(|owner| owner >= 2_000_000), "{owners:?}");
    }
    sandbox.close().await;
}

#[tokio::test]
async fn nothing_of_this_machine_is_to_be_seen() {
    let world = World::new();
    let secret = world.base.path().join("secret");
    std::fs::write(&secret, "canary").unwrap();
    let Some(sandbox) = world.open().await else { return };
    assert!(sandbox.fails(&format!("cat {}", secret.display())).await.contains("No such file"));
    let root = sandbox.ok("ls -A /").await;
    let known = [
        "bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "tmp", "usr",
        "var", "work",
    ];
    let engines_own: &[&str] = if kind() == Kind::Namespaces { &[] } else { &[".dockerenv", "sys"] };
    let is_known = |name: &str| known.contains(&name) || engines_own.contains(&name);
    assert!(root.lines().all(is_known), "{root}");
    let own = [
        ("/home", "agent\n"),
        ("/run", if kind() == Kind::Namespaces { "" } else { "backspace-init\nrelays\n" }),
        ("/tmp", ""),
        ("/home/agent", ""),
        ("/usr/local", ""),
    ];
    for (folder, holds) in own {
        assert_eq!(sandbox.ok(&format!("[ ! -e {folder} ] || ls -A {folder}")).await, holds, "{folder}");
    }
    for missing in ["/etc/shadow", "/var/run", "/root", "/etc/ssh"] {
        sandbox.ok(&format!("[ ! -e {missing} ]")).await;
    }
    if kind() == Kind::Namespaces {
        sandbox.ok("[ ! -e /etc/resolv.conf -a ! -e /sys ]").await;
    } else {
        assert_eq!(sandbox.ok("cat /etc/resolv.conf").await, "nameserver 127.0.0.1\n");
        assert_eq!(sandbox.ok("grep -c -e backspace -e tmp /proc/self/cgroup || true").await, "0\n");
    }
    let devices = sandbox.ok("ls /dev | grep -E 'sd|vd|mem|kmsg|fuse|kvm' || true").await;
    // One of its own kernel's.
    assert_eq!(devices, if kind() == Kind::Gvisor { "fuse\n" } else { "" });
    let processes = sandbox.ok("ls /proc | grep '^[0-9]*$'").await;
    assert!(processes.lines().all(|process| process.parse::<u32>().unwrap() < 1000), "{processes}");
    sandbox.close().await;
}

#[tokio::test]
async fn nothing_but_the_own_folders_can_be_written() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let places = "/ /dev /dev/shm /dev/pts /tmp /work /home/agent";
    let kinds = "-writable -not -type l -not -path '/work/*'";
    let found = sandbox.ok(&format!("find {places} -xdev {kinds} 2>/dev/null | sort -u")).await;
    let devices =
        ["full", "null", "pts/ptmx", "random", "tty", "urandom", "zero"].map(|name| format!("/dev/{name}"));
    let found: Vec<_> = found.lines().filter(|path| !devices.iter().any(|device| device == path)).collect();
    let engines_own = match kind() {
        Kind::Namespaces => "/dev/pts",
        Kind::Container | Kind::Sent => "/dev/mqueue",
        // Devices of its own kernel's, which lead to nothing of this machine.
        Kind::Gvisor => "/dev/fuse /dev/net/tun",
    };
    let expected = engines_own.split(' ').chain(["/dev/shm", "/home/agent", "/tmp", "/work"]);
    assert_eq!(found, expected.collect::<Vec<_>>());
    for place in ["/", "/dev", "/dev/pts", "/etc", "/run", "/usr", "/home", "/var"] {
        assert!(sandbox.fails(&format!("touch {place}/x")).await.contains("x'"), "{place}");
    }
    sandbox.fails("echo 1 > /proc/sys/vm/drop_caches").await;
    for program in ["/run/backspace-init", "/proc/1/exe"] {
        sandbox.fails(&format!("echo x >> {program}")).await;
    }
    sandbox.close().await;
}

#[tokio::test]
async fn what_is_said_of_the_walls_is_so() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let terms = sandbox.0.terms();
    let (enforced, soft) = (terms.enforced.join("; "), terms.soft.join("; "));
    // A second ruleset can be made where there is a first: the kernel has Landlock.
    let has_landlock = !sandbox.ok(&call(444, "None, 0, 1")).await.contains("E");
    assert_eq!(enforced.contains("Landlock"), has_landlock, "{enforced}");
    assert_eq!(soft.contains("Landlock"), !has_landlock, "{soft}");
    let niceness = sandbox.ok("nice").await;
    assert_eq!(niceness, "5\n");
    assert!(enforced.contains("processors") || soft.contains("processor time"), "{enforced}; {soft}");
    if kind() != Kind::Gvisor {
        // Its kernel has nothing of what these bound.
        assert_eq!(sandbox.ok("ulimit -r; ulimit -e; ulimit -i; ulimit -q").await, "0\n0\n4096\n819200\n");
    }
    // Its own kernel tells of itself.
    let emptied: &[&str] = if kind() == Kind::Gvisor { &[] } else { &["/proc/cmdline", "/proc/keys"] };
    for emptied in emptied {
        assert_eq!(sandbox.ok(&format!("cat {emptied} | wc -c")).await, "0\n", "{emptied}");
    }
    sandbox.close().await;
}

#[tokio::test]
async fn processors_are_bounded_where_it_is_said() {
    let mut world = World::new();
    world.policy.processors_max = Some(1);
    let Some(sandbox) = world.open().await else { return };
    if kind() != Kind::Namespaces {
        let told = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || true";
        let told = sandbox.ok(told).await;
        assert!(told.starts_with("100000") || kind() == Kind::Gvisor, "{told}");
    } else if sandbox.0.terms().enforced.iter().any(|it| it == "at most 1 processors") {
        let groups = crate::ends::groups_of(std::process::id()).into_iter();
        let files = groups.flat_map(|it| [it.join("cpu.max"), it.join("cpu.cfs_quota_us")]);
        let mut quotas = files.filter_map(|it| std::fs::read_to_string(it).ok());
        assert!(quotas.any(|quota| quota.starts_with("100000")), "of every 100 ms, all of one processor");
    }
    sandbox.close().await;
}

#[tokio::test]
async fn the_git_inside_commits_without_being_told_who() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox
        .ok("rm -rf .git; git init -q; git add README; git commit -qm x; git log --format=%an | cat")
        .await;
    sandbox.close().await;
}

#[tokio::test]
async fn process_1_has_no_secret_and_cannot_be_touched() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let own = sandbox.sh("tr '\\0' '\\n' < /proc/1/environ | grep -v ^PWD=").await.output;
    let names: Vec<&str> = own.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    match kind() {
        Kind::Namespaces => assert_eq!(names, [""; 0]),
        // What every engine sets, and nothing of this process's.
        Kind::Container | Kind::Sent | Kind::Gvisor => {
            assert!(names.iter().all(|it| ["PATH", "HOSTNAME", "HOME"].contains(it)), "{own}");
        }
    }
    let shut = ["cat /proc/1/mem", "ls /proc/1/fd", "ls /proc/1/root/", "readlink /proc/1/exe"];
    // The gVisor of Debian 12 does not know that process 1 wants to be left alone.
    let shut = if kind() == Kind::Gvisor { &shut[..1] } else { &shut };
    for script in shut {
        sandbox.fails(script).await;
    }
    // The kernel lets no signal of its own namespace through to it.
    sandbox.sh("kill -9 1; kill -STOP 1; kill -TERM 1").await;
    assert_eq!(sandbox.ok("echo alive; ls -d /proc/1").await, "alive\n/proc/1\n");
    sandbox.close().await;
}

#[tokio::test]
async fn there_is_no_network() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let connect = |address: &str| {
        format!(
            "python3 -c 'import socket; socket.create_connection((\"{address}\", 80), 2)' 2>&1 | tail -1; exit ${{PIPESTATUS[0]}}"
        )
    };
    for address in ["1.1.1.1", "169.254.169.254", "10.0.0.1"] {
        let said = sandbox.fails(&connect(address)).await;
        assert!(said.contains("unreachable") || kind() == Kind::Gvisor, "{address}: {said}");
    }
    sandbox.fails(&connect("example.com")).await;
    assert_eq!(sandbox.ok("cut -d: -f1 -s /proc/net/dev | tr -d ' '").await, "lo\n");
    let own = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = own.local_addr().unwrap().port();
    let ask =
        format!("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2)' 2>&1");
    assert!(sandbox.fails(&ask).await.contains("refused"));
    sandbox.close().await;
}

#[tokio::test]
async fn the_kernels_dark_corners_are_shut() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let refused = [
        ("unshare user", libc::SYS_unshare, format!("{}", libc::CLONE_NEWUSER)),
        ("unshare mount", libc::SYS_unshare, format!("{}", libc::CLONE_NEWNS)),
        ("clone net", libc::SYS_clone, format!("{}, 0, 0, 0, 0", libc::CLONE_NEWNET | libc::SIGCHLD)),
        ("ptrace", libc::SYS_ptrace, "0, 0, 0, 0".to_owned()),
        ("bpf", libc::SYS_bpf, "0, 0, 0".to_owned()),
        ("io_uring", libc::SYS_io_uring_setup, "1, 0".to_owned()),
        ("keyctl", libc::SYS_keyctl, "0, 0".to_owned()),
        ("userfaultfd", libc::SYS_userfaultfd, "1".to_owned()),
        ("perf", libc::SYS_perf_event_open, "0, 0, 0, 0, 0".to_owned()),
        ("mount", libc::SYS_mount, "0, 0, 0, 0, 0".to_owned()),
        ("fsopen", libc::SYS_fsopen, "b\"tmpfs\", 0".to_owned()),
        ("open_tree", libc::SYS_open_tree, "-100, b\"/\", 1".to_owned()),
        ("setns", libc::SYS_setns, "0, 0".to_owned()),
        ("chroot", libc::SYS_chroot, "b\"/\"".to_owned()),
        ("TIOCSTI", libc::SYS_ioctl, format!("0, {}, b\"x\"", libc::TIOCSTI)),
        (
            "TIOCSTI, high bits",
            libc::SYS_ioctl,
            format!("0, ctypes.c_long({} | 1 << 32), b\"x\"", libc::TIOCSTI),
        ),
        (
            "raw socket",
            libc::SYS_socket,
            format!("{}, {}, 1", libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC),
        ),
        ("raw socket of IPv6", libc::SYS_socket, format!("{}, {}, 58", libc::AF_INET6, libc::SOCK_RAW)),
        ("packet socket", libc::SYS_socket, format!("{}, {}, 0", libc::AF_PACKET, libc::SOCK_DGRAM)),
        ("vsock", libc::SYS_socket, format!("{}, {}, 0", libc::AF_VSOCK, libc::SOCK_STREAM)),
        ("SCTP", libc::SYS_socket, format!("{}, {}, 132", libc::AF_INET, libc::SOCK_STREAM)),
        ("MPTCP", libc::SYS_socket, format!("{}, {}, 262", libc::AF_INET6, libc::SOCK_STREAM)),
        ("sequenced packets", libc::SYS_socket, format!("{}, {}, 0", libc::AF_INET, libc::SOCK_SEQPACKET)),
        ("UDP-Lite", libc::SYS_socket, format!("{}, {}, 136", libc::AF_INET, libc::SOCK_DGRAM)),
        ("pair of another family", libc::SYS_socketpair, format!("30, {}, 0, 0", libc::SOCK_STREAM)),
        ("TLS in the kernel", libc::SYS_setsockopt, "0, 6, 31, b\"tls\", 3".to_owned()),
        ("TIOCSETD", libc::SYS_ioctl, format!("0, {}, b\"\\x01\\0\\0\\0\"", libc::TIOCSETD)),
        ("memfd_secret", libc::SYS_memfd_secret, "0".to_owned()),
        ("statmount", 457, "0, 0, 0, 0".to_owned()),
        ("crypto socket", libc::SYS_socket, format!("{}, {}, 0", libc::AF_ALG, libc::SOCK_SEQPACKET)),
        #[cfg(target_arch = "x86_64")]
        ("x32", 0x4000_0000 + 39, "0".to_owned()),
    ];
    for (name, number, arguments) in refused {
        assert_eq!(sandbox.ok(&call(number, &arguments)).await, "EPERM\n", "{name}");
    }
    // What is newer than the filter is not there, as on an older kernel, nor what is counted for the whole machine.
    let absent =
        [(libc::SYS_clone3, "0, 0"), (libc::SYS_io_setup, "1, b\"12345678\""), (467, "0"), (999, "0")];
    for (number, arguments) in absent {
        assert_eq!(sandbox.ok(&call(number, arguments)).await, "ENOSYS\n", "{number}");
    }
    for (number, arguments) in [
        (libc::SYS_unshare, format!("{}", libc::CLONE_FS)),
        (libc::SYS_socket, format!("{}, {}, 0", libc::AF_INET, libc::SOCK_STREAM)),
        (libc::SYS_socket, format!("{}, {}, 17", libc::AF_INET6, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC)),
        (libc::SYS_socket, format!("{}, {}, 0", libc::AF_NETLINK, libc::SOCK_RAW)),
        (libc::SYS_socketpair, format!("{}, {}, 0, (ctypes.c_int * 2)()", libc::AF_UNIX, libc::SOCK_STREAM)),
    ] {
        assert_eq!(sandbox.ok(&call(number, &arguments)).await, "done\n", "{number}");
    }
    sandbox.fails("unshare -Ur true").await;
    assert_eq!(sandbox.ok("python3 -c 'import threading, subprocess; threading.Thread(target=print, args=[1]).start(); subprocess.run([\"echo\", \"2\"])' | sort").await, "1\n2\n");
    sandbox.close().await;
}

#[tokio::test]
async fn disk_is_bounded_in_bytes_and_in_files_everywhere() {
    let world = World::new();
    let places: &[&str] = match kind() {
        Kind::Namespaces | Kind::Sent => &["/work", "/tmp", "/home/agent", "/dev/shm"],
        // What lies on disk is looked at, see below.
        Kind::Container => &["/tmp", "/dev/shm"],
        Kind::Gvisor => &["/work", "/tmp", "/home/agent", "/dev/shm"],
    };
    for place in places {
        let Some(sandbox) = world.open().await else { return };
        let fill = format!("head -c 100000000 /dev/zero > {place}/big");
        assert!(sandbox.fails(&fill).await.contains("space"), "{place}");
        sandbox.ok(&format!("rm {place}/big")).await;
        if kind() == Kind::Gvisor {
            // Its kernel counts no files.
            sandbox.close().await;
            continue;
        }
        let many =
            format!("mkdir {place}/m; cd {place}/m; seq 3000 | xargs touch 2>&1 | tail -1; ls | wc -l");
        let left = sandbox.ok(&many).await;
        assert!(left.contains("space"), "{place}: {left}");
        sandbox.ok(&format!("rm -r {place}/m; echo again > {place}/f")).await;
        sandbox.close().await;
    }
}

#[tokio::test]
async fn what_outgrows_its_disk_is_ended() {
    if says_nothing_of(&[Kind::Namespaces, Kind::Sent, Kind::Gvisor], "the kernel holds the bound") {
        return;
    }
    let world = World::new();
    let size = "its changes grew beyond 64 MiB or 2000 files";
    for script in [
        "for i in 1 2 3; do head -c 30000000 /dev/zero > $i; done; sleep 100",
        "cd ~; seq 3000 | xargs touch; sleep 100",
        "cd ~; seq 3000 | xargs touch; chmod 0 .; sleep 100",
        "for i in $(seq 500); do mkdir d; cd d; done; for i in 1 2 3; do head -c 30000000 /dev/zero > $i; done; sleep 100",
    ] {
        let Some(sandbox) = world.open().await else { return };
        assert_eq!(sandbox.lost(script).await, size, "{script}");
        let terms = sandbox.close().await;
        assert!(terms.soft.iter().any(|soft| soft.starts_with("disk: 64 MiB and 2000 files")), "{terms:?}");
    }
}

#[tokio::test]
async fn what_fills_its_disk_is_ended() {
    if says_nothing_of(&[Kind::Namespaces, Kind::Sent, Kind::Gvisor], "no small disk is made for it") {
        return;
    }
    let world = World::at(&small_disk().join("changes"));
    let Some(sandbox) = world.open().await else { return };
    // It has no name, and is smaller than any bound but the disk's.
    let said = sandbox.lost("exec 3> f; rm f; head -c 60000000 /dev/zero >&3; sleep 100").await;
    assert_eq!(said, "the disk of its changes has less than 2 MiB left");
    sandbox.close().await;
}

#[tokio::test]
async fn processes_are_bounded() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let bomb = "import os, time
children = 0
try:
    while children < 1000:
        if os.fork() == 0:
            time.sleep(1001)
        children += 1
except BlockingIOError:
    print(children, flush=True)
os._exit(0)";
    let ran = sandbox.ok(&format!("python3 -c '{bomb}' 2> /dev/null")).await;
    let children: u64 = ran.lines().next().unwrap().parse().unwrap();
    let most = match kind() {
        Kind::Namespaces | Kind::Sent | Kind::Gvisor => world.policy.processes_max,
        // The engine counts process 1 and its helpers as well.
        Kind::Container => world.policy.processes_max + 72,
    };
    assert!((32..=most).contains(&children), "{ran}");
    let said = sandbox.ok("echo a command can be started all the same").await;
    assert!(said.ends_with("a command can be started all the same\n"), "{said}");
    // Where one bound holds for process 1 too, it makes room.
    assert_eq!(said.contains("all of them were ended"), kind() == Kind::Container, "{said}");
    sandbox.close().await;
}

#[tokio::test]
async fn memory_is_bounded() {
    if says_nothing_of(&[Kind::Gvisor], "its kernel is a process of the container, and ends first") {
        return;
    }
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let one = "python3 -c 'x = bytearray(400 << 20); print(len(x))'";
    assert!(sandbox.fails(one).await.contains("MemoryError"), "one process");
    // Several processes that together take more than the sandbox has: the kernel ends one, or process 1 does.
    let all = "for i in 1 2 3; do python3 -c 'import time; x = bytearray(200 << 20); time.sleep(3)' & done; wait -n; wait; echo end";
    let ran = sandbox.sh(all).await;
    assert!(ran.output.contains("Killed"), "{ran:?}");
    assert_eq!(sandbox.ok("echo alive").await, "alive\n");
    // No process is larger for files that it has open and nowhere in its memory.
    let anonymous = "python3 -c 'import os, time
held = [os.memfd_create(\"held\") for _ in range(12)]
for file in held: os.write(file, bytes(50 << 20))
time.sleep(30)
print(\"it holds 600 MiB\")'; echo end";
    let ran = sandbox.sh(anonymous).await;
    assert!(ran.output.contains("Killed") && ran.output.ends_with("end\n"), "{ran:?}");
    sandbox.close().await;
}
