//! Why a sandbox cannot be opened on this machine, and what mends it.

use std::fs;
use std::io;
use std::path::Path;

use backspace_init::stage::Step;
use rustix::io::Errno;

use crate::Error;

/// Bubblewrap is not there.
pub(super) fn no_bubblewrap() -> Error {
    unavailable("bubblewrap is not installed", "Install it: `apt-get install bubblewrap` (0.8 or later)")
}

/// Started by an ordinary user over files of another.
pub(super) fn not_own(layer: &Path) -> Error {
    unavailable(
        &format!("{} belongs to another user", layer.display()),
        "Only root opens sandboxes over files of others; give each user a BACKSPACE_HOME of their own",
    )
}

/// The stage was refused `step`.
pub(super) fn refused(step: Step, errno: i32) -> Error {
    let system = io::Error::from_raw_os_error(errno);
    match step {
        Step::UserNamespace | Step::MountNamespace => unavailable(
            &format!("the system refuses {} namespaces ({system})", noun(step)),
            &user_namespaces(),
        ),
        Step::Overlay if errno == Errno::NODEV.raw_os_error() => {
            unavailable("this kernel has no overlay file system", "Load it: `modprobe overlay`")
        }
        Step::Overlay => unavailable(
            &format!("the system refuses to mount an overlay ({system})"),
            "Linux 5.11 or later is needed. Inside a container, start the container with `--security-opt \
             seccomp=unconfined --security-opt apparmor=unconfined`, and keep BACKSPACE_HOME on a volume, not on the \
             container's own overlay",
        ),
        Step::LayerOwner => unavailable(
            &format!("the file system of the base trees cannot be mounted with other owners ({system})"),
            "Keep BACKSPACE_HOME on ext4, xfs or btrfs with Linux 5.12 or later, or start backspace as an ordinary \
             user instead of root",
        ),
        Step::Attributes => unavailable(
            &format!("where the changes shall go are no extended attributes of users ({system})"),
            "Linux 6.6 or later has them in memory; with an older one keep the changes of sandboxes in a folder on \
             ext4, xfs or btrfs",
        ),
        Step::Scratch | Step::Layer | Step::Folder | Step::Relay | Step::Identity | Step::Filters => {
            Error::System { doing: format!("open a sandbox: {}", noun(step)), source: system }
        }
    }
}

/// Bubblewrap ended with this on its standard error before the program inside spoke.
pub(super) fn launcher_failed(said: &str) -> Error {
    let said = said.trim();
    let reason = if said.is_empty() { "bubblewrap ended without a word".to_owned() } else { said.to_owned() };
    if said.contains("Unknown option") {
        return unavailable(&reason, "bubblewrap 0.8 or later is needed: `apt-get install bubblewrap`");
    }
    if said.contains("source path") {
        return unavailable(
            &reason,
            "What stands inside must exist and be open to all users of this machine; look at the setting of the \
             sandbox's tools",
        );
    }
    if said.contains("proc") {
        return unavailable(
            &reason,
            "A container that hides parts of /proc forbids a new one; start it with `--security-opt \
             systempaths=unconfined`, or run backspace outside of it",
        );
    }
    unavailable(&reason, &user_namespaces())
}

fn unavailable(reason: &str, mend: &str) -> Error {
    Error::Unavailable { reason: events::escape_control(reason), mend: mend.to_owned() }
}

fn noun(step: Step) -> &'static str {
    match step {
        Step::UserNamespace => "user",
        Step::MountNamespace => "mount",
        Step::Scratch => "lay a tmpfs over /tmp in a namespace of its own",
        Step::Layer => "open a layer of the base tree",
        Step::LayerOwner => "map the owner of the base tree",
        Step::Folder => "use the folder of the changes",
        Step::Attributes => "set extended attributes",
        Step::Relay => "show a socket of this machine inside",
        Step::Overlay => "mount the overlay",
        Step::Identity => "become the sandbox's user",
        Step::Filters => "hand on the system call filters",
    }
}

/// What mends refused user namespaces, by the settings that are known to forbid them.
fn user_namespaces() -> String {
    let setting = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        let program =
            std::env::current_exe().map_or("backspace".to_owned(), |path| path.display().to_string());
        return format!(
            "AppArmor forbids them. Allow them to both programs: write `profile backspace {program} \
             flags=(unconfined) {{ userns, }}` and the same for /usr/bin/bwrap to files in /etc/apparmor.d and run \
             `systemctl reload apparmor`, or allow them to all: `sysctl -w \
             kernel.apparmor_restrict_unprivileged_userns=0`"
        );
    }
    if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "Allow them: `sysctl -w kernel.unprivileged_userns_clone=1`".to_owned();
    }
    if setting("/proc/sys/user/max_user_namespaces") == "0" {
        return "Allow them: `sysctl -w user.max_user_namespaces=10000`".to_owned();
    }
    "Inside a container, start the container with `--security-opt seccomp=unconfined --security-opt \
     apparmor=unconfined`, or run backspace outside of it"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_machine_names_a_mend() {
        let errors = [
            no_bubblewrap(),
            not_own(Path::new("/x")),
            launcher_failed("bwrap: Can't find source path /opt/x: No such file or directory"),
            refused(Step::UserNamespace, libc::EPERM),
            refused(Step::Overlay, libc::ENODEV),
            refused(Step::Overlay, libc::EPERM),
            refused(Step::LayerOwner, libc::EINVAL),
            refused(Step::Attributes, libc::EOPNOTSUPP),
            launcher_failed("bwrap: Unknown option --disable-userns\n"),
            launcher_failed("bwrap: Can't mount proc on /newroot/proc: Operation not permitted"),
            launcher_failed("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted"),
            launcher_failed(""),
        ];
        for error in errors {
            let Error::Unavailable { reason, mend } = &error else { panic!("{error}") };
            assert!(!reason.is_empty() && mend.len() > 20, "{error}");
        }
    }
}
