//! Asking again, on a clock that does not have to be waited for.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Policy, Wait, ask};
use crate::{Conversation, Error, Facts, Live, Model, ModelName, Origin, Reply, Stop, Unheard, Usage, Wire};

/// Gives the errors it was made with, then a reply.
struct Moody {
    name: ModelName,
    errors: Mutex<VecDeque<Error>>,
}

impl Moody {
    fn new(errors: impl IntoIterator<Item = Error>) -> Self {
        let name = ModelName { provider: "moody".to_owned(), model: "m".to_owned() };
        Self { name, errors: Mutex::new(errors.into_iter().collect()) }
    }
}

#[async_trait]
impl Model for Moody {
    async fn reply(&self, _: &Conversation, _: &dyn Live) -> Result<Reply, Error> {
        if let Some(error) = self.errors.lock().unwrap().pop_front() {
            return Err(error);
        }
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

fn busy(retry_after_ms: Option<u64>) -> Error {
    Error::Transient { provider: "moody".to_owned(), message: "busy".to_owned(), retry_after_ms }
}

/// Asks with `policy`; gives the waits that were announced, what came of it, and how much time went by.
async fn try_out(model: &Moody, policy: &Policy) -> (Vec<Wait>, Result<Reply, Error>, Duration) {
    let waits = Mutex::new(Vec::new());
    let begun = Instant::now();
    let on_wait = |wait: Wait| {
        waits.lock().unwrap().push(wait);
        async { Ok(()) }
    };
    let conversation = Conversation::new(String::new(), Vec::new());
    let reply = ask(model, &conversation, &Unheard, policy, on_wait).await;
    (waits.into_inner().unwrap(), reply, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_within_their_bounds_and_are_what_was_announced() {
    let model = Moody::new((0..7).map(|_| busy(None)));
    let (waits, reply, elapsed) = try_out(&model, &Policy { seed: 7, ..Policy::default() }).await;
    assert!(reply.is_ok());
    assert_eq!(waits.iter().map(|wait| wait.retry).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
    let total: u64 = waits.iter().map(|wait| wait.wait_ms).sum();
    assert_eq!(u64::try_from(elapsed.as_millis()).unwrap(), total);
    let mut upper = 1500;
    for wait in &waits {
        assert!((500..=upper).contains(&wait.wait_ms), "{wait:?} is not in 500..={upper}");
        upper = (wait.wait_ms * 3).min(60_000);
    }
    assert_eq!(waits[0].reason, "moody is not answering: busy");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_pauses_and_another_one_others() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let model = Moody::new((0..3).map(|_| busy(None)));
        runs.push(try_out(&model, &Policy { seed, ..Policy::default() }).await.0);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_is_waited_for_as_long_as_it_asks() {
    let model = Moody::new([busy(Some(90_000))]);
    let (waits, reply, elapsed) = try_out(&model, &Policy::default()).await;
    assert!(reply.is_ok());
    assert_eq!((waits[0].wait_ms, elapsed), (90_000, Duration::from_secs(90)));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_end_too_late_is_not_begun() {
    let model = Moody::new([busy(Some(601_000))]);
    let (waits, reply, elapsed) = try_out(&model, &Policy::default()).await;
    assert!(waits.is_empty() && matches!(reply, Err(Error::Transient { .. })));
    assert_eq!(elapsed, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted() {
    let model = Moody::new((0..20).map(|_| busy(None)));
    let (waits, reply, _) = try_out(&model, &Policy { tries_max: 3, ..Policy::default() }).await;
    assert_eq!((waits.len(), reply.is_err(), model.errors.lock().unwrap().len()), (2, true, 17));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_succeed_is_asked_once() {
    for error in [
        Error::Key { provider: String::new(), status: 401, message: String::new(), variable: None },
        Error::Refused { provider: String::new(), status: 400, message: String::new() },
        Error::Protocol { provider: String::new(), message: String::new() },
        Error::Config(String::new()),
    ] {
        let (waits, reply, _) = try_out(&Moody::new([error]), &Policy::default()).await;
        assert!(waits.is_empty() && reply.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_cannot_be_written_down_is_not_begun() {
    let model = Moody::new([busy(None)]);
    let conversation = Conversation::new(String::new(), Vec::new());
    let on_wait = |_: Wait| async { Err(Error::Config("the log is gone".to_owned())) };
    let reply = ask(&model, &conversation, &Unheard, &Policy::default(), on_wait).await;
    assert_eq!(reply.unwrap_err().to_string(), "cannot open the model: the log is gone");
}
