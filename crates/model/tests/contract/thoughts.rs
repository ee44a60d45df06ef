//! Replies of the Messages API that are thoughts alone: nothing of them may go back, and the conversation goes on.

use fakes::model::Asked;
use model::{Message, Part, Stop, Unheard};

use super::{Backend, Bench, MARK, answer, conversation};

const REPLIES: &[&str] = &[
    r#"{"content":[{"type":"thinking","thinking":"Hm.","signature":"b25l"}]}"#,
    r#"{"content":[{"type":"redacted_thinking","data":"b3BhcXVl"},{"type":"thinking","thinking":"Hm, hm.","signature":"dHdv"},{"type":"text","text":" "}]}"#,
    r#"{"content":[{"type":"thinking","thinking":"And th","signature":"dGhyZWU="}],"stop":"max_tokens"}"#,
    r#"{"content":[{"type":"thinking","thinking":"Look.","signature":"Zm91cg=="},{"type":"tool_use","id":"t1","name":"bash","input":{}},{"type":"thinking","thinking":"And","signature":"Zml2ZQ=="}],"stop":"tool_use"}"#,
    r#"{"content":[{"type":"text","text":"Done."}]}"#,
];

#[tokio::test]
async fn a_conversation_goes_on_after_replies_that_are_thoughts_alone() {
    let bench = Bench::new(Backend::Anthropic, REPLIES).await;
    let (model, mut conversation) = (bench.open(), conversation());
    for stop in [Stop::Finished, Stop::Finished, Stop::OutputLimit] {
        let reply = model.reply(&conversation, None, &Unheard).await.unwrap();
        assert_eq!((&reply.stop, reply.calls.len()), (&stop, 0));
        assert!(reply.parts.iter().any(|part| matches!(part, Part::Thought(_))), "{reply:?}");
        answer(&mut conversation, &reply);
        conversation.push(Message::User("Go on.".to_owned()));
    }
    let called = model.reply(&conversation, None, &Unheard).await.unwrap();
    assert_eq!(called.calls.len(), 1);
    answer(&mut conversation, &called);
    let last = model.reply(&conversation, None, &Unheard).await.unwrap();
    assert_eq!(last.parts, [Part::Text("Done.".to_owned())]);

    let asked: Vec<Asked> = bench.fake.asked();
    assert!(asked.iter().all(|asked| asked.status == 200), "{asked:?}");
    let sent: Vec<String> = asked.iter().map(|asked| asked.body.replace(MARK, "")).collect();
    for [before, after] in sent.array_windows() {
        let open = before.strip_suffix(r#"],"max_tokens":32000}"#).unwrap();
        assert!(after.starts_with(open), "what was left out once is left out always: {after}");
    }
    let told = r#"{"role":"user","content":[{"type":"text","text":"Go on."}]}"#;
    assert!(sent[3].contains(&format!("{told},{told},{told}")) && !sent[3].contains("Hm"), "{}", sent[3]);
    assert!(sent[4].contains(r#""thinking":"Look.""#) && !sent[4].contains(r#""thinking":"And""#));
}
