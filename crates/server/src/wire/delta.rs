//! A piece of a reply that is on its way, as a server-sent event of its own name and without an id.

use serde::Serialize;
use session::Piece;
use utoipa::ToSchema;

use super::ascii;

/// A piece of a reply that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delta<'a> {
    /// `text`, `thought`, or `again`: what was sent of this reply so far is void, it is asked for again.
    kind: &'static str,
    /// What is to be appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// `piece` as it is sent: whoever reads only `message` events never sees it, and no place in the log is changed by it.
pub(crate) fn to_sse(piece: &Piece) -> String {
    let delta = match piece {
        Piece::Text(text) => Delta { kind: "text", text: Some(text) },
        Piece::Thought(text) => Delta { kind: "thought", text: Some(text) },
        Piece::Again => Delta { kind: "again", text: None },
    };
    // Texts cannot fail to be written as JSON.
    ascii::to_string(&delta).map(|json| format!("event: delta\ndata: {json}\n\n")).unwrap_or_default()
}
