//! Runs the whole suite again in containers, by an engine that is started for it.
#![expect(clippy::disallowed_methods, reason = "the tests' own switches")]

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::mount::{MountFlags, UnmountFlags};

use crate::ORDINARY;
use crate::world::{BACKEND, ENGINE, SMALL_DISK, SMALL_DISK_BYTES};

/// Says that the engine must be there; without, the suite is not run in containers, which is said, and is a failure where
/// no test may be skipped.
const REQUIRED: [&str; 2] = ["BACKSPACE_REQUIRE_DOCKER", "BACKSPACE_TEST_DOCKER"];
/// Says that gVisor must be there as well.
const GVISOR_REQUIRED: &str = "BACKSPACE_REQUIRE_RUNSC";
/// Says that no test may be skipped,
const NO_SKIPS: &str = "BACKSPACE_REQUIRE_SANDBOX";
/// but for these, where a machine may start no engine or has no gVisor.
const ENGINE_SKIPPED: &str = "BACKSPACE_SKIP_DOCKER";
const GVISOR_SKIPPED: &str = "BACKSPACE_SKIP_RUNSC";

/// Says that something is not tested, where that is allowed.
fn skip(what: &str, allowed_by: &str) {
    let allowed = std::env::var_os(NO_SKIPS).is_none() || std::env::var_os(allowed_by).is_some();
    assert!(allowed, "{what}; {NO_SKIPS} allows no skip but by {allowed_by}=1");
    println!("SKIPPED, {what}");
}

/// An engine that ends with this process.
struct Engine {
    address: String,
    has_gvisor: bool,
    /// Its standard input ends with this process, however that ends.
    _script: Child,
}

/// The engine of this process; nothing when nobody asked for it.
fn engine() -> Option<&'static Engine> {
    static STARTED: OnceLock<Option<Engine>> = OnceLock::new();
    let started = STARTED.get_or_init(|| {
        if !REQUIRED.iter().any(|name| std::env::var_os(name).is_some()) {
            skip("nobody asked for containers: set BACKSPACE_REQUIRE_DOCKER=1", ENGINE_SKIPPED);
            return None;
        }
        assert!(rustix::process::geteuid().is_root(), "only root starts an engine for the tests");
        let folder =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap().keep();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine");
        let mut script =
            Command::new(script).arg(&folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(script.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "READY\n", "the engine did not start: is docker.io installed?");
        let has_gvisor = fs::read_to_string(folder.join("daemon.json")).unwrap().contains("runsc");
        Some(Engine {
            address: format!("unix://{}", folder.join("docker.sock").display()),
            has_gvisor,
            _script: script,
        })
    });
    started.as_ref()
}

/// Whom the suite is run by.
enum By {
    /// The work tree is sent to the engine.
    Root,
    /// The engine lays the work tree.
    Ordinary,
}

/// A file system that is gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn make(place: PathBuf) -> Self {
        fs::create_dir(&place).unwrap();
        let options = std::ffi::CString::new(format!("size={SMALL_DISK_BYTES},mode=1777")).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", &place, "tmpfs", flags, options.as_c_str()).unwrap();
        Self(place)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

/// Runs the suite in containers of `backend`.
fn run(backend: &str, by: By) {
    let Some(engine) = engine() else { return };
    // The build's folder may lie where only root comes.
    let home = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let program = home.path().join("contract");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut suite = Command::new(&program);
    suite
        .args(["--skip", "the_same_holds"])
        .env("TMPDIR", &temporary)
        .env(BACKEND, backend)
        .env(ENGINE, &engine.address)
        .current_dir("/");
    let mut small = None;
    match by {
        By::Root => {}
        By::Ordinary => {
            let place = home.path().join("small");
            suite.env(SMALL_DISK, &place);
            small = Some(SmallDisk::make(place));
            std::os::unix::fs::chown(&temporary, Some(ORDINARY), Some(ORDINARY)).unwrap();
            suite.uid(ORDINARY).gid(ORDINARY);
        }
    }
    let status = suite.status().unwrap();
    drop(small);
    assert!(status.success(), "in containers of {backend}: {status}");
}

#[test]
fn the_same_holds_in_containers() {
    run("docker", By::Root);
}

#[test]
fn the_same_holds_in_containers_for_an_ordinary_user() {
    run("docker", By::Ordinary);
}

#[test]
fn the_same_holds_in_gvisor() {
    let Some(engine) = engine() else { return };
    if !engine.has_gvisor {
        let what = "runsc and busybox are not installed";
        assert!(std::env::var_os(GVISOR_REQUIRED).is_none(), "{what}");
        return skip(what, GVISOR_SKIPPED);
    }
    run("docker+runsc", By::Root);
}
