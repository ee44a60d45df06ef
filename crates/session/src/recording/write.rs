//! Writes a session's recording, line by line, from its log.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use events::{Entry, Event, NewEntry, SessionId, SessionState};
use futures_util::Stream;
use serde_json::value::RawValue;

use super::code::{code, note_step};
use super::line::{CodeLeftOutLine, CodeLine, EndLine, EntryLine, Head, Line};
use super::{FORMAT, Portion};
use crate::Ports;

/// Entries read at once: a log of long outputs must not stand in memory as a whole.
const PAGE: usize = 64;
/// A piece of the pack, in bytes before base64: a line that any tool can hold.
const PIECE_BYTES: usize = 48 << 10;

/// Why a recording breaks off.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An entry that was read cannot be written again: a bug of ours.
    #[error("cannot write an entry as JSON")]
    Unwritable(#[source] serde_json::Error),
}

/// The recording of session `id` as of now, in pieces of whole lines; nothing when there is no such session.
///
/// # Errors
/// When the log cannot be read; in the middle, an item says so, and the file stays without its end.
pub(crate) async fn write(
    ports: Arc<Ports>,
    id: SessionId,
    portion: Portion,
) -> Result<Option<impl Stream<Item = Result<Bytes, WriteError>> + Send + 'static>, store::Error> {
    let first = ports.store.log.read_after(id, 0, 1).await?;
    if first.is_empty() {
        return Ok(None);
    }
    Ok(Some(async_stream::try_stream! {
        let mut pen = Pen::default();
        let release = env!("CARGO_PKG_VERSION").to_owned();
        yield pen.line(&Line::Recording(Head { format: FORMAT, release, session: id }))?;
        let (mut state, mut steps, mut seq) = (None::<SessionState>, BTreeSet::new(), 0);
        loop {
            let page = ports.store.log.read_after(id, seq, PAGE).await?;
            let Some(last) = page.last() else { break };
            seq = last.seq;
            let mut lines = Vec::new();
            for entry in &page {
                match &mut state {
                    None => state = SessionState::begin(entry),
                    Some(state) => state.apply(entry),
                }
                note_step(&mut steps, entry);
                lines.extend(pen.line(&Line::Entry(line_of(&ports, entry)?))?);
            }
            yield lines.into();
            if page.iter().any(|entry| matches!(entry.event, Event::SessionEnded(_))) {
                break;
            }
        }
        if let Some((state, (_, commit))) = state.and_then(|s| s.base.clone().map(|base| (s, base))) {
            let packed = match portion {
                Portion::WithCode => code(&ports, &state, &commit, &steps).await,
                Portion::LogAlone => Err("it was not wanted".to_owned()),
            };
            match packed {
                Err(why) => {
                    let why = ports.redactor.redact(&why).into_owned();
                    yield pen.line(&Line::CodeLeftOut(CodeLeftOutLine { commit, why }))?;
                }
                Ok(packed) => {
                    let pack_bytes = packed.bytes.len() as u64;
                    yield pen.line(&Line::Code(CodeLine { commit, ends: packed.ends, pack_bytes }))?;
                    for piece in packed.bytes.chunks(PIECE_BYTES) {
                        yield pen.line(&Line::Pack(STANDARD.encode(piece)))?;
                    }
                }
            }
        }
        yield pen.end()?;
    }))
}

/// Counts what it writes.
#[derive(Default)]
struct Pen {
    lines: u64,
}

impl Pen {
    fn line(&mut self, line: &Line) -> Result<Bytes, WriteError> {
        let mut text = serde_json::to_string(line).map_err(WriteError::Unwritable)?;
        text.push('\n');
        self.lines += 1;
        Ok(text.into())
    }

    fn end(&mut self) -> Result<Bytes, WriteError> {
        self.line(&Line::End(EndLine { lines: self.lines }))
    }
}

/// An entry without secrets: what the service has come to hold since it was written is taken out here.
fn line_of(ports: &Ports, entry: &Entry) -> Result<EntryLine, WriteError> {
    let NewEntry { at_us, actor: _, kind, version, payload } =
        NewEntry::of(&entry.event, entry.at_us).map_err(WriteError::Unwritable)?;
    let payload = ports.redactor.redact_json(&payload).into_owned();
    let payload = RawValue::from_string(payload).map_err(WriteError::Unwritable)?;
    let Entry { seq, attempt, .. } = *entry;
    Ok(EntryLine { seq, attempt, at_us, kind: kind.to_owned(), version, payload })
}
