use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use rustix::fs::{CWD, FileType, Mode};

use super::*;
use crate::protocol::laid::Time;

const TIME: Time = (1_000_000_000, 7);
const ROOM: Room = Room { paths: 1000, bytes: 100_000 };

/// A work tree of a few files.
struct World {
    root: tempfile::TempDir,
    laid: Laid,
}

fn file(path: &str, mode: u32, bytes: &[u8]) -> Piece {
    Piece::File { path: path.into(), mode, modified: TIME, bytes: bytes.to_vec() }
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut laid = Laid::new(root.path(), Parents::Come).unwrap();
        let folder = |path: &str| Piece::Folder { path: path.into(), mode: 0o755, modified: TIME };
        let head = vec![folder(".git"), file(".git/HEAD", 0o444, b"ref"), folder("src"), folder("src/deep")];
        laid.lay(head).unwrap();
        laid.lay(vec![file("README", 0o644, b"hel"), Piece::More { bytes: b"lo\n".to_vec() }]).unwrap();
        let rest = vec![
            file("src/a", 0o755, b"a"),
            file("src/deep/b", 0o600, b"b"),
            Piece::Link { path: b"src/same".to_vec(), to: b"src/deep/b".to_vec() },
            Piece::Link { path: b"third".to_vec(), to: b"src/deep/b".to_vec() },
            Piece::Symlink { path: b"link".to_vec(), target: b"/etc/passwd".to_vec(), modified: TIME },
        ];
        laid.lay(rest).unwrap();
        laid.seal().unwrap();
        Self { root, laid }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.root.path().join(path)
    }

    fn changes(&self) -> Vec<(String, Kind)> {
        let changes = self.laid.changes(ROOM).unwrap();
        assert!(!changes.truncated && changes.paths.is_sorted_by(|a, b| a.path < b.path));
        let named = |it: Changed| (String::from_utf8(it.path).unwrap(), it.kind);
        changes.paths.into_iter().map(named).collect()
    }

    fn content(&self, changed: &Changed, offset: u64, bytes_max: u64) -> Found {
        self.laid.content(&Wanted { changed: changed.clone(), offset, bytes_max }).unwrap()
    }
}

#[test]
fn what_is_laid_stands_as_it_was_sent_and_is_no_change() {
    let world = World::new();
    assert_eq!(fs::read_to_string(world.at("README")).unwrap(), "hello\n");
    let mode = |path| fs::metadata(world.at(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("src/a"), mode("src/deep/b"), mode(".git/HEAD")), (0o755, 0o600, 0o444));
    let modified = fs::metadata(world.at("README")).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!((since.as_secs(), since.subsec_nanos()), (1_000_000_000, 7));
    assert_eq!(fs::metadata(world.at("src")).unwrap().modified().unwrap(), modified);
    assert_eq!(fs::symlink_metadata(world.at("link")).unwrap().modified().unwrap(), modified);
    assert_eq!(fs::read_link(world.at("link")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(fs::metadata(world.at("src/same")).unwrap().nlink(), 3);
    assert_eq!(world.changes(), []);
}

#[test]
fn every_kind_of_change_is_listed() {
    let world = World::new();
    fs::write(world.at("README"), "HELLO\n").unwrap();
    fs::set_permissions(world.at("src/a"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(world.at("src/deep"), world.at("top")).unwrap();
    fs::remove_file(world.at("link")).unwrap();
    fs::create_dir(world.at("link")).unwrap();
    symlink("x", world.at("link/in")).unwrap();
    fs::write(world.at(".git/HEAD"), "other").unwrap();
    fs::create_dir(world.at("empty")).unwrap();
    fs::write(world.at(".gitignore"), "").unwrap();
    let file = |bytes| Kind::File { executable: false, bytes };
    let expected = [
        (".gitignore", file(0)),
        ("README", file(6)),
        ("link", Kind::Deleted),
        ("link/in", Kind::Symlink),
        ("src/a", file(1)),
        ("src/deep/b", Kind::Deleted),
        ("top/b", file(1)),
    ];
    assert_eq!(world.changes(), expected.map(|(path, kind)| (path.to_owned(), kind)));
}

#[test]
fn what_an_overlay_would_take_for_a_deletion_is_something_special() {
    let world = World::new();
    fs::remove_file(world.at("README")).unwrap();
    for path in ["README", "new"] {
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, world.at(path), FileType::CharacterDevice, mode, 0).unwrap();
    }
    let expected = ["README", "new"].map(|path| (path.to_owned(), Kind::Special));
    assert_eq!(world.changes(), expected);
}

#[test]
fn content_comes_in_pieces_and_only_while_it_is_what_was_listed() {
    let world = World::new();
    fs::write(world.at("new"), "0123456789").unwrap();
    let listed = world.laid.changes(ROOM).unwrap().paths.remove(0);
    let piece = |bytes: &[u8]| Found::File { bytes: bytes.to_vec(), stamp: listed.stamp };
    assert_eq!(world.content(&listed, 0, 4), piece(b"0123"));
    assert_eq!(world.content(&listed, 8, 4), piece(b"89"));
    assert_eq!(world.content(&listed, 10, 4), piece(b""));
    let deleted = Changed { kind: Kind::Deleted, ..listed.clone() };
    assert_eq!(world.content(&deleted, 0, 4), Found::Other);
    fs::remove_file(world.at("new")).unwrap();
    assert_eq!(world.content(&deleted, 0, 4), Found::Deleted);
    assert_eq!(world.content(&listed, 0, 4), Found::Other);
    symlink("/etc/passwd", world.at("new")).unwrap();
    assert_eq!(world.content(&listed, 0, 4), Found::Other);
    let listed = world.laid.changes(ROOM).unwrap().paths.remove(0);
    assert_eq!(world.content(&listed, 0, 0), Found::Symlink(b"/etc/passwd".to_vec()));
    for path in ["../x", "/etc/passwd", "link/x", "src/../../x", "", "src"] {
        let asked = Changed { path: path.into(), ..listed.clone() };
        assert_eq!(world.content(&asked, 0, 4), Found::Other, "{path}");
    }
}

#[test]
fn a_list_is_cut_at_either_bound_and_says_so() {
    let world = World::new();
    for name in ["x1", "x2", "x3"] {
        fs::write(world.at(name), "").unwrap();
    }
    let cut = |paths, bytes| {
        let changes = world.laid.changes(Room { paths, bytes }).unwrap();
        (changes.paths.len(), changes.truncated)
    };
    assert_eq!((cut(3, 6), cut(2, 6), cut(3, 5)), ((3, false), (2, true), (2, true)));
}

#[test]
fn pieces_that_do_not_fit_each_other_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut laid = Laid::new(root.path(), Parents::Come).unwrap();
    assert!(laid.lay(vec![Piece::More { bytes: vec![1] }]).is_err());
    laid.lay(vec![Piece::Symlink { path: b"out".to_vec(), target: b"..".to_vec(), modified: TIME }]).unwrap();
    for path in ["out/x", "../x", "/x", "none/x", "", "out"] {
        assert!(laid.lay(vec![file(path, 0o644, b"")]).is_err(), "{path}");
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    // Nor does it lead out to make what is missing on the way.
    let mut made = Laid::new(root.path(), Parents::Made).unwrap();
    for path in ["out/new/x", "../new/x", "/new/x"] {
        assert!(made.lay(vec![file(path, 0o644, b"")]).is_err(), "{path}");
    }
    made.lay(vec![file("a/b/x", 0o644, b"")]).unwrap();
    assert!(root.path().join("a/b/x").is_file() && !root.path().with_file_name("new").exists());
}

#[test]
fn what_was_added_comes_out_as_pieces_and_what_was_laid_does_not() {
    let world = World::new();
    fs::create_dir_all(world.at("node_modules/x")).unwrap();
    fs::write(world.at("node_modules/x/big"), vec![7; PIECE_BYTES_MAX + 3]).unwrap();
    fs::set_permissions(world.at("node_modules/x/big"), fs::Permissions::from_mode(0o000)).unwrap();
    symlink("x/big", world.at("node_modules/link")).unwrap();
    fs::write(world.at("src/new"), "new").unwrap();
    fs::hard_link(world.at("src/new"), world.at("node_modules/same")).unwrap();
    fs::write(world.at(".git/more"), "").unwrap();
    fs::write(world.at("README"), "changed").unwrap();
    fs::remove_dir_all(world.at("src/deep")).unwrap();
    fs::remove_file(world.at("link")).unwrap();
    fs::create_dir(world.at("link")).unwrap();
    let (mut pack, mut added) = world.laid.added().unwrap();
    added.undone.sort();
    assert_eq!(added.roots, Some(vec![b"node_modules".to_vec(), b"src/new".to_vec()]));
    assert_eq!(
        added.undone,
        [&b"README"[..], b"link", b"src/deep", b"src/same", b"third"].map(<[u8]>::to_vec),
        "a file under several names differs under all of them when one goes"
    );
    assert_eq!((added.undone_total, pack.entries()), (5, 6));

    // Laid elsewhere it is what it was.
    let root = tempfile::tempdir().unwrap();
    let mut copy = Laid::new(root.path(), Parents::Made).unwrap();
    loop {
        let pieces = pack.load().unwrap();
        if pieces.is_empty() {
            break;
        }
        copy.lay(pieces).unwrap();
    }
    copy.seal().unwrap();
    assert_eq!(copy.changes(ROOM).unwrap().paths, []);
    let big = fs::metadata(root.path().join("node_modules/x/big")).unwrap();
    assert_eq!(big.len(), PIECE_BYTES_MAX as u64 + 3);
    assert_eq!(fs::read_link(root.path().join("node_modules/link")).unwrap(), Path::new("x/big"));
    let new = fs::metadata(root.path().join("src/new")).unwrap();
    assert_eq!((new.len(), new.nlink()), (3, 2));
}
