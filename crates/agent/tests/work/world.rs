//! A model, a sandbox, a checkpoint and a journal in memory, and what was asked of them in one list.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::{Bench, Brief, Checkpoint, CheckpointError, Error, Kept, Limits, Stop};
use async_trait::async_trait;
use events::{
    Bounds, Budget, ChangeList, ChangedPath, Content, Event, FileEdited, Journal, JournalError, Oid,
    ToolFinished, Whose,
};
use model::{
    Chain, Conversation, Delta, Facts, Live, Message, Model, ModelName, Origin, Part, Price, Rates, Reply,
    ToolCall, Usage, Wire,
};
use sandbox::{Allowance, Command, Ended, Exported, FileAnswer, FileTool, Ran, Sandbox, Terms};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::log::Line;
use super::pairs::check_pairs;
use super::refusals::{broken_off, context_full, key_refused, no_room_for_the_reply};
use super::spare::Spare;

/// What happened, in order.
#[derive(Debug, Clone)]
pub(crate) enum Did {
    /// The model was asked, and this was the last message.
    Asked(Message),
    /// A command was begun.
    Ran { script: String, timeout: Duration },
    /// The work tree was kept.
    Saved,
    /// An event was written down.
    Recorded(Event),
}

/// What the stand-in for a provider holds and counts.
pub(crate) struct Provider {
    /// What is known of its model.
    pub(crate) facts: Facts,
    /// How many tokens it takes, as it counts them.
    holds: u64,
    /// Whether its replies say how many tokens were sent.
    counts: bool,
    /// It refuses a request beside which the longest reply has no room, and says what it holds.
    pub(crate) reserves: bool,
    /// After so many replies it takes nothing any more.
    pub(crate) gives_out_after: Option<usize>,
}

impl Default for Provider {
    /// Takes whatever comes, counts nothing, and asks no money.
    fn default() -> Self {
        let free = Rates { input: 0.0, cache_write: 0.0, cache_read: 0.0, output: 0.0 };
        let price = Some(Price { as_of: String::new(), source: String::new(), usual: free, long: None });
        Self {
            facts: Facts { price, ..Facts::UNKNOWN },
            holds: u64::MAX,
            counts: false,
            reserves: false,
            gives_out_after: None,
        }
    }
}

impl Provider {
    /// Takes `context_tokens` and counts them.
    pub(crate) fn holding(context_tokens: u32) -> Self {
        let mut provider = Self { holds: context_tokens.into(), counts: true, ..Self::default() };
        provider.facts.context_tokens = context_tokens;
        provider
    }

    /// A request's tokens: three bytes each, rules and tools among them.
    pub(crate) fn tokens(&self, request: &[Line]) -> u64 {
        let bytes = request.iter().map(|line| match line {
            Line::User(text) | Line::Reply(text) => text.len(),
            Line::Results(results) => results.iter().map(|(id, text)| id.len() + text.len()).sum(),
        });
        (agent::prefix_bytes() + bytes.sum::<usize>()) as u64 / 3
    }
}

/// Everything that the agent reaches, and the list of what it did.
pub(crate) struct World {
    replies: Mutex<VecDeque<Reply>>,
    /// What comes of requests for a summary; when there is nothing more, all is well.
    pub(crate) summaries: Mutex<VecDeque<Result<Reply, model::Error>>>,
    /// Requests for a summary are not answered at all.
    pub(crate) is_summing_up_for_ever: bool,
    /// Replies break off for ever after this was heard of each.
    pub(crate) breaks_off: Vec<Delta<'static>>,
    /// What is heard of a reply that never comes to its end.
    pub(crate) underway: Vec<Delta<'static>>,
    pub(crate) provider: Provider,
    /// Who is asked when the provider's key is refused.
    pub(crate) spare: Option<Provider>,
    /// After so many replies to turns the provider refuses its key.
    pub(crate) dies_after: Option<usize>,
    pub(crate) brief: Brief,
    /// The requests for a turn that were answered.
    asked: Mutex<Vec<Vec<Line>>>,
    refusals: AtomicUsize,
    /// How often the spare one was asked.
    pub(crate) spare_asked: AtomicUsize,
    /// How long the replies might be that were given.
    pub(crate) limits: Mutex<Vec<Option<u32>>>,
    /// What the file tools answer.
    pub(crate) file: Mutex<Option<FileAnswer>>,
    /// The outputs that were too long to be told.
    pub(crate) kept: Mutex<Vec<String>>,
    /// What commands print.
    pub(crate) output: Mutex<String>,
    /// How commands end that end in time.
    pub(crate) ended: Mutex<Ended>,
    pub(crate) cancel: CancellationToken,
    did: Mutex<Vec<Did>>,
    name: ModelName,
    terms: Terms,
}

impl World {
    /// The model gives `replies`, and after them none for ever.
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            replies: Mutex::new(replies.into_iter().collect()),
            summaries: Mutex::default(),
            is_summing_up_for_ever: false,
            breaks_off: Vec::new(),
            underway: Vec::new(),
            provider: Provider::default(),
            spare: None,
            dies_after: None,
            brief: Brief::default(),
            asked: Mutex::default(),
            refusals: AtomicUsize::new(0),
            spare_asked: AtomicUsize::new(0),
            limits: Mutex::default(),
            file: Mutex::new(None),
            kept: Mutex::default(),
            output: Mutex::new(String::new()),
            ended: Mutex::new(Ended::Exited(0)),
            cancel: CancellationToken::new(),
            did: Mutex::new(Vec::new()),
            name: ModelName { provider: "memory".to_owned(), model: "memory".to_owned() },
            terms: Terms::default(),
        }
    }

    /// Lets the agent work with `budget`, an hour at most, ten minutes for a command.
    pub(crate) async fn work(&self, budget: Budget) -> Result<Stop, Error> {
        let mut models: Vec<Box<dyn Model + '_>> = vec![Box::new(self)];
        models.extend(self.spare.as_ref().map(|spare| Box::new(Spare::of(self, spare)) as Box<dyn Model>));
        let models = Chain::of(models, model::Policy::default(), model::Breakers::default());
        let bench = Bench {
            models: &models,
            live: &model::Unheard,
            sandbox: self,
            checkpoint: self,
            journal: self,
            cancel: &self.cancel,
            command_timeout: Duration::from_secs(600),
        };
        let bounds = Bounds::smallest(&[(Whose::Request, budget)]);
        let limits = Limits::starting_now(bounds, Duration::from_secs(3600));
        agent::work(&self.brief, &bench, &limits).await
    }

    /// What happened, in order.
    pub(crate) fn did(&self) -> Vec<Did> {
        self.did.lock().unwrap().clone()
    }

    /// The commands that were begun.
    pub(crate) fn ran(&self) -> Vec<(String, Duration)> {
        let ran = |did| match did {
            Did::Ran { script, timeout } => Some((script, timeout)),
            Did::Asked(_) | Did::Saved | Did::Recorded(_) => None,
        };
        self.did().into_iter().filter_map(ran).collect()
    }

    /// The tool calls that were written down as finished.
    pub(crate) fn finished(&self) -> Vec<ToolFinished> {
        let finished =
            |did| if let Did::Recorded(Event::ToolFinished(done)) = did { Some(done) } else { None };
        self.did().into_iter().filter_map(finished).collect()
    }

    /// The edits that were written down.
    pub(crate) fn edits(&self) -> Vec<FileEdited> {
        let edited = |did| if let Did::Recorded(Event::FileEdited(edit)) = did { Some(edit) } else { None };
        self.did().into_iter().filter_map(edited).collect()
    }

    /// What the model was told that no call of its had asked for.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = |did| if let Did::Recorded(Event::AgentTold(told)) = did { Some(told.text) } else { None };
        self.did().into_iter().filter_map(told).collect()
    }

    /// What is said of the limit that ended the work, which is the last thing written down.
    pub(crate) fn reached(&self) -> String {
        match self.did().pop() {
            Some(Did::Recorded(Event::LimitReached(reached))) => reached.about,
            last => panic!("{last:?}"),
        }
    }

    /// The last message that the model was asked with.
    pub(crate) fn last_asked(&self) -> Message {
        let asked = |did| if let Did::Asked(message) = did { Some(message) } else { None };
        self.did().into_iter().filter_map(asked).next_back().unwrap()
    }

    /// The requests for a turn that were answered, message by message.
    pub(crate) fn asked(&self) -> Vec<Vec<Line>> {
        self.asked.lock().unwrap().clone()
    }

    /// How many requests were refused as too long.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    /// How often the spare one was asked.
    pub(crate) fn asked_of_spare(&self) -> usize {
        self.spare_asked.load(Ordering::Relaxed)
    }

    fn note(&self, did: Did) {
        self.did.lock().unwrap().push(did);
    }

    /// What `provider` answers.
    pub(crate) async fn answer(
        &self,
        provider: &Provider,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, model::Error> {
        let messages = conversation.messages();
        check_pairs(messages);
        let last = messages.last().unwrap();
        self.note(Did::Asked(last.clone()));
        let request: Vec<Line> = messages.iter().map(Line::from).collect();
        let tokens = provider.tokens(&request);
        let spent = provider.gives_out_after.is_some_and(|turns| self.asked().len() >= turns);
        if tokens > provider.holds || spent {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(context_full());
        }
        let most = output_tokens_max.map_or(0, u64::from);
        if provider.reserves && tokens + most > provider.holds {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            return Err(no_room_for_the_reply(provider.holds, tokens, most));
        }
        if !self.breaks_off.is_empty() {
            self.breaks_off.iter().for_each(|delta| live.hear(*delta));
            return Err(broken_off());
        }
        let is_summary =
            matches!(last, Message::User(text) if text.starts_with("This conversation is about to be"));
        let next = if is_summary && self.is_summing_up_for_ever {
            None
        } else if is_summary {
            let next = self.summaries.lock().unwrap().pop_front();
            Some(next.unwrap_or_else(|| Ok(says("In short: all is well."))))
        } else {
            self.asked.lock().unwrap().push(request);
            self.replies.lock().unwrap().pop_front().map(Ok)
        };
        let Some(next) = next else {
            self.underway.iter().for_each(|delta| live.hear(*delta));
            return std::future::pending().await;
        };
        let mut reply = next?;
        self.limits.lock().unwrap().push(output_tokens_max);
        // As providers do.
        if let Some(tokens) = output_tokens_max.map(u64::from).filter(|most| *most < reply.usage.output) {
            (reply.usage.output, reply.stop) = (tokens, model::Stop::OutputLimit);
        }
        if provider.counts && reply.usage == (Usage { output: 1, ..Usage::default() }) {
            reply.usage = Usage { input: tokens, output: 1, cache_read: 0, cache_write: 0, usd: Some(0.0) };
        }
        // Providers count before they end.
        live.hear(Delta::Used(reply.usage));
        Ok(reply)
    }
}

/// A reply that uses one token and says `text`.
pub(crate) fn says(text: &str) -> Reply {
    let (provider, model) = ("memory".to_owned(), "memory".to_owned());
    Reply {
        origin: Origin { wire: Wire::Scripted, provider, model },
        raw: raw(text, &[]),
        parts: vec![Part::Text(text.to_owned())],
        calls: Vec::new(),
        stop: model::Stop::Finished,
        usage: Usage { output: 1, ..Usage::default() },
        model: "memory".to_owned(),
    }
}

/// A command whose script differs from turn to turn.
pub(crate) fn look(turn: usize) -> Reply {
    let arguments = format!(r#"{{"command":"look {turn}"}}"#);
    calls([("bash", arguments.as_str())])
}

/// A reply that calls tools, each given by its name and arguments; the calls are named `0`, `1` …
pub(crate) fn calls<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Reply {
    let call = |(n, (name, arguments)): (usize, (&str, &str))| ToolCall {
        id: n.to_string(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let calls: Vec<ToolCall> = calls.into_iter().enumerate().map(call).collect();
    Reply { raw: raw("", &calls), calls, stop: model::Stop::Tools, ..says("") }
}

/// The form of a reply on the wire of this world.
fn raw(text: &str, calls: &[ToolCall]) -> Box<RawValue> {
    let calls: Vec<_> = calls.iter().map(|call| [&call.id, &call.name, &call.arguments]).collect();
    serde_json::value::to_raw_value(&(text, calls)).unwrap()
}

#[async_trait]
impl Model for &World {
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, model::Error> {
        let is_dead = self.dies_after.is_some_and(|replies| self.asked().len() >= replies);
        if is_dead {
            return Err(key_refused());
        }
        self.answer(&self.provider, conversation, output_tokens_max, live).await
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.provider.facts
    }
}

#[async_trait]
impl Sandbox for World {
    /// Knows one command: `sleep` and a number of seconds.
    async fn run(&self, command: &Command) -> Result<Ran, sandbox::Error> {
        self.note(Did::Ran { script: command.script.clone(), timeout: command.timeout });
        let seconds = command.script.strip_prefix("sleep ").and_then(|n| n.parse().ok()).unwrap_or(0);
        let needs = tokio::time::sleep(Duration::from_secs(seconds));
        let ended = match tokio::time::timeout(command.timeout, needs).await {
            Ok(()) => *self.ended.lock().unwrap(),
            Err(_) => Ended::TimedOut,
        };
        let output = self.output.lock().unwrap().clone();
        Ok(Ran { output_bytes: output.len() as u64, output, ended, duration_ms: 0 })
    }

    /// Keeps outputs, and answers everything else with what the test has laid ready.
    async fn file(&self, tool: &FileTool) -> Result<FileAnswer, sandbox::Error> {
        if let FileTool::Keep { bytes } = tool {
            let mut kept = self.kept.lock().unwrap();
            kept.push(String::from_utf8(bytes.clone()).unwrap());
            let path = format!("/tmp/output-{}.txt", kept.len());
            return Ok(FileAnswer::Kept { path, bytes: bytes.len() as u64 });
        }
        Ok(self.file.lock().unwrap().clone().unwrap())
    }

    async fn changes(&self) -> Result<ChangeList, sandbox::Error> {
        unreachable!("the checkpoint asks for changes, and this one does not")
    }

    async fn content(&self, _: &ChangedPath, _: u64) -> Result<Content, sandbox::Error> {
        unreachable!("the checkpoint asks for contents, and this one does not")
    }

    async fn export(&self, _: &Path, _: Allowance) -> Result<Exported, sandbox::Error> {
        unreachable!("who prepares a layer asks for it, and the agent does not")
    }

    async fn close(&self) -> Result<(), sandbox::Error> {
        unreachable!("who opened the sandbox closes it")
    }

    fn terms(&self) -> &Terms {
        &self.terms
    }
}

#[async_trait]
impl Checkpoint for World {
    async fn save(&self) -> Result<Kept, CheckpointError> {
        self.note(Did::Saved);
        Ok(Kept { commit: Some(commit()), notes: Vec::new() })
    }
}

/// The commit that every step is kept as.
pub(crate) fn commit() -> Oid {
    "c".repeat(40).parse().unwrap()
}

#[async_trait]
impl Journal for World {
    async fn record(&self, events: Vec<Event>) -> Result<(), JournalError> {
        for event in events {
            self.note(Did::Recorded(event));
        }
        Ok(())
    }
}
