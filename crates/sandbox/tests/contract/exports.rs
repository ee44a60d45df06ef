//! What a sandbox exports, and sandboxes over it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sandbox::{Allowance, Error, Exported, HomeFile, Tree};

use crate::ends::{marker, processes_with};
use crate::world::{Kind, Open, World, kind};

const PLENTY: Allowance = Allowance { bytes_max: 64 << 20, entries_max: 10_000 };

/// Runs `script` in a sandbox of `world` and exports what it left. Nothing when this machine cannot.
async fn exported(world: &World, script: &str) -> Option<(PathBuf, Exported)> {
    let sandbox = world.open().await?;
    sandbox.ok(script).await;
    let folder = world.base.path().join("exported");
    let exported = sandbox.0.export(&folder, PLENTY).await.unwrap();
    sandbox.close().await;
    Some((folder, exported))
}

/// A sandbox over what was exported.
async fn over(world: &World, folder: &Path) -> Open {
    let tree = Tree::clone(&world.tree).with_exported(folder);
    Open(sandbox::open(&world.config, &tree, &world.policy).await.unwrap())
}

fn text(paths: &[Vec<u8>]) -> Vec<String> {
    let mut paths: Vec<String> = paths.iter().map(|path| path.escape_ascii().to_string()).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn what_was_added_stands_in_the_next_sandbox_and_is_no_change_there() {
    for world in [World::new(), World::on_disk()] {
        let script = "mkdir -p deps/a/empty src/deep/gen; echo 1 > deps/a/one; ln deps/a/one deps/two
                      echo x > deps/tool; chmod 751 deps/tool; ln -s a/one deps/link; ln -s /etc deps/out
                      echo g > src/deep/gen/g; mkfifo deps/pipe; chmod 500 deps/a/empty
                      touch -d '2001-02-03 04:05:06.789' deps/a/one; touch -h -d @86400 deps/link
                      touch -d @86400 deps/a; mkdir -p ~/.cache/x; echo c > ~/.cache/x/y; echo r > ~/.rc";
        let Some((folder, exported)) = exported(&world, script).await else { return };
        // Two of the files are one, and a pipe is nothing.
        assert_eq!((exported.entries, exported.bytes), (14, 10));
        assert_eq!(text(exported.roots.as_deref().unwrap()), ["deps", "src/deep/gen"]);
        assert_eq!((exported.undone, exported.undone_total), (vec![], 0));

        let sandbox = over(&world, &folder).await;
        let said = sandbox
            .ok("cat deps/a/one deps/link src/deep/gen/g src/deep/c ~/.cache/x/y ~/.rc; readlink deps/out
                 stat -c '%n %a %h %U' deps/a/one deps/tool deps/a/empty deps/a; stat -c %y deps/a/one
                 stat -c %Y deps/link deps/a; ls deps; cat .git/HEAD")
            .await;
        assert_eq!(
            said,
            "1\n1\ng\nc\nc\nr\n/etc\n\
             deps/a/one 644 2 agent\ndeps/tool 751 1 agent\ndeps/a/empty 700 2 agent\ndeps/a 755 3 agent\n\
             2001-02-03 04:05:06.789000000 +0000\n86400\n86400\na\nlink\nout\ntool\ntwo\nref: refs/heads/main\n"
        );
        assert_eq!(sandbox.changes().await, BTreeMap::new());

        // It may be changed, and that is a change like any other; the folder stays as it is.
        sandbox
            .ok("echo 2 > deps/a/one; rm deps/tool ~/.rc; echo n > deps/a/empty/new; rm -r src/deep")
            .await;
        let changes = sandbox.changes().await;
        let changed: Vec<&str> = changes.keys().map(String::as_str).collect();
        let mut expected =
            vec!["deps/a/empty/new", "deps/a/one", "deps/tool", "src/deep/c", "src/deep/d", "src/deep/gen/g"];
        if matches!(kind(), Kind::Sent | Kind::Gvisor) {
            // An overlay makes two files of one with two names as soon as it changes; here it stays one.
            expected.insert(3, "deps/two");
        }
        assert_eq!(changed, expected);
        sandbox.close().await;
        assert_eq!(fs::read_to_string(folder.join("work/deps/a/one")).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(folder.join("home/.rc")).unwrap(), "r\n");
    }
}

#[tokio::test]
async fn what_the_base_holds_stays_as_it_is() {
    let world = World::new();
    let script =
        "echo more >> README; rm src/b; chmod +x src/a; rm -r src/deep; mkdir src/deep; echo n > src/deep/n
                  rm link; ln -s elsewhere link; rm run.sh; mkdir run.sh; echo i > run.sh/inside
                  touch -- -rf; echo evil > .git/HEAD; mkdir .git/hooks; echo evil > .git/hooks/pre-commit";
    let Some((folder, exported)) = exported(&world, script).await else { return };
    let mut expected = vec!["README", "link", "run.sh", "src/a", "src/b", "src/deep/c", "src/deep/d"];
    if matches!(kind(), Kind::Sent | Kind::Gvisor) {
        // Written anew and the same as before: nobody inside knows what it held.
        expected.insert(0, "-rf");
    }
    assert_eq!(text(&exported.undone), expected);
    assert_eq!(exported.undone_total, expected.len() as u64);
    assert_eq!(text(exported.roots.as_deref().unwrap()), ["src/deep/n"]);
    let sandbox = over(&world, &folder).await;
    let said =
        sandbox.ok("cat README src/a src/b src/deep/* .git/HEAD; readlink link; ls -a .git; ./run.sh").await;
    assert_eq!(said, "hello\na\nb\nc\nd\nn\nref: refs/heads/main\nREADME\n.\n..\nHEAD\nran\n");
    assert_eq!(sandbox.changes().await, BTreeMap::new());
    sandbox.close().await;
}

#[tokio::test]
async fn a_replaced_folder_adds_nothing_and_takes_nothing_away() {
    let world = World::new();
    let Some((folder, exported)) =
        exported(&world, "rm -rf src; echo x > src; rm -rf .git; mkdir .git; echo e > .git/e").await
    else {
        return;
    };
    let undone = vec![b"src".to_vec()];
    assert_eq!(exported, Exported { entries: 0, bytes: 0, roots: Some(vec![]), undone, undone_total: 1 });
    assert_eq!(fs::read_dir(folder.join("work")).unwrap().count(), 0);
    let sandbox = over(&world, &folder).await;
    assert_eq!(sandbox.ok("ls -a src .git").await, ".git:\n.\n..\nHEAD\n\nsrc:\n.\n..\na\nb\ndeep\n");
    sandbox.close().await;
}

#[tokio::test]
async fn links_lead_nowhere_on_this_machine() {
    let world = World::new();
    let outside = world.base.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "s\n").unwrap();
    let (outside, up) = (outside.display(), "../".repeat(30));
    let script = format!(
        "mkdir d; ln -s {outside}/secret d/secret; ln -s {up}etc/passwd d/passwd; ln -s {outside} d/folder
         ln -s {outside} e; rm -r src/deep; ln -s {outside} src/deep; ln -s / ~/root; echo 4 > f; chmod 4755 f"
    );
    let Some((folder, exported)) = exported(&world, &script).await else { return };
    assert_eq!(text(&exported.undone), ["src/deep"]);
    for link in ["work/d/secret", "work/d/passwd", "work/d/folder", "work/e", "home/root"] {
        assert!(fs::symlink_metadata(folder.join(link)).unwrap().is_symlink(), "{link}");
    }
    assert_eq!(fs::metadata(folder.join("work/f")).unwrap().permissions().mode() & 0o7777, 0o755);
    let there = fs::read_dir(world.base.path().join("outside")).unwrap();
    assert_eq!(there.count(), 1, "nothing was written through a link");
    let us = rustix::process::geteuid().as_raw();
    assert_eq!(fs::symlink_metadata(folder.join("work/d/secret")).unwrap().uid(), us);
    let sandbox = over(&world, &folder).await;
    sandbox.fails("cat d/secret").await;
    sandbox.close().await;
}

#[tokio::test]
async fn what_is_too_much_is_refused() {
    let world = World::new();
    let small = Allowance { bytes_max: 1 << 20, entries_max: 50 };
    let deep = "for i in $(seq 200); do mkdir d; cd d; done";
    let cases = [
        ("truncate -s 1T sparse", "more than 1 MiB"),
        ("head -c 600000 /dev/zero > a; cp a ~/b", "more than 1 MiB"),
        ("mkdir m; cd m; seq 60 | xargs touch", "more than 50 files"),
        ("mkdir m; cd m; touch f; for i in $(seq 60); do ln f $i; done", "more than 50 files"),
        (deep, "more than 50 files"),
    ];
    // Where changes lie on disk no file is longer than all of them may be.
    let cases = if kind() == Kind::Container { &cases[1..] } else { &cases };
    for (number, (script, reason)) in cases.iter().enumerate() {
        let Some(sandbox) = world.open().await else { return };
        sandbox.ok(script).await;
        let folder = world.base.path().join(number.to_string());
        let refused = sandbox.0.export(&folder, small).await;
        let Err(Error::TooLarge { what }) = refused else { panic!("{script}: {refused:?}") };
        assert_eq!(what, *reason, "{script}");
        sandbox.close().await;
    }
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok(deep).await;
    let refused = sandbox.0.export(&world.base.path().join("deep"), PLENTY).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    sandbox.close().await;
}

#[tokio::test]
async fn nothing_inside_runs_any_more_when_it_is_exported() {
    let world = World::new();
    let mark = marker(77);
    let script = format!(
        "(setsid sh -c 'trap \"\" TERM HUP; sleep {mark} & while :; do echo x >> grows; done' >/dev/null 2>&1 &)
         until [ -s grows ]; do :; done"
    );
    let Some(sandbox) = world.open().await else { return };
    sandbox.ok(&script).await;
    // gVisor's kernel is a process of this machine, what runs in it is not.
    assert!(!processes_with(&mark).is_empty() || kind() == Kind::Gvisor);
    let folder = world.base.path().join("exported");
    sandbox.0.export(&folder, PLENTY).await.unwrap();
    assert_eq!(processes_with(&mark), Vec::<i32>::new());
    let size = fs::metadata(folder.join("work/grows")).unwrap().len();
    assert!(size > 0);
    assert!(
        matches!(sandbox.0.changes().await.map(|list| list.paths.len()), Ok(1)),
        "it can still be looked at"
    );
    let command = sandbox::Command {
        script: "true".to_owned(),
        timeout: std::time::Duration::from_secs(10),
        output_bytes_max: 100,
        live: None,
    };
    assert!(matches!(sandbox.0.run(&command).await, Err(Error::Lost { .. })));
    sandbox.close().await;
}

#[tokio::test]
async fn what_nobody_may_read_inside_is_exported_all_the_same() {
    let world = World::new();
    let script = "mkdir shut; echo x > shut/file; ln -s x shut/link; chmod 000 shut/file shut";
    let Some((folder, exported)) = exported(&world, script).await else { return };
    assert_eq!((exported.entries, exported.bytes), (3, 2));
    let sandbox = over(&world, &folder).await;
    assert_eq!(sandbox.ok("cat shut/file; stat -c %a shut shut/file").await, "x\n700\n400\n");
    sandbox.close().await;
}

#[tokio::test]
async fn what_a_hostile_command_writes_into_attributes_is_not_carried_over() {
    let world = World::new();
    // An overlay's own marks, set by hand where they are not taken: they would hide the base from the next sandbox.
    let script = "mkdir src/new new
                  python3 - <<'END' || true
import os
for path in ('src/new', 'new', 'src', '.'):
    for name in ('user.overlay.opaque', 'user.overlay.redirect', 'user.overlay.whiteout', 'user.x'):
        try: os.setxattr(path, name, b'y')
        except OSError: pass
END";
    let Some((folder, _)) = exported(&world, script).await else { return };
    for path in ["work", "work/src", "work/src/new", "work/new"] {
        let mut names = [0; 256];
        assert_eq!(rustix::fs::listxattr(folder.join(path), &mut names).unwrap(), 0, "{path}");
    }
    let sandbox = over(&world, &folder).await;
    assert_eq!(sandbox.ok("cat README src/a").await, "hello\na\n");
    sandbox.close().await;
}

#[tokio::test]
async fn what_was_shut_is_exported_all_the_same_the_work_tree_itself_too() {
    let world = World::new();
    let Some((folder, exported)) = exported(&world, "echo x > new; echo y > ~/y; chmod 0 . ~").await else {
        return;
    };
    assert_eq!((exported.entries, exported.bytes), (2, 4));
    assert_eq!(fs::read_to_string(folder.join("work/new")).unwrap(), "x\n");
    assert_eq!(fs::read_to_string(folder.join("home/y")).unwrap(), "y\n");
}

#[tokio::test]
async fn the_policys_files_are_laid_whatever_was_left_at_their_places() {
    let file =
        |path: &str, content: &str| HomeFile { path: path.to_owned(), content: content.as_bytes().to_vec() };
    for left in [
        "ln -s /work/README ~/.npmrc; ln -s /work/src ~/.config; echo first > ~/other",
        "mkdir -p ~/.config; ln -s /work/new ~/.npmrc; ln -s /work/src ~/.config/pip; echo first > ~/other",
        "mkdir -p ~/.npmrc/x ~/.config/pip/pip.conf/x; ln -s /work ~/.npmrc/x/link; echo first > ~/other",
        "echo left > ~/.config; echo first > ~/.npmrc; ln ~/.npmrc ~/other; ln ~/other ~/third",
    ] {
        let mut world = World::new();
        let Some((folder, _)) = exported(&world, left).await else { return };
        world.policy.home = vec![file(".npmrc", "a=b\n"), file(".config/pip/pip.conf", "[global]\n")];
        let sandbox = over(&world, &folder).await;
        let look =
            "cd; find .npmrc .config -type f | sort; cat .npmrc .config/pip/pip.conf other; cat /work/README
                    ls /work/src";
        let expected = ".config/pip/pip.conf\n.npmrc\na=b\n[global]\nfirst\nhello\na\nb\ndeep\n";
        assert_eq!(sandbox.ok(look).await, expected, "{left}");
        assert_eq!(sandbox.changes().await, BTreeMap::new(), "{left}");
        sandbox.close().await;
    }
}
