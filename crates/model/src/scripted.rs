//! Plays a recording: replies that were written down, in their order.
//!
//! A recording is JSON Lines, one reply a line, blank lines passed over:
//!
//! ```json
//! {"content":[{"type":"text","text":"Hello."},{"type":"tool_use","id":"toolu_1","name":"bash","input":{"command":"ls"}}],"stop":"tool_use","usage":{"input_tokens":900,"output_tokens":40},"model":"claude-sonnet-5-5","delay_ms":0}
//! ```
//!
//! - `content` (required): the content blocks of Anthropic's Messages API, verbatim. A tool call whose arguments are
//!   no JSON object has `{"INVALID_JSON":"the text"}` as its `input`.
//! - `stop`: the API's word (`end_turn`, `tool_use`, `max_tokens`, `refusal` …); by default `tool_use` when the
//!   content has a call and `end_turn` otherwise.
//! - `usage`: `input_tokens`, `output_tokens`, `cache_read_input_tokens`, `cache_creation_input_tokens`, `usd`; what
//!   is left out is 0, for playing a recording costs nothing.
//! - `model`: who is said to have answered; by default the recording's name.
//! - `delay_ms`: how long the reply takes.
//!
//! Which line is played depends on nothing but the number of replies already in the conversation, so that a session
//! that was interrupted goes on with the right one.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use crate::anthropic::{Blocks, stop_of};
use crate::raw_object::RawObject;
use crate::{Conversation, Delta, Error, Facts, Live, Model, ModelName, Origin, Part, Reply, Usage, Wire};

/// What the provider is called.
const PROVIDER: &str = "scripted";
/// The longest a recorded reply may take: ten minutes.
const DELAY_MS_MAX: u64 = 600_000;

/// A recording.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the recording is called, for events and errors.
    pub name: String,
    /// The recording itself.
    pub text: String,
}

/// Opens the recording for one session.
pub(crate) fn open(config: &Config) -> Result<Box<dyn Model>, Error> {
    let mut lines = Vec::new();
    for (n, line) in config.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong =
            |why: String| Error::Config(format!("line {} of the recording {} {why}", n + 1, config.name));
        let line: Line =
            serde_json::from_str(line).map_err(|error| wrong(format!("is no reply: {error}")))?;
        if line.delay_ms > DELAY_MS_MAX {
            return Err(wrong(format!("waits longer than {DELAY_MS_MAX} ms")));
        }
        lines.push((Duration::from_millis(line.delay_ms), line.into_reply(&config.name)));
    }
    if lines.is_empty() {
        return Err(Error::Config(format!("the recording {} has no replies", config.name)));
    }
    Ok(Box::new(Scripted { name: name(config), facts: facts(), lines }))
}

struct Scripted {
    name: ModelName,
    facts: Facts,
    lines: Vec<(Duration, Reply)>,
}

#[async_trait]
impl Model for Scripted {
    async fn reply(
        &self,
        conversation: &Conversation,
        _: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        let place = conversation.replies();
        let Some((delay, reply)) = self.lines.get(place) else {
            let count = self.lines.len();
            let message = format!("the recording has {count} replies, and reply {} was asked for", place + 1);
            return Err(Error::Refused { provider: self.name.provider.clone(), status: 400, message });
        };
        if !delay.is_zero() {
            tokio::time::sleep(*delay).await;
        }
        for part in &reply.parts {
            live.hear(match part {
                Part::Text(text) => Delta::Text(text),
                Part::Thought(thought) => Delta::Thought(thought),
            });
        }
        Ok(reply.clone())
    }

    fn name(&self) -> &ModelName {
        &self.name
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Who is said to be asked.
pub(crate) fn name(config: &Config) -> ModelName {
    ModelName { provider: PROVIDER.to_owned(), model: config.name.clone() }
}

/// Playing a recording costs nothing but what its lines say.
pub(crate) fn facts() -> Facts {
    Facts::free("the recording")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    content: Vec<RawObject>,
    stop: Option<String>,
    #[serde(default)]
    usage: LineUsage,
    model: Option<String>,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LineUsage {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_input_tokens: u64,
    cache_creation_input_tokens: u64,
    usd: f64,
}

impl Line {
    fn into_reply(self, recording: &str) -> Reply {
        let calls = self.content.iter().any(|block| block.text("type").as_deref() == Some("tool_use"));
        let stop = self.stop.as_deref().unwrap_or(if calls { "tool_use" } else { "end_turn" });
        let usage = Usage {
            input: self.usage.input_tokens,
            output: self.usage.output_tokens,
            cache_read: self.usage.cache_read_input_tokens,
            cache_write: self.usage.cache_creation_input_tokens,
            usd: Some(self.usage.usd),
        };
        let (provider, asked) = (PROVIDER.to_owned(), recording.to_owned());
        let origin = Origin { wire: Wire::Scripted, provider, model: asked };
        let model = self.model.unwrap_or_else(|| recording.to_owned());
        Blocks(self.content).into_reply(origin, stop_of(stop), usage, model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Stop, Unheard};

    fn config(text: &str) -> Config {
        Config { name: "demo".to_owned(), text: text.to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_place_is_the_number_of_replies_in_the_conversation() {
        let text =
            "{\"content\":[{\"type\":\"text\",\"text\":\"one\"}],\"delay_ms\":250}\n\n{\"content\":[]}\n";
        let model = open(&config(text)).unwrap();
        let mut conversation = Conversation::new(String::new(), Vec::new());
        conversation.push(Message::User("hi".to_owned()));
        let begun = tokio::time::Instant::now();
        let reply = model.reply(&conversation, None, &Unheard).await.unwrap();
        assert_eq!((begun.elapsed().as_millis(), &reply.stop), (250, &Stop::Finished));
        assert_eq!(
            (reply.parts.as_slice(), reply.model.as_str()),
            (&[Part::Text("one".to_owned())][..], "demo")
        );
        assert_eq!(reply.usage.usd, Some(0.0));
        conversation.push(Message::Assistant(reply));
        conversation.push(Message::Assistant(model.reply(&conversation, None, &Unheard).await.unwrap()));
        let error = model.reply(&conversation, None, &Unheard).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }));
        assert!(error.to_string().contains("has 2 replies, and reply 3 was asked for"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_recording_is_said_with_its_line() {
        for (text, expected) in [
            ("", "has no replies"),
            ("\n{", "line 2"),
            ("{\"content\":[],\"stpo\":\"x\"}", "unknown field `stpo`"),
            ("{\"content\":[1]}", "line 1"),
            ("{\"content\":[],\"delay_ms\":600001}", "waits longer"),
        ] {
            let error = open(&config(text)).err().unwrap().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
