//! The system call filters of a sandbox, as the kernel reads them.
//!
//! A list of what is refused: programs of every kind run inside, so a list of what is allowed would break some of them.
//! The kernel takes the strictest answer of several filters, so each kind of answer is a filter of its own.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// The newest call that somebody has looked at for this list (`removexattrat`). Later ones are answered as an older kernel
/// would, and programs take what they took before: a list of what is refused ages, and every kernel brings new calls.
const NEWEST_CALL: u32 = 466;
/// Calls of the x32 ABI carry this bit and pass for calls of x86-64; no list of numbers meets them.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;
/// A mask over the kind of a socket: above it stand SOCK_NONBLOCK and SOCK_CLOEXEC.
const SOCKET_KIND: u64 = 0xf;
/// Loads code for another protocol into a connection, TLS for one. To programs it is a matter of speed.
const TCP_ULP: u64 = 31;

// These numbers are newer than the C library's crate; all architectures share them.
const SYS_STATMOUNT: c_long = 457;
const SYS_LISTMOUNT: c_long = 458;
const SYS_LSM_SET_SELF_ATTR: c_long = 460;

/// Refused whatever the arguments. Without capabilities most of them fail anyway; here they do so in older and newer
/// kernels alike, before any of their code runs.
const REFUSED: &[c_long] = &[
    // Other processes: no debugger inside, or a program could take over its neighbours.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Ways into the kernel with a long record of holes.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    SYS_STATMOUNT,
    SYS_LISTMOUNT,
    // Memory that nobody but its owner can look at, and labels of the process.
    libc::SYS_memfd_secret,
    SYS_LSM_SET_SELF_ATTR,
    // The machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // Placement of memory.
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_set_mempolicy_home_node,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// Every new namespace.
const NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    // CLONE_NEWTIME; to `clone` the same bit is part of the signal number, to `unshare` it is this.
    0x80,
];

/// The filters, one after the other.
pub(crate) fn programs() -> Result<Vec<Vec<u8>>, BackendError> {
    let refused = SeccompFilter::new(
        refused_calls()?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    // Its flags lie in memory that no filter can read. C libraries take `clone` when it is not there.
    let absent = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, vec![])]),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(vec![
        bytes(&BpfProgram::try_from(refused)?),
        bytes(&BpfProgram::try_from(absent)?),
        bytes(&refused_numbers()),
    ])
}

fn refused_calls() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, vec![])).collect();
    let mut namespaces = Vec::new();
    for flag in NAMESPACES {
        let flag = u64::from(flag.unsigned_abs());
        namespaces.push(rule(&[(0, MaskedEq(flag), flag)])?);
    }
    rules.insert(libc::SYS_unshare, namespaces.clone());
    // The low byte is the signal that the child's end sends.
    namespaces.pop();
    rules.insert(libc::SYS_clone, namespaces);
    // A terminal would take the first two for what somebody typed, the third takes the console's output away, and the
    // fourth loads a driver for whatever hangs at a serial line; many of those were never meant for strangers.
    let of_terminals = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCCONS, libc::TIOCSETD];
    rules.insert(
        libc::SYS_ioctl,
        of_terminals.map(|it| rule(&[(1, Eq, it)])).into_iter().collect::<Result<_, _>>()?,
    );
    rules.insert(libc::SYS_socket, refused_sockets()?);
    // There are pairs of few families; others would be loaded to be asked.
    rules.insert(libc::SYS_socketpair, vec![rule(&[(0, Ne, number(libc::AF_UNIX))])?]);
    rules.insert(libc::SYS_setsockopt, vec![rule(&[(1, Eq, number(libc::IPPROTO_TCP)), (2, Eq, TCP_ULP)])?]);
    rules.extend(calls_on_process_1()?);
    Ok(rules)
}

/// Whoever runs inside has process 1's user id, and could take its descriptors or its processor away from it.
fn calls_on_process_1() -> Result<Vec<(c_long, Vec<SeccompRule>)>, BackendError> {
    const IOPRIO_WHO_PROCESS: u64 = 1;
    let first = || Ok::<_, BackendError>(vec![rule(&[(0, Eq, 1)])?]);
    let second =
        |one_process| Ok::<_, BackendError>(vec![rule(&[(1, Eq, 1)])?, rule(&[(0, Ne, one_process)])?]);
    Ok(vec![
        (libc::SYS_prlimit64, first()?),
        (libc::SYS_sched_setscheduler, first()?),
        (libc::SYS_sched_setparam, first()?),
        (libc::SYS_sched_setattr, first()?),
        (libc::SYS_sched_setaffinity, first()?),
        (libc::SYS_setpriority, second(u64::from(libc::PRIO_PROCESS))?),
        (libc::SYS_ioprio_set, second(IOPRIO_WHO_PROCESS)?),
    ])
}

/// All families but four; of the internet's, all but TCP and UDP; of netlink, all but routes. Netlink's own are raw by
/// name only. What is asked for by number is loaded into the kernel, and much of it has seen few attackers.
fn refused_sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let (inet, inet6, netlink) = (number(libc::AF_INET), number(libc::AF_INET6), number(libc::AF_NETLINK));
    let kind = MaskedEq(SOCKET_KIND);
    let mut rules =
        vec![rule(&[(0, Ne, number(libc::AF_UNIX)), (0, Ne, inet), (0, Ne, inet6), (0, Ne, netlink)])?];
    for family in [inet, inet6] {
        let of_family = (0, Eq, family);
        for (transport, protocol) in
            [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)]
        {
            let of_kind = (1, kind.clone(), number(transport));
            rules.push(rule(&[of_family.clone(), of_kind, (2, Ne, 0), (2, Ne, number(protocol))])?);
        }
        let others = (0..=SOCKET_KIND)
            .filter(|other| ![libc::SOCK_STREAM, libc::SOCK_DGRAM].map(number).contains(other));
        for other in others {
            rules.push(rule(&[of_family.clone(), (1, kind.clone(), other)])?);
        }
    }
    rules.push(rule(&[(0, Eq, netlink), (2, Ne, number(libc::NETLINK_ROUTE))])?);
    Ok(rules)
}

fn number(value: libc::c_int) -> u64 {
    u64::from(value.unsigned_abs())
}

/// Holds when all of (argument, comparison, value) hold. The kernel reads these arguments as 32 bits, so the filter does.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().map(|(argument, comparison, value)| {
        SeccompCondition::new(*argument, Dword, comparison.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// Numbers beyond the newest known one. Written by hand: the crate's filters know single numbers only.
fn refused_numbers() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let instruction = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    vec![
        instruction(LOAD_NUMBER, 0, 0),
        #[cfg(target_arch = "x86_64")]
        instruction(JUMP_IF_AT_LEAST, 1, X32_BIT),
        #[cfg(target_arch = "x86_64")]
        instruction(RETURN, 0, ERRNO | libc::EPERM.unsigned_abs()),
        instruction(JUMP_IF_AT_LEAST, 1, NEWEST_CALL + 1),
        instruction(RETURN, 0, ERRNO | libc::ENOSYS.unsigned_abs()),
        instruction(RETURN, 0, ALLOW),
    ]
}

fn bytes(program: &[sock_filter]) -> Vec<u8> {
    let instruction = |it: &sock_filter| {
        let ([a, b], [e, f, g, h]) = (it.code.to_ne_bytes(), it.k.to_ne_bytes());
        [a, b, it.jt, it.jf, e, f, g, h]
    };
    program.iter().flat_map(instruction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_programs_that_the_kernel_takes() {
        for program in programs().unwrap() {
            let instructions = program.len() / 8;
            assert_eq!(program.len() % 8, 0);
            assert!((3..4096).contains(&instructions), "{instructions} instructions");
        }
    }
}
