//! Many sessions, and many processes, at once.

use std::fs;
use std::time::Duration;

use events::{Remote, Tenant};
use repo::{Credential, Repos, Source};
use secrecy::SecretString;

use crate::recording::mirror_dir;
use crate::world::{World, git, main_branch};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_sessions_at_once_share_a_mirror_and_a_tree() {
    let world = World::new(|dir| {
        for n in 0..200 {
            fs::write(dir.join(format!("f{n}")), format!("{n}\n")).unwrap();
        }
    })
    .await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        // As another process would, each with a look at the folder of its own.
        let (home, source) = (world.dir.path().join("home"), world.source());
        tasks.spawn(async move {
            let repos = Repos::open(home).await.unwrap();
            let (mirror, _) = repos.mirror(&source).await.unwrap();
            let commit = mirror.branch(&main_branch()).await.unwrap().unwrap();
            mirror.base_tree(&commit, &main_branch()).await.unwrap()
        });
    }
    let trees = tasks.join_all().await;
    assert!(trees.iter().all(|tree| tree.layers == trees[0].layers));
    assert_eq!(fs::read_dir(trees[0].layers.last().unwrap()).unwrap().count(), 200);
    assert_eq!(
        fs::read_dir(world.dir.path().join("home/scratch")).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_save_into_one_mirror_at_once_while_it_is_fetched() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..4 {
        let mut session = world.session().await;
        tasks.spawn(async move {
            for step in 0..10 {
                session.work.write("a", format!("{n} {step}\n").as_bytes());
                session.save().await.commit.unwrap();
            }
            (session.mirror.clone(), session.id)
        });
    }
    for n in 0..5 {
        world.commit_all(&format!("meanwhile {n}"));
        world.mirror().await;
    }
    for (mirror, id) in tasks.join_all().await {
        assert!(mirror.saved(id).await.unwrap().is_some(), "no fetch prunes a hidden ref");
    }
    git(&mirror_dir(&world), &["fsck", "--strict", "--no-dangling"]);
}

#[tokio::test]
async fn a_mirror_follows_its_remote() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    git(&world.origin(), &["branch", "x"]);
    git(&world.origin(), &["update-ref", "refs/pull/1/head", "HEAD"]);
    let (mirror, ran) = world.repos.mirror(&world.source()).await.unwrap();
    assert_eq!(ran.len(), 2, "{ran:?}");
    assert!(ran[1].command.starts_with("git fetch --prune "), "{ran:?}");
    assert_eq!(mirror.default_branch().await.unwrap(), Some(main_branch()));
    // Nothing new: the remote is asked, and that is all.
    assert_eq!(world.repos.mirror(&world.source()).await.unwrap().1.len(), 1);
    git(&world.origin(), &["branch", "-D", "x"]);
    git(&world.origin(), &["branch", "x/y"]);
    git(&world.origin(), &["commit", "-q", "--amend", "--allow-empty", "-m", "rewritten"]);
    let (mirror, ran) = world.repos.mirror(&world.source()).await.unwrap();
    assert_eq!(ran.len(), 2, "{ran:?}");
    let head = git(&world.origin(), &["rev-parse", "main"]);
    assert_eq!(mirror.branch(&main_branch()).await.unwrap().unwrap().as_str(), head);
    assert_eq!(mirror.branch(&"x".parse().unwrap()).await.unwrap(), None);
    assert!(mirror.branch(&"x/y".parse().unwrap()).await.unwrap().is_some());
    let refs = git(&mirror_dir(&world), &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(refs, "refs/heads/main\nrefs/heads/x/y");
    git(&world.origin(), &["checkout", "-q", "--detach"]);
    assert_eq!(world.mirror().await.default_branch().await.unwrap(), None);
}

#[tokio::test]
async fn locks_of_a_killed_fetch_do_not_last() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    world.mirror().await;
    fs::write(mirror_dir(&world).join("refs/heads/main.lock"), "").unwrap();
    fs::write(mirror_dir(&world).join("packed-refs.lock"), "").unwrap();
    world.commit_all("next");
    let head = git(&world.origin(), &["rev-parse", "main"]);
    let mirror = world.mirror().await;
    assert_eq!(mirror.branch(&main_branch()).await.unwrap().unwrap().as_str(), head);
}

#[tokio::test]
async fn tenants_and_accounts_have_mirrors_of_their_own() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let password = SecretString::from("a-token-of-some-length");
    let alone = world.source();
    let other = Source { tenant: Tenant("other".to_owned()), ..alone.clone() };
    let with_token =
        Source { credential: Some(Credential { user: "u".to_owned(), password }), ..alone.clone() };
    world.mirror().await;
    for source in [&other, &with_token] {
        assert!(world.repos.existing(source).await.is_none());
        world.repos.mirror(source).await.unwrap();
    }
    let mirrors = fs::read_dir(world.dir.path().join("home/mirrors")).unwrap().flatten();
    assert_eq!(mirrors.filter(|entry| entry.path().extension().is_some_and(|end| end == "git")).count(), 3);
}

#[tokio::test]
async fn trees_that_nobody_uses_are_evicted_and_leased_ones_stay() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let mirror = world.mirror().await;
    let first = mirror.branch(&main_branch()).await.unwrap().unwrap();
    let leased = mirror.base_tree(&first, &main_branch()).await.unwrap();
    for n in 0..12 {
        world.commit_all(&format!("{n}"));
        let mirror = world.mirror().await;
        let commit = mirror.branch(&main_branch()).await.unwrap().unwrap();
        mirror.base_tree(&commit, &main_branch()).await.unwrap();
    }
    assert!(leased.layers.iter().all(|layer| layer.exists()), "a tree in use stays");
    let trees = leased.layers[0].parent().unwrap().parent().unwrap();
    let count = || fs::read_dir(trees).unwrap().flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(count(), 8);
    assert_eq!(fs::read_dir(trees).unwrap().count(), 16, "lock files go with their trees");
    assert_eq!(fs::read_dir(world.dir.path().join("home/scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn leftovers_of_a_killed_process_are_swept() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    Repos::open(home.clone()).await.unwrap();
    let left = home.join("scratch/b-dead");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("owned"), "").unwrap();
    let alive = home.join("scratch/b-alive");
    fs::create_dir(&alive).unwrap();
    let owned = fs::File::create(alive.join("owned")).unwrap();
    owned.lock().unwrap();
    Repos::open(home.clone()).await.unwrap();
    assert!(!left.exists() && alive.exists());
}

#[tokio::test]
async fn an_empty_repository_and_a_second_work_tree_are_mirrored() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let empty = world.dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    git(&empty, &["init", "-q"]);
    let source = Source { remote: Remote::Local(empty), ..world.source() };
    let (mirror, _) = world.repos.mirror(&source).await.unwrap();
    assert_eq!(mirror.branch(&main_branch()).await.unwrap(), None);
    let second = world.dir.path().join("it's a second one");
    git(&world.origin(), &["worktree", "add", "-q", "-b", "side", second.to_str().unwrap()]);
    let source = Source { remote: Remote::Local(second), ..world.source() };
    let (mirror, _) = world.repos.mirror(&source).await.unwrap();
    assert_eq!(mirror.default_branch().await.unwrap(), Some("side".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tree_that_others_hold_is_not_waited_for() {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    let mirror = world.mirror().await;
    let commit = mirror.branch(&main_branch()).await.unwrap().unwrap();
    let held = mirror.base_tree(&commit, &main_branch()).await.unwrap();
    let tree = held.layers.last().unwrap().parent().unwrap().to_owned();
    // As one who looked just before the tree was there, and asks for the right to build it just after.
    let away = tree.with_extension("away");
    fs::rename(&tree, &away).unwrap();
    let late = tokio::spawn(async move { mirror.base_tree(&commit, &main_branch()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    fs::rename(&away, &tree).unwrap();
    let late = tokio::time::timeout(Duration::from_secs(60), late).await.expect("it does not hang");
    assert_eq!(late.unwrap().unwrap().layers, held.layers);
}
