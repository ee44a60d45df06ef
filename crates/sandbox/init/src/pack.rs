//! Files of folders that are laid over each other, listed and then read piece by piece.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::protocol::laid::{PIECE_BYTES_MAX, Piece, Time};
use crate::{beneath, look};

/// A file in memory takes whole pages.
const PAGE_BYTES: u64 = 4096;
/// Pieces travel together up to this size: small enough to begin early, large enough that no time goes with waiting.
const LOAD_BYTES: usize = 2 << 20;
/// What a piece takes beside its content.
const PIECE_OVERHEAD_BYTES: usize = 128;

/// Files, links and folders, in the order in which they can be laid.
#[derive(Debug)]
pub struct Pack {
    layers: Vec<OwnedFd>,
    items: Vec<Item>,
    /// Of the item that is read next.
    next: usize,
    /// The file that is read at the moment.
    open: Option<File>,
    /// Files with several names: the first of them, by layer and inode.
    names: HashMap<(usize, u64), Vec<u8>>,
    /// What it takes in memory, in bytes.
    pub bytes: u64,
}

#[derive(Debug)]
struct Item {
    path: Vec<u8>,
    what: What,
}

impl Item {
    /// Whether it stands at `path` or below, or is no folder where one is on the way to it.
    fn is_in_the_way_of(&self, path: &[u8]) -> bool {
        let is_below = |path: &[u8], folder: &[u8]| {
            path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        let is_folder = matches!(self.what, What::Folder { .. });
        self.path == path || is_below(&self.path, path) || (!is_folder && is_below(path, &self.path))
    }
}

/// What stands somewhere.
#[derive(Debug)]
pub(crate) enum What {
    Folder {
        stat: Stat,
    },
    Symlink {
        layer: usize,
        stat: Stat,
    },
    File {
        layer: usize,
        stat: Stat,
    },
    /// One more name of the file with this one.
    Link {
        to: Vec<u8>,
    },
}

/// Lists the files of `layers` as they show when laid over each other, the uppermost first.
///
/// # Errors
/// What the system says.
pub fn list(layers: &[PathBuf]) -> io::Result<Pack> {
    let open = |layer: &PathBuf| Ok(File::open(layer)?.into());
    let mut pack = Pack::of(layers.iter().map(open).collect::<io::Result<Vec<OwnedFd>>>()?);
    let roots = pack.layers.iter().map(OwnedFd::try_clone).collect::<io::Result<Vec<_>>>()?;
    let roots: Vec<Layer> =
        roots.into_iter().enumerate().map(|(layer, folder)| Layer { layer, folder }).collect();
    pack.folder(&roots, &mut Vec::new())?;
    Ok(pack)
}

/// A folder of a layer.
struct Layer {
    layer: usize,
    folder: OwnedFd,
}

impl Pack {
    /// Nothing yet, of `layers`.
    pub(crate) fn of(layers: Vec<OwnedFd>) -> Self {
        Self { layers, items: Vec::new(), next: 0, open: None, names: HashMap::new(), bytes: 0 }
    }

    /// Leaves out what stands at these paths or in their way: something else will. What has another name keeps that.
    pub fn leave_out(&mut self, paths: &[&[u8]]) {
        let (left_out, kept) = std::mem::take(&mut self.items)
            .into_iter()
            .partition(|item: &Item| paths.iter().any(|path| item.is_in_the_way_of(path)));
        self.items = kept;
        for Item { path, what } in left_out {
            self.pass_on(&path, what);
        }
    }

    /// Gives `what` to the next one of its names, when it had `path` first.
    fn pass_on(&mut self, path: &[u8], what: What) {
        let mut names =
            self.items.iter_mut().filter(|it| matches!(&it.what, What::Link { to } if to == path));
        let Some(first) = names.next() else { return };
        first.what = what;
        let first = first.path.clone();
        names.for_each(|other| other.what = What::Link { to: first.clone() });
    }

    /// How many files, links and folders there are.
    pub fn entries(&self) -> u64 {
        self.items.len() as u64
    }

    fn folder(&mut self, layers: &[Layer], path: &mut Vec<u8>) -> io::Result<()> {
        let mut names = BTreeSet::new();
        for layer in layers {
            names.extend(look::names(layer.folder.as_fd())?);
        }
        for name in names {
            let parent = path.len();
            if parent > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            self.entry(layers, &name, path)?;
            path.truncate(parent);
        }
        Ok(())
    }

    /// The uppermost layer that has `name` decides, and folders show each other through.
    fn entry(&mut self, layers: &[Layer], name: &[u8], path: &mut Vec<u8>) -> io::Result<()> {
        let (mut folders, mut uppermost) = (Vec::new(), None);
        for Layer { layer, folder } in layers {
            let Some(stat) = look::at(folder.as_fd(), name)? else { continue };
            let what = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    let folder = rustix::fs::openat(folder, name, look::FOLDER, Mode::empty())?;
                    let opaque = look::is_opaque(&folder)?;
                    uppermost.get_or_insert(stat);
                    folders.push(Layer { layer: *layer, folder });
                    if opaque {
                        break;
                    }
                    continue;
                }
                FileType::RegularFile => Some(What::File { layer: *layer, stat }),
                FileType::Symlink => Some(What::Symlink { layer: *layer, stat }),
                // A deletion of what lies below, or nothing that a base tree holds.
                FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Fifo
                | FileType::Socket
                | FileType::Unknown => None,
            };
            if folders.is_empty()
                && let Some(what) = what
            {
                self.add(path, what);
            }
            break;
        }
        if let Some(stat) = uppermost {
            self.add(path, What::Folder { stat });
            self.folder(&folders, path)?;
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, path: &[u8], what: What) {
        let mut what = what;
        if let What::File { layer, stat } = &what
            && stat.st_nlink > 1
        {
            match self.names.entry((*layer, stat.st_ino)) {
                Entry::Occupied(first) => what = What::Link { to: first.get().clone() },
                Entry::Vacant(none) => drop(none.insert(path.to_owned())),
            }
        }
        if let What::File { stat, .. } = &what {
            let bytes = stat.st_size.unsigned_abs();
            self.bytes =
                self.bytes.saturating_add(bytes.checked_next_multiple_of(PAGE_BYTES).unwrap_or(bytes));
        }
        self.items.push(Item { path: path.to_owned(), what });
    }

    /// Reads the next pieces; none when all have been read.
    ///
    /// # Errors
    /// What the system says.
    pub fn load(&mut self) -> io::Result<Vec<Piece>> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < LOAD_BYTES {
            let Some((piece, length)) = self.piece()? else { break };
            pieces.push(piece);
            bytes += length + PIECE_OVERHEAD_BYTES;
        }
        Ok(pieces)
    }

    fn piece(&mut self) -> io::Result<Option<(Piece, usize)>> {
        if let Some(file) = &mut self.open {
            let bytes = next_of(file)?;
            let length = bytes.len();
            if length < PIECE_BYTES_MAX {
                self.open = None;
            }
            return Ok(Some((Piece::More { bytes }, length)));
        }
        let Some(Item { path, what }) = self.items.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let at = Path::new(std::ffi::OsStr::from_bytes(path));
        let path = path.clone();
        match what {
            What::Folder { stat } => {
                Ok(Some((Piece::Folder { path, mode: stat.st_mode, modified: modified(stat) }, 0)))
            }
            What::Link { to } => Ok(Some((Piece::Link { path, to: to.clone() }, 0))),
            What::Symlink { layer, stat } => {
                let link = beneath::open(&self.layers[*layer], at, OFlags::PATH | OFlags::NOFOLLOW)?;
                let target = rustix::fs::readlinkat(&link, "", Vec::new())?.into_bytes();
                Ok(Some((Piece::Symlink { path, target, modified: modified(stat) }, 0)))
            }
            What::File { layer, stat } => {
                let mut file = open_file(&self.layers[*layer], at, stat)?;
                let bytes = next_of(&mut file)?;
                let length = bytes.len();
                self.open = (length == PIECE_BYTES_MAX).then_some(file);
                let (mode, modified) = (stat.st_mode, modified(stat));
                Ok(Some((Piece::File { path, mode, modified, bytes }, length)))
            }
        }
    }
}

fn modified(stat: &Stat) -> Time {
    (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))
}

fn open_file(layer: &OwnedFd, path: &Path, stat: &Stat) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match beneath::open(layer, path, flags) {
        Err(Errno::ACCESS) => {
            look::allow_owner(
                beneath::open(layer, path, OFlags::PATH | OFlags::NOFOLLOW)?.as_fd(),
                stat,
                0o400,
            )?;
            Ok(File::from(beneath::open(layer, path, flags)?))
        }
        opened => Ok(File::from(opened?)),
    }
}

fn next_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(PIECE_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is laid of a folder with two files of several names, a link and folders, without what stands at `paths`.
    fn without(paths: &[&str]) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path);
        std::fs::create_dir_all(at("a/b/c")).unwrap();
        std::fs::write(at("a/b/c/d"), "x").unwrap();
        std::fs::write(at("f1"), "content").unwrap();
        ["f2", "f3"].iter().for_each(|name| std::fs::hard_link(at("f1"), at(name)).unwrap());
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        let mut pack = list(&[place.path().to_owned()]).unwrap();
        pack.leave_out(&paths.iter().map(|path| path.as_bytes()).collect::<Vec<_>>());
        let told = |piece| match piece {
            Piece::Folder { path, .. } => format!("{}/", path.escape_ascii()),
            Piece::Symlink { path, target, .. } => {
                format!("{} -> {}", path.escape_ascii(), target.escape_ascii())
            }
            Piece::File { path, bytes, .. } => format!("{}: {}", path.escape_ascii(), bytes.escape_ascii()),
            Piece::Link { path, to } => format!("{} = {}", path.escape_ascii(), to.escape_ascii()),
            Piece::More { .. } => "more".to_owned(),
        };
        pack.load().unwrap().into_iter().map(told).collect()
    }

    #[test]
    fn what_is_left_out_takes_what_is_in_the_way_along_and_no_content_of_another_name() {
        let folders = ["a/", "a/b/", "a/b/c/", "a/b/c/d: x"];
        let files = ["f1: content", "f2 = f1", "f3 = f1", "link -> a"];
        assert_eq!(without(&[]), [&folders[..], &files].concat());
        assert_eq!(without(&["a/b"]), [&folders[..1], &files].concat());
        assert_eq!(without(&["a/b/x", "a/bc", "lin"]), [&folders[..], &files].concat());
        assert_eq!(without(&["link/x/y"]), [&folders[..], &files[..3]].concat());
        assert_eq!(without(&["a", "f1"]), ["f2: content", "f3 = f2", "link -> a"]);
        assert_eq!(without(&["a", "f1/x", "f2", "link"]), ["f3: content"]);
    }
}
