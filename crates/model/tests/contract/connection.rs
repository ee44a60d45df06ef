//! What every wire does with its connections: one for a session, no redirects, and words for what is no answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{Error, Part, Unheard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{KEY, anthropic, chat_completions, conversation, responses};

/// Answers every request on a free port with `answer`; gives its address, and counts its connections.
async fn canned(answer: &'static str) -> io::Result<(String, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let count = connection.read(&mut buffer).await.unwrap_or(0);
                    request.extend_from_slice(&buffer[..count]);
                    if is_whole(&request) {
                        request.clear();
                        connection.write_all(answer.as_bytes()).await.unwrap();
                    }
                    if count == 0 {
                        return;
                    }
                }
            });
        }
    });
    Ok((format!("http://{address}"), connections))
}

/// Whether all of a request has come: its head, and JSON to the last brace.
fn is_whole(request: &[u8]) -> bool {
    let body = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|end| &request[end + 4..]);
    body.is_some_and(|body| serde_json::from_slice::<serde_json::Value>(body).is_ok())
}

#[tokio::test]
async fn one_connection_serves_a_session() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let (url, connections) = canned(answer.leak()).await.unwrap();
    let model = model::open(&chat_completions(&url)).unwrap();
    for _ in 0..5 {
        assert_eq!(
            model.reply(&conversation(), None, &Unheard).await.unwrap().parts,
            [Part::Text("x".to_owned())]
        );
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_say_its_kind_is_read_as_the_stream_that_was_asked_for() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (url, _) = canned(answer(body).leak()).await.unwrap();
    let model = model::open(&chat_completions(&url)).unwrap();
    let reply = model.reply(&conversation(), None, &Unheard).await.unwrap();
    assert_eq!(reply.parts, [Part::Text("x".to_owned())]);
    for body in ["", "oops"] {
        let (url, _) = canned(answer(body).leak()).await.unwrap();
        for config in [anthropic(&url), responses(&url), chat_completions(&url)] {
            let error =
                model::open(&config).unwrap().reply(&conversation(), None, &Unheard).await.unwrap_err();
            assert!(matches!(error, Error::Transient { .. }), "{body}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_key_follows_no_redirect() {
    let (elsewhere, reached) = canned("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {elsewhere}/\r\ncontent-length: 0\r\n\r\n");
    let (url, _) = canned(answer.leak()).await.unwrap();
    for config in [anthropic(&url), responses(&url), chat_completions(&url)] {
        let error = model::open(&config).unwrap().reply(&conversation(), None, &Unheard).await.unwrap_err();
        assert!(matches!(error, Error::Refused { status: 307, .. }), "{error:?}");
    }
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn answers_that_are_no_stream_and_servers_that_are_gone_are_told_apart() {
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\noops";
    let (url, _) = canned(page).await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for open in [anthropic, responses, chat_completions] {
        let error =
            model::open(&open(&url)).unwrap().reply(&conversation(), None, &Unheard).await.unwrap_err();
        assert!(
            matches!(&error, Error::Protocol { message, .. } if message.contains("text/html")),
            "{error:?}"
        );
        let error = model::open(&open(&format!("http://{gone}")))
            .unwrap()
            .reply(&conversation(), None, &Unheard)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Transient { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(KEY));
    }
}
