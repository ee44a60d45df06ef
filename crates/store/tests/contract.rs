//! What every store keeps: one suite over memory and SQLite.
#![cfg(test)]

#[path = "contract/crash.rs"]
mod crash;
#[path = "contract/model.rs"]
mod model;
#[path = "contract/race.rs"]
mod race;
#[path = "contract/stories.rs"]
mod stories;

use std::time::Duration;

use events::{Entry, Event, SessionId, Status};
use futures_util::StreamExt as _;
use store::{Config, Error, Filter, Store};
use stories::{ended, opened, paused, requested, said, session, started};

/// Nothing that a test waits for takes longer on a machine that works.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store, another one on the same data where that is possible, and what they live in.
struct World {
    store: Store,
    other: Store,
    _folder: tempfile::TempDir,
}

/// Runs one test of the contract on each backend.
macro_rules! contract {
    ($($name:ident,)+) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::memory_world().await).await;
            })+
        }
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::sqlite_world().await).await;
            })+
        }
    };
}

contract! {
    entries_come_back_in_order_without_a_gap,
    an_older_attempt_is_fenced_out,
    nothing_stands_before_the_first_entry_or_behind_the_last,
    a_refused_append_leaves_others_alone,
    followers_of_a_racing_writer_miss_and_repeat_nothing,
    what_is_appended_right_behind_a_read_is_not_missed,
    following_from_the_final_entry_ends_at_once,
    deleting_takes_a_finished_session_only,
    lists_are_filtered_and_paged,
    the_index_can_be_rebuilt_and_agrees_with_the_fold,
    only_one_of_many_puts_a_new_record,
    records_are_listed_by_prefix,
}

async fn memory_world() -> World {
    let store = store::open(&Config::Memory).await.unwrap();
    World { other: store.clone(), store, _folder: tempfile::tempdir().unwrap() }
}

async fn sqlite_world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::Sqlite(folder.path().join("deep/er/log.db"));
    let store = store::open(&config).await.unwrap();
    let other = store::open(&config).await.unwrap();
    World { store, other, _folder: folder }
}

fn seqs(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.seq).collect()
}

fn text(entry: &Entry) -> &str {
    if let Event::Said(said) = &entry.event { &said.text } else { entry.event.kind() }
}

async fn entries_come_back_in_order_without_a_gap(world: World) {
    let log = &world.store.log;
    let (one, two) = (session(1), session(2));
    assert_eq!(log.append(one, 1, vec![requested("a", "first")]).await.unwrap(), 1);
    assert_eq!(log.append(two, 1, vec![requested("b", "second")]).await.unwrap(), 1);
    assert_eq!(
        log.append(one, 1, vec![said("x"), said("\u{1f600} \0 \u{2028}"), said("z")]).await.unwrap(),
        4
    );
    assert_eq!(log.append(one, 1, vec![]).await.unwrap(), 4);
    let all = world.other.log.read_after(one, 0, 100).await.unwrap();
    assert_eq!(seqs(&all), [1, 2, 3, 4]);
    assert_eq!(
        all.iter().map(text).collect::<Vec<_>>(),
        ["session_requested", "x", "\u{1f600} \0 \u{2028}", "z"]
    );
    assert!(
        all.iter().all(|entry| entry.session == one && entry.attempt == 1 && entry.tenant.0 == "default")
    );
    assert_eq!(all[1].actor, events::Actor::Agent);
    assert_eq!(seqs(&log.read_after(one, 1, 2).await.unwrap()), [2, 3]);
    assert!(log.read_after(one, 4, 100).await.unwrap().is_empty());
    assert!(log.read_after(one, u64::MAX, 100).await.unwrap().is_empty());
    assert!(log.read_after(session(3), 0, 100).await.unwrap().is_empty());
}

async fn an_older_attempt_is_fenced_out(world: World) {
    let (log, id) = (&world.store.log, session(1));
    assert!(matches!(log.begin_attempt(id).await, Err(Error::NotFound(_))));
    log.append(id, 1, vec![requested("a", "p")]).await.unwrap();
    assert_eq!(world.other.log.begin_attempt(id).await.unwrap(), 2);
    let void = log.append(id, 1, vec![said("from the dead"), ended()]).await;
    assert!(matches!(void, Err(Error::Fenced { attempt: 1, .. })));
    assert!(matches!(
        log.append(id, 3, vec![said("too early")]).await,
        Err(Error::Fenced { attempt: 3, .. })
    ));
    assert_eq!(log.append(id, 2, vec![said("alive")]).await.unwrap(), 2);
    let all = log.read_after(id, 0, 10).await.unwrap();
    assert_eq!(all.iter().map(|entry| entry.attempt).collect::<Vec<_>>(), [1, 2]);
}

async fn nothing_stands_before_the_first_entry_or_behind_the_last(world: World) {
    let (log, id) = (&world.store.log, session(1));
    assert!(matches!(log.append(id, 1, vec![said("too early")]).await, Err(Error::NotFound(_))));
    assert!(matches!(log.append(id, 2, vec![requested("a", "p")]).await, Err(Error::Fenced { .. })));
    let broken = log.append(id, 1, vec![said("before"), requested("a", "p")]).await;
    assert!(matches!(broken, Err(Error::Fenced { .. })));
    log.append(id, 1, vec![requested("a", "p")]).await.unwrap();
    assert!(matches!(log.append(id, 1, vec![requested("a", "p")]).await, Err(Error::Fenced { .. })));
    assert!(matches!(log.append(id, 1, vec![ended(), said("behind")]).await, Err(Error::Fenced { .. })));
    assert_eq!(world.store.index.unfinished().await.unwrap(), [id]);
    assert_eq!(log.append(id, 1, vec![said("last words"), ended()]).await.unwrap(), 3);
    assert!(matches!(log.append(id, 1, vec![said("ghost")]).await, Err(Error::Fenced { .. })));
    assert!(matches!(log.append(id, 1, vec![ended()]).await, Err(Error::Fenced { .. })));
    let next = log.begin_attempt(id).await.unwrap();
    assert!(matches!(log.append(id, next, vec![said("ghost")]).await, Err(Error::Fenced { .. })));
    assert_eq!(seqs(&log.read_after(id, 0, 10).await.unwrap()), [1, 2, 3]);
    assert!(world.store.index.unfinished().await.unwrap().is_empty());
}

async fn a_refused_append_leaves_others_alone(world: World) {
    let log = &world.store.log;
    let (good, bad) = (session(1), session(2));
    log.append(good, 1, vec![requested("a", "p")]).await.unwrap();
    let many = (0..200).map(|n| {
        let log = log.clone();
        async move {
            let id = if n % 2 == 0 { good } else { bad };
            (n, log.append(id, 1, vec![said(&n.to_string()), said("more")]).await)
        }
    });
    for (n, result) in futures_util::future::join_all(many).await {
        assert_eq!(result.is_ok(), n % 2 == 0, "{n}: {result:?}");
    }
    let all = log.read_after(good, 0, 1000).await.unwrap();
    assert_eq!(seqs(&all), (1..=201).collect::<Vec<_>>());
    let pairs: Vec<_> = all[1..].chunks(2).map(|pair| text(&pair[1])).collect();
    assert_eq!(pairs, ["more"; 100], "an append stands in one piece");
    assert!(log.read_after(bad, 0, 10).await.unwrap().is_empty());
}

async fn followers_of_a_racing_writer_miss_and_repeat_nothing(world: World) {
    const LAST: u64 = 700;
    let id = session(1);
    let follow = |store: &Store, from: u64| {
        let entries = store::follow(store.log.clone(), id, from);
        tokio::spawn(async move { entries.map(|entry| entry.unwrap().seq).collect::<Vec<_>>().await })
    };
    // One is there before the session is; one reads through a store that did not write.
    let mut followers = vec![(0, follow(&world.store, 0)), (0, follow(&world.other, 0))];
    world.store.log.append(id, 1, vec![requested("a", "p")]).await.unwrap();
    let mut at = 1;
    while at < LAST {
        let count = (at % 7 + 1).min(LAST - at);
        let mut batch: Vec<_> = (0..count).map(|_| said("x")).collect();
        if at + count == LAST {
            batch.pop();
            batch.push(ended());
        }
        at = world.store.log.append(id, 1, batch).await.unwrap();
        if at % 50 < count {
            // One late from the start, one in the middle, one where the writer is now.
            followers.extend([0, at / 2, at].map(|from| (from, follow(&world.store, from))));
            followers.push((at, follow(&world.other, at)));
        }
    }
    for (from, follower) in followers {
        let seen = tokio::time::timeout(PATIENCE, follower).await.expect("a follower hangs").unwrap();
        assert_eq!(seen, (from + 1..=LAST).collect::<Vec<_>>(), "from {from}");
    }
}

async fn what_is_appended_right_behind_a_read_is_not_missed(world: World) {
    const LAST: u64 = 30;
    let id = session(1);
    world.store.log.append(id, 1, vec![requested("a", "p")]).await.unwrap();
    let log = race::AppendsBehindReads { log: world.store.log.clone(), at: 1.into(), last: LAST };
    let seen =
        store::follow(std::sync::Arc::new(log), id, 0).map(|entry| entry.unwrap().seq).collect::<Vec<_>>();
    let seen = tokio::time::timeout(PATIENCE, seen).await.expect("the follower sleeps on");
    assert_eq!(seen, (1..=LAST).collect::<Vec<_>>());
}

async fn following_from_the_final_entry_ends_at_once(world: World) {
    let id = session(1);
    world.store.log.append(id, 1, vec![requested("a", "p"), said("x"), ended()]).await.unwrap();
    for (from, left) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
        let seen = store::follow(world.store.log.clone(), id, from).count();
        let seen = tokio::time::timeout(PATIENCE, seen).await.expect("the follower hangs");
        assert_eq!(seen, left, "from {from}");
    }
}

async fn deleting_takes_a_finished_session_only(world: World) {
    let Store { log, index, .. } = &world.store;
    let (id, other) = (session(1), session(2));
    assert!(matches!(index.delete(id).await, Err(Error::NotFound(_))));
    log.append(id, 1, vec![requested("a", "p")]).await.unwrap();
    log.append(other, 1, vec![requested("a", "p")]).await.unwrap();
    assert!(matches!(index.delete(id).await, Err(Error::Unfinished(_))));
    log.append(id, 1, vec![ended()]).await.unwrap();
    let mut grown = log.watch(id);
    grown.mark_unchanged();
    index.delete(id).await.unwrap();
    assert!(grown.changed().await.is_err(), "whoever watches is told");
    assert!(log.read_after(id, 0, 10).await.unwrap().is_empty());
    assert!(matches!(index.delete(id).await, Err(Error::NotFound(_))));
    assert!(matches!(log.append(id, 1, vec![said("ghost")]).await, Err(Error::NotFound(_))));
    let left = index.list(&Filter { limit: 10, ..Filter::default() }).await.unwrap();
    assert_eq!(left.iter().map(|summary| summary.id).collect::<Vec<_>>(), [other]);
}

async fn lists_are_filtered_and_paged(world: World) {
    let Store { log, index, .. } = &world.store;
    for n in 1..=7 {
        let repository = if n % 2 == 0 { "even" } else { "odd" };
        log.append(session(n), 1, vec![requested(repository, &"p".repeat(300))]).await.unwrap();
    }
    log.append(session(2), 1, vec![started(), opened("https://x/pull/1"), ended()]).await.unwrap();
    log.append(session(3), 1, vec![started()]).await.unwrap();
    let list = async |filter: Filter| -> Vec<SessionId> {
        index.list(&filter).await.unwrap().into_iter().map(|summary| summary.id).collect()
    };
    let all = Filter { limit: 100, ..Filter::default() };
    assert_eq!(list(all.clone()).await, [7, 6, 5, 4, 3, 2, 1].map(session));
    assert_eq!(list(Filter { limit: 3, ..all.clone() }).await, [7, 6, 5].map(session));
    assert_eq!(
        list(Filter { limit: 3, before: Some(session(5)), ..all.clone() }).await,
        [4, 3, 2].map(session)
    );
    assert_eq!(list(Filter { limit: 0, ..all.clone() }).await, [session(7)]);
    assert_eq!(list(Filter { status: Some(Status::Running), ..all.clone() }).await, [session(3)]);
    let even = stories::remote("even").to_text();
    assert_eq!(list(Filter { repository: Some(even.clone()), ..all.clone() }).await, [6, 4, 2].map(session));
    let both = Filter {
        repository: Some(even.clone()),
        status: Some(Status::Done),
        before: Some(session(6)),
        limit: 9,
    };
    let found = index.list(&both).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].repository.as_str(), found[0].prompt.len()), (even.as_str(), 200));
    assert_eq!(found[0].pr_url.as_deref(), Some("https://x/pull/1"));
    assert!(found[0].updated_us > found[0].created_us);
    let unfinished = world.other.index.unfinished().await.unwrap();
    assert_eq!(unfinished, [1, 3, 4, 5, 6, 7].map(session));
}

async fn the_index_can_be_rebuilt_and_agrees_with_the_fold(world: World) {
    let Store { log, index, .. } = &world.store;
    for (n, outcome) in stories::outcomes().into_iter().enumerate() {
        let id = session(n as u64);
        log.append(id, 1, vec![requested(&n.to_string(), "a prompt")]).await.unwrap();
        log.append(id, 1, vec![started(), said("x")]).await.unwrap();
        log.append(id, 1, vec![opened(&format!("https://x/pull/{n}")), stories::ended_by(outcome)])
            .await
            .unwrap();
    }
    log.append(session(90), 1, vec![requested("q", "waiting")]).await.unwrap();
    log.append(session(91), 1, vec![requested("r", "running"), started()]).await.unwrap();
    log.append(session(92), 1, vec![requested("s", "waits"), started(), paused()]).await.unwrap();
    log.append(session(93), 1, vec![requested("t", "goes on"), started(), paused(), said("x")])
        .await
        .unwrap();
    log.append(session(94), 1, vec![requested("u", "goes on later"), started(), paused()]).await.unwrap();
    log.append(session(94), 1, vec![said("x")]).await.unwrap();
    log.append(session(95), 1, vec![requested("v", "waits on"), started(), paused()]).await.unwrap();
    log.append(session(95), 1, vec![said("x"), paused()]).await.unwrap();
    let all = Filter { limit: 100, ..Filter::default() };
    let waiting = index.list(&Filter { status: Some(Status::Waiting), ..all.clone() }).await.unwrap();
    assert_eq!(waiting.iter().map(|summary| summary.id).collect::<Vec<_>>(), [95, 92].map(session));
    let live = index.list(&all).await.unwrap();
    for summary in &live {
        let entries = log.read_after(summary.id, 0, 100).await.unwrap();
        let state = events::SessionState::fold(&entries).unwrap();
        assert_eq!(
            (summary.status, summary.created_us, summary.updated_us),
            (state.status, state.created_us, state.updated_us)
        );
    }
    index.rebuild().await.unwrap();
    assert_eq!(index.list(&all).await.unwrap(), live);
}

async fn only_one_of_many_puts_a_new_record(world: World) {
    let tries = (0..40).map(|n: u32| {
        let records = if n.is_multiple_of(2) { &world.store.records } else { &world.other.records };
        async move { records.put_new("keys", "k", &n.to_string()).await.unwrap() }
    });
    let seen = futures_util::future::join_all(tries).await;
    let winner = world.store.records.get("keys", "k").await.unwrap();
    assert_eq!(seen.iter().filter(|there| there.is_none()).count(), 1);
    assert!(seen.iter().flatten().all(|there| Some(there) == winner.as_ref()));
    assert_eq!(world.store.records.put_new("others", "k", "v").await.unwrap(), None);
    world.store.records.put("keys", "k", "new").await.unwrap();
    assert_eq!(world.other.records.get("keys", "k").await.unwrap().as_deref(), Some("new"));
    assert_eq!(world.store.records.get("keys", "none").await.unwrap(), None);
}

async fn records_are_listed_by_prefix(world: World) {
    let records = &world.store.records;
    for key in ["a/2", "a/10", "a", "a/\u{1f600}", "b/1", "A/1", "a%", ""] {
        records.put("s", key, key).await.unwrap();
    }
    records.put("t", "a/3", "elsewhere").await.unwrap();
    let keys = async |prefix: &str| -> Vec<String> {
        records.list("s", prefix).await.unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys("a/").await, ["a/10", "a/2", "a/\u{1f600}"]);
    assert_eq!(keys("a").await, ["a", "a%", "a/10", "a/2", "a/\u{1f600}"]);
    assert_eq!(keys("").await.len(), 8);
    assert!(keys("zz").await.is_empty());
}
