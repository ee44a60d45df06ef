//! What every provider wants of a conversation.

use model::Message;

/// That there is nothing that no provider takes: a conversation that begins otherwise than with a user's words, a call without
/// its result, a result without its call.
pub(crate) fn check_pairs(messages: &[Message]) {
    assert!(matches!(messages.first(), Some(Message::User(_))));
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match message {
            Message::Results(results) => {
                let answered: Vec<&str> = results.iter().map(|result| result.call_id.as_str()).collect();
                assert_eq!(answered, open, "each call has its result, right after it");
                open.clear();
            }
            Message::User(_) | Message::Assistant(_) => assert!(open.is_empty(), "{open:?} have no result"),
        }
        if let Message::Assistant(reply) = message {
            open = reply.calls.iter().map(|call| call.id.as_str()).collect();
        }
    }
    assert!(open.is_empty(), "{open:?} have no result");
}
