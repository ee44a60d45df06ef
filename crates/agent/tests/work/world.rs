//! A model, a sandbox, a checkpoint and a journal in memory, and what was asked of them in one list.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use agent::{Bench, Brief, Checkpoint, CheckpointError, Error, Kept, Limits, Stop};
use async_trait::async_trait;
use events::{
    Bounds, Budget, ChangeList, ChangedPath, Content, Event, Journal, JournalError, Oid, ToolFinished, Whose,
};
use model::{
    Chain, Conversation, Facts, Live, Message, Model, ModelName, Origin, Part, Reply, ToolCall, Usage, Wire,
};
use sandbox::{Allowance, Command, Ended, Exported, FileAnswer, FileTool, Ran, Sandbox, Terms};
use tokio_util::sync::CancellationToken;

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

/// Everything that the agent reaches, and the list of what it did.
pub(crate) struct World {
    replies: Mutex<VecDeque<Reply>>,
    /// What the file tools answer.
    pub(crate) file: Mutex<Option<FileAnswer>>,
    /// The outputs that were too long to be told.
    pub(crate) kept: Mutex<Vec<String>>,
    /// What commands print.
    pub(crate) output: Mutex<String>,
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
            file: Mutex::new(None),
            kept: Mutex::default(),
            output: Mutex::new(String::new()),
            cancel: CancellationToken::new(),
            did: Mutex::new(Vec::new()),
            name: ModelName { provider: "memory".to_owned(), model: "memory".to_owned() },
            terms: Terms::default(),
        }
    }

    /// Lets the agent work with `budget`, an hour at most, ten minutes for a command.
    pub(crate) async fn work(&self, budget: Budget) -> Result<Stop, Error> {
        let models = Chain::of(vec![Box::new(self)], model::Policy::default(), model::Breakers::default());
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
        agent::work(&Brief::default(), &bench, &limits).await
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

    fn note(&self, did: Did) {
        self.did.lock().unwrap().push(did);
    }
}

/// A reply that uses one token and says `text`.
pub(crate) fn says(text: &str) -> Reply {
    let (provider, model) = ("memory".to_owned(), "memory".to_owned());
    Reply {
        origin: Origin { wire: Wire::Scripted, provider, model },
        raw: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
        parts: vec![Part::Text(text.to_owned())],
        calls: Vec::new(),
        stop: model::Stop::Finished,
        usage: Usage { output: 1, ..Usage::default() },
        model: "memory".to_owned(),
    }
}

/// A reply that calls tools, each given by its name and arguments; the calls are named `0`, `1` …
pub(crate) fn calls<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Reply {
    let call = |(n, (name, arguments)): (usize, (&str, &str))| ToolCall {
        id: n.to_string(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let calls = calls.into_iter().enumerate().map(call).collect();
    Reply { calls, stop: model::Stop::Tools, ..says("") }
}

#[async_trait]
impl Model for &World {
    async fn reply(&self, conversation: &Conversation, _: &dyn Live) -> Result<Reply, model::Error> {
        self.note(Did::Asked(conversation.messages().last().unwrap().clone()));
        let next = self.replies.lock().unwrap().pop_front();
        match next {
            Some(reply) => Ok(reply),
            None => std::future::pending().await,
        }
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &Facts::UNKNOWN
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
            Ok(()) => Ended::Exited(0),
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
