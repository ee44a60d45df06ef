//! Fences this process and all that it starts off from what is not theirs, by Landlock.
//!
//! The mounts say the same already. This is a second wall of another kind: it holds where a mount was forgotten, refuses
//! every further mount, and lets no signal and no abstract socket reach beyond.

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use backspace_init::protocol::{Fence, HOME, WORK};

/// What this program knows of Landlock. What the kernel knows not of it is left out, what it knows beyond is not used.
const KNOWN: ABI = ABI::V7;

/// Where files are made, changed and deleted. `/var/tmp` leads to one of them.
const OWN: [&str; 4] = [WORK, HOME, "/tmp", "/dev/shm"];
/// Where there is something to write to but nothing to make: devices, and what a process says of itself.
const WRITABLE: [&str; 2] = ["/dev", "/proc"];

/// Sets the fence. It cannot be taken down again.
pub(crate) fn set() -> Fence {
    match restrict() {
        Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => Fence::Landlock,
        // An odd kernel is as one that has none: the other walls stand.
        Ok(RulesetStatus::NotEnforced) | Err(_) => Fence::None,
    }
}

fn restrict() -> Result<RulesetStatus, RulesetError> {
    let making = AccessFs::from_all(KNOWN) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let writing: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?
        .add_rules(path_beneath_rules(["/"], AccessFs::from_read(KNOWN)))?
        .add_rules(path_beneath_rules(WRITABLE, writing))?
        .add_rules(path_beneath_rules(OWN, making))?
        .restrict_self()?;
    Ok(status.ruleset)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use super::*;

    /// A fence holds for the thread that sets it, so a test can set one.
    #[test]
    fn a_fenced_thread_writes_where_it_may_and_nowhere_else() {
        let (own, other) = (tempfile::tempdir_in("/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
        let inside = own.path().join("file");
        let (new, kept) = (other.path().join("new"), other.path().join("kept"));
        fs::write(&kept, "kept").unwrap();
        let fenced = std::thread::spawn({
            let (new, kept) = (new.clone(), kept.clone());
            move || {
                if set() == Fence::None {
                    // This kernel has no Landlock.
                    return;
                }
                fs::write(&inside, "x").unwrap();
                fs::rename(&inside, inside.with_extension("moved")).unwrap();
                fs::write("/dev/null", "x").unwrap();
                assert_eq!(fs::read_to_string(&kept).unwrap(), "kept", "all may be read");
                for refused in [fs::write(&new, "x"), fs::write(&kept, "x"), fs::remove_file(&kept)] {
                    assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
                }
            }
        });
        fenced.join().unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        // It was the fence that held, and not who runs the test.
        fs::write(&new, "x").unwrap();
    }
}
