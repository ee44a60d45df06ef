use events::SessionId;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::super::{code, commit_message};
use super::{defuse, defuse_line};

/// What a text may be made of to fool us.
const PIECES: &[&str] = &[
    "@you",
    "@",
    "#12",
    "#",
    "o/n#3",
    "GH-7",
    "gh\\-7",
    "\\#4",
    "\\@you",
    "&#64;",
    "&commat;",
    "you",
    "1",
    "<b>",
    "<!-- ",
    " -->",
    "<details>",
    "![x](y)",
    "\\!",
    "[x]",
    "(/o/n/pull/7)",
    "[//]: # (gone)",
    "[^1]: gone",
    "Fixes ",
    "https://github.com/o/n/issues/1",
    "github.com/o/n/pull\\/2",
    "`",
    "``",
    "```",
    "````",
    "~~~",
    "```sh\n",
    "``` a`b\n",
    "~~~ `\n",
    "\\`",
    "\\\\",
    "\\|",
    "|",
    "|-|-|\n",
    " ",
    "    ",
    "\t",
    "\n",
    "\n\n",
    "\r",
    "> ",
    "- ",
    "1. ",
    "# ",
    "---\n",
    "***",
    "_",
    "$",
    "\u{200b}",
    "[skip ci]",
    "[CI Skip]",
    "é",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

/// The sign in `text` that has power over a forge.
fn armed(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let starts = |at: usize, signs: &[&str]| signs.iter().any(|sign| lower[at..].starts_with(sign));
    let ends = |at: usize, words: &[&str]| words.iter().any(|word| lower[..at].ends_with(word));
    let found = text.char_indices().find(|(at, c)| {
        let next = text[at + c.len_utf8()..].chars().next().unwrap_or(' ');
        match c {
            '@' => next.is_ascii_alphanumeric(),
            '#' => next.is_ascii_digit(),
            '-' => next.is_ascii_digit() && ends(*at, &["gh", "gh\\"]),
            '/' => next.is_ascii_digit() && ends(*at, &["/issues", "/pull", "/issues\\", "/pull\\"]),
            '[' => starts(*at, &["[skip ci]", "[ci skip]"]),
            _ => false,
        }
    });
    found.map(|(at, _)| &text[at..])
}

/// What a reader of Markdown shows of `markdown` outside of blocks of code, each stretch of text by itself.
fn shown(markdown: &str) -> Result<Vec<String>, String> {
    let mut shown = vec![String::new()];
    let mut in_block = false;
    for event in Parser::new_ext(markdown, Options::all() - Options::ENABLE_YAML_STYLE_METADATA_BLOCKS) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_block = true,
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Start(Tag::Link { dest_url, .. }) => shown.extend([dest_url.to_string(), String::new()]),
            Event::Text(_) if in_block => {}
            // A reader gives a text in parts where it looked at a sign.
            Event::Text(text) => shown.iter_mut().last().unwrap().push_str(&text),
            // What stands beside code is no part of it: a sign at its end refers to nothing after it.
            Event::Code(text) => shown.extend([text.to_string(), String::new()]),
            Event::Html(html) | Event::InlineHtml(html) => return Err(format!("HTML: {html}")),
            Event::Start(Tag::Image { .. } | Tag::HtmlBlock | Tag::FootnoteDefinition(_)) => {
                return Err(format!("{event:?}"));
            }
            Event::Start(_)
            | Event::End(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Rule
            | Event::TaskListMarker(_) => shown.push(String::new()),
        }
    }
    Ok(shown)
}

fn assert_powerless(markdown: &str) {
    let shown = shown(markdown).unwrap_or_else(|power| panic!("{power} in {markdown:?}"));
    for text in shown {
        assert_eq!(armed(&text), None, "in {markdown:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn markdown_has_no_powers_and_what_follows_is_ours(text in text()) {
        let out = defuse(&text);
        // Squashed it is a commit message, where fences mean nothing.
        assert_eq!(armed(&out.replace('@', "")), None);
        assert_powerless(&out);
        assert_powerless(&format!("> {}", out.replace('\n', "\n> ")));
        let whole = format!("{out}\n\n### Ours\n");
        let heading = Parser::new(&whole).any(|event| matches!(event, Event::Text(text) if &*text == "Ours"));
        let blocks = Parser::new(&whole).filter(|event| matches!(event, Event::Start(Tag::CodeBlock(_)))).count();
        let before = Parser::new(&out).filter(|event| matches!(event, Event::Start(Tag::CodeBlock(_)))).count();
        assert!(heading && blocks == before, "swallowed: {whole:?}");
    }

    #[test]
    fn a_line_and_a_command_have_no_powers(text in text()) {
        assert_eq!(armed(&defuse_line(&text)), None);
        assert_eq!(armed(&code(&text)), None);
        let table = format!("|a|b|\n|-|-|\n| {} | 0 |\n", code(&text));
        assert_powerless(&table);
        let cells = Parser::new_ext(&table, Options::ENABLE_TABLES)
            .filter(|event| matches!(event, Event::Start(Tag::TableCell)));
        assert_eq!(cells.count(), 4, "{table:?}");
        let last = table.rsplit('|').nth(1);
        assert_eq!(last, Some(" 0 "), "{table:?}");
    }

    #[test]
    fn a_commit_message_has_no_powers(title in text(), summary in text()) {
        assert_eq!(armed(&commit_message(&title, &summary, SessionId::new(1, 2))), None);
    }
}
