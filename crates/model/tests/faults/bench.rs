//! A model on one wire, with a provider behind it that fails, and a clock that stands still while it is not asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fakes::model::{Fake, Fault, Recording, Running};
use model::{
    Config, Conversation, Error, Facts, Live, Message, Model, ModelName, Protocol, Reply, ScriptedConfig,
    Served, ToolSpec, Unheard, Vendors,
};
use secrecy::SecretString;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

pub(crate) const KEY: &str = "sk-very-secret-key";

/// What is behind the address of a provider.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// A stand-in that fails as often as this, and then answers.
    Fails(Vec<Fault>),
    /// Nobody.
    Gone,
    /// Somebody who takes no connection.
    Deaf,
    /// Somebody who never answers.
    Mute,
    /// Somebody who hangs up when asked.
    HangsUp,
}

/// A model with its provider.
pub(crate) struct Bench {
    wire: Protocol,
    line: String,
    server: Server,
    url: String,
    standing: Standing,
    asked: Arc<AtomicUsize>,
    vendors: Vendors,
}

/// What stands there as long as the bench does.
enum Standing {
    Fake(Fake, #[expect(dead_code, reason = "it listens until it is dropped")] Running),
    Full(
        #[expect(dead_code, reason = "they fill its queue")] Vec<TcpStream>,
        #[expect(dead_code, reason = "as above")] std::net::TcpListener,
    ),
    Task(JoinHandle<()>),
    Nothing,
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

impl Bench {
    pub(crate) async fn new(wire: Protocol, line: &str, server: &Server) -> Self {
        let (url, standing) = stand(line, server).await;
        let url = match wire {
            Protocol::Anthropic => url,
            Protocol::Responses | Protocol::ChatCompletions => format!("{url}/v1"),
        };
        let (line, vendors) = (line.to_owned(), Vendors::built_in().clone());
        Self { wire, line, server: server.clone(), url, standing, asked: Arc::default(), vendors }
    }

    /// The same where the operator's table of vendors has `text`.
    pub(crate) fn with_table(self, text: &str) -> Self {
        Self { vendors: self.vendors.with(text).unwrap(), ..self }
    }

    /// The same from the start.
    pub(crate) async fn anew(&self) -> Self {
        Self { vendors: self.vendors.clone(), ..Self::new(self.wire, &self.line, &self.server).await }
    }

    /// The model, as a session has it.
    pub(crate) fn model(&self) -> Box<dyn Model + '_> {
        let (vendor, model) = match self.wire {
            Protocol::Anthropic => ("anthropic", "claude-opus-5-5"),
            Protocol::Responses | Protocol::ChatCompletions => ("openai", "gpt-5"),
        };
        let served = Served::new(self.vendors.get(vendor).unwrap(), SecretString::from(KEY), model);
        let model = model::open(&Config::Served(served.speaking(self.wire).at(&self.url))).unwrap();
        Box::new(Awake { model, bench: self })
    }

    /// Another model, which answers.
    pub(crate) fn next(&self) -> Box<dyn Model> {
        let config = ScriptedConfig { name: "next".to_owned(), text: self.line.clone() };
        model::open(&Config::Scripted(config)).unwrap()
    }

    /// The reply that the provider was to give.
    pub(crate) async fn expected(&self) -> Reply {
        self.next().reply(&self.conversation(), None, &Unheard).await.unwrap()
    }

    pub(crate) fn conversation(&self) -> Conversation {
        let tool = ToolSpec {
            name: "bash".to_owned(),
            description: "Runs a command.".to_owned(),
            parameters: serde_json::from_str(r#"{"type":"object","properties":{}}"#).unwrap(),
        };
        let mut conversation = Conversation::new("You are careful.".to_owned(), vec![tool]);
        conversation.push(Message::User("Do it.".to_owned()));
        conversation
    }

    /// How often the provider was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The requests that arrived.
    pub(crate) fn bodies(&self) -> Vec<String> {
        match &self.standing {
            Standing::Fake(fake, _) => fake.asked().into_iter().map(|asked| asked.body).collect(),
            Standing::Full(..) | Standing::Task(_) | Standing::Nothing => Vec::new(),
        }
    }

    /// Waits until nothing more can come from the provider; for ever when something will.
    async fn falls_silent(&self, request: usize) {
        match (&self.server, &self.standing) {
            (Server::Fails(faults), Standing::Fake(fake, _))
                if faults.get(request).is_some_and(is_for_ever) =>
            {
                while fake.asked().len() <= request {
                    tokio::task::yield_now().await;
                }
                // What it said before is underway for some rounds.
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            }
            (Server::Deaf | Server::Mute, _) => {
                for _ in 0..1000 {
                    tokio::task::yield_now().await;
                }
            }
            (Server::Fails(_) | Server::Gone | Server::HangsUp, _) => std::future::pending().await,
        }
    }
}

/// Whether what comes of `fault` never ends.
fn is_for_ever(fault: &Fault) -> bool {
    matches!(fault, Fault::Stall | Fault::SignsOfLife | Fault::EndlessError { .. })
}

async fn stand(line: &str, server: &Server) -> (String, Standing) {
    let free = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    match server {
        Server::Fails(faults) => {
            let fake = Fake::new(Recording::parse(line).unwrap());
            faults.iter().for_each(|fault| fake.fail_next(fault.clone()));
            let running = fake.start().await.unwrap();
            (running.anthropic_url(), Standing::Fake(fake, running))
        }
        Server::Gone => (format!("http://{}", free().await.local_addr().unwrap()), Standing::Nothing),
        Server::Deaf => {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            // Linux holds one connection more than it was told to, and lets all others wait.
            let waiting =
                vec![TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
            (format!("http://{address}"), Standing::Full(waiting, listener.into_std().unwrap()))
        }
        Server::Mute | Server::HangsUp => {
            let (listener, hangs_up) = (free().await, matches!(server, Server::HangsUp));
            let address = listener.local_addr().unwrap();
            let task = tokio::spawn(async move {
                let mut held = Vec::new();
                while let Ok((mut connection, _)) = listener.accept().await {
                    if !hangs_up {
                        held.push(connection);
                        continue;
                    }
                    let mut request = Vec::new();
                    // Requests of these tests are objects that end with their list of messages, or with one number more.
                    while !request.ends_with(b"}") {
                        if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
                            break;
                        }
                    }
                }
            });
            (format!("http://{address}"), Standing::Task(task))
        }
    }
}

/// Lets time go by while a provider is asked, and stand still otherwise: pauses take none, however long they are.
struct Awake<'b> {
    model: Box<dyn Model>,
    bench: &'b Bench,
}

#[async_trait]
impl Model for Awake<'_> {
    async fn reply(
        &self,
        conversation: &Conversation,
        output_tokens_max: Option<u32>,
        live: &dyn Live,
    ) -> Result<Reply, Error> {
        let request = self.bench.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::resume();
        let mut reply = std::pin::pin!(self.model.reply(conversation, output_tokens_max, live));
        tokio::select! {
            reply = &mut reply => {
                tokio::time::pause();
                reply
            }
            () = self.bench.falls_silent(request) => {
                tokio::time::pause();
                reply.await
            }
        }
    }

    fn name(&self) -> &ModelName {
        self.model.name()
    }

    fn facts(&self) -> &Facts {
        self.model.facts()
    }
}
