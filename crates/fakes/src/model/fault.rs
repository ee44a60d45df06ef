//! Ways to fail that a test can ask for.

use serde_json::Value;

/// How a request is to fail, after it was found to be in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An error of this status instead of a reply.
    Status {
        /// The status.
        status: u16,
        /// Headers beside the usual ones: `retry-after` and its like.
        headers: Vec<(&'static str, String)>,
    },
    /// What the account may use is used up, in the vendor's status and words.
    QuotaSpent,
    /// The conversation is too long, in the vendor's status and words.
    ContextFull,
    /// Exactly this instead of a reply, from a server that is none of the vendor's.
    Instead {
        /// The status.
        status: u16,
        /// All headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: String,
    },
    /// An error of this status whose body never comes to its end: a byte of it comes every nine seconds.
    EndlessError {
        /// The status.
        status: u16,
    },
    /// The connection breaks before the first event.
    CutAtOnce,
    /// The connection breaks: in the middle of a tool call when the reply has one, else in the middle of the reply.
    Cut,
    /// The body ends at the same place, but as if it were whole.
    EndEarly,
    /// At the same place nothing more comes.
    Stall,
    /// At the same place nothing more comes but signs of life, every fifteen seconds.
    SignsOfLife,
    /// At the same place the provider says that it is overloaded.
    ErrorInStream,
    /// The reply comes to its end, with something wrong in it.
    Garbled(Garble),
}

/// What is wrong in a reply that comes to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Garble {
    /// The first piece of a tool call comes twice, or else of the text.
    Twice,
    /// An event has bytes that are no UTF-8.
    NotUtf8,
    /// An event ends in the middle of its JSON.
    NotJson,
    /// There are events, fields and comments that nobody knows.
    Unknown,
    /// Each piece has a field of text that nobody knows, always the same.
    Repeats,
    /// One event has five megabytes.
    Oversized,
    /// One comment has five megabytes.
    OversizedComment,
    /// Characters of two halves are cut between them, and come with two pieces.
    Halves,
    /// Of such characters only the first half comes.
    HalfAlone,
    /// An error stands in the middle, in none of the wire's forms.
    BareError,
    /// Nobody says why the model stopped.
    NoReason,
    /// Each count of tokens is this.
    Counts(Value),
    /// No count of tokens is told.
    NoCounts,
    /// Lines end as on Windows, and the bytes arrive one by one.
    Crumbs,
}

impl Fault {
    /// An error of `status` without further headers.
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new() }
    }
}
