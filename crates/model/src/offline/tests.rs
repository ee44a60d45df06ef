//! What is understood, what is not, and how each job goes on after what its calls gave.

use proptest::prelude::*;

use super::licence::Licence;
use super::sentence::job;
use super::*;
use crate::{Part, Unheard};

fn create(path: &str, text: &str) -> Job {
    Job::Create { path: path.into(), text: text.into() }
}

fn append(path: &str, text: &str) -> Job {
    Job::Append { path: path.into(), text: text.into() }
}

fn replace(path: &str, old: &str, new: &str) -> Job {
    Job::Replace { path: path.into(), old: old.into(), new: new.into() }
}

#[test]
fn jobs_are_understood_in_the_words_that_people_use() {
    let section = |title: &str| Job::Section {
        path: "README.md".into(),
        title: title.into(),
        text: "make run\n".into(),
    };
    for (task, expected) in [
        ("Add a file NOTES.md with the text \"hello\"", create("NOTES.md", "hello\n")),
        ("please create the new file `docs/a b.txt` containing: 'don't'.", create("docs/a b.txt", "don't\n")),
        ("Create a file named x with the contents:\n```text\na\n\n  b\n```\n", create("x", "a\n\n  b\n")),
        ("add file .gitignore with text \u{201c}target\u{201d}!", create(".gitignore", "target\n")),
        ("Create a NOTES.md file containing \"hello\"", create("NOTES.md", "hello\n")),
        ("Append \"one more\" to NOTES.md.", append("NOTES.md", "one more\n")),
        ("Add the line `say \"hi\"` to the end of the file a/b", append("a/b", "say \"hi\"\n")),
        ("Replace \"a\" with \"b\" in src/x.rs", replace("src/x.rs", "a", "b")),
        ("Change the text 'colour' into 'color' in the file x", replace("x", "colour", "color")),
        ("Add a section \"Usage\" to README.md with the text \"make run\"", section("Usage")),
        ("Add a new section \"How to\" to the README with \"make run\".", section("How to")),
        ("Create NOTES.md with the text \"hello\"", create("NOTES.md", "hello\n")),
        ("Create `docs/NOTES.md` with the following content: \"hello\"", create("docs/NOTES.md", "hello\n")),
        ("Add a file NOTES with this content:\n```\nhello\n```", create("NOTES", "hello\n")),
        ("Write .gitignore containing the following text: `target`", create(".gitignore", "target\n")),
        ("Add \"one more\" to README.md", append("README.md", "one more\n")),
        ("Add \"target\" to .gitignore", append(".gitignore", "target\n")),
        ("Append the line \"one more\" to the README", append("README.md", "one more\n")),
        ("Append \"one more\" to README", append("README", "one more\n")),
        ("Append \"one more\" at the end of README.md", append("README.md", "one more\n")),
        ("Add \"one more\" at the bottom of the src/a.rs file.", append("src/a.rs", "one more\n")),
        ("In src/a.py, replace \"hi\" with \"ho\"", replace("src/a.py", "hi", "ho")),
        ("Replace all occurrences of \"hi\" with \"ho\" in x", replace("x", "hi", "ho")),
        ("In the file x, change the string \"hi\" to the string \"ho\".", replace("x", "hi", "ho")),
        ("In the README, change 'hi' to 'ho'", replace("README.md", "hi", "ho")),
        ("Replace \"hi\" with \"ho\" in the file README", replace("README", "hi", "ho")),
        ("Add a \"Usage\" section to README.md with the text \"make run\"", section("Usage")),
        (
            "Add a section called \"Usage\" to the README.md file with the following text: \"make run\"",
            section("Usage"),
        ),
    ] {
        assert_eq!(job(task), Ok(expected), "{task:?}");
    }
}

#[test]
fn what_is_more_than_a_job_or_leads_out_of_the_repository_is_not_understood() {
    for task in [
        "",
        "Fix the login page",
        "Add a file NOTES.md with the text \"hello\" and mention it in the README",
        "Add a file NOTES.md with the text \"hello\". Then run the tests.",
        "Add a file NOTES.md",
        "Add a file with the text \"hello\"",
        "Add a file NOTES.md with the text hello",
        "Add a file NOTES.md with the text \"hello",
        "Add a file NOTES.md with the text \"  \"",
        "Add a file /etc/passwd with the text \"x\"",
        "Add a file ../x with the text \"x\"",
        "Add a file a/.GIT/config with the text \"x\"",
        "Add a file -rf with the text \"x\"",
        "Add a file a\u{7}b with the text \"x\"",
        "Add a file x with the text \"a\u{0}b\"",
        "Replace \"a\" with \"b\"",
        "Replace a with b in x",
        "Replace \"a\" with \"b\" in x and y",
        "Do not replace \"a\" with \"b\" in x",
        "Add a section \"Usage\" to main.rs with the text \"x\"",
        "Add a section \"Usage\" to README.md",
        "Create a test with the text \"hello\"",
        "Create \"hello\" with the text \"x\"",
        "Add version v1.2 with the text \"x\"",
        "Add v1.2 with the text \"x\"",
        "Create NOTES.md with \"hello\"",
        "Create NOTES.md and TODO.md with the text \"hello\"",
        "Create NOTES.md with the text \"hello\" and the text \"x\"",
        "Add \"lodash\" to package.json",
        "Add \"serde\" to the dependencies",
        "Add \"x\" to the list in README.md",
        "Add a \"Usage\" to README.md",
        "Add \"x\" at README.md",
        "Add \"x\" at the beginning of README.md",
        "Add \"x\" to README.md and NOTES.md",
        "Append \"x\" to README.md, then replace \"a\" with \"b\" in x",
        "Replace the word \"hi\" with \"ho\" in x",
        "Replace the line \"hi\" with \"ho\" in x",
        "Replace the first \"a\" with \"b\" in x",
        "Replace one occurrence of \"a\" with \"b\" in x",
        "In x and y, replace \"a\" with \"b\"",
        "In x, replace \"a\" with \"b\" in y",
        "In x, do not replace \"a\" with \"b\"",
        "In x, replace \"a\" with \"b\" and \"c\" with \"d\"",
        "Add a \"Usage\" section to README.md",
        "Add a \"Usage\" section and a \"Build\" section to README.md with the text \"x\"",
        "Add a \"Usage\" section to main.rs with the text \"x\"",
        "Do not create NOTES.md with the text \"hello\"",
        "Create ../x.md with the text \"hello\"",
        "In .git/config, replace \"a\" with \"b\"",
    ] {
        assert_eq!(job(task), Err(Trouble::Unknown), "{task:?}");
    }
}

#[test]
fn licences_are_known_by_their_ids_and_name_whom_they_have_to() {
    let text = |task: &str| match job(task) {
        Ok(Job::Licence(licence)) => licence.text().to_owned(),
        other => panic!("{task}: {other:?}"),
    };
    let mit = text("Add the MIT licence for Jane Doe, 2026");
    assert!(
        mit.starts_with("MIT License\n\nCopyright (c) 2026 Jane Doe\n\nPermission is hereby granted"),
        "{mit}"
    );
    assert!(
        text("add license bsd-3-clause by \"Doe & Sons Inc.\"").contains("\nCopyright (c) Doe & Sons Inc.\n")
    );
    assert!(text("Add an Apache-2.0 license").trim_start().starts_with("Apache License\n"));
    assert!(text("Add the Unlicense licence").ends_with("<http://unlicense.org/>\n"));
    for task in [
        "Add a LICENSE file with the MIT licence for Jane Doe, 2026",
        "Please create a LICENSE file with the text of the MIT license by Jane Doe 2026.",
        "Add an MIT license file for Jane Doe, 2026",
        "Add the MIT License to this repository for Jane Doe, 2026",
        "License this project under the MIT license for Jane Doe, 2026",
    ] {
        assert_eq!(text(task), mit, "{task}");
    }
    for task in [
        "Add a license file for Apache-2.0",
        "License our code under Apache-2.0",
        "Add the Apache-2.0 licence for this project",
    ] {
        assert_eq!(text(task), text("Add an Apache-2.0 license"), "{task}");
    }
    for id in ["ISC", "0BSD", "BSD-2-Clause"] {
        assert!(text(&format!("Add the {id} license for X")).contains("Copyright (c) X\n"), "{id}");
    }
    let amiss = |task: &str| match job(task) {
        Err(Trouble::Amiss(why)) => why,
        other => panic!("{task}: {other:?}"),
    };
    for task in [
        "Add the MIT licence",
        "Add a LICENSE file with the MIT licence",
        "Add the MIT license to the repo",
        "Add the MIT licence for this project",
        "License this repository under MIT",
    ] {
        assert!(amiss(task).contains("for NAME, YEAR"), "nobody is made its holder: {task}");
    }
    assert!(amiss("Add the GPL-3.0 licence").starts_with("it has no licence GPL-3.0; it has MIT, ISC"));
    assert!(amiss("Add the Unlicense licence for Jane").contains("names no holder"));
    for task in [
        "Add the MIT licence and fix the build",
        "Add a LICENSE file",
        "Add a LICENSE file that explains who may use this",
        "Add a LICENSE file with the MIT licence and mention it in the README",
        "License this project under MIT and Apache-2.0",
        "Do not add a LICENSE file with the MIT licence",
    ] {
        assert_eq!(job(task), Err(Trouble::Unknown), "{task}");
    }
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z0-9_][a-zA-Z0-9_. -]{0,8}[a-z0-9]", 1..4).prop_map(|parts| parts.join("/"))
}

/// Lines that no fence ends.
fn text() -> impl Strategy<Value = String> {
    let text = prop::collection::vec("[^`\\p{Cc}]{0,20}", 1..5).prop_map(|lines| lines.join("\n") + "\n");
    text.prop_filter("a text", |text| !text.trim().is_empty())
}

/// Whatever job a task is read as, its file is one of the repository's.
fn is_inside(task: &str) -> Result<(), TestCaseError> {
    let path = match job(task) {
        Ok(
            Job::Create { path, .. }
            | Job::Append { path, .. }
            | Job::Replace { path, .. }
            | Job::Section { path, .. },
        ) => path,
        Ok(Job::Licence(_)) | Err(_) => return Ok(()),
    };
    prop_assert!(!path.starts_with(['/', '-']) && !path.split('/').any(|part| part == ".."), "{}", task);
    Ok(())
}

const WORDS: &[&str] = &[
    "add",
    "create",
    "append",
    "replace",
    "in",
    "a",
    "the",
    "file",
    "readme",
    "section",
    "to",
    "at",
    "end",
    "of",
    "with",
    "following",
    "text",
    "containing",
    "licence",
    "mit",
    "for",
    "\"x\"",
    "`../y`",
    "`a.md`",
    "/etc/x.md",
    "-a.md",
    "b.txt",
];

proptest! {
    #[test]
    fn a_job_that_is_written_out_is_read_back(path in path(), text in text(), old in "[^\"\\p{Cc}]{0,9}x", new in "[^\"\\p{Cc}]{0,9}y") {
        let fenced = format!("```\n{text}```");
        prop_assert_eq!(job(&format!("Add a file `{path}` with the text {fenced}")), Ok(create(&path, &text)));
        prop_assert_eq!(job(&format!("Append {fenced} to `{path}`")), Ok(append(&path, &text)));
        let asked = format!("Replace \"{old}\" with \"{new}\" in `{path}`.");
        prop_assert_eq!(job(&asked), Ok(replace(&path, &old, &new)));
        let asked = format!("In `{path}`, replace \"{old}\" with \"{new}\"");
        prop_assert_eq!(job(&asked), Ok(replace(&path, &old, &new)));
        let asked = format!("Create `{path}.txt` with the following content: {fenced}");
        prop_assert_eq!(job(&asked), Ok(create(&format!("{path}.txt"), &text)));
        prop_assert_eq!(job(&format!("Add {fenced} at the end of `{path}`")), Ok(append(&path, &text)));
        prop_assert_eq!(job(&format!("Add {fenced} to `{path}.md`")), Ok(append(&format!("{path}.md"), &text)));
        prop_assert_eq!(job(&format!("Add {fenced} to `{path}.json`")), Err(Trouble::Unknown));
    }

    #[test]
    fn a_job_with_anything_besides_is_not_understood(path in path(), text in text(), more in "[a-z]{2,8}( [a-z]{2,8}){0,3}") {
        for task in [
            format!("Add a file `{path}` with the text ```\n{text}``` {more}"),
            format!("{more} Append ```\n{text}``` to `{path}`"),
            format!("Create `{path}.md` with the following content:\n```\n{text}``` {more}"),
            format!("Add ```\n{text}``` to `{path}.md` {more} x"),
            format!("In `{path}`, replace \"a\" with \"b\" {more}"),
            format!("In `{path}` {more} x, replace \"a\" with \"b\""),
            format!("Add a \"Usage\" section to `{path}.md` with the text ```\n{text}``` {more}"),
        ] {
            // The one word that means nothing.
            prop_assume!(more != "please");
            prop_assert_eq!(job(&task), Err(Trouble::Unknown), "{}", task);
        }
    }

    #[test]
    fn no_task_is_too_odd(task in any::<String>()) {
        is_inside(&task)?;
    }

    #[test]
    fn no_task_of_its_own_words_is_too_odd(words in prop::collection::vec(prop::sample::select(WORDS), 1..12)) {
        is_inside(&words.join(" "))?;
    }
}

/// What the agent does in a conversation in which its calls gave `results` (whether each failed, and its text), after
/// other models' replies when it takes over.
async fn does(task: &str, takes_over: bool, results: &[(bool, &str)]) -> Result<Reply, Error> {
    let model = open(&Config { task: task.to_owned() });
    let mut conversation = Conversation::new(String::new(), Vec::new());
    conversation.push(Message::User("the task is not read from here".to_owned()));
    if takes_over {
        let origin = Origin { wire: Wire::Scripted, provider: "p".to_owned(), model: "m".to_owned() };
        let reply = model_reply(&*model, &Conversation::new(String::new(), Vec::new())).await?;
        let result = ToolResult { call_id: "x".to_owned(), text: "theirs".to_owned(), failed: true };
        conversation.push(Message::Assistant(Reply { origin, model: "claude-x".to_owned(), ..reply }));
        conversation.push(Message::Results(vec![result]));
    }
    for (failed, text) in results {
        let reply = model_reply(&*model, &conversation).await?;
        let result =
            ToolResult { call_id: reply.calls[0].id.clone(), text: (*text).to_owned(), failed: *failed };
        conversation.push(Message::Assistant(reply));
        conversation.push(Message::Results(vec![result]));
        conversation.push(Message::User("told by the service".to_owned()));
    }
    model_reply(&*model, &conversation).await
}

async fn model_reply(model: &dyn Model, conversation: &Conversation) -> Result<Reply, Error> {
    model.reply(conversation, None, &Unheard).await
}

/// Tool and arguments of the only call.
fn call(reply: &Reply) -> (&str, Value) {
    let [call] = reply.calls.as_slice() else { panic!("{reply:?}") };
    (&call.name, serde_json::from_str(&call.arguments).unwrap())
}

const NOTES: &str = "Add a file NOTES.md with the text \"hello\"";

#[tokio::test]
async fn a_file_is_created_and_told_of() {
    let first = does(NOTES, false, &[]).await.unwrap();
    assert_eq!(call(&first), ("edit", json!({"path": "NOTES.md", "old_str": "", "new_str": "hello\n"})));
    let said = "No language model is at work here, but an agent with fixed rules. It understood: create NOTES.md with the \
                given text.";
    assert_eq!((first.parts, first.usage.usd), (vec![Part::Text(said.to_owned())], Some(0.0)));
    let last = does(NOTES, false, &[(false, "Edited")]).await.unwrap();
    let (tool, arguments) = call(&last);
    assert_eq!((tool, &arguments["title"]), ("finish", &json!("Add NOTES.md")));
    let summary = arguments["summary"].as_str().unwrap();
    assert!(
        summary
            .starts_with("Created NOTES.md with the given text.\n\nThe offline agent of backspace did this.")
    );
    assert!(
        summary.contains("did that and nothing else, and checked nothing") && !summary.contains("took"),
        "{summary}"
    );
}

#[tokio::test]
async fn what_is_there_already_is_not_written_over() {
    let exists = (true, "the old text is empty, and the file exists. Nothing was done.");
    let looks = does(NOTES, false, &[exists]).await.unwrap();
    let (tool, arguments) = call(&looks);
    let script = "f='NOTES.md'\ntext() {\ncat <<'END'\nhello\nEND\n}\n[ \"$(cat -- \"$f\"; echo x)\" = \"$(text; echo x)\" ]\n";
    assert_eq!((tool, arguments["command"].as_str()), ("bash", Some(script)));
    let same = does(NOTES, false, &[exists, (false, "[exit code 0]")]).await.unwrap();
    assert!(call(&same).1["summary"].as_str().unwrap().starts_with("NOTES.md was there already"));
    let other = does(NOTES, false, &[exists, (true, "[exit code 1]")]).await.unwrap_err();
    let said = "the offline agent cannot create NOTES.md with the given text: the old text is empty, and the file exists. \
                Nothing was done.";
    assert_eq!(other.to_string(), said);
}

#[tokio::test]
async fn a_script_says_how_it_found_things() {
    let task = "Append \"END\" to a'b";
    let first = does(task, false, &[]).await.unwrap();
    let (_, arguments) = call(&first);
    let script = arguments["command"].as_str().unwrap();
    assert!(script.starts_with("f='a'\\''b'\ntext() {\ncat <<'END_'\nEND\nEND_\n}\n[ -f"), "{script}");
    assert!(!script.contains("exit 10"), "what is asked for twice is done twice");
    assert!(call(&does(task, true, &[]).await.unwrap()).1["command"].as_str().unwrap().contains("exit 10"));
    let gone = does(task, false, &[(true, "[exit code 3]")]).await.unwrap_err();
    assert!(gone.to_string().ends_with("the repository has no file a'b"), "{gone}");
    let section = "Add a section \"Usage\" to README.md with the text \"x\"";
    let there = (true, "[exit code 10]");
    let again = does(section, false, &[there]).await.unwrap_err();
    assert!(again.to_string().ends_with("README.md has such a section already"), "{again}");
    assert_eq!(call(&does(section, true, &[there]).await.unwrap()).0, "finish");
}

#[tokio::test]
async fn whoever_takes_over_says_what_it_did_not_look_at() {
    let first = does(NOTES, true, &[]).await.unwrap();
    assert_eq!(call(&first).0, "edit", "results of other models' calls are none of its own");
    let last = does(NOTES, true, &[(false, "Edited")]).await.unwrap();
    let (_, arguments) = call(&last);
    let summary = arguments["summary"].as_str().unwrap();
    assert!(
        summary.contains("It took the session over from claude-x, which stopped answering."),
        "{summary}"
    );
    assert!(summary.contains("nobody has looked at it, and nobody has said that it is whole"), "{summary}");
}

#[tokio::test]
async fn what_it_cannot_do_it_says_with_what_it_can() {
    for (task, said) in [
        ("Make it faster", "does not understand this task. It knows such as these: Add a file NOTES.md"),
        ("Add the MIT licence", "cannot do this: the licence MIT names its holder"),
    ] {
        let error = does(task, false, &[]).await.unwrap_err();
        assert!(matches!(&error, Error::Beyond { why, before: None } if why.contains(said)), "{error}");
    }
    let error =
        does("Replace \"a\" with \"b\" in x", false, &[(true, "\nnot found\nmore")]).await.unwrap_err();
    assert_eq!(error.to_string(), "the offline agent cannot replace the given text in x: not found");
    let licence = "Add the 0BSD licence for X";
    let there = does(licence, false, &[(true, "LICENSE.md\nCOPYING\n[exit code 4]")]).await.unwrap_err();
    assert!(
        there.to_string().ends_with("the repository has a licence already: LICENSE.md, COPYING"),
        "{there}"
    );
    let looked = does(licence, false, &[(false, "[exit code 0]")]).await.unwrap();
    let expected = Licence::new("0BSD", "X", None).unwrap();
    assert_eq!(
        call(&looked),
        ("edit", json!({"path": "LICENSE", "old_str": "", "new_str": expected.text()}))
    );
}
