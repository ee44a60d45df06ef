//! Makes a text fit into a pull request without breaking its markup.

/// GitHub takes 65,536 characters; the rest is room for what people add.
const BODY_CHARS_MAX: usize = 60_000;
/// GitHub takes 256 characters.
const TITLE_CHARS_MAX: usize = 250;
/// Longer rows of marks are taken for decoration, not for the fence of a code block.
const FENCE_CHARS_MAX: usize = 100;
/// Stands where the text was cut.
const NOTE: &str = "\n\n*The text was too long for a pull request and was cut here.*\n\n";

/// `body` as GitHub takes it, and whether it had to be cut. It keeps `marker`, by which we know it again.
pub(super) fn fit(body: &str, marker: &str) -> (String, bool) {
    if body.chars().count() <= BODY_CHARS_MAX {
        return (body.to_owned(), false);
    }
    let room = BODY_CHARS_MAX - NOTE.len() - marker.chars().count() - FENCE_CHARS_MAX - 1;
    let end = body.char_indices().nth(room).map_or(body.len(), |(index, _)| index);
    let whole_lines = body[..end].rfind('\n').unwrap_or(end);
    let mut text = body[..whole_lines].to_owned();
    if let Some(fence) = open_fence(&text) {
        text.push('\n');
        text.push_str(&fence);
    }
    text.push_str(NOTE);
    if !text.contains(marker) {
        text.push_str(marker);
    }
    (text, true)
}

/// A title in one line that GitHub takes.
pub(super) fn title(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE_CHARS_MAX {
        return line;
    }
    line.chars().take(TITLE_CHARS_MAX - 1).chain(['…']).collect()
}

/// What closes the code block that is open at the end of `text`.
fn open_fence(text: &str) -> Option<String> {
    let mut open: Option<String> = None;
    for line in text.lines() {
        let line = line.trim_start_matches(' ');
        let Some(mark) = line.chars().next().filter(|c| matches!(c, '`' | '~')) else { continue };
        let length = line.chars().take_while(|c| *c == mark).count();
        if !(3..=FENCE_CHARS_MAX).contains(&length) {
            continue;
        }
        open = match open {
            None => Some(mark.to_string().repeat(length)),
            // A block is closed by the same mark, as long or longer, with nothing behind it.
            Some(fence)
                if fence.starts_with(mark) && length >= fence.len() && line.trim_end().len() == length =>
            {
                None
            }
            Some(fence) => Some(fence),
        };
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "<!-- backspace:session=1 -->";

    #[test]
    fn a_long_body_is_cut_on_a_line_and_stays_ours() {
        let body = format!("# Why\n\n````rust\n{}````\n\n{MARKER}", "let ä = 1; ```\n".repeat(5_000));
        let (text, cut) = fit(&body, MARKER);
        assert!(cut && text.chars().count() <= BODY_CHARS_MAX, "{} characters", text.chars().count());
        assert!(text.ends_with(MARKER));
        let before_note = text.split(NOTE).next().unwrap();
        assert!(
            before_note.ends_with("let ä = 1; ```\n````"),
            "{:?}",
            &before_note[before_note.len() - 40..]
        );
        assert_eq!(open_fence(before_note), None);
    }

    #[test]
    fn a_body_that_fits_stays_as_it_is() {
        let body = "x".repeat(BODY_CHARS_MAX);
        assert_eq!(fit(&body, MARKER), (body, false));
        let (one_line, _) = fit(&"x".repeat(BODY_CHARS_MAX + 1), MARKER);
        assert!(one_line.starts_with("xxx") && one_line.ends_with(MARKER));
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title(" Fix\n the  sum "), "Fix the sum");
        assert_eq!(title(&"ä".repeat(300)).chars().count(), TITLE_CHARS_MAX);
    }
}
