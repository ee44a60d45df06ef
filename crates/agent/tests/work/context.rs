//! A conversation that becomes too long: it is begun again, shorter, and the log has all that is needed to do the same.

use agent::{Brief, Error, Stop};
use events::{Budget, Compacted, ContextCompacted, Event, Limit, ModelReplied, Purpose};
use model::{Price, Rates, Reply, Usage};

use super::log::{Line, rebuilt};
use super::refusals::{context_full, key_refused, refused};
use super::world::Provider;
use super::{Did, FINISH, World, calls, finished, look, says};

/// A world whose provider holds `context_tokens` and says so; commands print `output`.
fn world(replies: impl IntoIterator<Item = Reply>, context_tokens: u32, output: &str) -> World {
    let mut world = World::new(replies);
    world.provider = Provider::holding(context_tokens);
    output.clone_into(&mut world.output.lock().unwrap());
    world
}

fn compactions(world: &World) -> Vec<ContextCompacted> {
    let of = |did| if let Did::Recorded(Event::ContextCompacted(it)) = did { Some(it) } else { None };
    world.did().into_iter().filter_map(of).collect()
}

/// That each request is what the log says, and that the provider refused none.
#[track_caller]
fn assert_rebuilt_and_never_too_long(world: &World) {
    let asked = world.asked();
    assert_eq!(world.refusals(), 0);
    assert_eq!(rebuilt(&world.did()), asked);
    let facts = &world.provider.facts;
    let reply = u64::from(facts.output_tokens_max.min(facts.context_tokens / 4));
    for request in &asked {
        let tokens = world.provider.tokens(request);
        assert!(
            tokens + reply <= u64::from(facts.context_tokens),
            "{tokens} tokens leave no room for a reply"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn four_hundred_turns_go_on_in_a_conversation_that_is_begun_again() {
    let replies = (0..400).map(look).chain([calls([FINISH])]);
    let mut world = world(replies, 100_000, &"a line of some forty characters, roughly\n".repeat(400));
    world.brief = Brief { task: "Mend the parser".into(), ..Brief::default() };
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_eq!(world.finished().len(), 401);
    assert_rebuilt_and_never_too_long(&world);
    let compactions = compactions(&world);
    assert!(compactions.len() > 10, "{}", compactions.len());
    for it in &compactions {
        assert_eq!((it.how, &it.why, it.result_bytes_max), (Compacted::ByModel, &None, None));
        assert!(it.turns_kept >= 3 && it.after_tokens * 10 < it.before_tokens * 7, "{it:?}");
        assert!(it.summary.contains("Your own summary:\nIn short: all is well."), "{}", it.summary);
    }
    // The task stands at the beginning, word for word, and a summary is no turn.
    let asked = world.asked();
    let first = |request: &[Line]| matches!(&request[0], Line::User(text) if text.starts_with("<task>\nMend the parser\n</task>\n"));
    assert!(asked.iter().all(|request| first(request)));
    let did = world.did();
    let of = |purpose| {
        let is = |did: &&Did| matches!(did, Did::Recorded(Event::ModelReplied(it)) if it.purpose == purpose);
        did.iter().filter(is).count()
    };
    assert_eq!((of(Purpose::Turn), of(Purpose::Summary)), (401, compactions.len()));
}

#[tokio::test(start_paused = true)]
async fn a_model_with_a_context_of_eight_thousand_tokens_can_work() {
    let replies = (0..60).map(look).chain([calls([FINISH])]);
    let world = world(replies, 8_192, &"some output\n".repeat(500));
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_rebuilt_and_never_too_long(&world);
    let compactions = compactions(&world);
    assert!(compactions.iter().any(|it| it.how == Compacted::ByRule));
    assert!(compactions.iter().all(|it| it.turns_kept >= 1), "{compactions:?}");
}

#[tokio::test(start_paused = true)]
async fn results_that_come_too_many_at_once_are_cut() {
    let many: Vec<String> = (0..40).map(|n| format!(r#"{{"command":"cat {n}"}}"#)).collect();
    let many = calls(many.iter().map(|arguments| ("bash", arguments.as_str())));
    let world = world([look(0), many, calls([FINISH])], 128_000, &"x".repeat(2_000_000));
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_rebuilt_and_never_too_long(&world);
    let compactions = compactions(&world);
    assert_eq!(compactions.len(), 1);
    assert_eq!((compactions[0].how, compactions[0].turns_kept), (Compacted::ByRule, 1));
    assert!(compactions[0].result_bytes_max.is_some());
    let last = world.asked().pop().unwrap();
    assert_eq!(last.len(), 3, "the task, the reply with its forty calls, their results");
}

#[tokio::test(start_paused = true)]
async fn a_long_task_is_kept_word_for_word() {
    let task: String = (0..5_000).map(|n| format!("{n:05} ")).collect();
    let replies = || (0..40).map(look).chain([calls([FINISH])]);
    let mut fits = world(replies(), 32_768, &"some output\n".repeat(1_000));
    fits.brief = Brief { task: task.clone(), ..Brief::default() };
    assert_eq!(fits.work(Budget::default()).await.unwrap(), finished());
    assert_rebuilt_and_never_too_long(&fits);
    assert!(!compactions(&fits).is_empty());
    let begins = format!("<task>\n{task}\n</task>");
    let whole = |request: &Vec<Line>| matches!(&request[0], Line::User(text) if text.starts_with(&begins));
    assert!(fits.asked().iter().all(whole));

    let mut too_small = world(replies(), 8_192, "");
    too_small.brief = Brief { task, ..Brief::default() };
    let error = too_small.work(Budget::default()).await.unwrap_err();
    assert!(matches!(error, Error::ContextTooSmall { tokens: 5_120, .. }), "{error}");
    assert!(too_small.asked().is_empty(), "it is not even tried");
}

/// What becomes of a conversation that gets too long once, when a request for a summary is answered with `summary`.
async fn with_summary(summary: Result<Reply, model::Error>) -> ContextCompacted {
    let world = world((0..7).map(look).chain([calls([FINISH])]), 32_768, &"some output\n".repeat(1_000));
    world.summaries.lock().unwrap().push_back(summary);
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    let mut compactions = compactions(&world);
    assert_eq!(compactions.len(), 1, "{compactions:?}");
    assert_eq!(rebuilt(&world.did()), world.asked());
    compactions.remove(0)
}

#[tokio::test(start_paused = true)]
async fn without_a_summary_of_the_model_s_the_rule_makes_one() {
    let silent = says("  ");
    let mut cut = says("In sh");
    cut.stop = model::Stop::OutputLimit;
    for (summary, why) in [
        (Err(context_full()), "the conversation is too long for the model of memory"),
        (Err(refused()), "memory refused the request (400): no"),
        (Ok(look(0)), "the model called a tool instead of summing up"),
        (Ok(silent), "the model gave no whole summary (finished)"),
        (Ok(cut), "the model gave no whole summary (output_limit)"),
    ] {
        let compacted = with_summary(summary).await;
        assert_eq!(compacted.how, Compacted::ByRule);
        assert!(compacted.why.as_ref().unwrap().starts_with(why), "{:?}", compacted.why);
        let told = "The last commands:\n- look 0 (ok)\n- look 1 (ok)\n";
        assert!(compacted.summary.contains(told) && compacted.turns_kept > 0, "{}", compacted.summary);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_holds_less_than_is_known_is_believed() {
    let mut world = world((0..60).map(look).chain([calls([FINISH])]), 20_000, &"some output\n".repeat(500));
    world.provider.facts.context_tokens = 200_000;
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_eq!(world.finished().len(), 61);
    assert_eq!(world.refusals(), 1, "once it has refused, it is not asked for as much again");
    assert_eq!(rebuilt(&world.did()), world.asked());
    let why = compactions(&world).remove(0).why.unwrap();
    assert!(why.starts_with("the conversation is too long for the model of memory (400)"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_holds_less_than_is_known_is_asked_for_replies_that_it_has_room_for() {
    // A budget has every request state how long its reply may be.
    let mut world = world((0..2).map(look).chain([calls([FINISH])]), 12_000, "");
    world.provider.reserves = true;
    world.provider.facts.context_tokens = 32_768;
    world.provider.facts.output_tokens_max = 12_000;
    assert_eq!(world.work(Budget { tokens: Some(30_000), ..Budget::default() }).await.unwrap(), finished());
    assert_eq!((world.finished().len(), world.refusals()), (3, 1));
    let why = compactions(&world).remove(0).why.unwrap();
    assert!(why.contains("maximum context length is 12000 tokens"), "{why}");
    assert_eq!(rebuilt(&world.did()), world.asked());
}

#[tokio::test(start_paused = true)]
async fn a_model_that_refuses_whatever_its_length_is_given_up() {
    let mut gives_out = world((0..30).map(look), 200_000, &"some output\n".repeat(1_000));
    gives_out.provider.gives_out_after = Some(30);
    let error = gives_out.work(Budget::default()).await.unwrap_err();
    assert!(matches!(error, Error::Model(model::Error::ContextFull { .. })), "{error}");
    assert_eq!((gives_out.refusals(), compactions(&gives_out).len()), (5, 4));

    let mut holds_nothing = world([look(0)], 100, "");
    holds_nothing.provider.facts.context_tokens = 200_000;
    let error = holds_nothing.work(Budget::default()).await.unwrap_err();
    assert!(matches!(error, Error::ContextTooSmall { .. }), "{error}");
    assert_eq!(holds_nothing.refusals(), 1);
}

/// US dollars for a million tokens.
fn costs(input: f64, cache_read: f64) -> Option<Price> {
    let usual = Rates { input, cache_write: input, cache_read, output: 0.0 };
    Some(Price { as_of: String::new(), source: String::new(), usual, long: None })
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_certain_to_cost_too_much_is_not_made() {
    // The rules and tools alone are some two thousand tokens: 2 dollars here.
    let mut world = world([look(0), look(1)], 128_000, "");
    world.provider.facts.price = costs(1000.0, 1000.0);
    let budget = |usd| Budget { usd: Some(usd), ..Budget::default() };
    assert_eq!(world.work(budget(1.0)).await.unwrap(), Stop::LimitReached(Limit::Usd));
    assert!(world.asked().is_empty() && world.finished().is_empty());
    let tokens = Budget { tokens: Some(1000), ..Budget::default() };
    assert_eq!(world.work(tokens).await.unwrap(), Stop::LimitReached(Limit::Tokens));
    assert!(world.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_has_in_its_cache_is_counted_at_its_price() {
    let run = async |cache_read| {
        let mut first = look(0);
        first.usage = Usage { cache_write: 3000, usd: Some(3.0), ..Usage::default() };
        let mut world = world([first, calls([FINISH])], 128_000, "");
        world.provider.facts.price = costs(1000.0, cache_read);
        world.work(Budget { usd: Some(5.0), ..Budget::default() }).await.unwrap()
    };
    // 3 dollars are spent, and the same 3,000 tokens are to be sent again.
    assert_eq!(run(100.0).await, finished());
    assert_eq!(run(1000.0).await, Stop::LimitReached(Limit::Usd));
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_paid_for_and_not_asked_for_when_it_cannot_be() {
    let run = async |tokens| {
        let world = world((0..9).map(look).chain([calls([FINISH])]), 32_768, &"some output\n".repeat(1_000));
        let stop = world.work(Budget { tokens, ..Budget::default() }).await.unwrap();
        (stop, compactions(&world), world)
    };
    let (_, free, world) = run(None).await;
    assert_eq!(free[0].how, Compacted::ByModel);
    let replied = |did| if let Did::Recorded(Event::ModelReplied(it)) = did { Some(it) } else { None };
    let replies: Vec<ModelReplied> = world.did().into_iter().filter_map(replied).collect();
    let at = replies.iter().position(|it| it.purpose == Purpose::Summary).unwrap();
    let (before, ModelReplied { usage, totals, .. }) = (replies[at - 1].totals, &replies[at]);
    assert!(usage.input_tokens > 10_000, "{usage:?}");
    assert_eq!(totals.tokens(), before.tokens() + usage.tokens());
    // Enough for all turns until then, and not for a summary of them.
    let (stop, bounded, _) = run(Some(before.tokens() + 10_000)).await;
    assert_eq!(bounded.len(), 1);
    assert_eq!(bounded[0].how, Compacted::ByRule);
    assert!(bounded[0].why.as_ref().unwrap().contains("leaves no room for it"), "{:?}", bounded[0].why);
    assert_eq!(stop, Stop::LimitReached(Limit::Tokens));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_takes_over_and_holds_less_is_sent_no_more_than_it_holds() {
    let mut world =
        world((0..12).map(look).chain([calls([FINISH])]), 200_000, &"some output\n".repeat(1_000));
    world.dies_after = Some(11);
    world.spare = Some(Provider::holding(32_768));
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_eq!((world.refusals(), world.asked_of_spare()), (0, 2), "nothing that is too long was sent");
    assert_eq!(rebuilt(&world.did()), world.asked());
    let compactions = compactions(&world);
    let [ContextCompacted { how: Compacted::ByRule, why: Some(why), .. }] = &compactions[..] else {
        panic!("{compactions:?}")
    };
    assert_eq!(why, "the conversation is too long for a request for a summary");
    let did = world.did();
    let switched = did.iter().position(|did| matches!(did, Did::Recorded(Event::ModelSwitched(_)))).unwrap();
    assert!(
        matches!(did[switched + 1], Did::Recorded(Event::ContextCompacted(_))),
        "{:?}",
        did[switched + 1]
    );
}

#[tokio::test(start_paused = true)]
async fn a_model_that_takes_over_a_summary_and_holds_less_is_not_asked_for_it() {
    let mut world = world((0..7).map(look).chain([calls([FINISH])]), 32_768, &"some output\n".repeat(1_000));
    world.summaries.lock().unwrap().push_back(Err(key_refused()));
    world.spare = Some(Provider::holding(16_384));
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_eq!((world.refusals(), rebuilt(&world.did())), (0, world.asked()));
    let first = compactions(&world).remove(0);
    assert_eq!(first.why.as_deref(), Some("the conversation is too long for a request for a summary"));
}
