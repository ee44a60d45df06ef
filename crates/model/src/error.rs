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
    #[error("the offline agent {why}{}", because(before.as_deref()))]
    Beyond {
        /// What it says of that.
        why: String,
        /// What the last model failed with before the agent was turned to; nothing where nobody was asked before it.
        before: Option<Box<Error>>,
    },
    /// The configuration cannot work.
    #[error("cannot open the model: {0}")]
    Config(String),
}

/// What stands between the words of the offline agent and the reason why it was turned to.
pub(crate) const TURNED_TO: &str = ". It was turned to because ";

fn because(before: Option<&Error>) -> String {
    before.map(|error| format!("{TURNED_TO}{error}")).unwrap_or_default()
}

/// Words before the number of tokens that a model holds, in small letters, as refusals of requests have them. Some servers
/// tell how much they take of a request alone: that is a little less, and as safe.
const HOLDS: [&str; 20] = [
    // OpenAI, vLLM, OpenRouter; proxies and Ollama's cloud; Mistral; Azure.
    "maximum context length is ",
    "maximum context length of ",
    "maximum context length (",
    "maximum context length: ",
    "too large for model with ",
    "configured limit of ",
    // vLLM 0.17, of the request and of its longest reply; where pictures count; SGLang.
    "context length is only ",
    "max_total_tokens=",
    "maximum model length of ",
    "the model's context length (",
    // llama.cpp, oMLX, LM Studio.
    "available context size (",
    "max context window of ",
    "context length of only ",
    ">= n_ctx (",
    // Anthropic.
    " tokens > ",
    // Google, xAI, Kimi, Poolside, Qwen.
    "maximum number of tokens allowed (",
    "maximum prompt length is ",
    "model token limit: ",
    "maximum allowed input length of ",
    "input length should be [1, ",
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
            let digits = number.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(number.len());
            number[..digits].replace(',', "").parse().ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What servers say, and how much the model holds by that.
    const TOLD: &[(&str, Option<u64>)] = &[
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
        (
            "You passed 30721 input tokens and requested 2048 output tokens. However, the model's context length is only \
             32768 tokens, resulting in a maximum input length of 30720 tokens. Please reduce the length of the input prompt. \
             (parameter=input_tokens, value=30721)",
            Some(32_768),
        ),
        (
            "max_tokens=8192cannot be greater than max_model_len=max_total_tokens=4096. Please request fewer output tokens.",
            Some(4096),
        ),
        ("Prompt too long: 41911 tokens exceeds max context window of 32768 tokens", Some(32_768)),
        (
            "The decoder prompt (length 10127) is longer than the maximum model length of 8192. Make sure that",
            Some(8192),
        ),
        ("The input (61709 tokens) is longer than the model's context length (40960 tokens).", Some(40_960)),
        (
            "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
            Some(262_144),
        ),
        ("Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", Some(7424)),
        (
            "Prompt contains 140000 tokens and 0 draft tokens, too large for model with 131072 maximum context length",
            Some(131_072),
        ),
        ("Input length (37,184) exceeds model's maximum context length (32,768).", Some(32_768)),
        ("Requested token count exceeds the model's maximum context length of 131072 tokens.", Some(131_072)),
        ("The prompt is too long: 221782, model maximum context length: 202752", Some(202_752)),
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 509178 tokens.",
            Some(272_000),
        ),
        (
            "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
            Some(131_072),
        ),
        ("Input length 131393 exceeds the maximum allowed input length of 131040 tokens.", Some(131_040)),
        (
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 204800]",
            Some(204_800),
        ),
        // By how much it was too long, and an error's number: neither says what the model holds.
        ("prompt too long; exceeded max context length by 17 tokens", None),
        ("invalid params, context window exceeds limit (2013)", None),
        ("maximum context length is 99999999999999999999 tokens", None),
        ("maximum context length is , tokens", None),
        ("too long", None),
    ];

    #[test]
    fn what_a_server_holds_is_read_from_its_refusal() {
        for (message, expected) in TOLD {
            let (provider, status, message) = ("p".to_owned(), 400, (*message).to_owned());
            let error = Error::ContextFull { provider, status, message };
            assert_eq!(error.context_told(), *expected, "{error}");
        }
        let other = "maximum context length is 8192 tokens".to_owned();
        let other = Error::Refused { provider: "p".to_owned(), status: 400, message: other };
        assert_eq!(other.context_told(), None);
    }
}
