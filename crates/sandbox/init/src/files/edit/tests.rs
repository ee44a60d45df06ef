//! What an edit does and refuses, on contents alone: a test for each way in which edits are known to fail.

mod properties;

use super::{Spliced, splice};
use crate::files::Refusal;
use crate::protocol::{Passage, Tier};

fn passage(old: &str, new: &str) -> Passage {
    Passage { old: old.to_owned(), new: new.to_owned(), every: false, near_line: None }
}

fn edited(content: &str, old: &str, new: &str) -> (String, Tier) {
    let spliced = splice(content.as_bytes(), &[passage(old, new)]).unwrap();
    assert_eq!(spliced.applied.len(), 1);
    (String::from_utf8(spliced.content).unwrap(), spliced.applied[0].tier)
}

fn refused(content: &str, passages: &[Passage]) -> String {
    let Err(Refusal(why)) = splice(content.as_bytes(), passages) else { panic!("{content:?} was edited") };
    why
}

#[test]
fn a_passage_is_found_by_the_strictest_rule_that_finds_it() {
    let cases = [
        ("a\nb\nc\n", "b\n", "x\n", "a\nx\nc\n", Tier::Exact),
        ("let a = b;\n", "a", "x", "let x = b;\n", Tier::Exact),
        ("a\r\nb\r\nc\r\n", "a\nb\n", "a\nx\n", "a\r\nx\r\nc\r\n", Tier::LineEndings),
        ("a\nb\n", "a\r\nb\r\n", "a\r\nx\r\n", "a\nx\n", Tier::LineEndings),
        ("a\nb", "b\n", "x\n", "a\nx", Tier::LineEndings),
        ("if a:  \n    b()\n", "if a:\n    b()", "if a:\n    x()", "if a:  \n    x()\n", Tier::TrailingSpace),
        ("a()\n", "a()   ", "x()", "x()\n", Tier::TrailingSpace),
        ("s = f(1, \n  2) + 1\n", "f(1,\n  2)", "f(1,\n  3)", "s = f(1, \n  3) + 1\n", Tier::TrailingSpace),
        (
            "class A:\n    def f():\n        pass\n",
            "def f():\n    pass\n",
            "def g():\n    if 1:\n        pass\n",
            "class A:\n    def g():\n        if 1:\n            pass\n",
            Tier::Indent,
        ),
        (
            "\tif a {\n\t\tb()\n",
            "    if a {\n    \tb()\n",
            "    if x {\n    \tb()\n",
            "\tif x {\n\t\tb()\n",
            Tier::Indent,
        ),
        ("a\nb\n", "  a\n  b", "  a\n  x", "a\nx\n", Tier::Indent),
        (
            "say(“hi”, it’s – so)\n",
            "say(\"hi\", it's - so)",
            "say(\"ho\", it's - so)",
            "say(“ho”, it’s – so)\n",
            Tier::Punctuation,
        ),
        (
            "  a\u{a0}= “b”\n  c\n",
            "a = \"b\"\nc\n",
            "a = \"b\"\nd\n",
            "  a\u{a0}= “b”\n  d\n",
            Tier::Punctuation,
        ),
    ];
    for (content, old, new, expected, tier) in cases {
        assert_eq!(edited(content, old, new), (expected.to_owned(), tier), "{content:?} {old:?}");
    }
}

#[test]
fn new_lines_end_like_their_neighbours_and_others_keep_their_endings() {
    let cases = [
        ("one line in a file of them", "a\r\nb\r\n", "a", "a\nx", "a\r\nx\r\nb\r\n"),
        ("carriage returns are not doubled", "a\r\nb\r\n", "a\r\nb", "a\r\nx\r\nb", "a\r\nx\r\nb\r\n"),
        ("every line its own", "a\r\nb\nc\r\nd\n", "a\nb\nc\n", "a\nx\nc\ny\n", "a\r\nx\nc\r\ny\r\nd\n"),
        ("the line before the end", "a\r\nb", "b", "b\nc", "a\r\nb\r\nc"),
        ("a file without any", "a", "a", "a\r\nb", "a\r\nb"),
        ("a lone carriage return is data", "a\rb\nc\n", "c", "d\ne", "a\rb\nd\ne\n"),
        ("a carriage return before a line ending", "a\r\r\nb\r\n", "a\r\r\nb", "a\r\r\nc", "a\r\r\nc\r\n"),
        ("no final newline stays none", "a\nb", "a\nb\n", "a\nb\nc\n", "a\nb\nc"),
        ("a byte order mark", "\u{feff}a\nb\n", "\u{feff}a\nb", "\u{feff}x\nb", "\u{feff}x\nb\n"),
        ("a byte order mark nobody mentions", "\u{feff}  a\nb\n", " a\n", " x\n", "\u{feff}  x\nb\n"),
        (
            "an indented first line after a mark",
            "\u{feff}  a\n  b\n",
            "a\nb\n",
            "a\nx\n",
            "\u{feff}  a\n  x\n",
        ),
    ];
    for (what, content, old, new, expected) in cases {
        assert_eq!(edited(content, old, new).0, expected, "{what}");
    }
}

#[test]
fn what_the_passage_does_not_change_keeps_its_bytes_within_the_passage_too() {
    let markdown = "first  \nsecond\t\nthird\n";
    assert_eq!(edited(markdown, "first\nsecond\nthird", "first\nsecond\n3rd").0, "first  \nsecond\t\n3rd\n");
    let quotes = "a = “x”\nb = ‘y’ — z\n";
    assert_eq!(
        edited(quotes, "a = \"x\"\nb = 'y' - z", "a = \"x\"\nb = 'y' - w").0,
        "a = “x”\nb = ‘y’ — w\n"
    );
    let blank = "  a\n    \n  b\n";
    assert_eq!(edited(blank, "a\n\nb\n", "a\n\nc\n").0, "  a\n    \n  c\n");
}

#[test]
fn the_new_text_is_written_as_given_but_for_the_shift() {
    let (text, tier) = edited("    a()\n    z()\n", "a() \nz()\n", "  b()  \n\n\tc()\n");
    assert_eq!((text.as_str(), tier), ("      b()  \n\n    \tc()\n", Tier::Indent));
    assert_eq!(edited("x = 1\n", "x = 1", "  x = 2  ").0, "  x = 2  \n");
    assert_eq!(edited("a 'b'\n", "'b'", "“b”").0, "a “b”\n");
}

#[test]
fn bytes_that_are_no_text_stay_beside_an_edit() {
    let spliced = splice(b"\xff\xfea\xc3\nb\n\x80", &[passage("b\n", "c\n")]).unwrap();
    assert_eq!(spliced.content, b"\xff\xfea\xc3\nc\n\x80");
}

#[test]
fn a_passage_that_stands_several_times_is_refused_with_its_lines() {
    let content = "a\nx = 1\nb\n\tx = 1\nc\n";
    let why = refused(content, &[passage("x = 1", "x = 2")]);
    assert!(why.contains("2 places (byte for byte)"), "{why}");
    assert!(why.contains("     2 |x = 1\n     4 |→x = 1\n"), "{why}");
    let overlapping = refused("aXaXa", &[passage("aXa", "b")]);
    assert!(overlapping.contains("2 places"), "{overlapping}");
    // The only exact one among the first thousand is not the only one.
    let many = format!("x\na\n{}x\na\n", "x\r\na\r\n".repeat(1000));
    assert!(refused(&many, &[passage("x\na\n", "b")]).contains("more than 1000 places"));
    let looser = refused("  a\n  b\n\n    a\n    b\n", &[passage("a\nb\n", "a\nc\n")]);
    assert!(looser.contains("2 places (but for the indentation)"), "{looser}");
}

#[test]
fn a_line_hint_chooses_the_nearest_and_only_a_near_one() {
    let content = format!("x\n{}x\n", "\n".repeat(9));
    let at = |line| Passage { near_line: Some(line), ..passage("x", "y") };
    let chosen = splice(content.as_bytes(), &[at(8)]).unwrap();
    assert_eq!(chosen.applied[0].line, 11);
    assert!(refused(&content, &[at(6)]).contains("near_line 6 does not decide"));
    assert!(refused(&content, &[at(500)]).contains("within 100 lines"));
}

#[test]
fn every_place_is_replaced_when_asked_for() {
    let every = Passage { every: true, ..passage("a\n", "bb\n") };
    let Spliced { content, applied, .. } = splice(b"a\r\nx\na\na", &[every]).unwrap();
    assert_eq!(content, b"bb\r\nx\nbb\nbb");
    assert_eq!(applied.iter().map(|applied| applied.line).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(applied[0].old, "a\r\n");
    assert_eq!(splice(b"aaaaa", &[Passage { every: true, ..passage("aa", "b") }]).unwrap().content, b"bba");
    for old in ["a", "aa"] {
        let many = Passage { every: true, ..passage(old, "b") };
        assert!(refused(&"a".repeat(1005), &[many]).contains("more than 1000 places"), "{old}");
    }
}

#[test]
fn passages_are_found_in_the_file_as_it_was_and_applied_together() {
    let content = b"one\ntwo\nthree\n";
    let both = [passage("one", "two"), passage("two", "one\n1")];
    let spliced = splice(content, &both).unwrap();
    assert_eq!(spliced.content, b"two\none\n1\nthree\n");
    let backwards: Vec<Passage> = both.into_iter().rev().collect();
    assert_eq!(splice(content, &backwards).unwrap().content, spliced.content);
    let touching = splice(content, &[passage("two\n", ""), passage("one\n", "1\n")]).unwrap();
    assert_eq!(touching.content, b"1\nthree\n");
    let lines: Vec<u64> = splice(content, &[passage("three", "3"), passage("one", "a\nb")])
        .unwrap()
        .applied
        .iter()
        .map(|applied| applied.line)
        .collect();
    assert_eq!(lines, [4, 1]);
}

#[test]
fn passages_that_overlap_are_refused_and_so_is_one_wrong_among_right_ones() {
    let why = refused("one\ntwo\nthree\n", &[passage("two\nthree", "x"), passage("one\ntwo", "y")]);
    assert!(why.contains("passages 1 and 2 overlap at line 2"), "{why}");
    let why = refused("one\ntwo\n", &[passage("one", "1"), passage("four", "4")]);
    assert!(why.starts_with("passage 2 of 2: the old text was not found"), "{why}");
    assert!(refused("a", &[]).contains("1 to 100 passages"));
}

#[test]
fn old_texts_that_fit_anywhere_are_refused() {
    for old in ["", " ", "\n", "\t\r\n", "\u{a0}", "\u{feff}"] {
        let why = refused("a b\n\nc\n", &[Passage { every: true, ..passage(old, "x") }]);
        assert!(why.contains("fits anywhere"), "{old:?}: {why}");
    }
}

#[test]
fn edits_that_would_change_nothing_are_refused() {
    assert!(refused("a\n", &[passage("a", "a")]).contains("are the same"));
    assert!(refused("a\r\nb\r\n", &[passage("a\r\nb", "a\nb")]).contains("are the same"));
    assert!(refused("x a", &[passage("“a", "\"a")]).contains("not found"));
}

#[test]
fn text_left_out_is_not_written() {
    let elided = [
        "... rest of code unchanged ...",
        "    # ... existing code ...",
        "// ...rest of the function remains the same...",
        "/* … remaining methods … */",
        "<!-- rest of the file unchanged -->",
        "{/* ... rest of the component's code */}".replace("component's ", "").leak(),
        "(rest of methods remains the same)",
        "...  # same as before",
    ];
    for line in elided {
        let why = refused("a\nb\n", &[passage("a\nb", &format!("x\n{line}"))]);
        assert!(why.contains("stand for text left out"), "{line}: {why}");
        let kept = format!("a\n{line}\n");
        assert!(splice(kept.as_bytes(), &[passage(&kept, &format!("b\n{line}\n"))]).is_ok(), "{line}");
    }
    let code = [
        "...",
        "f(...rest)",
        "...rest,",
        "append(all, rest...)",
        "{ ...existing, ...original }",
        "...this.original,",
        "# waiting for the remaining tasks...",
        "// same as before",
        "rest = 1",
        "print(\"...\")",
        "def f(): ...",
        "// the original is kept",
        "the rest of the file is unchanged",
    ];
    for line in code {
        assert_eq!(edited("a\n", "a", line).0, format!("{line}\n"), "{line}");
    }
}

#[test]
fn a_refusal_shows_the_nearest_region_and_says_how_it_differs() {
    let content =
        "import os\n\n\ndef total(items):\n\tsum = 0\n\tfor item in items:\n\t\tsum += item\n\treturn sum\n";
    let spaces = "def total(items):\n    sum = 0\n    for item in items:\n        sum += item\n";
    let why = refused(content, &[passage(spaces, "x")]);
    for part in [
        "a uniform shift of the indentation",
        "lines 4 to 7; 4 of 4 lines are alike",
        "     5 |→sum = 0\n",
        "They differ first at line 5, where the passage has\n       |····sum = 0\n",
        "the file indents with tabs, the passage with spaces",
        "Nothing was done.",
    ] {
        assert!(why.contains(part), "{part}\n{why}");
    }
    let why = refused(content, &[passage("for item in item_list:", "x")]);
    assert!(why.contains("     6 |→for item in items:\n"), "{why}");
    let why = refused("Hello World\n", &[passage("hello world", "x")]);
    assert!(why.contains("Only upper and lower case"), "{why}");
    let why = refused("a = 1  \r\nreturn value\n", &[passage("return  value", "x")]);
    assert!(why.contains("Only white space differs."), "{why}");
    assert!(refused("qqqq\n", &[passage("zzzz", "x")]).contains("Nothing in the file is like it"));
    let elided = refused(
        "def f():\n    a()\n    b()\n    return 1\n",
        &[passage("def f():\n    # ... existing code ...\n    return 1", "x")],
    );
    assert!(elided.contains("`# ... existing code ...` stands nowhere in the file"), "{elided}");
}

#[test]
fn looser_matches_are_never_applied() {
    for (content, old) in [
        ("a  =  1\n", "a = 1"),
        ("Value\n", "value"),
        ("\tif a:\n\t\tb()\n", "    if a:\n        b()\n"),
        ("  a\n    b\n", "a\nb\n"),
        ("wait…\n", "wait..."),
        ("a\n\nb\n", "a\nb\n"),
        ("foobar\n", "foo "),
        ("foobar\n", "foo\u{a0}"),
        ("foo\rbar\n", "foo\nbar"),
    ] {
        assert!(refused(content, &[passage(old, "x")]).contains("not found"), "{content:?} {old:?}");
    }
}

#[test]
fn a_file_does_not_outgrow_its_limit() {
    let content = "a".repeat(1000);
    let why = refused(&content, &[Passage { every: true, ..passage("a", &"b".repeat(11_000)) }]);
    assert!(why.contains("at most 10 MiB"), "{why}");
}
