use super::*;

/// A turn of one call and its result; one that failed begins with `!`.
type Did<'a> = (&'a str, &'a str, &'a str);

fn turn(circles: &mut Circles, did: &[Did<'_>]) -> Course {
    let calls: Vec<ToolCall> = did
        .iter()
        .enumerate()
        .map(|(n, (name, arguments, _))| ToolCall {
            id: n.to_string(),
            name: (*name).to_owned(),
            arguments: (*arguments).to_owned(),
        })
        .collect();
    let results: Vec<ToolResult> = did
        .iter()
        .enumerate()
        .map(|(n, (_, _, text))| ToolResult {
            call_id: n.to_string(),
            text: (*text).to_owned(),
            failed: text.starts_with('!'),
        })
        .collect();
    circles.after(&calls, &results)
}

/// The turns, from 1, at which the agent is told, and the one at which it is stuck.
fn course<'a>(turns: impl IntoIterator<Item = Did<'a>>) -> (Vec<usize>, Option<usize>) {
    let mut circles = Circles::default();
    let mut told = Vec::new();
    for (did, n) in turns.into_iter().zip(1..) {
        match turn(&mut circles, &[did]) {
            Course::Straight => {}
            Course::Circling(_) => told.push(n),
            Course::Stuck(_) => return (told, Some(n)),
        }
    }
    (told, None)
}

const TEST: Did<'_> = ("bash", "make test", "!1 failed in 0.1s");

#[test]
fn the_same_call_with_the_same_result_is_told_and_then_ends_it() {
    assert_eq!(course([TEST; 20]), (vec![4], Some(8)));
    // Only the time differs.
    let again = ["!1 failed in 0.1s", "!1 failed in 2.35s", "!1 failed in 41s"];
    assert_eq!(course((0..20).map(|n| ("bash", "make test", again[n % 3]))), (vec![4], Some(8)));
}

#[test]
fn failures_that_take_turns_are_told_and_then_end_it() {
    let other = ("read", "nowhere", "!no such file");
    assert_eq!(course([TEST, other].into_iter().cycle().take(40)), (vec![6], Some(12)));
    let (there, back) = (("edit", "a to b", "Edited"), ("edit", "b to a", "Edited"));
    let undone = [there, TEST, back, TEST];
    assert_eq!(course(undone.into_iter().cycle().take(60)), (vec![12], Some(24)));
}

#[test]
fn a_nudge_that_is_heard_is_forgotten() {
    let other = ("bash", "ls", "a");
    let turns = [TEST; 5].into_iter().chain([other]).chain([TEST; 5]).chain([("bash", "pwd", "/work")]);
    assert_eq!(course(turns), (vec![4, 10], None));
    // One that is heard for a turn only is a circle of its own.
    let turns = [TEST; 5].into_iter().chain([other]).cycle().take(100);
    assert_eq!(course(turns).1, Some(36));
}

#[test]
fn the_same_failing_test_after_edits_that_differ_is_no_circle() {
    let edits: Vec<String> = (0..40).map(|n| format!("line {n}")).collect();
    let turns = edits.iter().flat_map(|edit| [("edit", edit.as_str(), "Edited"), TEST]);
    assert_eq!(course(turns), (vec![], None));
    // Also when edit and test are calls of one turn.
    let mut circles = Circles::default();
    for edit in &edits {
        assert_eq!(turn(&mut circles, &[("edit", edit, "Edited"), TEST]), Course::Straight);
    }
}

#[test]
fn polling_is_no_circle() {
    let sleeping = ("bash", r#"{"command":"sleep 10; curl -s localhost:8000/health"}"#, "!refused");
    assert_eq!(course([sleeping; 39]), (vec![], None));
    let waiting = ("bash", r#"{"command":"wait-for-it db; tail -1 build.log"}"#, "compiling");
    assert_eq!(course([waiting; 39]), (vec![], None));
    // A pause and a look as two calls.
    let turns = [("bash", "sleep 5", ""), ("bash", "tail -1 build.log", "compiling")];
    assert_eq!(course(turns.into_iter().cycle().take(58)), (vec![], None));
    // Progress.
    let shown: Vec<String> = (0..60).map(|n| format!("{n} % done")).collect();
    assert_eq!(course(shown.iter().map(|shown| ("bash", "tail -1 log", shown.as_str()))), (vec![], None));
    // But not for ever.
    assert_eq!(course([sleeping; 100]), (vec![40], Some(80)));
}

#[test]
fn honest_work_is_no_circle() {
    let pages: Vec<String> = (0..60).map(|n| format!(r#"{{"path":"a","first_line":{}}}"#, n * 400)).collect();
    let turns = pages.iter().map(|page| ("read", page.as_str(), "lines that are all alike"));
    assert_eq!(course(turns), (vec![], None));
    // Looking at the state between other things.
    let commands: Vec<String> = (0..60).map(|n| format!("step {n}")).collect();
    let status = ("bash", "git status", "nothing to commit");
    let turns = commands.iter().flat_map(|command| [("bash", command.as_str(), "done"), status]);
    assert_eq!(course(turns), (vec![], None));
    // A test that is run again in doubt.
    assert_eq!(course([TEST, TEST, TEST, ("bash", "ls", "a"), TEST, TEST, TEST]), (vec![], None));
}

#[test]
fn what_repeats_is_said() {
    let mut circles = Circles::default();
    let said: Vec<Course> = (0..8).map(|_| turn(&mut circles, &[TEST, TEST])).collect();
    let Course::Circling(text) = &said[3] else { panic!("{said:?}") };
    assert!(text.starts_with(
        "You are going in circles: the same call (bash) has given the same result 4 times in a row."
    ));
    let about = "the same call (bash) has given the same result 8 times in a row".to_owned();
    assert_eq!(said[7], Course::Stuck(about));
}
