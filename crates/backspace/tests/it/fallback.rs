//! Sessions whose provider does not answer: another one goes on, and everything that tells of the session says so.

use std::time::Duration;

use events::{Event, FailureCode, Outcome, Target};
use fakes::model::{Fake, Fault, Recording, Running};
use model::{Protocol, Served, Vendors};
use secrecy::SecretString;
use serde_json::{Value, json};
use session::Provider;

use crate::world::{Bent, World, bash, calls, finish, the_fix, tool};

pub(crate) const KEY: &str = "sk-canary-0123456789-abcdefghijklmnopqrst";

/// Both wires of one stand-in: what is to fail, fails whoever is asked next.
pub(crate) struct Fakes {
    pub(crate) fake: Fake,
    running: Running,
}

impl Fakes {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Value>) -> Self {
        // Whoever is asked answers under its own name.
        let unnamed = replies.into_iter().map(|mut reply| {
            reply.as_object_mut().unwrap().remove("model");
            format!("{reply}\n")
        });
        let fake = Fake::new(Recording::parse(&unnamed.collect::<String>()).unwrap());
        let running = fake.start().await.unwrap();
        Self { fake, running }
    }

    pub(crate) fn fail(&self, status: u16, times: usize) {
        (0..times).for_each(|_| self.fake.fail_next(Fault::status(status)));
    }

    /// Where the wires of OpenAI are.
    pub(crate) fn openai_url(&self) -> String {
        self.running.openai_url()
    }

    /// Anthropic first, OpenAI after it, and pauses of a millisecond.
    pub(crate) fn bent(&self) -> Bent {
        let served = |vendor: &str, model: &str| {
            Served::new(Vendors::built_in().get(vendor).unwrap(), SecretString::from(KEY), model)
        };
        let claude = served("anthropic", "claude-opus-5-5").at(self.running.anthropic_url());
        let gpt = served("openai", "gpt-5").speaking(Protocol::ChatCompletions).at(self.running.openai_url());
        let configs = [("anthropic", model::Config::Served(claude)), ("openai", model::Config::Served(gpt))];
        let providers = configs.map(|(name, config)| Provider { name: name.into(), config });
        let pause = Duration::from_millis(1);
        let retry =
            model::Policy { wait_min: pause, wait_max: pause, tries_max: 4, ..model::Policy::default() };
        Bent { retry, ..Bent::asking(providers.into()) }
    }

    /// The paths that were asked, in order, with the status of each answer.
    fn asked(&self) -> Vec<(String, u16)> {
        self.fake.asked().into_iter().map(|asked| (asked.path, asked.status)).collect()
    }
}

fn replies() -> Vec<Value> {
    vec![
        calls([tool("read", json!({ "path": "calc.sh" })), bash("sh test.sh")]),
        calls([the_fix()]),
        calls([bash("sh ./test.sh")]),
        calls([finish()]),
    ]
}

fn page(entries: &[events::Entry]) -> String {
    let Event::SessionEnded(ended) = &entries.last().unwrap().event else { panic!() };
    let Outcome::Delivered(delivery) = &ended.outcome else { panic!("{:?}", ended.outcome) };
    let Target::PullRequest { url, .. } = &delivery.target else { panic!("{delivery:?}") };
    std::fs::read_to_string(url.strip_prefix("file://").unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_goes_on_in_the_middle_and_everything_names_both() {
    let fakes = Fakes::start(replies()).await;
    let world = World::local(fakes.bent()).await;
    fakes.fake.pass_next();
    fakes.fail(529, 3);
    let entries = world.run(json!({})).await;
    insta::assert_snapshot!(world.told(&entries));
    let page = page(&entries);
    let names = "Made by backspace with `claude-opus-5-5` (anthropic), then `gpt-5` (openai), session";
    assert!(page.contains(names), "{page}");
    let (claude, gpt) = ("/v1/messages", "/v1/chat/completions");
    let asked =
        [(claude, 200), (claude, 529), (claude, 529), (claude, 529), (gpt, 200), (gpt, 200), (gpt, 200)];
    assert_eq!(fakes.asked(), asked.map(|(path, status)| (path.to_owned(), status)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_only_thinks_is_told_to_go_on_and_kept() {
    let thought = |stop: &str| {
        let thinking = json!({ "type": "thinking", "thinking": "Where to begin?", "signature": "c2ln" });
        json!({ "content": [thinking], "stop": stop })
    };
    let fakes =
        Fakes::start([thought("end_turn"), thought("max_tokens"), calls([the_fix()]), calls([finish()])])
            .await;
    let world = World::local(fakes.bent()).await;
    let entries = world.run(json!({})).await;
    assert!(page(&entries).contains("Made by backspace with `claude-opus-5-5` (anthropic), session"));
    assert_eq!(fakes.asked(), vec![("/v1/messages".to_owned(), 200); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_named_is_asked_first_and_left_at_once_when_its_key_is_refused() {
    let fakes = Fakes::start(replies()).await;
    let world = World::local(fakes.bent()).await;
    fakes.fail(401, 1);
    let entries = world.run(json!({ "provider": "openai", "model": "gpt-5-mini" })).await;
    let switched: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::ModelSwitched(switched) => {
                Some((&*switched.from.model, &*switched.to.model, &*switched.reason))
            }
            _ => None,
        })
        .collect();
    let [("gpt-5-mini", "claude-opus-5-5", reason)] = switched[..] else { panic!("{switched:?}") };
    assert!(reason.starts_with("openai refused the API key (401)") && !reason.contains(KEY), "{reason}");
    assert!(page(&entries).contains("Made by backspace with `claude-opus-5-5` (anthropic), session"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_answers_the_work_is_kept_and_the_last_error_told() {
    let fakes = Fakes::start(replies()).await;
    let world = World::hosted(fakes.bent()).await;
    (0..2).for_each(|_| fakes.fake.pass_next());
    fakes.fail(503, 8);
    let entries = world.run(json!({})).await;
    let Event::SessionEnded(ended) = &entries.last().unwrap().event else { panic!() };
    let Outcome::Failed(failure) = &ended.outcome else { panic!("{:?}", ended.outcome) };
    assert_eq!(failure.code, FailureCode::ModelUnavailable);
    assert!(failure.reason.contains("is not answering") && failure.saved.is_some(), "{failure:?}");
    // Each was asked as often as the policy says, the first one twice more for the turns that it took.
    assert_eq!(fakes.asked().len(), 2 + 8);
    let uses: Vec<_> = ended.telemetry.models.iter().map(|used| (&*used.provider, used.turns)).collect();
    assert_eq!(uses, [("anthropic", 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_reply_that_broke_off_are_counted_once() {
    let used = json!({ "input_tokens": 100, "output_tokens": 10 });
    let mut replies = replies();
    replies.iter_mut().for_each(|reply| reply["usage"] = used.clone());
    let fakes = Fakes::start(replies).await;
    let world = World::local(fakes.bent()).await;
    fakes.fake.fail_next(Fault::Cut);
    let entries = world.run(json!({ "provider": "anthropic" })).await;
    let lost: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::ReplyLost(lost) => Some((lost.usage.input_tokens, lost.totals.input_tokens)),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [(100, 100)]);
    let Event::SessionEnded(ended) = &entries.last().unwrap().event else { panic!() };
    assert_eq!((ended.telemetry.turns, ended.telemetry.input_tokens), (4, 500));
    assert_eq!(ended.telemetry.models[0].usage.input_tokens, 500);
}
