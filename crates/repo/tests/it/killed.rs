//! A process that is killed while its git works.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use events::{Remote, Tenant};
use repo::{Repos, Source};

use crate::world::World;

/// In the folder in which the process works that is to be killed.
const SLOW_GIT: &str = "slow-git";

/// A git whose fetch lasts until there is a file `go`, or ends by itself should this test fail.
fn slow_git(dir: &Path) {
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = fetch ]; then cd '{}'; : > fetching; n=0\n\
         while [ ! -e go ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done; exit 1; fi\nexec git \"$@\"\n",
        dir.display()
    );
    fs::write(dir.join(SLOW_GIT), script).unwrap();
    fs::set_permissions(dir.join(SLOW_GIT), fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_mirror_stays_locked_until_the_git_of_a_killed_process_ends() {
    let world = World::new(|dir| fs::write(dir.join("f"), "1\n").unwrap()).await;
    slow_git(world.dir.path());
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::fetches_until_it_is_killed", "--ignored"])
        .current_dir(world.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !world.dir.path().join("fetching").exists() {
        assert!(process.try_wait().unwrap().is_none(), "it ended before it fetched");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.kill().unwrap();
    process.wait().unwrap();

    let mirrors = fs::read_dir(world.dir.path().join("home/mirrors")).unwrap();
    let lock =
        mirrors.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "lock").unwrap();
    let lock = File::options().write(true).open(lock).unwrap();
    assert!(
        matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        "its git fetches, and nothing is locked"
    );
    fs::write(world.dir.path().join("go"), "").unwrap();
    tokio::task::spawn_blocking(move || lock.lock()).await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "the process that the test above kills"]
async fn fetches_until_it_is_killed() {
    let dir = std::env::current_dir().unwrap();
    if !dir.join(SLOW_GIT).exists() {
        return;
    }
    let repos = Repos::open(dir.join("home")).await.unwrap().with_git(dir.join(SLOW_GIT));
    let source =
        Source { remote: Remote::Local(dir.join("origin")), tenant: Tenant::default(), credential: None };
    repos.mirror(&source).await.unwrap();
}
