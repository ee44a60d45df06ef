//! A strict stand-in for the model providers: all wires on one port, answers from a recording.
//!
//! It refuses what the real ones refuse, in their words, and knows no session: which reply is due follows from the
//! number of replies in the request. Tests look at what it was asked, and tell it to fail.

mod anthropic;
mod cache;
mod chat_completions;
mod fault;
mod garble;
mod recording;
mod refusal;
mod responses;
mod seal;
mod sse;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use cache::{Kept, Split};
pub use fault::{Fault, Garble};
use recording::Recorded;
pub use recording::{Recording, RecordingError};
use refusal::Refusal;

/// The largest request that Anthropic takes, in bytes.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What the log of requests keeps, in bytes of their bodies; the oldest ones go first.
const LOG_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A stand-in; clones are the same one.
#[derive(Debug, Clone)]
pub struct Fake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    recording: Recording,
    manner: Manner,
    kept: Mutex<Kept>,
    sum: Mutex<Sum>,
    /// What becomes of the next requests; nothing stands for a proper answer.
    faults: Mutex<VecDeque<Option<Fault>>>,
    log: Mutex<VecDeque<Asked>>,
}

/// Whom a stand-in believes to have before it, and what it says of tokens.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Whose key it is sent.
    pub organization: Organization,
    /// What replies are said to have used.
    pub counts: Counts,
}

/// What replies are said to have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// What stands in the recording.
    Recorded,
    /// Of the prompt what its bytes come to, with what a provider's cache would have had of them; of the reply what
    /// stands in the recording.
    Simulated,
}

/// Whether OpenAI knows who is behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Organization {
    /// It does.
    Verified,
    /// It does not, and shows no summaries of thoughts.
    Unverified,
}

/// What the requests with an answer come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub requests: usize,
    /// Bytes of their bodies.
    pub bytes: usize,
    /// Tokens of their prompts; none while counts are as recorded.
    pub prompt_tokens: u64,
    /// How many of those a cache would have had.
    pub read_tokens: u64,
}

/// A request that the stand-in was sent; without its headers, and so without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// The body.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
}

impl Fake {
    /// A stand-in that answers from `recording`, to a verified organization, with what was recorded.
    pub fn new(recording: Recording) -> Self {
        Self::with_manner(
            recording,
            Manner { organization: Organization::Verified, counts: Counts::Recorded },
        )
    }

    /// One that answers in its own manner.
    pub fn with_manner(recording: Recording, manner: Manner) -> Self {
        let (kept, sum) = (Mutex::default(), Mutex::default());
        let (faults, log) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { recording, manner, kept, sum, faults, log }))
    }

    /// Lets a coming request fail: the next one, or the one after those that are to fail already.
    pub fn fail_next(&self, fault: Fault) {
        locked(&self.0.faults).push_back(Some(fault));
    }

    /// Lets a coming request be answered properly: the next one, or the one after those that are spoken for already.
    pub fn pass_next(&self) {
        locked(&self.0.faults).push_back(None);
    }

    /// What it was asked, the oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.0.log).iter().cloned().collect()
    }

    /// What the requests with an answer came to since the last call.
    pub fn take_sum(&self) -> Sum {
        std::mem::take(&mut locked(&self.0.sum))
    }

    /// Starts it on a free port of the loopback.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub async fn start(&self) -> io::Result<Running> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, self.clone(), std::future::pending()));
        Ok(Running { address, task })
    }

    fn remember(&self, path: &str, body: &Bytes, status: StatusCode) {
        if status == StatusCode::OK {
            let mut sum = locked(&self.0.sum);
            sum.requests += 1;
            sum.bytes += body.len();
        }
        let body = String::from_utf8_lossy(body).into_owned();
        let mut log = locked(&self.0.log);
        log.push_back(Asked { path: path.to_owned(), body, status: status.as_u16() });
        let mut bytes: usize = log.iter().map(|asked| asked.body.len()).sum();
        while bytes > LOG_BYTES_MAX && log.len() > 1 {
            bytes -= log.pop_front().map_or(0, |asked| asked.body.len());
        }
    }
}

/// A stand-in that listens until this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    /// The base URL for Anthropic's wire.
    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL for both of OpenAI's wires.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `fake` on `listener` until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    fake: Fake,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/responses", post(respond))
        .route("/v1/models", get(models))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(fake);
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("A connection keeps its delay: {error}");
        }
    });
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn messages(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = match anthropic::answer(&fake, &headers, &body).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_anthropic(),
    };
    fake.remember("/v1/messages", &body, answer.status());
    answer
}

async fn chat(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = match chat_completions::answer(&fake, &headers, &body).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_openai(),
    };
    fake.remember("/v1/chat/completions", &body, answer.status());
    answer
}

async fn respond(State(fake): State<Fake>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = match responses::answer(&fake, &headers, &body).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_openai(),
    };
    fake.remember("/v1/responses", &body, answer.status());
    answer
}

/// The models of the recording, in the form of the wire that the headers belong to.
async fn models(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    let names = fake.0.recording.models();
    if headers.contains_key("anthropic-version") {
        return match anthropic::check_headers(&headers) {
            Ok(()) => anthropic::models(&names).into_response(),
            Err(refusal) => refusal.into_anthropic(),
        };
    }
    match chat_completions::check_headers(&headers) {
        Ok(()) => chat_completions::models(&names).into_response(),
        Err(refusal) => refusal.into_openai(),
    }
}

async fn nowhere(headers: HeaderMap) -> Response {
    let refusal = Refusal::new(404, "not_found_error", "Not Found");
    if headers.contains_key("anthropic-version") { refusal.into_anthropic() } else { refusal.into_openai() }
}

impl Fake {
    fn recording(&self) -> &Recording {
        &self.0.recording
    }

    fn organization(&self) -> Organization {
        self.0.manner.organization
    }

    /// `reply` with the usage to tell; `count` looks at the request's body.
    fn counted<'a>(
        &self,
        reply: &'a Recorded,
        body: &[u8],
        count: impl FnOnce(&mut Kept, &[u8]) -> Split,
    ) -> Cow<'a, Recorded> {
        match self.0.manner.counts {
            Counts::Recorded => Cow::Borrowed(reply),
            Counts::Simulated => {
                let prompt = count(&mut locked(&self.0.kept), body);
                let mut sum = locked(&self.0.sum);
                sum.prompt_tokens += prompt.plain + prompt.read + prompt.written;
                sum.read_tokens += prompt.read;
                Cow::Owned(reply.after(prompt))
            }
        }
    }

    fn next_fault(&self) -> Option<Fault> {
        locked(&self.0.faults).pop_front().flatten()
    }
}

/// Whoever panicked while holding it left it whole: each holder does one step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
