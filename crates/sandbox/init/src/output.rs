//! Keeps the head and the tail of an output, and counts the rest.

use std::collections::VecDeque;

/// What was kept of an output.
pub(crate) struct Output {
    bytes_max: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Output {
    /// Keeps at most `bytes_max`, half of it from the beginning and half from the end.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    /// Takes more of it.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
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

    /// How many bytes there were in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The text: all of it, or its head and its tail with a sentence between them that says how much is left out.
    pub(crate) fn into_text(mut self) -> String {
        let kept = self.head.len() + self.tail.len();
        let tail = self.tail.make_contiguous();
        if self.total == kept as u64 {
            self.head.extend_from_slice(tail);
            let text = String::from_utf8_lossy(&self.head).into_owned();
            return text;
        }
        let left_out = self.total - kept as u64;
        let (head, tail) = (whole_head(&self.head), whole_tail(tail));
        format!(
            "{}\n[… {left_out} bytes left out …]\n{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(tail)
        )
    }
}

/// `head` without the piece of a character that the cut left at its end.
fn whole_head(head: &[u8]) -> &[u8] {
    let begun = head.iter().rev().take(4).position(|byte| byte & 0b1100_0000 != 0b1000_0000);
    match begun {
        Some(back) if std::str::from_utf8(&head[head.len() - 1 - back..]).is_err() => {
            &head[..head.len() - 1 - back]
        }
        _ => head,
    }
}

/// `tail` without the piece of a character that the cut left at its beginning.
fn whole_tail(tail: &[u8]) -> &[u8] {
    let rest = tail.iter().take(3).take_while(|byte| *byte & 0b1100_0000 == 0b1000_0000).count();
    &tail[rest..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes_max: usize, pieces: &[&[u8]]) -> String {
        let mut output = Output::new(bytes_max);
        for piece in pieces {
            output.push(piece);
        }
        output.into_text()
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
        assert_eq!(text(4, &["aöxxxxxöb".as_bytes()]), "a\n[… 7 bytes left out …]\nb");
        assert_eq!(text(0, &[b"x"]), "\n[… 1 bytes left out …]\n");
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
