//! Servers are reached through the operator's proxy by https, but for its exceptions. A process has one proxy: hence a program of its
//! own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

use model::{Config, Conversation, Message, Served, Unheard, Vendors};
use reqwest::header::HeaderValue;
use reqwest::{NoProxy, Proxy};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Asks the model behind `url`; gives why it did not reply.
async fn ask(url: &str) -> String {
    let vendor = Vendors::built_in().get("mistral").unwrap();
    let served = Served::new(vendor, SecretString::from("sk-secret"), "m").at(url);
    let mut conversation = Conversation::new(String::new(), Vec::new());
    conversation.push(Message::User("Do it.".to_owned()));
    let model = model::open(&Config::Served(served)).unwrap();
    model.reply(&conversation, None, &Unheard).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_model_is_reached_through_the_proxy_but_for_its_exceptions() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let proxy = Proxy::https(format!("http://{address}")).unwrap();
    let proxy = proxy.no_proxy(NoProxy::from_string("127.0.0.0/8,direct.invalid"));
    let proxy = proxy.custom_http_auth(HeaderValue::from_static("Basic bWU6c2VjcmV0"));
    model::prepare(Some(proxy)).unwrap();

    let (heads, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let answers = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                connection.read_buf(&mut head).await.unwrap();
            }
            heads.send(String::from_utf8(head).unwrap()).unwrap();
            connection.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });

    let error = ask("https://llm.invalid/v1").await;
    assert!(error.starts_with("mistral is not answering: "), "{error}");
    let head = heard.recv().await.unwrap();
    assert!(head.starts_with("CONNECT llm.invalid:443 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0\r\n"), "{head}");
    assert!(!head.contains("sk-secret"), "the key is for the server alone: {head}");

    for direct in [
        "https://127.0.0.1:1/v1",
        "http://127.0.0.1:1/v1",
        "https://direct.invalid/v1",
        "http://llm.invalid/v1",
    ] {
        let error = ask(direct).await;
        assert!(error.starts_with("mistral is not answering: "), "{error}");
        assert!(heard.try_recv().is_err(), "{direct} is not the proxy's");
    }
    answers.abort();
}
