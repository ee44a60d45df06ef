//! The binary: reads the configuration, assembles the parts, runs a command.

mod assemble;
mod commands;
mod config;
mod output;
mod probe;
mod registries;
mod show;
mod signals;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = commands::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::fail(&anyhow::Error::new(error).context("cannot start the runtime")),
    };
    let code = runtime.block_on(commands::run(arguments));
    // A blocked read of standard input must not hold up the end.
    runtime.shutdown_background();
    code
}
