//! What the makers of single models refuse of a history that others take: each is told it so that its strict stand-in takes it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fakes::model::{Fake, Recording, Running};
use model::{
    Config, Conversation, Error, Message, Model, Part, Reply, Served, ToolResult, ToolSpec, Unheard, Vendors,
};
use secrecy::SecretString;

/// Two calls at once, then one more, then the end.
const TASK: &str = concat!(
    r#"{"content":[{"type":"thinking","thinking":"Look first, in all the places where it may be."},{"type":"tool_use","id":"aaaaaaaa1","name":"bash","input":{"n":1.0}},{"type":"tool_use","id":"aaaaaaaa2","name":"bash","input":{}}]}"#,
    "\n",
    r#"{"content":[{"type":"thinking","thinking":"And again."},{"type":"tool_use","id":"aaaaaaaa3","name":"bash","input":{}}]}"#,
    "\n",
    r#"{"content":[{"type":"text","text":"Done."}]}"#,
    "\n",
    r#"{"content":[{"type":"text","text":"Yes."}]}"#,
);
/// A model that nobody is particular about.
const PLAIN: (&str, &str) = ("openai-compatible", "plain-1");
const GEMINI: (&str, &str) = ("gemini", "gemini-4-hydrogen");
const MISTRAL: (&str, &str) = ("mistral", "mistral-large-4");
const DEEPSEEK: (&str, &str) = ("openai-compatible", "deepseek-v4-pro");
const MISSING: &str = "Function call is missing a thought_signature in functionCall parts. This is required for tools to work \
                       correctly, and missing thought_signature may lead to degraded model performance. Additional data, \
                       function call `default_api:bash` , position 2. Please refer to \
                       https://ai.google.dev/gemini-api/docs/thought-signatures for more details.";

/// A stand-in with a conversation before it.
struct Bench {
    fake: Fake,
    running: Running,
    vendors: Vendors,
    conversation: Conversation,
}

impl Bench {
    /// A stand-in where the operator's table has `table`.
    async fn new(table: &str) -> Self {
        let fake = Fake::new(Recording::parse(TASK).unwrap());
        let running = fake.start().await.unwrap();
        let tool = ToolSpec {
            name: "bash".to_owned(),
            description: "Runs a command.".to_owned(),
            parameters: serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap(),
        };
        let mut conversation = Conversation::new("You are careful.".to_owned(), vec![tool]);
        conversation.push(Message::User("Do it.".to_owned()));
        Self { fake, running, vendors: Vendors::built_in().with(table).unwrap(), conversation }
    }

    fn model(&self, (vendor, model): (&str, &str)) -> Box<dyn Model> {
        let served = Served::new(self.vendors.get(vendor).unwrap(), SecretString::from("sk-key"), model);
        model::open(&Config::Served(served.at(self.running.openai_url()))).unwrap()
    }

    async fn ask(&self, model: &dyn Model) -> Result<Reply, Error> {
        model.reply(&self.conversation, None, &Unheard).await
    }

    /// Takes in a reply, with what came of its calls.
    async fn turn(&mut self, model: &dyn Model) {
        let reply = self.ask(model).await.unwrap();
        let result = |id: &str| ToolResult { call_id: id.to_owned(), text: "ok".to_owned(), failed: false };
        let results: Vec<ToolResult> = reply.calls.iter().map(|call| result(&call.id)).collect();
        self.conversation.push(Message::Assistant(reply));
        if !results.is_empty() {
            self.conversation.push(Message::Results(results));
        }
    }

    fn tell(&mut self, text: &str) {
        self.conversation.push(Message::User(text.to_owned()));
    }

    /// What was asked last, from the first message after the system prompt on.
    fn sent(&self) -> String {
        let body = self.fake.asked().pop().unwrap().body;
        let (_, messages) = body.split_once(r#"{"role":"system","content":"You are careful."},"#).unwrap();
        messages.strip_suffix("]}").unwrap().to_owned()
    }
}

/// Messages, whatever the order in which a stand-in writes the fields that come back to it.
fn values(messages: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(&format!("[{messages}]")).unwrap()
}

fn says(text: &str) -> [Part; 1] {
    [Part::Text(text.to_owned())]
}

#[tokio::test]
async fn mistral_hears_a_user_only_after_a_reply() {
    let mut bench = Bench::new("").await;
    let model = bench.model(MISTRAL);
    bench.tell("Begin.");
    bench.turn(&*model).await;
    let before = bench.sent();
    bench.tell("Hurry.");
    bench.turn(&*model).await;
    let between = bench.sent();
    assert_eq!(bench.ask(&*model).await.unwrap().parts, says("Done."));
    let after = bench.sent();
    let expected = concat!(
        r#"{"role":"user","content":"Do it."},{"role":"assistant","content":"Noted."},{"role":"user","content":"Begin."},"#,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Look first, in all the places where it may be."}]}],"tool_calls":["#,
        r#"{"id":"aaaaaaaa1","type":"function","function":{"name":"bash","arguments":"{\"n\":1.0}"}},"#,
        r#"{"id":"aaaaaaaa2","type":"function","function":{"name":"bash","arguments":"{}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"aaaaaaaa1","content":"ok"},{"role":"tool","tool_call_id":"aaaaaaaa2","content":"ok"},"#,
        r#"{"role":"assistant","content":"Noted."},{"role":"user","content":"Hurry."}"#
    );
    assert_eq!(values(&between), values(expected));
    assert!(between.starts_with(&before) && after.starts_with(&between), "{after}");
}

#[tokio::test]
async fn what_mistral_thinks_is_shown_and_comes_back_in_one_piece() {
    let mut bench = Bench::new("").await;
    let model = bench.model(MISTRAL);
    let reply = bench.ask(&*model).await.unwrap();
    assert_eq!(reply.parts, [Part::Thought("Look first, in all the places where it may be.".to_owned())]);
    let split = reply.raw.get().replacen('[', r#"[{"type":"thinking","thinking":[]},"#, 1);
    let results = reply.calls.iter().map(|call| call.id.clone());
    let results =
        results.map(|call_id| ToolResult { call_id, text: "ok".to_owned(), failed: false }).collect();
    let raw = serde_json::from_str(&split).unwrap();
    bench.conversation.push(Message::Assistant(Reply { raw, ..reply }));
    bench.conversation.push(Message::Results(results));
    let error = bench.ask(&*model).await.unwrap_err();
    let refused = "mistral refused the request (400): Expected at most one leading ThinkChunk, got 2";
    assert_eq!(error.to_string(), refused);
}

#[tokio::test]
async fn a_user_after_results_is_what_mistral_refuses() {
    let mut bench = Bench::new("[mistral.models.\"*\"]\nturns = \"free\"").await;
    let model = bench.model(MISTRAL);
    bench.turn(&*model).await;
    bench.tell("Hurry.");
    let error = bench.ask(&*model).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "mistral refused the request (400): Unexpected role 'user' after role 'tool'"
    );
}

#[tokio::test]
async fn a_reply_that_said_nothing_leaves_room_for_the_one_that_mistral_wants() {
    let mut bench = Bench::new("").await;
    let model = bench.model(MISTRAL);
    bench.turn(&*model).await;
    let reply = bench.ask(&*model).await.unwrap();
    let raw = serde_json::from_str(r#"{"role":"assistant","content":""}"#).unwrap();
    let nothing = Reply { raw, parts: Vec::new(), calls: Vec::new(), ..reply };
    bench.conversation.push(Message::Assistant(nothing));
    bench.tell("Say something.");
    bench.ask(&*model).await.unwrap();
    let end = r#""content":"ok"},{"role":"assistant","content":"Noted."},{"role":"user","content":"Say something."}"#;
    assert!(bench.sent().ends_with(end), "{}", bench.sent());
}

#[tokio::test]
async fn gemini_takes_over_from_another_model() {
    let mut bench = Bench::new("").await;
    let (plain, gemini) = (bench.model(PLAIN), bench.model(GEMINI));
    bench.turn(&*plain).await;
    bench.turn(&*gemini).await;
    let first = bench.sent();
    let expected = concat!(
        r#"{"role":"user","content":"Do it."},{"role":"assistant","content":null,"tool_calls":["#,
        r#"{"id":"x00000000","type":"function","function":{"name":"bash","arguments":"{\"n\":1.0}"},"#,
        r#""extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}},"#,
        r#"{"id":"x00000001","type":"function","function":{"name":"bash","arguments":"{}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"x00000000","content":"ok"},{"role":"tool","tool_call_id":"x00000001","content":"ok"}"#
    );
    assert_eq!(first, expected);
    // Its own signature comes back as it came.
    assert_eq!(bench.ask(&*gemini).await.unwrap().parts, says("Done."));
    let second = bench.sent();
    assert!(second.starts_with(&first), "{second}");
    assert!(
        second.contains(r#""extra_content":{"google":{"thought_signature":"c2lnbmVk0001"}}"#),
        "{second}"
    );
}

#[tokio::test]
async fn gemini_goes_on_after_its_conversation_was_shortened() {
    for (table, refused) in [("", None), ("[gemini.models.\"*\"]\nrewritten_call = {}", Some(MISSING))] {
        let mut bench = Bench::new(table).await;
        let gemini = bench.model(GEMINI);
        bench.turn(&*gemini).await;
        let kept = bench.conversation.messages()[1..].to_vec();
        bench.conversation = bench.conversation.going_on("So far: nothing.".to_owned(), kept);
        let came =
            bench.ask(&*gemini).await.map(|reply| reply.calls.len()).map_err(|error| error.to_string());
        let expected = match refused {
            None => Ok(1),
            Some(why) => Err(format!("gemini refused the request (400): {why}")),
        };
        assert_eq!(came, expected);
        let signed = r#""extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;
        assert_eq!(bench.sent().matches(signed).count(), usize::from(refused.is_none()));
    }
}

#[tokio::test]
async fn those_who_want_thoughts_back_get_a_blank_for_those_of_others() {
    for (table, refused) in [
        ("", None),
        (
            "[openai-compatible.models.\"deepseek-*\"]\nrewritten_reply = {}",
            Some("Missing `reasoning_content` field in the assistant message at message index 2."),
        ),
    ] {
        let mut bench = Bench::new(table).await;
        let plain = bench.model(PLAIN);
        bench.turn(&*plain).await;
        let deepseek = bench.model(DEEPSEEK);
        match (bench.ask(&*deepseek).await, refused) {
            (Ok(_), None) => {
                let blank = r#""arguments":"{}"}}],"reasoning_content":" "},{"role":"tool""#;
                assert_eq!(bench.sent().matches(blank).count(), 1, "{}", bench.sent());
                // Its own thoughts come back as they came.
                bench.turn(&*deepseek).await;
                assert_eq!(bench.ask(&*deepseek).await.unwrap().parts, says("Done."));
                assert!(bench.sent().contains(r#""reasoning_content":"And again.""#), "{}", bench.sent());
            }
            (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{error}"),
            (came, _) => panic!("{came:?} where {refused:?} was expected"),
        }
    }
}

#[tokio::test]
async fn a_reply_that_stands_between_has_what_a_reply_needs() {
    let mut bench = Bench::new("[openai-compatible.models.\"deepseek-*\"]\nturns = \"alternating\"").await;
    bench.tell("Begin.");
    let model = bench.model(DEEPSEEK);
    bench.ask(&*model).await.unwrap();
    let between = concat!(
        r#"{"role":"user","content":"Do it."},{"role":"assistant","content":"Noted.","reasoning_content":" "},"#,
        r#"{"role":"user","content":"Begin."}"#
    );
    assert_eq!(bench.sent(), between);
}
