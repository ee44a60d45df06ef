//! SQLite does what memory does, whatever is asked of it in whatever order.

use proptest::prelude::*;
use store::{Config, Error, Filter, Store};

use crate::stories::{ended, requested, said, session, started};

/// Something done to one of a few sessions.
#[derive(Debug, Clone)]
enum Step {
    Append { session: u64, attempt: u32, what: Vec<What> },
    BeginAttempt { session: u64 },
    Read { session: u64, after: u64, limit: usize },
    Delete { session: u64 },
    Unfinished,
    List { before: Option<u64>, limit: usize },
    Rebuild,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Requested,
    Started,
    Said,
    Ended,
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        2 => Just(What::Requested),
        1 => Just(What::Started),
        6 => Just(What::Said),
        1 => Just(What::Ended),
    ];
    let session = 0..4_u64;
    prop_oneof![
        12 => (session.clone(), 1..4_u32, prop::collection::vec(what, 0..4))
            .prop_map(|(session, attempt, what)| Step::Append { session, attempt, what }),
        6 => session.clone().prop_map(|session| Step::Append { session, attempt: 1, what: vec![What::Requested] }),
        2 => session.clone().prop_map(|session| Step::BeginAttempt { session }),
        4 => (session.clone(), 0..20_u64, 0..9_usize)
            .prop_map(|(session, after, limit)| Step::Read { session, after, limit }),
        1 => session.clone().prop_map(|session| Step::Delete { session }),
        1 => Just(Step::Unfinished),
        1 => (prop::option::of(session), 0..6_usize).prop_map(|(before, limit)| Step::List { before, limit }),
        1 => Just(Step::Rebuild),
    ]
}

/// Does `step` and tells what came of it, as text that two stores can be compared by.
async fn take(store: &Store, step: &Step) -> String {
    match step {
        Step::Append { session: n, attempt, what } => {
            let entries = what.iter().map(|what| match what {
                What::Requested => requested("r", "p"),
                What::Started => started(),
                What::Said => said("x"),
                What::Ended => ended(),
            });
            told(store.log.append(session(*n), *attempt, entries.collect()).await)
        }
        Step::BeginAttempt { session: n } => told(store.log.begin_attempt(session(*n)).await),
        Step::Read { session: n, after, limit } => {
            let entries = store.log.read_after(session(*n), *after, *limit).await;
            told(entries.map(|entries| {
                entries
                    .iter()
                    .map(|e| (e.seq, e.attempt, e.at_us, e.actor, e.event.kind()))
                    .collect::<Vec<_>>()
            }))
        }
        Step::Delete { session: n } => told(store.index.delete(session(*n)).await),
        Step::Unfinished => told(store.index.unfinished().await),
        Step::List { before, limit } => {
            let filter = Filter { before: before.map(session), limit: *limit, ..Filter::default() };
            told(store.index.list(&filter).await)
        }
        Step::Rebuild => told(store.index.rebuild().await),
    }
}

fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    format!("{:?}", result.map_err(|error| error.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_does_what_memory_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let memory = store::open(&Config::Memory).await.unwrap();
            let sqlite = store::open(&Config::Sqlite(folder.path().join("log.db"))).await.unwrap();
            for step in &steps {
                prop_assert_eq!(take(&memory, step).await, take(&sqlite, step).await, "{:?}", step);
            }
            Ok(())
        })?;
    }
}
