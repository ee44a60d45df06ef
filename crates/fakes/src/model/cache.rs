//! What providers would have kept of a request's beginning: a simulation that looks at the bytes, not a guess.
//!
//! It counts four bytes as one token, and forgets nothing while the stand-in runs; the real ones count with their own
//! tokenizers, and forget after minutes. What is found and what is not follows the rules that they publish.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::RawValue;

/// About what a token has of English and code.
const BYTES_PER_TOKEN: usize = 4;
/// The shortest prompt that any provider keeps, in tokens.
const TOKENS_MIN: u64 = 1024;
/// OpenAI keeps whole steps of so many tokens.
const STEP: u64 = 128;
/// So many blocks before a mark Anthropic looks for something that it has kept.
const BLOCKS_BACK: usize = 20;

/// What was kept so far.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Beginnings up to a mark, by their hashes.
    marked: HashSet<u64>,
    /// Whole prompts by model and `prompt_cache_key`; none is the beginning of another.
    prompts: HashMap<(String, String), Vec<String>>,
}

/// The tokens of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// Neither found nor kept.
    pub(super) plain: u64,
    /// Found.
    pub(super) read: u64,
    /// Kept from now on.
    pub(super) written: u64,
}

/// A request of Anthropic's wire, whose parts are read in this order.
#[derive(Deserialize)]
struct Marked<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Vec<Turn<'a>>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// A request of one of OpenAI's wires, whose parts are read in this order.
#[derive(Deserialize)]
struct Prompt<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    prompt_cache_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow, alias = "input")]
    messages: &'a RawValue,
}

/// The end of a block.
struct End {
    /// Of everything up to here.
    hash: u64,
    tokens: u64,
    marked: bool,
}

/// A prompt that is read block by block.
#[derive(Default)]
struct Reading {
    hasher: DefaultHasher,
    bytes: usize,
    ends: Vec<End>,
}

impl Kept {
    /// Anthropic's rule: kept is what ends at a mark; found is what was kept and ends at most some blocks before one.
    pub(super) fn up_to_marks(&mut self, body: &[u8]) -> Split {
        let Ok(request) = serde_json::from_slice::<Marked<'_>>(body) else { return Split::default() };
        let ends = request.ends();
        let total = ends.last().map_or(0, |end| end.tokens);
        let marks: Vec<usize> =
            (0..ends.len()).filter(|n| ends[*n].marked && ends[*n].tokens >= TOKENS_MIN).collect();
        let looked_at = |mark: &usize| &ends[mark.saturating_sub(BLOCKS_BACK)..=*mark];
        let found = marks.iter().flat_map(looked_at).filter(|end| self.marked.contains(&end.hash));
        let read = found.map(|end| end.tokens).max().unwrap_or(0);
        let upto = marks.last().map_or(0, |last| ends[*last].tokens);
        self.marked.extend(marks.iter().map(|mark| ends[*mark].hash));
        split(total, read, upto)
    }

    /// OpenAI's rule: found is what a former prompt with the same key has in common with this one, in whole steps.
    pub(super) fn in_common(&mut self, body: &[u8]) -> Split {
        let Ok(request) = serde_json::from_slice::<Prompt<'_>>(body) else { return Split::default() };
        let text = request.text();
        let key = (request.model.into_owned(), request.prompt_cache_key.unwrap_or_default().into_owned());
        let former = self.prompts.entry(key).or_default();
        let read = former.iter().map(|former| bytes_in_common(former, &text)).max().unwrap_or(0);
        let (read, upto) = (in_steps(read), in_steps(text.len()));
        let total = tokens(text.len());
        former.retain(|former| !text.starts_with(former.as_str()));
        former.push(text);
        split(total, read, upto)
    }
}

impl Marked<'_> {
    fn ends(&self) -> Vec<End> {
        let mut reading = Reading::default();
        reading.take(&self.model);
        self.tools.iter().flatten().for_each(|tool| reading.take_block(tool));
        reading.take("system");
        self.system.iter().for_each(|system| reading.take_blocks(system));
        for turn in &self.messages {
            reading.take(&turn.role);
            reading.take_blocks(turn.content);
        }
        reading.ends
    }
}

impl Prompt<'_> {
    fn text(&self) -> String {
        let parts = [self.tools, self.instructions, Some(self.messages)];
        let text: String = parts.iter().flatten().map(|part| part.get()).collect();
        // The list goes on in the next request.
        text.trim_end_matches(']').to_owned()
    }
}

impl Reading {
    /// Blocks, or a text that stands for one.
    fn take_blocks(&mut self, content: &RawValue) {
        match serde_json::from_str::<Vec<&RawValue>>(content.get()) {
            Ok(blocks) => blocks.into_iter().for_each(|block| self.take_block(block)),
            Err(_) => self.take_block(content),
        }
    }

    /// A block; its mark is no part of what is kept.
    fn take_block(&mut self, block: &RawValue) {
        let mut marked = false;
        match serde_json::from_str::<IndexMap<Cow<'_, str>, &RawValue>>(block.get()) {
            Ok(mut fields) => {
                marked = fields.shift_remove("cache_control").is_some();
                for (name, value) in fields {
                    self.take(&name);
                    self.take(value.get());
                }
            }
            Err(_) => self.take(block.get()),
        }
        self.ends.push(End { hash: self.hasher.finish(), tokens: tokens(self.bytes), marked });
    }

    fn take(&mut self, text: &str) {
        self.hasher.write(text.as_bytes());
        self.hasher.write_u8(0xff);
        self.bytes += text.len();
    }
}

/// What is kept from now on ends at `upto`; a part of it may have been `read`.
fn split(total: u64, read: u64, upto: u64) -> Split {
    Split { plain: total - upto, read, written: upto - read }
}

fn tokens(bytes: usize) -> u64 {
    (bytes / BYTES_PER_TOKEN) as u64
}

fn in_steps(bytes: usize) -> u64 {
    let tokens = tokens(bytes);
    if tokens < TOKENS_MIN { 0 } else { tokens - tokens % STEP }
}

fn bytes_in_common(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MARK: &str = r#"{"type":"ephemeral"}"#;

    fn counts(split: Split) -> (u64, u64, u64) {
        (split.plain, split.read, split.written)
    }

    /// A block of `tokens` tokens.
    fn block(letter: &str, tokens: usize, mark: bool) -> Value {
        // What stands around the text, and is counted too.
        let around = "typetext".len() + "\"text\"\"\"".len();
        let mut block = json!({ "type": "text", "text": letter.repeat(tokens * BYTES_PER_TOKEN - around) });
        if mark {
            block["cache_control"] = serde_json::from_str(MARK).unwrap();
        }
        block
    }

    fn marked(system: &Value, blocks: &[Value]) -> Vec<u8> {
        json!({ "model": "m", "system": [system], "messages": [{ "role": "u", "content": blocks }] })
            .to_string()
            .into_bytes()
    }

    #[test]
    fn marks_keep_what_is_before_them_and_find_it_again() {
        let mut kept = Kept::default();
        let system = block("s", 2000, true);
        // Seven bytes stand before the system prompt, and one between it and the blocks.
        let first = marked(&system, &[block("a", 100, true)]);
        assert_eq!(counts(kept.up_to_marks(&first)), (0, 0, 2102));
        let second = marked(&system, &[block("a", 100, false), block("b", 50, false)]);
        assert_eq!(counts(kept.up_to_marks(&second)), (2152 - 2001, 2001, 0), "no mark is behind the blocks");
        let third = marked(&system, &[block("a", 100, true), block("b", 50, true)]);
        assert_eq!(counts(kept.up_to_marks(&third)), (0, 2102, 50));
        let changed = marked(&system, &[block("x", 100, true), block("b", 50, true)]);
        assert_eq!(counts(kept.up_to_marks(&changed)), (0, 2001, 151));
    }

    #[test]
    fn nobody_looks_further_back_than_some_blocks_nor_keeps_short_prompts() {
        let mut kept = Kept::default();
        let system = block("s", 2000, false);
        let blocks =
            |count: usize| -> Vec<Value> { (0..count).map(|n| block("a", 10, n + 1 == count)).collect() };
        kept.up_to_marks(&marked(&system, &blocks(1)));
        assert!(counts(kept.up_to_marks(&marked(&system, &blocks(1 + BLOCKS_BACK)))).1 > 2000);
        assert_eq!(counts(kept.up_to_marks(&marked(&system, &blocks(2 + 2 * BLOCKS_BACK)))).1, 0);
        let short = marked(&block("s", 100, true), &[]);
        assert_eq!(counts(kept.up_to_marks(&short)), (101, 0, 0));
        assert_eq!(counts(kept.up_to_marks(&short)), (101, 0, 0));
    }

    #[test]
    fn prompts_have_whole_steps_in_common() {
        let mut kept = Kept::default();
        let request = |key: &str, texts: &[String]| {
            json!({ "model": "m", "prompt_cache_key": key, "messages": texts }).to_string().into_bytes()
        };
        let (long, more) = ("l".repeat(1200 * BYTES_PER_TOKEN), "m".repeat(300 * BYTES_PER_TOKEN));
        let first = request("one", std::slice::from_ref(&long));
        assert_eq!(counts(kept.in_common(&first)), (1200 - 1152, 0, 1152));
        assert_eq!(counts(kept.in_common(&first)), (1200 - 1152, 1152, 0));
        let second = request("one", &[long.clone(), more.clone()]);
        assert_eq!(counts(kept.in_common(&second)), (1501 - 1408, 1152, 1408 - 1152));
        assert_eq!(counts(kept.in_common(&request("two", &[long]))), (1200 - 1152, 0, 1152));
        assert_eq!(counts(kept.in_common(&request("one", &[more]))), (300, 0, 0));
    }
}
