//! Attacks that try to outlive the sandbox: processes, mounts, groups, files, and what the kernel keeps by name.

mod kept;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::stage::{Said, Stage, kernel, policy, processes_with};
use super::{Attack, Class, How, Trial, Tried};

/// Whatever is left behind meets the next session.
pub(crate) const CLASS: Class = Class { name: "survival", attacks: ATTACKS };

#[tokio::test]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "a daemon: two forks, a session of its own",
        how: How::Code(|stage| left(stage, "101", DAEMON)),
    },
    Attack { name: "a process that hears no signal", how: How::Code(|stage| left(stage, "102", DEAF)) },
    Attack { name: "a process that is stopped", how: How::Code(|stage| left(stage, "103", STOPPED)) },
    Attack {
        name: "processes that fork faster than they are ended",
        how: How::Code(|stage| left(stage, "104", FORKING)),
    },
    Attack { name: "hold the output open so that the call does not return", how: How::Code(hold_the_output) },
    Attack { name: "outlive a command that ran out of time", how: How::Code(outlive_the_deadline) },
    Attack { name: "cripple process 1, by the numbers of its threads", how: How::Code(by_thread_id) },
    Attack { name: "shared memory and queues that are kept by name", how: How::Code(kept::by_name) },
    Attack { name: "mounts, control groups and files on this machine", how: How::Code(on_the_machine) },
];

/// Before each script: `wait_for_programs` returns once every process that was made has become a program that bears the
/// mark, so that none of them is overlooked.
const PROGRAMS: &str = r#"
ready, told = os.pipe()
def wait_for_programs():
    os.close(told)
    os.read(ready, 1)
"#;

const DAEMON: &str = r#"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.execvp("sleep", ["sleep", MARK])
    os._exit(0)
wait_for_programs()
held("it runs")
"#;

const DEAF: &str = r#"
def deaf():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    os.execvp("sleep", ["sleep", MARK])
child(deaf)
wait_for_programs()
held("it runs")
"#;

const STOPPED: &str = r#"
process = child(lambda: os.execvp("sleep", ["sleep", MARK]))
wait_for_programs()
os.kill(process, signal.SIGSTOP)
held("it is stopped")
"#;

const FORKING: &str = r#"
def forking():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Outside a few, and soon an end of it.
    for _ in iter(int, 1) if INSIDE else range(5):
        try:
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execvp("sleep", ["sleep", MARK])
                os._exit(0)
        except OSError:
            pass
child(forking)
# Inside there is no end of it.
time.sleep(0.5) if INSIDE else wait_for_programs()
held("they run")
"#;

/// Takes files, processor and rank from a process by each of its threads, opens its memory and its pipes, and ends it in
/// every way that there is to send a signal. Inside it is process 1; there it is also tried by each number that nobody
/// else has. Linux lets no signal through to a process 1 that has no code for it; gVisor's kernel does.
const BY_THREAD_ID: &str = r#"
import fcntl

def number(x86, arm):
    return x86 if os.uname().machine == "x86_64" else arm
IOPRIO_SET, MIGRATE_PAGES, PROCESS_VM_WRITEV = number(251, 30), number(256, 238), number(311, 271)
TKILL, TGKILL, TIMER_CREATE = number(200, 130), number(234, 131), number(222, 107)
SIGQUEUEINFO, TGSIGQUEUEINFO = number(129, 138), number(297, 240)
PIDFD_OPEN, PIDFD_SEND_SIGNAL = 434, 424
F_SETSIG, F_SETOWN_EX = 10, 15

def others():
    for _ in range(2):
        threading.Thread(target=time.sleep, args=[100], daemon=True).start()
    os.write(told, b"x")
    time.sleep(100)
process = 1
held_memory = ctypes.create_string_buffer(b"untouched")
if not INSIDE:
    ready, told = os.pipe()
    process = child(others)
    os.read(ready, 1)

def threads(process):
    try:
        return set(map(int, os.listdir(f"/proc/{process}/task")))
    except OSError:
        return set()
numbers = threads(process)
if INSIDE:
    neighbours = set().union(*(threads(it) for it in os.listdir("/proc") if it.isdigit() and it != "1"))
    numbers = (numbers | set(range(1, max(numbers | neighbours) + 20))) - neighbours

def refused(result):
    if isinstance(result, str):
        raise OSError(result)
def write_memory(thread):
    place = struct.pack("PN", ctypes.addressof(held_memory), 9)
    refused(call(PROCESS_VM_WRITEV, thread, place, 1, place, 1, 0))
IDLE, FIRST_NODE = os.sched_param(0), struct.pack("Q", 1)
done = set()
for thread in sorted(numbers):
    for name, way in [
        ("limits", lambda: resource.prlimit(thread, resource.RLIMIT_NOFILE, (4, 4))),
        ("affinity", lambda: os.sched_setaffinity(thread, os.sched_getaffinity(0))),
        ("scheduler", lambda: os.sched_setscheduler(thread, os.SCHED_IDLE, IDLE)),
        ("parameters", lambda: os.sched_setparam(thread, IDLE)),
        ("priority", lambda: os.setpriority(os.PRIO_PROCESS, thread, 19)),
        ("disk priority", lambda: refused(call(IOPRIO_SET, 1, thread, 3 << 13))),
        ("place of memory", lambda: refused(call(MIGRATE_PAGES, thread, 64, FIRST_NODE, FIRST_NODE))),
        ("memory by a call", lambda: write_memory(thread)),
        ("memory by /proc", lambda: open(f"/proc/{process}/task/{thread}/mem", "r+b")),
    ]:
        try:
            way()
            done.add(name)
        except OSError:
            pass

# A kernel that lets them be opened by their numbers passes on what the trusted side says and is told.
own = {os.fstat(1).st_ino, os.fstat(2).st_ino}
for path in ["fd"] + [f"task/{thread}/fd" for thread in sorted(numbers)]:
    for name, flags in [(name, flags) for name in range(64) for flags in (os.O_RDONLY, os.O_WRONLY)]:
        try:
            opened = os.open(f"/proc/{process}/{path}/{name}", flags | os.O_NONBLOCK)
            found = os.fstat(opened)
            if stat.S_ISFIFO(found.st_mode) and found.st_ino not in own:
                done.add("pipes")
            os.close(opened)
        except OSError:
            pass

def by_a_file(owner, sent):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fcntl.fcntl(ours, F_SETOWN_EX, owner)
        fcntl.fcntl(ours, F_SETSIG, sent)
        fcntl.fcntl(ours, fcntl.F_SETFL, os.O_NONBLOCK | fcntl.FASYNC)
        theirs.send(b"x")
def by_a_handle(thread, sent):
    handle = call(PIDFD_OPEN, thread, 0)
    refused(handle)
    call(PIDFD_SEND_SIGNAL, handle, sent, 0, 0)
    os.close(handle)
def by_a_timer(thread, sent):
    SIGEV_THREAD_ID = 4
    call(TIMER_CREATE, 1, struct.pack("Piii44x", 0, sent, SIGEV_THREAD_ID, thread), bytes(8))
for thread in sorted(numbers):
    for sent in (signal.SIGSTOP, signal.SIGSEGV, signal.SIGUSR1, signal.SIGRTMIN, signal.SIGIO, signal.SIGKILL):
        SI_QUEUE = -1
        told_of = struct.pack("iiiiiiP96x", sent, 0, SI_QUEUE, 0, os.getpid(), os.getuid(), 0)
        for way in [
            lambda: os.kill(thread, sent),
            lambda: call(TKILL, thread, sent),
            lambda: call(TGKILL, process, thread, sent),
            lambda: call(SIGQUEUEINFO, thread, sent, told_of),
            lambda: call(TGSIGQUEUEINFO, process, thread, sent, told_of),
            lambda: by_a_handle(thread, sent),
            lambda: by_a_file(struct.pack("ii", 0, thread), sent),
            lambda: by_a_file(struct.pack("ii", 1, thread), sent),
            lambda: by_a_timer(thread, sent),
        ]:
            try:
                way()
            except OSError:
                pass
if not INSIDE and os.WIFSIGNALED(os.waitpid(process, 0)[1]):
    done.add("signals")
breached(", ".join(sorted(done))) if done else held("all of it was refused")
"#;

fn by_thread_id(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        let ran = sandbox.try_to_run(&stage.shell(BY_THREAD_ID, "inside")).await;
        let after = sandbox.try_to_run("echo alive").await.map(|ran| ran.output);
        sandbox.sandbox.close().await.unwrap();
        let attack = match (ran, after.as_deref()) {
            (Ok(ran), Ok("alive\n")) => super::stage::said(&ran.output),
            (ran, after) => Said::Breached(format!("it came to {ran:?}, the next command to {after:?}")),
        };
        Tried { attack, control: stage.outside(BY_THREAD_ID).await }
    })
}

/// Leaves processes behind that sleep for a time of their own, and looks for them when the sandbox is closed.
fn left<'a>(stage: &'a Stage, number: &'static str, script: &'static str) -> Trial<'a> {
    Box::pin(async move {
        let mark = |place: &str| format!("1001.{place}{}{number}", std::process::id());
        let with = |mark: &str| format!("MARK = \"{mark}\"\n{PROGRAMS}{script}");
        let sandbox = stage.open(policy()).await.unwrap();
        let inside = mark("1");
        let ran = sandbox.run(&stage.shell(&with(&inside), "inside")).await;
        let there = processes_with(&inside).len();
        sandbox.sandbox.close().await.unwrap();
        let attack = match (there, processes_with(&inside).len()) {
            (0, 0) if kernel() == "own" => {
                Said::Absent("a kernel of its own: its processes are none of this machine's".to_owned())
            }
            (0, _) => Said::Unclear(format!("it did not run: {}", ran.output)),
            (there, 0) => Said::Held(format!("{there} were there, none is left")),
            (_, left) => Said::Breached(format!("{left} are left")),
        };
        // Without a sandbox the end of the shell ends none of them.
        let outside = mark("2");
        stage.outside(&with(&outside)).await;
        let left = processes_with(&outside);
        let control = match left.len() {
            0 => Said::Held("none is left".to_owned()),
            left => Said::Breached(format!("{left} are left")),
        };
        end(&outside);
        Tried { attack, control }
    })
}

/// Ends what a control left behind: first who makes more of them.
fn end(mark: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    for _ in 0..100 {
        let left = processes_with(mark);
        if left.is_empty() {
            return;
        }
        for process in left {
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(process).unwrap(), Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn hold_the_output(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        // It returns although something that holds the output sleeps on; the world's patience is a minute.
        let ran = sandbox.run("sleep 1000 & echo done").await;
        sandbox.sandbox.close().await.unwrap();
        let attack = if ran.output.starts_with("done\n") {
            Said::Held("the call returned".to_owned())
        } else {
            Said::Unclear(format!("{ran:?}"))
        };
        Tried { attack, control: reader_that_waits() }
    })
}

/// Whoever reads a child's output to its end waits for what the child has left behind.
fn reader_that_waits() -> Said {
    use std::io::Read as _;
    let mut child = std::process::Command::new("sh")
        .args(["-c", "sleep 1000 & echo $!"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    child.wait().unwrap();
    let mut number = [0; 16];
    let length = output.read(&mut number).unwrap();
    let sleeper: i32 = std::str::from_utf8(&number[..length]).unwrap().trim().parse().unwrap();
    rustix::io::ioctl_fionbio(&output, true).unwrap();
    let said = match output.read(&mut number) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Said::Breached("the child has ended, its output has not".to_owned())
        }
        other => Said::Held(format!("{other:?}")),
    };
    let sleeper = rustix::process::Pid::from_raw(sleeper).unwrap();
    rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
    said
}

fn outlive_the_deadline(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        let mark = format!("1001.3{}105", std::process::id());
        let script = format!(
            "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep {mark}; sleep {mark}' &) ; sleep {mark}"
        );
        let command = sandbox::Command {
            script: script.clone(),
            timeout: std::time::Duration::from_secs(1),
            output_bytes_max: 1000,
            live: None,
        };
        let ran = sandbox.sandbox.run(&command).await.unwrap();
        let left = processes_with(&mark).len();
        let alive = sandbox.run("echo alive").await.output;
        sandbox.sandbox.close().await.unwrap();
        let attack = match (ran.ended, left, &*alive) {
            (sandbox::Ended::TimedOut, 0, "alive\n") => {
                Said::Held("all of it was ended, the sandbox goes on".to_owned())
            }
            (ended, left, alive) => Said::Breached(format!("{ended:?}, {left} are left, {alive:?}")),
        };
        // As `timeout` ends a command: the one process that it started.
        let mark = format!("1001.4{}105", std::process::id());
        let script = script.replace("1001.3", "1001.4");
        let _status =
            std::process::Command::new("timeout").args(["-s", "KILL", "1", "sh", "-c", &script]).status();
        let left = processes_with(&mark).len();
        let control =
            if left > 0 { Said::Breached(format!("{left} are left")) } else { Said::Held("none".to_owned()) };
        end(&mark);
        Tried { attack, control }
    })
}

/// What this machine shows of the mounts of a sandbox over `base`: those of others come and go meanwhile.
fn mounts_over(base: &Path) -> Vec<String> {
    let base = base.display().to_string();
    let marks = [base.as_str(), "/tmp/layers/", "/tmp/quota"];
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let is_of_it = |line: &&str| marks.iter().any(|mark| line.contains(mark));
    mounts.lines().filter(is_of_it).map(str::to_owned).collect()
}

/// The names of the control groups that a process is in and this one is not.
fn groups_of(process: i32) -> BTreeSet<String> {
    let of = |process: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        let names = text.lines().filter_map(|line| Some(line.rsplit_once('/')?.1.to_owned()));
        names.filter(|name| !name.is_empty()).collect()
    };
    of(&process.to_string()).difference(&of("self")).cloned().collect()
}

/// Those of `names` that are groups of this machine.
fn groups_left(names: &BTreeSet<String>) -> Vec<PathBuf> {
    let mut left = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.extend(names.contains(&*entry.file_name().to_string_lossy()).then(|| entry.path()));
                folders.push(entry.path());
            }
        }
    }
    left
}

fn on_the_machine(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let mark = format!("1001.5{}106", std::process::id());
        let leave = format!(
            "touch /tmp/{mark} /dev/shm/{mark} /var/tmp/{mark} ~/{mark} {mark}; mkdir -p deep/er; chmod 0 deep
             sleep {mark} > /dev/null 2>&1 &
             until grep -q sleep /proc/$!/comm; do :; done"
        );
        let sandbox = stage.open(policy()).await.unwrap();
        sandbox.run(&leave).await;
        let while_open = mounts_over(sandbox.base.path());
        let groups: BTreeSet<String> = processes_with(&mark).into_iter().flat_map(groups_of).collect();
        let is_bounded = sandbox.sandbox.terms().soft.iter().all(|soft| !soft.starts_with("memory"));
        sandbox.sandbox.close().await.unwrap();
        let files = ["/tmp", "/dev/shm", "/var/tmp"].map(|folder| PathBuf::from(folder).join(&mark));
        let (mounts, groups_left) = (mounts_over(sandbox.base.path()), groups_left(&groups));
        let attack = if files.iter().any(|file| file.exists()) {
            Said::Breached("a file is left".to_owned())
        } else if !mounts.is_empty() || !while_open.is_empty() {
            Said::Breached(format!("mounts: {mounts:?}, while it was open {while_open:?}"))
        } else if !groups_left.is_empty() {
            Said::Breached(format!("groups: {groups_left:?}"))
        } else if groups.is_empty() && is_bounded && kernel() == "shared" {
            Said::Unclear("it is in a control group, and none was seen".to_owned())
        } else {
            Said::Held(format!("nothing is left, no group of {}", groups.len()))
        };
        let _status = std::process::Command::new("sh").args(["-c", &format!("touch /tmp/{mark}")]).status();
        let control = match files[0].exists() {
            true => Said::Breached("a file is left".to_owned()),
            false => Said::Held("no file is left".to_owned()),
        };
        drop(fs::remove_file(&files[0]));
        Tried { attack, control }
    })
}
