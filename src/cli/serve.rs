//! `incidentgate serve`

use std::{
    io::{self, IsTerminal as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

use super::{FAILURE, USAGE, fail, interrupt::shutdown_on_signals, settings::Settings};
use crate::{
    app::{self, App},
    config::{
        AuditSink, BaseUrl, ClientAuthentication, Config, CredentialsMode, LogFormat,
        OnAuditFailure,
    },
    credentials::Credentials,
    listen_address::ListenAddress,
    sandbox::{self, Sandbox, Tokens},
    secret::Secret,
    server::{Drained, Listener},
    telemetry::{self, LogOptions, Telemetry},
};

/// The last spans and metrics have this long to leave; a dead collector cannot
/// hold the exit up for longer.
const FLUSH: Duration = Duration::from_secs(2);

/// Open files beside the connections: those to Graph, logs, what the runtime needs.
const OTHER_FILES: usize = 1000;

/// Where the client commands look for a gateway unless told otherwise.
const DEFAULT_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);

/// Runs the gateway until SIGTERM or SIGINT, then drains; a second signal stops it
/// at once.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        // Before a runtime or a port exists.
        let config = match self.settings.load() {
            Ok(loaded) => loaded.config,
            Err(mistakes) => return fail(USAGE, &mistakes.into()),
        };
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => return fail(FAILURE, &error.into()),
        };
        if let Err(unusable) = runtime.block_on(app::check_files(&config)) {
            return fail(USAGE, &unusable.into());
        }
        let lookup = |name: &str| std::env::var(name).ok();
        // https://no-color.org: any value but an empty one.
        let no_color = lookup("NO_COLOR").is_some_and(|value| !value.is_empty());
        let format = line_format(config.log.format, io::stderr().is_terminal(), no_color);
        let telemetry = {
            // The OTLP exporter over gRPC lives in the runtime.
            let _inside = runtime.enter();
            Telemetry::init(
                telemetry::Settings::from_environment(lookup),
                LogOptions::new(&config.log.filter, format),
            )
        };
        for warning in telemetry.warnings() {
            tracing::warn!("{warning}");
        }
        let served = runtime.block_on(serve(config, &telemetry));
        if !telemetry.shutdown(FLUSH) {
            tracing::warn!("the last telemetry did not reach the collector");
        }
        runtime.shutdown_background();
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILURE, &error),
        }
    }
}

/// The runtime that everything runs on.
///
/// By default a worker polls the task that was woken last before all others. Here that is
/// nearly always a connection: it would write each request and each answer alone, although
/// many are ready. In order of waking they go out together (`benches/README.md`). tokio
/// offers that only to whoever sets `--cfg tokio_unstable`, as `.cargo/config.toml` does;
/// without it the gateway does the same work, and takes longer for it.
fn runtime() -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    #[cfg(tokio_unstable)]
    builder.disable_lifo_slot();
    builder.enable_all().build()
}

async fn serve(mut config: Config, telemetry: &Telemetry) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    raise_open_files(config.server.max_connections);
    // The configuration lacks a Graph only under `--sandbox`.
    let sandbox = if config.graph.url.is_none() {
        Some(start_sandbox(&mut config).await?)
    } else {
        None
    };
    let credentials = app::credentials(&config, &telemetry.metrics())?;
    // Whatever is wrong shows before the port is open.
    let app = App::build(
        &config,
        credentials.clone(),
        telemetry.propagator(),
        telemetry.metrics(),
    )?;
    let address = config.server.listen.clone();
    let listener = Listener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address} (server.listen)"))?;
    let scheme = if app.speaks_tls() { "https" } else { "http" };
    announce(&config, &credentials, &listener, scheme, sandbox.as_ref())?;
    let Drained { cut_short } = app.run(listener, shutdown).await?;
    if let Some(sandbox) = sandbox {
        sandbox.shutdown().await;
    }
    anyhow::ensure!(
        cut_short == 0,
        "stopped before every call had ended; without a known outcome: {cut_short}"
    );
    Ok(())
}

/// Lets this process open as many files as its hard limit allows: each connection is one,
/// and the usual soft limit of 1024 is for programs that use `select`.
fn raise_open_files(connections: usize) {
    let needed = connections.saturating_add(OTHER_FILES);
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if usize::try_from(limit).is_ok_and(|limit| limit < needed) => tracing::warn!(
            limit,
            connections,
            "fewer files can be open than server.max_connections may need; raise the limit (ulimit -n)"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the limit of open files cannot be raised"
        ),
    }
}

/// Starts the embedded Graph and Entra, and points the gateway to them.
async fn start_sandbox(config: &mut Config) -> anyhow::Result<Sandbox> {
    let listen = config.sandbox.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("the sandbox cannot listen on {listen} (sandbox.listen)"))?;
    let asks_entra = config.credentials.mode != CredentialsMode::Passthrough;
    let options = sandbox::Options {
        // The whole way of a token is gone, or none is let in.
        tokens: if asks_entra {
            Tokens::Issued
        } else {
            Tokens::Any
        },
        ..sandbox::Options::default()
    };
    let sandbox = Sandbox::start(listener, options).await?;
    config.graph.url = BaseUrl::parse(&sandbox.graph_url());
    if let Some(authority) = BaseUrl::parse(&sandbox.authority()) {
        config.credentials.authority = authority;
    }
    let credentials = &mut config.credentials;
    credentials.client_authentication = ClientAuthentication::Secret;
    credentials.tenant = Some(sandbox.tenant().to_owned());
    credentials.client_id = Some(sandbox.client_id().to_owned());
    credentials.client_secret = Some(Secret::new(sandbox.client_secret()));
    // What is set for the real Entra means nothing to this one.
    credentials.scope = None;
    credentials.ca_file = None;
    if credentials.mode == CredentialsMode::OnBehalfOf && config.callers.jwt_issuer.is_none() {
        config.callers.jwt_issuer = Some(sandbox.issuer());
        config.callers.jwt_audience = vec![sandbox.client_id().to_owned()];
    }
    Ok(sandbox)
}

/// One line that says what listens where, in front of which Graph, as whom and for whom.
fn announce(
    config: &Config,
    credentials: &Credentials,
    listener: &Listener,
    scheme: &str,
    sandbox: Option<&Sandbox>,
) -> anyhow::Result<()> {
    tracing::info!(
        listen = %listener.address()?,
        tls = scheme == "https",
        graph = config.graph.url.as_ref().map(BaseUrl::as_str),
        credentials = match credentials {
            Credentials::Passthrough => "passthrough (each caller's own bearer token)",
            Credentials::Application(_) => "application (the gateway's own permissions)",
            Credentials::OnBehalfOf(_) => "on_behalf_of (each caller's token, exchanged)",
        },
        callers = %callers(config),
        audit = %audit(config),
        version = env!("CARGO_PKG_VERSION"),
        "incidentgate serves",
    );
    let takes_tokens = config.credentials.mode != CredentialsMode::Application
        || config.callers.jwt_issuer.is_some();
    if takes_tokens && scheme == "http" && !config.server.listen.is_local() {
        tracing::warn!(
            "callers' tokens arrive here in plain text unless a mesh encrypts them; tls.certificate_file would"
        );
    }
    if let Some(sandbox) = sandbox {
        let token = match credentials {
            Credentials::Application(_) => "",
            Credentials::Passthrough => " --token-file FILE (with any token in it)",
            Credentials::OnBehalfOf(_) => {
                " --token-file FILE (with a token by incidentgate mint --user OID --scope NAME)"
            }
        };
        let endpoint = match listener.address()? {
            ListenAddress::Tcp(address) if address == DEFAULT_PEER && scheme == "http" => {
                String::new()
            }
            ListenAddress::Tcp(address) => format!(" --endpoint {scheme}://{address}"),
            address @ ListenAddress::Unix(_) => format!(" --endpoint {address}"),
        };
        tracing::info!(
            control = %format_args!("http://{}/sandbox", sandbox.addr()),
            "sandbox: no real device is touched; first call: incidentgate execute 213213{endpoint}{token}"
        );
    }
    Ok(())
}

/// How callers prove who they are.
fn callers(config: &Config) -> String {
    let callers = &config.callers;
    let ways = [
        config
            .tls
            .client_ca_file
            .as_ref()
            .map(|_| "client certificates".to_owned()),
        callers
            .jwt_issuer
            .as_ref()
            .map(|issuer| format!("tokens of {issuer}")),
        callers
            .forwarded_certificates
            .then(|| "certificates that a sidecar forwards".to_owned()),
    ];
    let ways: Vec<String> = ways.into_iter().flatten().collect();
    if ways.is_empty() {
        "any".to_owned()
    } else {
        ways.join(", ")
    }
}

/// Where the audit log goes, and who pays for it when it cannot.
fn audit(config: &Config) -> String {
    let sink = match (config.audit.sink, &config.audit.file) {
        (AuditSink::Off, _) => return "off".to_owned(),
        (AuditSink::File, Some(file)) => file.display().to_string(),
        (AuditSink::Stdout | AuditSink::File, _) => "stdout".to_owned(),
    };
    match config.audit.on_failure {
        OnAuditFailure::Refuse => sink,
        OnAuditFailure::Proceed => format!("{sink}, and calls go on without it"),
    }
}

/// How log lines look on stderr.
fn line_format(wanted: LogFormat, is_terminal: bool, no_color: bool) -> telemetry::LogFormat {
    match (wanted, is_terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => telemetry::LogFormat::Json,
        (LogFormat::Human, _) | (LogFormat::Auto, true) => telemetry::LogFormat::Human {
            colors: is_terminal && !no_color,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{line_format, telemetry::LogFormat as Line};
    use crate::config::LogFormat::{Auto, Human, Json};

    #[test]
    fn only_a_terminal_gets_colours_and_only_if_they_are_wanted() {
        let (coloured, plain) = (Line::Human { colors: true }, Line::Human { colors: false });
        for (wanted, is_terminal, no_color, expected) in [
            (Auto, true, false, coloured),
            (Auto, true, true, plain),
            (Auto, false, false, Line::Json),
            (Human, true, false, coloured),
            (Human, true, true, plain),
            (Human, false, false, plain),
            (Json, true, false, Line::Json),
            (Json, false, true, Line::Json),
        ] {
            let format = line_format(wanted, is_terminal, no_color);
            assert_eq!(format, expected, "{wanted:?} {is_terminal} {no_color}");
        }
    }
}
