//! The services of other projects' conformance suites behind the gateway's own stack: its
//! accept loop, TLS, limits, deadlines, observation, and what it does to every answer.

mod compat;
mod connect;
mod interop;
mod trailers;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use incidentgate::{
    app::{self, App},
    config::{Config, Flag, Sources},
    listen_address::ListenAddress,
    server::{Listener, Shutdown},
    telemetry::{LogFormat, LogOptions, Settings, Telemetry},
};
use tokio::signal::unix::{SignalKind, signal};
use tonic::service::Routes;

use self::{compat::Compat, connect::Connect, interop::Interop};

/// The generated types of `proto/`.
mod pb {
    #![allow(
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        missing_docs,
        unreachable_pub,
        dead_code,
        reason = "generated code"
    )]

    /// connectrpc/conformance
    pub(crate) mod connect {
        tonic::include_proto!("connectrpc.conformance.v1");
    }

    /// gRPC's interoperability tests
    pub(crate) mod interop {
        tonic::include_proto!("grpc.testing");
    }
}

/// Serves on a free port of the loopback until SIGTERM.
#[derive(Debug, Parser)]
enum Arguments {
    /// `ConformanceService`, as `connectconformance --mode server` asks for it on standard input.
    Connect {
        /// Where to put keys and certificates.
        folder: PathBuf,
    },
    /// `grpc.testing.TestService`; the port is printed.
    Interop {
        /// PEM file; with it TLS is spoken.
        #[arg(long, requires = "key_file")]
        certificate_file: Option<String>,
        /// PEM file of its key.
        #[arg(long, requires = "certificate_file")]
        key_file: Option<String>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse() {
        Arguments::Connect { folder } => {
            let compat = Compat::read(&folder)?;
            let connect = Connect::new(compat.max_message_bytes()).service();
            let gateway = Gateway::start(compat.settings(), |routes| routes.add_service(connect));
            let gateway = gateway.await?;
            compat.answer(gateway.port()?)?;
            gateway.run().await
        }
        Arguments::Interop {
            certificate_file,
            key_file,
        } => {
            let files = [
                ("tls.certificate_file", certificate_file),
                ("tls.key_file", key_file),
            ];
            let settings = files.into_iter();
            let settings = settings.filter_map(|(key, file)| Some((key, file?)));
            let interop = Interop::service();
            let gateway = Gateway::start(settings.collect(), |routes| routes.add_service(interop));
            let gateway = gateway.await?;
            writeln!(std::io::stdout(), "{}", gateway.port()?)?;
            gateway.run().await
        }
    }
}

/// A gateway that listens.
struct Gateway {
    app: App,
    listener: Listener,
}

impl Gateway {
    /// The defaults but for these settings, with further services.
    async fn start(
        settings: Vec<(&'static str, String)>,
        add: impl FnOnce(Routes) -> Routes,
    ) -> anyhow::Result<Self> {
        let config = config(settings)?;
        let log = LogOptions::new(&config.log.filter, LogFormat::Json);
        let telemetry = Telemetry::init(Settings::from_environment(|_| None), log);
        let metrics = telemetry.metrics();
        let credentials = app::credentials(&config, &metrics)?;
        let app = App::build(&config, credentials, telemetry.propagator(), metrics)?;
        Ok(Self {
            app: app.with_services(add),
            listener: Listener::bind(&config.server.listen).await?,
        })
    }

    fn port(&self) -> anyhow::Result<u16> {
        match self.listener.address()? {
            ListenAddress::Tcp(address) => Ok(address.port()),
            ListenAddress::Unix(_) => anyhow::bail!("a port was asked for"),
        }
    }

    async fn run(self) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = Shutdown::default();
        let graceful = shutdown.graceful.clone();
        tokio::spawn(async move {
            terminate.recv().await;
            graceful.cancel();
        });
        self.app.run(self.listener, shutdown).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn config(settings: Vec<(&'static str, String)>) -> anyhow::Result<Config> {
    let usual = [
        ("server.listen", "127.0.0.1:0"),
        ("credentials.mode", "passthrough"),
        ("drain.delay", "0s"),
        ("log.filter", "warn"),
    ];
    let usual = usual.map(|(key, value)| (key, value.to_owned()));
    let flags = usual.into_iter().chain(settings).map(|(key, value)| Flag {
        key,
        name: key,
        value,
    });
    let sources = Sources {
        flags: flags.collect(),
        ..Sources::default()
    };
    Ok(Config::load(sources)?.config)
}
