//! Every kind of entry, and what it becomes on the wire.

use events::*;

use super::*;

/// One entry of each kind, and of each form that a kind has, in the order of a story.
fn story() -> Vec<Event> {
    [beginning(), asked(), work(), delivery()].concat()
}

fn oid(c: &str) -> Oid {
    c.repeat(40).parse().unwrap()
}

fn beginning() -> Vec<Event> {
    let main: Branch = "main".parse().unwrap();
    vec![
        Event::SessionRequested(SessionRequested { request: request(), door: "code".into() }),
        Event::AttemptStarted(AttemptStarted { release: "0.1.0".into(), conditions: None }),
        Event::StepStarted(StepStarted { step: Step::Checkout, message: "Fetching".into() }),
        Event::GitRan(GitRan {
            command: "git clone x".into(),
            output: "ok\n".into(),
            exit_code: 0,
            duration_ms: 9,
        }),
        Event::BaseChosen(BaseChosen { remote: request().remote, base: main, commit: oid("a") }),
        Event::SetupRan(SetupRan {
            command: "npm ci".into(),
            origin: SetupOrigin::Detected,
            output: "added 7 packages\n".into(),
            exit_code: 0,
            duration_ms: 900,
        }),
        prepared(Preparation::Kept),
        prepared(Preparation::ForThisSession),
        prepared(Preparation::Reused(SessionId::new(1, 2))),
        Event::SandboxOpened(SandboxOpened {
            backend: "namespaces".into(),
            enforced: vec!["no network".into(), "no capabilities".into()],
            soft: vec!["memory".into()],
            passed_over: vec!["docker: no engine answers".into()],
        }),
        Event::AgentBriefed(AgentBriefed {
            system: "s".into(),
            task: "t".into(),
            tools: vec![],
            bounds: Bounds::default(),
            known: vec![],
        }),
    ]
}

fn prepared(how: Preparation) -> Event {
    Event::TreePrepared(TreePrepared { how, commands: vec!["npm ci".into()], entries: 70, bytes: 3 << 20 })
}

/// Asking the model, and what may go wrong.
fn asked() -> Vec<Event> {
    let usage = Usage {
        input_tokens: 10,
        output_tokens: 2,
        cache_read_tokens: 3,
        cache_write_tokens: 4,
        usd: Some(0.5),
    };
    vec![
        Event::ModelReplied(ModelReplied {
            provider: "anthropic".into(),
            model: "m-1".into(),
            wire: Some("anthropic".into()),
            asked: Some("m-1".into()),
            raw: serde_json::value::RawValue::from_string("[]".into()).unwrap(),
            stop: "end_turn".into(),
            purpose: Purpose::Turn,
            usage,
            totals: usage.plus(&usage),
            duration_ms: 1200,
        }),
        Event::ModelRetried(ModelRetried {
            provider: Some("anthropic".into()),
            reason: "529 overloaded".into(),
            wait_ms: 1500,
            retry: 1,
        }),
        Event::ModelSwitched(ModelSwitched {
            from: named("anthropic", "m-1"),
            to: named("openai", "g-1"),
            reason: "anthropic is not answering: 529 overloaded".into(),
        }),
        Event::ReplyLost(ReplyLost {
            from: named("anthropic", "m-1"),
            by: CountedBy::Provider,
            usage: Usage { output_tokens: 1, ..usage },
            totals: usage.plus(&usage),
        }),
        Event::ReplyLost(ReplyLost {
            from: named("openai", "g-1"),
            by: CountedBy::Estimate,
            usage: Usage { output_tokens: 1, ..usage },
            totals: usage.plus(&usage),
        }),
    ]
}

fn work() -> Vec<Event> {
    let tool = |name: &str, shown: Shown| {
        Event::ToolFinished(ToolFinished {
            call_id: "call_1".into(),
            tool: name.into(),
            result: "for the model alone".into(),
            failed: name == "Bash",
            shown,
            saved: None,
            duration_ms: 7,
        })
    };
    vec![
        Event::Thought(Thought { text: "Où est le \u{1f41b}?".into() }),
        Event::Said(Said { text: "Two\nlines \u{2028}".into() }),
        Event::FileEdited(FileEdited {
            path: "a.py".into(),
            old: "x".into(),
            new: "y".into(),
            matched: "exact".into(),
        }),
        Event::FileEdited(FileEdited {
            path: "b.py".into(),
            old: String::new(),
            new: "z\n".into(),
            matched: "created".into(),
        }),
        tool("edit", Shown::Nothing),
        tool("read", Shown::Read { path: "a.py".into(), lines: 12 }),
        tool("search", Shown::Search { query: "TODO".into(), matches: 3 }),
        tool("bash", Shown::Bash { command: "make".into(), output: "ok".into(), exit_code: 2 }),
        tool("plan", Shown::Plan { steps: vec![PlanStep { text: "look".into(), done: true }] }),
        tool("mcp__x", Shown::Other { input: "{}".into(), output: "fine".into() }),
        tool("Bash", Shown::Other { input: "{}".into(), output: "no such tool".into() }),
        Event::AgentTold(AgentTold { text: "wrap up".into() }),
        reached(None, 12),
        reached(Some("this host is not on the list"), 3),
        Event::CheckRan(CheckRan {
            command: "make test".into(),
            exit_code: 0,
            output: "ok".into(),
            phase: CheckPhase::After,
            duration_ms: 30,
        }),
    ]
}

fn reached(refused: Option<&str>, times: u64) -> Event {
    let refused = refused.map(|reason| EgressRefused { code: "not_listed".into(), reason: reason.into() });
    let (host, port) = ("registry.example".into(), Some(443));
    Event::EgressDecided(EgressDecided {
        host,
        port,
        refused,
        times,
        sent_bytes: 517,
        received_bytes: 80_000,
    })
}

fn delivery() -> Vec<Event> {
    let main: Branch = "main".parse().unwrap();
    vec![
        Event::CommitMade(CommitMade {
            commit: oid("b"),
            base: oid("a"),
            files: vec![FileStat { path: "a.py".into(), added: Some(1), deleted: Some(1) }],
            title: "Fix it".into(),
            summary: "Fixed.".into(),
        }),
        Event::BranchPushed(BranchPushed { branch: "backspace/fix".parse().unwrap(), commit: oid("b") }),
        Event::PullRequestOpened(PullRequestOpened {
            target: pull_request(),
            base: main,
            title: "Fix it".into(),
            adopted: false,
        }),
        Event::Warned(Warned {
            code: "submodule_skipped".into(),
            message: "A submodule stays as it is".into(),
        }),
        Event::CancelRequested(CancelRequested { reason: "asked".into() }),
        Event::ContextCompacted(ContextCompacted {
            before_tokens: 164_000,
            after_tokens: 40_000,
            how: Compacted::ByModel,
            why: None,
            summary: "for the model alone".into(),
            turns_kept: 3,
            result_bytes_max: None,
        }),
        Event::LimitReached(LimitReached {
            limit: Limit::Turns,
            whose: Some(Whose::Repository),
            about: "40 turns".into(),
        }),
        Event::LimitReached(LimitReached {
            limit: Limit::Stuck,
            whose: None,
            about: "the same again".into(),
        }),
    ]
}

fn request() -> Request {
    let (scheme, host) = ("https".into(), "github.com".into());
    Request {
        remote: Remote::Hosted(Hosted { scheme, host, owner: "o".into(), name: "n".into() }),
        prompt: "Fix it".into(),
        branch: None,
        base: None,
        title: None,
        draft: false,
        provider: None,
        model: None,
        publish: Publish::Pr,
        setup: SetupWish::AsFound,
        checks: vec![],
        budget: Budget::default(),
    }
}

fn pull_request() -> Target {
    Target::PullRequest {
        url: "https://github.com/o/n/pull/7".into(),
        number: 7,
        branch: "backspace/fix".parse().unwrap(),
        draft: false,
        compare_url: Some("https://github.com/o/n/compare/main...backspace/fix".into()),
    }
}

/// Every way in which a session can end.
fn endings() -> Vec<(&'static str, Outcome)> {
    let delivery = |target: Target, files: usize| Delivery {
        target,
        base: "main".parse().unwrap(),
        base_commit: oid("a"),
        commit: oid("b"),
        files: (0..files)
            .map(|n| FileStat { path: format!("{n}.py"), added: Some(n as u64), deleted: None })
            .collect(),
        title: "Fix it".into(),
        summary: "Fixed – at last.".into(),
    };
    let branch = || "backspace/fix".parse::<Branch>().unwrap();
    let failure = |saved: Option<Saved>| Failure {
        code: FailureCode::PushRejected,
        step: Step::Publish,
        reason: "the branch is protected.".into(),
        hint: Some("Name another branch.".into()),
        saved,
    };
    let on_branch =
        Saved::Branch { branch: branch(), commit: oid("c"), compare_url: Some("https://x/compare".into()) };
    let in_file = || Saved::Patch { path: "/secret/place/x.patch".into(), commit: oid("c") };
    let pushed = Target::Branch { branch: branch(), compare_url: None };
    let patch = Target::Patch { path: "/secret/place/x.patch".into() };
    vec![
        ("pull_request", Outcome::Delivered(delivery(pull_request(), 2))),
        ("branch", Outcome::Delivered(delivery(pushed, 1))),
        ("patch", Outcome::Delivered(delivery(patch, 1))),
        ("unchanged", Outcome::Unchanged { summary: "All is well.".into() }),
        ("budget", Outcome::Budget { limit: Limit::Turns, delivery: Some(delivery(pull_request(), 1)) }),
        ("budget_with_nothing", Outcome::Budget { limit: Limit::Tokens, delivery: None }),
        ("cancelled", Outcome::Cancelled { saved: Some(in_file()) }),
        ("failed", Outcome::Failed(failure(None))),
        ("failed_with_branch", Outcome::Failed(failure(Some(on_branch)))),
        ("failed_with_patch", Outcome::Failed(failure(Some(in_file())))),
    ]
}

fn entry(seq: u64, event: Event) -> Entry {
    Entry {
        tenant: Tenant::default(),
        session: SessionId::new(1_700_000_000_000_000, 5),
        seq,
        attempt: 1,
        at_us: 1_700_000_000_000_000 + i64::try_from(seq).unwrap(),
        actor: event.actor(),
        event,
    }
}

fn named(provider: &str, model: &str) -> Named {
    Named { provider: provider.into(), model: model.into() }
}

fn used(provider: &str, model: &str, turns: u32) -> ModelUse {
    let usage = Usage { input_tokens: 40, output_tokens: 10, cache_read_tokens: 5, ..Usage::zero() };
    ModelUse { provider: provider.into(), model: model.into(), turns, usage }
}

fn ended(outcome: Outcome) -> Entry {
    let thoughts = Thoughts { count: 6, recent: vec![(4, "hm".into()), (5, "aha".into())] };
    let telemetry = Telemetry {
        turns: 5,
        input_tokens: 100,
        output_tokens: 20,
        usd: None,
        duration_ms: 61_000,
        provider: Some("anthropic".into()),
        model: Some("m-1".into()),
        models: vec![used("openai", "g-1", 2), used("anthropic", "m-1", 3)],
        thoughts,
    };
    entry(99, Event::SessionEnded(SessionEnded { outcome, telemetry }))
}

#[test]
fn each_kind_of_entry_on_the_wire() {
    let lines: Vec<String> = story()
        .into_iter()
        .zip(1..)
        .map(|(event, seq)| {
            let kind = event.kind();
            let sent = super::event(&entry(seq, event)).map(|event| event.to_sse());
            format!("== {kind}\n{}", sent.as_deref().unwrap_or("(nothing)\n\n"))
        })
        .collect();
    insta::assert_snapshot!(lines.concat());
}

#[test]
fn each_ending_in_each_form() {
    for (name, outcome) in endings() {
        let entry = ended(outcome);
        let forms = [Form::Own, Form::ApiV1Code, Form::ApiCode].map(|form| {
            let event = event_in(form, &entry).unwrap();
            assert!(event.is_final && event.json.is_ascii());
            assert!(!event.json.contains("/secret/place"), "paths of this machine are not told");
            let value: serde_json::Value = serde_json::from_str(&event.json).unwrap();
            format!("== {form:?}\n{}\n", serde_json::to_string_pretty(&value).unwrap())
        });
        insta::assert_snapshot!(format!("ending_{name}"), forms.concat());
    }
}

#[test]
fn every_kind_of_entry_was_tried() {
    let mut seen: Vec<&str> = story().iter().map(Event::kind).collect();
    seen.push("session_ended");
    for kind in Event::KINDS {
        assert!(seen.contains(kind), "{kind} is missing in the story of this test");
    }
}

#[test]
fn each_event_has_the_fields_that_the_catalogue_names() {
    let names = |kind: &Kind| {
        let own = kind.fields.as_ref().map(|own| serde_json::json!(own)).unwrap_or_default();
        let parts = own["allOf"].as_array().cloned().unwrap_or_else(|| vec![own.clone()]);
        let named =
            parts.iter().filter_map(|part| part["properties"].as_object()).flat_map(|p| p.keys().cloned());
        named.collect::<Vec<_>>()
    };
    let catalogue = catalogue();
    let mut entries: Vec<Entry> = story().into_iter().map(|event| entry(1, event)).collect();
    entries.extend(endings().into_iter().map(|(_, outcome)| ended(outcome)));
    for entry in &entries {
        let Some(event) = super::event(entry) else { continue };
        let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&event.json).unwrap();
        let name = value["type"].as_str().unwrap();
        let kind = catalogue.iter().find(|kind| kind.name == name);
        let kind = kind.unwrap_or_else(|| {
            assert!(name.starts_with("Tool: "), "{name} is not in the catalogue");
            catalogue.iter().find(|kind| kind.name == "Tool: NAME").unwrap()
        });
        let mut known = names(kind);
        known.extend(["type", "timestamp", "message"].map(str::to_owned));
        if name == "Usage" {
            known.extend(
                ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "usd"]
                    .map(str::to_owned),
            );
        }
        for field in value.keys() {
            assert!(known.contains(field), "{name} has a field {field} that the catalogue does not name");
        }
    }
}

#[test]
fn an_event_is_one_id_line_and_one_data_line_whatever_is_in_it() {
    let text = "a\r\nb\u{85}\u{2028}\n\nid: 7\ndata: x\n\nevent: y \0";
    let event = super::event(&entry(3, Event::Said(Said { text: text.into() }))).unwrap();
    let sent = event.to_sse();
    let lines: Vec<&str> = sent.split('\n').collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0] == "id: 3" && lines[1].starts_with("data: {") && lines[2..] == ["", ""]);
    assert!(sent.is_ascii() && !sent.contains('\r'));
    let back: serde_json::Value = serde_json::from_str(&lines[1]["data: ".len()..]).unwrap();
    assert_eq!(back["message"], text);
}

#[test]
fn beyond_a_hundred_files_there_is_a_count() {
    let mut outcome = endings().remove(0).1;
    if let Outcome::Delivered(delivery) = &mut outcome {
        delivery.files = vec![FileStat { path: "x".into(), added: None, deleted: None }; 250];
    }
    let event = super::event(&ended(outcome)).unwrap();
    let value: serde_json::Value = serde_json::from_str(&event.json).unwrap();
    assert_eq!(value["files_changed"].as_array().unwrap().len(), 100);
    assert_eq!(value["files_changed_count"], 250);
}
