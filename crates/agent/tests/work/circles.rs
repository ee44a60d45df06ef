//! An agent that repeats itself is told, and when it goes on its work ends.

use agent::Stop;
use events::{Budget, Limit};
use model::{Message, Part};

use super::{FINISH, World, calls, finished, says};

const LOOK: (&str, &str) = ("bash", r#"{"command":"make test"}"#);

#[tokio::test(start_paused = true)]
async fn the_same_call_over_and_over_ends_the_work() {
    let world = World::new((0..20).map(|_| calls([LOOK])));
    assert_eq!(world.work(Budget::default()).await.unwrap(), Stop::LimitReached(Limit::Stuck));
    assert_eq!(world.finished().len(), 8);
    let told = world.told();
    assert!(
        told.len() == 1 && told[0].starts_with("You are going in circles: the same call (bash)"),
        "{told:?}"
    );
    assert_eq!(world.reached(), "the same call (bash) has given the same result 8 times in a row");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_listens_goes_on() {
    let turns = [LOOK, LOOK, LOOK, LOOK, ("bash", r#"{"command":"ls"}"#), FINISH];
    let world = World::new(turns.map(|call| calls([call])));
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    // The telling came after the results, and before the model was asked again.
    let place =
        |wanted: &str| world.did().iter().position(|did| format!("{did:?}").contains(wanted)).unwrap();
    assert!(place("Recorded(AgentTold") < place("Asked(User(\"You are going in circles"));
}

#[tokio::test(start_paused = true)]
async fn empty_replies_end_the_work() {
    let mut empty = says("");
    empty.parts = Vec::<Part>::new();
    let world = World::new([calls([LOOK]), empty.clone(), empty.clone(), empty]);
    assert_eq!(world.work(Budget::default()).await.unwrap(), Stop::LimitReached(Limit::Stuck));
    assert_eq!(world.reached(), "3 replies in a row called no tool that could be run (finished)");
    assert_eq!(world.told().len(), 2);
    assert!(
        matches!(world.last_asked(), Message::User(text) if text.starts_with("Your reply called no tool."))
    );
}
