//! How much a conversation may take of what a model can hold.

use model::Facts;

/// What a wire asks for as the longest reply, at most; the rest of what a model could write is not reserved.
const REPLY_TOKENS_MAX: u64 = 32_000;
/// A summary has at most so many tokens, thinking about it included, and a request for one a little more.
const SUMMARY_TOKENS_MAX: u64 = 6_000;
/// Of a small context no more than this is reserved for a reply: one part in so many.
const REPLY_SHARE: u64 = 4;
/// And for a summary.
const SUMMARY_SHARE: u64 = 8;

/// How much a conversation may take, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// What the conversation may take before it is compacted: then there is still room for a summary and for a reply.
    pub(super) conversation: u64,
    /// What a request for a summary may take, the conversation included.
    pub(super) summary_request: u64,
}

impl Room {
    /// The room in a model of these `facts`, or in `ceiling` tokens where the model has refused more.
    pub(super) fn of(facts: &Facts, ceiling: Option<u64>) -> Self {
        let whole = u64::from(facts.context_tokens).min(ceiling.unwrap_or(u64::MAX));
        let reply = u64::from(facts.output_tokens_max).min(REPLY_TOKENS_MAX).min(whole / REPLY_SHARE);
        let summary = SUMMARY_TOKENS_MAX.min(whole / SUMMARY_SHARE);
        Self { conversation: whole - reply - summary, summary_request: whole - summary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(context_tokens: u32, output_tokens_max: u32, ceiling: Option<u64>) -> Room {
        Room::of(&Facts { context_tokens, output_tokens_max, ..Facts::UNKNOWN }, ceiling)
    }

    #[test]
    fn there_is_always_room_for_a_reply_and_a_summary() {
        let large = room(200_000, 128_000, None);
        assert_eq!((large.conversation, large.summary_request), (162_000, 194_000));
        let small = room(8_192, 8_192, None);
        assert_eq!((small.conversation, small.summary_request), (5_120, 7_168));
        assert_eq!(room(200_000, 128_000, Some(8_192)), small);
        assert_eq!(room(8_192, 8_192, Some(100_000)), small);
    }
}
