//! Events are the same however the line cuts their stream, and the same that another parser finds.
#![no_main]

use std::convert::Infallible;

use eventsource_stream::EventStream;
use futures_util::{FutureExt, StreamExt, stream};
use libfuzzer_sys::fuzz_target;
use model::{Events, NoEvents};

fuzz_target!(|input: &[u8]| {
    // The first byte says how long the pieces are that arrive.
    let [length, body @ ..] = input else { return };
    let whole = find(std::iter::once(body));
    assert_eq!(whole, find(body.chunks(usize::from(*length).max(1))));
    let Ok(text) = std::str::from_utf8(body) else { return };
    let (found, end) = whole;
    assert_eq!(end, Ok(()), "text this short is a stream of events");
    assert_eq!(found, theirs(text));
});

/// The events in `pieces`, and what they ended with.
fn find<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), NoEvents>) {
    let (mut events, mut found) = (Events::default(), Vec::new());
    for mut piece in pieces {
        loop {
            match events.next(&mut piece) {
                Ok(Some(event)) => found.push(event),
                Ok(None) => break,
                Err(end) => return (found, Err(end)),
            }
        }
    }
    (found, Ok(()))
}

/// What somebody else's parser finds, without the blank ones.
fn theirs(text: &str) -> Vec<String> {
    // It panics at a byte order mark, and waits for what may follow a CR, where the standard takes the line as ended.
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = format!(":\n{plain}{}", if plain.ends_with('\r') { "\n" } else { "" });
    let body = stream::once(async { Ok::<_, Infallible>(text) });
    let found = EventStream::new(Box::pin(body)).map(|event| event.expect("text is events").data);
    let found: Vec<String> = found.collect().now_or_never().expect("nothing is waited for");
    found.into_iter().filter(|data| !data.trim().is_empty()).collect()
}
