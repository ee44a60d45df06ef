//! Who wrote a reply, and in which form.

/// The form in which a wire writes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's Responses API.
    Responses,
    /// OpenAI's Chat Completions API.
    ChatCompletions,
    /// A recording; nothing is ever sent back to it.
    Scripted,
    /// None any more: the reply was taken into a conversation that begins otherwise than the one it was given in.
    Carried,
    /// The offline agent, which reads nothing back either.
    Offline,
}

impl Wire {
    /// A word for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::ChatCompletions => "chat_completions",
            Self::Scripted => "scripted",
            Self::Carried => "carried",
            Self::Offline => "offline",
        }
    }
}

/// Who wrote a reply. Only they can take its [`crate::Reply::raw`] back: thoughts are signed for the model that had
/// them, and other wires have other forms. For everybody else the message is written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The form of the message.
    pub wire: Wire,
    /// The provider that was asked.
    pub provider: String,
    /// The model that was asked for; a dated name may have answered.
    pub model: String,
}
