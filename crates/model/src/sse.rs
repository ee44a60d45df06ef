//! Server-sent events out of bytes as they arrive: each byte is looked at once, however small the pieces are.

/// One event, in bytes: a tool call that arrives whole can hold a file of a megabyte.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// What a stream may begin with, and what is no part of it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Finds the events in a stream. Of their fields only `data` counts: the wires repeat the name in it, and take up no
/// stream that broke off.
#[derive(Debug, Default)]
pub struct Events {
    /// The line so far.
    line: Vec<u8>,
    /// The lines of data of the event so far.
    data: Option<String>,
    /// A line was read: no byte order mark is to come.
    begun: bool,
    /// The last byte was a CR, whose line a LF may still belong to.
    after_cr: bool,
}

/// What is no stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEvents {
    /// Data has to be text.
    #[error("the event stream is not UTF-8")]
    NotUtf8,
    /// Nobody holds so much.
    #[error("an event of the stream is too long")]
    TooLong,
}

impl Events {
    /// Takes bytes off the front of `bytes` up to the end of the next event, and gives its data; nothing when all bytes
    /// were taken and no event has ended. Events of blank data are passed over: some servers send them as a sign of life.
    ///
    /// # Errors
    /// When there is no event to be had from this stream any more.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<String>, NoEvents> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                *bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            let held = self.line.len() + self.data.as_deref().map_or(0, str::len);
            if held + piece.len() > EVENT_BYTES_MAX {
                return Err(NoEvents::TooLong);
            }
            self.line.extend_from_slice(piece);
            self.after_cr = end.is_some_and(|end| bytes[end] == b'\r');
            *bytes = end.map_or(&[][..], |end| &bytes[end + 1..]);
            if end.is_some()
                && let Some(event) = self.end_line()?
            {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// A line has come to its end, and perhaps an event with it.
    fn end_line(&mut self) -> Result<Option<String>, NoEvents> {
        let mut line = &self.line[..];
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.line.clear();
            return Ok(self.data.take().filter(|data| !data.trim().is_empty()));
        }
        let value = if line == b"data" { Some(&[][..]) } else { line.strip_prefix(b"data:") };
        if let Some(value) = value {
            let value = std::str::from_utf8(value.strip_prefix(b" ").unwrap_or(value))
                .map_err(|_| NoEvents::NotUtf8)?;
            match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            }
        }
        self.line.clear();
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of `chunks`, and what ended them.
    fn events<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<String>, NoEvents> {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for mut chunk in chunks {
            while let Some(event) = events.next(&mut chunk)? {
                found.push(event);
            }
        }
        Ok(found)
    }

    #[test]
    fn events_are_found_whatever_ends_their_lines_and_wherever_the_pieces_end() {
        let text =
            "\u{feff}data: ä\n\n: note\nevent: x\ndata:b\ndata:  c\n\ndata\n\nid: 7\n\ndatab: no\ndata: d";
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("{text}\n\n\ndata: lost").replace('\n', end);
            let expected = ["ä", "b\n c", "d"];
            assert_eq!(events([text.as_bytes()]).unwrap(), expected, "{end:?}");
            assert_eq!(events(text.as_bytes().chunks(1)).unwrap(), expected, "{end:?}");
            assert_eq!(events(text.as_bytes().chunks(3)).unwrap(), expected, "{end:?}");
        }
    }

    #[test]
    fn data_is_text_and_bounded_and_notes_are_neither_looked_at_nor_kept() {
        assert_eq!(events([&b": \xff\nevent: \xff\ndata: a\n\n"[..]]).unwrap(), ["a"]);
        assert_eq!(events([&b"data: \xc3"[..], b"\xa4\n\n"]).unwrap(), ["ä"]);
        assert_eq!(events([&b"data: a\n\ndata: \xff\n"[..]]), Err(NoEvents::NotUtf8));
        let long = vec![b'x'; EVENT_BYTES_MAX / 2];
        assert_eq!(events([&b"data: "[..], &long, &long]), Err(NoEvents::TooLong));
        assert_eq!(events([&b"data: "[..], &long, b"\ndata: ", &long]), Err(NoEvents::TooLong));
        let notes = [&b": "[..], &long, b"\n", b": ", &long, b"\ndata: a\n\n"];
        assert_eq!(events(notes).unwrap(), ["a"]);
    }
}
