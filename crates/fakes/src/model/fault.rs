//! Ways to fail that a test can ask for.

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
    /// The connection breaks: in the middle of a tool call when the reply has one, else in the middle of the reply.
    Cut,
    /// The body ends at the same place, but as if it were whole.
    EndEarly,
    /// At the same place nothing more comes.
    Stall,
    /// At the same place the provider says that it is overloaded.
    ErrorInStream,
}

impl Fault {
    /// An error of `status` without further headers.
    pub fn status(status: u16) -> Self {
        Self::Status { status, headers: Vec::new() }
    }
}
