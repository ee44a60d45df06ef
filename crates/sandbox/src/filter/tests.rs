use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// Arguments at which rules begin or end to hold.
const ARGUMENTS: &[u64] = &[
    0,
    1,
    2,
    3,
    9,
    10,
    11,
    15,
    16,
    17,
    40,
    0x80,
    0x5412,
    0x541c,
    0x8_0001,
    0x8_0003,
    0x8_000a,
    0x1000_0000,
    0x4002_0000,
    0xffff_ffff,
];

/// A call: its number and its first arguments.
type Called = (u32, [u64; 3]);

/// What the strictest of the programs answers: the error's number, or 0.
fn by_programs(programs: &[Vec<u8>], called: Called) -> u32 {
    programs.iter().map(|program| run(program, called)).max().unwrap()
}

/// Runs a filter as the kernel does, as far as ours go.
fn run(program: &[u8], (number, arguments): Called) -> u32 {
    let mut data = [number, AUDIT_ARCH, 0, 0].map(u32::to_ne_bytes).concat();
    data.extend(arguments.iter().flat_map(|argument| argument.to_ne_bytes()));
    data.resize(64, 0);
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let it = &program[at * 8..][..8];
        let (code, k) = (u16::from_ne_bytes([it[0], it[1]]), u32::from_ne_bytes(it[4..].try_into().unwrap()));
        at += 1;
        let jump = |holds: bool| usize::from(if holds { it[2] } else { it[3] });
        match code {
            0x20 => accumulator = u32::from_ne_bytes(data[k as usize..][..4].try_into().unwrap()),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x06 if k == 0x7fff_0000 => return 0,
            0x06 => return k & 0xffff,
            other => panic!("instruction {other:#x}"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// What an engine that reads the profile answers to a call of this name.
fn by_profile(calls: &[&Value], arguments: [u64; 3]) -> u32 {
    let holds = |argument: &Value| {
        let value = |name: &str| argument[name].as_u64().unwrap();
        let given = arguments[argument["index"].as_u64().unwrap() as usize];
        match argument["op"].as_str().unwrap() {
            "SCMP_CMP_EQ" => given == value("value"),
            "SCMP_CMP_GT" => given > value("value"),
            "SCMP_CMP_MASKED_EQ" => given & value("value") == value("valueTwo"),
            other => panic!("{other}"),
        }
    };
    let all = |call: &&&Value| call["args"].as_array().is_none_or(|list| list.iter().all(holds));
    calls.iter().find(all).map_or(0, |call| call["errnoRet"].as_u64().unwrap().try_into().unwrap())
}

#[test]
fn the_kernel_and_an_engine_are_told_the_same() {
    let programs = programs().unwrap();
    let profile: Value = serde_json::from_str(&profile()).unwrap();
    let told = profile["syscalls"].as_array().unwrap();
    let mut calls: Vec<rules::Call> = rules::refused().iter().map(|rule| rule.call).collect();
    calls.extend(rules::absent());
    let mut answers = BTreeSet::new();
    for call in calls {
        let of_name: Vec<&Value> = told.iter().filter(|it| it["names"][0] == call.name()).collect();
        for a in ARGUMENTS {
            for b in ARGUMENTS {
                for c in [0, 1, 6, 7, 17, 18, 31] {
                    let called = (call.number as u32, [*a, *b, c]);
                    let answer = by_programs(&programs, called);
                    assert_eq!(by_profile(&of_name, called.1), answer, "{} {:x?}", call.name(), called.1);
                    answers.insert(answer);
                }
            }
        }
    }
    assert_eq!(answers, [0, libc::EPERM as u32, libc::ENOSYS as u32].into());
    let names: BTreeSet<&str> = told.iter().map(|call| call["names"][0].as_str().unwrap()).collect();
    assert!(
        names.len() > 60 && names.iter().all(|name| !name.is_empty() && !name.contains("SYS")),
        "{names:?}"
    );
}

/// The threads of process 1 have numbers that nobody knows beforehand.
#[test]
fn a_process_changes_nobody_but_itself() {
    let programs = programs().unwrap();
    let calls = [
        (libc::SYS_prlimit64, 0),
        (libc::SYS_sched_setscheduler, 0),
        (libc::SYS_sched_setparam, 0),
        (libc::SYS_sched_setattr, 0),
        (libc::SYS_sched_setaffinity, 0),
        (libc::SYS_setpriority, 1),
        (libc::SYS_ioprio_set, 1),
    ];
    for (number, at) in calls {
        for (who, expected) in [(0, 0), (1, libc::EPERM), (2, libc::EPERM), (4_194_303, libc::EPERM)] {
            let mut arguments = [0; 3];
            arguments[0] = u64::from(number == libc::SYS_ioprio_set);
            arguments[at] = who;
            assert_eq!(by_programs(&programs, (number as u32, arguments)), expected as u32, "{number} {who}");
        }
    }
}

#[test]
fn an_engine_has_one_condition_an_argument() {
    let profile: Value = serde_json::from_str(&profile()).unwrap();
    for call in profile["syscalls"].as_array().unwrap() {
        let arguments = call["args"].as_array().map(Vec::as_slice).unwrap_or_default();
        let indexes: BTreeSet<u64> = arguments.iter().map(|it| it["index"].as_u64().unwrap()).collect();
        assert_eq!(indexes.len(), arguments.len(), "several are alternatives to some engines: {call}");
    }
}

#[test]
fn the_filters_are_programs_that_the_kernel_takes() {
    for program in programs().unwrap() {
        let instructions = program.len() / 8;
        assert_eq!(program.len() % 8, 0);
        assert!((3..4096).contains(&instructions), "{instructions} instructions");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_is_not_listed_is_allowed_and_x32_is_refused_whole() {
    let programs = programs().unwrap();
    assert_eq!(by_programs(&programs, (libc::SYS_openat as u32, [0; 3])), 0);
    assert_eq!(by_programs(&programs, (0x4000_0000 + 39, [0; 3])), libc::EPERM as u32);
    // Nobody has looked at what comes after these yet.
    assert_eq!(by_programs(&programs, (466, [0; 3])), 0);
    assert_eq!(by_programs(&programs, (467, [0; 3])), libc::ENOSYS as u32);
}
