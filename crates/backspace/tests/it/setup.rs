//! How a project is set up before the agent works, and what later sessions find of it.

use std::path::PathBuf;
use std::time::Duration;

use events::{Entry, Event, Outcome, Preparation, SessionId, SetupRan, Step, TreePrepared};
use serde_json::{Value, json};
use session::{OpenFor, SetupLimits};

use crate::egress::{REACH, a_way_out};
use crate::world::{Bent, World, bash, calls, finish, the_fix};

/// What a setup writes: new files beside those of the repository, and something in the home folder.
const SETUP: &str =
    "mkdir deps ~/.tool; echo one > deps/a; echo made > gen.txt; echo c > ~/.tool/cache; echo done";
/// Shows it to the agent.
const LOOK: &str = "cat deps/a gen.txt ~/.tool/cache";

/// A world whose repository says `config` in `.backspace/config.toml`, with replies that look at the setup and fix.
async fn world(config: &str, bent: Bent) -> World {
    let world = World::local(bent).await;
    world.commit(".backspace/config.toml", config);
    world
}

fn looking() -> Bent {
    Bent::replies([calls([bash(LOOK), the_fix()]), calls([finish()])])
}

fn setup_of(script: &str) -> String {
    format!("setup = {}\n", json!(script))
}

fn ran(entries: &[Entry]) -> Vec<&SetupRan> {
    let ran = entries.iter().filter_map(|entry| match &entry.event {
        Event::SetupRan(ran) => Some(ran),
        _ => None,
    });
    ran.collect()
}

fn prepared(entries: &[Entry]) -> Option<&TreePrepared> {
    entries.iter().find_map(|entry| match &entry.event {
        Event::TreePrepared(prepared) => Some(prepared),
        _ => None,
    })
}

fn warnings(entries: &[Entry]) -> Vec<(&str, &str)> {
    let warned = entries.iter().filter_map(|entry| match &entry.event {
        Event::Warned(warned) => Some((&*warned.code, &*warned.message)),
        _ => None,
    });
    warned.collect()
}

/// The results of the agent's tools, in their order.
fn results(entries: &[Entry]) -> Vec<&str> {
    let results = entries.iter().filter_map(|entry| match &entry.event {
        Event::ToolFinished(tool) => Some(&*tool.result),
        _ => None,
    });
    results.collect()
}

/// What the agent was told first.
fn task(entries: &[Entry]) -> &str {
    let briefed = entries.iter().find_map(|entry| match &entry.event {
        Event::AgentBriefed(briefed) => Some(&*briefed.task),
        _ => None,
    });
    briefed.unwrap()
}

/// The files that the session's change touches.
fn changed(entries: &[Entry]) -> Vec<&str> {
    match &entries.last().unwrap().event {
        Event::SessionEnded(ended) => match &ended.outcome {
            Outcome::Delivered(delivery) => delivery.files.iter().map(|file| &*file.path).collect(),
            other => panic!("{other:?}"),
        },
        _ => panic!("no end"),
    }
}

/// Prepared trees and temporary folders of the world, without lock files.
fn kept(world: &World) -> Vec<PathBuf> {
    let repos = world.home.path().join("state/repos");
    let list =
        |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let trees = list(repos.join("prepared")).flat_map(list).filter(|path| path.is_dir());
    trees.chain(list(repos.join("scratch"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_setup_made_is_there_and_is_no_change_and_the_next_session_starts_with_it() {
    let world = world(&setup_of(SETUP), looking()).await;
    let first = world.run(json!({})).await;
    insta::assert_snapshot!("first_session", world.told(&first));
    assert!(results(&first)[0].starts_with("one\nmade\nc\n"), "{:?}", results(&first));
    assert_eq!(changed(&first), ["calc.sh"]);
    assert!(task(&first).contains("what they added is there and is no part of your change:\n$ mkdir deps"));

    let second = world.run(json!({})).await;
    insta::assert_snapshot!("second_session", world.told(&second));
    assert_eq!(prepared(&second).unwrap().how, Preparation::Reused(first[0].session));
    assert_eq!(results(&second)[0], results(&first)[0]);
    assert_eq!(changed(&second), ["calc.sh"]);
    assert_eq!(task(&second), task(&first));

    // What the setup of arbitrary text leaves holds for the commit that it ran on.
    world.commit("README.md", "# another\n");
    let third = world.run(json!({})).await;
    assert_eq!((ran(&third).len(), &prepared(&third).unwrap().how), (1, &Preparation::Kept));
    assert_eq!(kept(&world).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_did_to_a_prepared_tree_is_its_own() {
    let spoil =
        "echo evil > deps/a; rm gen.txt; echo evil > ~/.tool/cache; echo evil > deps/b; mkdir -p deps/.git";
    let replies = Bent::replies([calls([bash(spoil), bash(LOOK)]), calls([the_fix()]), calls([finish()])]);
    let world = world(&setup_of(SETUP), replies).await;
    let first = world.run(json!({})).await;
    assert!(results(&first)[1].starts_with("evil\n"));
    // Whoever writes into what setup made means it.
    assert_eq!(changed(&first), ["calc.sh", "deps/a", "deps/b"]);
    let tree = kept(&world).pop().unwrap();
    let read = |path: &str| std::fs::read_to_string(tree.join(path)).unwrap();
    assert_eq!(
        (read("work/deps/a"), read("work/gen.txt"), read("home/.tool/cache")),
        ("one\n".into(), "made\n".into(), "c\n".into())
    );
    assert!(!tree.join("work/deps/b").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_fails_is_told_and_what_it_left_is_this_session_s_alone() {
    let config = "setup = ['mkdir deps; echo one > deps/a', 'echo no such package >&2; exit 3', 'echo made > gen.txt']\n";
    let replies = Bent::replies([calls([bash("cat deps/a gen.txt"), the_fix()]), calls([finish()])]);
    let world = world(config, replies).await;
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
    assert!(results(&entries)[0].starts_with("one\nmade\n"));
    assert!(
        task(&entries).contains("exit 3\nno such package\n[failed: exit code 3]\n$ echo made"),
        "{}",
        task(&entries)
    );
    assert_eq!(kept(&world), Vec::<PathBuf>::new());
    let again = world.run(json!({})).await;
    assert_eq!((ran(&again).len(), &prepared(&again).unwrap().how), (3, &Preparation::ForThisSession));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_repository_stay_as_they_are_whatever_setup_does_to_them() {
    let script =
        "echo 'add() { echo 5; }' > calc.sh; rm README.md; echo x > deps; git config core.hooksPath evil";
    let look = "cat calc.sh README.md; git status --short; git config core.hooksPath";
    let world =
        world(&setup_of(script), Bent::replies([calls([bash(look), the_fix()]), calls([finish()])])).await;
    let entries = world.run(json!({})).await;
    let told = "setup changed files of the repository, which are as in the base again: README.md, calc.sh";
    let mut warned = warnings(&entries);
    assert_eq!(warned.len(), 1);
    let mut named: Vec<&str> = warned.remove(0).1.rsplit(": ").next().unwrap().split(", ").collect();
    named.sort_unstable();
    assert_eq!(
        format!(
            "setup changed files of the repository, which are as in the base again: {}",
            named.join(", ")
        ),
        told
    );
    assert_eq!(results(&entries)[0], "add() {\n  echo $(($1 - $2))\n}\n# calc\n?? deps\n[exit code 1]");
    assert_eq!(changed(&entries), ["calc.sh"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_fills_its_sandbox_fails_as_any_other() {
    for script in ["head -c 1G /dev/zero > big", "for n in $(seq 1000000); do : > $n || exit 1; done"] {
        let mut bent = Bent::replies([calls([the_fix()]), calls([finish()])]);
        bent.policy.work_bytes_max = 32 << 20;
        bent.policy.work_inodes_max = 3_000;
        let world = world(&setup_of(script), bent).await;
        let entries = world.run(json!({})).await;
        assert_ne!(ran(&entries)[0].exit_code, 0, "{script}");
        assert_eq!(warnings(&entries)[0].0, "setup_failed");
        assert_eq!(prepared(&entries).unwrap().how, Preparation::ForThisSession);
        assert_eq!(changed(&entries), ["calc.sh"]);
        assert_eq!(kept(&world), Vec::<PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_be_written_out_is_left() {
    let world = world(
        &setup_of("truncate -s 1T sparse"),
        Bent::replies([calls([bash("ls sparse"), the_fix()]), calls([finish()])]),
    )
    .await;
    let entries = world.run(json!({})).await;
    let told = "what setup made cannot be used, the agent works without it: there is too much to be kept: more than 256 MiB";
    assert_eq!(warnings(&entries), [("setup_not_kept", told)]);
    assert!(prepared(&entries).is_none() && results(&entries)[0].contains("No such file"));
    assert!(task(&entries).contains("what they did could not be kept"));
    assert_eq!(changed(&entries), ["calc.sh"]);
    assert_eq!(kept(&world), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_takes_too_long_is_ended() {
    let mut bent = Bent::replies([calls([bash("cat begun"), the_fix()]), calls([finish()])]);
    bent.setup.time_max = Duration::from_secs(1);
    let world = world("setup = ['touch begun; sleep 600', 'touch never']\n", bent).await;
    let entries = world.run(json!({})).await;
    let told: Vec<(i32, &str)> = ran(&entries).iter().map(|ran| (ran.exit_code, &*ran.output)).collect();
    assert_eq!(
        told,
        [
            (-1, "\n[ended: the time for setup is up (BACKSPACE_SETUP_TIMEOUT)]\n"),
            (-1, "[not run: the time for setup is up (BACKSPACE_SETUP_TIMEOUT)]\n")
        ]
    );
    assert!(
        results(&entries)[0].starts_with("[exit code 0]"),
        "what was there is there: {:?}",
        results(&entries)
    );
    assert_eq!(prepared(&entries).unwrap().how, Preparation::ForThisSession);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_cancelled_in_its_setup_leaves_nothing() {
    let world = world(&setup_of("touch begun; sleep 600"), looking()).await;
    let id = world.submit(json!({})).await;
    let begun = async |id: SessionId| {
        let log = &world.sessions.store().log;
        let entries = log.read_after(id, 0, 1000).await.unwrap();
        entries.iter().any(|entry| matches!(&entry.event, Event::StepStarted(it) if it.step == Step::Setup))
    };
    while !begun(id).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.sessions.cancel(id, "asked").await.unwrap(), session::Cancelled::Asked);
    let entries = world.until_the_end(id).await;
    let Event::SessionEnded(ended) = &entries.last().unwrap().event else { panic!() };
    assert_eq!(ended.outcome, Outcome::Cancelled { saved: None });
    assert_eq!((ran(&entries).len(), kept(&world)), (0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_says_how_or_that_not_and_the_repository_names_checks_and_variables() {
    let config = "setup = 'echo repository > by'\nchecks = ['echo $GREETING; cat by; sh test.sh']\n[env]\nGREETING = 'hi'\n";
    let world =
        world(config, Bent::replies([calls([bash("echo $GREETING; cat by"), the_fix()]), calls([finish()])]))
            .await;
    let looked = async |fields: Value| {
        let entries = world.run(fields).await;
        let checks = entries.iter().filter_map(|entry| match &entry.event {
            Event::CheckRan(check) => Some(check.output.clone()),
            _ => None,
        });
        (results(&entries)[0].to_owned(), checks.collect::<Vec<_>>(), ran(&entries).len())
    };
    let by = |who: &str| (format!("hi\n{who}\n[exit code 0]"), vec![format!("hi\n{who}\nok\n")], 1);
    assert_eq!(looked(json!({})).await, by("repository"));
    assert_eq!(looked(json!({ "setup": "echo $GREETING request > by; cat by" })).await, by("hi request"));
    let (result, checks, ran) = looked(json!({ "setup": "none", "checks": ["sh test.sh"] })).await;
    assert!(result.contains("No such file"), "{result}");
    assert_eq!((checks, ran), (vec!["ok\n".to_owned()], 0));
    // Each text has a tree of its own.
    assert_eq!(kept(&world).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_begin_at_once_set_the_project_up_once() {
    let world = world(&setup_of(&format!("{SETUP}; sleep 1")), looking()).await;
    let (one, other) = (world.submit(json!({})).await, world.submit(json!({})).await);
    let (one, other) = (world.until_the_end(one).await, world.until_the_end(other).await);
    assert_eq!(ran(&one).len() + ran(&other).len(), 1);
    let made = if ran(&one).is_empty() { &other } else { &one };
    let found = if ran(&one).is_empty() { &one } else { &other };
    assert_eq!(prepared(made).unwrap().how, Preparation::Kept);
    assert_eq!(prepared(found).unwrap().how, Preparation::Reused(made[0].session));
    assert_eq!(results(made)[0], results(found)[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_nothing_is_kept_and_each_session_has_its_own() {
    let mut bent = looking();
    bent.setup = SetupLimits { kept_bytes_max: 0, ..bent.setup };
    let world = world(&setup_of(SETUP), bent).await;
    for _ in 0..2 {
        let entries = world.run(json!({})).await;
        assert_eq!(prepared(&entries).unwrap().how, Preparation::ForThisSession);
        assert!(results(&entries)[0].starts_with("one\nmade\nc\n"));
        assert_eq!(kept(&world), Vec::<PathBuf>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lock_file_suggests_is_not_tried_without_a_way_out() {
    let world = World::local(Bent::replies([calls([the_fix()]), calls([finish()])])).await;
    world.commit("requirements.txt", "flask\n");
    let entries = world.run(json!({})).await;
    let [("setup_passed_over", why)] = warnings(&entries)[..] else { panic!("{:?}", warnings(&entries)) };
    assert!(why.starts_with("requirements.txt suggests `python3 -I -m venv "), "{why}");
    assert!(why.ends_with("which needs a way out of the sandbox (BACKSPACE_EGRESS)"), "{why}");
    assert!(ran(&entries).is_empty() && changed(&entries) == ["calc.sh"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_setup_installed_are_found_by_their_names() {
    let script = "mkdir -p .venv/bin ~/.local/bin; printf '#!/bin/sh\\necho of the project $VIRTUAL_ENV\\n' > .venv/bin/tool
                  printf '#!/bin/sh\\necho of the home\\n' > ~/.local/bin/other; chmod +x .venv/bin/tool ~/.local/bin/other";
    let replies = Bent::replies([
        calls([bash("tool; other; git --version | cut -c 1-3"), the_fix()]),
        calls([finish()]),
    ]);
    let world = world(&setup_of(script), replies).await;
    let entries = world.run(json!({ "checks": ["tool"] })).await;
    assert_eq!(results(&entries)[0], "of the project /work/.venv\nof the home\ngit\n[exit code 0]");
    assert_eq!(changed(&entries), ["calc.sh"]);
}

/// Of two commits that have the same requirements, the first hides a module where Python would look for its own, and a
/// file that no other has. Sessions on the second find what is installed, and nothing of that.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_known_installer_adds_is_found_over_another_commit() {
    let sockets = tempfile::tempdir().unwrap();
    let look = "ls -d .venv/bin/python; cat secret.txt; ls ~";
    let mut bent = Bent::replies([calls([bash(look), the_fix()]), calls([finish()])]);
    bent.egress = Some(a_way_out(OpenFor::Setup, sockets.path()).await);
    let world = World::local(bent).await;
    world.commit("requirements.txt", "# none yet\n");
    world.commit("secret.txt", "of the first\n");
    world.commit("venv.py", "raise SystemExit(1)\n");
    let first = world.run(json!({})).await;
    assert_eq!((ran(&first).len(), ran(&first)[0].exit_code), (1, 0), "{}", ran(&first)[0].output);
    assert_eq!(prepared(&first).unwrap().how, Preparation::Kept);
    assert!(results(&first)[0].starts_with(".venv/bin/python\nof the first\n"), "{:?}", results(&first));
    assert_eq!(changed(&first), ["calc.sh"]);

    world.commit("secret.txt", "of the second\n");
    world.commit("venv.py", "");
    let second = world.run(json!({})).await;
    assert_eq!(prepared(&second).unwrap().how, Preparation::Reused(first[0].session));
    assert_eq!(results(&second)[0], results(&first)[0].replace("the first", "the second"));

    world.commit("requirements.txt", "# none\n");
    assert_eq!(prepared(&world.run(json!({})).await).unwrap().how, Preparation::Kept);
    // Nor over a commit that holds something at the place.
    world.commit(".venv/bin/python", "of the repository\n");
    let last = world.run(json!({})).await;
    assert_eq!(ran(&last).len(), 1);
    assert!(matches!(prepared(&last).unwrap().how, Preparation::Kept | Preparation::ForThisSession));
}

/// A script whose name is written as no list has it: npm runs it, without the program that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn a_setup_that_needs_more_than_it_is_shown_is_made_again_for_this_commit_alone() {
    if crate::packages::npm().is_none() {
        return;
    }
    let sockets = tempfile::tempdir().unwrap();
    let mut bent = Bent::replies([calls([bash("cat ~/made; true"), the_fix()]), calls([finish()])]);
    bent.egress = Some(a_way_out(OpenFor::Setup, sockets.path()).await);
    let world = World::local(bent).await;
    let manifest = r#"{"name": "x", "version": "1.0.0", "workspaces": ["p/*"], "scripts": {"dependencies" : "sh own.sh"}}"#;
    let lock = r#"{"name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": {
        "": {"name": "x", "version": "1.0.0", "workspaces": ["p/*"]},
        "node_modules/q": {"resolved": "p/q", "link": true}, "p/q": {"name": "q", "version": "1.0.0"}}}"#;
    world.commit("p/q/package.json", r#"{"name": "q", "version": "1.0.0"}"#);
    world.commit("package.json", manifest);
    world.commit("package-lock.json", lock);
    world.commit("own.sh", "echo made > ~/made\n");
    let entries = world.run(json!({})).await;
    let codes: Vec<bool> = ran(&entries).iter().map(|ran| ran.exit_code == 0).collect();
    assert_eq!(codes, [false, true]);
    let [("setup_again", why)] = warnings(&entries)[..] else { panic!("{:?}", warnings(&entries)) };
    let told = "with the files alone that decide what is installed, `npm ci` returned 2; setup runs again with all of them, \
                for this commit alone";
    assert_eq!(why, told);
    assert_eq!(
        (&prepared(&entries).unwrap().how, results(&entries)[0]),
        (&Preparation::Kept, "made\n[exit code 0]")
    );
    let again = world.run(json!({})).await;
    assert!(matches!(prepared(&again).unwrap().how, Preparation::Reused(_)), "on this commit");
    world.commit("own.sh", "echo other > ~/made\n");
    let other = world.run(json!({})).await;
    assert_eq!((ran(&other).len(), results(&other)[0]), (2, "other\n[exit code 0]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn setup_has_the_way_out_and_the_agent_has_not() {
    let sockets = tempfile::tempdir().unwrap();
    let reach = "python3 reach.py registry.example";
    let look = format!("cat deps; {reach}");
    let mut bent = Bent::replies([calls([bash(&look), the_fix()]), calls([finish()])]);
    bent.egress = Some(a_way_out(OpenFor::Setup, sockets.path()).await);
    let world = world(&setup_of(&format!("{reach} > deps")), bent).await;
    world.commit("reach.py", REACH);
    let entries = world.run(json!({})).await;
    let told = results(&entries)[0];
    assert!(
        told.starts_with("hello\n") && told.contains("only the commands that set a project up"),
        "{told}"
    );
    let decided = entries.iter().filter_map(|entry| match &entry.event {
        Event::EgressDecided(decided) => Some((decided.host.as_str(), decided.refused.is_some())),
        _ => None,
    });
    assert_eq!(decided.collect::<Vec<_>>(), [("registry.example", false), ("registry.example", true)]);
    // The second session finds what the first one fetched, and asks for nothing.
    let again = world.run(json!({})).await;
    assert!(matches!(prepared(&again).unwrap().how, Preparation::Reused(_)));
    assert_eq!(std::fs::read_dir(sockets.path().join("egress")).unwrap().count(), 0);
}
