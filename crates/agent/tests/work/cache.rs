//! What a budget of dollars believes of a provider's cache: nothing when it may have run out, or when another one answered.

use agent::Stop;
use events::{Budget, Limit};
use model::{Price, Rates, Reply, Usage};

use super::world::Provider;
use super::{FINISH, World, calls, finished};

/// A command of so many seconds, in a reply whose 3,000 tokens of input were written to the cache for 3 dollars.
fn waits(seconds: u64) -> Reply {
    let arguments = format!(r#"{{"command":"sleep {seconds}"}}"#);
    let mut reply = calls([("bash", arguments.as_str())]);
    reply.usage = Usage { cache_write: 3000, usd: Some(3.0), ..Usage::default() };
    reply
}

/// US dollars for a thousand tokens: 1 for input, 10 cents out of the cache, and this for output.
fn price(output: f64) -> Option<Price> {
    let usual = Rates { input: 1000.0, cache_write: 1000.0, cache_read: 100.0, output: 1000.0 * output };
    Some(Price { as_of: String::new(), source: String::new(), usual, long: None })
}

/// A world of these prices whose model answers with `replies`.
fn world(replies: impl IntoIterator<Item = Reply>, output: f64) -> World {
    let mut world = World::new(replies);
    world.provider.facts.price = price(output);
    world
}

fn usd(usd: f64) -> Budget {
    Budget { usd: Some(usd), ..Budget::default() }
}

#[tokio::test(start_paused = true)]
async fn after_five_minutes_a_cache_may_have_run_out() {
    for (seconds, stop) in [(299, finished()), (300, Stop::LimitReached(Limit::Usd))] {
        // 3 dollars are spent, and the same 3,000 tokens are to be sent again: for 30 cents or for 3 dollars.
        let world = world([waits(seconds), calls([FINISH])], 0.0);
        assert_eq!(world.work(usd(5.0)).await.unwrap(), stop, "{seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn another_provider_has_nothing_in_its_cache() {
    for (budget, asked) in [(5.0, 0), (7.0, 1)] {
        let mut world = world([waits(0), calls([FINISH])], 0.0);
        world.dies_after = Some(1);
        world.spare = Some(Provider::default());
        world.spare.as_mut().unwrap().facts.price = price(0.0);
        let stop = world.work(usd(budget)).await.unwrap();
        assert_eq!(world.asked_of_spare(), asked, "{stop:?}");
        assert_eq!(stop, if asked == 1 { finished() } else { Stop::LimitReached(Limit::Usd) });
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_reply_is_paid_for_in_case_the_cache_has_nothing_and_a_usual_one_is_not() {
    // How long the second reply may be, in tokens; nothing when none is asked for.
    let second = async |budget: f64| {
        let world = world([waits(0), calls([FINISH])], 0.01);
        world.work(usd(budget)).await.unwrap();
        world.limits.lock().unwrap().get(1).copied().map(Option::unwrap)
    };
    // Some 3,080 tokens of input are 3.08 dollars without a cache. A cent pays for a thousand tokens of a reply.
    let long = second(6.3).await.unwrap();
    assert!((20_000..24_000).contains(&long), "22 cents are left: {long}");
    assert_eq!([second(6.15).await, second(6.05).await], [Some(8192); 2], "7 cents are left, and none");
    // With the cache, which has 3,000 of them, they are 38 cents, and something for being told of the budget's end.
    let mut short = Vec::new();
    for cents in 338..370 {
        short.extend(second(f64::from(cents) / 100.0).await);
    }
    assert!(short.is_sorted() && short.last() == Some(&8192), "{short:?}");
    assert!(
        (256..2000).contains(&short[0]),
        "no budget is left because a usual reply does not fit: {short:?}"
    );
}
