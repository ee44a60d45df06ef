//! Plays what the models of a session answered: replies, failures, pauses and switches in their order. Nobody is asked.
//!
//! What is played is what was decided then: the pauses are told and not waited for, a switch to another model is told and
//! its replies come. That the conversation still asks what it asked then is checked before each reply.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Conversation, Delta, Error, Facts, Live, Lost, Message, Model, ModelName, Notice, Part, Price, Rates,
    Reply,
};

/// The longest that a reply is held back, however long it took: somebody watches.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What to play.
#[derive(Debug, Clone)]
pub struct Config {
    /// What happened whenever a model was asked, in order.
    pub played: Vec<Played>,
    /// What was known of the models then; of others it is as little as can be.
    pub known: Vec<(ModelName, Facts)>,
    /// How fast replies come.
    pub pace: Pace,
    /// What happens when more is asked than was recorded.
    pub at_end: AtEnd,
}

/// How fast replies come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    AtOnce,
    /// As then, up to two seconds each.
    AsThen,
}

/// What happens when more is asked than was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// The asking fails.
    Fails,
    /// No answer ever comes: what was recorded was cut off while a model was asked.
    Waits,
}

/// Something that happened when a model was asked.
#[derive(Debug, Clone)]
pub enum Played {
    /// A pause, a switch, a reply that broke off.
    Notice(Notice),
    /// A reply.
    Answered(Box<Answered>),
    /// No reply, and no more asking: the text of the error.
    Failed(String),
    /// The conversation was begun again, shorter: the text of why the model did not do it itself. When it is an
    /// error's, the model was asked and failed.
    Compacted(String),
    /// Since the last reply was asked for, the time had passed for which its provider is believed to have the conversation in
    /// its cache.
    CacheRanOut,
    /// A reply was on its way when the session ended, and had used this.
    Interrupted(Lost),
}

/// A reply, and what it answered.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The reply.
    pub reply: Reply,
    /// How long it took.
    pub took: Duration,
    /// The calls of the reply before it, by the ids of their results; nothing when the conversation was begun again
    /// since.
    pub results: Option<Vec<String>>,
}

/// The models of a recording, the first one first, and what is played of them.
pub(crate) fn open(config: &Config) -> (Vec<Box<dyn Model>>, Tape) {
    let mut names: Vec<ModelName> = Vec::new();
    let mut note = |name: &ModelName| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    };
    // In the order in which they stood in the chain; who was not known then comes after them.
    config.known.iter().for_each(|(name, _)| note(name));
    for played in &config.played {
        match played {
            Played::Answered(answered) => note(&asked(&answered.reply)),
            Played::Notice(Notice::Switched(switched)) => {
                note(&switched.from);
                note(&switched.to);
            }
            Played::Notice(Notice::Lost(lost)) | Played::Interrupted(lost) => note(&lost.from),
            Played::Notice(Notice::Wait(_))
            | Played::Failed(_)
            | Played::Compacted(_)
            | Played::CacheRanOut => {}
        }
    }
    if names.is_empty() {
        names.push(nobody());
    }
    let known =
        |name: &ModelName| config.known.iter().find(|(known, _)| known == name).map(|(_, f)| f.clone());
    let models = names.into_iter().map(|name| {
        let facts = known(&name).unwrap_or_else(unknown);
        Box::new(Absent { name, facts }) as Box<dyn Model>
    });
    (models.collect(), Tape { config: config.clone(), at: Mutex::new(0) })
}

/// Who was asked for a reply.
fn asked(reply: &Reply) -> ModelName {
    ModelName { provider: reply.origin.provider.clone(), model: reply.origin.model.clone() }
}

/// The model that was preferred then, and what was known of it.
pub(crate) fn first(config: &Config) -> (ModelName, Facts) {
    config.known.first().cloned().unwrap_or_else(|| (nobody(), unknown()))
}

fn nobody() -> ModelName {
    ModelName { provider: "recording".to_owned(), model: "none".to_owned() }
}

/// What is assumed of a model that a recording does not tell of: no limit is near, and nothing is paid.
fn unknown() -> Facts {
    let free = Rates { input: 0.0, cache_write: 0.0, cache_read: 0.0, output: 0.0 };
    let price = Price { as_of: String::new(), source: "the recording".to_owned(), usual: free, long: None };
    Facts { price: Some(price), ..Facts::UNKNOWN }
}

/// A model that was asked then.
struct Absent {
    name: ModelName,
    facts: Facts,
}

#[async_trait]
impl Model for Absent {
    async fn reply(&self, _: &Conversation, _: Option<u32>, _: &dyn Live) -> Result<Reply, Error> {
        Err(Error::Config("what was recorded is played by a chain alone".to_owned()))
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What is played, and how far it is.
pub(crate) struct Tape {
    config: Config,
    at: Mutex<usize>,
}

impl Tape {
    /// What happened next. A reply comes when its time has come, and when it answers `conversation`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the conversation asks something else than it asked then.
    pub(crate) async fn next(&self, conversation: &Conversation, live: &dyn Live) -> Result<Played, Error> {
        let Some(played) = self.take() else {
            return match self.config.at_end {
                AtEnd::Waits => std::future::pending().await,
                AtEnd::Fails => Err(refused(format!(
                    "the recording has {} replies, and another one is asked for",
                    self.replies()
                ))),
            };
        };
        if let Played::Answered(answered) = &played {
            if let Some(results) = &answered.results {
                self.is_asked(results, conversation)?;
            }
            if self.config.pace == Pace::AsThen {
                tokio::time::sleep(answered.took.min(PAUSE_MAX)).await;
            }
            for part in &answered.reply.parts {
                live.hear(match part {
                    Part::Text(text) => Delta::Text(text),
                    Part::Thought(thought) => Delta::Thought(thought),
                });
            }
        }
        Ok(played)
    }

    /// Takes the next thing off the tape. A conversation that was begun again without asking the model is passed over.
    fn take(&self) -> Option<Played> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let played = self.config.played.get(*at)?;
            *at += 1;
            match played {
                Played::Compacted(why) if Error::recalled(why).is_none() => {}
                Played::Compacted(_)
                | Played::Notice(_)
                | Played::Answered(_)
                | Played::Failed(_)
                | Played::CacheRanOut
                | Played::Interrupted(_) => {
                    return Some(played.clone());
                }
            }
        }
    }

    /// What the reply had used that was on its way when asking ended at this place.
    pub(crate) fn interrupted(&self) -> Option<Lost> {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        match self.config.played.get(at.checked_sub(1)?)? {
            Played::Interrupted(lost) => Some(lost.clone()),
            Played::Notice(_)
            | Played::Answered(_)
            | Played::Failed(_)
            | Played::Compacted(_)
            | Played::CacheRanOut => None,
        }
    }

    /// Whether the cache had run out at this place, since the last reply.
    pub(crate) fn cache_has_run_out(&self) -> bool {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let played = &self.config.played;
        let since = played[..at].iter().rev().take_while(|played| !matches!(played, Played::Answered(_)));
        since.chain(played.get(at)).any(|played| matches!(played, Played::CacheRanOut))
    }

    /// Whether `conversation` ends in the results that the next reply answered.
    fn is_asked(&self, results: &[String], conversation: &Conversation) -> Result<(), Error> {
        let mut asked: Vec<&str> = Vec::new();
        for message in conversation.messages().iter().rev() {
            match message {
                Message::Assistant(_) => break,
                Message::User(_) => {}
                Message::Results(results) => asked = results.iter().map(|result| &*result.call_id).collect(),
            }
        }
        if asked == results {
            return Ok(());
        }
        let told = |ids: Vec<&str>| if ids.is_empty() { "no call".to_owned() } else { ids.join(", ") };
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.config.played[..at].iter().filter(|p| matches!(p, Played::Answered(_))).count();
        Err(refused(format!(
            "reply {number} of the recording answers the results of {}, and the conversation has those of {}",
            told(results.iter().map(String::as_str).collect()),
            told(asked)
        )))
    }

    fn replies(&self) -> usize {
        self.config.played.iter().filter(|played| matches!(played, Played::Answered(_))).count()
    }
}

fn refused(message: String) -> Error {
    Error::Refused { provider: "recording".to_owned(), status: 400, message }
}

#[cfg(test)]
mod tests;
