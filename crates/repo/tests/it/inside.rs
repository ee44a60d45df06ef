//! The throw-away `.git` over a base tree, as somebody inside a sandbox finds it.

use std::fs;
use std::path::Path;
use std::process::Command;

use events::Remote;
use repo::{BaseTree, Expect, Source};

use crate::world::{World, git, run};

/// The layers laid over each other in a folder of their own, and how to take them down.
struct Laid {
    dir: tempfile::TempDir,
    mounted: bool,
}

impl Laid {
    /// An overlay, where that is allowed; else a copy, whose inodes and times of change differ just the same.
    fn over(base: &BaseTree) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["upper", "work", "merged"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let lower = base.layers.iter().map(|layer| layer.display().to_string()).collect::<Vec<_>>().join(":");
        let at = |name: &str| dir.path().join(name).display().to_string();
        let options = format!("lowerdir={lower},upperdir={},workdir={}", at("upper"), at("work"));
        let mount =
            Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options, &at("merged")]).output();
        let mounted = mount.is_ok_and(|output| output.status.success());
        if !mounted {
            for layer in base.layers.iter().rev() {
                run("cp", &["-a", &format!("{}/.", layer.display()), &at("merged")]);
            }
        }
        Self { dir, mounted }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("merged")
    }
}

impl Drop for Laid {
    fn drop(&mut self) {
        if self.mounted {
            run("umount", &[self.path().to_str().unwrap()]);
        }
    }
}

fn fill(dir: &Path) {
    fs::write(dir.join("a"), "a\n").unwrap();
    fs::write(dir.join("crlf"), "a\r\n").unwrap();
    fs::write(dir.join(".gitattributes"), "* text=auto eol=crlf\n*.bin filter=lfs\n").unwrap();
    fs::write(dir.join("x.bin"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    fs::create_dir(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/b"), "b\n").unwrap();
    std::os::unix::fs::symlink("a", dir.join("link")).unwrap();
}

async fn world() -> World {
    let world = World::new(fill).await;
    for n in 0..60 {
        fs::write(world.origin().join("counter"), format!("{n}\n")).unwrap();
        world.commit_all(&format!("commit {n}"));
    }
    let sha = "1234567890123456789012345678901234567890";
    git(&world.origin(), &["update-index", "--add", "--cacheinfo", &format!("160000,{sha},vendor/sub")]);
    git(&world.origin(), &["commit", "-q", "-m", "submodule"]);
    world
}

#[tokio::test]
async fn git_inside_is_clean_and_sees_every_edit() {
    let world = world().await;
    let session = world.session().await;
    let laid = Laid::over(&session.base);
    let inside = laid.path();
    assert_eq!(git(&inside, &["status", "--porcelain"]), "");
    assert_eq!(git(&inside, &["rev-parse", "--abbrev-ref", "HEAD"]), "main");
    assert_eq!(git(&inside, &["rev-parse", "HEAD"]), session.base.commit.as_str());
    // Of the same size, in the same second as everything else that happens here.
    fs::write(inside.join("a"), "b\n").unwrap();
    fs::write(inside.join("new"), "").unwrap();
    assert_eq!(git(&inside, &["status", "--porcelain"]), " M a\n?? new");
    assert_eq!(git(&inside, &["diff", "--stat", "a"]).lines().count(), 2);
    git(&inside, &["add", "-A"]);
    git(&inside, &["commit", "-q", "-m", "inside"]);
    git(&inside, &["checkout", "-q", "-b", "other", "HEAD~2"]);
    assert_eq!(git(&inside, &["status", "--porcelain"]), "");
    git(&inside, &["fsck", "--strict", "--no-dangling"]);
}

#[tokio::test]
async fn the_history_inside_is_the_last_commits_and_nothing_else() {
    let world = world().await;
    let mut session = world.session().await;
    session.work.write("a", b"another session's work\n");
    let step = session.save().await.commit.unwrap();
    let laid = Laid::over(&session.base);
    let inside = laid.path();
    assert_eq!(git(&inside, &["rev-list", "--count", "HEAD"]), "50");
    assert_eq!(git(&inside, &["remote"]), "");
    let lost =
        Command::new("git").args(["cat-file", "-e", step.as_str()]).current_dir(&inside).output().unwrap();
    assert!(!lost.status.success(), "what sessions saved is not to be seen");
    assert!(!inside.join(".git/objects/info/alternates").exists());
    assert!(git(&inside, &["log", "--format=%s", "-2"]).starts_with("submodule\ncommit 59"));
}

#[tokio::test]
async fn two_branches_on_one_commit_have_a_head_each_and_one_checkout() {
    let world = World::new(fill).await;
    let session = world.session().await;
    let other = session.mirror.base_tree(&session.base.commit, &"fix/a".parse().unwrap()).await.unwrap();
    assert_eq!(other.layers.last(), session.base.layers.last());
    let laid = Laid::over(&other);
    assert_eq!(git(&laid.path(), &["rev-parse", "--abbrev-ref", "HEAD"]), "fix/a");
    assert_eq!(git(&laid.path(), &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_clone_without_its_history_will_do() {
    let world = world().await;
    let shallow = world.dir.path().join("shallow");
    let origin = format!("file://{}", world.origin().display());
    git(
        world.dir.path(),
        &["clone", "-q", "--depth", "3", "--branch", "main", &origin, shallow.to_str().unwrap()],
    );
    let source = Source { remote: Remote::Local(shallow.clone()), ..world.source() };
    let mut session = world.session_of(&source).await;
    let laid = Laid::over(&session.base);
    assert_eq!(git(&laid.path(), &["rev-list", "--count", "HEAD"]), "3");
    git(&laid.path(), &["fsck", "--strict", "--no-dangling"]);
    session.work.write("a", b"changed\n");
    let saved = session.save().await.commit.unwrap();
    let commit = session.commit(&saved).await;
    session.mirror.push(&source, &commit, &"x".parse().unwrap(), &Expect::New).await.unwrap();
    assert_eq!(git(&shallow, &["rev-parse", "x"]), commit.as_str());
}

#[tokio::test]
async fn every_git_on_this_machine_does() {
    for program in ["/usr/bin/git", "/usr/local/bin/git"] {
        if !Path::new(program).exists() {
            continue;
        }
        let mut world = world().await;
        world.repos = world.repos.clone().with_git(program.into());
        let mut session = world.session().await;
        let laid = Laid::over(&session.base);
        assert_eq!(git(&laid.path(), &["status", "--porcelain"]), "", "{program}");
        session.work.write("quo\"te\\", b"x\r\n");
        for n in 0..70 {
            session.work.write("a", format!("{n}\n").as_bytes());
            session.save().await.commit.unwrap();
        }
        let saved = session.mirror.saved(session.id).await.unwrap().unwrap();
        let commit = session.commit(&saved).await;
        session.mirror.push(&world.source(), &commit, &"x".parse().unwrap(), &Expect::New).await.unwrap();
        assert_eq!(git(&world.origin(), &["show", "x:a"]), "69", "{program}");
        session.recorder.close().await.unwrap();
    }
}
