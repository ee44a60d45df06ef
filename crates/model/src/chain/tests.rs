//! Asking one and several models, on a clock that does not have to be waited for.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::*;
use crate::live::tests::Heard;
use crate::{Delta, Facts, Origin, Stop, Unheard, Wire};

/// Fails as it was told, then replies; writes down that it was asked.
struct Moody<'w> {
    name: ModelName,
    fails: Mutex<VecDeque<Fail>>,
    asked: &'w Mutex<Vec<String>>,
}

/// How a model fails, and what it says before.
struct Fail {
    says: &'static str,
    used: Option<Usage>,
    error: Error,
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self { says: "", used: None, error }
    }
}

#[async_trait]
impl Model for Moody<'_> {
    async fn reply(&self, _: &Conversation, _: Option<u32>, live: &dyn Live) -> Result<Reply, Error> {
        self.asked.lock().unwrap().push(format!("ask {}", self.name.provider));
        let fail = self.fails.lock().unwrap().pop_front();
        if let Some(Fail { says, used, error }) = fail {
            if !says.is_empty() {
                live.hear(Delta::Text(says));
            }
            if let Some(used) = used {
                live.hear(Delta::Used(used));
            }
            return Err(error);
        }
        live.hear(Delta::Text("Done."));
        let (provider, model) = (self.name.provider.clone(), self.name.model.clone());
        Ok(Reply {
            origin: Origin { wire: Wire::Scripted, provider, model },
            raw: RawValue::from_string("{}".to_owned()).unwrap(),
            parts: Vec::new(),
            calls: Vec::new(),
            stop: Stop::Finished,
            usage: Usage::default(),
            model: "m".to_owned(),
        })
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &Facts::UNKNOWN
    }
}

/// What happened, in order: who was asked, and what was told of it.
#[derive(Default)]
struct World {
    did: Mutex<Vec<String>>,
    waits: Mutex<Vec<Wait>>,
    breakers: Breakers,
}

impl World {
    fn model<F: Into<Fail>>(
        &self,
        provider: &str,
        fails: impl IntoIterator<Item = F>,
    ) -> Box<dyn Model + '_> {
        let name = ModelName { provider: provider.to_owned(), model: "m".to_owned() };
        let fails = Mutex::new(fails.into_iter().map(Into::into).collect());
        Box::new(Moody { name, fails, asked: &self.did })
    }

    fn chain<'w>(&self, models: Vec<Box<dyn Model + 'w>>, policy: Policy) -> Chain<'w> {
        Chain::of(models, policy, self.breakers.clone())
    }

    async fn ask(&self, chain: &Chain<'_>, live: &dyn Live) -> Result<Reply, Error> {
        let conversation = Conversation::new(String::new(), Vec::new());
        let on_notice = async |notice: Notice| {
            let line = match notice {
                Notice::Wait(wait) => {
                    let line = format!("wait for {}: {}", wait.provider, wait.retry);
                    self.waits.lock().unwrap().push(wait);
                    line
                }
                Notice::Switched(Switched { from, to, reason }) => {
                    format!("{} -> {}: {reason}", from.provider, to.provider)
                }
                Notice::Lost(Lost { from, usage }) => match usage {
                    LostUsage::Heard(bytes) => format!("{} lost {bytes} bytes", from.provider),
                    LostUsage::Counted { used, heard: _ } | LostUsage::Estimated(used) => {
                        format!("{} lost {} + {}", from.provider, used.input, used.output)
                    }
                },
            };
            self.did.lock().unwrap().push(line);
            Ok::<(), Error>(())
        };
        chain.ask(&conversation, |_| None, live, on_notice).await
    }

    fn did(&self) -> Vec<String> {
        std::mem::take(&mut *self.did.lock().unwrap())
    }
}

fn busy(retry_after_ms: Option<u64>) -> Error {
    Error::Transient { provider: "p".to_owned(), message: "busy".to_owned(), retry_after_ms }
}

fn refused(status: u16) -> Error {
    Error::Refused { provider: "p".to_owned(), status, message: "no".to_owned() }
}

const NEVER: [Error; 0] = [];

/// Asks a lone model with `policy`; gives the waits that were announced, what came of it, and how much time went by.
async fn alone(
    fails: impl IntoIterator<Item = Error>,
    policy: Policy,
) -> (Vec<Wait>, Result<Reply, Error>, Duration) {
    let (world, begun) = (World::default(), Instant::now());
    let chain = world.chain(vec![world.model("p", fails)], policy);
    let reply = world.ask(&chain, &Unheard).await;
    let waits = world.waits.lock().unwrap().clone();
    (waits, reply, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_within_their_bounds_and_are_what_was_announced() {
    let fails = (0..7).map(|_| busy(None));
    let (waits, reply, elapsed) = alone(fails, Policy { seed: 7, ..Policy::default() }).await;
    assert!(reply.is_ok());
    assert_eq!(waits.iter().map(|wait| wait.retry).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let total: u64 = waits.iter().map(|wait| wait.wait_ms).sum();
    assert_eq!(u64::try_from(elapsed.as_millis()).unwrap(), total);
    let mut upper = 1500;
    for wait in &waits {
        assert!((500..=upper).contains(&wait.wait_ms), "{wait:?} is not in 500..={upper}");
        upper = (wait.wait_ms * 3).min(60_000);
    }
    assert_eq!((waits[0].reason.as_str(), waits[0].provider.as_str()), ("p is not answering: busy", "p"));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_pauses_and_another_one_others() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        runs.push(alone((0..3).map(|_| busy(None)), Policy { seed, ..Policy::default() }).await.0);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_waited_for_as_long_as_it_asks() {
    let (waits, reply, elapsed) = alone([busy(Some(90_000))], Policy::default()).await;
    assert!(reply.is_ok());
    assert_eq!((waits[0].wait_ms, elapsed), (90_000, Duration::from_secs(90)));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_end_too_late_is_not_begun() {
    let (waits, reply, elapsed) = alone([busy(Some(601_000))], Policy::default()).await;
    assert!(waits.is_empty() && matches!(reply, Err(Error::Transient { .. })));
    assert_eq!(elapsed, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted() {
    let world = World::default();
    let policy = Policy { tries_max: 3, ..Policy::default() };
    let chain = world.chain(vec![world.model("p", (0..20).map(|_| busy(None)))], policy);
    assert!(matches!(world.ask(&chain, &Unheard).await, Err(Error::Transient { .. })));
    assert_eq!(world.did(), ["ask p", "wait for p: 1", "ask p", "wait for p: 2", "ask p"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_asked_once() {
    let (provider, message) = (String::new, String::new);
    for error in [
        Error::Key { provider: provider(), status: 401, message: message(), variable: None },
        Error::Quota { provider: provider(), status: 429, message: message() },
        Error::NotFound { provider: provider(), status: 404, message: message() },
        Error::ContextFull { provider: provider(), status: 400, message: message() },
        refused(400),
        refused(405),
        Error::Beyond { why: message(), before: None },
        Error::Config(message()),
    ] {
        let (waits, reply, _) = alone([error], Policy::default()).await;
        assert!(waits.is_empty() && reply.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_cannot_be_written_down_is_not_begun() {
    let world = World::default();
    let chain = world.chain(vec![world.model("p", [busy(None)])], Policy::default());
    let conversation = Conversation::new(String::new(), Vec::new());
    let on_notice = async |_| Err(Error::Config("the log is gone".to_owned()));
    let reply = chain.ask(&conversation, |_| None, &Unheard, on_notice).await;
    assert_eq!(reply.unwrap_err().to_string(), "cannot open the model: the log is gone");
    assert_eq!(world.did(), ["ask p"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_model_takes_over_after_a_few_tries_and_keeps_the_conversation() {
    let world = World::default();
    let models = vec![world.model("a", (0..20).map(|_| busy(None))), world.model("b", NEVER)];
    let chain = world.chain(models, Policy::default());
    assert_eq!(chain.model().name().provider, "a");
    let reply = world.ask(&chain, &Unheard).await.unwrap();
    assert_eq!((reply.origin.provider.as_str(), chain.model().name().provider.as_str()), ("b", "b"));
    let told = "a -> b: p is not answering: busy";
    let expected = ["ask a", "wait for a: 1", "ask a", "wait for a: 2", "ask a", told, "ask b"];
    assert_eq!(world.did(), expected);
    world.ask(&chain, &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask b"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_is_not_waited_for_when_somebody_else_is_there() {
    let world = World::default();
    let (models, begun) =
        (vec![world.model("a", [busy(Some(11_000))]), world.model("b", NEVER)], Instant::now());
    world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask a", "a -> b: p is not answering: busy", "ask b"]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_answer_at_all_is_left_for_the_whole_session() {
    for error in [
        || Error::Key { provider: "a".to_owned(), status: 401, message: "no".to_owned(), variable: None },
        || Error::Quota { provider: "a".to_owned(), status: 402, message: "no".to_owned() },
        || Error::NotFound { provider: "a".to_owned(), status: 404, message: "no".to_owned() },
    ] {
        let world = World::default();
        let models = vec![world.model("a", [error()]), world.model("b", (0..8).map(|_| busy(None)))];
        let chain = world.chain(models, Policy::default());
        let failed = world.ask(&chain, &Unheard).await.unwrap_err();
        assert!(matches!(failed, Error::Transient { .. }), "{failed}");
        let did = world.did();
        assert_eq!(did[..3], ["ask a".to_owned(), format!("a -> b: {}", error()), "ask b".to_owned()]);
        // Alone again, it is asked as often as the policy says.
        assert_eq!(did.iter().filter(|line| *line == "ask b").count(), 8);
        assert_eq!(did.iter().filter(|line| *line == "ask a").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_answers_nonsense_is_passed_over_for_this_request_alone() {
    let nonsense = || Error::Protocol { provider: "a".to_owned(), message: "HTML".to_owned() };
    for error in [nonsense(), refused(503), refused(307)] {
        let told = format!("a -> b: {error}");
        let world = World::default();
        let models = vec![world.model("a", [error]), world.model("b", NEVER)];
        world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap();
        assert_eq!(world.did(), ["ask a", &told, "ask b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_asked_again_a_few_times_where_there_is_nobody_else() {
    let nonsense = || Error::Protocol { provider: "p".to_owned(), message: "HTML".to_owned() };
    let (waits, reply, _) = alone([nonsense(), nonsense()], Policy::default()).await;
    assert_eq!((waits.len(), reply.is_ok()), (2, true));
    let (waits, reply, _) = alone([nonsense(), nonsense(), nonsense()], Policy::default()).await;
    assert!(waits.len() == 2 && matches!(reply, Err(Error::Protocol { .. })));
    let world = World::default();
    let models = vec![world.model("a", [nonsense()]), world.model("b", [busy(Some(60_000))])];
    world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap();
    let (to_b, to_a) =
        ("a -> b: p answered what its protocol does not allow: HTML", "b -> a: p is not answering: busy");
    assert_eq!(world.did(), ["ask a", to_b, "ask b", to_a, "wait for a: 1", "ask a"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_one_refuses_is_tried_once_with_each_other_one() {
    for status in [400, 422] {
        let world = World::default();
        let models = vec![world.model("a", [refused(status)]), world.model("b", NEVER)];
        world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap();
        let did = world.did();
        assert!(matches!(&did[..], [a, _, b] if a == "ask a" && b == "ask b"), "{did:?}");

        let models = vec![world.model("a", [refused(status)]), world.model("b", [refused(status)])];
        let error = world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert_eq!(world.did().iter().filter(|did| did.starts_with("ask ")).count(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ours_to_mend_is_nobody_else_s_to_try() {
    let full = Error::ContextFull { provider: "a".to_owned(), status: 400, message: "long".to_owned() };
    for error in [full, Error::Config("x".to_owned())] {
        let world = World::default();
        let models = vec![world.model("a", [error]), world.model("b", NEVER)];
        assert!(world.ask(&world.chain(models, Policy::default()), &Unheard).await.is_err());
        assert_eq!(world.did(), ["ask a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_are_down_whoever_may_be_asked_first_is() {
    let world = World::default();
    let (a, b) = ([busy(Some(60_000)), busy(Some(200_000))], [busy(Some(90_000))]);
    let chain = world.chain(vec![world.model("a", a), world.model("b", b)], Policy::default());
    let begun = Instant::now();
    world.ask(&chain, &Unheard).await.unwrap();
    let to_b = "a -> b: p is not answering: busy";
    let to_a = "b -> a: p is not answering: busy";
    let expected = ["ask a", to_b, "ask b", to_a, "wait for a: 1", "ask a", to_b, "wait for b: 1", "ask b"];
    assert_eq!(world.did(), expected);
    assert_eq!(begun.elapsed(), Duration::from_secs(90));
}

#[tokio::test(start_paused = true)]
async fn the_last_resort_is_turned_to_when_nobody_else_is_left_and_says_why() {
    let beyond = || Error::Beyond { why: "cannot do this".to_owned(), before: None };
    let world = World::default();
    let policy = Policy { tries_max: 4, ..Policy::default() };
    let models = vec![world.model("a", (0..4).map(|_| busy(None))), world.model("last", [beyond()])];
    let mut chain = world.chain(models, policy);
    chain.links[1].rank = Rank::LastResort;
    let error = world.ask(&chain, &Unheard).await.unwrap_err();
    let said = "the offline agent cannot do this. It was turned to because p is not answering: busy";
    assert_eq!(error.to_string(), said);
    let told = "a -> last: p is not answering: busy";
    let waits = |n: u32| format!("wait for a: {n}");
    let did = world.did();
    let expected = ["ask a", &waits(1), "ask a", &waits(2), "ask a", &waits(3), "ask a", told, "ask last"];
    assert_eq!(did, expected);

    // An open breaker is no reason, and alone it is asked at once.
    let mut chain = world.chain(vec![world.model("a", NEVER), world.model("last", NEVER)], Policy::default());
    chain.links[1].rank = Rank::LastResort;
    (0..5).for_each(|_| world.breakers.failed("a", Instant::now()));
    world.ask(&chain, &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask a"]);
    let mut alone = world.chain(vec![world.model("last", [beyond()])], Policy::default());
    alone.links[0].rank = Rank::LastResort;
    assert_eq!(
        world.ask(&alone, &Unheard).await.unwrap_err().to_string(),
        "the offline agent cannot do this"
    );
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_sends_every_session_straight_to_the_next() {
    let world = World::default();
    for _ in 0..2 {
        let models = vec![world.model("a", (0..3).map(|_| busy(Some(0)))), world.model("b", NEVER)];
        world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap();
    }
    world.did();
    let models = || vec![world.model("a", NEVER), world.model("b", NEVER)];
    tokio::time::advance(Duration::from_secs(10)).await;
    world.ask(&world.chain(models(), Policy::default()), &Unheard).await.unwrap();
    let did = world.did();
    assert_eq!(did[1..], ["ask b"]);
    let told = "a -> b: a has failed 5 times within 60 s and is left alone for another ";
    assert!(did[0].starts_with(told) && did[0].ends_with(" s"), "{did:?}");
    // With nobody else to turn to, it is asked all the same.
    world.ask(&world.chain(vec![world.model("a", [busy(None)])], Policy::default()), &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask a", "wait for a: 1", "ask a"]);
    // It has answered: the breaker is closed.
    world.ask(&world.chain(models(), Policy::default()), &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask a"]);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_breaks_off_is_void_for_who_heard_it_and_what_it_used_is_told_once() {
    let world = World::default();
    let used = Usage { input: 100, output: 3, ..Usage::default() };
    let broken = Fail { says: "I will", used: Some(used), error: busy(None) };
    let silent =
        Fail { says: "", used: Some(Usage { usd: Some(0.0), ..Usage::default() }), error: busy(None) };
    let chain = world.chain(vec![world.model("a", [broken, silent])], Policy::default());
    let heard = Heard::default();
    world.ask(&chain, &heard).await.unwrap();
    let expected = ["text: I will", "used: 100 in, 3 out", "again", "used: 0 in, 0 out", "text: Done."];
    assert_eq!(heard.lines(), expected);
    let expected = ["ask a", "a lost 100 + 3", "wait for a: 1", "ask a", "wait for a: 2", "ask a"];
    assert_eq!(world.did(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_believed_in_for_five_minutes_and_of_the_one_that_answered_last() {
    let (world, seconds) = (World::default(), Duration::from_secs);
    let alone = world.chain(vec![world.model("a", [busy(Some(200_000))])], Policy::default());
    assert_eq!(alone.cache(), Cache::Cold, "nobody has answered");
    world.ask(&alone, &Unheard).await.unwrap();
    sleep(seconds(299)).await;
    assert_eq!(alone.cache(), Cache::Warm, "the try that was answered counts, not the first one");
    sleep(seconds(1)).await;
    assert_eq!(alone.cache(), Cache::Cold);

    let chain = world.chain(vec![world.model("a", NEVER), world.model("b", NEVER)], Policy::default());
    world.ask(&chain, &Unheard).await.unwrap();
    assert_eq!(chain.cache(), Cache::Warm);
    chain.switch(0, 1, String::new());
    assert_eq!(chain.cache(), Cache::Cold, "b has answered nothing");
    world.ask(&chain, &Unheard).await.unwrap();
    assert_eq!(chain.cache(), Cache::Warm);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_again_after_its_pause_is_left_alone_at_once() {
    let world = World::default();
    (0..5).for_each(|_| world.breakers.failed("a", Instant::now()));
    tokio::time::advance(Duration::from_secs(31)).await;
    let failing = || world.model("a", (0..2).map(|_| busy(None)));
    let models = vec![failing(), world.model("b", NEVER)];
    world.ask(&world.chain(models, Policy::default()), &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask a", "a -> b: p is not answering: busy", "ask b"]);
    // With nobody else to turn to, it is asked all the same.
    world.ask(&world.chain(vec![failing()], Policy::default()), &Unheard).await.unwrap();
    assert_eq!(world.did(), ["ask a", "wait for a: 1", "ask a", "wait for a: 2", "ask a"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_heard_of_a_reply_stands_for_what_nobody_has_counted() {
    let (world, none) = (World::default(), Some(Usage::default()));
    let fails = [("I will", None), ("I", none), ("", none), ("", None)];
    let fails = fails.map(|(says, used)| Fail { says, used, error: busy(None) });
    world.ask(&world.chain(vec![world.model("a", fails)], Policy::default()), &Unheard).await.unwrap();
    let lost: Vec<String> = world.did().into_iter().filter(|line| line.contains("lost")).collect();
    assert_eq!(lost, ["a lost 6 bytes", "a lost 1 bytes"], "and nothing of those that had not begun");
}
