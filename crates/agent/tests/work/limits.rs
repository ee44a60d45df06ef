//! What ends the work before it is done: a budget, the clock, a cancel.

use std::time::Duration;

use agent::{Error, Stop};
use events::{Budget, CountedBy, Event, Limit};
use model::{Delta, Rates, Usage, Wire};

use super::world::Provider;
use super::{Did, World, calls, commit, look};

const LOOK: (&str, &str) = ("bash", r#"{"command":"sleep 0"}"#);

/// That the last thing written down is which limit was reached.
#[track_caller]
fn assert_ended_by(limit: Limit, stop: &Result<Stop, Error>, world: &World) {
    assert!(matches!(stop, Ok(Stop::LimitReached(reached)) if *reached == limit), "{stop:?}");
    let last = world.did().pop();
    let said = matches!(&last, Some(Did::Recorded(Event::LimitReached(reached))) if reached.limit == limit);
    assert!(said, "{last:?}");
}

/// What comes of `world` when it is cancelled after a minute.
async fn cancelled_after_a_minute(world: &World) -> Stop {
    let cancel = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        world.cancel.cancel();
    };
    let (stop, ()) = tokio::join!(world.work(Budget::default()), cancel);
    stop.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_turns_and_the_tokens_are_counted() {
    let world = World::new([calls([LOOK]), calls([LOOK]), calls([LOOK])]);
    let stop = world.work(Budget { turns: Some(2), ..Budget::default() }).await;
    assert_ended_by(Limit::Turns, &stop, &world);
    assert_eq!(world.finished().len(), 2);

    let counted = || {
        let mut reply = calls([LOOK]);
        reply.usage.input = 4000;
        reply
    };
    let world = World::new([counted(), counted(), counted()]);
    let stop = world.work(Budget { tokens: Some(10_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Tokens, &stop, &world);
    // 8,002 tokens are used, and another call would need some 4,000.
    assert_eq!(world.finished().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_agent_is_told_once_of_each_budget_that_nears_its_end() {
    let world = World::new(
        (0..20).map(|n| calls([("bash", [r#"{"command":"a"}"#, r#"{"command":"b"}"#][n / 2 % 2])])),
    );
    let stop = world.work(Budget { turns: Some(10), tokens: Some(1_000_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Turns, &stop, &world);
    assert_eq!(world.reached(), "10 turns");
    let told = world.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Nearly used up of what this session may use: 8 of 10 turns. Come to an end now")
    );
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_dollars_ends_the_work_and_money_that_cannot_be_counted_is_not_spent() {
    let costs = |usd| {
        let mut reply = calls([LOOK]);
        reply.usage.usd = usd;
        reply
    };
    let budget = Budget { usd: Some(1.0), ..Budget::default() };
    let world = World::new([costs(Some(0.5)), costs(Some(0.4)), costs(Some(0.1)), costs(Some(0.1))]);
    let stop = world.work(budget).await;
    assert_ended_by(Limit::Usd, &stop, &world);
    assert_eq!((world.finished().len(), world.reached().as_str()), (3, "$1.00"));
    assert!(world.told()[0].contains("$0.90 of $1.00"), "{:?}", world.told());

    let world = World::new([costs(None), costs(None)]);
    let stop = world.work(budget).await;
    assert_ended_by(Limit::Usd, &stop, &world);
    assert_eq!(world.finished().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_does_not_answer_ends_with_the_time() {
    let world = World::new([]);
    let begun = tokio::time::Instant::now();
    let stop = world.work(Budget { minutes: Some(10), ..Budget::default() }).await;
    assert_ended_by(Limit::Minutes, &stop, &world);
    assert!(begun.elapsed() < Duration::from_secs(601), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_a_budget_the_time_of_the_sandbox_counts() {
    let begun = tokio::time::Instant::now();
    let world = World::new((0..30).map(|_| calls([("bash", r#"{"command":"sleep 300"}"#)])));
    let stop = world.work(Budget::default()).await;
    assert_ended_by(Limit::Minutes, &stop, &world);
    assert!(begun.elapsed() < Duration::from_secs(3601), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_time_ends_within_a_reply_and_every_call_is_answered() {
    let begun = tokio::time::Instant::now();
    let world = World::new([calls([("bash", r#"{"command":"sleep 250"}"#); 12])]);
    let stop = world.work(Budget { minutes: Some(10), ..Budget::default() }).await;
    assert_ended_by(Limit::Minutes, &stop, &world);
    assert!(begun.elapsed() < Duration::from_secs(601), "{:?}", begun.elapsed());

    let timeouts: Vec<u64> =
        world.ran().iter().map(|(_, timeout)| timeout.as_secs_f64().round() as u64).collect();
    assert_eq!(timeouts, [600, 350, 100]);
    let finished = world.finished();
    let ids: Vec<String> = finished.iter().map(|done| done.call_id.clone()).collect();
    assert_eq!(ids, (0..12).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(finished[..2].iter().all(|done| !done.failed && done.result == "[exit code 0]"));
    assert!(finished[2].result.ends_with("the time for the task is up]"), "{}", finished[2].result);
    assert_eq!(finished[2].saved, Some(commit()));
    assert!(finished[3..].iter().all(|done| done.failed && done.result == "Not run: the time is up."));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_the_model_thinks_ends_the_work() {
    let world = World::new([calls([LOOK])]);
    assert_eq!(cancelled_after_a_minute(&world).await, Stop::Cancelled);
    assert_eq!(world.finished().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_while_the_model_sums_up_ends_the_work() {
    let mut world = World::new((0..).map(look).take(40));
    world.provider = Provider::holding(32_768);
    *world.output.lock().unwrap() = "some output\n".repeat(1_000);
    world.is_summing_up_for_ever = true;
    assert_eq!(cancelled_after_a_minute(&world).await, Stop::Cancelled);
    assert!(world.finished().len() > 2);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_underway_when_the_session_ended_is_paid_for_and_counted() {
    let used = Usage { input: 600_000, output: 1, ..Usage::default() };
    let lost = |world: &World| {
        let lost = |did| if let Did::Recorded(Event::ReplyLost(lost)) = did { Some(lost) } else { None };
        let lost = world.did().into_iter().filter_map(lost);
        lost.map(|lost| (lost.usage.input_tokens, lost.totals.tokens())).collect::<Vec<_>>()
    };
    let mut world = World::new([calls([LOOK])]);
    world.underway = vec![Delta::Text("I"), Delta::Used(used)];
    assert_eq!(cancelled_after_a_minute(&world).await, Stop::Cancelled);
    assert_eq!(lost(&world), [(600_000, 600_002)], "and the token of the reply before");

    let mut world = World::new([]);
    world.underway = vec![Delta::Used(used)];
    let stop = world.work(Budget { minutes: Some(10), ..Budget::default() }).await;
    assert_ended_by(Limit::Minutes, &stop, &world);
    assert_eq!(lost(&world), [(600_000, 600_001)]);

    let mut world = World::new((0..).map(look).take(40));
    world.provider = Provider::holding(32_768);
    *world.output.lock().unwrap() = "some output\n".repeat(1_000);
    (world.is_summing_up_for_ever, world.underway) = (true, vec![Delta::Used(used)]);
    assert_eq!(cancelled_after_a_minute(&world).await, Stop::Cancelled);
    assert_eq!(lost(&world).len(), 1, "a summary, too");

    let world = World::new([calls([LOOK])]);
    assert_eq!(cancelled_after_a_minute(&world).await, Stop::Cancelled);
    assert_eq!(lost(&world), [], "the reply before came to its end");
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_tokens_holds_for_a_provider_that_counts_nothing() {
    let uncounted = |turn| {
        let mut reply = look(turn);
        (reply.usage, reply.origin.wire) = (Usage::default(), Wire::ChatCompletions);
        reply
    };
    let world = World::new((0..).map(uncounted).take(40));
    let stop = world.work(Budget { tokens: Some(20_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Tokens, &stop, &world);
    let used = |did| if let Did::Recorded(Event::ModelReplied(it)) = did { Some(it.totals) } else { None };
    let used = world.did().into_iter().filter_map(used).next_back().unwrap().tokens();
    assert!((18_000..=20_000).contains(&used), "{used}");
    let warned = world.did().into_iter().filter(|did| matches!(did, Did::Recorded(Event::Warned(_)))).count();
    assert_eq!(warned, 1, "it is said once");
}

#[tokio::test(start_paused = true)]
async fn no_reply_may_be_longer_than_what_a_budget_leaves() {
    let long = || {
        let mut reply = calls([LOOK]);
        (reply.usage.output, reply.usage.usd) = (30_000, Some(0.0));
        reply
    };
    let limits = |world: &World| world.limits.lock().unwrap().clone();
    let world = World::new([long(), long()]);
    let stop = world.work(Budget { tokens: Some(20_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Tokens, &stop, &world);
    let used = |did| if let Did::Recorded(Event::ModelReplied(it)) = did { Some(it.totals) } else { None };
    let used = world.did().into_iter().filter_map(used).next_back().unwrap().tokens();
    let [Some(most)] = limits(&world)[..] else { panic!("{:?}", limits(&world)) };
    assert!(used == u64::from(most) && (15_000..20_000).contains(&used), "{used}");

    // The input is for free, and a token of the reply costs a thousandth of a cent.
    let mut world = World::new([long()]);
    let rates = Rates { output: 10.0, ..world.provider.facts.price.as_ref().unwrap().usual };
    world.provider.facts.price.as_mut().unwrap().usual = rates;
    world.work(Budget { usd: Some(0.1), turns: Some(1), ..Budget::default() }).await.unwrap();
    assert_eq!(limits(&world), [Some(10_000)]);

    for budget in [Budget::default(), Budget { tokens: Some(200_000), ..Budget::default() }] {
        let world = World::new([long()]);
        let budget = Budget { turns: Some(1), ..budget };
        assert_ended_by(Limit::Turns, &world.work(budget).await, &world);
        assert_eq!(limits(&world), [None], "no reply of 128,000 tokens uses that up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_for_which_there_is_hardly_room_is_not_asked_for() {
    let world = World::new([calls([LOOK])]);
    world.work(Budget { tokens: Some(20_000), ..Budget::default() }).await.unwrap();
    let [Some(most)] = world.limits.lock().unwrap()[..] else { panic!("a limit was to be told") };
    let input = 20_000 - u64::from(most);
    for (room, asked) in [(256, 1), (255, 0)] {
        let world = World::new([calls([LOOK])]);
        let stop = world.work(Budget { tokens: Some(input + room), ..Budget::default() }).await;
        assert_eq!(world.limits.lock().unwrap().len(), asked, "{stop:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_break_off_are_asked_for_within_the_budget_only() {
    let mut world = World::new([calls([LOOK])]);
    world.breaks_off = vec![Delta::Used(Usage { input: 4000, output: 1, ..Usage::default() })];
    let stop = world.work(Budget { tokens: Some(9_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Tokens, &stop, &world);
    let lost =
        world.did().into_iter().filter(|did| matches!(did, Did::Recorded(Event::ReplyLost(_)))).count();
    assert_eq!(lost, 2, "a third one would need more than is left");
}

/// What is told of replies that broke off: whose count it is, and the count.
fn lost(world: &World) -> Vec<(CountedBy, u64, u64, Option<f64>)> {
    let lost = |did| {
        let Did::Recorded(Event::ReplyLost(lost)) = did else { return None };
        Some((lost.by, lost.usage.input_tokens, lost.usage.output_tokens, lost.usage.usd))
    };
    world.did().into_iter().filter_map(lost).collect()
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_counted_of_replies_that_break_off_is_estimated_within_the_budget() {
    let heard = vec![Delta::Thought("Hm. "), Delta::Text("I look."), Delta::Unshown(7189)];
    let mut world = World::new([calls([LOOK])]);
    world.breaks_off = heard.clone();
    let stop = world.work(Budget { tokens: Some(15_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Tokens, &stop, &world);
    let lost_tokens = lost(&world);
    let (_, input, ..) = lost_tokens[0];
    assert!((1000..4000).contains(&input), "the rules and the tools at least: {input}");
    // 3.6 bytes are a token as long as nobody has counted any.
    assert!(lost_tokens.iter().all(|lost| (lost.0, lost.1, lost.2) == (CountedBy::Estimate, input, 2000)));
    let most = 15_000 / (input + 2000);
    assert!(u64::try_from(lost_tokens.len()).unwrap() <= most + 1, "{lost_tokens:?}");

    // The same of dollars, where a token costs a thousandth of a cent.
    let mut world = World::new([calls([LOOK])]);
    world.breaks_off = heard;
    let rates = Rates { input: 10.0, output: 10.0, ..world.provider.facts.price.as_ref().unwrap().usual };
    world.provider.facts.price.as_mut().unwrap().usual = rates;
    let stop = world.work(Budget { usd: Some(0.1), ..Budget::default() }).await;
    assert_ended_by(Limit::Usd, &stop, &world);
    assert!(lost(&world).iter().all(|lost| lost.3.is_some()), "{:?}", lost(&world));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_breaks_off_before_its_tokens_were_counted_costs_what_was_heard_of_it() {
    let mut world = World::new([calls([LOOK])]);
    let counted = Usage { input: 4000, output: 1, usd: Some(0.5), ..Usage::default() };
    world.breaks_off = vec![Delta::Used(counted), Delta::Unshown(7200)];
    // A hundred thousand tokens of output are a dollar.
    world.provider.facts.price.as_mut().unwrap().usual.output = 10.0;
    let stop = world.work(Budget { tokens: Some(7_000), ..Budget::default() }).await;
    assert_ended_by(Limit::Tokens, &stop, &world);
    let lost = lost(&world);
    let [(by, input, output, usd)] = lost[..] else { panic!("{lost:?}") };
    assert_eq!((by, input, output), (CountedBy::Estimate, 4000, 2000));
    assert!(usd.is_some_and(|usd| (usd - 0.519_99).abs() < 1e-9), "{usd:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_breaks_off_before_the_model_began_costs_nothing() {
    let mut world = World::new([calls([LOOK])]);
    world.breaks_off = vec![Delta::Used(Usage::default())];
    world.work(Budget { tokens: Some(15_000), ..Budget::default() }).await.unwrap_err();
    assert_eq!(lost(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_during_a_command_keeps_what_it_wrote() {
    let world = World::new([calls([("bash", r#"{"command":"sleep 500"}"#), LOOK])]);
    assert_eq!(cancelled_after_a_minute(&world).await, Stop::Cancelled);
    assert_eq!(world.ran().len(), 1);
    let finished = world.finished();
    assert_eq!(finished.len(), 2);
    assert!(finished[0].failed && finished[0].result.contains("cancelled"), "{}", finished[0].result);
    assert_eq!(finished[0].saved, Some(commit()));
    assert_eq!(
        (finished[1].result.as_str(), &finished[1].saved),
        ("Not run: the session was cancelled.", &None)
    );
}
