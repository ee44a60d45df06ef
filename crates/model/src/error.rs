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

/// Words before the number of tokens that a model holds, in small letters, as refusals of requests have them.
const HOLDS: [&str; 5] = [
    // OpenAI, vLLM, OpenRouter, Mistral.
    "maximum context length is ",
    // llama.cpp.
    "available context size (",
    // LM Studio.
    "context length of only ",
    // Anthropic.
    " tokens > ",
    // Google.
    "maximum number of tokens allowed (",
];

impl Error {
    /// How many tokens the model has for a request and its reply together, where a request was refused as too long and its
    /// server says so.
    #[must_use]
    pub fn context_told(&self) -> Option<u64> {
        let Self::ContextFull { message, .. } = self else { return None };
        let text = message.to_lowercase();
        HOLDS.iter().find_map(|words| {
            let number = &text[text.find(words)? + words.len()..];
            let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            number[..digits].parse().ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_holds_is_read_from_its_refusal() {
        for (message, expected) in [
            (
                "This model's maximum context length is 8192 tokens. However, you requested 8192 output tokens and your prompt \
                 contains at least 62466 input tokens, for a total of at least 70658 tokens.",
                Some(8192),
            ),
            (
                "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 4096 tokens \
                 and your request has 1234 input tokens (8192 > 4096 - 1234).",
                Some(4096),
            ),
            (
                "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
                Some(8192),
            ),
            ("the request exceeds the available context size. try increasing the context size", None),
            (
                "However, the model is loaded with context length of only 4096 tokens, which is not enough",
                Some(4096),
            ),
            ("prompt is too long: 213462 tokens > 200000 maximum", Some(200_000)),
            (
                "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
                Some(1_048_575),
            ),
            ("maximum context length is 99999999999999999999 tokens", None),
            ("too long", None),
        ] {
            let (provider, status, message) = ("p".to_owned(), 400, message.to_owned());
            let error = Error::ContextFull { provider, status, message };
            assert_eq!(error.context_told(), expected, "{error}");
        }
        let other = "maximum context length is 8192 tokens".to_owned();
        let other = Error::Refused { provider: "p".to_owned(), status: 400, message: other };
        assert_eq!(other.context_told(), None);
    }
}
