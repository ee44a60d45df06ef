//! The loop against parts in memory: what is answered, what is written down and in which order, and what ends it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cache;
mod circles;
mod context;
mod exchanges;
mod limits;
mod log;
mod pairs;
mod refusals;
mod results;
mod spare;
mod world;

use agent::{Finish, Stop};
use events::{Budget, Event, Limit};
use model::Message;

use world::{Did, World, calls, commit, look, says};

const FINISH: (&str, &str) = ("finish", r#"{"title":"Mend it","summary":"Mended."}"#);

fn finished() -> Stop {
    Stop::Finished(Finish { title: "Mend it".to_owned(), summary: "Mended.".to_owned() })
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_written_down_before_its_tools_run_and_each_tool_before_the_next() {
    let bash = ("bash", r#"{"command":"sleep 1"}"#);
    let world =
        World::new([calls([bash, ("plan", r#"{"steps":[{"text":"a","done":true}]}"#), bash, FINISH])]);
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    let told = |did: &Did| match did {
        Did::Asked(_) => "asked".to_owned(),
        Did::Ran { .. } => "ran".to_owned(),
        Did::Saved => "saved".to_owned(),
        Did::Recorded(Event::AgentBriefed(_)) => "briefed".to_owned(),
        Did::Recorded(Event::ModelReplied(_)) => "replied".to_owned(),
        Did::Recorded(Event::Said(_)) => "said".to_owned(),
        Did::Recorded(Event::ToolFinished(done)) => format!("finished {}", done.call_id),
        Did::Recorded(other) => format!("{other:?}"),
    };
    let did: Vec<String> = world.did().iter().map(told).collect();
    let expected = "briefed, asked, replied, said, ran, saved, finished 0, finished 1, ran, saved, finished 2, finished 3";
    assert_eq!(did.join(", "), expected);
}

#[tokio::test(start_paused = true)]
async fn what_the_model_did_wrong_is_answered_and_it_goes_on() {
    let wrong = calls([("fly", "{}"), ("read", r#"{"file":"a"}"#), ("bash", "{\"comm"), ("plan", "")]);
    let world = World::new([wrong, calls([FINISH])]);
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    let Message::Results(results) = world.last_asked() else { panic!("{:?}", world.last_asked()) };
    let ids: Vec<&str> = results.iter().map(|result| result.call_id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2", "3"]);
    assert!(results.iter().all(|result| result.failed));
    assert!(results[0].text.contains("no tool `fly`. The tools are: read, search,"), "{}", results[0].text);
    let schema = r#"They must fit this schema: {"type":"object","properties":{"#;
    assert!(results[1..].iter().all(|result| result.text.contains(schema)), "{results:?}");
    assert_eq!(world.ran(), []);
}

#[tokio::test(start_paused = true)]
async fn the_third_reply_without_a_call_is_the_last() {
    let world = World::new([says("Hm."), says("Well."), says("Nothing is to be done.")]);
    let summary = "Nothing is to be done.".to_owned();
    let stop = world.work(Budget::default()).await.unwrap();
    assert_eq!(stop, Stop::Finished(Finish { title: String::new(), summary }));
    let told = world.did().iter().filter(|did| matches!(did, Did::Recorded(Event::AgentTold(_)))).count();
    assert_eq!(told, 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_a_reply_that_was_cut_is_answered_and_never_run() {
    let mut cut = calls([("bash", r#"{"command":"rm -r build"}"#), ("bash", "")]);
    cut.stop = model::Stop::OutputLimit;
    let world = World::new([cut.clone(), calls([FINISH])]);
    assert_eq!(world.work(Budget::default()).await.unwrap(), finished());
    assert_eq!(world.ran(), []);
    let Message::Results(results) = world.last_asked() else { panic!("{:?}", world.last_asked()) };
    assert_eq!(results.len(), 2);
    assert!(
        results.iter().all(|result| result.failed && result.text.contains("cut off at the output limit"))
    );

    let world = World::new([cut.clone(), cut.clone(), cut]);
    assert_eq!(world.work(Budget::default()).await.unwrap(), Stop::LimitReached(Limit::Stuck));
    assert_eq!(world.finished().len(), 4);
    assert_eq!(world.reached(), "3 replies in a row called no tool that could be run (output_limit)");
}

#[tokio::test(start_paused = true)]
async fn a_text_that_was_cut_is_not_taken_for_the_end() {
    let mut cut = says("I will now");
    cut.stop = model::Stop::OutputLimit;
    let world = World::new([cut.clone(), cut.clone(), cut]);
    assert_eq!(world.work(Budget::default()).await.unwrap(), Stop::LimitReached(Limit::Stuck));
    assert_eq!(world.reached(), "3 replies in a row called no tool that could be run (output_limit)");
    let Message::User(told) = world.last_asked() else { panic!("{:?}", world.last_asked()) };
    assert!(told.contains("cut off at the output limit"), "{told}");
}
