//! What a sandbox answered is read back from the log: answered again, it makes the same log.

use agent::{Exchange, exchanges};
use events::{Budget, FileEdited, ToolFinished};
use model::ToolCall;
use proptest::prelude::*;
use sandbox::{Applied, Ended, FileAnswer, FileTool, Tier};

use super::{FINISH, World, calls};

/// What a sandbox does.
#[derive(Debug, Clone, Default)]
struct Answers {
    file: Option<FileAnswer>,
    output: String,
    ended: Option<Ended>,
}

/// What is written down of a call of `name` with these answers.
fn told(name: &str, arguments: &str, answers: Answers) -> (ToolFinished, Vec<FileEdited>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let world = World::new([calls([(name, arguments)]), calls([FINISH])]);
    *world.file.lock().unwrap() = answers.file;
    *world.output.lock().unwrap() = answers.output;
    *world.ended.lock().unwrap() = answers.ended.unwrap_or(Ended::Exited(0));
    runtime.block_on(world.work(Budget::default())).unwrap();
    (ToolFinished { duration_ms: 0, ..world.finished().swap_remove(0) }, world.edits())
}

/// Reads the exchange back and has it again. What comes of it is the same.
fn again(name: &str, arguments: &str, answers: Answers) -> Vec<Exchange> {
    let (finished, edits) = told(name, arguments, answers);
    let call = ToolCall { id: "0".into(), name: name.into(), arguments: arguments.into() };
    let exchanges = exchanges(&call, &finished, &edits);
    let mut second = Answers::default();
    for exchange in &exchanges {
        match exchange {
            Exchange::Ran { ran, .. } => {
                second.output = ran.output.clone();
                second.ended = Some(ran.ended);
            }
            Exchange::File { answer, .. } => second.file = Some(answer.clone()),
            Exchange::Kept { .. } | Exchange::Interrupted { .. } => {}
        }
    }
    let (finished_again, edits_again) = told(name, arguments, second);
    assert_eq!(format!("{finished_again:?}"), format!("{finished:?}"));
    assert_eq!(format!("{edits_again:?}"), format!("{edits:?}"));
    exchanges
}

fn file(answer: FileAnswer) -> Answers {
    Answers { file: Some(answer), ..Answers::default() }
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[^\n]{0,60}|\\[note: x\\]|\\[lines 1 to 2 of 3\\]|    1\t", 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_of_files(lines in lines(), first_line in 1..2000_u64, more in 0..3_u64, ends in any::<bool>()) {
        let count = lines.len() as u64;
        let text = lines.join("\n") + if ends || lines.is_empty() { "" } else { "\n" };
        // A last line that is empty and has no end is none.
        let count = count - u64::from(!text.ends_with('\n') && lines.last().is_some_and(String::is_empty));
        let lines_total = if count == 0 { more } else { first_line + count - 1 + more };
        let answer = FileAnswer::Read { text, first_line, lines: count, lines_total, bytes_total: 9 };
        again("read", r#"{"path":"a"}"#, file(answer));
    }

    #[test]
    fn names_in_folders(names in prop::collection::vec("[a-z.]{1,9}/?", 0..30), more in 0..3_u64) {
        // More is left out only behind names that are there.
        let total = if names.is_empty() { 0 } else { names.len() as u64 + more };
        again("read", r#"{"path":"."}"#, file(FileAnswer::Folder { names, total }));
    }

    #[test]
    fn matches(matches in prop::collection::vec("[a-z]{1,9}:[0-9]{1,3}:[^\n]{0,60}", 0..30), more in any::<bool>()) {
        again("search", r#"{"pattern":"x"}"#, file(FileAnswer::Found { matches, more }));
    }

    #[test]
    fn edits(applied in prop::collection::vec(("\\PC{0,40}", "[^\r]{0,40}", 1..5000_u64, 0..6_usize), 1..4)) {
        let tiers = [
            Tier::Exact, Tier::LineEndings, Tier::TrailingSpace, Tier::Indent, Tier::Punctuation, Tier::Created,
        ];
        let applied = applied.into_iter().map(|(old, new, line, n)| Applied { old, new, line, tier: tiers[n] });
        let arguments = r#"{"path":"a: line 7 (b","old_str":"x","new_str":"y"}"#;
        again("edit", arguments, file(FileAnswer::Edited { applied: applied.collect() }));
    }

    #[test]
    fn written_files(created in any::<bool>(), before in prop::option::of("\\PC{0,40}")) {
        again("write", r#"{"path":"a","content":"text"}"#, file(FileAnswer::Written { created, before }));
    }

    #[test]
    fn refusals(why in "[^\n]{0,200}") {
        for (name, arguments) in [("read", r#"{"path":"a"}"#), ("write", r#"{"path":"a","content":"text"}"#)] {
            again(name, arguments, file(FileAnswer::Refused(why.clone())));
        }
    }

    #[test]
    fn commands(output in "(?s).{0,200}", n in 0..3_usize, code in -5..300_i32) {
        let ended = [Ended::Exited(code), Ended::Signalled(code), Ended::NotStarted(code)][n];
        let answers = Answers { output, ended: Some(ended), file: None };
        again("bash", r#"{"command":"make"}"#, answers);
    }
}

#[test]
fn a_command_that_took_too_long() {
    again("bash", r#"{"command":"sleep 9999","timeout_seconds":5}"#, Answers::default());
}

#[test]
fn results_that_were_too_long() {
    let long = vec!["a/file.rs:12:".to_owned() + &"x".repeat(300); 190];
    let exchanges =
        again("search", r#"{"pattern":"x"}"#, file(FileAnswer::Found { matches: long, more: true }));
    let kept = FileAnswer::Kept { path: "/tmp/output-1.txt".to_owned(), bytes: 190 * 314 + 56 };
    assert_eq!(exchanges[1], Exchange::Kept { answer: kept });
    // Output is cut inside, and told as it comes.
    again("bash", r#"{"command":"cat"}"#, Answers { output: "z".repeat(24_000), ..Answers::default() });
}

#[test]
fn what_never_reached_the_sandbox_is_not_asked_of_it() {
    for (name, arguments) in
        [("fly", "{}"), ("read", "{"), ("bash", r#"{"command":" "}"#), ("plan", r#"{"steps":[]}"#)]
    {
        assert_eq!(again(name, arguments, Answers::default()), [], "{name} {arguments}");
    }
    let read = r#"{"path":"a","first_line":3}"#;
    let asked = again("read", read, file(FileAnswer::Refused("There is no file.".to_owned())));
    let tool = FileTool::Read { path: "a".into(), first_line: 3, lines_max: 400, bytes_max: 20 * 1024 };
    assert_eq!(asked, [Exchange::File { tool, answer: FileAnswer::Refused("There is no file.".to_owned()) }]);
}
