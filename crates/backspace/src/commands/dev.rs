//! `backspace dev`: the strict stand-ins, for trying and testing without accounts.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use fakes::forge::{Access, NewRepository, Reach, Seed, Token, Visibility};
use fakes::model::{Fake, Recording};

use crate::output::{self, Usage};

/// Start a strict stand-in on loopback: for trying and testing without accounts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Dev {
    #[command(subcommand)]
    which: Which,
}

const EXAMPLES: &str = "\
Examples:
  backspace dev fake-model examples/simple-api/replies.jsonl
  backspace dev fake-forge --repo OWNER/NAME=PATH";

#[derive(Debug, Subcommand)]
enum Which {
    FakeModel(FakeModel),
    FakeForge(FakeForge),
}

/// A model server that speaks all wires and rejects what the real ones reject; its replies come from a recording.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  backspace dev fake-model --port 9001 examples/simple-api/replies.jsonl")]
struct FakeModel {
    /// The recording: one reply a line
    replies: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// A GitHub server with real git over HTTP; keeps everything in a folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  backspace dev fake-forge --port 9002 --repo OWNER/NAME=PATH --token dev-token-1234"
)]
struct FakeForge {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A repository to offer, copied from a folder (repeatable)
    #[arg(long = "repo", value_name = "OWNER/NAME=PATH")]
    repositories: Vec<String>,
    /// The token that may do everything
    #[arg(long, default_value = "dev-token-0123456789")]
    token: String,
}

/// Serves until Ctrl-C.
///
/// # Errors
/// A recording that cannot be read, an address that is taken, a repository that git cannot take in.
pub(crate) async fn run(asked: Dev) -> Result<ExitCode> {
    match asked.which {
        Which::FakeModel(asked) => fake_model(asked).await,
        Which::FakeForge(asked) => fake_forge(asked).await,
    }
}

async fn fake_model(asked: FakeModel) -> Result<ExitCode> {
    let path = asked.replies.display().to_string();
    let text = std::fs::read_to_string(&asked.replies).with_context(|| format!("cannot read {path}"))?;
    let recording = Recording::parse(&text).with_context(|| format!("{path} is no recording"))?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, asked.port)).await;
    let listener = listener.with_context(|| format!("cannot listen on port {}", asked.port))?;
    let address = listener.local_addr().context("cannot tell the port")?;
    output::result(format_args!("ANTHROPIC_BASE_URL=http://{address} ANTHROPIC_API_KEY=any-key"));
    output::result(format_args!("OPENAI_BASE_URL=http://{address}/v1 OPENAI_API_KEY=any-key"));
    output::result(format_args!(
        "OPENAI_BASE_URL=http://{address}/v1 OPENAI_API_KEY=any-key OPENAI_WIRE=responses"
    ));
    output::say("Plays the recording to every new conversation; Ctrl-C ends it.");
    fakes::model::serve(listener, Fake::new(recording), interrupted()).await.context("cannot serve")?;
    Ok(ExitCode::SUCCESS)
}

async fn fake_forge(asked: FakeForge) -> Result<ExitCode> {
    let home = tempfile::tempdir().context("cannot make a folder for the repositories")?;
    let listen = (Ipv4Addr::LOCALHOST, asked.port).into();
    let forge = fakes::forge::start(fakes::forge::Config { listen, home: home.path().to_owned() }).await?;
    for given in &asked.repositories {
        let (name, folder) = given.split_once('=').unwrap_or((given, "."));
        let Some((owner, name)) = name.split_once('/') else {
            bail!(Usage(format!("--repo {given}: write OWNER/NAME=PATH")));
        };
        let new = NewRepository {
            owner: owner.to_owned(),
            name: name.to_owned(),
            visibility: Visibility::Public,
            default_branch: None,
        };
        forge.create_repository(&new, &Seed::Folder(folder.into())).await?;
        output::say(format_args!("{}/{owner}/{name}", forge.url()));
    }
    let token =
        Token { login: "dev".to_owned(), access: Access::Workflows, reach: Reach::Everything, sso_url: None };
    forge.allow(&asked.token, token);
    let (api, host) = (forge.api_url(), forge.host());
    output::result(format_args!(
        "GITHUB_API_URL={api} GITHUB_TOKEN={} BACKSPACE_PRIVATE_HOSTS={host}",
        asked.token
    ));
    output::say("Everything it holds goes when it ends; Ctrl-C ends it.");
    interrupted().await;
    forge.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
