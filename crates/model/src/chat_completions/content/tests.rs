//! Contents as servers cut them: texts and lists in any order, and what comes of them.

use super::*;

/// What `pieces` come to: what is sent back, and what people hear.
fn put_together(pieces: &[&str]) -> (String, Vec<String>) {
    let mut content = Content::default();
    let mut heard = Vec::new();
    for piece in pieces {
        let parts = content.take(&raw((*piece).to_owned())).unwrap();
        heard.extend(parts.into_iter().flatten().map(|part| match part {
            Part::Text(text) => format!("text: {text}"),
            Part::Thought(text) => format!("thought: {text}"),
        }));
    }
    let whole = content.into_raw();
    // Whoever reads it from the log reads what was heard.
    let said = |parts: Vec<Part>| parts.into_iter().map(|part| format!("{part:?}")).collect::<Vec<_>>();
    if let Some(whole) = &whole {
        let mut again = Content::default();
        again.take(whole).unwrap();
        assert_eq!(said(parts(whole)), said(parts(&again.into_raw().unwrap())));
    }
    (whole.map_or_else(|| "nothing".to_owned(), |whole| whole.get().to_owned()), heard)
}

#[test]
fn thoughts_and_then_a_text_are_two_parts() {
    let (whole, heard) = put_together(&[
        r#""""#,
        r#"[{"type":"thinking","thinking":[{"type":"text","text":"Ok"}]}]"#,
        r#"[{"type":"thinking","thinking":[{"type":"text","text":"ay."}],"closed":false}]"#,
        // A text of nothing between two pieces of a thought parts them not.
        r#""""#,
        r#"[{"type":"text","text":""}]"#,
        r#"[{"type":"thinking","thinking":[{"type":"text","text":" So."}],"closed":true}]"#,
        r#"[{"type":"thinking","thinking":[]}]"#,
        r#""Do""#,
        r#""ne \ud83d""#,
        r#""\ude00.""#,
    ]);
    assert_eq!(
        whole,
        r#"[{"type":"thinking","thinking":[{"type":"text","text":"Okay. So."}],"closed":true},{"type":"text","text":"Done 😀."}]"#
    );
    assert_eq!(heard, ["thought: Ok", "thought: ay.", "thought:  So.", "text: Do", "text: ne ", "text: 😀."]);
}

#[test]
fn what_came_as_a_text_stays_when_a_list_comes() {
    let (whole, heard) = put_together(&[
        r#""I \ud83d""#,
        r#"[{"type":"text","text":"\ude00 look"},{"type":"reference","reference_ids":[1.0]},{"type":"text","text":"."}]"#,
        r#"" So.""#,
    ]);
    assert_eq!(
        whole,
        r#"[{"type":"text","text":"I 😀 look"},{"type":"reference","reference_ids":[1.0]},{"type":"text","text":". So."}]"#
    );
    assert_eq!(heard, ["text: I ", "text: 😀 look", "text: .", "text:  So."]);
    let parts = parts(&raw(whole));
    assert_eq!(parts, [Part::Text("I 😀 look. So.".to_owned())]);
}

#[test]
fn the_order_in_which_thoughts_and_texts_came_is_kept() {
    let thought = |text: &str, signature: &str| {
        format!(r#"{{"type":"thinking","thinking":"{text}","signature":"{signature}"}}"#)
    };
    let pieces = [
        format!("[{}]", thought("A", "s")),
        format!("[{}]", thought("B", "")),
        r#"[{"type":"thinking","thinking":"b","signature":"t"}]"#.to_owned(),
        r#""x""#.to_owned(),
        r#"[{"type":"thinking","thinking":[{"type":"text","text":"C"},{"type":"image","n":1.0},{"type":"text","text":"c"}]}]"#
            .to_owned(),
        r#"[{"type":"thinking","thinking":[],"signature":"u"}]"#.to_owned(),
        r#"[{"type":"thinking","thinking":[],"signature":"sealed"}]"#.to_owned(),
        r#"[{"type":"image","n":2.0}]"#.to_owned(),
        r#"[{"type":"thinking","thinking":[],"signature":"v"}]"#.to_owned(),
    ];
    let (whole, heard) = put_together(&pieces.each_ref().map(|piece| piece.as_str()));
    let expected = [
        thought("A", "s"),
        thought("Bb", "t"),
        r#"{"type":"text","text":"x"}"#.to_owned(),
        r#"{"type":"thinking","thinking":[{"type":"text","text":"C"},{"type":"image","n":1.0},{"type":"text","text":"c"}],"signature":"u"}"#
            .to_owned(),
        r#"{"type":"thinking","thinking":[],"signature":"sealed"}"#.to_owned(),
        r#"{"type":"image","n":2.0}"#.to_owned(),
        r#"{"type":"thinking","thinking":[],"signature":"v"}"#.to_owned(),
    ];
    assert_eq!(whole, format!("[{}]", expected.join(",")));
    assert_eq!(heard, ["thought: A", "thought: B", "thought: b", "text: x", "thought: Cc"]);
}

#[test]
fn nothing_is_nothing_in_whatever_form() {
    for pieces in [&[][..], &["null"], &[r#""""#], &["[]"], &[r#"[{"type":"text","text":""}]"#, r#""""#]] {
        assert_eq!(put_together(pieces), ("nothing".to_owned(), Vec::new()), "{pieces:?}");
    }
    let mut content = Content::default();
    for odd in ["7", "{}", "[7]"] {
        assert_eq!(content.take(&raw(odd.to_owned())), Ok(None), "{odd}");
    }
    assert_eq!(put_together(&[r#""x""#, "7", "null"]).0, r#""x""#);
}

#[test]
fn parts_are_bounded() {
    let images = |count: usize| raw(format!("[{}]", vec![r#"{"type":"image"}"#; count].join(",")));
    let mut content = Content::default();
    assert_eq!(content.take(&images(PARTS_MAX)), Ok(Some(Vec::new())));
    assert_eq!(content.take(&images(1)), Err("its content has too many parts"));
}
