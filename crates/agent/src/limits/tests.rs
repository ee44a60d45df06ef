use events::Budget;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn limits(budget: Budget) -> Limits {
    Limits::starting_now(Bounds::smallest(&[(Whose::Request, budget)]), HOUR)
}

/// So many turns, tokens and dollars.
fn spent(turns: u32, tokens: u64, usd: f64) -> Spent {
    Spent { turns, tokens, usd: Some(usd) }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_certain_to_be_too_much_is_not_made() {
    let budget = Budget { usd: Some(1.0), tokens: Some(100), turns: Some(3), minutes: Some(5) };
    let limits = limits(budget);
    let which = |spent: Spent, next: Spent| limits.reached(&spent, &next).map(|reached| reached.limit);
    let next = spent(1, 10, 0.1);
    assert_eq!(which(spent(2, 90, 0.9), next), None);
    assert_eq!(which(spent(3, 0, 0.0), next), Some(Limit::Turns));
    assert_eq!(which(spent(2, 91, 0.0), next), Some(Limit::Tokens));
    assert_eq!(which(spent(2, 90, 0.91), next), Some(Limit::Usd));
    assert_eq!(which(spent(2, 100, 0.0), spent(1, 0, 0.0)), Some(Limit::Tokens));
    assert_eq!(which(spent(2, 0, 1.0), spent(1, 0, 0.0)), Some(Limit::Usd));
    let uncounted = Spent { usd: None, ..next };
    assert_eq!(which(uncounted, next), Some(Limit::Usd));
    assert_eq!(which(spent(1, 10, 0.1), uncounted), Some(Limit::Usd));
    tokio::time::advance(Duration::from_secs(300)).await;
    assert_eq!(which(spent(0, 0, 0.0), next), Some(Limit::Minutes));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_bounded_is_bounded_all_the_same() {
    let limits = limits(Budget::default());
    let uncounted = Spent { turns: 499, tokens: u64::MAX, usd: None };
    let next = Spent { turns: 1, tokens: u64::MAX, usd: None };
    assert_eq!(limits.reached(&uncounted, &next), None);
    let reached = limits.reached(&Spent { turns: 500, ..uncounted }, &next).unwrap();
    assert_eq!(reached, Reached { limit: Limit::Turns, whose: Whose::Service, bound: "500 turns".into() });
    tokio::time::advance(HOUR).await;
    let reached = limits.reached(&uncounted, &next).unwrap();
    assert_eq!(
        reached,
        Reached { limit: Limit::Minutes, whose: Whose::Operator, bound: "60 minutes".into() }
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_is_near_from_85_per_cent_on() {
    let limits = limits(Budget { usd: Some(2.0), tokens: Some(1000), turns: Some(40), minutes: Some(10) });
    let near = |of: Spent| limits.near(&of, &spent(1, 50, 0.1));
    assert_eq!(near(spent(32, 799, 1.59)), []);
    assert_eq!(
        near(spent(33, 800, 1.6)),
        [
            (Limit::Turns, "33 of 40 turns".to_owned()),
            (Limit::Tokens, "800 of 1000 tokens".to_owned()),
            (Limit::Usd, "$1.60 of $2.00".to_owned()),
        ]
    );
    tokio::time::advance(Duration::from_secs(509)).await;
    assert_eq!(near(spent(0, 0, 0.0)), []);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(near(spent(0, 0, 0.0)), [(Limit::Minutes, "8 of 10 minutes".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn the_shorter_of_the_asked_and_the_possible_time_counts() {
    let of = |minutes, time_max| {
        let budget = Budget { minutes, ..Budget::default() };
        let limits = Limits::starting_now(Bounds::smallest(&[(Whose::Request, budget)]), time_max);
        (limits.time_left(), limits.time.whose)
    };
    assert_eq!(of(None, HOUR), (HOUR, Whose::Operator));
    assert_eq!(of(Some(120), HOUR), (HOUR, Whose::Operator));
    assert_eq!(of(Some(1), HOUR), (Duration::from_secs(60), Whose::Request));
    assert_eq!(of(None, Duration::MAX), (TIME_MAX, Whose::Operator));
}
