//! What a log keeps of a reply or of an error, read back.

use secrecy::SecretString;
use serde_json::value::RawValue;

use crate::anthropic::Blocks;
use crate::error::TURNED_TO;
use crate::raw_object::RawObject;
use crate::{Error, Origin, Reply, Stop, Usage, Wire, chat_completions, refusal, responses};

/// What a log keeps of a reply.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Who wrote it.
    pub origin: Origin,
    /// The assistant message in the wire's own form.
    pub raw: Box<RawValue>,
    /// The word for [`Stop`].
    pub stop: String,
    /// What it used.
    pub usage: Usage,
    /// The model that answered.
    pub model: String,
}

impl Reply {
    /// The reply of which this was kept: what was said, thought and called stands in the wire's form.
    ///
    /// # Errors
    /// [`Error::Protocol`] when `raw` is not in the form of its wire.
    pub fn recalled(kept: Kept) -> Result<Self, Error> {
        let Kept { origin, raw, stop, usage, model } = kept;
        let odd = |error: serde_json::Error| {
            let told = format!("a kept reply is no {} message: {error}", origin.wire.as_str());
            let (provider, message) =
                (origin.provider.clone(), refusal::told(&told, &SecretString::default()));
            Error::Protocol { provider, message }
        };
        let object = || serde_json::from_str::<RawObject>(raw.get()).map_err(odd);
        let stop = Stop::recalled(&stop);
        let (parts, mut calls) = match origin.wire {
            Wire::Responses => {
                let items = serde_json::from_str(raw.get()).map_err(odd)?;
                responses::said(items, &stop).map_err(|what| odd(serde::de::Error::custom(what)))?
            }
            // What it was taken out of tells its wire.
            Wire::Carried => return Err(odd(serde::de::Error::custom("it was carried on"))),
            Wire::Anthropic | Wire::Scripted | Wire::Offline => {
                let message = object()?;
                let content = message.raw("content").unwrap_or(RawValue::NULL);
                let blocks: Option<Vec<RawObject>> = serde_json::from_str(content.get()).map_err(odd)?;
                let whole = Blocks(blocks.unwrap_or_default());
                let reply = whole.into_reply(origin.clone(), stop.clone(), usage, String::new());
                (reply.parts, reply.calls)
            }
            Wire::ChatCompletions => {
                let message = object()?;
                (chat_completions::parts(&message), chat_completions::calls(&message).map_err(odd)?)
            }
        };
        if stop == Stop::Refused {
            // As when it came: what was held back may be cut anywhere, also within a call.
            calls.clear();
        }
        Ok(Self { origin, raw, parts, calls, stop, usage, model })
    }
}

impl Wire {
    /// The wire whose word for the log this is.
    pub fn recalled(word: &str) -> Option<Self> {
        let known = [Self::Anthropic, Self::Responses, Self::ChatCompletions, Self::Scripted, Self::Offline];
        known.into_iter().find(|wire| wire.as_str() == word)
    }
}

impl Stop {
    /// The reason whose word for the log this is. A server's own word that is one of these is taken for the same reason when
    /// the reply comes, since nobody could tell them apart afterwards.
    pub fn recalled(word: &str) -> Self {
        let known = [Self::Finished, Self::Tools, Self::OutputLimit, Self::Refused];
        known.into_iter().find(|stop| stop.as_str() == word).unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

impl Error {
    /// The error whose text this is; nothing when it is no error's of a model. What the text does not tell (how long to
    /// wait, where the key is set) is not there.
    pub fn recalled(text: &str) -> Option<Self> {
        if let Some(why) = text.strip_prefix("cannot open the model: ") {
            return Some(Self::Config(why.to_owned()));
        }
        if let Some(said) = text.strip_prefix("the offline agent ") {
            let turned =
                said.split_once(TURNED_TO).and_then(|(why, error)| Some((why, Self::recalled(error)?)));
            let (why, before) = turned.map_or((said, None), |(why, error)| (why, Some(Box::new(error))));
            return Some(Self::Beyond { why: why.to_owned(), before });
        }
        if let Some((provider, message)) = text.split_once(" is not answering: ") {
            let (provider, message) = (provider.to_owned(), message.to_owned());
            return Some(Self::Transient { provider, message, retry_after_ms: None });
        }
        if let Some((provider, message)) = text.split_once(" answered what its protocol does not allow: ") {
            return Some(Self::Protocol { provider: provider.to_owned(), message: message.to_owned() });
        }
        let (head, message) = text.split_once("): ")?;
        let message = message.to_owned();
        let (what, status) = head.rsplit_once(" (")?;
        let status = status.parse().ok()?;
        Some(if let Some(provider) = what.strip_suffix(" refused the API key") {
            Self::Key { provider: provider.to_owned(), status, message, variable: None }
        } else if let Some(provider) = what.strip_suffix(" refused the request") {
            Self::Refused { provider: provider.to_owned(), status, message }
        } else if let Some(provider) = what.strip_suffix(" does not know the model or the address") {
            Self::NotFound { provider: provider.to_owned(), status, message }
        } else if let Some(rest) = what.strip_prefix("the quota of the API key of ") {
            let provider = rest.strip_suffix(" is spent")?.to_owned();
            Self::Quota { provider, status, message }
        } else {
            let provider = what.strip_prefix("the conversation is too long for the model of ")?.to_owned();
            Self::ContextFull { provider, status, message }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One of each kind.
    fn errors(provider: &str, message: &str) -> Vec<Error> {
        let (provider, message, status) = (provider.to_owned(), message.to_owned(), 418);
        let (p, m) = (|| provider.clone(), || message.clone());
        vec![
            Error::Key { provider: p(), status, message: m(), variable: None },
            Error::Quota { provider: p(), status, message: m() },
            Error::NotFound { provider: p(), status, message: m() },
            Error::ContextFull { provider: p(), status, message: m() },
            Error::Refused { provider: p(), status, message: m() },
            Error::Transient { provider: p(), message: m(), retry_after_ms: None },
            Error::Protocol { provider: p(), message: m() },
            Error::Beyond { why: m(), before: None },
            Error::Beyond {
                why: m(),
                before: Some(Box::new(Error::Quota { provider: p(), status, message: m() })),
            },
            Error::Config(m()),
        ]
    }

    proptest! {
        #[test]
        fn an_error_is_recalled_from_its_text(provider in "[a-z-]{1,12}", message in ".{0,40}") {
            for error in errors(&provider, &message) {
                let recalled = Error::recalled(&error.to_string());
                prop_assert_eq!(format!("{recalled:?}"), format!("{:?}", Some(&error)));
            }
        }
    }

    #[test]
    fn every_wire_is_recalled_but_the_one_that_is_none() {
        use Wire::{Anthropic, Carried, ChatCompletions, Offline, Responses, Scripted};
        for wire in [Anthropic, Responses, ChatCompletions, Scripted, Offline] {
            assert_eq!(Wire::recalled(wire.as_str()), Some(wire));
        }
        assert_eq!((Wire::recalled(Carried.as_str()), Wire::recalled("telegraph")), (None, None));
    }

    #[test]
    fn other_texts_are_no_errors_of_a_model() {
        for text in
            ["", "x", "the budget of 5 turns leaves no room for it", "(x): y", " (12): z", "a (12): b"]
        {
            assert!(Error::recalled(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_message_of_another_form_is_refused() {
        let kept = |wire, raw: &str| Kept {
            origin: Origin { wire, provider: "p".to_owned(), model: "m".to_owned() },
            raw: RawValue::from_string(raw.to_owned()).unwrap(),
            stop: "tools".to_owned(),
            usage: Usage::default(),
            model: "m".to_owned(),
        };
        for (wire, raw) in [
            (Wire::Anthropic, "[]"),
            (Wire::Anthropic, r#"{"content":"text"}"#),
            (Wire::Scripted, r#"{"content":[1]}"#),
            (Wire::Offline, r#"{"content":[1]}"#),
            (Wire::ChatCompletions, r#"{"tool_calls":{}}"#),
            (Wire::Responses, "{}"),
            (Wire::Carried, "{}"),
        ] {
            let error = Reply::recalled(kept(wire, raw)).unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }), "{raw}: {error}");
        }
        let nothing = Reply::recalled(kept(Wire::Anthropic, r#"{"role":"assistant"}"#)).unwrap();
        assert!(nothing.parts.is_empty() && nothing.calls.is_empty());
    }
}
