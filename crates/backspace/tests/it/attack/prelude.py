# What every attack begins with: how it says what came of it, and how it calls the kernel by number.
import ctypes, errno, os, resource, signal, socket, stat, struct, subprocess, sys, threading, time

INSIDE = os.environ["ATTACK_PLACE"] == "inside"
C = ctypes.CDLL(None, use_errno=True)
C.syscall.restype = ctypes.c_long


def say(word, why):
    print(f"{word}: {why}", flush=True)
    os._exit(0)


def breached(what):
    say("BREACHED", what)


def held(why):
    say("HELD", why)


def absent(why):
    """This machine has not what the attack needs, inside or outside."""
    say("ABSENT", why)


def needs_root(why):
    """Outside, only root could show that the attack works."""
    say("UNSHOWN", f"only root can: {why}")


def of_a_kernel_of_its_own(why):
    """Where the sandbox has a kernel of its own, which is a program of this machine's, this tells nothing."""
    if INSIDE and os.environ["ATTACK_KERNEL"] == "own":
        absent(f"a kernel of its own: {why}")


def call(number, *arguments):
    """A system call; gives its result, or the name of the error."""
    ctypes.set_errno(0)
    arguments = [a if isinstance(a, (bytes, ctypes.Array, ctypes.c_void_p)) else ctypes.c_long(a) for a in arguments]
    result = C.syscall(ctypes.c_long(number), *arguments)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def closed(**calls):
    """Each call must end at the filter. An error of another kind comes from the kernel's own code: it got through."""
    through, missing = [], []
    for name, (number, *arguments) in calls.items():
        result = call(number, *arguments)
        if result == "ENOSYS" and not INSIDE:
            missing.append(name)
        elif result not in ("EPERM", "ENOSYS"):
            through.append(f"{name} ({result})")
    if through:
        breached(", ".join(through))
    if len(missing) == len(calls):
        absent("no such call in this kernel: " + ", ".join(missing))
    held("EPERM or ENOSYS: " + ", ".join(calls)) if INSIDE else needs_root(", ".join(calls))


def tried(what, attack):
    """`attack` breaches when it returns something, and is held when the system refuses it."""
    try:
        found = attack()
    except OSError as error:
        held(error)
    breached(f"{what}: {found}") if found else held(f"{what}: nothing")


def child(work):
    """A process beside this one that does `work` until it is killed."""
    process = os.fork()
    if process == 0:
        work()
        os._exit(0)
    return process


