//! Why a model did not reply.

/// Why a model did not reply. The variants are what callers branch on; none ever holds the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is missing, wrong, or lacks a right.
    #[error("{provider} refused the API key ({status}): {message}")]
    Key {
        /// The provider.
        provider: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said, bounded.
        message: String,
        /// The setting that holds the key, where there is one.
        variable: Option<String>,
    },
    /// What the account behind the key may use is used up, until somebody pays or a month ends.
    #[error("the quota of the API key of {provider} is spent ({status}): {message}")]
    Quota {
        /// The provider.
        provider: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said, bounded.
        message: String,
    },
    /// The provider has no such model for this key, or nothing at this address.
    #[error("{provider} does not know the model or the address ({status}): {message}")]
    NotFound {
        /// The provider.
        provider: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said, bounded.
        message: String,
    },
    /// The conversation is longer than the model takes. A shorter one may be asked.
    #[error("the conversation is too long for the model of {provider} ({status}): {message}")]
    ContextFull {
        /// The provider.
        provider: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said, bounded.
        message: String,
    },
    /// The provider refused the request; asking again gives the same answer.
    #[error("{provider} refused the request ({status}): {message}")]
    Refused {
        /// The provider.
        provider: String,
        /// The HTTP status.
        status: u16,
        /// What the provider said, bounded.
        message: String,
    },
    /// The provider is busy, limited or broken; asking again may help.
    #[error("{provider} is not answering: {message}")]
    Transient {
        /// The provider.
        provider: String,
        /// What happened.
        message: String,
        /// How long the provider asked us to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The answer broke the wire's own rules.
    #[error("{provider} answered what its protocol does not allow: {message}")]
    Protocol {
        /// The provider.
        provider: String,
        /// What was wrong.
        message: String,
    },
    /// The offline agent cannot do what is asked; a language model might.
    #[error("the offline agent {0}")]
    Beyond(String),
    /// The configuration cannot work.
    #[error("cannot open the model: {0}")]
    Config(String),
}
