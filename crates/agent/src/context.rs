//! The conversation with the model, kept within what the model can hold.

mod compaction;
mod gauge;
mod progress;
mod reply;
mod room;
mod tail;

use events::{AgentBriefed, Bounds, Event, KnownModel, Purpose};
use model::{
    Cache, Chain, Conversation, Message, Model, ModelName, Price, Reply, ToolCall, ToolResult, Usage,
};

use crate::limits::Spent;
use crate::prompt::{self, Brief};
use gauge::Gauge;
use progress::Progress;
use room::Room;

pub(crate) use compaction::{make_room, refused};

/// The conversation with the model, and what is known about it.
#[derive(Debug)]
pub(crate) struct Context {
    conversation: Conversation,
    /// The first message as it was at the start: it stands at the beginning whatever is compacted.
    task: String,
    /// About how many bytes a request takes.
    bytes: u64,
    gauge: Gauge,
    /// How many tokens of the beginning the provider that answered last had in its cache then.
    cached: u64,
    /// So many tokens a model holds at most, as far as its refusals tell, and which.
    ceiling: Option<(ModelName, u64)>,
    /// How often in a row it has refused.
    refusals: u32,
    /// Turns since the conversation began or was compacted.
    turns: u32,
    progress: Progress,
    /// What the model itself summed up last.
    summary: Option<String>,
}

impl Context {
    /// A conversation that begins with `brief`.
    pub(crate) fn begin(brief: &Brief) -> Self {
        let (conversation, task) = prompt::begin(brief);
        let mut context = Self {
            bytes: head_bytes(&conversation),
            conversation,
            gauge: Gauge::default(),
            cached: 0,
            ceiling: None,
            refusals: 0,
            turns: 0,
            progress: Progress::default(),
            summary: None,
            task: task.clone(),
        };
        context.push(Message::User(task));
        context
    }

    /// What is asked.
    pub(crate) fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// What the first request says, for the log.
    pub(crate) fn briefed(&self, bounds: Bounds, known: Vec<KnownModel>) -> Event {
        Event::AgentBriefed(AgentBriefed {
            system: self.conversation.system.clone(),
            task: self.task.clone(),
            tools: self.conversation.tools.iter().map(|tool| tool.name.clone()).collect(),
            bounds,
            known,
        })
    }

    /// Appends what the model is told.
    pub(crate) fn tell(&mut self, text: String) {
        self.push(Message::User(text));
    }

    /// Appends a reply, and learns from what it used.
    pub(crate) fn heard(&mut self, reply: Reply) {
        let usage = &reply.usage;
        let kept = usage.cache_read.saturating_add(usage.cache_write);
        self.gauge.correct(self.bytes, usage.input.saturating_add(kept));
        self.cached = kept;
        self.refusals = 0;
        self.turns += 1;
        self.push(Message::Assistant(reply));
    }

    /// Appends what came of the calls of the last reply.
    pub(crate) fn ran(&mut self, calls: &[ToolCall], results: Vec<ToolResult>) {
        for (call, result) in calls.iter().zip(&results) {
            self.progress.note(call, result);
        }
        self.push(Message::Results(results));
    }

    /// Whether a request for `purpose` leaves `model` no room for its reply.
    pub(crate) fn is_full(&self, purpose: Purpose, model: &dyn Model) -> bool {
        let room = self.room(model);
        match purpose {
            Purpose::Turn => self.tokens() > room.conversation,
            Purpose::Summary => {
                self.tokens() + self.gauge.tokens(compaction::ASK.len() as u64) > room.summary_request
            }
        }
    }

    /// What the next turn is certain to use with the model that is asked next: its input, and the shortest reply that is
    /// asked for.
    pub(crate) fn next(&self, models: &Chain<'_>) -> Spent {
        let (cache, output) = (models.cache(), reply::TOKENS_MIN);
        let usd = |price: &Price| self.input_usd(price, cache) + price.usd_of_output(self.tokens(), output);
        let usd = models.model().facts().price.as_ref().map(usd);
        Spent { turns: 1, tokens: self.tokens() + output, usd }
    }

    /// What the input of the next request costs in US dollars. What no cache has is paid in full, and written to it where that
    /// is asked for, which may cost more.
    fn input_usd(&self, price: &Price, cache: Cache) -> f64 {
        let cached = match cache {
            Cache::Warm => self.cached,
            Cache::Cold => 0,
        };
        let cache_read = cached.min(self.tokens());
        let new = self.tokens() - cache_read;
        let [plain, written] = [
            Usage { input: new, cache_read, ..Usage::default() },
            Usage { cache_write: new, cache_read, ..Usage::default() },
        ];
        price.usd(&plain).max(price.usd(&written))
    }

    /// About how many tokens the next request has.
    pub(crate) fn tokens(&self) -> u64 {
        self.gauge.tokens(self.bytes)
    }

    /// About how many tokens so many bytes of a reply are.
    pub(crate) fn tokens_of(&self, bytes: u64) -> u64 {
        self.gauge.tokens(bytes)
    }

    fn room(&self, model: &dyn Model) -> Room {
        Room::of(model.facts(), self.ceiling_of(model))
    }

    /// How many tokens `model` holds at most, where it has refused a request.
    fn ceiling_of(&self, model: &dyn Model) -> Option<u64> {
        self.ceiling.as_ref().filter(|(refused, _)| refused == model.name()).map(|(_, tokens)| *tokens)
    }

    fn push(&mut self, message: Message) {
        self.bytes += tail::bytes(&message);
        self.conversation.push(message);
    }
}

/// What stands before every message: the rules and the tools.
fn head_bytes(conversation: &Conversation) -> u64 {
    let tools = conversation.tools.iter();
    let tools = tools.map(|tool| tool.name.len() + tool.description.len() + tool.parameters.get().len());
    (conversation.system.len() + tools.sum::<usize>()) as u64
}
