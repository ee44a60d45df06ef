//! The stage: lays a sandbox's ground in mount namespaces of its own, then becomes the launcher.
//!
//! Debian's bubblewrap cannot mount an overlay, and starting from root it would leave the sandbox root's user id. So
//! this single-threaded program goes first. It is started with an empty environment and reads its [`Orders`] from its
//! standard input, a socket that the program inside inherits.
#![expect(unsafe_code, reason = "namespaces, fork and mount_setattr have no safe interface")]

mod layers;

use std::ffi::{CString, OsStr};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::fs::{MemfdFlags, Mode, OFlags, XattrFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Signal;
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::frame;

/// The argument by which the program is told to be the stage.
pub const ARGUMENT: &str = "stage";
/// The work tree's overlay.
pub const WORK_TREE: &str = "/tmp/work";
/// What the sandbox may write besides its work tree: `tmp`, `home` and `shm`, on the file system of its quota.
pub const WRITABLE: &str = "/tmp/quota";
/// An empty file, to stand in the place of others.
pub const EMPTY: &str = "/tmp/empty";
/// The sandbox's own files of `/etc`.
pub const ETC: &str = "/tmp/etc";
/// The host's sockets that stand inside, each by the number of its port.
pub const RELAYS: &str = "/tmp/relays";
/// The launcher hands on this program at this descriptor. It is executed by it, so that no sandbox needs a copy.
pub const PROGRAM_FD: RawFd = 40;
/// The launcher finds its first system call filter at this descriptor, the next at the following one.
pub const FIRST_FILTER_FD: RawFd = PROGRAM_FD + 1;

/// Every system has this folder, and the launcher mounts over it in a namespace of its own.
const SCRATCH: &str = "/tmp";
/// A few small files and the places of mounts.
const SCRATCH_OPTIONS: &str = "size=1m,nr_inodes=1000,mode=0755";

/// What the stage shall do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Read-only folders laid over each other, the uppermost first.
    pub layers: Vec<Vec<u8>>,
    /// The read-only folder that the home folder starts from; an empty one when absent.
    pub home: Option<Vec<u8>>,
    /// Where changes go.
    pub changes: Ground,
    /// Started by root: become this user and group. Otherwise: take a user namespace.
    pub become_id: Option<u32>,
    /// Name and content of the sandbox's own files of `/etc`.
    pub etc: Vec<(String, Vec<u8>)>,
    /// Ports, and the host's sockets that they lead to.
    pub relays: Vec<(u16, Vec<u8>)>,
    /// System call filters, as the kernel reads them.
    pub filters: Vec<Vec<u8>>,
    /// The files of control groups by which a process enters one.
    pub groups: Vec<Vec<u8>>,
    /// The launcher and its arguments.
    pub launcher: Vec<Vec<u8>>,
}

/// Where changes go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ground {
    /// To a tmpfs of this size.
    Memory {
        /// Bytes.
        bytes_max: u64,
        /// Files and folders.
        inodes_max: u64,
    },
    /// To this empty folder.
    Folder(Vec<u8>),
}

/// What the stage answers before it becomes the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The ground is laid; the overlay's upper folder and that of the home folder come along as descriptors.
    Laid,
    /// It cannot be.
    Refused {
        /// What was refused.
        step: Step,
        /// The system's error number.
        errno: i32,
    },
}

/// What can be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// To enter a control group.
    Groups,
    /// A user namespace.
    UserNamespace,
    /// A mount namespace.
    MountNamespace,
    /// A tmpfs, or files on it.
    Scratch,
    /// To open a layer.
    Layer,
    /// To show a layer's files as the session's user's own (an idmapped mount).
    LayerOwner,
    /// The folder of the changes.
    Folder,
    /// Extended attributes of users where the changes go.
    Attributes,
    /// A socket of the host.
    Relay,
    /// The overlay.
    Overlay,
    /// To become the session's user.
    Identity,
    /// To hand the filters and this program to the launcher.
    Filters,
}

/// Does what the socket at standard input orders. Returns only when that failed.
pub fn run() -> ExitCode {
    let stdin = io::stdin();
    let Ok(Some(orders)) = read_orders(stdin.as_fd()) else {
        return ExitCode::FAILURE;
    };
    let answered = match lay(&orders) {
        Ok(Uppers { work, home }) => send(stdin.as_fd(), Report::Laid, &[work.as_fd(), home.as_fd()]),
        Err((step, error)) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            drop(send(stdin.as_fd(), Report::Refused { step, errno }, &[]));
            return ExitCode::FAILURE;
        }
    };
    if answered.is_ok() {
        let error = become_launcher(&orders.launcher);
        drop(writeln!(io::stderr(), "cannot execute the launcher: {error}"));
    }
    ExitCode::FAILURE
}

/// Reads without a buffer: what follows the orders is for the program inside.
fn read_orders(socket: BorrowedFd<'_>) -> io::Result<Option<Orders>> {
    let mut unbuffered = File::from(socket.try_clone_to_owned()?);
    frame::read(&mut unbuffered)
}

fn send(socket: BorrowedFd<'_>, report: Report, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let frame = frame::encode(&report)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        along.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(&frame)], &mut along, SendFlags::NOSIGNAL)?;
    if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// The folders that hold what is changed inside.
struct Uppers {
    work: OwnedFd,
    home: OwnedFd,
}

/// Lays the ground; gives the folders of what will be changed.
fn lay(orders: &Orders) -> Result<Uppers, (Step, io::Error)> {
    enter_groups(&orders.groups).map_err(at(Step::Groups))?;
    enter_namespaces(orders.become_id.is_some())?;
    let layers = orders.layers.iter().chain(&orders.home).map(|path| open_folder(path));
    let layers = layers.collect::<io::Result<Vec<_>>>().map_err(at(Step::Layer))?;
    let folder = match &orders.changes {
        Ground::Memory { .. } => None,
        Ground::Folder(path) => Some(open_folder(path).map_err(at(Step::Folder))?),
    };
    let relays = orders.relays.iter().map(|(port, path)| Ok((*port, open_socket(path)?)));
    let relays = relays.collect::<io::Result<Vec<_>>>().map_err(at(Step::Relay))?;
    // From here on what lies below `/tmp` is reached through the descriptors only.
    lay_scratch(&orders.etc).map_err(at(Step::Scratch))?;
    lay_relays(&relays).map_err(at(Step::Relay))?;
    lay_changes(&orders.changes, folder.as_ref()).map_err(at(Step::Folder))?;
    let uppers = make_writable_folders(orders.become_id).map_err(at(Step::Folder))?;
    // Without them a folder that replaces a deleted one fails with an input/output error.
    rustix::fs::fsetxattr(&uppers.work, "user.overlay.probe", b"y", XattrFlags::empty())
        .and_then(|()| rustix::fs::fremovexattr(&uppers.work, "user.overlay.probe"))
        .map_err(|errno| (Step::Attributes, errno.into()))?;
    let mut lower: Vec<String> = match orders.become_id {
        None => layers.iter().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect(),
        Some(id) => layers::owned_by(&layers, id).map_err(at(Step::LayerOwner))?,
    };
    let home = lower.split_off(orders.layers.len());
    mount_overlay(&lower, "upper", WORK_TREE).map_err(at(Step::Overlay))?;
    if !home.is_empty() {
        mount_overlay(&home, "home", &format!("{WRITABLE}/home")).map_err(at(Step::Overlay))?;
    }
    if let Some(id) = orders.become_id {
        become_user(id).map_err(at(Step::Identity))?;
    }
    protect(&orders.filters).map_err(at(Step::Filters))?;
    Ok(uppers)
}

fn at(step: Step) -> impl FnOnce(io::Error) -> (Step, io::Error) {
    move |error| (step, error)
}

/// First of all, so that nothing of the sandbox is outside. Zero stands for whoever writes it.
fn enter_groups(entrances: &[Vec<u8>]) -> io::Result<()> {
    entrances.iter().try_for_each(|entrance| fs::write(OsStr::from_bytes(entrance), "0"))
}

/// Root needs a mount namespace only. Anyone else takes a user namespace, in which they are root over it.
fn enter_namespaces(by_root: bool) -> Result<(), (Step, io::Error)> {
    if !by_root {
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        unshare(UnshareFlags::NEWUSER).map_err(at(Step::UserNamespace))?;
        fs::write("/proc/self/setgroups", "deny")
            .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
            .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
            .map_err(at(Step::UserNamespace))?;
    }
    unshare(UnshareFlags::NEWNS).map_err(at(Step::MountNamespace))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|errno| (Step::MountNamespace, errno.into()))
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: this process has one thread, and the table of descriptors is not unshared.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    Ok(())
}

fn open_folder(path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The sandbox's user may not come where the host keeps it, so it is opened before.
fn open_socket(path: &[u8]) -> io::Result<OwnedFd> {
    let socket = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&socket)?.st_mode);
    if kind == rustix::fs::FileType::Socket { Ok(socket) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn lay_relays(relays: &[(u16, OwnedFd)]) -> io::Result<()> {
    for (port, socket) in relays {
        let place = format!("{RELAYS}/{port}");
        File::create(&place)?;
        mount_bind(format!("/proc/self/fd/{}", socket.as_raw_fd()), &place)?;
    }
    Ok(())
}

fn lay_scratch(etc: &[(String, Vec<u8>)]) -> io::Result<()> {
    mount_tmpfs(SCRATCH, SCRATCH_OPTIONS)?;
    for folder in [WORK_TREE, WRITABLE, ETC, RELAYS, layers::FOLDER] {
        DirBuilder::new().mode(0o755).create(folder)?;
    }
    fs::write(EMPTY, "")?;
    fs::set_permissions(EMPTY, Permissions::from_mode(0o444))?;
    for (name, content) in etc {
        let path = Path::new(ETC).join(name);
        fs::write(&path, content)?;
        fs::set_permissions(&path, Permissions::from_mode(0o444))?;
    }
    Ok(())
}

fn lay_changes(changes: &Ground, folder: Option<&OwnedFd>) -> io::Result<()> {
    match (changes, folder) {
        (Ground::Memory { bytes_max, inodes_max }, _) => {
            mount_tmpfs(WRITABLE, &format!("size={bytes_max},nr_inodes={inodes_max},mode=0755"))
        }
        (Ground::Folder(_), Some(folder)) => {
            Ok(mount_bind(format!("/proc/self/fd/{}", folder.as_raw_fd()), WRITABLE)?)
        }
        (Ground::Folder(_), None) => Err(io::ErrorKind::NotFound.into()),
    }
}

fn mount_tmpfs(target: &str, options: &str) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("tmpfs", target, "tmpfs", flags, CString::new(options)?.as_c_str())?)
}

/// Makes the folders of the quota's file system; opens those of what will be changed for the trusted side.
fn make_writable_folders(owner: Option<u32>) -> io::Result<Uppers> {
    for (name, mode) in [
        ("upper", 0o755),
        ("upper.overlay", 0o700),
        ("home", 0o755),
        ("home.overlay", 0o700),
        ("tmp", 0o1777),
        ("shm", 0o1777),
    ] {
        let path = Path::new(WRITABLE).join(name);
        DirBuilder::new().mode(mode).create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        std::os::unix::fs::chown(&path, owner, owner)?;
    }
    let open = |name: &str| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(format!("{WRITABLE}/{name}"), flags, Mode::empty())
    };
    Ok(Uppers { work: open("upper")?, home: open("home")? })
}

/// `userxattr` because a user namespace may write no other attributes; the trusted side reads the same ones for root.
fn mount_overlay(lower: &[String], upper: &str, target: &str) -> io::Result<()> {
    let (lower, upper) = (lower.join(":"), format!("{WRITABLE}/{upper}"));
    let options = format!("lowerdir={lower},upperdir={upper},workdir={upper}.overlay,userxattr,index=off");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount("overlay", target, "overlay", flags, CString::new(options)?.as_c_str())?)
}

fn become_user(id: u32) -> io::Result<()> {
    let (uid, gid) = (rustix::process::Uid::from_raw(id), rustix::process::Gid::from_raw(id));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// After this the process gains no privilege by any program, dies with its parent, and hands on its filters and the program
/// inside alone.
fn protect(filters: &[Vec<u8>]) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    // After the change of identity, which takes the setting away.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    close_from_3(libc::CLOSE_RANGE_CLOEXEC as libc::c_int)?;
    // The program inside is this one, from wherever it was started.
    hand_on(&File::open("/proc/self/exe")?, PROGRAM_FD)?;
    for (program, number) in filters.iter().zip(FIRST_FILTER_FD..) {
        let mut file = File::from(rustix::fs::memfd_create("filter", MemfdFlags::CLOEXEC)?);
        file.write_all(program)?;
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
        hand_on(&file, number)?;
    }
    Ok(())
}

/// What the launcher has started does first: it closes all that was handed on but the standard descriptors, and takes back
/// the name that an execution by descriptor has taken from it.
///
/// # Errors
/// When the kernel is older than 5.9.
pub fn arrive() -> io::Result<()> {
    close_from_3(0)?;
    Ok(rustix::thread::set_name(c"backspace-init")?)
}

fn close_from_3(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: called before an execution, or after it when nothing has been opened yet.
    match unsafe { libc::close_range(3, libc::c_uint::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives the launcher `file` at descriptor `number`.
fn hand_on(file: &File, number: RawFd) -> io::Result<()> {
    // SAFETY: the new descriptor is meant to outlive this function; nothing else is open at that number.
    if unsafe { libc::dup2(file.as_raw_fd(), number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn become_launcher(argv: &[Vec<u8>]) -> io::Error {
    let Some((program, arguments)) = argv.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let arguments = arguments.iter().map(|argument| OsStr::from_bytes(argument));
    Command::new(OsStr::from_bytes(program)).args(arguments).env_clear().current_dir("/").exec()
}
