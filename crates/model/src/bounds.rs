//! Bounds of the short texts in a reply. They go on to logs, requests, telemetry and pages, which the long ones do not.

use crate::{Error, Reply, Served, refusal};

/// A tool's name, in bytes: OpenAI takes 64 or 128 characters, Anthropic 128. A model may make one up, and is told then.
const TOOL_NAME_BYTES_MAX: usize = 1024;
/// The id of a call, in bytes. OpenAI's and Anthropic's are below a hundred; LiteLLM puts Gemini's signature of a thought
/// behind it (`call_…__thought__…`), which has some thousand.
const CALL_ID_BYTES_MAX: usize = 64 * 1024;
/// A model's name, in bytes: Anthropic takes 256 characters; gateways put paths before it.
const MODEL_BYTES_MAX: usize = 1024;
/// A wire's word for why a reply ended, in bytes: the longest known one has 29 (`model_context_window_exceeded`).
const STOP_BYTES_MAX: usize = 256;

/// `reply`, whose short texts are short.
///
/// # Errors
/// [`Error::Protocol`] says which one is not.
pub(crate) fn checked(served: &Served, reply: Reply) -> Result<Reply, Error> {
    let calls = reply.calls.iter().flat_map(|call| {
        [("a tool's name", &*call.name, TOOL_NAME_BYTES_MAX), ("a call's id", &*call.id, CALL_ID_BYTES_MAX)]
    });
    let texts = calls.chain([
        ("the model's name", &*reply.model, MODEL_BYTES_MAX),
        ("the reason to stop", reply.stop.as_str(), STOP_BYTES_MAX),
    ]);
    for (what, text, bytes_max) in texts {
        if text.len() > bytes_max {
            let told = format!("{what} has more than {bytes_max} bytes");
            return Err(refusal::against_the_rules(served, &told));
        }
    }
    Ok(reply)
}
