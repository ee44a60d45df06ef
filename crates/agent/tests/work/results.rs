//! How much of a result the model is given, and that it is told what it was not given.

use events::{Budget, Shown};
use sandbox::FileAnswer;

use super::{FINISH, World, calls, finished};

/// The bound on results, and room for the sentence that says what was left out.
const RESULT_BYTES_MAX: usize = 24 * 1024 + 128;

/// What `read` gives, and how many lines people are shown that it gave.
async fn read(answer: FileAnswer) -> (String, u64) {
    let world = World::new([calls([("read", r#"{"path":"a","lines":2000}"#)]), calls([FINISH])]);
    *world.file.lock().unwrap() = Some(answer);
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    let done = world.finished().swap_remove(0);
    let Shown::Read { lines, .. } = done.shown else { panic!("{:?}", done.shown) };
    (done.result, lines)
}

fn lines(first_line: u64, lines: u64, lines_total: u64, line: &str) -> FileAnswer {
    let text = line.repeat(usize::try_from(lines).unwrap());
    FileAnswer::Read { text, first_line, lines, lines_total, bytes_total: 0 }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_short_lines_ends_where_it_says() {
    let (result, shown) = read(lines(1, 2000, 5000, "12345678\n")).await;
    assert!(result.len() <= RESULT_BYTES_MAX && !result.contains("left out"), "{}", result.len());
    let mut given: Vec<&str> = result.lines().collect();
    let last = given.len() - 1;
    let closing = format!("[lines 1 to {last} of 5000; page on with first_line {}]", last + 1);
    assert_eq!(given.pop(), Some(closing.as_str()));
    assert_eq!(shown, last as u64);
    assert!((1..2000).contains(&last), "{last}");
    for (n, line) in given.iter().enumerate() {
        assert_eq!(*line, format!("{:>5}\t12345678", n + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fits_says_how_to_page_on_only_while_there_is_more() {
    assert_eq!(read(lines(1, 2, 2, "a\n")).await, ("    1\ta\n    2\ta\n".to_owned(), 2));
    assert_eq!(read(lines(3, 1, 3, "a\n")).await, ("    3\ta\n[lines 3 to 3 of 3]".to_owned(), 1));
    let (result, _) = read(lines(3, 1, 4, "a\n")).await;
    assert_eq!(result, "    3\ta\n[lines 3 to 3 of 4; page on with first_line 4]");
    assert_eq!(read(lines(9, 0, 4, "")).await, ("[no lines: the file has 4]".to_owned(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_result_is_bounded_whatever_the_sandbox_gives() {
    let bash = ("bash", r#"{"command":"cat everything"}"#);
    let world = World::new([calls([bash, ("search", r#"{"pattern":"a"}"#)]), calls([FINISH])]);
    *world.output.lock().unwrap() = "ü".repeat(100_000);
    let matches = vec!["a:1:a".repeat(100); 200];
    *world.file.lock().unwrap() = Some(FileAnswer::Found { matches, more: true });
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    for (done, path) in world.finished().iter().zip(["/tmp/output-1.txt", "/tmp/output-2.txt"]) {
        let kept = format!("bytes left out; all of it is in {path}, to page with `read` …]");
        assert!(done.result.len() <= RESULT_BYTES_MAX && done.result.contains(&kept), "{}", done.tool);
    }
    assert!(world.finished()[0].result.ends_with("[exit code 0]"));
    let kept = world.kept.lock().unwrap().clone();
    assert_eq!(kept[0], "ü".repeat(100_000) + "\n[exit code 0]");
    assert_eq!(kept[1].lines().count(), 201);
}
