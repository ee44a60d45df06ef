//! One story per outcome: the log of the session as a snapshot, and what it left in the repository.

use std::time::Duration;

use events::{Budget, Entry, Event, FailureCode, Limit, Outcome, Saved, Step, Target};
use fakes::forge::Bend;
use serde_json::json;

use crate::world::{Bent, World, bash, calls, finish, git, the_fix, tool};

/// Fails first, is fixed, passes.
fn good_replies() -> Vec<serde_json::Value> {
    vec![
        calls([tool("read", json!({ "path": "calc.sh" })), bash("sh test.sh")]),
        calls([the_fix()]),
        calls([bash("sh test.sh")]),
        calls([finish()]),
    ]
}

fn outcome(entries: &[events::Entry]) -> &Outcome {
    match &entries.last().unwrap().event {
        Event::SessionEnded(ended) => &ended.outcome,
        other => panic!("the last entry is {}", other.kind()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_repository_gets_a_pull_request() {
    let world = World::local(Bent::replies(good_replies())).await;
    let entries = world.run(json!({ "checks": ["sh test.sh"] })).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    let Target::PullRequest { branch, url, .. } = &delivery.target else { panic!("{delivery:?}") };
    assert_eq!(world.git(&["rev-parse", branch.as_str()]), delivery.commit.as_str());
    assert_eq!(world.git(&["diff", "--numstat", &format!("main...{branch}")]), "1\t1\tcalc.sh");
    let page = std::fs::read_to_string(url.strip_prefix("file://").unwrap()).unwrap();
    assert!(page.contains("+  echo $(($1 + $2))") && page.contains("| `sh test.sh` | 0 |"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosted_repository_gets_a_pull_request() {
    let world = World::hosted(Bent::replies(good_replies())).await;
    let entries = world.run(json!({ "branch": "fix/add", "title": "Add, do not subtract" })).await;
    insta::assert_snapshot!(world.told(&entries));
    let open = world.forge.as_ref().unwrap().pull_requests("octo/calc").await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(world.git(&["show", "fix/add:calc.sh"]), "add() {\n  echo $(($1 + $2))\n}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changed_is_an_outcome_of_its_own() {
    let world = World::local(Bent::replies([
        calls([bash("touch README.md; chmod 600 calc.sh; echo x > t && rm t")]),
        calls([finish()]),
    ]))
    .await;
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
    assert!(matches!(outcome(&entries), Outcome::Unchanged { .. }));
    assert_eq!(world.git(&["branch", "--list", "--format=%(refname:short)"]), "main");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_lands_what_exists() {
    let world = World::hosted(Bent::replies(good_replies())).await;
    let entries = world.run(json!({ "budget": { "turns": 2 } })).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Budget { delivery: Some(delivery), .. } = outcome(&entries) else { panic!() };
    assert!(matches!(delivery.target, Target::PullRequest { draft: true, .. }), "{delivery:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_without_work_opens_nothing() {
    let world = World::hosted(Bent::replies(good_replies())).await;
    let entries = world.run(json!({ "budget": { "turns": 1 } })).await;
    assert!(matches!(outcome(&entries), Outcome::Budget { delivery: None, .. }), "{:?}", outcome(&entries));
    assert!(world.forge.as_ref().unwrap().pull_requests("octo/calc").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_narrows_what_may_be_used_up() {
    let mut bent = Bent::replies(good_replies());
    bent.budget = Budget { turns: Some(3), minutes: Some(10), ..Budget::default() };
    let world = World::local(bent).await;
    world.commit(".backspace/config.toml", "[budget]\nturns = 2\nminutes = 20\n\n[budgt]\nturns = 1\n");
    let entries = world.run(json!({ "budget": { "turns": 4 } })).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Budget { limit: Limit::Turns, delivery: Some(delivery) } = outcome(&entries) else {
        panic!()
    };
    let Target::PullRequest { url, draft: true, .. } = &delivery.target else { panic!("{delivery:?}") };
    let page = std::fs::read_to_string(url.strip_prefix("file://").unwrap()).unwrap();
    let unfinished = "The budget of turns ended the work (2 turns, set by the repository)";
    assert!(page.contains(unfinished) && page.contains("| `sh test.sh` | 1 |"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_in_circles_is_told_and_what_exists_is_landed() {
    let plan = tool("plan", json!({ "steps": [{ "text": "Say what it does", "done": false }] }));
    let again = (0..20).map(|_| calls([bash("grep -rn nothing .")]));
    let world = World::local(Bent::replies([calls([the_fix(), plan])].into_iter().chain(again))).await;
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Budget { limit: Limit::Stuck, delivery: Some(delivery) } = outcome(&entries) else {
        panic!()
    };
    let Target::PullRequest { url, draft: true, .. } = &delivery.target else { panic!("{delivery:?}") };
    let page = std::fs::read_to_string(url.strip_prefix("file://").unwrap()).unwrap();
    assert!(
        page.contains("Going in circles ended the work") && page.contains("- [ ] Say what it does"),
        "{page}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_megabytes_of_output_are_kept_and_paged() {
    let page = json!({ "path": "/tmp/output-1.txt", "first_line": 250_000, "lines": 2 });
    let world = World::local(Bent::replies([
        calls([bash("seq 300000"), the_fix()]),
        calls([tool("read", page)]),
        calls([finish()]),
    ]))
    .await;
    let entries = world.run(json!({})).await;
    let result = |name: &str| {
        let of = |entry: &Entry| match &entry.event {
            Event::ToolFinished(done) if done.tool == name => Some(done.result.clone()),
            _ => None,
        };
        entries.iter().find_map(of).unwrap()
    };
    let printed = result("bash");
    assert!(
        printed.len() < 24 * 1024 && printed.starts_with("1\n2\n") && printed.contains("\n300000\n"),
        "{printed}"
    );
    assert!(printed.contains(" bytes left out; all of it is in /tmp/output-1.txt …]"), "{printed}");
    let expected =
        "250000\t250000\n250001\t250001\n[lines 250000 to 250001 of 300000; page on with first_line 250002]";
    assert_eq!(result("read"), expected);
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!(delivery.files.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_session_keeps_its_work_as_a_patch() {
    let world =
        World::local(Bent::replies([calls([the_fix()]), calls([bash("touch started; sleep 600")])])).await;
    let id = world.submit(json!({})).await;
    // The fix is saved; the command that follows never ends by itself.
    let mut seq = 0;
    while !world
        .sessions
        .state(id)
        .await
        .unwrap()
        .is_some_and(|state| state.saved.is_some() && state.turns == 2)
    {
        seq += 1;
        assert!(seq < 3000, "the session does not get to its second turn");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.sessions.cancel(id, "asked").await.unwrap(), session::Cancelled::Asked);
    let entries = world.until_the_end(id).await;
    let Outcome::Cancelled { saved: Some(Saved::Patch { path, .. }) } = outcome(&entries) else {
        panic!("{:?}", outcome(&entries))
    };
    assert!(std::fs::read_to_string(path).unwrap().contains("+  echo $(($1 + $2))"));
    assert_eq!(world.sessions.cancel(id, "asked").await.unwrap(), session::Cancelled::AlreadyEnded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_touches_no_remote() {
    let world = World::hosted(Bent::replies(good_replies())).await;
    let entries = world.run(json!({ "publish": "patch" })).await;
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    let Target::Patch { path } = &delivery.target else { panic!("{delivery:?}") };
    let clone = world.home.path().join("clone");
    git(world.home.path(), &["clone", "--quiet", "calc", "clone"]);
    git(&clone, &["apply", path]);
    assert_eq!(git(&clone, &["diff", "--numstat"]), "1\t1\tcalc.sh");
    assert_eq!(world.git(&["branch", "--list", "--format=%(refname:short)"]), "main");
}

/// Runs a session that fails and gives step and code; the log is the caller's to look at.
async fn fails(world: &World, fields: serde_json::Value) -> (Step, FailureCode, Option<Saved>) {
    let entries = world.run(fields).await;
    match outcome(&entries) {
        Outcome::Failed(failure) => (failure.step, failure.code, failure.saved.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_repository_fails_at_preflight() {
    let mut world = World::hosted(Bent::replies(good_replies())).await;
    world.repository = world.repository.replace("calc", "nothing");
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_repository_fails_before_it_costs_anything() {
    let world = World::hosted(Bent::replies(good_replies())).await;
    world.forge.as_ref().unwrap().bend("octo/calc", &Bend::Archived).unwrap();
    assert_eq!(fails(&world, json!({})).await, (Step::Preflight, FailureCode::ForgeRefused, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_base_fails_at_checkout() {
    let world = World::local(Bent::replies(good_replies())).await;
    let entries = world.run(json!({ "base": "release/9" })).await;
    insta::assert_snapshot!(world.told(&entries));
    let to_its_base = fails(&world, json!({ "branch": "main" })).await;
    assert_eq!(to_its_base, (Step::Checkout, FailureCode::ChangeRefused, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_sandbox_fails_at_provision() {
    let mut bent = Bent::replies(good_replies());
    let missing = Some("/nonexistent/bwrap".into());
    bent.sandbox = sandbox::Config::Namespaces(sandbox::namespaces::Config {
        bubblewrap: missing,
        ..Default::default()
    });
    let world = World::local(bent).await;
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_gives_up_fails_at_work_and_the_work_is_on_a_branch() {
    let world = World::hosted(Bent::replies([calls([the_fix()])])).await;
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Failed(failure) = outcome(&entries) else { panic!() };
    let Some(Saved::Branch { branch, commit, .. }) = &failure.saved else { panic!("{failure:?}") };
    assert_eq!(world.git(&["rev-parse", branch.as_str()]), commit.as_str());
    assert!(world.forge.as_ref().unwrap().pull_requests("octo/calc").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_outlives_its_time_fails_at_check_and_the_work_is_kept() {
    let mut bent = Bent::replies(good_replies());
    bent.policy.lifetime = Duration::from_secs(12);
    let world = World::local(bent).await;
    let entries = world.run(json!({ "checks": ["sleep 30"] })).await;
    insta::assert_snapshot!(world.told(&entries));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_of_somebody_else_is_not_overwritten() {
    let world = World::hosted(Bent::replies(good_replies())).await;
    world.git(&["branch", "theirs", "main"]);
    let before = world.git(&["rev-parse", "theirs"]);
    let entries = world.run(json!({ "branch": "theirs" })).await;
    insta::assert_snapshot!(world.told(&entries));
    assert_eq!(world.git(&["rev-parse", "theirs"]), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once() {
    let world = World::local(Bent::replies(good_replies())).await;
    let (id, request) = (world.sessions.new_id(), world.request(json!({ "base": "release/9" })));
    world.sessions.submit_as(id, request.clone(), "story").await.unwrap();
    let left = world.sessions.left(id);
    let again = world.sessions.submit_as(id, request.clone(), "story").await;
    assert!(matches!(again, Err(session::SubmitError::Exists(there)) if there == id), "{again:?}");
    left.await;
    // Whoever waited for its owner to leave finds it ended and its place free.
    assert!(world.sessions.state(id).await.unwrap().unwrap().status.is_final());
    assert_eq!(world.sessions.living(), 0);
    let after = world.sessions.submit_as(id, request, "story").await;
    assert!(matches!(after, Err(session::SubmitError::Exists(there)) if there == id), "{after:?}");
    assert_eq!(world.sessions.living(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_too_large_is_the_agent_s_to_mend() {
    let many = "mkdir many; seq 50001 | (cd many; xargs touch)";
    let world = World::local(Bent::replies([
        calls([the_fix()]),
        calls([bash(many)]),
        calls([bash("rm -r many")]),
        calls([finish()]),
    ]))
    .await;
    let entries = world.run(json!({})).await;
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!(delivery.files.len(), 1);
    let told = world.told(&entries);
    assert!(told.contains("[note: the change is too large to be kept"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_the_model_was_told_is_in_no_commit() {
    let leak =
        tool("write", json!({ "path": "leak.txt", "content": format!("token: {}\n", crate::world::TOKEN) }));
    let world = World::hosted(Bent::replies([calls([the_fix(), leak]), calls([finish()])])).await;
    let entries = world.run(json!({})).await;
    let Outcome::Delivered(delivery) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!(delivery.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["calc.sh"]);
    assert!(world.told(&entries).contains("leak.txt holds a secret and is not part of the change"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_git_refuses_is_kept_as_a_patch() {
    let modules = "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = --upload-pack=id\\n' > .gitmodules";
    let world = World::local(Bent::replies([calls([the_fix(), bash(modules)]), calls([finish()])])).await;
    let entries = world.run(json!({})).await;
    let Outcome::Failed(failure) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!((failure.step, failure.code), (Step::Publish, FailureCode::ChangeRefused));
    let Some(Saved::Patch { path, .. }) = &failure.saved else { panic!("{failure:?}") };
    assert!(std::fs::read_to_string(path).unwrap().contains("+  echo $(($1 + $2))"));
}
