//! The files of both sides' TLS: read at the start, and again while the gateway runs.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::task::JoinSet;

use crate::{
    config::{Graph, Tls},
    graph::{BuildError, GraphClient, GraphTls},
    reload::{File, ReadError, Source, Watch},
    server::{self, TlsOptions},
    telemetry::{Metrics, Reloaded},
    tls::{Pair, TlsError},
};

pub(super) const CERTIFICATE: &str = "tls.certificate_file";
pub(super) const KEY: &str = "tls.key_file";
pub(super) const CLIENT_CA: &str = "tls.client_ca_file";
pub(super) const GRAPH_CA: &str = "graph.ca_file";
pub(super) const GRAPH_CERTIFICATE: &str = "graph.client_certificate_file";
pub(super) const GRAPH_KEY: &str = "graph.client_key_file";

/// What is in use, and the files that it came from.
#[derive(Debug)]
pub(super) struct Watched {
    server: Option<(server::Tls, Watch)>,
    graph: Option<(GraphClient, Watch)>,
    interval: Duration,
    metrics: Metrics,
}

/// What Graph is called with, as the configuration names it.
pub(super) fn read_graph(config: &Graph) -> Result<GraphTls, ReadError> {
    Ok(graph_tls(&read([
        (GRAPH_CA, &config.ca_file),
        (GRAPH_CERTIFICATE, &config.client_certificate_file),
        (GRAPH_KEY, &config.client_key_file),
    ])?))
}

fn read_server(config: &Tls) -> Result<Vec<File>, ReadError> {
    read([
        (CERTIFICATE, &config.certificate_file),
        (KEY, &config.key_file),
        (CLIENT_CA, &config.client_ca_file),
    ])
}

// === impl Watched ===

impl Watched {
    /// Sets the listener's TLS up, if it has any. `graph` uses `tls` already.
    pub(super) fn new(
        config: &Tls,
        graph: &GraphClient,
        tls: &GraphTls,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let files = read_server(config)?;
        let server = match server_options(&files) {
            Some(options) => {
                options.pair.warn_if_expired(SystemTime::now());
                Some((server::Tls::new(&options)?, Watch::new(files)))
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
            interval: config.reload_interval,
            metrics,
        })
    }

    /// The listener's TLS.
    pub(super) fn tls(&self) -> Option<server::Tls> {
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

fn replace_server(tls: &server::Tls, files: &[File]) -> Result<(), TlsError> {
    // The files are those of the beginning, so nothing is missing.
    let Some(options) = server_options(files) else {
        return Ok(());
    };
    options.pair.refuse_if_expired(SystemTime::now())?;
    tls.replace(&options)
}

fn replace_graph(client: &GraphClient, files: &[File]) -> Result<(), BuildError> {
    let tls = graph_tls(files);
    if let Some(pair) = &tls.client {
        pair.refuse_if_expired(SystemTime::now())?;
    }
    client.replace_tls(&tls)
}

/// Reads those that are configured.
fn read<const N: usize>(
    files: [(&'static str, &Option<PathBuf>); N],
) -> Result<Vec<File>, ReadError> {
    files
        .into_iter()
        .filter_map(|(key, path)| {
            let path = path.clone()?;
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
