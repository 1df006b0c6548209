//! The command line.

mod audit;
mod check;
mod execute;
mod follow;
mod get;
mod health;
mod interrupt;
mod list;
mod mint;
mod origin;
mod peer;
mod progress;
mod report;
mod said;
mod sandbox;
mod serve;
mod service;
mod settings;
mod sight;
mod table;
mod token;
mod unreachable;
mod watch;

use std::{
    future::Future,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// The configuration or the command line is wrong (`EX_USAGE` of sysexits.h).
const USAGE: u8 = 64;
/// The program could not do what it was asked for.
const FAILURE: u8 = 1;
/// Nobody can tell whether an action was started.
const UNKNOWN: u8 = 4;

/// A gRPC gateway for Microsoft Graph's incidentTask: executeResponseAction.
///
/// After every call the caller knows whether the action was started: yes, no, or
/// unknown, never a guess. And the gateway never starts it twice by itself.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

// Each command's help is the documentation of its own type.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Execute(execute::Execute),
    Get(get::Get),
    Watch(watch::Watch),
    List(list::List),
    Sandbox(sandbox::RunSandbox),
    Mint(mint::MintToken),
    Check(check::Check),
    Health(health::CheckHealth),
    #[command(subcommand)]
    Audit(audit::Audit),
}

impl Cli {
    /// Reads the command line; a mistake in it has the same exit code as one in the
    /// configuration.
    pub fn parse_or_exit_code() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            // Help and version are no errors, and go to stdout.
            let code = if error.use_stderr() { USAGE } else { 0 };
            drop(error.print());
            ExitCode::from(code)
        })
    }

    /// Carries the command out.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Serve(command) => command.run(),
            Command::Execute(command) => in_runtime(command.run()),
            Command::Get(command) => in_runtime(command.run()),
            Command::Watch(command) => in_runtime(command.run()),
            Command::List(command) => in_runtime(command.run()),
            Command::Sandbox(command) => in_runtime(command.run()),
            Command::Mint(command) => in_runtime(command.run()),
            Command::Check(command) => in_runtime(command.run()),
            Command::Health(command) => in_runtime(command.run()),
            Command::Audit(command) => in_runtime(command.run()),
        }
    }
}

/// Runs a command that needs no more than one thread.
fn in_runtime(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => fail(FAILURE, &error.into()),
    }
}

/// Prints a line, or more, of the command's result.
fn print(text: impl std::fmt::Display) {
    // A reader that has gone away (`| head`) is no failure of the command.
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// The same where the command ends once nobody reads, or nothing can be written.
fn write(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// What a command comes to whose result could not be written; a reader that has gone away
/// (`| head`) knows.
fn unwritten(code: u8, error: io::Error) -> u8 {
    if error.kind() != io::ErrorKind::BrokenPipe {
        fail(code, &anyhow::Error::new(error).context("standard output"));
    }
    code
}

/// Prints the error with its causes, and gives the exit code.
fn fail(code: u8, error: &anyhow::Error) -> ExitCode {
    drop(writeln!(io::stderr().lock(), "incidentgate: {error:#}"));
    ExitCode::from(code)
}
