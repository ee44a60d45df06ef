//! Takes the powers out of Markdown that we did not write: nobody is pinged, no issue is closed, nothing is hidden.

/// Stands between a sign and the word that would give it power; shows as nothing.
const BREAK: char = '\u{200b}';

/// `text` with mentions, issue references, raw HTML and images made plain, outside of code.
pub(crate) fn defuse(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut fence: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let marker = fence_of(line);
        match (fence, marker) {
            (None, Some(opened)) => {
                fence = Some(opened);
                out.push_str(line);
            }
            (Some(opened), Some(closing)) if closing.starts_with(opened) => {
                fence = None;
                out.push_str(line);
            }
            (Some(_), _) => out.push_str(line),
            (None, None) => defuse_line(line, &mut out),
        }
    }
    if let Some(opened) = fence {
        // An open fence would swallow what we write after it.
        out.push('\n');
        out.push_str(opened);
    }
    out
}

/// The run of backticks or tildes that opens or closes a block of code.
fn fence_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == sign).count();
    (length >= 3).then(|| &line[..length])
}

/// One line outside of a block of code.
fn defuse_line(line: &str, out: &mut String) {
    let mut in_code = false;
    let mut before = '\n';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or('\n');
        out.push(c);
        match c {
            '`' => in_code = !in_code && line.matches('`').count() > 1,
            '@' if !in_code && next.is_alphanumeric() => out.push(BREAK),
            '#' if !in_code && next.is_ascii_digit() => out.push(BREAK),
            '<' if !in_code && (next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')) => {
                out.push(BREAK)
            }
            '!' if !in_code && next == '[' => out.push(BREAK),
            // `GH-12` is a reference as well.
            '-' if !in_code && matches!(before, 'H' | 'h') && next.is_ascii_digit() => out.push(BREAK),
            _ => {}
        }
        before = c;
    }
}
