//! A push is never made over somebody else's commits, and a push that was taken is done.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use events::{Branch, Oid};
use repo::{Error, Expect};

use crate::world::{Session, World, git};

async fn world_with_commit() -> (World, Session, Oid, Branch) {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let mut session = world.session().await;
    session.work.write("a", b"changed\n");
    let saved = session.save().await.commit.unwrap();
    let commit = session.commit(&saved).await;
    (world, session, commit, "backspace/change".parse().unwrap())
}

#[tokio::test]
async fn a_new_branch_is_pushed_and_read_back() {
    let (world, session, commit, branch) = world_with_commit().await;
    let source = world.source();
    fs::write(world.origin().join("a"), "somebody is at work here\n").unwrap();
    assert_eq!(session.mirror.remote_head(&source, &branch).await.unwrap(), None);
    let ran = session.mirror.push(&source, &commit, &branch, &Expect::New).await.unwrap();
    let typed =
        format!("git push {} {}:refs/heads/backspace/change", world.origin().display(), commit.short());
    assert_eq!((ran.command, ran.exit_code), (typed, 0));
    assert_eq!(session.mirror.remote_head(&source, &branch).await.unwrap(), Some(commit.clone()));
    // The commit is the base and one more; the steps stay at home, and so does the work tree of the owner.
    let log = git(&world.origin(), &["log", "--format=%P %an %s", "-1", commit.as_str()]);
    assert_eq!(log, format!("{} A Bot The change", session.base.commit));
    assert!(!git(&world.origin(), &["for-each-ref"]).contains("refs/backspace"));
    assert_eq!(git(&world.origin(), &["status", "--porcelain"]), " M a");
    assert_eq!(fs::read_to_string(world.origin().join("a")).unwrap(), "somebody is at work here\n");
}

#[tokio::test]
async fn the_same_commit_again_is_done() {
    let (world, session, commit, branch) = world_with_commit().await;
    let source = world.source();
    session.mirror.push(&source, &commit, &branch, &Expect::New).await.unwrap();
    let again = session.mirror.push(&source, &commit, &branch, &Expect::New).await.unwrap();
    assert_eq!(again.exit_code, 0);
}

#[tokio::test]
async fn foreign_commits_are_never_pushed_over() {
    let (world, session, commit, branch) = world_with_commit().await;
    let source = world.source();
    git(&world.origin(), &["branch", "backspace/change"]);
    let base = session.base.commit.clone();
    let taken = session.mirror.push(&source, &commit, &branch, &Expect::New).await;
    assert!(matches!(&taken, Err(Error::BranchTaken { head: Some(head), .. }) if *head == base), "{taken:?}");
    // Somebody pushed after us: our former commit is no longer what is there.
    git(&world.origin(), &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    git(&world.origin(), &["branch", "-f", "backspace/change", "main"]);
    let taken = session.mirror.push(&source, &commit, &branch, &Expect::Former(base)).await;
    assert!(matches!(taken, Err(Error::BranchTaken { .. })), "{taken:?}");
    assert_eq!(git(&world.origin(), &["log", "--format=%s", "-1", "backspace/change"]), "theirs");
}

#[tokio::test]
async fn our_own_former_commit_is_replaced() {
    let (world, mut session, commit, branch) = world_with_commit().await;
    let source = world.source();
    session.mirror.push(&source, &commit, &branch, &Expect::New).await.unwrap();
    session.work.write("b", b"more\n");
    let saved = session.save().await.commit.unwrap();
    let next = session.commit(&saved).await;
    session.mirror.push(&source, &next, &branch, &Expect::Former(commit)).await.unwrap();
    assert_eq!(git(&world.origin(), &["rev-parse", "backspace/change"]), next.as_str());
}

#[tokio::test]
async fn a_refused_push_comes_with_the_remotes_words() {
    let (world, session, commit, _) = world_with_commit().await;
    // The branch that is checked out takes no push.
    let refused = session
        .mirror
        .push(
            &world.source(),
            &commit,
            &"main".parse().unwrap(),
            &Expect::Former(session.base.commit.clone()),
        )
        .await;
    let Err(Error::Rejected { message }) = refused else { panic!("{refused:?}") };
    assert!(message.contains("refusing to update checked out branch"), "{message}");
    assert!(message.contains("branch is currently checked out"), "{message}");
}

#[tokio::test]
async fn a_remote_without_room_for_us_is_told_apart() {
    let (world, session, commit, branch) = world_with_commit().await;
    // A stand-in for git that fails as it does when the token lacks the right to change workflows.
    let fake = world.dir.path().join("fake-git");
    let script = "#!/bin/sh\ncase \"$1\" in push)\n\
        printf 'To https://x\\n!\\trefs/heads/a:refs/heads/b\\t[remote rejected] (refusing to allow an OAuth App to \
        create or update workflow `.github/workflows/ci.yml` without `workflow` scope)\\nDone\\n'\n\
        echo 'remote: error: GH013: Repository rule violations found   ' >&2; exit 1;;\n*) exec git \"$@\";; esac\n";
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let repos = world.repos.clone().with_git(fake);
    let mirror = repos.existing(&world.source()).await.unwrap();
    let refused = mirror.push(&world.source(), &commit, &branch, &Expect::New).await;
    let Err(Error::Rejected { message }) = refused else { panic!("{refused:?}") };
    assert!(message.starts_with("error: GH013: Repository rule violations found\n"), "{message}");
    assert!(message.contains("without `workflow` scope"), "{message}");
    drop(session);
}

#[tokio::test]
async fn a_push_whose_answer_was_lost_is_done() {
    let (world, session, commit, branch) = world_with_commit().await;
    let fake = world.dir.path().join("fake-git");
    let script =
        "#!/bin/sh\ngit \"$@\" || exit\ncase \"$1\" in push) echo 'fatal: early EOF' >&2; exit 128;; esac\n";
    fs::write(&fake, script).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let mirror = world.repos.clone().with_git(fake).existing(&world.source()).await.unwrap();
    let ran = mirror.push(&world.source(), &commit, &branch, &Expect::New).await.unwrap();
    assert_eq!(ran.exit_code, 0);
    drop(session);
}
