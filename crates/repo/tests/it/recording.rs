//! Steps are saved one after the other, read once, and found again.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Mutex;

use async_trait::async_trait;
use events::{ChangedKind, ChangedPath, Content, Stamp};
use repo::{Contents, ContentsError, Error, Reason, Repos};

use crate::world::{Work, World, git, main_branch, run};

/// Counts what is read.
struct Counting<'a>(&'a Work, Mutex<Vec<String>>);

#[async_trait]
impl Contents for Counting<'_> {
    async fn content(&self, path: &ChangedPath, bytes_max: u64) -> Result<Option<Content>, ContentsError> {
        self.1.lock().unwrap().push(String::from_utf8_lossy(&path.path).into_owned());
        self.0.content(path, bytes_max).await
    }
}

fn fill(dir: &std::path::Path) {
    fs::write(dir.join("a"), "a\n").unwrap();
    fs::write(dir.join("b"), "b\n").unwrap();
    fs::write(dir.join(".gitignore"), "build/\n*.log\n!keep.log\n").unwrap();
    fs::write(dir.join("tracked.log"), "tracked\n").unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/.gitignore"), "/only-here\n").unwrap();
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("a", b"1\n");
    session.work.write("c", b"c\n");
    let counting = Counting(&session.work, Mutex::default());
    let first = session.recorder.save(&session.work.changes(), &counting).await.unwrap().commit.unwrap();
    assert_eq!(*counting.1.lock().unwrap(), ["a", "c"]);
    counting.1.lock().unwrap().clear();
    assert_eq!(session.recorder.save(&session.work.changes(), &counting).await.unwrap().commit, None);
    session.work.write("b", b"2\n");
    let second = session.recorder.save(&session.work.changes(), &counting).await.unwrap().commit.unwrap();
    assert_eq!(*counting.1.lock().unwrap(), ["b"]);
    // The steps are a chain on the hidden ref, which is there the moment `save` returns.
    let log =
        git(mirror_dir(&world).as_path(), &["log", "--format=%H", &format!("refs/backspace/{}", session.id)]);
    let base = session.base.commit.to_string();
    assert_eq!(log.lines().collect::<Vec<_>>(), [second.as_str(), first.as_str(), base.as_str()]);
}

#[tokio::test]
async fn a_path_that_is_as_in_the_base_again_is_restored() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    session.work.write("new", b"new\n");
    fs::remove_file(session.work.path("b")).unwrap();
    assert!(session.save().await.differs_from_base);
    session.work.write("a", b"a\n");
    session.work.write("b", b"b\n");
    fs::remove_file(session.work.path("new")).unwrap();
    let saved = session.save().await;
    assert!(!saved.differs_from_base);
    let diff = session.mirror.diff(&session.base.commit, &saved.commit.unwrap()).await.unwrap();
    assert!(diff.is_empty());
    assert_eq!(session.save().await.commit, None);
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_left_for_the_next_time() {
    struct Busy;
    #[async_trait]
    impl Contents for Busy {
        async fn content(&self, _: &ChangedPath, _: u64) -> Result<Option<Content>, ContentsError> {
            Ok(None)
        }
    }
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    let list = session.work.changes();
    assert_eq!(session.recorder.save(&list, &Busy).await.unwrap().commit, None);
    assert!(session.recorder.save(&list, &session.work).await.unwrap().commit.is_some());
}

#[tokio::test]
async fn a_failed_save_leaves_the_next_one_whole() {
    struct Failing<'a>(&'a Work);
    #[async_trait]
    impl Contents for Failing<'_> {
        async fn content(
            &self,
            path: &ChangedPath,
            bytes_max: u64,
        ) -> Result<Option<Content>, ContentsError> {
            if path.path == b"c" {
                return Err(ContentsError("the sandbox is gone".into()));
            }
            self.0.content(path, bytes_max).await
        }
    }
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    session.work.write("c", b"c\n");
    let list = session.work.changes();
    let failed = session.recorder.save(&list, &Failing(&session.work)).await;
    assert!(matches!(failed, Err(Error::Contents(_))), "{failed:?}");
    let commit = session.save().await.commit.unwrap();
    let tree = session.mirror.base_tree(&commit, &main_branch()).await.unwrap();
    assert_eq!(fs::read(tree.layers.last().unwrap().join("a")).unwrap(), b"changed\n");
    assert_eq!(fs::read(tree.layers.last().unwrap().join("c")).unwrap(), b"c\n");
}

#[tokio::test]
async fn an_interrupted_session_goes_on_from_its_last_step() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("a", b"1\n");
    let first = session.save().await.commit.unwrap();
    session.work.write("b", b"2\n");
    fs::remove_file(session.work.path("tracked.log")).unwrap();
    let second = session.save().await.commit.unwrap();
    // Another process finds it without asking the remote; the log knows the first step only.
    let repos = Repos::open(world.dir.path().join("home")).await.unwrap();
    let mirror = repos.existing(&world.source()).await.unwrap();
    assert_eq!(mirror.saved(session.id).await.unwrap(), Some(second.clone()));
    let mut recorder = mirror.recorder(session.id, &session.base, Some(&first)).await.unwrap();
    let again = recorder.save(&session.work.changes(), &session.work).await.unwrap();
    let (again, hidden) = (again.commit.unwrap(), mirror.saved(session.id).await.unwrap());
    assert_eq!(hidden, Some(again.clone()));
    assert!(mirror.diff(&second, &again).await.unwrap().is_empty());
    let mut recorder = mirror.recorder(session.id, &session.base, Some(&again)).await.unwrap();
    assert_eq!(recorder.save(&session.work.changes(), &session.work).await.unwrap().commit, None);
    assert_eq!(mirror.saved(crate::world::new_id()).await.unwrap(), None);
}

#[tokio::test]
async fn ignored_files_stay_out_and_tracked_ones_in() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    for name in ["build/x", "x.log", "sub/only-here", "__pycache__/m.pyc", "sub/node_modules/p/index.js"] {
        session.work.write(name, b"junk\n");
    }
    for name in ["keep.log", "tracked.log", "only-here", "sub/keep.log"] {
        session.work.write(name, b"wanted\n");
    }
    let commit = session.save().await.commit.unwrap();
    let stats = session.mirror.stats(&session.base.commit, &commit).await.unwrap();
    let paths: Vec<_> = stats.iter().map(|stat| stat.path.as_str()).collect();
    assert_eq!(paths, ["keep.log", "only-here", "sub/keep.log", "tracked.log"]);
    // A rule that the session writes takes out what was saved before.
    session.work.write("sub/.gitignore", b"keep.log\n");
    let commit = session.save().await.commit.unwrap();
    let stats = session.mirror.stats(&session.base.commit, &commit).await.unwrap();
    let paths: Vec<_> = stats.iter().map(|stat| stat.path.as_str()).collect();
    assert_eq!(paths, ["keep.log", "only-here", "sub/.gitignore", "sub/only-here", "tracked.log"]);
}

#[tokio::test]
async fn a_project_that_keeps_its_dependencies_keeps_new_ones() {
    let world = World::new(|dir| {
        fs::create_dir_all(dir.join("node_modules/old")).unwrap();
        fs::write(dir.join("node_modules/old/index.js"), "").unwrap();
    })
    .await;
    let mut session = world.session().await;
    session.work.write("node_modules/new/index.js", b"x");
    session.work.write("sub/node_modules/new/index.js", b"x");
    let commit = session.save().await.commit.unwrap();
    let stats = session.mirror.stats(&session.base.commit, &commit).await.unwrap();
    assert_eq!(
        stats.iter().map(|stat| stat.path.as_str()).collect::<Vec<_>>(),
        ["node_modules/new/index.js"]
    );
}

#[tokio::test]
async fn what_git_must_not_hold_is_left_out_and_said() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    let work = &session.work;
    run("mkfifo", &[work.path("pipe").to_str().unwrap()]);
    work.write("nested/.git/config", b"[core]\n");
    work.write("nested/.git/HEAD", b"x");
    work.write("x/.GIT/hooks/post-checkout", b"#!/bin/sh\n");
    work.write("git~1", b"x");
    work.write("bell\u{7}", b"x");
    work.write("huge", &vec![0; (10 << 20) + 1]);
    symlink("a", work.path(".gitmodules")).unwrap();
    work.write("fine", b"x");
    let saved = session.save().await;
    let skipped: Vec<_> = saved.skipped.iter().map(|s| (s.path.as_str(), s.reason)).collect();
    assert_eq!(
        skipped,
        [
            (".gitmodules", Reason::SettingsLink),
            ("bell\\u{7}", Reason::ControlCharacter),
            ("git~1", Reason::NestedGit),
            ("huge", Reason::FileTooLarge),
            ("nested/.git", Reason::NestedGit),
            ("pipe", Reason::Special),
            ("x/.GIT", Reason::NestedGit),
        ]
    );
    let stats = session.mirror.stats(&session.base.commit, &saved.commit.unwrap()).await.unwrap();
    assert_eq!(stats.iter().map(|stat| stat.path.as_str()).collect::<Vec<_>>(), ["fine"]);
}

#[tokio::test]
async fn names_that_differ_by_case_are_flagged() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("A", b"x");
    session.work.write("Sub/file", b"x");
    session.work.write("new/One", b"x");
    session.work.write("new/one", b"x");
    fs::rename(session.work.path("b"), session.work.path("B")).unwrap();
    assert_eq!(session.save().await.colliding, ["A", "Sub/file", "new/one"]);
}

#[tokio::test]
async fn too_much_is_an_error_and_the_last_step_stays() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    session.work.write("a", b"1\n");
    let first = session.save().await.commit.unwrap();
    let mut list = session.work.changes();
    let kind = ChangedKind::File { executable: false, bytes: 9 << 20 };
    for n in 0..30 {
        list.paths.push(ChangedPath { path: format!("n{n}").into_bytes(), kind, stamp: Stamp::default() });
    }
    let failed = session.recorder.save(&list, &session.work).await;
    assert!(matches!(failed, Err(Error::TooLarge { .. })), "{failed:?}");
    list.truncated = true;
    assert!(matches!(session.recorder.save(&list, &session.work).await, Err(Error::TooLarge { .. })));
    assert_eq!(session.mirror.saved(session.id).await.unwrap(), Some(first));
}

#[tokio::test]
async fn a_submodule_is_never_changed() {
    let world = World::new(fill).await;
    let sha = "1234567890123456789012345678901234567890";
    git(&world.origin(), &["update-index", "--add", "--cacheinfo", &format!("160000,{sha},vendor/sub")]);
    git(&world.origin(), &["commit", "-q", "-m", "submodule"]);
    let mut session = world.session().await;
    session.work.write("vendor/sub/file", b"x");
    let saved = session.save().await;
    assert_eq!(saved.commit, None);
    assert_eq!(saved.skipped[0].reason, Reason::Submodule);
    fs::remove_dir_all(session.work.path("vendor")).unwrap();
    session.work.write("a", b"1\n");
    let mut list = session.work.changes();
    let gone =
        ChangedPath { path: b"vendor/sub".to_vec(), kind: ChangedKind::Deleted, stamp: Stamp::default() };
    list.paths.push(gone);
    let commit = session.recorder.save(&list, &session.work).await.unwrap().commit.unwrap();
    let listed = git(&mirror_dir(&world), &["ls-tree", commit.as_str(), "vendor/sub"]);
    assert_eq!(listed, format!("160000 commit {sha}\tvendor/sub"));
}

#[tokio::test]
async fn what_lay_over_the_base_and_is_deleted_is_no_change() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    let gone = |path: String| ChangedPath {
        path: path.into_bytes(),
        kind: ChangedKind::Deleted,
        stamp: Stamp::default(),
    };
    // More than a change may hold, and what was written over before it went.
    session.work.write("over", b"1\n");
    let saved = session.save().await;
    assert!(saved.differs_from_base);
    fs::remove_file(session.work.path("over")).unwrap();
    let mut list = session.work.changes();
    list.paths.extend((0..50_001).map(|n| gone(format!("made/{n:05}"))).chain([gone("over".to_owned())]));
    let saved = session.recorder.save(&list, &session.work).await.unwrap();
    assert!(!saved.differs_from_base, "{saved:?}");
    assert_eq!(git(&mirror_dir(&world), &["diff", "--stat", saved.commit.unwrap().as_str(), "main"]), "");
}

#[tokio::test]
async fn many_steps_leave_few_packs() {
    let world = World::new(fill).await;
    let mut session = world.session().await;
    for n in 0..400 {
        session.work.write("a", format!("{n}\n").as_bytes());
        assert!(session.save().await.commit.is_some());
    }
    session.recorder.close().await.unwrap();
    let files = fs::read_dir(mirror_dir(&world).join("objects/pack")).unwrap().flatten();
    let packs = files.filter(|file| file.path().extension().is_some_and(|end| end == "pack")).count();
    assert!(packs <= 64, "{packs} packs");
    let count = git(&mirror_dir(&world), &["rev-list", "--count", &format!("refs/backspace/{}", session.id)]);
    assert_eq!(count, "401");
}

/// The one mirror.
pub(crate) fn mirror_dir(world: &World) -> std::path::PathBuf {
    let mirrors = fs::read_dir(world.dir.path().join("home/mirrors")).unwrap().flatten();
    mirrors.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "git")).unwrap()
}
