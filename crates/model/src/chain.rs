//! The models of a session, the preferred one first: who is asked, when again, and when the next one.

mod breaker;
mod cache;
mod round;
mod tap;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::played::{self, Played, Tape};
use crate::{Config, Conversation, Error, Live, Model, ModelName, Policy, Reply, Usage, open};

pub use breaker::Breakers;
use cache::Answered;
pub use cache::{CACHE_KEPT, Cache};
use round::{Next, Round};
use tap::{Heard, Tap};

/// The models of one session. One of them answers until it does not any more; then another one takes the conversation
/// over, and keeps it: going back and forth would cost each provider's cache and the thoughts so far.
pub struct Chain<'m> {
    links: Vec<Link<'m>>,
    policy: Policy,
    breakers: Breakers,
    /// The link that is asked next.
    at: AtomicUsize,
    answered: Mutex<Option<Answered>>,
    heard: Mutex<Heard>,
    /// What a model failed with last; a later turn of the offline agent may have to explain itself by it.
    failed: Mutex<Option<Error>>,
    /// What is given instead of asking anybody.
    tape: Option<Tape>,
}

/// A model in its place.
struct Link<'m> {
    model: Box<dyn Model + 'm>,
    rank: Rank,
    /// It cannot answer in this session any more: its key was refused, or there is no such model.
    useless: AtomicBool,
}

/// When a model is turned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// As soon as that is quicker than waiting for another one.
    Ordinary,
    /// When no other one can be asked any more.
    LastResort,
}

/// What a user should know of asking while it goes on.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A model will be asked again after a pause.
    Wait(Wait),
    /// Another model is asked from here on.
    Switched(Switched),
    /// A reply broke off after the model had begun with it.
    Lost(Lost),
}

/// A pause before a model is asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Who will be asked.
    pub provider: String,
    /// What went wrong.
    pub reason: String,
    /// How long the pause is.
    pub wait_ms: u64,
    /// Which retry follows it, from 1.
    pub retry: u32,
}

/// The change from one model to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// Who was asked so far.
    pub from: ModelName,
    /// Who is asked now.
    pub to: ModelName,
    /// Why.
    pub reason: String,
}

/// What a reply that never came to its end has used. Providers ask money for it, so that a budget has to hold for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// Who was asked.
    pub from: ModelName,
    /// What it has used.
    pub usage: LostUsage,
}

/// What a lost reply has used, by who says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LostUsage {
    /// What the provider had counted by then. It may have counted the prompt alone, so it is told as well how many bytes of
    /// the reply had been heard.
    Counted {
        /// The tokens that it said.
        used: Usage,
        /// Bytes of the reply.
        heard: u64,
    },
    /// The provider had counted nothing: some count at the end alone. So many bytes of the reply had been heard, from which
    /// whoever knows what was asked may estimate the tokens.
    Heard(u64),
    /// What somebody estimated when it was recorded.
    Estimated(Usage),
}

impl Chain<'static> {
    /// Opens the models of `configs`, the preferred one first, for one session. The offline agent is no match for any of
    /// them: it is turned to when none of the others can be asked any more.
    ///
    /// # Errors
    /// When there is none, or the configuration of one cannot work.
    pub fn open(configs: &[Config], policy: Policy, breakers: Breakers) -> Result<Self, Error> {
        if configs.is_empty() {
            return Err(Error::Config("no model is configured".to_owned()));
        }
        if let [Config::Played(config), ..] = configs {
            let (models, tape) = played::open(config);
            return Ok(Self { tape: Some(tape), ..Self::of(models, policy, breakers) });
        }
        let mut chain = Self::of(configs.iter().map(open).collect::<Result<_, _>>()?, policy, breakers);
        for (link, config) in chain.links.iter_mut().zip(configs) {
            link.rank = match config {
                Config::Served(_) | Config::Scripted(_) | Config::Played(_) => Rank::Ordinary,
                Config::Offline(_) => Rank::LastResort,
            };
        }
        Ok(chain)
    }
}

impl<'m> Chain<'m> {
    /// A chain of `models`, the preferred one first; there must be one.
    pub fn of(models: Vec<Box<dyn Model + 'm>>, policy: Policy, breakers: Breakers) -> Self {
        let link = |model| Link { model, rank: Rank::Ordinary, useless: AtomicBool::new(false) };
        let links = models.into_iter().map(link).collect();
        Self {
            links,
            policy,
            breakers,
            at: AtomicUsize::new(0),
            answered: Mutex::default(),
            heard: Mutex::default(),
            failed: Mutex::default(),
            tape: None,
        }
    }

    /// The model that is asked next, unless it does not answer.
    pub fn model(&self) -> &dyn Model {
        &*self.links[self.at.load(Ordering::Relaxed)].model
    }

    /// Whether replies are played, as they were counted once.
    pub fn is_played(&self) -> bool {
        self.tape.is_some()
    }

    /// All models, the preferred one first.
    pub fn models(&self) -> impl Iterator<Item = &dyn Model> {
        self.links.iter().map(|link| &*link.model as &dyn Model)
    }

    /// Asks until there is a reply or asking is pointless. `output_tokens_max` says, each time anew, how long the reply of a
    /// model may be, in tokens; nothing is what suits the model. `on_notice` is awaited before what it tells of is done, to
    /// write it down; `live` hears of the reply while it arrives.
    ///
    /// A reply that broke off is asked for from the start: nothing of it is kept. A provider that does not answer is
    /// asked again, a few times when there is another one to turn to and as the policy says otherwise; one that cannot
    /// answer at all (its key is refused, its quota spent, the model unknown) is left at once. One that answers nonsense is
    /// left for another one, and without another one asked again a few times. A request that is refused
    /// is tried once with each other one, as they do not refuse the same; one that is too long is ours to shorten.
    ///
    /// # Errors
    /// The last error of the last model that could be asked, or what `on_notice` returned. What the offline agent says
    /// comes with the error that it was turned to for.
    pub async fn ask<N, F, E>(
        &self,
        conversation: &Conversation,
        output_tokens_max: impl Fn(&dyn Model) -> Option<u32>,
        live: &dyn Live,
        mut on_notice: N,
    ) -> Result<Reply, E>
    where
        N: FnMut(Notice) -> F,
        F: Future<Output = Result<(), E>>,
        E: From<Error>,
    {
        if let Some(tape) = &self.tape {
            return self.play(tape, conversation, live, on_notice).await;
        }
        let mut round = Round::begin(self, Instant::now());
        let mut at = self.at.load(Ordering::Relaxed);
        if let Some((next, reason)) = round.around_open_breaker(at) {
            on_notice(self.switch(at, next, reason)).await?;
            at = next;
        }
        let tap = Tap::new(live, &self.heard);
        loop {
            let (model, asked) = (&self.links[at].model, Instant::now());
            let error = match model.reply(conversation, output_tokens_max(&**model), &tap).await {
                Ok(reply) => {
                    self.breakers.answered(&model.name().provider);
                    *self.answered() = Some(Answered { by: at, asked });
                    tap.came();
                    return Ok(reply);
                }
                Err(error) => error,
            };
            if let Some(usage) = tap.broke_off() {
                on_notice(Notice::Lost(Lost { from: model.name().clone(), usage })).await?;
            }
            let Some(next) = round.after(at, &error, Instant::now()) else {
                return Err(self.with_reason(error).into());
            };
            if next.at != at {
                on_notice(self.switch(at, next.at, error.to_string())).await?;
                at = next.at;
            }
            *self.failed() = Some(error);
            if next.wait > Duration::ZERO {
                on_notice(self.wait(&next)).await?;
                sleep(next.wait).await;
            }
        }
    }

    /// What a reply has used that was on its way when the future of [`Chain::ask`] was dropped: it is as lost as one that broke
    /// off. It is told once.
    pub fn interrupted(&self) -> Option<Lost> {
        match &self.tape {
            Some(tape) => tape.interrupted(),
            None => {
                let usage = tap::taken(&self.heard).used()?;
                Some(Lost { from: self.model().name().clone(), usage })
            }
        }
    }

    /// As [`Chain::ask`], of what was recorded.
    async fn play<N, F, E>(
        &self,
        tape: &Tape,
        conversation: &Conversation,
        live: &dyn Live,
        mut on_notice: N,
    ) -> Result<Reply, E>
    where
        N: FnMut(Notice) -> F,
        F: Future<Output = Result<(), E>>,
        E: From<Error>,
    {
        loop {
            match tape.next(conversation, live).await? {
                Played::Answered(answered) => {
                    let by = self.at.load(Ordering::Relaxed);
                    *self.answered() = Some(Answered { by, asked: Instant::now() });
                    return Ok(answered.reply);
                }
                Played::Notice(notice) => {
                    if let Notice::Switched(switched) = &notice {
                        let to = self.links.iter().position(|link| *link.model.name() == switched.to);
                        self.at.store(to.unwrap_or(0), Ordering::Relaxed);
                    }
                    on_notice(notice).await?;
                }
                // The tape remembers it.
                Played::CacheRanOut => {}
                // Whoever asks ends it, as then.
                Played::Interrupted(_) => std::future::pending().await,
                Played::Failed(text) | Played::Compacted(text) => {
                    return Err(Error::recalled(&text).unwrap_or(Error::Config(text)).into());
                }
            }
        }
    }

    /// The last answer. Whoever panicked while holding the lock left a whole one behind.
    fn answered(&self) -> MutexGuard<'_, Option<Answered>> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a model failed with last, behind its lock; see [`Chain::answered`].
    fn failed(&self) -> MutexGuard<'_, Option<Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `error`, with why the model that gives it was turned to, where it explains nothing otherwise.
    fn with_reason(&self, error: Error) -> Error {
        let Error::Beyond { why, before: None } = error else { return error };
        Error::Beyond { why, before: self.failed().take().map(Box::new) }
    }

    /// From here on the model at `to` is asked.
    fn switch(&self, from: usize, to: usize, reason: String) -> Notice {
        let name = |at: usize| self.links[at].model.name().clone();
        self.at.store(to, Ordering::Relaxed);
        Notice::Switched(Switched { from: name(from), to: name(to), reason })
    }

    fn wait(&self, next: &Next) -> Notice {
        let provider = self.links[next.at].model.name().provider.clone();
        let wait_ms = u64::try_from(next.wait.as_millis()).unwrap_or(u64::MAX);
        Notice::Wait(Wait { provider, reason: next.reason.clone(), wait_ms, retry: next.retry })
    }
}
