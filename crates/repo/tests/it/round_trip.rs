//! Every byte, mode and name comes out as it went in.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use events::Oid;

use crate::world::{World, contents, git, look};

/// Names that some tool or other stumbles over.
const AWKWARD: &[&[u8]] = &[
    b"new\nline",
    b"quo\"te",
    b"\"quoted\"",
    b"back\\slash",
    b"-dash",
    b"--",
    b" space ",
    b"tab\tname",
    b"caf\xc3\xa9",
    b"not-utf8-\xff\xfe",
    b"sub/\xe6\x97\xa5\xe6\x9c\xac",
    b":(glob)*",
    b"a'b$(id)`",
    b"com1.txt.",
    b"\x01\x7f",
];

fn fill(dir: &Path) {
    fs::write(dir.join("crlf.txt"), "one\r\ntwo\r\nthree\n").unwrap();
    fs::write(dir.join("lf.bat"), "one\ntwo\n").unwrap();
    fs::write(dir.join("binary"), (0..=255).cycle().take(4096).collect::<Vec<u8>>()).unwrap();
    fs::write(dir.join("ident.c"), "$Id$ $Id: x $\n").unwrap();
    fs::write(dir.join("utf16.txt"), b"\xff\xfea\0\n\0").unwrap();
    fs::write(dir.join("big.bin"), POINTER).unwrap();
    fs::write(dir.join("hidden.txt"), "kept\n").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::write(dir.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(dir.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    fs::write(dir.join("sub/deep/file"), "deep\n").unwrap();
    symlink("sub/deep", dir.join("link")).unwrap();
    symlink("/nowhere/\u{e9}", dir.join("dangling")).unwrap();
    for name in AWKWARD {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
    }
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
const ATTRIBUTES: &str = "*.bat text eol=crlf\n*.c ident\n*.bin filter=lfs diff=lfs merge=lfs -text\n\
                          hidden.txt export-ignore\n*.txt text=auto\nutf16.txt working-tree-encoding=UTF-16LE\n";

/// The attributes are committed on their own, so that git stores everything else as it is.
async fn world() -> World {
    let world = World::new(fill).await;
    let sha = "1234567890123456789012345678901234567890";
    git(&world.origin(), &["update-index", "--add", "--cacheinfo", &format!("160000,{sha},vendor/sub")]);
    fs::write(world.origin().join(".git/info/attributes"), "* -text -ident -filter -working-tree-encoding\n")
        .unwrap();
    fs::write(world.origin().join(".gitattributes"), ATTRIBUTES).unwrap();
    fs::write(world.origin().join(".gitmodules"), "[submodule \"s\"]\n\tpath = vendor/sub\n\turl = ./s\n")
        .unwrap();
    git(&world.origin(), &["add", ".gitattributes", ".gitmodules"]);
    git(&world.origin(), &["commit", "-q", "-m", "attributes and a submodule"]);
    world
}

#[tokio::test]
async fn a_base_tree_is_the_commit_byte_for_byte() {
    let world = world().await;
    let session = world.session().await;
    let checkout = session.base.layers.last().unwrap();
    assert_eq!(contents(checkout), contents(&world.origin()));
    assert!(checkout.join("vendor/sub").is_dir(), "a submodule is an empty folder");
    let mode = |name: &str| fs::metadata(checkout.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh"), mode("empty"), mode("sub")), (0o755, 0o644, 0o755));
}

#[tokio::test]
async fn nothing_changed_is_nothing_saved() {
    let world = world().await;
    let mut session = world.session().await;
    let saved = session.save().await;
    assert_eq!((saved.commit, saved.differs_from_base, saved.skipped.len()), (None, false, 0));
    // The same bytes written again are a change of the file and not of the tree.
    session.work.write("rewritten", b"x");
    fs::remove_file(session.work.path("rewritten")).unwrap();
    let mut list = session.work.changes();
    let path = b"crlf.txt".to_vec();
    let kind = events::ChangedKind::File { executable: false, bytes: 16 };
    list.paths.push(events::ChangedPath { path, kind, stamp: events::Stamp { inode: 1, ctime_ns: 1 } });
    assert_eq!(session.recorder.save(&list, &session.work).await.unwrap().commit, None);
}

#[tokio::test]
async fn a_change_survives_byte_for_byte() {
    let world = world().await;
    let mut session = world.session().await;
    let work = &session.work;
    work.write("crlf.txt", b"one\r\nTWO\r\nthree\n");
    work.write("lf.bat", b"only lf\n");
    work.write("new/crlf.bat", b"a\r\nb\n\xff");
    work.write("big.bin", POINTER.replace("4d7a", "beef").as_bytes());
    work.write("added.bin", &[0, 159, 146, 150, 13, 10]);
    fs::set_permissions(work.path("run.sh"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(work.path("empty"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(work.path("binary"), work.path("sub/moved")).unwrap();
    fs::remove_file(work.path("hidden.txt")).unwrap();
    fs::remove_file(work.path("dangling")).unwrap();
    symlink("../\u{e9}lsewhere", work.path("sub/new link")).unwrap();
    for name in AWKWARD {
        work.write(OsStr::from_bytes(name), b"edited\n");
    }
    for name in [b"new \\ \" \xff".as_slice(), b"-n", "\u{fc}ml\u{e4}ut".as_bytes()] {
        work.write(OsStr::from_bytes(name), name);
    }
    let saved = session.save().await;
    assert_eq!(saved.skipped, []);
    let commit = session.commit(&saved.commit.unwrap()).await;
    let again = session.mirror.base_tree(&commit, &"main".parse().unwrap()).await.unwrap();
    assert_eq!(contents(again.layers.last().unwrap()), contents(session.work.dir.path()));
    assert!(again.layers.last().unwrap().join("vendor/sub").is_dir(), "the submodule is still there");
}

#[tokio::test]
async fn files_and_folders_take_each_others_place() {
    let world = world().await;
    let mut session = world.session().await;
    fs::remove_dir_all(session.work.path("sub")).unwrap();
    session.work.write("sub", b"now a file\n");
    fs::remove_file(session.work.path("empty")).unwrap();
    session.work.write("empty/inner/file", b"now a folder\n");
    fs::remove_file(session.work.path("link")).unwrap();
    session.work.write("link/x", b"was a link\n");
    // The bare minimum of a list, as a lister may give it that sees only what stands there.
    let mut list = session.work.changes();
    list.paths.retain(|path| path.kind != events::ChangedKind::Deleted);
    let saved = session.recorder.save(&list, &session.work).await.unwrap();
    let tree = session.mirror.base_tree(&saved.commit.unwrap(), &"main".parse().unwrap()).await.unwrap();
    assert_eq!(contents(tree.layers.last().unwrap()), contents(session.work.dir.path()));
    // And back again.
    for name in ["sub", "empty", "link"] {
        crate::world::run("rm", &["-rf", session.work.path(name).to_str().unwrap()]);
    }
    let checkout = session.base.layers.last().unwrap();
    crate::world::run(
        "cp",
        &["-a", &format!("{}/.", checkout.display()), session.work.dir.path().to_str().unwrap()],
    );
    let saved = session.save().await;
    assert!(saved.commit.is_some() && !saved.differs_from_base);
    let diff = session.mirror.diff(&session.base.commit, &saved.commit.unwrap()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&diff), "");
}

#[tokio::test]
async fn a_patch_makes_the_same_tree() {
    let world = world().await;
    let mut session = world.session().await;
    session.work.write("binary", &[1, 0, 2, 0]);
    session.work.write("crlf.txt", b"one\r\n");
    session.work.write(OsStr::from_bytes(b"caf\xc3\xa9"), b"au lait\n");
    fs::remove_file(session.work.path("lf.bat")).unwrap();
    let saved = session.save().await.commit.unwrap();
    let commit = session.commit(&saved).await;
    let patch = session.mirror.diff(&session.base.commit, &commit).await.unwrap();
    let file = world.dir.path().join("patch");
    fs::write(&file, patch).unwrap();
    git(&world.origin(), &["apply", "--whitespace=nowarn", file.to_str().unwrap()]);
    for name in [b"binary".as_slice(), b"crlf.txt", b"caf\xc3\xa9", b"lf.bat"] {
        assert_eq!(look(&world.origin(), name), look(session.work.dir.path(), name));
    }
    let stats = session.mirror.stats(&session.base.commit, &commit).await.unwrap();
    let find =
        |path: &str| stats.iter().find(|stat| stat.path == path).map(|stat| (stat.added, stat.deleted));
    assert_eq!(find("crlf.txt"), Some((Some(0), Some(2))));
    assert_eq!(find("binary"), Some((None, None)));
    assert_eq!(find("caf\u{e9}"), Some((Some(1), Some(1))));
}

#[tokio::test]
async fn two_branches_part_where_they_last_were_one() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let origin = world.origin();
    let root = git(&origin, &["rev-parse", "main"]);
    git(&origin, &["switch", "-q", "-c", "ours"]);
    world.commit_all("ours");
    git(&origin, &["switch", "-q", "--orphan", "stranger"]);
    git(&origin, &["commit", "-q", "--allow-empty", "-m", "stranger"]);
    git(&origin, &["switch", "-q", "main"]);
    world.commit_all("theirs");
    let mirror = world.mirror().await;
    let [main, ours, stranger] =
        ["main", "ours", "stranger"].map(|name| git(&origin, &["rev-parse", name]).parse::<Oid>().unwrap());
    assert_eq!(mirror.merge_base(&main, &ours).await.unwrap().unwrap().as_str(), root);
    assert_eq!(mirror.merge_base(&main, &stranger).await.unwrap(), None);
}
