//! A model that costs nothing: it answers from a script without reading what it is asked, and notes when.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// How each reply stands in the requests that follow it; their number says which one is due.
const REPLY_MARK: &[u8] = br#""role":"assistant""#;

/// One reply of the script: a tool call, and what is said before it.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    said: Option<&'static str>,
    tool: &'static str,
    input: Value,
}

/// When a request was there, whole, and when its answer began to leave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) arrived: Instant,
    pub(crate) answered: Instant,
    pub(crate) request_bytes: usize,
}

/// A model on a port of its own. Its threads end with this process.
pub(crate) struct Model {
    address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl Reply {
    /// A call of `tool`.
    pub(crate) fn call(tool: &'static str, input: Value) -> Self {
        Self { said: None, tool, input }
    }

    /// A call of `bash`.
    pub(crate) fn bash(command: &str) -> Self {
        Self::call("bash", json!({ "command": command }))
    }

    /// The end of the work.
    pub(crate) fn finish() -> Self {
        Self::call("finish", json!({ "title": "Count on", "summary": "The markers count one further." }))
    }

    /// The same with something said before it.
    pub(crate) fn saying(self, text: &'static str) -> Self {
        Self { said: Some(text), ..self }
    }

    /// The reply as the Messages API sends it.
    fn answer(&self, place: usize) -> Vec<u8> {
        let usage = json!({ "input_tokens": 1000, "output_tokens": 1 });
        let message = json!({ "id": format!("msg_{place}"), "type": "message", "role": "assistant",
            "model": "bench-1", "content": [], "stop_reason": null, "usage": usage });
        let mut events = vec![json!({ "type": "message_start", "message": message })];
        let mut block = |start: Value, delta: Value| {
            let index = (events.len() - 1) / 3;
            events.push(json!({ "type": "content_block_start", "index": index, "content_block": start }));
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
            events.push(json!({ "type": "content_block_stop", "index": index }));
        };
        if let Some(said) = self.said {
            block(json!({ "type": "text", "text": "" }), json!({ "type": "text_delta", "text": said }));
        }
        let call =
            json!({ "type": "tool_use", "id": format!("toolu_{place}"), "name": self.tool, "input": {} });
        block(call, json!({ "type": "input_json_delta", "partial_json": self.input.to_string() }));
        let end = json!({ "stop_reason": "tool_use", "stop_sequence": null });
        events.push(json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 50 } }));
        events.push(json!({ "type": "message_stop" }));
        let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
        let body: String =
            events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", name(event))).collect();
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Model {
    /// A model that answers each request with the next reply of `script`, `latency` after it came; when the script is
    /// over, with its last one.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub(crate) fn start(script: &[Reply], latency: Duration) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen for the model")?;
        let address = listener.local_addr().context("cannot tell the model's port")?;
        let answers: Arc<Vec<Vec<u8>>> =
            Arc::new(script.iter().enumerate().map(|(place, reply)| reply.answer(place)).collect());
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&exchanges);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, noted) = (Arc::clone(&answers), Arc::clone(&noted));
                // A client that hangs up ends its thread.
                thread::spawn(move || drop(converse(stream, &answers, latency, &noted)));
            }
        });
        Ok(Self { address, exchanges })
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was exchanged since the last call.
    pub(crate) fn take_exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.exchanges.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it was asked.
    pub(crate) fn wait_for_request(&self) {
        while self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn converse(
    stream: TcpStream,
    answers: &[Vec<u8>],
    latency: Duration,
    exchanges: &Mutex<Vec<Exchange>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
    let mut stream = stream;
    while let Some(length) = read_head(&mut requests)? {
        let mut body = vec![0; length];
        requests.read_exact(&mut body)?;
        let arrived = Instant::now();
        let place = body.windows(REPLY_MARK.len()).filter(|window| *window == REPLY_MARK).count();
        let answer = answers.get(place).or(answers.last()).map(Vec::as_slice).unwrap_or_default();
        let noted = |answered| Exchange { arrived, answered, request_bytes: length };
        let note = |exchange| exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        if latency.is_zero() {
            // Noted first: what the client does next may come before we run again.
            note(noted(Instant::now()));
        } else {
            note(noted(arrived + latency));
            thread::sleep(latency);
        }
        stream.write_all(answer)?;
    }
    Ok(())
}

/// Reads a request's head and gives the length of its body; nothing at the end of the connection.
fn read_head(requests: &mut BufReader<TcpStream>) -> std::io::Result<Option<usize>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if requests.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap_or_default();
            }
            Some(_) => {}
            None if line.trim_end().is_empty() => return Ok(Some(length)),
            None => {}
        }
    }
}
