//! Keeps the head and the tail of an output, counts the rest, and says where all of it is.

use std::collections::VecDeque;

use backspace_init::spill::Spill;

/// What was kept of an output.
pub(crate) struct Output {
    bytes_max: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    /// Takes the whole output once it is longer than the bound.
    spill: Option<Spill>,
}

impl Output {
    /// Keeps at most `bytes_max`, half of it from the beginning and half from the end.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, head: Vec::new(), tail: VecDeque::new(), total: 0, spill: None }
    }

    /// Takes more of it.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.spill(bytes);
        self.total += bytes.len() as u64;
        let head_bytes_max = self.bytes_max / 2;
        let (first, rest) = bytes.split_at(bytes.len().min(head_bytes_max - self.head.len()));
        self.head.extend_from_slice(first);
        let tail_bytes_max = self.bytes_max - head_bytes_max;
        let rest = &rest[rest.len().saturating_sub(tail_bytes_max)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(tail_bytes_max);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// Gives what comes to the file, with all that was kept so far when it is the first that does not fit.
    fn spill(&mut self, bytes: &[u8]) {
        let bytes_max = self.bytes_max as u64;
        let fitted = self.total <= bytes_max;
        if fitted && self.total + bytes.len() as u64 > bytes_max {
            self.spill = Spill::make();
            if let Some(spill) = &mut self.spill {
                spill.push(&self.head);
                spill.push(self.tail.make_contiguous());
            }
        }
        if let Some(spill) = &mut self.spill {
            spill.push(bytes);
        }
    }

    /// How many bytes there were in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The text: all of it, or its head and its tail with a sentence between them that says how much is left out.
    ///
    /// What is not UTF-8 is replaced, by three bytes for one; so less may be kept than there is.
    pub(crate) fn into_text(self) -> String {
        let head_bytes_max = self.bytes_max / 2;
        let kept = [self.head, Vec::from(self.tail)].concat();
        if self.total == kept.len() as u64 {
            let whole = String::from_utf8_lossy(&kept);
            if whole.len() <= self.bytes_max {
                return whole.into_owned();
            }
        }
        let (head, tail) = kept.split_at(kept.len().min(head_bytes_max));
        let (head, head_bytes) = text_of(pieces(head), head_bytes_max);
        let (tail, tail_bytes) = text_of(pieces(tail).rev(), self.bytes_max - head_bytes_max);
        let left_out = self.total - (head_bytes + tail_bytes) as u64;
        let tail: String = tail.into_iter().rev().collect();
        let place = self.spill.map(|spill| spill.note(self.total)).unwrap_or_default();
        format!("{}\n[… {left_out} bytes left out{place} …]\n{tail}", String::from_iter(head))
    }
}

/// The characters of `bytes` with the number of bytes that each stands for. A character that the cut before or after
/// `bytes` went through is left out.
fn pieces(bytes: &[u8]) -> impl DoubleEndedIterator<Item = (char, usize)> {
    let begun = bytes.iter().take(3).take_while(|byte| *byte & 0b1100_0000 == 0b1000_0000).count();
    let chunks: Vec<_> = bytes[begun..].utf8_chunks().collect();
    let cut_through = |at: usize, invalid: &[u8]| {
        at + 1 == chunks.len() && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none())
    };
    let mut pieces = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        pieces.extend(chunk.valid().chars().map(|c| (c, c.len_utf8())));
        if !chunk.invalid().is_empty() && !cut_through(at, chunk.invalid()) {
            pieces.push((char::REPLACEMENT_CHARACTER, chunk.invalid().len()));
        }
    }
    pieces.into_iter()
}

/// As many of `pieces` as fit into `bytes_max`, and how many bytes they stand for.
fn text_of(pieces: impl Iterator<Item = (char, usize)>, bytes_max: usize) -> (Vec<char>, usize) {
    let (mut text, mut length, mut stands_for) = (Vec::new(), 0, 0);
    for (c, bytes) in pieces {
        length += c.len_utf8();
        if length > bytes_max {
            break;
        }
        stands_for += bytes;
        text.push(c);
    }
    (text, stands_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes_max: usize, pieces: &[&[u8]]) -> String {
        let mut output = Output::new(bytes_max);
        for piece in pieces {
            output.push(piece);
        }
        // Where the whole output is kept depends on the machine that runs the test.
        let text = output.into_text();
        match text.split_once("; ").and_then(|(before, rest)| Some((before, rest.split_once(" …]")?.1))) {
            Some((before, after)) => format!("{before} …]{after}"),
            None => text,
        }
    }

    #[test]
    fn what_fits_is_kept_whole_though_its_characters_come_in_pieces() {
        assert_eq!(text(6, &["aö".as_bytes(), &[0xe2], &[0x82], &[0xac]]), "aö€");
        assert_eq!(text(8, &[b"a\xffb"]), "a\u{fffd}b");
        assert_eq!(text(0, &[]), "");
    }

    #[test]
    fn what_does_not_fit_keeps_head_and_tail_and_counts_the_rest() {
        assert_eq!(text(4, &[b"ab", b"cdefgh", b"ij"]), "ab\n[… 6 bytes left out …]\nij");
        assert_eq!(text(4, &["aöxxxxxöb".as_bytes()]), "a\n[… 9 bytes left out …]\nb");
        assert_eq!(text(0, &[b"x"]), "\n[… 1 bytes left out …]\n");
        assert_eq!(text(8, &[b"a\xff\xff\xff\xffb"]), "a\u{fffd}\n[… 2 bytes left out …]\n\u{fffd}b");
    }

    #[test]
    fn a_long_output_takes_no_more_memory_than_its_bound() {
        let mut output = Output::new(1000);
        for _ in 0..1000 {
            output.push(&[b'x'; 10_000]);
        }
        assert_eq!(output.total(), 10_000_000);
        assert!(output.head.capacity() + output.tail.capacity() < 4000);
    }
}
