//! The files of both sides' TLS: read at the start, and again while the gateway runs.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::{
    graph::{BuildError, GraphClient, GraphTls},
    reload::{File, ReadError, Source, Watch},
    server::{Tls, TlsOptions},
    telemetry::{Metrics, Reloaded},
    tls::{Pair, TlsError},
};

const CERTIFICATE: &str = "tls.certificate_file";
const KEY: &str = "tls.key_file";
const CLIENT_CA: &str = "tls.client_ca_file";
const GRAPH_CA: &str = "graph.ca_file";
const GRAPH_CERTIFICATE: &str = "graph.client_certificate_file";
const GRAPH_KEY: &str = "graph.client_key_file";

/// Where certificates and keys are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The listener's own; without them it speaks plain HTTP/2.
    pub server: Option<ServerFiles>,
    /// Authorities that are trusted beside the system's, when Graph is called.
    pub graph_ca: Option<PathBuf>,
    /// What Graph is shown.
    pub graph_client: Option<PairFiles>,
    /// How often all files are read again.
    pub reload_interval: Duration,
}

/// A certificate with its chain, and its key; both in PEM.
#[derive(Debug, Clone)]
pub struct PairFiles {
    /// The certificate first, then those that it was issued by.
    pub certificate: PathBuf,
    /// The key, not encrypted. It may be the same file.
    pub key: PathBuf,
}

/// The listener's files.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// What the listener shows.
    pub pair: PairFiles,
    /// The authorities of client certificates; without them none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// What is in use, and the files that it came from.
#[derive(Debug)]
pub(super) struct Watched {
    server: Option<(Tls, Watch)>,
    graph: Option<(GraphClient, Watch)>,
    interval: Duration,
    metrics: Metrics,
}

// === impl TlsFiles ===

impl TlsFiles {
    /// Reads what Graph is called with.
    pub(super) fn graph(&self) -> Result<GraphTls, ReadError> {
        let (certificate, key) = match &self.graph_client {
            Some(pair) => (Some(&*pair.certificate), Some(&*pair.key)),
            None => (None, None),
        };
        Ok(graph_tls(&read([
            (GRAPH_CA, self.graph_ca.as_deref()),
            (GRAPH_CERTIFICATE, certificate),
            (GRAPH_KEY, key),
        ])?))
    }

    fn server(files: &ServerFiles) -> Result<Vec<File>, ReadError> {
        read([
            (CERTIFICATE, Some(&*files.pair.certificate)),
            (KEY, Some(&*files.pair.key)),
            (CLIENT_CA, files.client_ca.as_deref()),
        ])
    }
}

// === impl Watched ===

impl Watched {
    /// Sets the listener's TLS up, if it has any. `graph` uses `tls` already.
    pub(super) fn new(
        files: &TlsFiles,
        graph: &GraphClient,
        tls: &GraphTls,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let server = match &files.server {
            Some(files) => {
                let files = TlsFiles::server(files)?;
                let options =
                    server_options(&files).context("a file of the listener's is missing")?;
                options.pair.warn_if_expired(SystemTime::now());
                Some((Tls::new(&options)?, Watch::new(files)))
            }
            None => None,
        };
        if let Some(pair) = &tls.client {
            pair.warn_if_expired(SystemTime::now());
        }
        let in_use = graph_files(tls);
        Ok(Self {
            server,
            graph: (!in_use.is_empty()).then(|| (graph.clone(), Watch::new(in_use))),
            interval: files.reload_interval,
            metrics,
        })
    }

    /// The listener's TLS.
    pub(super) fn tls(&self) -> Option<Tls> {
        self.server.as_ref().map(|(tls, _)| tls.clone())
    }

    /// Watches the files as long as what it returns lives.
    pub(super) fn keep(self) -> JoinSet<()> {
        let Self {
            server,
            graph,
            interval,
            metrics,
        } = self;
        let mut tasks = JoinSet::new();
        if let Some((tls, watch)) = server {
            let apply = move |files: &[File]| replace_server(&tls, files);
            tasks.spawn(watch.keep(Reloaded::Server, interval, apply, metrics.clone()));
        }
        if let Some((client, watch)) = graph {
            let apply = move |files: &[File]| replace_graph(&client, files);
            tasks.spawn(watch.keep(Reloaded::Graph, interval, apply, metrics));
        }
        tasks
    }
}

fn replace_server(tls: &Tls, files: &[File]) -> Result<(), TlsError> {
    // The files are those of the beginning, so nothing is missing.
    let Some(options) = server_options(files) else {
        return Ok(());
    };
    tls.replace(&options)?;
    options.pair.warn_if_expired(SystemTime::now());
    Ok(())
}

fn replace_graph(client: &GraphClient, files: &[File]) -> Result<(), BuildError> {
    let tls = graph_tls(files);
    client.replace_tls(&tls)?;
    if let Some(pair) = &tls.client {
        pair.warn_if_expired(SystemTime::now());
    }
    Ok(())
}

/// Reads those that are configured.
fn read<const N: usize>(files: [(&'static str, Option<&Path>); N]) -> Result<Vec<File>, ReadError> {
    files
        .into_iter()
        .filter_map(|(key, path)| {
            let path = path?.to_owned();
            Some(Source { key, path }.read())
        })
        .collect()
}

fn find(files: &[File], key: &str) -> Option<File> {
    files.iter().find(|file| file.source.key == key).cloned()
}

fn server_options(files: &[File]) -> Option<TlsOptions> {
    Some(TlsOptions {
        pair: Pair {
            certificate: find(files, CERTIFICATE)?,
            key: find(files, KEY)?,
        },
        client_ca: find(files, CLIENT_CA),
    })
}

fn graph_tls(files: &[File]) -> GraphTls {
    let pair = find(files, GRAPH_CERTIFICATE).zip(find(files, GRAPH_KEY));
    GraphTls {
        roots: find(files, GRAPH_CA),
        client: pair.map(|(certificate, key)| Pair { certificate, key }),
    }
}

/// The reverse of [`graph_tls`].
fn graph_files(tls: &GraphTls) -> Vec<File> {
    let pair = tls.client.iter();
    let pair = pair.flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]);
    tls.roots.clone().into_iter().chain(pair).collect()
}
