//! Reads a recording. The file may be anybody's: nothing in it is believed before it was checked.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read as _};
use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::{Address, Entry, Event, Hosts, Oid, Remote, SessionId, SessionState, Tenant};
use repo::Packed;

use super::code::PACK_BYTES_MAX;
use super::line::{CodeLeftOutLine, CodeLine, EntryLine, Head, Line, Probe};
use super::{Code, FORMAT, Recording};

/// A reply may have 64 MiB on the wire, and an entry tells it as text in JSON; longer lines are none of ours.
const LINE_BYTES_MAX: u64 = 128 << 20;
/// Everything is held in memory.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Times beyond the year 9999 are no session's, and would not fit where they are added up.
const AT_US_MAX: i64 = 253_402_300_799_000_000;

/// Why a file is no recording that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself.
    #[error("cannot read the recording")]
    Io(#[from] io::Error),
    /// Written by a later release.
    #[error(
        "the recording has format {format}, and this release reads up to {FORMAT}: use a later release of backspace"
    )]
    Later {
        /// The format.
        format: u32,
    },
    /// It has no end.
    #[error("the recording is cut after line {lines}: its last line is missing; get it again")]
    Cut {
        /// How many lines there are.
        lines: u64,
    },
    /// A line is not what it should be.
    #[error("line {line} of the recording {why}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`ReadError`] says what is wrong with the file, and where.
    pub fn read(file: impl BufRead) -> Result<Self, ReadError> {
        let mut lines = Lines { file, count: 0, bytes: 0 };
        let head = head(&mut lines)?;
        let mut reading = Reading { session: head.session, entries: Vec::new(), state: None, code: None };
        loop {
            let line = lines.next()?;
            let number = lines.count;
            let odd = |why: String| ReadError::Line { line: number, why };
            match line {
                Line::Recording(_) => return Err(odd("begins a second recording".to_owned())),
                Line::Entry(entry) => reading.entry(entry).map_err(odd)?,
                Line::Code(code) => reading.code(code).map_err(odd)?,
                Line::CodeLeftOut(left) => reading.code_left_out(left).map_err(odd)?,
                Line::Pack(piece) => reading.pack(&piece).map_err(odd)?,
                Line::End(end) => {
                    if end.lines != number - 1 {
                        let why = format!("says that {} lines stand before it", end.lines);
                        return Err(odd(why));
                    }
                    lines.nothing_more()?;
                    return reading.whole(head.release).map_err(odd);
                }
            }
        }
    }
}

fn head(lines: &mut Lines<impl BufRead>) -> Result<Head, ReadError> {
    let text = lines.text()?;
    let odd = |why: String| ReadError::Line { line: 1, why };
    let Ok(probe) = serde_json::from_str::<Probe>(&text) else {
        return Err(odd("does not begin a recording of backspace".to_owned()));
    };
    if probe.recording.format > FORMAT {
        return Err(ReadError::Later { format: probe.recording.format });
    }
    match serde_json::from_str(&text) {
        Ok(Line::Recording(head)) => Ok(head),
        Ok(_) => Err(odd("does not begin a recording of backspace".to_owned())),
        Err(error) => Err(odd(format!("cannot be read: {error}"))),
    }
}

/// The lines of a file, bounded.
struct Lines<R> {
    file: R,
    count: u64,
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Line, ReadError> {
        let text = self.text()?;
        let odd = |error| ReadError::Line { line: self.count, why: format!("cannot be read: {error}") };
        serde_json::from_str(&text).map_err(odd)
    }

    fn text(&mut self) -> Result<String, ReadError> {
        let mut bytes = Vec::new();
        let bytes_max = LINE_BYTES_MAX.min(FILE_BYTES_MAX - self.bytes);
        (&mut self.file).take(bytes_max).read_until(b'\n', &mut bytes)?;
        self.bytes += bytes.len() as u64;
        let is_full = bytes.len() as u64 == bytes_max;
        if bytes.pop() != Some(b'\n') {
            return Err(match is_full {
                true => ReadError::Line { line: self.count + 1, why: "is too long".to_owned() },
                false => ReadError::Cut { lines: self.count },
            });
        }
        self.count += 1;
        String::from_utf8(bytes)
            .map_err(|_| ReadError::Line { line: self.count, why: "is not UTF-8".to_owned() })
    }

    fn nothing_more(&mut self) -> Result<(), ReadError> {
        match self.file.fill_buf()?.is_empty() {
            true => Ok(()),
            false => Err(ReadError::Line { line: self.count + 1, why: "stands behind the end".to_owned() }),
        }
    }
}

/// What was read so far.
struct Reading {
    session: SessionId,
    entries: Vec<Entry>,
    state: Option<SessionState>,
    /// With the size that its pack is said to have.
    code: Option<(Code, u64)>,
}

impl Reading {
    fn entry(&mut self, line: EntryLine) -> Result<(), String> {
        if self.code.is_some() {
            return Err("is an entry, and stands behind the code".to_owned());
        }
        let EntryLine { seq, attempt, at_us, kind, version, payload } = line;
        let (last_seq, last_attempt) = self.entries.last().map_or((0, 1), |last| (last.seq, last.attempt));
        if seq != last_seq + 1 {
            return Err(format!("has entry {seq} after entry {last_seq}"));
        }
        if attempt < last_attempt || !(0..=AT_US_MAX).contains(&at_us) {
            return Err("has an attempt or a time that no session has".to_owned());
        }
        if self.state.as_ref().is_some_and(|state| state.status.is_final()) {
            return Err("is an entry behind the final one".to_owned());
        }
        let event = Event::decode(&kind, version, payload.get()).map_err(|e| events::error_chain(&e))?;
        vet(&event)?;
        let entry = Entry {
            tenant: Tenant::default(),
            session: self.session,
            seq,
            attempt,
            at_us,
            actor: event.actor(),
            event,
        };
        match &mut self.state {
            None => {
                let state = SessionState::begin(&entry);
                self.state = Some(state.ok_or("is the first entry, and does not ask for a session")?);
            }
            Some(state) => state.apply(&entry),
        }
        self.entries.push(entry);
        Ok(())
    }

    fn code(&mut self, line: CodeLine) -> Result<(), String> {
        if line.pack_bytes > PACK_BYTES_MAX as u64 {
            return Err(format!("announces a pack of {} bytes, beyond {PACK_BYTES_MAX}", line.pack_bytes));
        }
        let packed = Packed { base: line.commit.clone(), ends: line.ends, bytes: Vec::new() };
        self.begin_code(line.commit, Ok(packed), line.pack_bytes)
    }

    fn code_left_out(&mut self, line: CodeLeftOutLine) -> Result<(), String> {
        self.begin_code(line.commit, Err(line.why), 0)
    }

    /// Code comes once, and is of the base that the log names.
    fn begin_code(
        &mut self,
        commit: Oid,
        packed: Result<Packed, String>,
        announced: u64,
    ) -> Result<(), String> {
        if self.code.is_some() {
            return Err("has code a second time".to_owned());
        }
        let base = self.state.as_ref().and_then(|state| state.base.clone());
        let Some((branch, _)) = base.filter(|(_, base)| *base == commit) else {
            return Err(format!("has code at {commit}, which is not the base that the entries name"));
        };
        self.code = Some((Code { branch, commit, packed }, announced));
        Ok(())
    }

    fn pack(&mut self, piece: &str) -> Result<(), String> {
        let Some((Code { packed: Ok(packed), .. }, announced)) = &mut self.code else {
            return Err("has a piece of a pack that was not announced".to_owned());
        };
        let piece = STANDARD.decode(piece).map_err(|error| format!("is no base64: {error}"))?;
        packed.bytes.extend(piece);
        if packed.bytes.len() as u64 > *announced {
            return Err(format!("makes the pack larger than the {announced} bytes that were announced"));
        }
        Ok(())
    }

    fn whole(self, release: String) -> Result<Recording, String> {
        let Self { session, entries, state, code } = self;
        if state.is_none() {
            return Err("ends a recording without an entry".to_owned());
        }
        let code = match code {
            Some((Code { packed: Ok(packed), .. }, announced)) if packed.bytes.len() as u64 != announced => {
                return Err(format!(
                    "ends a recording whose pack has {} of {announced} bytes",
                    packed.bytes.len()
                ));
            }
            code => code.map(|(code, _)| code),
        };
        Ok(Recording { release, session, entries, code })
    }
}

/// Refuses what the values themselves do not: an address in parts that no address has.
fn vet(event: &Event) -> Result<(), String> {
    let remote = if let Event::SessionRequested(requested) = event {
        &requested.request.remote
    } else if let Event::BaseChosen(chosen) = event {
        &chosen.remote
    } else {
        return Ok(());
    };
    let sound = match remote {
        Remote::Local(path) => is_plain(path),
        Remote::Hosted(hosted) => {
            // Nothing is dialled: that a host is private says nothing against it here.
            let hosts = Hosts { private: BTreeSet::from([hosted.host.clone()]) };
            Address::parse(&hosted.url(), &hosts).is_ok_and(|address| address.remote == *remote)
        }
    };
    if sound { Ok(()) } else { Err("names a repository that no session can have".to_owned()) }
}

/// An absolute path of names.
fn is_plain(path: &Path) -> bool {
    let no_control = path.to_str().is_some_and(|text| !text.chars().any(char::is_control));
    let names = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && no_control && path.components().all(names)
}
