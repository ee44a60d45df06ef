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

/// The number is newer than the C library's crate.
const SYS_OPEN_TREE_ATTR: c_long = 467;
/// The kind of socket by which packets were read before there was a family of them.
const SOCK_PACKET: u64 = 10;
/// Calls of the x32 ABI carry this bit and pass for calls of x86-64; no list of numbers meets them.
const X32_BIT: u32 = 0x4000_0000;

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
    SYS_OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
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
        #[cfg(target_arch = "x86_64")]
        bytes(&refused_x32()),
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
    // A terminal would take these for what somebody typed.
    rules.insert(libc::SYS_ioctl, vec![rule(&[(1, Eq, libc::TIOCSTI)])?, rule(&[(1, Eq, libc::TIOCLINUX)])?]);
    rules.insert(libc::SYS_socket, refused_sockets()?);
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

/// All families but four, raw sockets of the internet's, packet sockets, and of netlink all but routes. Netlink's own are
/// raw by name only.
fn refused_sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let number = |value: libc::c_int| u64::from(value.unsigned_abs());
    let (inet, inet6) = (number(libc::AF_INET), number(libc::AF_INET6));
    let (raw, packet) = (number(libc::SOCK_RAW), SOCK_PACKET);
    // Above it stand SOCK_NONBLOCK and SOCK_CLOEXEC.
    let kind = MaskedEq(0xf);
    Ok(vec![
        rule(&[
            (0, Ne, number(libc::AF_UNIX)),
            (0, Ne, inet),
            (0, Ne, inet6),
            (0, Ne, number(libc::AF_NETLINK)),
        ])?,
        rule(&[(0, Eq, inet), (1, kind.clone(), raw)])?,
        rule(&[(0, Eq, inet6), (1, kind.clone(), raw)])?,
        rule(&[(1, kind, packet)])?,
        rule(&[(0, Eq, number(libc::AF_NETLINK)), (2, Ne, number(libc::NETLINK_ROUTE))])?,
    ])
}

/// Holds when all of (argument, comparison, value) hold. The kernel reads these arguments as 32 bits, so the filter does.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().map(|(argument, comparison, value)| {
        SeccompCondition::new(*argument, Dword, comparison.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

/// Written by hand: the crate's filters know single numbers only.
#[cfg(target_arch = "x86_64")]
fn refused_x32() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ERRNO | libc::EPERM.unsigned_abs() },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ALLOW },
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
