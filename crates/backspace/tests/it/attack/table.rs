//! Writes what the attacks came to as a table, for `./dev attack` and `docs/security.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::{KINDS, Stage, config, kind};
use super::{CLASSES, Verdict};

/// The document that holds the tables, each between its two marks.
fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md")
}

fn marks(kind: &str) -> (String, String) {
    (format!("<!-- attacks on {kind} -->\n"), format!("<!-- end of attacks on {kind} -->\n"))
}

/// Run by `./dev attack`: all classes, one after the other.
#[tokio::test]
#[ignore = "writes docs/security.md; `./dev attack` runs it"]
async fn every_attack_in_a_table() {
    let stage = Stage::set().await.expect("a sandbox can be opened here");
    let (mut rows, mut breaches) = (String::new(), 0);
    for class in CLASSES {
        for attack in class.attacks {
            let verdict = attack.verdict(&stage).await;
            let told = told(&verdict);
            println!("{:<10} {:<72} {told}", class.name, attack.name);
            let _ = writeln!(rows, "| {} | {} | {told} |", class.name, attack.name);
            breaches += usize::from(matches!(verdict, Verdict::Breached(_) | Verdict::Unclear(_)));
        }
    }
    write(&kind(), &rows).await;
    assert_eq!(breaches, 0, "see the table");
}

fn told(verdict: &Verdict) -> String {
    let plain = |text: &str| events::escape_control(text).replace('|', "/").replace('\n', " ");
    match verdict {
        Verdict::Held => "held".to_owned(),
        Verdict::HeldWithoutControl(why) => format!("held (no control: {})", plain(why)),
        Verdict::Breached(what) => format!("**BREACHED** ({})", plain(what)),
        Verdict::NotApplicable(why) => format!("not applicable ({})", plain(why)),
        Verdict::Unclear(why) => format!("**UNCLEAR** ({})", plain(why)),
    }
}

async fn write(kind: &str, rows: &str) {
    let path = document();
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = marks(kind);
    let date = Command::new("date").args(["-u", "+%F"]).output().unwrap().stdout;
    let user = if rustix::process::geteuid().is_root() { "root" } else { "an ordinary user" };
    let section = format!(
        "{begin}\n### `{kind}`\n\nOn {}, backspace {}, as {user}: {}.\n\n| class | attack | came to |\n|---|---|---|\n{rows}\n{end}",
        String::from_utf8_lossy(&date).trim(),
        env!("CARGO_PKG_VERSION"),
        sandbox::versions(&config()).await.join(", "),
    );
    let text = match (text.split_once(&begin), text.split_once(&end)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{section}{after}"),
        _ => format!("{text}\n{section}"),
    };
    std::fs::write(&path, text).unwrap();
}

/// The table of a kind of sandbox.
fn table<'a>(text: &'a str, kind: &str) -> &'a str {
    let (begin, end) = marks(kind);
    let found = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end));
    found.unwrap_or_else(|| panic!("no table of {kind}: run `./dev attack {kind}`")).0
}

/// Whoever adds an attack runs them all and writes the table.
#[test]
fn the_document_lists_every_attack() {
    let text = std::fs::read_to_string(document()).unwrap();
    for kind in KINDS {
        let table = table(&text, kind);
        for class in CLASSES {
            for attack in class.attacks {
                let row = format!("| {} | {} | ", class.name, attack.name);
                assert!(table.contains(&row), "{row}: run `./dev attack {kind}`");
            }
        }
    }
}

#[test]
fn the_document_has_a_table_of_every_kind_and_no_breach_in_any() {
    let text = std::fs::read_to_string(document()).unwrap();
    for kind in KINDS {
        let mut rows = table(&text, kind).lines().filter(|line| line.starts_with("| ")).skip(1).peekable();
        assert!(rows.peek().is_some(), "the table of {kind} is empty");
        for row in rows {
            let came_to = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            let is_known = ["held", "not applicable ("].iter().any(|known| came_to.starts_with(known));
            assert!(is_known, "{kind}: {row}");
        }
    }
}
