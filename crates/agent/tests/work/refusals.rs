//! What providers say instead of a reply.

/// The refusal of a request that is too long.
pub(crate) fn context_full() -> model::Error {
    model::Error::ContextFull { provider: "memory".to_owned(), status: 400, message: "too long".to_owned() }
}

/// The refusal of a key.
pub(crate) fn key_refused() -> model::Error {
    let (provider, message) = ("memory".to_owned(), "no".to_owned());
    model::Error::Key { provider, status: 401, message, variable: None }
}

/// The refusal of a request beside which a reply has no room, in vLLM's words.
pub(crate) fn no_room_for_the_reply(holds: u64, tokens: u64, most: u64) -> model::Error {
    let message = format!(
        "This model's maximum context length is {holds} tokens. However, you requested {most} output tokens and your prompt \
         contains at least {tokens} input tokens."
    );
    model::Error::ContextFull { provider: "memory".to_owned(), status: 400, message }
}

/// The end of a stream in the middle of a reply.
pub(crate) fn broken_off() -> model::Error {
    let (provider, message) = ("memory".to_owned(), "the stream broke off".to_owned());
    model::Error::Transient { provider, message, retry_after_ms: None }
}

/// The refusal of a request as such.
pub(crate) fn refused() -> model::Error {
    model::Error::Refused { provider: "memory".to_owned(), status: 400, message: "no".to_owned() }
}
