//! The rules as a profile that container engines read.
//!
//! Engines are a second wall: they compare 64 bits where the kernel reads 32, skip names that their libraries do not know,
//! and know nothing of numbers without names. So process 1 of a container loads the programs of [`super::programs`] as well.

use serde_json::{Value, json};

use super::rules::{self, Condition, Is, Rule};

/// Of an argument, what the kernel reads.
const LOW: u64 = 0xffff_ffff;

/// The profile, as JSON.
pub(crate) fn profile() -> String {
    let mut calls: Vec<Value> = Vec::new();
    for Rule { call, when } in rules::refused() {
        for arguments in alternatives(&when) {
            calls.push(json!({
                "names": [call.name()],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": libc::EPERM,
                "args": arguments,
            }));
        }
    }
    let absent = |call: rules::Call| json!({ "names": [call.name()], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS });
    calls.extend(rules::absent().map(absent));
    let profile =
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ARCHITECTURES, "syscalls": calls });
    profile.to_string()
}

/// Calls of any other kill the caller.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[&str] = &["SCMP_ARCH_X86_64", "SCMP_ARCH_X32"];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[&str] = &["SCMP_ARCH_AARCH64"];

/// The lists of arguments by any of which all of `when` hold. Engines take several conditions on one argument for
/// alternatives, so there is at most one in each list.
fn alternatives(when: &[Condition]) -> Vec<Vec<Value>> {
    when.iter().fold(vec![vec![]], |lists: Vec<Vec<Value>>, condition| {
        let ways = ways(condition);
        let with = |list: &Vec<Value>| {
            let list = list.clone();
            ways.iter().map(move |way| [list.clone(), vec![way.clone()]].concat()).collect::<Vec<_>>()
        };
        lists.iter().flat_map(with).collect()
    })
}

fn ways(Condition { argument, is }: &Condition) -> Vec<Value> {
    let masked = |mask: u64, value: u64| json!({ "index": argument, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value });
    let than = |op: &str, value: u64| json!({ "index": argument, "op": op, "value": value });
    match *is {
        Is::Equal(value) => vec![masked(LOW, value)],
        Is::Masked { mask, value } => vec![masked(mask, value)],
        Is::NoneOf(values) => {
            let most = values.last().copied().unwrap_or(0);
            let others = (0..most).filter(|value| !values.contains(value));
            others.map(|value| than("SCMP_CMP_EQ", value)).chain([than("SCMP_CMP_GT", most)]).collect()
        }
    }
}
