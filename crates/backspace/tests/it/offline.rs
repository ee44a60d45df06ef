//! The offline agent at its jobs, on a real sandbox and real git; what it leaves alone; and how it takes a session over.

use events::{Entry, Event, FailureCode, Outcome, Target};
use model::{Config, OfflineConfig, Served, Vendors};
use secrecy::SecretString;
use serde_json::{Value, json};
use session::Provider;

use crate::cli::backspace;
use crate::fallback::{Fakes, KEY};
use crate::world::{Bent, World, calls, finish, make_repository, tool};

fn agent() -> Provider {
    Provider { name: model::OFFLINE.into(), config: Config::Offline(OfflineConfig::default()) }
}

fn outcome(entries: &[Entry]) -> &Outcome {
    match &entries.last().unwrap().event {
        Event::SessionEnded(ended) => &ended.outcome,
        other => panic!("the last entry is {}", other.kind()),
    }
}

/// Runs `prompt` in a world of its own and gives `file` on the delivered branch.
async fn delivers(prompt: &str, file: &str) -> String {
    let world = World::local(Bent::asking(vec![agent()])).await;
    let entries = world.run(json!({ "prompt": prompt })).await;
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{prompt}: {:?}", outcome(&entries)) };
    let changed: Vec<&str> = delivery.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(changed, [file], "{prompt}");
    world.git(&["show", &format!("{}:{file}", delivery.commit)])
}

async fn refuses(prompt: &str) -> String {
    let world = World::local(Bent::asking(vec![agent()])).await;
    let entries = world.run(json!({ "prompt": prompt })).await;
    let Outcome::Failed(failure) = outcome(&entries) else { panic!("{prompt}: {:?}", outcome(&entries)) };
    assert_eq!((failure.code, &failure.saved), (FailureCode::ModelRefused, &None), "{prompt}");
    assert!(failure.hint.as_ref().unwrap().contains("ANTHROPIC_API_KEY"), "{failure:?}");
    assert_eq!(world.git(&["branch", "--list", "--format=%(refname:short)"]), "main", "nothing was pushed");
    failure.reason.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_created_and_the_pull_request_says_by_whom() {
    let world = World::local(Bent::asking(vec![agent()])).await;
    let entries = world.run(json!({ "prompt": "Add a file NOTES.md with the text \"hello\"" })).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    let Target::PullRequest { url, .. } = &delivery.target else { panic!("{delivery:?}") };
    let page = std::fs::read_to_string(url.strip_prefix("file://").unwrap()).unwrap();
    assert!(page.contains("It follows fixed rules and is no language model"), "{page}");
    assert!(page.contains("Made by backspace with `fixed-rules` (offline), session"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_does_what_it_says_and_nothing_else() {
    let readme = "# calc\n\n## Don't panic\n\nUse $HOME, `x` and \\n.\nEND";
    let text = "Use $HOME, `x` and \\n.\nEND";
    let asked = format!("Add a section \"Don't panic\" to the README with the text\n```\n{text}\n```");
    assert_eq!(delivers(&asked, "README.md").await, readme);
    assert_eq!(
        delivers("Append 'the end' to calc.sh", "calc.sh").await,
        "add() {\n  echo $(($1 - $2))\n}\nthe end"
    );
    assert_eq!(
        delivers("Create notes/a.md with the following content: \"hello\"", "notes/a.md").await,
        "hello"
    );
    assert_eq!(delivers("Add \"one more\" to the README", "README.md").await, "# calc\none more");
    let changed = delivers("In calc.sh, change \"$1 - $2\" to \"$1 + $2\"", "calc.sh").await;
    assert_eq!(changed, "add() {\n  echo $(($1 + $2))\n}");
    let replaced = delivers("Replace \"$1 - $2\" with \"$1 + $2\" in calc.sh", "calc.sh").await;
    assert_eq!(replaced, "add() {\n  echo $(($1 + $2))\n}");
    for asked in [
        "Add the MIT licence for Jane Doe, 2026",
        "Add a LICENSE file with the MIT licence for Jane Doe, 2026",
    ] {
        let licence = delivers(asked, "LICENSE").await;
        assert!(licence.starts_with("MIT License\n\nCopyright (c) 2026 Jane Doe\n\nPermission"), "{licence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_do_opens_nothing() {
    let unknown = refuses("Make the calculator faster").await;
    assert!(
        unknown.contains("does not understand this task. It knows such as these: Add a file"),
        "{unknown}"
    );
    for (prompt, why) in [
        ("Create README.md with the text \"x\"", "the file exists"),
        ("Add \"x\" to nothing.md", "the repository has no file nothing.md"),
        ("In calc.sh, replace \"$1\" with \"$1\"", "Nothing was done"),
        ("Add a file README.md with the text \"x\"", "the file exists"),
        ("Add a LICENSE file with the MIT licence", "the licence MIT names its holder"),
        ("Append \"x\" to nothing.txt", "the repository has no file nothing.txt"),
        ("Replace \"no such text\" with \"x\" in calc.sh", "Nothing was done"),
    ] {
        let reason = refuses(prompt).await;
        assert!(
            reason.starts_with("the offline agent cannot ") && reason.contains(why),
            "{prompt}: {reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_done_already_changes_nothing() {
    let world = World::local(Bent::asking(vec![agent()])).await;
    let entries = world.run(json!({ "prompt": "Add a file README.md with the text \"# calc\"" })).await;
    let Outcome::Unchanged { summary } = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert!(summary.starts_with("README.md was there already, with exactly the given text."), "{summary}");
}

/// Two models that answer `replies` and then no more, and the offline agent behind them.
async fn left_alone(replies: Vec<Value>, prompt: &str) -> (World, Vec<Entry>) {
    let passed = replies.len();
    let fakes = Fakes::start(replies.into_iter().chain([calls([finish()])])).await;
    (0..passed).for_each(|_| fakes.fake.pass_next());
    fakes.fail(529, 8);
    let mut bent = fakes.bent();
    bent.providers.push(agent());
    let world = World::local(bent).await;
    let entries = world.run(json!({ "prompt": prompt })).await;
    (world, entries)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_over_when_all_are_down_and_says_what_it_did_not_do() {
    let begun = calls([tool("write", json!({ "path": "other.txt", "content": "half" }))]);
    let (world, entries) = left_alone(vec![begun], "Add a file NOTES.md with the text \"hello\"").await;
    let switched = entries
        .iter()
        .filter(|entry| matches!(&entry.event, Event::ModelSwitched(s) if s.to.provider == "offline"));
    assert_eq!(switched.count(), 1);
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!(world.git(&["show", &format!("{}:NOTES.md", delivery.commit)]), "hello");
    assert_eq!(world.git(&["show", &format!("{}:other.txt", delivery.commit)]), "half");
    let said = "took the session over from claude-opus-5-5, which stopped answering. Whatever that model had changed by then is \
                part of this change; nobody has looked at it";
    assert!(delivery.summary.contains(said), "{}", delivery.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_s_job_that_was_done_is_not_done_twice() {
    let appended = calls([tool("write", json!({ "path": "README.md", "content": "# calc\nmore\n" }))]);
    let (world, entries) = left_alone(vec![appended], "Append \"more\" to README.md").await;
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!(world.git(&["show", &format!("{}:README.md", delivery.commit)]), "# calc\nmore");
    assert!(delivery.summary.starts_with("The given text was in README.md already."), "{}", delivery.summary);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_it_does_not_understand_stays_with_the_error_and_the_work_is_kept() {
    let begun = calls([tool("write", json!({ "path": "other.txt", "content": "half" }))]);
    let (_, entries) = left_alone(vec![begun], "Make it faster").await;
    let Outcome::Failed(failure) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert!(failure.reason.contains("does not understand this task"), "{failure:?}");
    assert!(
        failure.reason.contains("It was turned to because") && failure.reason.contains("(529)"),
        "{failure:?}"
    );
    assert!(failure.saved.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_setting_of_the_key_that_was_refused_is_named_whenever_it_gives_up() {
    let not_understood = "the offline agent follows fixed rules and does not understand this task";
    let not_there = "the offline agent cannot append the given text to nothing.txt: the repository has no file nothing.txt";
    for (prompt, why) in [("Make it faster", not_understood), ("Append \"x\" to nothing.txt", not_there)] {
        let fakes = Fakes::start([calls([finish()])]).await;
        fakes.fail(401, 1);
        let vendor = Vendors::built_in().get("mistral").unwrap();
        let served = Served::new(vendor, SecretString::from(KEY), "devstral-latest").at(fakes.openai_url());
        let mistral = Provider { name: "mistral".into(), config: Config::Served(served) };
        let world = World::local(Bent::asking(vec![mistral, agent()])).await;
        let entries = world.run(json!({ "prompt": prompt })).await;
        let Outcome::Failed(failure) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
        assert_eq!(failure.hint.as_deref(), Some("Set MISTRAL_API_KEY to a valid key of mistral."));
        let because = ". It was turned to because mistral refused the API key (401): ";
        assert!(failure.reason.starts_with(why) && failure.reason.contains(because), "{failure:?}");
    }
}

#[test]
fn anybody_can_ask_for_it_by_name_and_nobody_gets_it_unasked() {
    let home = tempfile::tempdir().unwrap();
    make_repository(&home.path().join("calc"));
    let run = |more: &[&str], settings: &[(&str, &str)]| {
        let repository = home.path().join("calc").display().to_string();
        let mut command = backspace(home.path());
        command.envs(settings.iter().copied()).args([
            "run",
            &repository,
            "Add a file NOTES.md with the text \"hello\"",
        ]);
        let done = command.args(more).output().unwrap();
        let err = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned(), err)
    };
    let (code, out, err) = run(&["--provider", "offline"], &[]);
    assert_eq!((code, out.ends_with("/1.md\n")), (Some(0), true), "{out}{err}");
    assert!(err.contains("No language model is at work here"), "{err}");
    let (code, _, err) = run(&[], &[]);
    assert_eq!((code, err.contains("no model provider is configured")), (Some(2), true), "{err}");
    let (code, ..) = run(&[], &[("BACKSPACE_PROVIDERS", "anthropic,offline")]);
    assert_eq!(code, Some(0));
    let (code, _, err) = run(&[], &[("BACKSPACE_PROVIDERS", "offline,anthropic")]);
    assert_eq!((code, err.contains("`offline` can only be the last")), (Some(2), true), "{err}");
}
