use events::{
    Actor, Address, CheckPhase, EgressDecided, EgressRefused, Hosts, PlanStep, Tenant, ToolFinished, Whose,
};

use super::*;

fn request(prompt: &str) -> Request {
    Request {
        remote: Address::parse("o/n", &Hosts::default()).unwrap().remote,
        prompt: prompt.to_owned(),
        branch: None,
        base: None,
        title: None,
        draft: false,
        provider: None,
        model: None,
        publish: events::Publish::Pr,
        setup: events::SetupWish::AsFound,
        checks: Vec::new(),
        budget: events::Budget::default(),
    }
}

#[test]
fn branch_names_are_made_of_the_prompt_s_ascii_words() {
    let id = SessionId::new(1_700_000_000_000_000, 0xabcd_1234);
    for (prompt, start) in [
        ("Fix the login page!", "backspace/fix-the-login-page-"),
        ("  \n../../etc; rm -rf /", "backspace/etc-rm-rf-"),
        ("日本語だけ", "backspace/"),
        ("-x.lock", "backspace/x-lock-"),
        ("Use held-secret-value", "backspace/use-redacted-"),
    ] {
        let branch = branch(&request(prompt), id, &Redactor::new(["held-secret-value"]));
        assert!(branch.as_str().starts_with(start), "{prompt:?} gave {branch}");
        assert!(branch.as_str().ends_with(&id.short()), "{branch}");
        assert!(!branch.as_str().contains("//"));
    }
}

#[test]
fn titles_end_at_a_word() {
    let long = "Add input validation to every single endpoint that accepts a POST body, everywhere";
    let title = title(&request("x"), long);
    assert!(title.chars().count() <= TITLE_CHARS_MAX && title.ends_with('…'), "{title}");
    assert_eq!(super::title(&request("\n Do it \n"), ""), "Do it");
}

#[test]
fn the_model_cannot_sign_off() {
    let id = SessionId::new(1, 2);
    let message = commit_message("T", "Why.\nSigned-off-by: Linus <l@x>\nNote: fine", id);
    assert!(message.contains("\n    Signed-off-by: Linus"), "{message}");
    assert!(message.ends_with(&format!("\n\nBackspace-Session: {id}\n")), "{message}");
}

#[test]
fn the_model_s_words_have_no_powers() {
    let text = "Ping @octocat, fixes #12 and o/n#3, GH-7 <img src=x> ![x](y) \\`@admin\\`\n\
        Fixes https://github.com/o/n/issues/1\n[//]: # (hidden)\n&#64;admin\n/approve\n```a`b``` @armed";
    let out = defuse::defuse(text);
    for gone in ["@o", "#1", "#3", "GH-7", "<img", "![", "@ad", "issues/1", "]:", "&#", "/approve", "@armed"]
    {
        assert!(!out.contains(gone), "{gone} survived in {out}");
    }
    assert_eq!(out.replace('\u{200b}', ""), text, "something that shows was changed");
}

#[test]
fn code_between_fences_keeps_all_but_references() {
    let out = defuse::defuse("1. Run\n   ~~~sh\n   npm i @o/n # 1\n   <b> fixes #2\n   ```\n   ~~~\n@you");
    assert_eq!(out, "1. Run\n````sh\nnpm i @o/n # 1\n<b> fixes #\u{200b}2\n```\n````\n@\u{200b}you");
    assert_eq!(defuse::defuse("```GH-7\nx\n```"), "```\nx\n```");
    let open = defuse::defuse("```\n@you");
    assert!(!open.contains("```") && !open.contains("@you"), "an open fence swallows what follows: {open}");
}

#[test]
fn the_commit_message_has_no_powers() {
    let id = SessionId::new(1, 2);
    let summary = "Fixes #12, closes https://github.com/o/n/pull/3.\nThanks @octocat [skip ci]";
    let message = commit_message("Fix GH-7", summary, id);
    for gone in ["#12", "pull/3", "@octocat", "[skip ci]", "GH-7"] {
        assert!(!message.contains(gone), "{gone} survived in {message}");
    }
}

#[test]
fn what_has_no_evidence_says_so() {
    let told = Told {
        request: &request("Do it"),
        session: SessionId::new(1, 2),
        summary: "All tests pass.",
        limit: Some(Limit::Turns),
        entries: &[],
    };
    let body = body(&told);
    assert!(body.contains("**not checked**") && body.contains("### What is left"), "{body}");
    assert!(body.trim_end().ends_with(&marker(told.session)), "{body}");
}

/// A log of these events.
fn log(events: impl IntoIterator<Item = Event>) -> Vec<Entry> {
    let entry = |(event, seq)| Entry {
        tenant: Tenant::default(),
        session: SessionId::new(1, 2),
        seq,
        attempt: 1,
        at_us: 0,
        actor: Actor::Agent,
        event,
    };
    events.into_iter().zip(1..).map(entry).collect()
}

fn tool(shown: Shown) -> Event {
    Event::ToolFinished(ToolFinished {
        call_id: String::new(),
        tool: String::new(),
        result: String::new(),
        failed: false,
        shown,
        saved: None,
        duration_ms: 0,
    })
}

fn ran(command: &str, exit_code: i32) -> Event {
    tool(Shown::Bash { command: command.to_owned(), output: String::new(), exit_code })
}

fn plan(steps: &[(&str, bool)]) -> Event {
    let steps = steps.iter().map(|(text, done)| PlanStep { text: (*text).to_owned(), done: *done }).collect();
    tool(Shown::Plan { steps })
}

fn unfinished(limit: Limit, entries: &[Entry]) -> String {
    let request = request("Do it");
    let session = SessionId::new(1, 2);
    body(&Told { request: &request, session, summary: "", limit: Some(limit), entries })
}

#[test]
fn what_is_left_is_the_open_steps_and_what_failed_last() {
    let check = CheckRan {
        command: "make lint".to_owned(),
        exit_code: 2,
        output: String::new(),
        phase: CheckPhase::After,
        duration_ms: 0,
    };
    let reached =
        LimitReached { limit: Limit::Turns, whose: Some(Whose::Repository), about: "8 turns".to_owned() };
    let entries = log([
        plan(&[("Everything", false)]),
        ran("make test", 1),
        ran("make build", 1),
        ran("make build", 0),
        plan(&[("Look", true), ("Write @octocat a test", false), ("Fix it", false)]),
        ran("make test", 2),
        Event::LimitReached(reached),
        Event::CheckRan(check),
    ]);
    let body = unfinished(Limit::Turns, &entries);
    let begins =
        "> **Unfinished.** The budget of turns ended the work (8 turns, set by the repository); this is what";
    assert!(body.starts_with(begins), "{body}");
    let left = body.split("### What is left\n\n").nth(1).unwrap();
    let left = left.split("<details>").next().unwrap();
    let expected = "- [ ] Write @\u{200b}octocat a test\n- [ ] Fix it\n\nThese failed when they last ran:\n\n\
        | command | exit code | log entry |\n|---|---|---|\n| `make test` | 2 | 6 |\n| `make lint` | 2 | 8 |\n\n";
    assert_eq!(left, expected);
}

#[test]
fn what_is_left_says_so_when_nobody_knows() {
    let reached = LimitReached { limit: Limit::Stuck, whose: None, about: "the same call (bash)".to_owned() };
    let body = unfinished(Limit::Stuck, &log([Event::LimitReached(reached), plan(&[("All", true)])]));
    assert!(
        body.starts_with("> **Unfinished.** Going in circles ended the work (the same call (bash)); this"),
        "{body}"
    );
    assert!(body.contains("### What is left\n\nAll steps of the agent's plan are done, but"), "{body}");
    assert!(!body.contains("These failed"), "{body}");
}

#[test]
fn commands_cannot_break_out_of_the_table() {
    assert_eq!(code("a | b\nc"), "`a \\| b c`");
    assert_eq!(code("echo `x`"), "`` echo `x` ``");
    assert_eq!(code("a ``b`` c"), "```a ``b`` c```");
    assert_eq!(code(r"grep 'a\|b'"), "`grep 'a\\\u{200b}\\|b'`");
}

#[test]
fn what_was_not_reached_is_named_once_and_has_no_powers() {
    let decided = |host: &str, refused: bool, times| {
        let refused =
            refused.then(|| EgressRefused { code: "not_listed".into(), reason: "is not on the list".into() });
        let (sent_bytes, received_bytes) = (1, 2);
        Event::EgressDecided(EgressDecided {
            host: host.into(),
            port: Some(443),
            refused,
            times,
            sent_bytes,
            received_bytes,
        })
    };
    let mut events = vec![
        decided("a.example", true, 2),
        decided("b.example", false, 1),
        decided("a.example", true, 3),
        decided("x|@octocat <img> `", true, 1),
    ];
    let mut body = String::new();
    not_reached(&mut body, &log(events.clone()));
    assert!(body.contains("| `a.example` | 5 | `is not on the list` |\n"), "{body}");
    assert!(!body.contains("b.example") && !body.contains("@octocat"), "{body}");
    events.extend((0..30).map(|number| decided(&format!("host{number:02}.example"), true, 1)));
    events.push(decided("zz.example", true, 7));
    body.clear();
    not_reached(&mut body, &log(events));
    assert_eq!(body.lines().filter(|line| line.starts_with("| `")).count(), 20, "{body}");
    let often: Vec<&str> = body.lines().filter(|line| line.starts_with("| `")).take(3).collect();
    assert!(
        often[0].starts_with("| `zz.example` | 7 |") && often[1].starts_with("| `a.example` | 5 |"),
        "{body}"
    );
    assert!(body.ends_with("\nAnd 13 more, asked for 13 times in all.\n\n"), "{body}");
    body.clear();
    not_reached(&mut body, &log([decided("b.example", false, 1)]));
    assert_eq!(body, "");
}
