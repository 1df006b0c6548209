//! What a profile-guided build learns from: calls of each kind that a gateway is to be quick
//! at. What never occurs here is taken for rare, and is built to be small.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{net::TcpListener, process::Command};
use tonic::{Code, transport::Endpoint};

use crate::{
    any_port, calls::Call, certificates::Certificates, collector, graph, process::Process,
};

/// Of each kind; counters are compared with each other, so there is nothing to win by more.
const CALLS: usize = 12_800;
/// What the sandbox's Entra knows: one tenant, one application, its secret.
const TENANT: &str = "5a4db0c5-7e4a-4000-8000-00000000000a";
const APPLICATION: &str = "9a7e3a11-c11e-4000-8000-00000000000b";
const SECRET: &str = "sandbox-secret";
/// Where Graph has another name than its own, the gateway cannot know it.
const SCOPE: &str = "https://graph.microsoft.com/.default";
/// Users that Entra knows nothing of.
const USERS: [&str; 2] = [
    "7d2c6c1e-5a54-4b0a-9e0e-3c1d3b1f0a55",
    "0b9f4c3e-61d2-4a8f-8d4b-5f1c2e7a9d66",
];
/// A task whose action starts: where no sandbox answers, each time.
const STARTS: &str = "213213";
/// A task of the sandbox, whose action never starts.
const REFUSED: &str = "213214";

type Settings = Vec<(&'static str, String)>;

/// One configuration, and the calls that it gets.
struct Lesson {
    name: &'static str,
    settings: Settings,
    call: Call,
    /// Whether callers speak TLS and show a certificate.
    secure: bool,
}

/// What every gateway here is started with, and what stands around it.
struct School {
    gateway: PathBuf,
    folder: PathBuf,
    certificates: Certificates,
    graph: String,
    /// The same by TLS.
    secure_graph: String,
    collector: String,
    sandbox: String,
}

/// Starts the gateway with one configuration after another, and lets each have its calls.
pub(crate) async fn train(gateway: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut sandbox = program(gateway);
    sandbox.args(["sandbox", "--tokens", "issued", "--listen", "127.0.0.1:0"]);
    let (running, sandbox) = Process::start(&mut sandbox, "Graph at ", "/beta\n").await?;
    let certificates = Certificates::new(folder.path())?;
    let (graph, secure_graph) = (any_port().await?, any_port().await?);
    let collector = any_port().await?;
    let tls = certificates.of_server.clone();
    let school = School {
        gateway: gateway.to_owned(),
        folder: folder.path().to_owned(),
        certificates,
        graph: origin("http", &graph)?,
        secure_graph: origin("https", &secure_graph)?,
        collector: origin("http", &collector)?,
        sandbox,
    };
    tokio::spawn(graph::serve(graph, Some(Duration::ZERO), None));
    tokio::spawn(graph::serve_by_tls(secure_graph, tls));
    tokio::spawn(collector::serve(collector));
    for lesson in school.lessons().await? {
        writeln!(io::stdout(), "{}", lesson.name)?;
        school.teach(&lesson).await.context(lesson.name)?;
    }
    running.stop().await
}

fn origin(scheme: &str, listener: &TcpListener) -> io::Result<String> {
    Ok(format!("{scheme}://{}", listener.local_addr()?))
}

fn set(name: &'static str, value: impl Into<String>) -> (&'static str, String) {
    (name, value.into())
}

fn graph_at(origin: &str) -> (&'static str, String) {
    set("INCIDENTGATE_GRAPH__URL", format!("{origin}/beta"))
}

/// Without the settings of whoever builds.
fn program(gateway: &Path) -> Command {
    let mut command = Command::new(gateway);
    command.env_clear();
    command
}

impl School {
    async fn lessons(&self) -> anyhow::Result<[Lesson; 5]> {
        let audience = ["--audience", "https://graph.microsoft.com"];
        let for_graph = [self.mint(&audience).await?];
        let of_service = [self.mint(&["--role", "Incident.Execute"]).await?];
        let mut of_users = Vec::new();
        for user in USERS {
            let scope = ["--user", user, "--scope", "Incident.Execute"];
            of_users.push(self.mint(&scope).await?);
        }
        let started = |tokens: &[String]| Call::new(STARTS, tokens, Code::Ok);
        let refused = Call::new(REFUSED, &for_graph, Code::FailedPrecondition)?;
        let few = vec![
            set("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            set("OTEL_TRACES_SAMPLER_ARG", "0.01"),
        ];
        let application = self.entra("application", "role:Incident.Execute");
        let on_behalf_of = self.entra("on_behalf_of", "scope:Incident.Execute");
        let lesson = |name, settings: Vec<Settings>, call| Lesson {
            name,
            settings: settings.concat(),
            call,
            secure: false,
        };
        Ok([
            lesson(
                "a caller's own token, plain HTTP/2, every call traced by gRPC",
                vec![vec![
                    graph_at(&self.graph),
                    set("INCIDENTGATE_GRAPH__HTTP2_PRIOR_KNOWLEDGE", "true"),
                    set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ]],
                started(&for_graph)?,
            ),
            lesson(
                "callers' own tokens, HTTP/1.1, one call of a hundred traced",
                vec![vec![graph_at(&self.graph)], few],
                started(&of_users)?,
            ),
            lesson(
                "what Graph refuses",
                vec![vec![graph_at(&self.sandbox)]],
                refused,
            ),
            Lesson {
                secure: true,
                ..lesson(
                    "callers with certificates and tokens, the gateway's own permissions, TLS",
                    vec![application, self.secure_graph(), self.secure_callers()],
                    started(&of_service)?,
                )
            },
            lesson(
                "on behalf of users, TLS",
                vec![on_behalf_of, self.secure_graph()],
                started(&of_users)?,
            ),
        ])
    }

    async fn teach(&self, lesson: &Lesson) -> anyhow::Result<()> {
        let audit = self.folder.join(lesson.name.replace('/', ""));
        let mut gateway = program(&self.gateway);
        gateway
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("INCIDENTGATE_AUDIT__SINK", "file")
            .env("INCIDENTGATE_AUDIT__FILE", audit)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector)
            .envs(lesson.settings.iter().map(|(name, value)| (name, value)));
        let (running, listen) = Process::start(&mut gateway, r#""listen":""#, "\"").await?;
        let endpoint = if lesson.secure {
            let tls = self.certificates.of_client.clone();
            Endpoint::try_from(format!("https://{listen}"))?.tls_config(tls)?
        } else {
            Endpoint::try_from(format!("http://{listen}"))?
        };
        lesson.call.repeat(&endpoint, CALLS).await?;
        running.stop().await
    }

    /// A token of the sandbox's Entra.
    async fn mint(&self, options: &[&str]) -> anyhow::Result<String> {
        let mut mint = program(&self.gateway);
        mint.args(["mint", "--sandbox", &self.sandbox])
            .args(options);
        let minted = mint.output().await?;
        anyhow::ensure!(minted.status.success(), "{minted:?}");
        Ok(String::from_utf8(minted.stdout)?.trim_end().to_owned())
    }

    /// Whose tokens are good and for what, and how the gateway gets its own.
    fn entra(&self, mode: &str, policy: &str) -> Settings {
        let issuer = format!("{}/{TENANT}/v2.0", self.sandbox);
        vec![
            set("INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION", policy),
            set("INCIDENTGATE_CALLERS__JWT_ISSUER", issuer),
            set("INCIDENTGATE_CALLERS__JWT_AUDIENCE", APPLICATION),
            set("INCIDENTGATE_CREDENTIALS__MODE", mode),
            set("INCIDENTGATE_CREDENTIALS__AUTHORITY", &*self.sandbox),
            set("INCIDENTGATE_CREDENTIALS__TENANT", TENANT),
            set("INCIDENTGATE_CREDENTIALS__CLIENT_ID", APPLICATION),
            set("INCIDENTGATE_CREDENTIALS__CLIENT_SECRET", SECRET),
            set("INCIDENTGATE_CREDENTIALS__SCOPE", SCOPE),
        ]
    }

    /// Graph by TLS.
    fn secure_graph(&self) -> Settings {
        let authority = &*self.certificates.authority_file;
        vec![
            graph_at(&self.secure_graph),
            set("INCIDENTGATE_GRAPH__CA_FILE", authority),
        ]
    }

    /// Callers by TLS, and with a certificate.
    fn secure_callers(&self) -> Settings {
        let files = &self.certificates;
        vec![
            set(
                "INCIDENTGATE_TLS__CERTIFICATE_FILE",
                &*files.certificate_file,
            ),
            set("INCIDENTGATE_TLS__KEY_FILE", &*files.key_file),
            set("INCIDENTGATE_TLS__CLIENT_CA_FILE", &*files.authority_file),
        ]
    }
}
