//! Leaves what the kernel keeps by its name although nobody uses it.

use crate::attack::stage::{Said, Stage, policy, said};
use crate::attack::{Trial, Tried};

/// What is named `KEY`, a number, or `NAME`.
const NAMES: &str = r#"
SYS_mq_open, SYS_mq_unlink = (240, 241) if os.uname().machine == "x86_64" else (180, 181)
FILE = "/dev/shm/" + NAME.decode()
"#;

const MAKE_NAMES: &str = r#"
os.umask(0)
made = []
for name, way in [
    ("shared memory", lambda: C.shmget(KEY, ctypes.c_size_t(4096), 0o1666)),
    ("messages", lambda: C.msgget(KEY, 0o1666)),
    ("semaphores", lambda: C.semget(KEY, 1, 0o1666)),
    ("a queue", lambda: C.syscall(SYS_mq_open, NAME, os.O_CREAT | os.O_RDWR, 0o666, None)),
    ("a file", lambda: os.open(FILE, os.O_CREAT | os.O_RDWR, 0o666)),
]:
    if way() >= 0:
        made.append(name)
held(", ".join(made)) if len(made) >= 4 else say("UNCLEAR", f"only {made} could be made")
"#;

const SEE_NAMES: &str = r#"
lists = [(name, open(f"/proc/sysvipc/{name}").read().splitlines()[1:]) for name in ("shm", "msg", "sem")]
seen = [name for name, lines in lists if any(line.split()[0] == str(KEY) for line in lines)]
if call(SYS_mq_open, NAME, os.O_RDONLY, 0, 0) not in ("ENOENT", "ENOSYS"):
    seen.append("a queue")
if os.path.exists(FILE):
    seen.append("a file")
breached(", ".join(seen)) if seen else held("nothing")
"#;

const REMOVE_NAMES: &str = r#"
C.shmctl(C.shmget(KEY, ctypes.c_size_t(0), 0), 0, None)
C.msgctl(C.msgget(KEY, 0), 0, None)
C.semctl(C.semget(KEY, 0, 0), 0, 0)
C.syscall(SYS_mq_unlink, NAME)
os.path.exists(FILE) and os.unlink(FILE)
held("removed")
"#;

/// Makes something of each kind that the kernel keeps by its name although nobody uses it, and looks for it on this
/// machine: while the sandbox is open, and when it is closed.
pub(super) fn by_name(stage: &Stage) -> Trial<'_> {
    Box::pin(async move {
        let script = |place: u32, what: &str| {
            let number = 0x6261_0000 + (std::process::id() & 0x7fff) * 2 + place;
            format!("KEY, NAME = {number}, b\"backspace.{number}\"\n{NAMES}{what}")
        };
        let sandbox = stage.open(policy()).await.unwrap();
        let ran = sandbox.run(&stage.shell(&script(0, MAKE_NAMES), "inside")).await;
        let while_open = stage.outside(&script(0, SEE_NAMES)).await;
        sandbox.sandbox.close().await.unwrap();
        let attack = match (said(&ran.output), while_open) {
            (Said::Held(_), Said::Held(_)) => stage.outside(&script(0, SEE_NAMES)).await,
            (Said::Held(_), seen) => seen,
            (unclear, _) => unclear,
        };
        let made = stage.outside(&script(1, MAKE_NAMES)).await;
        let control = match made {
            Said::Held(_) => stage.outside(&script(1, SEE_NAMES)).await,
            other => other,
        };
        stage.outside(&script(1, REMOVE_NAMES)).await;
        Tried { attack, control }
    })
}
