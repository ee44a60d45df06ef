//! Prepared trees: who finds them, who makes them, which of them go.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use events::{Remote, SessionId, Tenant};
use repo::{
    BaseTree, Elsewhere, Label, Mirror, Place, Prepared, PreparedKey, Repos, Source, Vacancy, Wanted,
};

use crate::world::{World, main_branch};

const PLENTY: u64 = 1 << 30;

fn wanted(name: &str) -> Wanted {
    Wanted { here: PreparedKey::of([name]), elsewhere: None }
}

fn label(bytes: u64) -> Label {
    Label { entries: 1, bytes, elsewhere: None, made_by: SessionId::new(1, 2) }
}

async fn small_world() -> World {
    World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await
}

async fn base(world: &World) -> (Mirror, BaseTree) {
    let mirror = world.mirror().await;
    let commit = mirror.branch(&main_branch()).await.unwrap().unwrap();
    let base = mirror.base_tree(&commit, &main_branch()).await.unwrap();
    (mirror, base)
}

async fn vacant(mirror: &Mirror, base: &BaseTree, wanted: &Wanted) -> Vacancy {
    match mirror.prepared(base, wanted).await.unwrap() {
        Place::Vacant(vacancy) => vacancy,
        Place::Taken(prepared) => panic!("{prepared:?}"),
    }
}

async fn taken(mirror: &Mirror, base: &BaseTree, wanted: &Wanted) -> Prepared {
    match mirror.prepared(base, wanted).await.unwrap() {
        Place::Taken(prepared) => prepared,
        Place::Vacant(vacancy) => panic!("{vacancy:?}"),
    }
}

/// Writes one file where the tree is to be.
fn fill(vacancy: &Vacancy, text: &str) {
    fs::create_dir_all(vacancy.folder().join("work")).unwrap();
    fs::write(vacancy.folder().join("work/made"), text).unwrap();
}

fn made(prepared: &Prepared) -> String {
    fs::read_to_string(prepared.folder.join("work/made")).unwrap()
}

/// Everything below the folders of prepared trees and of what is being built, but for the mirrors' own folders.
fn left(world: &World) -> Vec<PathBuf> {
    let home = world.dir.path().join("home");
    let list =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let shelves = list(&home.join("prepared"));
    let mut left: Vec<PathBuf> =
        shelves.iter().flat_map(|shelf| list(shelf)).chain(list(&home.join("scratch"))).collect();
    left.sort();
    left
}

#[tokio::test]
async fn what_one_session_kept_the_next_one_finds() {
    let world = small_world().await;
    let (mirror, base) = base(&world).await;
    let vacancy = vacant(&mirror, &base, &wanted("npm ci")).await;
    fill(&vacancy, "1");
    let kept = vacancy.keep(label(1), PLENTY).await;
    assert!(kept.is_kept());
    assert_eq!(made(&kept), "1");
    let found = taken(&mirror, &base, &wanted("npm ci")).await;
    assert_eq!((&found.folder, &found.label), (&kept.folder, &label(1)));
    // Another setup text is another tree.
    vacant(&mirror, &base, &wanted("npm ci --ignore-scripts")).await;
    let dir = kept.folder.clone();
    kept.release().await;
    found.release().await;
    assert_eq!(left(&world), [dir.clone(), dir.with_extension("lock")]);
}

#[tokio::test]
async fn what_is_lent_is_this_session_s_alone() {
    let world = small_world().await;
    let (mirror, base) = base(&world).await;
    let vacancy = vacant(&mirror, &base, &wanted("x")).await;
    fill(&vacancy, "half");
    let lent = vacancy.lend(label(4));
    assert_eq!((made(&lent), lent.is_kept()), ("half".to_owned(), false));
    let other = vacant(&mirror, &base, &wanted("x")).await;
    // What takes more room than there is for all is lent, too.
    fill(&other, "large");
    let large = other.keep(label(PLENTY), PLENTY).await;
    assert!(!large.is_kept());
    lent.release().await;
    large.release().await;
    drop(vacant(&mirror, &base, &wanted("x")).await);
    assert_eq!(left(&world), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sessions_at_once_one_makes_the_tree_and_the_others_wait_for_it() {
    let world = small_world().await;
    let (mirror, base) = base(&world).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (mirror, base) = (mirror.clone(), base.clone());
        tasks.spawn(async move {
            match mirror.prepared(&base, &wanted("x")).await.unwrap() {
                Place::Taken(prepared) => (false, made(&prepared)),
                // The first one fails at it.
                Place::Vacant(vacancy) if n == 0 => {
                    drop(vacancy);
                    (false, String::new())
                }
                Place::Vacant(vacancy) => {
                    fill(&vacancy, &n.to_string());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    (true, made(&vacancy.keep(label(1), PLENTY).await))
                }
            }
        });
    }
    let all = tasks.join_all().await;
    let makers: Vec<&String> = all.iter().filter(|(maker, _)| *maker).map(|(_, text)| text).collect();
    assert_eq!(makers.len(), 1, "{all:?}");
    assert!(all.iter().all(|(_, text)| text.is_empty() || text == makers[0]), "{all:?}");
}

#[tokio::test]
async fn tenants_do_not_share() {
    let world = small_world().await;
    let (mirror, base) = base(&world).await;
    let vacancy = vacant(&mirror, &base, &wanted("x")).await;
    fill(&vacancy, "theirs");
    vacancy.keep(label(1), PLENTY).await;
    let source = Source { tenant: Tenant("other".to_owned()), ..world.source() };
    let (other, _) = world.repos.mirror(&source).await.unwrap();
    vacant(&other, &base, &wanted("x")).await;
}

#[tokio::test]
async fn trees_go_by_their_last_use_and_never_while_they_are_used() {
    let world = small_world().await;
    let (mirror, base) = base(&world).await;
    let ago = |prepared: &Prepared, hours: u64| {
        let lock = File::options().write(true).open(prepared.folder.with_extension("lock")).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(3600 * hours)).unwrap();
    };
    // Each takes a MiB and the room of a file.
    let keep = async |name: &str, room: u64| {
        let vacancy = vacant(&mirror, &base, &wanted(name)).await;
        fill(&vacancy, name);
        vacancy.keep(label(1 << 20), room).await
    };
    let in_use = keep("in use", PLENTY).await;
    ago(&in_use, 4);
    for (name, hours) in [("old", 3), ("older", 2), ("young", 1)] {
        let prepared = keep(name, PLENTY).await;
        ago(&prepared, hours);
    }
    // Whoever finds it uses it.
    taken(&mirror, &base, &wanted("old")).await;
    keep("new", 4 << 20).await;
    let there = |name: &'static str| {
        let (mirror, base) = (mirror.clone(), base.clone());
        async move { matches!(mirror.prepared(&base, &wanted(name)).await.unwrap(), Place::Taken(_)) }
    };
    assert!(in_use.folder.exists() && there("old").await && there("new").await);
    assert!(!there("older").await && !there("young").await);
    drop(in_use);
    // A month is too long, whatever room there is.
    let old = taken(&mirror, &base, &wanted("old")).await;
    ago(&old, 31 * 24);
    drop(old);
    keep("newest", PLENTY).await;
    assert!(!there("old").await && there("new").await);
    let trees = left(&world);
    assert!(
        trees.iter().all(|path| path.with_extension("").exists()),
        "lock files go with their trees: {trees:?}"
    );
}

#[tokio::test]
async fn a_tree_of_folders_alone_holds_over_other_commits_that_have_nothing_there() {
    let world = small_world().await;
    let (mirror, base_of_first) = base(&world).await;
    let wanted = |commit: &BaseTree, locks: &str| Wanted {
        here: PreparedKey::of([locks, commit.commit.as_str()]),
        elsewhere: Some(PreparedKey::of([locks])),
    };
    let elsewhere =
        Elsewhere { key: PreparedKey::of(["1"]), folders: vec!["app/deps".to_owned(), "deps".to_owned()] };
    let vacancy = vacant(&mirror, &base_of_first, &wanted(&base_of_first, "1")).await;
    fill(&vacancy, "1");
    vacancy.keep(Label { elsewhere: Some(elsewhere), ..label(1) }, PLENTY).await;

    world.commit_all("another");
    let (mirror, second) = base(&world).await;
    assert_eq!(made(&taken(&mirror, &second, &wanted(&second, "1")).await), "1");
    vacant(&mirror, &second, &wanted(&second, "2")).await;
    let only_here = Wanted { elsewhere: None, ..wanted(&second, "1") };
    vacant(&mirror, &second, &only_here).await;

    // Something there that it would hide, and something that it cannot lie in.
    for (path, there) in [("deps/committed", "x"), ("app", "a file")] {
        fs::create_dir_all(world.origin().join(path).parent().unwrap()).unwrap();
        fs::write(world.origin().join(path), there).unwrap();
        world.commit_all("in the way");
        let (mirror, third) = base(&world).await;
        vacant(&mirror, &third, &wanted(&third, "1")).await;
        crate::world::git(&world.origin(), &["rm", "-q", path]);
    }
}

#[tokio::test]
async fn a_killed_maker_leaves_nothing_and_keeps_nobody_waiting() {
    let world = small_world().await;
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "prepared::makes_until_it_is_killed", "--ignored"])
        .current_dir(world.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !world.dir.path().join("half").exists() {
        assert!(process.try_wait().unwrap().is_none(), "it ended before it made anything");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    process.kill().unwrap();
    process.wait().unwrap();

    let repos = Repos::open(world.dir.path().join("home")).await.unwrap();
    let world = World { repos, ..world };
    let (mirror, base) = base(&world).await;
    let vacancy = vacant(&mirror, &base, &wanted("x")).await;
    assert!(!vacancy.folder().exists());
    fill(&vacancy, "whole");
    drop(vacancy.keep(label(5), PLENTY).await);
    assert_eq!(left(&world).len(), 2, "a tree and its lock");
}

#[tokio::test]
#[ignore = "the process that the test above kills"]
async fn makes_until_it_is_killed() {
    let dir = std::env::current_dir().unwrap();
    if !dir.join("origin").exists() {
        return;
    }
    let repos = Repos::open(dir.join("home")).await.unwrap();
    let source =
        Source { remote: Remote::Local(dir.join("origin")), tenant: Tenant::default(), credential: None };
    let (mirror, _) = repos.mirror(&source).await.unwrap();
    let commit = mirror.branch(&main_branch()).await.unwrap().unwrap();
    let base = mirror.base_tree(&commit, &main_branch()).await.unwrap();
    let vacancy = vacant(&mirror, &base, &wanted("x")).await;
    fill(&vacancy, "half");
    fs::write(dir.join("half"), "").unwrap();
    std::future::pending::<()>().await;
}
