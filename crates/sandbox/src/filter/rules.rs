//! Which system calls are refused, as data: what the kernel and what container engines are told is made of it.
//!
//! A list of what is refused: programs of every kind run inside, so a list of what is allowed would break some of them.

use libc::{c_int, c_long};

/// A mask over the kind of a socket: above it stand SOCK_NONBLOCK and SOCK_CLOEXEC.
const SOCKET_KIND: u64 = 0xf;
/// Loads code for another protocol into a connection, TLS for one. To programs it is a matter of speed.
const TCP_ULP: u64 = 31;

/// Calls whose numbers are newer than the C library's crate; all architectures share them. They tell of mounts, and change
/// labels of the process.
const NEWER: &[Call] = &[
    Call { name: "SYS_statmount", number: 457 },
    Call { name: "SYS_listmount", number: 458 },
    Call { name: "SYS_lsm_set_self_attr", number: 460 },
];

/// A system call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// `SYS_` and the kernel's name.
    name: &'static str,
    pub(super) number: c_long,
}

impl Call {
    /// The kernel's name.
    pub(super) fn name(self) -> &'static str {
        self.name.trim_start_matches("SYS_")
    }
}

/// A call is refused when all of these hold of its arguments; without any, always.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) call: Call,
    pub(super) when: Vec<Condition>,
}

/// What holds of an argument. The kernel reads these arguments as 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Counted from 0.
    pub(super) argument: u8,
    pub(super) is: Is,
}

/// What an argument is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Is {
    /// This value.
    Equal(u64),
    /// Any value but these, which are sorted.
    NoneOf(&'static [u64]),
    /// This value where the mask has bits.
    Masked { mask: u64, value: u64 },
}

/// Calls by the names of their numbers.
macro_rules! calls {
    ($($(#[$attribute:meta])* $number:ident),* $(,)?) => {
        &[$($(#[$attribute])* call!($number)),*]
    };
}

macro_rules! call {
    ($number:ident) => {
        Call { name: stringify!($number), number: libc::$number }
    };
}

/// Newer than the C library's crate, as those of [`NEWER`]; of an age at which architectures still had numbers of their own.
const IO_PGETEVENTS: Call = Call {
    name: "SYS_io_pgetevents",
    #[cfg(target_arch = "x86_64")]
    number: 333,
    #[cfg(target_arch = "aarch64")]
    number: 292,
};

/// Answered as if the kernel did not have them.
pub(super) fn absent() -> impl Iterator<Item = Call> {
    ABSENT.iter().copied().chain([IO_PGETEVENTS])
}

const ABSENT: &[Call] = calls![
    // Its flags lie in memory that no filter can read. C libraries take `clone` when it is not there.
    SYS_clone3,
    // What these set up is counted for the whole machine and for no user: a few calls take all of it from the databases
    // that run beside us. Programs that want them read and write otherwise when they are not there.
    SYS_io_setup,
    SYS_io_destroy,
    SYS_io_submit,
    SYS_io_cancel,
    SYS_io_getevents,
];

/// Refused whatever the arguments. Without capabilities most of them fail anyway; here they do so in older and newer
/// kernels alike, before any of their code runs.
const REFUSED: &[Call] = calls![
    // Other processes: no debugger inside, or a program could take over its neighbours.
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_kcmp,
    SYS_pidfd_getfd,
    // Ways into the kernel with a long record of holes.
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    // Mounts and namespaces.
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_setns,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_open_tree,
    SYS_move_mount,
    SYS_mount_setattr,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    // Memory that nobody but its owner can look at.
    SYS_memfd_secret,
    // The machine.
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_syslog,
    SYS_vhangup,
    SYS_personality,
    // Placement of memory.
    SYS_mbind,
    SYS_set_mempolicy,
    SYS_set_mempolicy_home_node,
    SYS_migrate_pages,
    SYS_move_pages,
    #[cfg(target_arch = "x86_64")]
    SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    SYS_uselib,
];

/// Every new namespace.
const NAMESPACES: &[c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// CLONE_NEWTIME. To `clone` the same bit is part of the signal number, which stands in the low byte.
const NEWTIME: c_int = 0x80;

/// Every rule; a call is refused when any of its rules holds.
pub(super) fn refused() -> Vec<Rule> {
    let mut rules: Vec<Rule> = REFUSED.iter().chain(NEWER).map(|call| rule(*call, &[])).collect();
    for flag in NAMESPACES {
        rules.push(rule(call!(SYS_unshare), &[(0, has(*flag))]));
        rules.push(rule(call!(SYS_clone), &[(0, has(*flag))]));
    }
    rules.push(rule(call!(SYS_unshare), &[(0, has(NEWTIME))]));
    // A terminal would take the first two for what somebody typed, the third takes the console's output away, and the
    // fourth loads a driver for whatever hangs at a serial line; many of those were never meant for strangers.
    for request in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCCONS, libc::TIOCSETD] {
        rules.push(rule(call!(SYS_ioctl), &[(1, Is::Equal(request))]));
    }
    rules.extend(sockets());
    // There are pairs of few families; others would be loaded to be asked.
    rules.push(rule(call!(SYS_socketpair), &[(0, Is::NoneOf(&[1]))]));
    let upper_protocol = [(1, Is::Equal(bits(libc::IPPROTO_TCP))), (2, Is::Equal(TCP_ULP))];
    rules.push(rule(call!(SYS_setsockopt), &upper_protocol));
    rules.extend(calls_on_process_1());
    rules
}

/// Whoever runs inside has process 1's effective user, and could take its descriptors or its processor away from it: by
/// its own number, or by that of any of its threads, which no rule can know. So a process changes nobody but itself, and
/// says so by 0, as most programs do; what does it by its own number goes on with what it had. Signals go by number all
/// the same: Linux keeps them from all threads of a process 1, and in containers it has another user.
fn calls_on_process_1() -> Vec<Rule> {
    const OTHERS: Is = Is::NoneOf(&[0]);
    const PRIO_PROCESS: &[u64] = &[0];
    const IOPRIO_WHO_PROCESS: &[u64] = &[1];
    let process_1 = Is::Equal(1);
    vec![
        rule(call!(SYS_kill), &[(0, process_1)]),
        rule(call!(SYS_tkill), &[(0, process_1)]),
        rule(call!(SYS_tgkill), &[(0, process_1)]),
        rule(call!(SYS_rt_sigqueueinfo), &[(0, process_1)]),
        rule(call!(SYS_rt_tgsigqueueinfo), &[(0, process_1)]),
        rule(call!(SYS_prlimit64), &[(0, OTHERS)]),
        rule(call!(SYS_sched_setscheduler), &[(0, OTHERS)]),
        rule(call!(SYS_sched_setparam), &[(0, OTHERS)]),
        rule(call!(SYS_sched_setattr), &[(0, OTHERS)]),
        rule(call!(SYS_sched_setaffinity), &[(0, OTHERS)]),
        rule(call!(SYS_setpriority), &[(1, OTHERS)]),
        rule(call!(SYS_setpriority), &[(0, Is::NoneOf(PRIO_PROCESS))]),
        rule(call!(SYS_ioprio_set), &[(1, OTHERS)]),
        rule(call!(SYS_ioprio_set), &[(0, Is::NoneOf(IOPRIO_WHO_PROCESS))]),
    ]
}

/// All families but four; of the internet's, all but TCP and UDP; of netlink, all but routes. Netlink's own are raw by
/// name only. What is asked for by number is loaded into the kernel, and much of it has seen few attackers.
fn sockets() -> Vec<Rule> {
    // UNIX, INET, INET6 and NETLINK.
    const FAMILIES: &[u64] = &[1, 2, 10, 16];
    // What the kind says already, and the same by number.
    const TCP: &[u64] = &[0, 6];
    const UDP: &[u64] = &[0, 17];
    const NETLINK_ROUTE: &[u64] = &[0];
    let family = |value| (0, Is::Equal(bits(value)));
    let kind = |value| (1, Is::Masked { mask: SOCKET_KIND, value });
    let socket = |when: &[_]| rule(call!(SYS_socket), when);
    let mut rules = vec![
        socket(&[(0, Is::NoneOf(FAMILIES))]),
        socket(&[family(libc::AF_NETLINK), (2, Is::NoneOf(NETLINK_ROUTE))]),
    ];
    let (stream, datagram) = (bits(libc::SOCK_STREAM), bits(libc::SOCK_DGRAM));
    for internet in [libc::AF_INET, libc::AF_INET6] {
        for of_kind in 0..=SOCKET_KIND {
            let protocols = match of_kind {
                it if it == stream => Some(TCP),
                it if it == datagram => Some(UDP),
                _ => None,
            };
            let protocol = protocols.map(|protocols| (2, Is::NoneOf(protocols)));
            rules.push(socket(
                &[family(internet), kind(of_kind)].into_iter().chain(protocol).collect::<Vec<_>>(),
            ));
        }
    }
    rules
}

fn rule(call: Call, when: &[(u8, Is)]) -> Rule {
    Rule {
        call,
        when: when.iter().map(|(argument, is)| Condition { argument: *argument, is: *is }).collect(),
    }
}

fn has(flag: c_int) -> Is {
    Is::Masked { mask: bits(flag), value: bits(flag) }
}

fn bits(value: c_int) -> u64 {
    u64::from(value.cast_unsigned())
}
