//! Why a sandbox cannot be opened on this machine, and what mends it.

use std::fs;
use std::io;
use std::path::Path;

use backspace_init::stage::Step;
use rustix::io::Errno;

use super::launcher;
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
        Step::Groups
        | Step::Scratch
        | Step::Layer
        | Step::Folder
        | Step::Relay
        | Step::Identity
        | Step::Filters => Error::System { doing: format!("open a sandbox: {}", noun(step)), source: system },
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
            "What stands inside must exist, not below /tmp, and be open to all users of this machine; look at the \
             setting of the sandbox's tools",
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
        Step::Groups => "enter its control group",
        Step::Scratch => "lay a tmpfs over /tmp in a namespace of its own",
        Step::Layer => "open a layer of the base tree",
        Step::LayerOwner => "map the owner of the base tree",
        Step::Folder => "use the folder of the changes",
        Step::Attributes => "set extended attributes",
        Step::Relay => "show a socket of this machine inside",
        Step::Overlay => "mount the overlay",
        Step::Identity => "become the sandbox's user",
        Step::Filters => "hand on the system call filters and the program inside",
    }
}

/// What mends refused user namespaces, by the settings that are known to forbid them.
fn user_namespaces() -> String {
    restriction(None).map_or_else(
        || {
            "Inside a container, start the container with `--security-opt seccomp=unconfined --security-opt \
             apparmor=unconfined`, or run backspace outside of it"
                .to_owned()
        },
        |restriction| restriction.mend,
    )
}

/// A setting of this machine that keeps ordinary users from making user namespaces. Root makes them all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The setting as `sysctl` prints it.
    pub setting: String,
    /// The command that allows them.
    pub mend: String,
}

/// The restriction that holds on this machine, for sandboxes that `bubblewrap` starts.
pub(super) fn restriction(bubblewrap: Option<&Path>) -> Option<Restriction> {
    let program = std::env::current_exe().map_or("/usr/bin/backspace".into(), |it| it.display().to_string());
    let bubblewrap = launcher::program(bubblewrap);
    let bubblewrap = bubblewrap.map_or("/usr/bin/bwrap".to_owned(), |it| it.display().to_string());
    restriction_by(&program, &bubblewrap, |path| fs::read_to_string(path).unwrap_or_default())
}

/// The same by what `read` says stands in the settings' files.
fn restriction_by(program: &str, bubblewrap: &str, read: impl Fn(&str) -> String) -> Option<Restriction> {
    let profiles = format!(
        "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' 'profile backspace \"{program}\" flags=(unconfined) \
         {{ userns, }}' 'profile backspace-bwrap \"{bubblewrap}\" flags=(unconfined) {{ userns, }}' | sudo tee \
         /etc/apparmor.d/backspace && sudo apparmor_parser -r /etc/apparmor.d/backspace"
    );
    let known = [
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "1",
            format!(
                "AppArmor forbids them. Allow them to these two programs: `{profiles}`; or to all: `sudo sysctl -w \
                 kernel.apparmor_restrict_unprivileged_userns=0`"
            ),
        ),
        (
            "kernel.unprivileged_userns_clone",
            "0",
            "Allow them: `sudo sysctl -w kernel.unprivileged_userns_clone=1`".to_owned(),
        ),
        (
            "user.max_user_namespaces",
            "0",
            "Allow them: `sudo sysctl -w user.max_user_namespaces=10000`".to_owned(),
        ),
    ];
    let holds =
        |name: &str, value: &str| read(&format!("/proc/sys/{}", name.replace('.', "/"))).trim() == value;
    known.into_iter().find(|(name, value, _)| holds(name, value)).map(|(name, value, mend)| Restriction {
        setting: format!("{name} = {value}"),
        mend: format!(
            "{mend}. It lasts until the next start; what is in /etc/sysctl.d and /etc/apparmor.d stays"
        ),
    })
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

    #[test]
    fn each_restriction_names_the_command_that_lifts_it() {
        let of = |path: &str, value: &str| {
            let (path, value) = (path.to_owned(), format!("{value}\n"));
            restriction_by("/opt/my tools/backspace", "/usr/bin/bwrap", move |asked| {
                if asked == path { value.clone() } else { String::new() }
            })
        };
        let apparmor = of("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1").unwrap();
        assert_eq!(apparmor.setting, "kernel.apparmor_restrict_unprivileged_userns = 1");
        assert!(
            apparmor.mend.contains(
                "printf '%s\\n' 'abi <abi/4.0>,' 'include <tunables/global>' 'profile backspace \"/opt/my \
                 tools/backspace\" flags=(unconfined) { userns, }' 'profile backspace-bwrap \"/usr/bin/bwrap\" \
                 flags=(unconfined) { userns, }' | sudo tee /etc/apparmor.d/backspace && sudo apparmor_parser -r \
                 /etc/apparmor.d/backspace"
            ),
            "{}",
            apparmor.mend
        );
        let debian = of("/proc/sys/kernel/unprivileged_userns_clone", "0").unwrap();
        assert!(debian.mend.contains("`sudo sysctl -w kernel.unprivileged_userns_clone=1`"));
        let red_hat = of("/proc/sys/user/max_user_namespaces", "0").unwrap();
        assert_eq!(red_hat.setting, "user.max_user_namespaces = 0");
        assert_eq!(of("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0"), None);
        assert_eq!(of("/proc/sys/user/max_user_namespaces", "10000"), None);
    }
}
