use serde_json::value::RawValue;

use super::*;
use crate::{
    Breakers, Cache, Chain, Config as AnyConfig, Lost, LostUsage, Origin, Policy, Stop, Switched, ToolCall,
    ToolResult, Unheard, Usage, Wait, Wire,
};

fn name(provider: &str) -> ModelName {
    ModelName { provider: provider.to_owned(), model: "m".to_owned() }
}

/// A reply of `provider` that calls a tool by this id, to the results of these calls.
fn answered(provider: &str, id: &str, results: &[&str]) -> Played {
    let reply = Reply {
        origin: Origin { wire: Wire::Scripted, provider: provider.to_owned(), model: "m".to_owned() },
        raw: RawValue::from_string("{}".to_owned()).unwrap(),
        parts: vec![Part::Text(format!("{id}."))],
        calls: vec![ToolCall { id: id.to_owned(), name: "bash".to_owned(), arguments: "{}".to_owned() }],
        stop: Stop::Tools,
        usage: Usage::default(),
        model: "m".to_owned(),
    };
    let results = Some(results.iter().map(|id| (*id).to_owned()).collect());
    Played::Answered(Box::new(Answered { reply, took: Duration::from_millis(250), results }))
}

fn chain(played: Vec<Played>, at_end: AtEnd) -> Chain<'static> {
    let known = vec![(name("a"), Facts::UNKNOWN), (name("b"), Facts { context_tokens: 7, ..Facts::UNKNOWN })];
    let config = Config { played, known, pace: Pace::AtOnce, at_end };
    Chain::open(&[AnyConfig::Played(config)], Policy::default(), Breakers::default()).unwrap()
}

fn conversation() -> Conversation {
    let mut conversation = Conversation::new(String::new(), Vec::new());
    conversation.push(Message::User("Do it.".to_owned()));
    conversation
}

/// Takes `reply` into the conversation with results of calls by these ids.
fn go_on(conversation: &mut Conversation, reply: Reply, ids: &[&str]) {
    conversation.push(Message::Assistant(reply));
    let result = |id: &&str| ToolResult { call_id: (*id).to_owned(), text: String::new(), failed: false };
    conversation.push(Message::Results(ids.iter().map(result).collect()));
    conversation.push(Message::User("Nearly used up.".to_owned()));
}

/// What came of asking, with what was told meanwhile.
async fn ask(chain: &Chain<'_>, conversation: &Conversation) -> (Vec<Notice>, Result<Reply, Error>) {
    let notices = Mutex::new(Vec::new());
    let on_notice = async |notice| {
        notices.lock().unwrap().push(notice);
        Ok::<(), Error>(())
    };
    let reply = chain.ask(conversation, |_| None, &Unheard, on_notice).await;
    (notices.into_inner().unwrap(), reply)
}

fn counted(used: Usage) -> LostUsage {
    LostUsage::Counted { used, heard: 0 }
}

#[tokio::test(start_paused = true)]
async fn what_happened_happens_again_without_waiting_for_it() {
    let wait = Notice::Wait(Wait {
        provider: "a".to_owned(),
        reason: "a is not answering: 529".to_owned(),
        wait_ms: 60_000,
        retry: 1,
    });
    let switched = Notice::Switched(Switched {
        from: name("a"),
        to: name("b"),
        reason: "a is not answering".to_owned(),
    });
    let lost = Notice::Lost(Lost { from: name("a"), usage: counted(Usage::default()) });
    let usage = LostUsage::Estimated(Usage { input: 1, ..Usage::default() });
    let estimated = Notice::Lost(Lost { from: name("a"), usage });
    let notices = vec![wait, lost, estimated, switched];
    let mut played: Vec<Played> = notices.iter().cloned().map(Played::Notice).collect();
    played.insert(0, answered("a", "one", &[]));
    played.push(answered("b", "two", &["one"]));
    let chain = chain(played, AtEnd::Fails);
    let mut conversation = conversation();
    let begun = tokio::time::Instant::now();

    assert_eq!(chain.model().name(), &name("a"));
    let (told, reply) = ask(&chain, &conversation).await;
    assert_eq!(told, []);
    go_on(&mut conversation, reply.unwrap(), &["one"]);
    let (told, reply) = ask(&chain, &conversation).await;
    assert_eq!(told, notices);
    assert_eq!((chain.model().name(), chain.model().facts().context_tokens), (&name("b"), 7));
    go_on(&mut conversation, reply.unwrap(), &["two"]);
    let error = ask(&chain, &conversation).await.1.unwrap_err().to_string();
    assert!(error.contains("the recording has 2 replies, and another one is asked for"), "{error}");
    assert!(begun.elapsed().is_zero());
}

#[tokio::test]
async fn a_conversation_that_asks_something_else_is_refused() {
    let chain = chain(vec![answered("a", "one", &[]), answered("a", "two", &["one"])], AtEnd::Fails);
    let mut conversation = conversation();
    let reply = ask(&chain, &conversation).await.1.unwrap();
    go_on(&mut conversation, reply, &["one", "more"]);
    let error = ask(&chain, &conversation).await.1.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 400, .. }), "{error}");
    let said =
        "reply 2 of the recording answers the results of one, and the conversation has those of one, more";
    assert!(error.to_string().ends_with(said), "{error}");
}

#[tokio::test]
async fn what_failed_fails_again_with_the_same_words() {
    let text = "a refused the API key (401): no";
    let chain = chain(vec![Played::Failed(text.to_owned())], AtEnd::Fails);
    let error = ask(&chain, &conversation()).await.1.unwrap_err();
    assert!(matches!(error, Error::Key { status: 401, .. }) && error.to_string() == text, "{error}");
}

#[tokio::test]
async fn a_conversation_was_begun_again_with_or_without_asking() {
    let full = "the conversation is too long for the model of a (400): 9 > 8";
    let played = vec![
        Played::Compacted("the conversation was full again after 2 turns".to_owned()),
        answered("a", "one", &[]),
        Played::Compacted(full.to_owned()),
    ];
    let chain = chain(played, AtEnd::Fails);
    assert!(ask(&chain, &conversation()).await.1.is_ok(), "nobody was asked: that is passed over");
    let error = ask(&chain, &conversation()).await.1.unwrap_err();
    assert!(matches!(error, Error::ContextFull { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_has_run_out_where_it_had_then_however_long_the_replay_takes() {
    let played = vec![
        answered("a", "one", &[]),
        answered("a", "two", &["one"]),
        Played::CacheRanOut,
        answered("a", "three", &["two"]),
    ];
    let chain = chain(played, AtEnd::Fails);
    let (mut conversation, mut caches) = (conversation(), vec![chain.cache()]);
    for id in ["one", "two", "three"] {
        let reply = ask(&chain, &conversation).await.1.unwrap();
        go_on(&mut conversation, reply, &[id]);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        caches.push(chain.cache());
    }
    assert_eq!(caches, [Cache::Cold, Cache::Warm, Cache::Cold, Cache::Warm]);
}

#[tokio::test(start_paused = true)]
async fn where_a_recording_is_cut_off_no_answer_comes() {
    let chain = chain(Vec::new(), AtEnd::Waits);
    let conversation = conversation();
    let asked = tokio::time::timeout(Duration::from_secs(3600), ask(&chain, &conversation)).await;
    assert!(asked.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_was_underway_at_the_end_is_lost_again_when_the_replay_ends() {
    let lost = Lost { from: name("a"), usage: counted(Usage { input: 600_000, ..Usage::default() }) };
    let played = vec![answered("a", "one", &[]), Played::Interrupted(lost.clone())];
    let chain = chain(played, AtEnd::Waits);
    let mut conversation = conversation();
    let reply = ask(&chain, &conversation).await.1.unwrap();
    assert_eq!(chain.interrupted(), None);
    go_on(&mut conversation, reply, &["one"]);
    let asked = tokio::time::timeout(Duration::from_secs(3600), ask(&chain, &conversation)).await;
    assert!(asked.is_err(), "it never comes");
    assert_eq!(chain.interrupted(), Some(lost));
}

#[tokio::test(start_paused = true)]
async fn replies_take_their_time_when_somebody_watches() {
    let played = vec![answered("a", "one", &[])];
    let config = Config { played, known: Vec::new(), pace: Pace::AsThen, at_end: AtEnd::Fails };
    let chain = Chain::open(&[AnyConfig::Played(config)], Policy::default(), Breakers::default()).unwrap();
    let begun = tokio::time::Instant::now();
    ask(&chain, &conversation()).await.1.unwrap();
    assert_eq!(begun.elapsed().as_millis(), 250);
}
