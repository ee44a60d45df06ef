//! Sessions that come to a bound: of dollars, for which prices must be known, and of what a model can hold.

use events::{Budget, Compacted, ContextCompacted, Entry, Event, FailureCode, Limit, Outcome, Target};
use fakes::model::{Fake, Recording};
use model::{Protocol, Served, Vendors};
use secrecy::SecretString;
use serde_json::{Value, json};
use session::Provider;

use crate::cli::backspace;
use crate::fallback::Fakes;
use crate::world::{Bent, World, bash, calls, finish, the_fix};

fn outcome(entries: &[Entry]) -> &Outcome {
    match &entries.last().unwrap().event {
        Event::SessionEnded(ended) => &ended.outcome,
        other => panic!("the last entry is {}", other.kind()),
    }
}

fn warnings(entries: &[Entry], code: &str) -> Vec<String> {
    let of = |entry: &Entry| match &entry.event {
        Event::Warned(warned) if warned.code == code => Some(warned.message.clone()),
        _ => None,
    };
    entries.iter().filter_map(of).collect()
}

/// `reply`, which costs so much.
fn costing(usd: f64, mut reply: Value) -> Value {
    reply["usage"] = json!({ "usd": usd });
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn dollars_end_a_session_and_what_exists_is_landed() {
    let mut bent = Bent::replies([
        costing(0.5, calls([bash("sh test.sh")])),
        costing(0.4, calls([the_fix()])),
        costing(0.2, calls([bash("sh test.sh")])),
        calls([finish()]),
    ]);
    bent.budget = Budget { usd: Some(3.0), ..Budget::default() };
    let world = World::local(bent).await;
    world.commit(".backspace/config.toml", "budget.usd = 1\n");
    let entries = world.run(json!({ "budget": { "usd": 2 } })).await;
    insta::assert_snapshot!(world.told(&entries));
    let Outcome::Budget { limit: Limit::Usd, delivery: Some(delivery) } = outcome(&entries) else { panic!() };
    assert!(matches!(delivery.target, Target::PullRequest { draft: true, .. }), "{delivery:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_without_a_price_is_passed_over_while_dollars_are_bounded() {
    let fakes = Fakes::start([calls([the_fix()]), calls([finish()])]).await;
    let mut bent = fakes.bent();
    bent.providers[1].config = bent.providers[1].config.clone().with_model("gpt-none");
    let world = World::local(bent).await;
    let free = world.run(json!({})).await;
    assert_eq!(warnings(&free, "provider_passed_over"), Vec::<String>::new());
    let bounded = world.run(json!({ "budget": { "usd": 5 } })).await;
    let said = "the price of gpt-none (openai) is not known, so that it takes over from nobody while dollars are bounded";
    assert_eq!(warnings(&bounded, "provider_passed_over"), [said]);
    assert!(matches!(outcome(&bounded), Outcome::Delivered(_)), "{:?}", outcome(&bounded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_s_dollars_need_a_price_before_anything_is_asked() {
    let fakes = Fakes::start([calls([finish()])]).await;
    let mut bent = fakes.bent();
    bent.providers[0].config = bent.providers[0].config.clone().with_model("claude-none");
    let world = World::local(bent).await;
    world.commit(".backspace/config.toml", "[budget]\nusd = 1\n");
    let entries = world.run(json!({})).await;
    let Outcome::Failed(failure) = outcome(&entries) else { panic!("{:?}", outcome(&entries)) };
    assert_eq!(failure.code, FailureCode::PriceUnknown);
    let reason =
        "the session is bounded in US dollars, and the price of claude-none (anthropic) is not known";
    assert_eq!(failure.reason, reason);
    assert!(failure.hint.as_ref().unwrap().contains("BACKSPACE_VENDORS"), "{failure:?}");
    assert!(fakes.fake.asked().is_empty());
}

#[test]
fn dollars_without_a_price_are_refused_at_the_door() {
    let home = tempfile::tempdir().unwrap();
    let run = |more: &[&str], settings: &[(&str, &str)]| {
        let mut command = backspace(home.path());
        command.env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1").env("OPENAI_MODEL", "my-model");
        command.envs(settings.iter().copied()).args(["run", "o/n", "x"]).args(more);
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, said) = run(&["--max-usd", "2"], &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("--max-usd cannot be taken: the price of my-model (openai) is not known."),
        "{said}"
    );
    assert!(
        said.contains("the file that BACKSPACE_VENDORS names: [openai.models.\"my-model\"] price = {"),
        "{said}"
    );
    let (code, said) = run(&[], &[("BACKSPACE_MAX_USD", "2")]);
    assert_eq!(code, Some(2), "{said}");
    let operator = "--model cannot be taken: the price of my-model (openai) is not known, and the operator bounds each \
                    session to $2.00.";
    assert!(said.contains(operator), "{said}");
    let prices = home.path().join("vendors.toml");
    let price =
        "price = { input = 1.0, output = 2.0, as_of = \"2026-11-25\", source = \"https://example.org\" }";
    std::fs::write(&prices, format!("[openai.models.\"my-model\"]\n{price}\n")).unwrap();
    let (code, said) = run(&["--max-usd", "2"], &[("BACKSPACE_VENDORS", prices.to_str().unwrap())]);
    assert_eq!(code, Some(1), "it is taken, and there is no such repository: {said}");
}

/// A command that prints much when it is run for the first time.
fn much(n: usize) -> Value {
    let script =
        format!("if mkdir /tmp/seen-{n} 2>/dev/null; then seq {n}0000 {n}3500; else echo seen {n}; fi");
    let mut reply = calls([bash(&script)]);
    let thought = json!({ "type": "thinking", "thinking": format!("Look at {n}."), "signature": "c2ln" });
    reply["content"].as_array_mut().unwrap().insert(0, thought);
    reply
}

/// The log of a session whose model holds 32,000 tokens, over the real wire to a strict stand-in.
///
/// The stand-in answers by the number of replies that it sees: after four of them with the summary; after the one that
/// is kept it goes through the rest again, which prints little then.
async fn compacted_over(vendor: &str, model: &str, protocol: Protocol) -> Vec<Entry> {
    let summary = json!({ "content": [{ "type": "text", "text": "I have seen four lists of numbers." }] });
    let replies = (1..=4).map(much).chain([summary, calls([the_fix()]), calls([finish()])]);
    let text: String = replies
        .map(|mut reply| {
            reply.as_object_mut().unwrap().remove("model");
            format!("{reply}\n")
        })
        .collect();
    let fake = Fake::new(Recording::parse(&text).unwrap());
    let running = fake.start().await.unwrap();
    let small = format!("[{vendor}.models.\"{model}\"]\ncontext = 32_000\n");
    let vendors = Vendors::built_in().with(&small).unwrap();
    let url = match protocol {
        Protocol::Anthropic => running.anthropic_url(),
        Protocol::ChatCompletions | Protocol::Responses => running.openai_url(),
    };
    let served = Served::new(vendors.get(vendor).unwrap(), SecretString::from("sk-x"), model);
    let config = model::Config::Served(served.speaking(protocol).at(url));
    let world = World::local(Bent::asking(vec![Provider { name: vendor.into(), config }])).await;
    let entries = world.run(json!({})).await;
    let refused: Vec<_> = fake.asked().into_iter().filter(|asked| asked.status != 200).collect();
    assert!(refused.is_empty(), "{refused:?}");
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_begun_again_on_every_wire() {
    for (vendor, model, protocol) in [
        ("anthropic", "claude-opus-5-5", Protocol::Anthropic),
        ("openai", "gpt-5", Protocol::ChatCompletions),
        ("openai", "gpt-5", Protocol::Responses),
        // Their makers refuse a history that others take: calls without a signature, a user right after results.
        ("gemini", "gemini-4-hydrogen", Protocol::ChatCompletions),
        ("mistral", "mistral-large-4", Protocol::ChatCompletions),
    ] {
        let entries = compacted_over(vendor, model, protocol).await;
        let of = |entry: &Entry| match &entry.event {
            Event::ContextCompacted(it) => Some(it.clone()),
            _ => None,
        };
        let compacted: Vec<ContextCompacted> = entries.iter().filter_map(of).collect();
        assert_eq!(compacted.len(), 1, "{model}: {compacted:?}");
        let ContextCompacted { how, summary, turns_kept, before_tokens, after_tokens, .. } = &compacted[0];
        assert_eq!((*how, *turns_kept), (Compacted::ByModel, 1), "{model}: {:?}", compacted[0]);
        assert!(before_tokens > after_tokens, "{model}: {before_tokens} {after_tokens}");
        assert!(summary.contains("I have seen four lists of numbers."), "{summary}");
        assert!(matches!(outcome(&entries), Outcome::Delivered(_)), "{model}: {:?}", outcome(&entries));
    }
}
