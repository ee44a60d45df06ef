//! How sandboxes end, and that nothing of them stays on the machine.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bollard::query_parameters::{
    KillContainerOptions, ListContainersOptionsBuilder, ListVolumesOptionsBuilder,
};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Error, FileTool, docker, namespaces};

use crate::deep::{NEST, NEST_MAX};
use crate::world::{Kind, Open, World, engine_address, kind, says_nothing_of};

/// What is waited for here takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A time to sleep that no other process of this machine sleeps, to tell processes by.
pub(crate) fn marker(number: u32) -> String {
    marker_of(std::process::id(), number)
}

fn marker_of(process: u32, number: u32) -> String {
    format!("1001.{process}0{number}")
}

/// The processes of this machine whose command line holds `marker`.
pub(crate) fn processes_with(marker: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            line.windows(marker.len()).any(|part| part == marker.as_bytes()).then_some(process)
        })
        .collect()
}

fn field(process: i32, name: &str) -> Option<Vec<i64>> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// The real user of a process.
pub(crate) fn owner(process: i32) -> i64 {
    field(process, "Uid").unwrap()[0]
}

/// Kills the container of `process`.
async fn have_the_engine_kill(process: Pid) {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let container = groups.split(|c: char| !c.is_ascii_hexdigit()).find(|name| name.len() == 64).unwrap();
    engine().await.kill_container(container, None::<KillContainerOptions>).await.unwrap();
}

/// Process 1 of the sandbox that `process` is in.
fn process_1_above(mut process: i32) -> i32 {
    while field(process, "NSpid").unwrap().last() != Some(&1) {
        process = field(process, "PPid").unwrap()[0].try_into().unwrap();
    }
    process
}

pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The control groups of this process's sandboxes.
pub(crate) fn groups_of(process: u32) -> Vec<PathBuf> {
    let name = format!("backspace.{process}.");
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(&name) {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

async fn leave_running(sandbox: &Open, marker: &str) {
    sandbox
        .ok(&format!("(setsid sleep {marker} > /dev/null 2>&1 &); sleep {marker} > /dev/null 2>&1 &"))
        .await;
    // gVisor's kernel is a process of this machine, what runs in it is not.
    if kind() != Kind::Gvisor {
        until("both run", || processes_with(marker).len() == 2).await;
    }
}

#[tokio::test]
async fn closing_leaves_no_process_no_mount_and_no_folder() {
    for (world, marker) in [(World::new(), &marker(101)), (World::on_disk(), &marker(102))] {
        let Some(sandbox) = world.open().await else { return };
        leave_running(&sandbox, marker).await;
        sandbox.ok("mkdir -p shut/in; chmod 000 shut").await;
        if kind() == Kind::Namespaces {
            // Those of other programs come and go meanwhile.
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let place = world.place().display().to_string();
            let seen =
                |line: &&str| [&*place, "/tmp/layers/", "/tmp/quota"].iter().any(|it| line.contains(it));
            assert_eq!(mounts.lines().find(seen), None, "none is seen outside");
        }
        sandbox.0.close().await.unwrap();
        assert_eq!(processes_with(marker), [0; 0], "at once");
        sandbox.0.close().await.unwrap();
        assert_eq!(fs::read_dir(world.place()).into_iter().flatten().count(), 0);
        let command = sandbox::Command {
            script: "true".to_owned(),
            timeout: PATIENCE,
            output_bytes_max: 10,
            live: None,
        };
        assert!(matches!(sandbox.0.run(&command).await, Err(Error::Lost { .. })));
        if matches!(kind(), Kind::Sent | Kind::Gvisor) {
            assert!(matches!(sandbox.0.changes().await, Err(Error::Lost { .. })), "they were inside");
        } else {
            assert!(sandbox.0.changes().await.is_ok(), "what was changed can still be saved");
        }
    }
}

#[tokio::test]
async fn dropping_ends_it_too() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let marker = &marker(103);
    leave_running(&sandbox, marker).await;
    drop(sandbox);
    until("all processes end", || processes_with(marker).is_empty()).await;
}

#[tokio::test]
async fn when_process_1_is_killed_the_sandbox_is_lost_but_not_its_changes() {
    if says_nothing_of(&[Kind::Gvisor], "its process 1 is no process of this machine") {
        return;
    }
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let marker = &marker(104);
    leave_running(&sandbox, marker).await;
    sandbox.ok("echo saved > file").await;
    let command = sandbox::Command {
        script: "sleep 100".to_owned(),
        timeout: PATIENCE,
        output_bytes_max: 10,
        live: None,
    };
    let process_1 = process_1_above(processes_with(marker)[0]);
    if kind() == Kind::Namespaces {
        let launcher = field(process_1, "PPid").unwrap()[0];
        assert_eq!(
            fs::read(format!("/proc/{launcher}/environ")).unwrap_or_default(),
            b"",
            "nothing of the caller's"
        );
    }
    let process_1 = Pid::from_raw(process_1).unwrap();
    let (ran, ()) = tokio::join!(sandbox.0.run(&command), async {
        if kind() == Kind::Container {
            // The service is the user of the commands here, and may as little.
            assert_eq!(kill_process(process_1, Signal::KILL), Err(rustix::io::Errno::PERM));
            have_the_engine_kill(process_1).await;
        } else {
            kill_process(process_1, Signal::KILL).unwrap();
        }
    });
    let Err(Error::Lost { reason }) = ran else { panic!("{ran:?}") };
    assert!(reason.contains("process 1"), "{reason}");
    let tool = FileTool::Write { path: "x".to_owned(), bytes: vec![] };
    assert!(matches!(sandbox.0.file(&tool).await, Err(Error::Lost { .. })));
    if kind() == Kind::Sent {
        assert!(matches!(sandbox.0.changes().await, Err(Error::Lost { .. })), "they were inside");
    } else {
        let changes: Vec<_> = sandbox.changes().await.into_iter().collect();
        assert_eq!(changes, [("file".to_owned(), "file saved\\n".to_owned())]);
    }
    sandbox.close().await;
    assert_eq!(processes_with(marker), [0; 0]);
}

#[tokio::test]
async fn a_sandbox_ends_with_its_lifetime() {
    let mut world = World::new();
    world.policy.lifetime = Duration::from_millis(1500);
    let Some(sandbox) = world.open().await else { return };
    let command = sandbox::Command {
        script: "sleep 100".to_owned(),
        timeout: PATIENCE,
        output_bytes_max: 10,
        live: None,
    };
    let Err(Error::Lost { reason }) = sandbox.0.run(&command).await else { panic!("it goes on") };
    assert!(reason.contains("lifetime"), "{reason}");
    sandbox.close().await;
}

#[tokio::test]
async fn four_at_once_do_not_see_each_other() {
    let worlds = [World::new(), World::new(), World::new(), World::on_disk()];
    let (first, second, third, fourth) =
        tokio::join!(worlds[0].open(), worlds[1].open(), worlds[2].open(), worlds[3].open());
    let (Some(first), Some(second), Some(third), Some(fourth)) = (first, second, third, fourth) else {
        return;
    };
    let all = [first, second, third, fourth];
    for (number, sandbox) in all.iter().enumerate() {
        sandbox.ok(&format!("echo {number} > which; sleep 1001.2 > /dev/null 2>&1 &")).await;
    }
    for (number, sandbox) in all.iter().enumerate() {
        assert_eq!(
            sandbox.ok("cat which; grep -la '^sleep.1001[.]2' /proc/[0-9]*/cmdline | wc -l").await,
            format!("{number}\n1\n")
        );
    }
    for sandbox in all {
        sandbox.close().await;
    }
}

/// Started by the test below, as a process to kill.
#[tokio::test]
#[ignore = "waits to be killed"]
async fn open_and_wait() {
    let world = World::on_disk();
    let Some(sandbox) = world.open().await else { return };
    let owner = rustix::process::getppid().map_or(0, |parent| parent.as_raw_nonzero().get());
    leave_running(&sandbox, &marker_of(owner.unsigned_abs(), 105)).await;
    if kind() == Kind::Namespaces {
        assert_eq!(sandbox.sh_for(NEST, NEST_MAX).await.output, "nested\n");
    }
    println!("OPENED {}", world.place().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn when_the_owner_is_killed_everything_inside_ends_and_the_next_one_sweeps() {
    if says_nothing_of(&[Kind::Container, Kind::Sent, Kind::Gvisor], "a test of its own tells of containers")
    {
        return;
    }
    let world = World::new();
    let Some(probe) = world.open().await else { return };
    probe.close().await;
    let mut owner = start_owner("ends::open_and_wait");
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let place = lines.find_map(|line| Some(PathBuf::from(line.unwrap().split_once("OPENED ")?.1))).unwrap();
    let groups = groups_of(owner.id());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("all processes end", || processes_with(&marker(105)).is_empty()).await;

    let world = World::at(&place);
    let end = Instant::now() + PATIENCE;
    // The kernel frees a group some time after its last process; the next sandbox finds it free.
    loop {
        let Some(sandbox) = world.open().await else { return };
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "the dead one's is gone, the own is there");
        sandbox.close().await;
        if !groups.iter().any(|group| group.exists()) {
            break;
        }
        assert!(Instant::now() < end, "{groups:?}");
    }
    fs::remove_dir_all(place.parent().unwrap()).unwrap();
}

async fn engine() -> bollard::Docker {
    let engine = bollard::Docker::connect_with_unix(&engine_address(), 60, bollard::API_DEFAULT_VERSION);
    engine.unwrap().negotiate_version().await.unwrap()
}

/// What the engine holds of the sandboxes of a process: names of containers and volumes.
async fn held_by_the_engine(process: u32) -> Vec<String> {
    let engine = engine().await;
    let ours = HashMap::from([("label", vec![format!("backspace.process={process}")])]);
    let asked = ListContainersOptionsBuilder::new().all(true).filters(&ours).build();
    let containers = engine.list_containers(Some(asked)).await.unwrap();
    let asked = ListVolumesOptionsBuilder::new().filters(&ours).build();
    let volumes = engine.list_volumes(Some(asked)).await.unwrap().volumes.unwrap_or_default();
    let containers = containers.into_iter().flat_map(|it| it.names.unwrap_or_default());
    containers.chain(volumes.into_iter().map(|it| it.name)).collect()
}

#[tokio::test]
async fn closing_leaves_nothing_with_the_engine() {
    if says_nothing_of(&[Kind::Namespaces], "there is no engine") {
        return;
    }
    // Other tests of this process open sandboxes meanwhile; those of one that is not started by them are none.
    let mut owner = start_owner("ends::open_and_close");
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let place = lines.find_map(|line| Some(PathBuf::from(line.unwrap().split_once("CLOSED ")?.1))).unwrap();
    assert_eq!(held_by_the_engine(owner.id()).await, [""; 0]);
    assert_eq!(fs::read_dir(&place).into_iter().flatten().count(), 0);
    owner.kill().unwrap();
    owner.wait().unwrap();
    fs::remove_dir_all(place.parent().unwrap()).unwrap();
}

/// Started by the test above, as a process whose sandboxes are counted.
#[tokio::test]
#[ignore = "waits to be killed"]
async fn open_and_close() {
    let world = World::on_disk();
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("echo x > y; rm README; mkdir -p shut/in; chmod 000 shut; echo z > ~/z").await;
    assert_ne!(held_by_the_engine(std::process::id()).await, [""; 0]);
    sandbox.close().await;
    println!("CLOSED {}", world.place().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn when_the_owner_is_killed_the_container_ends_and_the_next_process_sweeps() {
    if says_nothing_of(&[Kind::Namespaces], "there is no engine") {
        return;
    }
    let mut owner = start_owner("ends::open_and_wait");
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let place = lines.find_map(|line| Some(PathBuf::from(line.unwrap().split_once("OPENED ")?.1))).unwrap();
    assert_ne!(held_by_the_engine(owner.id()).await, [""; 0]);
    owner.kill().unwrap();
    owner.wait().unwrap();
    // The engine hangs up on process 1 and removes the container by itself, but not the volumes.
    let end = Instant::now() + PATIENCE;
    while held_by_the_engine(owner.id()).await.iter().any(|name| name.starts_with('/')) {
        assert!(Instant::now() < end, "the container lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(processes_with(&marker(105)), [0; 0]);
    // A process that was there before has swept already; the next one does.
    let mut next = start_owner("ends::open_and_close");
    let mut lines = BufReader::new(next.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains("CLOSED")).unwrap().unwrap();
    next.kill().unwrap();
    next.wait().unwrap();
    assert_eq!(held_by_the_engine(owner.id()).await, [""; 0]);
    if kind() == Kind::Container {
        assert_ne!(fs::read_dir(&place).unwrap().count(), 0, "nobody came there yet");
        let world = World::at(&place);
        let Some(sandbox) = world.open().await else { return };
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "the dead one's is gone, the own is there");
        sandbox.close().await;
    }
    fs::remove_dir_all(place.parent().unwrap()).unwrap();
}

fn start_owner(test: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused_with_the_mend() {
    if says_nothing_of(&[Kind::Container, Kind::Sent, Kind::Gvisor], "a test of its own tells of containers")
    {
        return;
    }
    let world = World::new();
    let old = world.base.path().join("bwrap");
    fs::write(&old, "#!/bin/sh\necho 'bwrap: Unknown option --disable-userns' >&2; exit 1\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(world.base.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let missing = PathBuf::from("/no/such/thing");
    let with = |bubblewrap: Option<PathBuf>, tools: Vec<PathBuf>| {
        sandbox::Config::Namespaces(namespaces::Config { bubblewrap, tools, ..Default::default() })
    };
    for (config, expected) in [
        (with(Some(missing.clone()), vec![]), "apt-get install bubblewrap"),
        (with(Some(old), vec![]), "0.8 or later"),
        (with(None, vec![missing.clone()]), "must exist"),
    ] {
        let refused = sandbox::open(&config, &world.tree, &world.policy).await;
        let Err(Error::Unavailable { reason, mend }) = refused else { panic!("opened: {expected}") };
        // Where no sandbox is to be had at all, another mend may come first.
        assert!(mend.contains(expected) || mend.contains("container"), "{reason}. {mend}");
    }
    let gone = sandbox::Tree::of(vec![missing]);
    assert!(matches!(sandbox::open(&world.config, &gone, &world.policy).await, Err(Error::System { .. })));
}

#[tokio::test]
async fn a_container_that_cannot_be_opened_is_refused_with_the_mend() {
    if says_nothing_of(&[Kind::Namespaces], "there is no engine") {
        return;
    }
    let world = World::new();
    let sandbox::Config::Docker(good) = &world.config else { unreachable!("in containers") };
    let with = |change: fn(&mut docker::Config)| {
        let mut config = good.clone();
        change(&mut config);
        sandbox::Config::Docker(config)
    };
    for (config, expected) in [
        (with(|it| it.engine = "unix:///no/such/socket".to_owned()), "apt-get install docker.io"),
        (with(|it| it.engine = "ssh://somewhere".to_owned()), "ssh -N -L"),
        (with(|it| it.image = "no/such:image".to_owned()), "docker build -t backspace-sandbox"),
        (with(|it| it.runtime = Some("none".to_owned())), "daemon.json"),
    ] {
        let refused = sandbox::open(&config, &world.tree, &world.policy).await;
        let Err(Error::Unavailable { reason, mend }) = refused else { panic!("opened: {expected}") };
        assert!(mend.contains(expected), "{reason}. {mend}");
    }
    let gone = sandbox::Tree::of(vec![PathBuf::from("/no/such/thing")]);
    assert!(sandbox::open(&world.config, &gone, &world.policy).await.is_err());
}
