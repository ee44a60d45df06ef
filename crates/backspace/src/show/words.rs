//! The last words of a reply that is on its way, as one line for people.

use events::escape_control;
use session::Piece;

/// What fits beside the spinner on a narrow terminal.
const CHARS_MAX: usize = 70;

/// The end of what the model said so far.
#[derive(Default)]
pub(super) struct Words {
    line: String,
}

impl Words {
    /// The line with `piece` in it.
    pub(super) fn with(&mut self, piece: &Piece) -> String {
        match piece {
            Piece::Again => self.line.clear(),
            Piece::Text(text) | Piece::Thought(text) => self.line.push_str(text),
        }
        let words: Vec<&str> = self.line.split_whitespace().collect();
        let line = escape_control(&words.join(" "));
        let chars = line.chars().count();
        // The front is never shown again.
        let long = self.line.chars().count();
        self.line = self.line.chars().skip(long.saturating_sub(2 * CHARS_MAX)).collect();
        match chars.checked_sub(CHARS_MAX) {
            None | Some(0) => line,
            Some(more) => format!("…{}", line.chars().skip(more + 1).collect::<String>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_stand_on_one_line_without_powers() {
        let mut words = Words::default();
        let mut say = |text: &str| words.with(&Piece::Text(text.into()));
        assert_eq!(say("I look\n"), "I look");
        assert_eq!(say("at \u{1b}[2J it"), "I look at \\u{1b}[2J it");
        let long = say(&" word".repeat(100));
        assert_eq!((long.chars().count(), long.starts_with('…')), (CHARS_MAX, true));
        assert!(long.ends_with("word word"));
        assert_eq!(words.with(&Piece::Again), "");
        assert_eq!(words.with(&Piece::Thought("Hm".into())), "Hm");
    }
}
