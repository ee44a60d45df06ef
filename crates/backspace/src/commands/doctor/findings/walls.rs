//! What weakens the walls of sandboxes on this machine: restrictions, limits that are not enforced, a setuid launcher.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sandbox::{Config, Terms, namespaces};

use super::Verdict;
use crate::assemble::{self, Sum};
use crate::config::Settings;

/// Bits of a mode that have a program run as its owner.
const SET_USER_ID: u32 = 0o4000;

/// What makes hard what is soft in namespaces, by the first word of what a sandbox says of it. Containers say it themselves.
const HARDENED: &[(&str, &str)] = &[
    ("disk", "Linux 6.6 or later keeps changes in memory, where their size and number are bounded"),
    ("memory", GROUPS),
    ("swap", "turn swap off (`swapoff -a`), or have the kernel count it (boot with `swapaccount=1`)"),
    ("processor", GROUPS),
];
const GROUPS: &str = "a control group of its own bounds it: start the service with `systemd-run --user --scope -p \
                      Delegate=yes backspace serve`, or with `Delegate=yes` in its unit";

/// What is not enforced in a sandbox with these `terms`, and what would enforce it.
pub(super) fn softness(terms: &Terms) -> Option<String> {
    if terms.soft.is_empty() {
        return None;
    }
    let mut mends: Vec<&str> = Vec::new();
    for (word, mend) in HARDENED.iter().filter(|_| terms.backend == "namespaces") {
        if terms.soft.iter().any(|soft| soft.starts_with(word)) && !mends.contains(mend) {
            mends.push(mend);
        }
    }
    let mends =
        if mends.is_empty() { String::new() } else { format!(". To enforce it: {}", mends.join("; ")) };
    Some(format!("not enforced here: {}{mends}", terms.soft.join("; ")))
}

/// What the sandboxes of a service may take of this machine's memory; nothing when it cannot be told, which is said where
/// one is opened.
pub(super) fn memory(settings: &Settings, config: &Config) -> Option<Verdict> {
    Some(judge(&assemble::sum(settings, config).ok()?))
}

fn judge(sum: &Sum) -> Verdict {
    let mib = |bytes: u64| bytes >> 20;
    let what = format!(
        "{} sandboxes at once (MAX_CONCURRENT_JOBS) may take {} MiB each, with files in memory; this machine has {} MiB",
        sum.sandboxes,
        mib(sum.each_bytes),
        mib(sum.machine_bytes)
    );
    if sum.fits() {
        return Verdict::Fine(what);
    }
    let mend = "Set MAX_CONCURRENT_JOBS, BACKSPACE_SANDBOX_MEMORY_MIB or BACKSPACE_SANDBOX_CHANGES_MIB lower: together they \
                may take more than there is, and the system then ends whatever it likes";
    Verdict::Weak { what, mend: mend.to_owned() }
}

/// What keeps ordinary users from sandboxes of namespaces here; nothing when `config` names none.
pub(super) fn restriction(config: &Config) -> Option<Verdict> {
    let config = of_namespaces(config)?;
    let Some(restriction) = namespaces::restriction(config) else {
        return Some(Verdict::Fine("every user may make them".to_owned()));
    };
    let what = format!(
        "{}: ordinary users may not make user namespaces unless a profile allows it; whether they can be made here and \
         now, the sandbox above says",
        restriction.setting
    );
    Some(Verdict::Weak { what, mend: restriction.mend })
}

/// A launcher that runs as root whoever starts it: every hole in it is one of the machine.
pub(super) fn launcher(config: &Config) -> Option<Verdict> {
    let program = namespaces::launcher(of_namespaces(config)?)?;
    is_set_user_id(&program).then(|| Verdict::Weak {
        what: format!(
            "{} is setuid root, which sandboxes do not need, and has had holes by it (CVE-2020-5291, CVE-2026-41163)",
            program.display()
        ),
        mend: format!("`chmod u-s {}`", program.display()),
    })
}

fn is_set_user_id(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.mode() & SET_USER_ID != 0)
}

fn of_namespaces(config: &Config) -> Option<&namespaces::Config> {
    match config {
        Config::Namespaces(config) => Some(config),
        Config::FirstOf(configs) => configs.iter().find_map(of_namespaces),
        Config::Docker(_) | Config::Elsewhere(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_soft_is_told_with_what_makes_it_hard_once() {
        let soft = |texts: &[&str]| {
            let soft = texts.iter().map(|text| (*text).to_owned()).collect();
            softness(&Terms { backend: "namespaces", soft, ..Terms::default() })
        };
        assert_eq!(soft(&[]), None);
        let told = soft(&["memory: at most 4 GiB a process", "processor time: after the service"]).unwrap();
        assert_eq!(told.matches("Delegate=yes").count(), 2, "both commands of one mend: {told}");
        assert!(
            told.starts_with("not enforced here: memory: at most 4 GiB a process; processor time"),
            "{told}"
        );
        assert!(soft(&["disk: no bound"]).unwrap().ends_with("where their size and number are bounded"));
        assert_eq!(soft(&["something"]).as_deref(), Some("not enforced here: something"));
    }

    #[test]
    fn more_memory_than_there_is_is_told_with_the_mend() {
        let told = |sandboxes| judge(&Sum { sandboxes, each_bytes: 4 << 30, machine_bytes: 16 << 30 });
        let Verdict::Fine(what) = told(4) else { panic!("four fit") };
        assert_eq!(
            what,
            "4 sandboxes at once (MAX_CONCURRENT_JOBS) may take 4096 MiB each, with files in memory; this machine has 16384 MiB"
        );
        let Verdict::Weak { mend, .. } = told(5) else { panic!("five do not fit") };
        assert!(mend.starts_with("Set MAX_CONCURRENT_JOBS, BACKSPACE_SANDBOX_MEMORY_MIB or"), "{mend}");
    }

    #[test]
    fn a_setuid_launcher_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("bwrap");
        std::fs::write(&program, "").unwrap();
        let told = |mode| {
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
            let bubblewrap = Some(program.clone());
            launcher(&Config::Namespaces(namespaces::Config { bubblewrap, ..Default::default() })).is_some()
        };
        assert!(told(0o4755) && !told(0o755));
    }
}
