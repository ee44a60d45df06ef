//! Keeps an output that is too long to be told in a file inside, where it can be paged.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::protocol::FileAnswer;

/// More of one output than this nobody pages through; it counts against what the work tree may hold.
const BYTES_MAX: u64 = 16 << 20;
/// Where the files lie. A program inside may put something else there; then its own outputs are not kept.
pub const FOLDER: &str = "/tmp";
/// What their names begin with.
const NAME: &str = "output-";

/// Whether `path` names a file of ours.
pub fn is_output(path: &str) -> bool {
    let name = Path::new(path).strip_prefix(FOLDER).ok().and_then(Path::to_str);
    name.is_some_and(|name| name.starts_with(NAME) && !name.contains('/'))
}

/// Keeps `bytes`, as many as are kept of one output; nothing when none can be.
pub fn keep(bytes: &[u8]) -> Option<FileAnswer> {
    let mut spill = Spill::make()?;
    spill.push(bytes);
    let path = spill.path.to_string_lossy().into_owned();
    (spill.bytes > 0).then_some(FileAnswer::Kept { path, bytes: spill.bytes })
}

/// A file that takes an output.
#[derive(Debug)]
pub struct Spill {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Spill {
    /// Makes a file that was not there before; nothing when that cannot be done.
    pub fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(FOLDER).join(format!("{NAME}{number}.txt"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).ok()?;
        Some(Self { path, file: Some(file), bytes: 0 })
    }

    /// Takes more of the output, up to the bound. A full disk ends the keeping, not the command.
    pub fn push(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        let left = usize::try_from(BYTES_MAX - self.bytes).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(left)];
        match file.write_all(taken) {
            Ok(()) => self.bytes += taken.len() as u64,
            Err(_) => self.file = None,
        }
        if taken.len() < bytes.len() {
            self.file = None;
        }
    }

    /// Says where the output is, and how much of it.
    pub fn note(&self, total: u64) -> String {
        let path = self.path.display();
        if self.bytes == total {
            format!("; all of it is in {path}")
        } else {
            format!("; the first {} bytes are in {path}", self.bytes)
        }
    }
}
