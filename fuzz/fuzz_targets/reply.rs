//! A reply is read as the same however the line cuts its stream, and as the same again from what a log keeps of it.
#![no_main]

use std::convert::Infallible;
use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::stream;
use libfuzzer_sys::fuzz_target;
use model::{Error, Kept, Protocol, Reply, Served, Stop, Unheard, Vendors};
use tokio::runtime::{Builder, Runtime};

/// The first byte says which wire.
const WIRES: [Protocol; 3] = [Protocol::Anthropic, Protocol::Responses, Protocol::ChatCompletions];

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime can be made"));

fuzz_target!(|input: &[u8]| {
    // The second one says how long the pieces are that arrive.
    let [wire, length, body @ ..] = input else { return };
    let vendor = Vendors::built_in().get("openai").expect("a vendor of the table");
    let protocol = WIRES[usize::from(*wire) % WIRES.len()];
    let served = Served::new(vendor, "sk-key".to_owned().into(), "gpt-5").speaking(protocol);
    let whole = read(&served, body, body.len());
    let in_pieces = read(&served, body, usize::from(*length));
    assert_eq!(format!("{whole:?}"), format!("{in_pieces:?}"));
    match whole {
        Ok(reply) => check(reply),
        Err(error) => assert!(!error.to_string().contains("sk-key") && error.to_string().len() < 2000),
    }
});

fn read(served: &Served, body: &[u8], length: usize) -> Result<Reply, Error> {
    let pieces = body.chunks(length.max(1)).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
    RUNTIME.block_on(model::read(served, 7, stream::iter(pieces), &Unheard))
}

fn check(reply: Reply) {
    let Reply { origin, raw, parts, calls, stop, usage, model } = reply;
    assert!(usage.usd.is_none_or(|usd| usd.is_finite() && usd >= 0.0), "{usage:?}");
    assert!(stop != Stop::Refused || calls.is_empty(), "what was held back calls nothing");
    let kept = Kept { origin, raw, stop: stop.as_str().to_owned(), usage, model };
    let again = Reply::recalled(kept).expect("what was read is in the form of its wire");
    assert_eq!((again.parts, again.calls, again.stop), (parts, calls, stop));
}
