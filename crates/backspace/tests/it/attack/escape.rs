//! Attacks that try to leave the sandbox: to this machine's files, its processes, or into its kernel.

use super::{Attack, Class, How};

/// Ways out, by files, by processes, by the kernel.
pub(crate) const CLASS: Class = Class { name: "escape", attacks: ATTACKS };

#[tokio::test]
async fn every_attack_is_held() {
    super::all_held(&CLASS).await;
}

const ATTACKS: &[Attack] = &[
    Attack { name: "read a file of this machine by its path", how: How::Script(READ_BY_PATH) },
    Attack { name: "read it by /proc/PID/root, cwd and fd of every process", how: How::Script(READ_BY_PROC) },
    Attack { name: "read it by its handle, whatever is mounted", how: How::Script(READ_BY_HANDLE) },
    Attack { name: "write into a folder of this machine that everybody may write", how: How::Script(WRITE) },
    Attack { name: "make a device and open it", how: How::Script(DEVICE) },
    Attack { name: "open the devices of this machine", how: How::Script(DEVICES) },
    Attack { name: "look into /sys", how: How::Script(SYS) },
    Attack {
        name: "set core_pattern or another setting in /proc/sys, or press SysRq",
        how: How::Script(SETTINGS),
    },
    Attack { name: "read the kernel's command line, symbols and memory", how: How::Script(KERNEL_FILES) },
    Attack { name: "gain privileges by a setuid program", how: How::Script(SETUID) },
    Attack {
        name: "use a descriptor that was left open",
        how: How::Harmful { attack: DESCRIPTORS, control: LEFT_OPEN },
    },
    Attack { name: "see and signal this machine's processes", how: How::Script(PROCESSES) },
    Attack { name: "trace a process, read and write its memory", how: How::Script(TRACE) },
    Attack { name: "take a descriptor from a process", how: How::Script(PIDFD) },
    Attack { name: "a user namespace by unshare, clone and clone3", how: How::Script(NAMESPACES) },
    Attack { name: "mount, by the old call and by the new ones", how: How::Script(MOUNTS) },
    Attack { name: "chroot and pivot_root", how: How::Script(CHROOT) },
    Attack { name: "enter another namespace", how: How::Script(SETNS) },
    Attack { name: "io_uring", how: How::Script(IO_URING) },
    Attack { name: "bpf, perf, userfaultfd, fanotify", how: How::Script(KERNEL_CODE) },
    Attack { name: "the kernel's keyrings", how: How::Script(KEYRINGS) },
    Attack { name: "modules, kexec, reboot, swap, clock, accounting, system log", how: How::Script(MACHINE) },
    Attack { name: "calls that are newer than the filter", how: How::Script(NEWER_CALLS) },
    Attack { name: "calls of the 32-bit and the x32 ABI", how: How::Script(OTHER_ABIS) },
    Attack { name: "change the personality, place memory on nodes", how: How::Script(PERSONALITY) },
    Attack { name: "type into a terminal, change its line discipline", how: How::Script(TERMINAL) },
    Attack { name: "leave a core dump", how: How::Script(CORE) },
];

const READ_BY_PATH: &str = r#"
tried("the file", lambda: open(os.environ["CANARY"]).read() == os.environ["CANARY_TEXT"])
"#;

const READ_BY_PROC: &str = r#"
path, text = os.environ["CANARY"], os.environ["CANARY_TEXT"]
for process in filter(str.isdigit, os.listdir("/proc")):
    for way in (f"/proc/{process}/root{path}", f"/proc/{process}/cwd/..{path}", f"/proc/{process}/cwd/../../../../..{path}"):
        try:
            if open(way).read() == text:
                breached(way)
        except OSError:
            pass
held("no process leads there")
"#;

const READ_BY_HANDLE: &str = r#"
# The attack known as shocker: a handle of a file opens it on a file system, wherever in it the mounts begin.
NAME_TO, OPEN_BY = (303, 304) if os.uname().machine == "x86_64" else (264, 265)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * 128)]
def by_handle(path):
    handle, mount = Handle(128), ctypes.c_int()
    if C.syscall(ctypes.c_long(NAME_TO), -100, path.encode(), ctypes.byref(handle), ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    opened = C.syscall(ctypes.c_long(OPEN_BY), folder, ctypes.byref(handle), os.O_RDONLY)
    if opened < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return os.read(opened, 100)
if not INSIDE and os.geteuid() != 0:
    needs_root("open by handle")
tried("a file by its handle", lambda: by_handle("/etc/passwd" if INSIDE else os.environ["CANARY"]))
"#;

const WRITE: &str = r#"
def write():
    path = os.environ["OPEN_FOLDER"] + "/" + os.environ["ATTACK_PLACE"]
    open(path, "w").write("x")
    return path
tried("written", write)
"#;

const DEVICE: &str = r#"
of_a_kernel_of_its_own("a device means what that kernel says")
if not INSIDE and os.geteuid() != 0:
    needs_root("make a device")
def make():
    for number, place in enumerate([".", "/tmp", "/dev/shm", os.path.expanduser("~")]):
        path = f"{place}/device-{number}"
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))
            return open(path, "rb").read(1) == b"\0" and path
        except OSError as error:
            last = error
        finally:
            if os.path.exists(path):
                os.unlink(path)
    raise last
tried("a device of our own", make)
"#;

const DEVICES: &str = r#"
of_a_kernel_of_its_own("what stands in /dev is that kernel's")
opened = []
for folder, _, names in os.walk("/dev"):
    for name in names:
        path = f"{folder}/{name}"
        known = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts/")
        if stat.S_ISLNK(os.lstat(path).st_mode) or path.startswith(known):
            continue
        if stat.S_ISCHR(os.stat(path).st_mode) or stat.S_ISBLK(os.stat(path).st_mode):
            opened.append(path)
tried("devices", lambda: " ".join(opened[:5]))
"#;

const SYS: &str = r#"
tried("/sys", lambda: os.listdir("/sys/kernel"))
"#;

const SETTINGS: &str = r#"
if not INSIDE and os.geteuid() != 0:
    needs_root("open these for writing")
def open_one():
    # Opened for writing and nothing written: that alone is too much.
    paths = ["kernel/core_pattern", "kernel/modprobe", "kernel/hostname", "vm/drop_caches", "net/ipv4/ip_forward"]
    for path in [f"/proc/sys/{path}" for path in paths] + ["/proc/sysrq-trigger"]:
        try:
            os.close(os.open(path, os.O_WRONLY))
            return path
        except OSError as error:
            last = error
    raise last
tried("open for writing", open_one)
"#;

const KERNEL_FILES: &str = r#"
of_a_kernel_of_its_own("it tells of itself")
def read_one():
    for path in ["cmdline", "config.gz", "kcore", "keys", "key-users", "kpagecount", "kpageflags", "modules", "timer_list",
                 "sched_debug", "latency_stats", "vmallocinfo", "iomem", "slabinfo", "kallsyms"]:
        try:
            if open(f"/proc/{path}", "rb").read(1):
                return path
        except OSError as error:
            last = error
    raise last
tried("/proc tells", read_one)
"#;

const SETUID: &str = r#"
PR_GET_NO_NEW_PRIVS = 39
if C.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
    breached("programs may gain privileges")
found = subprocess.run(["find", "/usr", "-xdev", "-perm", "/6000", "-type", "f"], capture_output=True, text=True).stdout.split()
flags = [line.split()[5] for line in open("/proc/self/mountinfo") if line.split()[4] == "/usr"]
if flags and "nosuid" not in flags[0]:
    breached("/usr honours " + " ".join(found[:3]))
# An engine mounts an image's root as it likes.
held(f"no new privileges{', nosuid' if flags else ''}; {len(found)} such programs")
"#;

const DESCRIPTORS: &str = r#"
# As the shell was given them: this program's own are opened after.
out = subprocess.run(["bash", "-c", "ls -l /proc/$PPID/fd /proc/self/fd"], capture_output=True, text=True, close_fds=False).stdout
import re
odd = [line for line in out.splitlines() if "->" in line and not re.search(r"-> (pipe:|/dev/null|/proc/|/tmp/sh-thd|/tmp/bash|\S*\(deleted\))", line)]
tried("descriptors", lambda: odd)
"#;

const LEFT_OPEN: &str = r#"
# Somebody who starts a program without care hands on what is open.
opened = os.open(os.environ["CANARY"], os.O_RDONLY)
os.set_inheritable(opened, True)
out = subprocess.run(["cat", f"/proc/self/fd/{opened}"], capture_output=True, text=True, close_fds=False).stdout
tried("read by a descriptor that was left open", lambda: out == os.environ["CANARY_TEXT"])
"#;

const PROCESSES: &str = r#"
victim = int(os.environ["VICTIM"])
def reach():
    os.kill(victim, 0)
    line = open(f"/proc/{victim}/cmdline").read()
    return "sleep" in line and line
tried("the process outside", reach)
"#;

const TRACE: &str = r#"
PTRACE, READ_MEMORY = (101, 310) if os.uname().machine == "x86_64" else (117, 270)
neighbour = child(lambda: time.sleep(100))
through = []
for target in [neighbour, 1] if INSIDE else [neighbour]:
    if call(PTRACE, 16, target, 0, 0) not in ("EPERM", "ENOSYS"):
        through.append(f"ptrace of {target}")
    if target == 1 or INSIDE:
        try:
            open(f"/proc/{target}/mem", "r+b").close()
            if target == 1:
                through.append("the memory of process 1")
        except OSError:
            pass
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    if call(READ_MEMORY, target, vector, 1, vector, 1, 0) not in ("EPERM", "ENOSYS"):
        through.append(f"process_vm_readv of {target}")
os.kill(neighbour, 9)
tried("reached", lambda: ", ".join(through))
"#;

const PIDFD: &str = r#"
neighbour = child(lambda: time.sleep(100))
handle = call(434, neighbour, 0)
taken = call(438, handle, 0, 0) if isinstance(handle, int) else handle
os.kill(neighbour, 9)
if taken == "ENOSYS" and not INSIDE:
    absent("no pidfd_getfd in this kernel")
held(taken) if isinstance(taken, str) else breached(f"descriptor {taken}")
"#;

const NAMESPACES: &str = r#"
UNSHARE, CLONE = (272, 56) if os.uname().machine == "x86_64" else (97, 220)
USER, NEW = 0x10000000, [0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000]
through = []
def in_child(work):
    process = os.fork()
    if process == 0:
        os._exit(0 if isinstance(work(), int) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
if in_child(lambda: call(UNSHARE, USER)):
    through.append("unshare user")
for flag in NEW:
    if in_child(lambda: call(UNSHARE, USER | flag)) or in_child(lambda: call(UNSHARE, flag)):
        through.append(f"unshare {flag:#x}")
process = call(CLONE, USER | signal.SIGCHLD, 0, 0, 0, 0)
if process == 0:
    os._exit(0)
if isinstance(process, int):
    os.waitpid(process, 0)
    through.append("clone user")
arguments = (ctypes.c_uint64 * 11)(USER, 0, 0, 0, signal.SIGCHLD)
process = call(435, arguments, 88)
if process == 0:
    os._exit(0)
if isinstance(process, int):
    os.waitpid(process, 0)
    through.append("clone3 user")
tried("namespaces", lambda: ", ".join(through))
"#;

const MOUNTS: &str = r#"
MOUNT, UMOUNT = (165, 166) if os.uname().machine == "x86_64" else (40, 39)
closed(mount=(MOUNT, b"x", b"/nonexistent", b"tmpfs", 0, 0), umount2=(UMOUNT, b"/nonexistent", 0),
       open_tree=(428, -100, b"/", 1), move_mount=(429, -1, b"", -1, b"", 0x44), fsopen=(430, b"tmpfs", 0),
       fsconfig=(431, -1, 0, 0, 0, 0), fsmount=(432, -1, 0, 0), fspick=(433, -100, b"/", 0),
       mount_setattr=(442, -100, b"/nonexistent", 0, 0, 0))
"#;

const CHROOT: &str = r#"
CHROOT, PIVOT = (161, 155) if os.uname().machine == "x86_64" else (51, 41)
closed(chroot=(CHROOT, b"/nonexistent"), pivot_root=(PIVOT, b"/nonexistent", b"/nonexistent"))
"#;

const SETNS: &str = r#"
SETNS = 308 if os.uname().machine == "x86_64" else 268
closed(setns=(SETNS, os.open("/proc/self/ns/user", os.O_RDONLY), 0))
"#;

const IO_URING: &str = r#"
closed(setup=(425, 4, ctypes.create_string_buffer(256)), enter=(426, -1, 0, 0, 0, 0), register=(427, -1, 0, 0, 0))
"#;

const KERNEL_CODE: &str = r#"
BPF, PERF, FAULTS, FANOTIFY = (321, 298, 323, 300) if os.uname().machine == "x86_64" else (280, 241, 282, 262)
closed(bpf=(BPF, 0, ctypes.create_string_buffer(128), 128), perf=(PERF, ctypes.create_string_buffer(128), 0, -1, -1, 0),
       userfaultfd=(FAULTS, 1), fanotify=(FANOTIFY, 0x800, 0))
"#;

const KEYRINGS: &str = r#"
ADD, REQUEST, CTL = (248, 249, 250) if os.uname().machine == "x86_64" else (217, 218, 219)
closed(add_key=(ADD, b"user", b"attack", b"x", 1, -2), request_key=(REQUEST, b"user", b"attack", 0, 0), keyctl=(CTL, 0, -3, 0, 0, 0))
"#;

const MACHINE: &str = r#"
# With arguments that no kernel takes: outside they end in its code, and do nothing.
X86 = os.uname().machine == "x86_64"
numbers = dict(init_module=(175, 105), finit_module=(313, 273), delete_module=(176, 106), kexec_load=(246, 104), reboot=(169, 142),
               swapon=(167, 224), swapoff=(168, 225), acct=(163, 89), settimeofday=(164, 170), clock_settime=(227, 112), syslog=(103, 116))
arguments = dict(kexec_load=(0, 99999, 0, 0), acct=(b"/nonexistent",), swapon=(b"/nonexistent", 0), swapoff=(b"/nonexistent",), clock_settime=(0, 0),
                 settimeofday=(1, 0), syslog=(99, 0, 0), delete_module=(b"nonexistent", 0))
closed(**{name: (number[0 if X86 else 1], *arguments.get(name, (-1, 0, 0, 0))) for name, number in numbers.items()})
"#;

const NEWER_CALLS: &str = r#"
closed(memfd_secret=(447, 0), statmount=(457, 0, 0, 0, 0), listmount=(458, 0, 0, 0, 0), lsm_set_self_attr=(460, 0, 0, 0, 0),
       open_tree_attr=(467, -1, 0, 0, 0, 0), file_getattr=(468, -1, 0, 0, 0, 0), file_setattr=(469, -1, 0, 0, 0, 0), listns=(470, 0, 0, 0, 0))
"#;

const OTHER_ABIS: &str = r#"
if os.uname().machine != "x86_64":
    absent("there is one ABI only")
import mmap
through = []
if isinstance(call(0x40000000 + 39), int):
    through.append("x32")
def by_interrupt():
    # mov eax, 20 (getpid of i386); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)()
process = os.fork()
if process == 0:
    os._exit(0 if by_interrupt() == os.getpid() else 1)
if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0:
    through.append("int 0x80")
if not through and not INSIDE:
    absent("this kernel has neither ABI")
tried("calls by", lambda: ", ".join(through))
"#;

const PERSONALITY: &str = r#"
PERSONALITY, MBIND, POLICY, MIGRATE = (135, 237, 238, 256) if os.uname().machine == "x86_64" else (92, 235, 237, 238)
closed(personality=(PERSONALITY, 0xffffffff), mbind=(MBIND, 0, 0, 99, 0, 0, 0), set_mempolicy=(POLICY, 99, 0, 0), migrate_pages=(MIGRATE, 0, 1, 0, 0))
"#;

const TERMINAL: &str = r#"
import fcntl, pty, termios
outer, inner = pty.openpty()
TIOCSTI, TIOCSETD, TIOCCONS = 0x5412, 0x5423, 0x541D
through = []
for name, request, argument in [("TIOCSTI", TIOCSTI, b"x"), ("TIOCSETD", TIOCSETD, struct.pack("i", 0)), ("TIOCSETD in 64 bits", TIOCSETD, struct.pack("i", 0))]:
    number = request | 1 << 32 if name.endswith("64 bits") else request
    if C.ioctl(inner, ctypes.c_ulong(number), argument) == 0:
        through.append(name)
tried("ioctl", lambda: ", ".join(through))
"#;

const CORE: &str = r#"
if not INSIDE:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
process = child(os.abort)
dumped = os.WCOREDUMP(os.waitpid(process, 0)[1])
if not dumped and not INSIDE:
    absent("core dumps are switched off on this machine")
tried("dumped", lambda: dumped)
"#;
