//! What bubblewrap is told: the namespaces of a sandbox and what stands in its root. Never this machine's own root.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use backspace_init::protocol::{HOME, RELAYS, WORK};
use backspace_init::stage;

use crate::Relay;

/// Where distributions keep bubblewrap. A search by `PATH` could end in somebody's checkout.
const PLACES: &[&str] =
    &["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/current-system/sw/bin/bwrap"];

/// The user and group inside, whatever they are outside.
const ID: &str = "1000";

/// Folders of the root that a merged `/usr` holds.
const USR: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// What of this machine's `/etc` stands inside as well: where libraries and programs are found, and whom to trust.
const ETC_OF_HOST: &[&str] = &[
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "mime.types",
    "pki/tls/certs",
    "pki/ca-trust/extracted",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
];

/// The sandbox's own files of `/etc`. There is no `resolv.conf`: there is no network.
pub(super) fn etc() -> Vec<(String, Vec<u8>)> {
    let file = |name: &str, content: &str| (name.to_owned(), content.as_bytes().to_vec());
    vec![
        file(
            "passwd",
            "root:x:0:0:root:/root:/usr/sbin/nologin\n\
             agent:x:1000:1000:agent:/home/agent:/bin/bash\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        ),
        file("group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"),
        file("hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n"),
        file(
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
        ),
    ]
}

/// The bubblewrap to use.
pub(super) fn program(configured: Option<&Path>) -> Option<PathBuf> {
    match configured {
        Some(path) => path.is_file().then(|| path.to_owned()),
        None => PLACES.iter().map(PathBuf::from).find(|path| path.is_file()),
    }
}

/// Bubblewrap and all its arguments.
pub(super) fn command(
    bubblewrap: &Path,
    tools: &[PathBuf],
    relays: &[Relay],
    filters: usize,
) -> Vec<Vec<u8>> {
    let mut argv = Argv(vec![bubblewrap.as_os_str().to_owned()]);
    isolate(&mut argv, filters);
    system(&mut argv, tools);
    own_files(&mut argv, relays);
    argv.add(&["--", &format!("/proc/self/fd/{}", stage::PROGRAM_FD)]);
    argv.0.into_iter().map(OsString::into_vec).collect()
}

fn isolate(argv: &mut Argv, filters: usize) {
    argv.add(&["--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]);
    argv.add(&["--uid", ID, "--gid", ID, "--hostname", "sandbox"]);
    // Process 1 is ours, so that nothing of the caller's stands in /proc/1.
    argv.add(&["--as-pid-1", "--new-session", "--die-with-parent", "--clearenv"]);
    for number in (stage::FIRST_FILTER_FD..).take(filters) {
        argv.add(&["--add-seccomp-fd", &number.to_string()]);
    }
}

/// What is this machine's, read-only.
fn system(argv: &mut Argv, tools: &[PathBuf]) {
    argv.add(&["--ro-bind", "/usr", "/usr"]);
    for name in USR {
        let path = Path::new("/").join(name);
        match fs::read_link(&path) {
            Ok(target) => argv.add_paths("--symlink", &target, &path),
            Err(_) if path.is_dir() => argv.add_paths("--ro-bind", &path, &path),
            Err(_) => {}
        }
    }
    // It holds what this machine's people installed by hand; what of it is for everybody is named by `tools`.
    let local = Path::new("/usr/local").is_dir();
    if local {
        argv.add(&["--tmpfs", "/usr/local"]);
    }
    for tool in tools {
        argv.add_paths("--ro-bind", tool, tool);
    }
    if local {
        argv.add(&["--remount-ro", "/usr/local"]);
    }
    let named = ETC_OF_HOST.iter().map(|name| Path::new("/etc").join(name)).filter(|path| path.exists());
    for path in named.chain(java()) {
        argv.add_paths("--ro-bind", &path, &path);
    }
}

/// Debian's Java keeps half of itself in `/etc/java-17-openjdk` and the like.
fn java() -> Vec<PathBuf> {
    let entries = fs::read_dir("/etc").into_iter().flatten().flatten();
    let java = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"java-"));
    java.map(|entry| entry.path()).collect()
}

/// What is the sandbox's own. All that can be written lies on the file system of its quota.
fn own_files(argv: &mut Argv, relays: &[Relay]) {
    for (name, _) in etc() {
        argv.add(&["--ro-bind", &format!("{}/{name}", stage::ETC), &format!("/etc/{name}")]);
    }
    for Relay { port, .. } in relays {
        argv.add(&["--ro-bind", &format!("{}/{port}", stage::RELAYS), &format!("{RELAYS}/{port}")]);
    }
    argv.add(&["--proc", "/proc", "--dev", "/dev"]);
    for path in crate::hidden::FILES_OF_PROC
        .iter()
        .map(|name| Path::new("/proc").join(name))
        .filter(|path| path.exists())
    {
        argv.add_paths("--ro-bind", Path::new(stage::EMPTY), &path);
    }
    argv.add(&["--bind", &format!("{}/shm", stage::WRITABLE), "/dev/shm", "--remount-ro", "/dev"]);
    argv.add(&["--bind", &format!("{}/tmp", stage::WRITABLE), "/tmp"]);
    argv.add(&["--bind", &format!("{}/home", stage::WRITABLE), HOME]);
    argv.add(&["--dir", "/run", "--dir", "/var", "--symlink", "../tmp", "/var/tmp"]);
    argv.add(&["--bind", stage::WORK_TREE, WORK, "--chdir", WORK]);
    argv.add(&["--remount-ro", "/"]);
}

struct Argv(Vec<OsString>);

impl Argv {
    fn add(&mut self, arguments: &[&str]) {
        self.0.extend(arguments.iter().map(OsString::from));
    }

    fn add_paths(&mut self, option: &str, from: &Path, to: &Path) {
        self.0.extend([option.into(), from.as_os_str().to_owned(), to.as_os_str().to_owned()]);
    }
}

/// The bytes of a path.
pub(super) fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
