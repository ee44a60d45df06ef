//! Cadence and order, on a clock that does not have to be waited for.

use events::{Actor, ModelReplied, Purpose, Said, SessionId, Tenant, Usage};
use tokio::sync::mpsc;

use super::*;

/// Somebody speaks, and a client listens who has the entries up to place 5.
fn client() -> (mpsc::UnboundedSender<Heard>, Deltas) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let heard = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    (sender, Deltas::new(heard, 5))
}

fn text(after: u64, text: &str) -> Heard {
    Heard { after, piece: Piece::Text(text.into()) }
}

fn entry(seq: u64, event: Event) -> Entry {
    let session = SessionId::new(1, 2);
    Entry { tenant: Tenant::default(), session, seq, attempt: 1, at_us: 0, actor: Actor::Agent, event }
}

fn said() -> Event {
    Event::Said(Said { text: "x".into() })
}

fn replied() -> Event {
    Event::ModelReplied(ModelReplied {
        provider: "p".into(),
        model: "m".into(),
        wire: None,
        asked: None,
        raw: serde_json::value::RawValue::NULL.to_owned(),
        stop: "finished".into(),
        purpose: Purpose::Turn,
        usage: Usage::zero(),
        totals: Usage::zero(),
        duration_ms: 1,
    })
}

/// The texts of the next write, or nothing when there is none within a minute; and how long it took.
async fn next(deltas: &mut Deltas) -> (Option<String>, u128) {
    let begun = Instant::now();
    let written = tokio::time::timeout(Duration::from_secs(60), deltas.next()).await.ok();
    let short = written.map(|written| {
        let line = |line: &str| line.strip_prefix("data: ").map(str::to_owned);
        written.lines().filter_map(line).collect::<Vec<_>>().join(" ")
    });
    (short, begun.elapsed().as_millis())
}

fn written(text: &str) -> Option<String> {
    Some(format!(r#"{{"kind":"text","text":"{text}"}}"#))
}

#[tokio::test(start_paused = true)]
async fn the_first_piece_comes_at_once_and_the_next_ones_together_after_a_tenth_of_a_second() {
    let (says, mut deltas) = client();
    says.send(text(5, "a")).unwrap();
    assert_eq!(next(&mut deltas).await, (written("a"), 0));
    for piece in ["b", "c"] {
        says.send(text(5, piece)).unwrap();
    }
    assert_eq!(next(&mut deltas).await, (written("bc"), 100));
    tokio::time::advance(Duration::from_millis(250)).await;
    says.send(text(5, "d")).unwrap();
    assert_eq!(next(&mut deltas).await, (written("d"), 0));
    assert_eq!(next(&mut deltas).await.0, None);
}

#[tokio::test(start_paused = true)]
async fn two_kilobytes_do_not_wait() {
    let (says, mut deltas) = client();
    says.send(text(5, "a")).unwrap();
    assert_eq!(next(&mut deltas).await, (written("a"), 0));
    for piece in ["b".repeat(2000), "c".repeat(48), "d".to_owned()] {
        says.send(text(5, &piece)).unwrap();
    }
    let long = format!("{}{}", "b".repeat(2000), "c".repeat(48));
    assert_eq!(next(&mut deltas).await, (written(&long), 0));
    assert_eq!(next(&mut deltas).await, (written("d"), 100));
}

#[tokio::test(start_paused = true)]
async fn kinds_are_told_apart_in_their_order_and_what_is_void_is_said_to_be() {
    let (says, mut deltas) = client();
    let thought = |text: &str| Heard { after: 5, piece: Piece::Thought(text.into()) };
    for heard in [thought("h"), thought("m\u{e9}"), text(5, "x"), thought("?")] {
        says.send(heard).unwrap();
    }
    let all = concat!(
        "event: delta\ndata: {\"kind\":\"thought\",\"text\":\"hm\\u00e9\"}\n\n",
        "event: delta\ndata: {\"kind\":\"text\",\"text\":\"x\"}\n\n",
        "event: delta\ndata: {\"kind\":\"thought\",\"text\":\"?\"}\n\n"
    );
    assert_eq!(deltas.next().await, all);
    says.send(text(5, "y")).unwrap();
    says.send(Heard { after: 5, piece: Piece::Again }).unwrap();
    says.send(text(6, "z")).unwrap();
    assert_eq!(next(&mut deltas).await.0.as_deref(), Some(r#"{"kind":"again"}"#));
    deltas.entry_sent(&entry(6, said()));
    assert_eq!(next(&mut deltas).await.0, written("z"));
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_the_log_takes_the_place_of_its_pieces() {
    let (says, mut deltas) = client();
    says.send(text(5, "a")).unwrap();
    assert_eq!(next(&mut deltas).await.0, written("a"));
    // Collected, and not due yet; others come late.
    says.send(text(5, "b")).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(50), deltas.next()).await;
    assert!(early.is_err() && !deltas.collected.is_empty());
    says.send(text(5, "c")).unwrap();
    deltas.entry_sent(&entry(6, replied()));
    says.send(text(5, "d")).unwrap();
    deltas.entry_sent(&entry(7, said()));
    says.send(text(7, "next")).unwrap();
    assert_eq!(next(&mut deltas).await.0, written("next"));
    assert_eq!(next(&mut deltas).await.0, None);
}

#[tokio::test(start_paused = true)]
async fn a_piece_waits_for_the_entries_before_it() {
    let (says, mut deltas) = client();
    says.send(text(8, "early")).unwrap();
    assert_eq!(next(&mut deltas).await.0, None);
    deltas.entry_sent(&entry(7, replied()));
    assert_eq!(next(&mut deltas).await.0, None);
    deltas.entry_sent(&entry(8, said()));
    assert_eq!(next(&mut deltas).await, (written("early"), 0));
    drop(says);
    assert_eq!(next(&mut deltas).await.0, None, "when the session is over there is nothing more to come");
}
