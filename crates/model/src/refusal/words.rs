//! The words by which vendors tell what no waiting mends. Phrases are in small letters; a source stands beside those that
//! no documentation has.

/// Types and codes of an account that has to be paid for first. "Slow down" shares a status with them; only waiting for
/// that one helps.
pub(super) const QUOTA_WORDS: [&str; 6] = [
    "insufficient_quota",
    "billing_error",
    "billing_not_active",
    "insufficient_balance",
    // LiteLLM (litellm#36729), Kimi (Kimi-K2#5).
    "budget_exceeded",
    "exceeded_current_quota_error",
];
/// The same in sentences: some vendors give them no type of their own.
pub(super) const QUOTA_PHRASES: [&str; 8] = [
    // Anthropic.
    "credit balance is too low",
    "reached your specified api usage limits",
    // OpenRouter, of a bound that the key has (Roo-Code#515).
    "key limit exceeded",
    // LiteLLM under other types (litellm#14144).
    "budget has been exceeded",
    // Ollama's cloud, by the hour and by the week (continue#11444, #10579).
    "usage limit, upgrade for higher limits",
    "usage limit, please wait or upgrade",
    // xAI (continue#10373).
    "used all available credits or reached its monthly spending limit",
    // Google, of a model that is not for who does not pay (inspect_ai#5526). Its other quotas fill up again.
    ", limit: 0, model: ",
];
/// What the id of a quota of Google's has that does not fill up again within a session (inspect_ai#5526).
pub(super) const DAILY_QUOTA: &str = "PerDay";

/// Types and codes of a conversation that is too long.
pub(super) const CONTEXT_WORDS: [&str; 3] =
    ["context_length_exceeded", "exceed_context_size_error", "request_too_large"];
/// The same in sentences.
pub(super) const CONTEXT_PHRASES: [&str; 26] = [
    // Anthropic.
    "prompt is too long",
    "exceed context limit",
    // OpenAI, vLLM, OpenRouter, Mistral; Responses; Azure; an account whose rate is below one such request.
    "maximum context length",
    "exceeds the context window",
    "tokens exceed the configured limit",
    "request too large for",
    // vLLM 0.17 (its `renderers/params.py`), of the request and of its longest reply; where pictures count.
    "context length is only",
    "please request fewer output tokens",
    "longer than the maximum model length",
    // SGLang, Together (Qwen3#1321).
    "longer than the model's context length",
    // Google.
    "exceeds the maximum number of tokens",
    // xAI, Groq, llama.cpp, LM Studio (its newer words: opencode#11141), Bedrock.
    "maximum prompt length",
    "reduce the length of the messages",
    "exceeds the available context size",
    "greater than the context length",
    "context length of only",
    "cannot truncate prompt with n_keep",
    "input is too long for requested model",
    // Ollama's cloud; elsewhere it cuts the prompt (`overflow.ts` of pi). oMLX (ClawX#658).
    "max context length",
    "exceeds max context window",
    // Kimi (kimi-cli#2011), MiniMax (MiniMax-M2#119), Poolside behind OpenRouter (pi#4943).
    "exceeded model token limit",
    "context window exceeds limit",
    "exceeds the maximum allowed input length",
    // Qwen (qwen-code#98), GLM (hermes-agent#1877).
    "range of input length should be",
    "prompt exceeds max length",
    // LiteLLM, whatever is behind it.
    "contextwindowexceedederror",
];

/// Types and codes of a model that there is not; Mistral's is the second (mistral-vibe#617).
pub(super) const MODEL_WORDS: [&str; 2] = ["model_not_found", "invalid_model"];
/// The same in sentences: LiteLLM, OpenRouter (continue#10758).
pub(super) const MODEL_PHRASES: [&str; 2] =
    ["invalid model name passed in model=", "is not a valid model id"];

/// Types and reasons of a key that is refused with another status than 401 or 403: LiteLLM knows one key, and has no others
/// to look for; Google (continue#10290).
pub(super) const KEY_WORDS: [&str; 2] = ["no_db_connection", "API_KEY_INVALID"];
/// The same in sentences.
pub(super) const KEY_PHRASES: [&str; 5] = [
    // Google, where the reason is left out.
    "api key not valid",
    "pass a valid api key",
    "api key expired",
    // xAI (continue#10778), Anthropic (claude-code#19028).
    "incorrect api key provided",
    "this organization has been disabled",
];

/// Types and codes that stand for a status, where an answer of 200 holds an error.
pub(super) fn status_of(word: &str) -> Option<u16> {
    match word {
        "invalid_request_error" | "invalid_prompt" | "bio_policy" | "data_residency_mismatch" => Some(400),
        "authentication_error" | "invalid_api_key" => Some(401),
        "insufficient_quota" | "billing_error" => Some(402),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        "request_too_large" => Some(413),
        _ => None,
    }
}
