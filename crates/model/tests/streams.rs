//! The streams that fuzzing begins with: each is read as the same however it is cut, and a part of one never passes for more.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use model::{Error, Protocol, Reply, Served, Unheard, Vendors};
use secrecy::SecretString;

const WIRES: [Protocol; 3] = [Protocol::Anthropic, Protocol::Responses, Protocol::ChatCompletions];

/// Each with its name and its wire.
fn streams() -> Vec<(String, Served, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/reply");
    let vendor = Vendors::built_in().get("openai").unwrap();
    let stream = |file: std::fs::DirEntry| {
        let bytes = std::fs::read(file.path()).unwrap();
        let protocol = WIRES[usize::from(bytes[0] - b'0')];
        let served = Served::new(vendor, SecretString::from("sk-key"), "gpt-5").speaking(protocol);
        (file.file_name().into_string().unwrap(), served, bytes[2..].to_vec())
    };
    std::fs::read_dir(folder).unwrap().map(|file| stream(file.unwrap())).collect()
}

async fn read(served: &Served, body: &[u8], length: usize) -> Result<Reply, Error> {
    let pieces = body.chunks(length).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
    model::read(served, 7, stream::iter(pieces), &Unheard).await
}

#[tokio::test]
async fn a_reply_is_the_same_however_its_stream_is_cut() {
    for (name, served, body) in streams() {
        let whole = read(&served, &body, body.len()).await;
        assert_eq!(whole.is_err(), name.ends_with("error") || name.ends_with("failed"), "{name}: {whole:?}");
        if let Err(error) = &whole {
            let told = error.to_string();
            assert!(!told.contains("sk-key") && told.len() < 2000, "{name}: {told}");
        }
        for length in 1..40 {
            let in_pieces = read(&served, &body, length).await;
            assert_eq!(format!("{in_pieces:?}"), format!("{whole:?}"), "{name} in pieces of {length}");
        }
    }
}

#[tokio::test]
async fn the_beginning_of_a_reply_is_no_other_reply() {
    for (name, served, body) in streams() {
        let Ok(whole) = read(&served, &body, body.len()).await else { continue };
        for end in 0..body.len() {
            match read(&served, &body[..end], 64).await {
                Ok(reply) => {
                    assert_eq!(
                        (reply.parts, reply.calls, reply.stop),
                        (whole.parts.clone(), whole.calls.clone(), whole.stop.clone()),
                        "{name}: {end} bytes"
                    );
                }
                Err(error) => {
                    assert!(matches!(error, Error::Transient { .. }), "{name}, {end} bytes: {error}")
                }
            }
        }
    }
}
