//! `incidentgate sandbox`

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;

use super::{FAILURE, fail, interrupt::shutdown_on_signals, print};
use crate::{
    config::form,
    sandbox::{Dialect, Options, Sandbox, Tokens},
};

/// Runs the simulator of Microsoft Graph and of Microsoft Entra ID until a signal. It
/// forgets everything when it stops.
#[derive(Debug, Args)]
pub(super) struct RunSandbox {
    /// Address to listen on; it has no authentication, so keep it on loopback.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = |text: &str| form::socket_address().demand(text)
    )]
    listen: SocketAddr,
    /// Which version of Microsoft's page the refusals are worded after.
    #[arg(long, value_enum, default_value_t = Wording::Draft)]
    dialect: Wording,
    /// Which tokens the simulated Graph accepts.
    #[arg(long, value_enum, default_value_t = Accepted::Any)]
    tokens: Accepted,
    /// How long an action runs once it was started.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        value_parser = |text: &str| form::duration(Duration::ZERO, form::DAY).demand(text)
    )]
    step: Duration,
    /// What random faults are drawn from: the same seed gives the same faults.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Which bearer tokens Graph accepts.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Accepted {
    /// Any; only one that the sandbox has issued has to be good.
    Any,
    /// Good ones that the sandbox has issued.
    Issued,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wording {
    /// `UnsupportedActionType`, `ActionAlreadyInProgress`.
    Draft,
    /// `BadRequest` with "Currently … is not supported".
    Published,
}

impl RunSandbox {
    pub(super) async fn run(self) -> ExitCode {
        match self.serve().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILURE, &error),
        }
    }

    async fn serve(self) -> anyhow::Result<()> {
        let shutdown = shutdown_on_signals()?;
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        let options = Options {
            dialect: match self.dialect {
                Wording::Draft => Dialect::Draft,
                Wording::Published => Dialect::Published,
            },
            step: self.step,
            seed: self.seed,
            tokens: match self.tokens {
                Accepted::Any => Tokens::Any,
                Accepted::Issued => Tokens::Issued,
            },
        };
        let token = match options.tokens {
            Tokens::Any | Tokens::Only(_) => "any, for example sandbox-token",
            Tokens::Issued => "one that the Entra here has issued for https://graph.microsoft.com",
        };
        let sandbox = Sandbox::start(listener, options).await?;
        let base = sandbox.authority();
        print(format_args!(
            "sandbox of Microsoft Graph at {}\n\
             token: {token}\n\
             tasks: 213213 isolateDevice; 213214 text (unsupported); 213215 already in progress; 213216 will fail\n\
             Entra: authority {base}, tenant {}, client id {}, client secret {}\n\
             control and journal: {base}/sandbox/tasks, {base}/sandbox/journal, {base}/sandbox/entra/journal",
            sandbox.graph_url(),
            sandbox.tenant(),
            sandbox.client_id(),
            sandbox.client_secret(),
        ));
        shutdown.graceful.cancelled().await;
        sandbox.shutdown().await;
        Ok(())
    }
}
