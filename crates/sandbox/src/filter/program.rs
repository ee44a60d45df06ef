//! The rules as programs that the kernel runs at each call.
//!
//! The kernel takes the strictest answer of several filters, so each kind of answer is a filter of its own.

use std::collections::BTreeMap;

use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, sock_filter,
};

use super::rules::{self, Condition, Is, Rule};

/// The newest call that somebody has looked at for the list (`removexattrat`). Later ones are answered as an older kernel
/// would, and programs take what they took before: a list of what is refused ages, and every kernel brings new calls.
const NEWEST_CALL: u32 = 466;
/// Calls of the x32 ABI carry this bit and pass for calls of x86-64; no list of numbers meets them.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// The filters, one after the other, as the kernel reads them.
pub(crate) fn programs() -> Result<Vec<Vec<u8>>, BackendError> {
    let refused = filter(refused_calls()?, libc::EPERM)?;
    let absent = rules::absent().map(|call| (call.number, vec![])).collect();
    let absent = filter(absent, libc::ENOSYS)?;
    Ok(vec![bytes(&refused), bytes(&absent), bytes(&refused_numbers())])
}

fn filter(calls: BTreeMap<i64, Vec<SeccompRule>>, errno: libc::c_int) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(calls, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}

fn refused_calls() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for Rule { call, when } in rules::refused() {
        let rules = calls.entry(call.number).or_default();
        if !when.is_empty() {
            let conditions = when.iter().map(conditions).collect::<Result<Vec<_>, _>>()?;
            rules.push(SeccompRule::new(conditions.concat())?);
        }
    }
    Ok(calls)
}

/// The conditions that all hold when this one does.
fn conditions(Condition { argument, is }: &Condition) -> Result<Vec<SeccompCondition>, BackendError> {
    let one = |comparison, value| SeccompCondition::new(*argument, Dword, comparison, value);
    match *is {
        Is::Equal(value) => Ok(vec![one(Eq, value)?]),
        Is::NoneOf(values) => values.iter().map(|value| one(Ne, *value)).collect(),
        Is::Masked { mask, value } => Ok(vec![one(MaskedEq(mask), value)?]),
    }
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
