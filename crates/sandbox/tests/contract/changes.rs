//! What a sandbox tells of its work tree.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use events::{ChangedKind, ChangedPath, Content};
use sandbox::Error;

use crate::world::{Kind, World, kind};

fn map<const N: usize>(changes: [(&str, &str); N]) -> BTreeMap<String, String> {
    changes.map(|(path, what)| (path.to_owned(), what.to_owned())).into()
}

/// Every file of a folder with its content, and every link with its target.
fn snapshot(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            found.push((path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_fresh_work_tree_is_the_base_and_differs_in_nothing() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(
        sandbox.ok("cat README src/deep/c -- -rf link; ./run.sh").await,
        "hello\nc\ndash\nhello\nran\n"
    );
    assert_eq!(sandbox.ok("cat .git/HEAD; pwd").await, "ref: refs/heads/main\n/work\n");
    assert_eq!(sandbox.changes().await, map([]));
    sandbox.close().await;
}

#[tokio::test]
async fn every_kind_of_change_is_told() {
    for world in [World::new(), World::on_disk()] {
        let before = snapshot(world.files());
        let Some(sandbox) = world.open().await else { return };
        sandbox
            .ok("echo more >> README; chmod +x src/a; rm src/b link; ln -s /etc/passwd link
                 mkdir -p new/er; echo n > new/er/file; : > empty; ln -s nowhere dangling; mkfifo pipe
                 mkdir nothing; echo x > .git/index; mkdir sub; git init -q sub/repo 2>/dev/null || mkdir -p sub/repo/.git
                 rm -rf sub/repo; printf 'a\\0b\\r\\n' > binary")
            .await;
        let expected = map([
            ("README", "file hello\\nmore\\n"),
            ("binary", "file a\\x00b\\r\\n"),
            ("dangling", "-> nowhere"),
            ("empty", "file "),
            ("link", "-> /etc/passwd"),
            ("new/er/file", "file n\\n"),
            ("pipe", "special"),
            ("src/a", "program a\\n"),
            ("src/b", "deleted"),
        ]);
        assert_eq!(sandbox.changes().await, expected);
        sandbox.close().await;
        assert_eq!(snapshot(world.files()), before, "nothing inside changes the base");
    }
}

#[tokio::test]
async fn deleted_and_replaced_folders_are_told_file_by_file() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("rm -rf src").await;
    let gone = map([
        ("src/a", "deleted"),
        ("src/b", "deleted"),
        ("src/deep/c", "deleted"),
        ("src/deep/d", "deleted"),
    ]);
    assert_eq!(sandbox.changes().await, gone);

    sandbox.ok("mkdir -p src/deep; echo 2 > src/deep/c; echo new > src/deep/new").await;
    let mut replaced = gone.clone();
    replaced.insert("src/deep/c".to_owned(), "file 2\\n".to_owned());
    replaced.insert("src/deep/new".to_owned(), "file new\\n".to_owned());
    assert_eq!(sandbox.changes().await, replaced);

    sandbox.ok("rm -rf src; echo file > src").await;
    let mut file = gone.clone();
    file.insert("src".to_owned(), "file file\\n".to_owned());
    assert_eq!(sandbox.changes().await, file);

    sandbox.ok("rm src; ln -s README src; rm README; mkdir README; echo i > README/inside").await;
    let mut both = gone;
    both.insert("src".to_owned(), "-> README".to_owned());
    both.insert("README".to_owned(), "deleted".to_owned());
    both.insert("README/inside".to_owned(), "file i\\n".to_owned());
    assert_eq!(sandbox.changes().await, both);

    sandbox.ok("rm -rf README src; git --version >/dev/null; rm -rf .git").await;
    assert_eq!(sandbox.changes().await.len(), 5);
    sandbox.close().await;
}

#[tokio::test]
async fn renamed_folders_are_their_files_gone_and_come() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("mv src lib; mv lib/deep top; mv run.sh renamed.sh").await;
    let expected = map([
        ("lib/a", "file a\\n"),
        ("lib/b", "file b\\n"),
        ("renamed.sh", "program #!/bin/sh\\necho ran\\n"),
        ("run.sh", "deleted"),
        ("src/a", "deleted"),
        ("src/b", "deleted"),
        ("src/deep/c", "deleted"),
        ("src/deep/d", "deleted"),
        ("top/c", "file c\\n"),
        ("top/d", "file d\\n"),
    ]);
    assert_eq!(sandbox.changes().await, expected);
    sandbox.close().await;
}

#[tokio::test]
async fn awkward_names_come_out_byte_for_byte() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox
        .ok("rm -- -rf; echo 2 > $'new\\nline'; mv $'\\xff\\xfe' $'\\xfe\\xff'; echo s > ' sp ace '
             echo e > --; echo b > 'back\\slash'; echo u > grün; mkdir -p $'d\\n/-'; echo o > $'d\\n/-/*'")
        .await;
    let expected = map([
        (" sp ace ", "file s\\n"),
        ("--", "file e\\n"),
        ("-rf", "deleted"),
        ("back\\\\slash", "file b\\n"),
        ("d\\n/-/*", "file o\\n"),
        ("gr\\xc3\\xbcn", "file u\\n"),
        ("new\\nline", "file 2\\n"),
        ("\\xfe\\xff", "file bytes\\n"),
        ("\\xff\\xfe", "deleted"),
    ]);
    assert_eq!(sandbox.changes().await, expected);
    sandbox.close().await;
}

#[tokio::test]
async fn what_nobody_may_read_inside_is_told_all_the_same() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("mkdir shut; echo x > shut/file; chmod 000 shut/file shut; chmod 000 README").await;
    let expected = map([("README", "file hello\\n"), ("shut/file", "file x\\n")]);
    assert_eq!(sandbox.changes().await, expected);
    sandbox.close().await;
}

#[tokio::test]
async fn a_delta_layer_hides_what_lies_below_it() {
    let mut world = World::new();
    let delta = world.base.path().join("delta");
    fs::create_dir_all(delta.join("src/deep")).unwrap();
    fs::write(delta.join("src/deep/e"), "e\n").unwrap();
    let opaque = rustix::fs::setxattr(
        delta.join("src/deep"),
        "user.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    );
    opaque.unwrap();
    let (device, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
    rustix::fs::mknodat(rustix::fs::CWD, delta.join("src/b"), device, mode, 0).unwrap();
    world.tree.layers.insert(1, delta);
    let Some(sandbox) = world.open().await else { return };
    assert_eq!(sandbox.ok("find src -type f | sort").await, "src/a\nsrc/deep/e\n");
    sandbox.ok("rm -rf src").await;
    assert_eq!(sandbox.changes().await, map([("src/a", "deleted"), ("src/deep/e", "deleted")]));
    sandbox.close().await;
}

#[tokio::test]
async fn a_stamp_moves_with_the_content_and_a_stale_one_reads_nothing() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("echo 1 > f; echo 1 > g").await;
    let first = sandbox.0.changes().await.unwrap();
    assert_eq!(sandbox.0.changes().await.unwrap(), first, "nothing changed, nothing moves");
    // The time may be set back, the stamp not.
    sandbox.ok("echo 2 > f; touch -d @0 f; rm g; ln -s f g").await;
    for listed in &first.paths {
        assert!(matches!(sandbox.0.content(listed, 100).await, Err(Error::Changed)), "{listed:?}");
    }
    let second = sandbox.0.changes().await.unwrap();
    assert!(first.paths.iter().zip(&second.paths).all(|(a, b)| a.stamp != b.stamp));
    let cut = sandbox.0.content(&second.paths[0], 1).await.unwrap();
    assert_eq!(cut, Content::File { executable: false, bytes: b"2".to_vec() });
    sandbox.close().await;
}

#[tokio::test]
async fn content_never_leaves_the_work_tree() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("ln -s / out; ln -s ../../../etc up; mkfifo pipe; mkdir d; echo x > d/f").await;
    let listed = sandbox.0.changes().await.unwrap();
    let inside = listed.paths.iter().find(|path| path.path == b"d/f").unwrap().clone();
    for path in
        ["out/etc/passwd", "up/passwd", "/etc/passwd", "../upper", "d/../../../etc/passwd", "pipe", "d"]
    {
        for kind in [inside.kind, ChangedKind::Symlink, ChangedKind::Special] {
            let asked = ChangedPath { path: path.into(), kind, stamp: inside.stamp };
            assert!(matches!(sandbox.0.content(&asked, 100).await, Err(Error::Changed)), "{path} {kind:?}");
        }
    }
    let swapped = sandbox.ok("mv d e; ln -s /etc d; ln -s /etc/hostname e/g").await;
    assert_eq!(swapped, "");
    assert!(matches!(sandbox.0.content(&inside, 100).await, Err(Error::Changed)));
    sandbox.close().await;
}

#[tokio::test]
async fn what_a_project_installs_is_listed_and_folders_without_end_take_no_stack() {
    let mut world = World::new();
    world.policy.work_inodes_max = 60_000;
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok("mkdir many; cd many; seq 50001 | xargs touch").await;
    let list = sandbox.0.changes().await.unwrap();
    assert!(!list.truncated);
    assert_eq!(list.paths.len(), 50_001);
    // Folders without end are listed as what no change holds, and take no stack.
    let deep = "rm -rf many; python3 -c 'import os
for _ in range(4000): os.mkdir(\"d\"); os.chdir(\"d\")'";
    sandbox.ok(deep).await;
    let list = sandbox.0.changes().await.unwrap();
    assert_eq!(list.paths.len(), 1);
    assert_eq!(list.paths[0].kind, ChangedKind::Special);
    assert_eq!(sandbox.ok("echo alive").await, "alive\n");
    sandbox.close().await;
}

#[tokio::test]
async fn a_work_tree_that_is_shut_is_opened_again() {
    for world in [World::new(), World::on_disk()] {
        let Some(sandbox) = world.open().await else { return };
        sandbox.ok("echo more >> README; rm src/b; echo x > new; chmod 0 src/deep src . ~").await;
        let expected = map([("README", "file hello\\nmore\\n"), ("new", "file x\\n"), ("src/b", "deleted")]);
        assert_eq!(sandbox.changes().await, expected);
        // Commands can be run there again.
        assert_eq!(sandbox.ok("chmod -R 755 src; cat src/deep/c README").await, "c\nhello\nmore\n");
        let before = sandbox.0.changes().await.unwrap().paths.len();
        // Shut by one and listed by the other at the same time: what could be looked at is told.
        let shutting = "until [ -e /tmp/end ]; do chmod 0 /work; chmod 755 /work; done";
        sandbox.ok(&format!("chmod 755 .; (setsid sh -c '{shutting}' > /dev/null 2>&1 &)")).await;
        for _ in 0..50 {
            assert_eq!(sandbox.0.changes().await.unwrap().paths.len(), before);
        }
        sandbox.close().await;
    }
}

#[tokio::test]
async fn a_path_that_no_call_takes_is_listed_and_not_read() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let deep = "import os
for _ in range(17): os.mkdir(\"d\" * 250); os.chdir(\"d\" * 250)
open(\"f\", \"w\").close()";
    sandbox.ok(&format!("python3 -c '{deep}'")).await;
    let list = sandbox.0.changes().await.unwrap();
    assert_eq!(list.paths.len(), 1);
    assert!(list.paths[0].path.len() > 4096);
    let read = sandbox.0.content(&list.paths[0], 10).await;
    if kind() == Kind::Gvisor {
        // There it is opened part by part.
        assert_eq!(read.unwrap(), Content::File { executable: false, bytes: vec![] });
    } else {
        assert!(matches!(read, Err(Error::Changed)), "{read:?}");
    }
    sandbox.close().await;
}

#[tokio::test]
async fn a_list_is_made_while_the_tree_changes() {
    let world = World::new();
    let Some(sandbox) = world.open().await else { return };
    let churn = "for i in $(seq 300); do mkdir -p x/y; echo $i > x/y/f; mv x z; rm -rf z; done";
    let until = Instant::now() + Duration::from_secs(60);
    let mut churning = std::pin::pin!(sandbox.sh(churn));
    loop {
        tokio::select! {
            biased;
            _ = &mut churning => break,
            list = sandbox.0.changes() => assert!(!list.unwrap().truncated),
        }
        assert!(Instant::now() < until);
    }
    assert_eq!(sandbox.changes().await, map([]));
    sandbox.0.close().await.unwrap();
}
