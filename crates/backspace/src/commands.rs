//! The commands.

mod demo;
mod dev;
mod doctor;
mod record;
mod replay;
mod run;
mod sandbox;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use events::Redactor;

use crate::config::{Places, Settings};
use crate::output;

/// A repository and a sentence become a pull request, and every step is shown while it happens.
///
/// Settings come from flags, the environment, and backspace.toml, in this order; see `backspace help serve`.
#[derive(Debug, Parser)]
#[command(name = "backspace", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The settings file [default: $XDG_CONFIG_HOME/backspace/backspace.toml, else /etc/backspace/backspace.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file of NAME=VALUE lines to read besides the environment; none is read unless named here
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  backspace demo
  backspace run https://github.com/OWNER/NAME \"Add input validation to all POST endpoints\"
  backspace serve";

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Run(Box<run::Run>),
    Replay(replay::Replay),
    Sandbox(sandbox::Sandbox),
    Serve(serve::Serve),
    Doctor(doctor::Doctor),
    Dev(dev::Dev),
}

/// Carries out the command and gives the process's exit code.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let places = Places { file: arguments.config, env_file: arguments.env_file };
    let settings = match Settings::load(&places) {
        Ok(settings) => settings,
        Err(error) => return output::wrong_usage(&error),
    };
    output::keep_secret(Redactor::new(settings.secrets().iter().map(String::as_str)));
    let done = match arguments.command {
        Command::Demo(demo) => demo::run(demo, &settings).await,
        Command::Run(run) => run::run(*run, settings).await,
        Command::Replay(replay) => replay::run(replay, &settings).await,
        Command::Sandbox(sandbox) => sandbox::run(sandbox, settings).await,
        Command::Serve(serve) => serve::run(serve, &settings).await,
        Command::Doctor(doctor) => doctor::run(doctor, &settings).await,
        Command::Dev(dev) => dev::run(dev).await,
    };
    done.unwrap_or_else(|error| output::fail(&error))
}
