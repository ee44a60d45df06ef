//! Attacks that take more than their share: memory, processes, disk, output, priority.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use events::ChangedKind;
use sandbox::{Ended, Policy};

use super::stage::{STARVED, Said, Stage, policy};
use super::{Attack, Class, How, Trial, Tried};

/// The bounds of [`policy`] are small, so that what exceeds them hurts nobody where nothing bounds it.
pub(crate) const CLASS: Class = Class { name: "resources", attacks: ATTACKS };

#[tokio::test]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "the memory of one process", how: How::Script(MEMORY_OF_ONE) },
    Attack { name: "the memory of many processes together", how: How::Script(MEMORY_OF_MANY) },
    Attack {
        name: "memory that belongs to no process: anonymous files, shared segments",
        how: How::Script(MEMORY_OF_NOBODY),
    },
    Attack { name: "memory in message queues, after raising their bounds", how: How::Code(messages) },
    Attack { name: "processes without end", how: How::Script(PROCESSES) },
    Attack { name: "threads without end", how: How::Script(THREADS) },
    Attack { name: "more bytes than the quota, in every folder", how: How::Script(BYTES) },
    Attack { name: "more files than the quota, in every folder", how: How::Script(FILES) },
    Attack { name: "more attributes of files than the quota", how: How::Script(ATTRIBUTES) },
    Attack { name: "go before all others, by real-time priority", how: How::Script(PRIORITY) },
    Attack { name: "half of all files that the kernel opens for everybody", how: How::Code(open_files) },
    Attack {
        name: "asynchronous requests, which are counted for the whole machine",
        how: How::Script(ASYNCHRONOUS),
    },
    Attack { name: "raise the limits again", how: How::Script(LIMITS) },
    Attack { name: "gigabytes of output", how: How::Code(output_without_end) },
    Attack { name: "a file of a TiB of holes, read by the host", how: How::Code(holes) },
    Attack { name: "a folder that the host may not read, full of what it must", how: How::Code(shut_folder) },
];

const MEMORY_OF_ONE: &str = r#"
def take():
    try:
        taken = bytearray(400 << 20)
        os._exit(7 if len(taken) else 1)
    except MemoryError:
        os._exit(1)
status = os.waitpid(child(take), 0)[1]
breached("400 MiB") if status == 7 << 8 else held(f"status {status:#x}")
"#;

const MEMORY_OF_MANY: &str = r#"
ready, told = os.pipe()
def take():
    taken = bytearray(150 << 20)
    os.write(told, b"x" if len(taken) else b"")
    time.sleep(100)
children = [child(take) for _ in range(4)]
os.close(told)
# One that is ended closes its end; three seconds are enough for all to be there or gone.
time.sleep(3)
alive = sum(os.waitpid(process, os.WNOHANG)[0] == 0 for process in children)
for process in children:
    try:
        os.kill(process, 9)
    except ProcessLookupError:
        pass
breached("600 MiB") if alive == 4 else held(f"{alive} of 4 are left")
"#;

const MEMORY_OF_NOBODY: &str = r#"
def be_ended_first():
    # None of it counts as a process's own, so that the kernel would end whomever.
    open("/proc/self/oom_score_adj", "w").write("1000")
def take():
    be_ended_first()
    kept = os.memfd_create("kept")
    for _ in range(400):
        os.write(kept, b"x" * (1 << 20))
    os._exit(7)
def take_by_name():
    be_ended_first()
    C.shmget.restype = ctypes.c_int
    C.shmat.restype = ctypes.c_void_p
    segment = C.shmget(0, ctypes.c_size_t(400 << 20), 0o1600)
    if segment < 0:
        os._exit(1)
    address = C.shmat(segment, None, 0)
    C.shmctl(segment, 0, None)
    ctypes.memset(address, 1, 400 << 20)
    os._exit(7)
taken = [name for name, way in [("anonymous file", take), ("shared segment", take_by_name)] if os.waitpid(child(way), 0)[1] == 7 << 8]
breached(", ".join(taken)) if taken else held("ended or refused")
"#;

/// The settings of its own queues a sandbox may change. The child goes first when memory ends, what it sent stays.
const MESSAGES: &str = r#"
for name, value in [("msgmni", 32000), ("msgmax", 1 << 20), ("msgmnb", 64 << 20)]:
    try:
        open(f"/proc/sys/kernel/{name}", "w").write(str(value))
    except OSError:
        pass
def take():
    open("/proc/self/oom_score_adj", "w").write("1000")
    message, sent = struct.pack("l", 1) + b"x" * 8000, 0
    while sent < 400 << 20:
        queue, before = C.msgget(0, 0o1600), sent
        while queue >= 0 and C.msgsnd(queue, message, ctypes.c_size_t(8000), 0o4000) == 0:
            sent += 8000
        if sent == before:
            os._exit(1)
    os._exit(7)
status = os.waitpid(child(take), 0)[1]
breached("400 MiB of messages") if status == 7 << 8 else held(f"status {status:#x}")
"#;

/// A message of a few bytes.
const MESSAGE_KEPT: &str = r#"
queue = C.msgget(0, 0o1600)
def send():
    C.msgsnd(queue, struct.pack("l", 1) + b"x" * 8, ctypes.c_size_t(8), 0o4000)
os.waitpid(child(send), 0)
received = C.msgrcv(queue, ctypes.create_string_buffer(64), ctypes.c_size_t(8), 0, 0o4000)
C.msgctl(queue, 0, None)
breached("it belongs to nobody who could be ended") if received == 8 else held("it went with its sender")
"#;

fn messages(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        let attack = match sandbox.try_to_run(&stage.shell(MESSAGES, "inside")).await {
            Ok(ran) => super::stage::said(&ran.output),
            // Nobody inside holds that memory, so that all of them are ended.
            Err(sandbox::Error::Lost { reason }) if reason == STARVED => Said::Held(reason),
            Err(error) => Said::Unclear(error.to_string()),
        };
        sandbox.sandbox.close().await.unwrap();
        Tried { attack, control: stage.outside(MESSAGE_KEPT).await }
    })
}

const PROCESSES: &str = r#"
children = []
try:
    while len(children) < 200:
        children.append(child(lambda: time.sleep(100)))
except OSError as error:
    last = error
for process in children:
    os.kill(process, 9)
breached("200 processes") if len(children) == 200 else held(f"{len(children)}: {last}")
"#;

const THREADS: &str = r#"
started = 0
try:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=[100], daemon=True).start()
        started += 1
except RuntimeError as error:
    last = error
breached("200 threads") if started == 200 else held(f"{started}: {last}")
"#;

const BYTES: &str = r#"
places = [".", "/tmp", os.path.expanduser("~"), "/dev/shm"] if INSIDE else ["."]
filled = []
for place in places:
    path = f"{place}/big"
    try:
        with open(path, "wb") as file:
            for _ in range(100):
                file.write(b"x" * (1 << 20))
        filled.append(place)
    except OSError as error:
        last = error
    finally:
        os.unlink(path)
breached(f"100 MiB in {filled}") if filled else held(last)
"#;

const FILES: &str = r#"
of_a_kernel_of_its_own("it counts no files, which the sandbox says; they are memory of the container's")
places = [".", "/tmp", os.path.expanduser("~"), "/dev/shm"] if INSIDE else ["."]
filled = []
for place in places:
    folder = f"{place}/many"
    os.mkdir(folder)
    try:
        for number in range(3000):
            open(f"{folder}/{number}", "w").close()
        filled.append(place)
    except OSError as error:
        last = error
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
breached(f"3000 files in {filled}") if filled else held(last)
"#;

const ATTRIBUTES: &str = r#"
of_a_kernel_of_its_own("attributes are memory of the container's, which is bounded")
# 4 KiB each: 100 MiB of what no file's size tells of.
written = 0
try:
    for number in range(100):
        for name in range(256 if INSIDE else 1):
            open(f"a{number}", "a").close()
            os.setxattr(f"a{number}", f"user.{name}", b"x" * (4000 if INSIDE else 3000))
            written += 1
except OSError as error:
    last = error
if not INSIDE:
    breached(f"{written} attributes, bounded by nothing but the disk") if written == 100 else absent("no attributes of users here")
breached("100 MiB of attributes") if written == 25600 else held(f"{written}: {last}")
"#;

const PRIORITY: &str = r#"
of_a_kernel_of_its_own("a priority there is none on this machine")
if not INSIDE and os.geteuid() != 0:
    needs_root("take a real-time priority")
def take():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    except OSError:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    os._exit(7)
status = os.waitpid(child(take), 0)[1]
breached("before all others") if status == 7 << 8 else held(f"status {status:#x}")
"#;

const ASYNCHRONOUS: &str = r#"
SYS_io_setup, SYS_io_destroy = (206, 207) if os.uname().machine == "x86_64" else (0, 1)
context = (ctypes.c_ulong * 1)()
result = call(SYS_io_setup, 1000, context)
if result != 0:
    absent("this kernel has none") if result == "ENOSYS" and not INSIDE else held(result)
taken = None if INSIDE else open("/proc/sys/fs/aio-nr").read().strip()
call(SYS_io_destroy, context[0])
breached(f"of those of the whole machine {taken} are taken")
"#;

const LIMITS: &str = r#"
def raise_one():
    for limit in [resource.RLIMIT_NPROC, resource.RLIMIT_DATA, resource.RLIMIT_CORE, resource.RLIMIT_NOFILE]:
        try:
            soft, hard = resource.getrlimit(limit)
            if hard == resource.RLIM_INFINITY and INSIDE and limit != resource.RLIMIT_DATA:
                return f"limit {limit} is none"
            resource.setrlimit(limit, (soft, hard if hard == resource.RLIM_INFINITY else hard + 1))
            if hard != resource.RLIM_INFINITY or not INSIDE:
                return f"limit {limit}"
        except (OSError, ValueError) as error:
            last = error
    raise OSError(str(last))
if not INSIDE and os.geteuid() != 0:
    needs_root("raise a limit")
tried("raised", raise_one)
"#;

/// Whether all processes could open half of what there is. It is not tried: the others on this machine need theirs.
const OPEN_FILES: &str = r#"
if not os.path.exists("/proc/sys/fs/file-max"):
    absent("this kernel has no table of open files for everybody")
table = int(open("/proc/sys/fs/file-max").read())
each, processes = [resource.getrlimit(limit)[1] for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)]
unbounded = resource.RLIM_INFINITY in (each, processes)
most = f"{processes} processes may open {each} files each, of {table}"
breached(most) if unbounded or each * processes > table / 2 else held(most)
"#;

/// With as many processes as sessions have when nobody says how many.
fn open_files(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let processes_max = Policy::default().processes_max;
        let sandbox = stage.open(Policy { processes_max, ..policy() }).await.unwrap();
        let ran = sandbox.run(&stage.shell(OPEN_FILES, "inside")).await;
        sandbox.sandbox.close().await.unwrap();
        Tried { attack: super::stage::said(&ran.output), control: stage.outside(OPEN_FILES).await }
    })
}

/// What this process holds in memory right now, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

fn output_without_end(stage: &Stage) -> Trial<'_> {
    /// Many times what this process may grow by.
    const OUTPUT: u64 = 3_000_000_000;
    /// What this process may grow by meanwhile; other tests run beside this one.
    const GROWN_MAX: u64 = 256 << 20;
    /// So much shows it as well where a kernel is too slow for all of it.
    const MUCH: u64 = 4 * GROWN_MAX;
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        let before = resident();
        let ran = sandbox.run(&format!("head -c {OUTPUT} /dev/zero")).await;
        let grown = resident().saturating_sub(before);
        sandbox.sandbox.close().await.unwrap();
        let kept = ran.output.len();
        let attack = match (ran.ended, ran.output_bytes) {
            (Ended::Exited(0), OUTPUT) | (Ended::TimedOut, MUCH..) => {
                match kept < 1 << 20 && grown < GROWN_MAX {
                    true => Said::Held(format!("{kept} bytes kept")),
                    false => Said::Breached(format!("{kept} bytes kept, {grown} bytes taken")),
                }
            }
            (ended, bytes) => Said::Unclear(format!("{ended:?} after {bytes} bytes")),
        };
        // Whoever collects the output of a child collects all of it; a tenth shows it.
        let before = resident();
        let careless =
            std::process::Command::new("head").args(["-c", "300000000", "/dev/zero"]).output().unwrap();
        let (kept, grown) = (careless.stdout.len(), resident().saturating_sub(before));
        let control = match kept == 300_000_000 && grown > GROWN_MAX {
            true => Said::Breached(format!("{kept} bytes kept, {grown} bytes taken")),
            false => Said::Held(format!("{kept} bytes kept, {grown} bytes taken")),
        };
        Tried { attack, control }
    })
}

fn holes(stage: &Stage) -> Trial<'_> {
    const SIZE: u64 = 1 << 40;
    const READ_MAX: u64 = 1 << 20;
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        sandbox.run(&format!("truncate -s {SIZE} holes")).await;
        let listed = sandbox.sandbox.changes().await.unwrap().paths;
        let attack = match &listed[..] {
            [file] if matches!(file.kind, ChangedKind::File { bytes: SIZE, .. }) => {
                match sandbox.sandbox.content(file, READ_MAX).await.unwrap() {
                    events::Content::File { bytes, .. } if bytes.len() as u64 <= READ_MAX => {
                        Said::Held(format!("{} bytes read", bytes.len()))
                    }
                    _ => Said::Breached("all of it was read".to_owned()),
                }
            }
            other => Said::Unclear(format!("{other:?}")),
        };
        sandbox.sandbox.close().await.unwrap();
        // Whoever makes room for a file by its size has not so much.
        let file = tempfile::tempfile().unwrap();
        let control = match file.set_len(SIZE) {
            Ok(())
                if Vec::<u8>::new().try_reserve_exact(file.metadata().unwrap().len() as usize).is_err() =>
            {
                Said::Breached("no memory for it".to_owned())
            }
            Ok(()) => Said::Breached(format!("{SIZE} bytes to read")),
            Err(error) => Said::Absent(format!("no such file here: {error}")),
        };
        Tried { attack, control }
    })
}

fn shut_folder(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let sandbox = stage.open(policy()).await.unwrap();
        sandbox.run("mkdir -p shut/in; echo x > shut/in/file; chmod 000 shut/in/file shut/in shut").await;
        let listed = sandbox.sandbox.changes().await.unwrap().paths;
        let attack = if listed.iter().any(|changed| changed.path == b"shut/in/file") {
            Said::Held("it is listed".to_owned())
        } else {
            Said::Breached(format!("{} paths are listed", listed.len()))
        };
        sandbox.sandbox.close().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("shut")).unwrap();
        fs::set_permissions(folder.path().join("shut"), fs::Permissions::from_mode(0o000)).unwrap();
        let control = match fs::read_dir(folder.path().join("shut")) {
            Err(error) => Said::Breached(error.to_string()),
            Ok(_) => Said::Unshown("root may read every folder".to_owned()),
        };
        fs::set_permissions(folder.path().join("shut"), fs::Permissions::from_mode(0o700)).unwrap();
        Tried { attack, control }
    })
}
