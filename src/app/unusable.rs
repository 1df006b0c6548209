//! The files that the configuration names and that are of no use, all at once.

use std::path::Path;

use super::{credentials, files};
use crate::{
    config::{Config, Mistake, Mistakes},
    reload::{File, Source},
    tls::{self, Pair},
};

/// Reads every file that [`App::build`](super::App::build) and the credentials need, and
/// checks that each holds what it is for and that pairs belong together. Asks nobody, and
/// opens no port.
///
/// A configuration without `graph.url` is in front of the embedded sandbox, which brings
/// all that its Entra needs.
///
/// Fails with every file that is of no use. Each is named by key and path, and nothing of
/// its content is repeated. Cancel-safe.
pub async fn check_files(config: &Config) -> Result<(), Mistakes> {
    let mut unusable = Unusable::default();
    let server = &config.tls;
    unusable.pair(
        (files::CERTIFICATE, server.certificate_file.as_deref()),
        (files::KEY, server.key_file.as_deref()),
    );
    unusable.bundle(files::CLIENT_CA, server.client_ca_file.as_deref());
    let graph = &config.graph;
    unusable.bundle(files::GRAPH_CA, graph.ca_file.as_deref());
    unusable.pair(
        (
            files::GRAPH_CERTIFICATE,
            graph.client_certificate_file.as_deref(),
        ),
        (files::GRAPH_KEY, graph.client_key_file.as_deref()),
    );
    let is_embedded = graph.url.is_none();
    if credentials::is_registered(config) && !is_embedded {
        let proof = credentials::check(config).await;
        unusable.note(proof.map_err(|error| format!("{error:#}")));
        let path = config.credentials.ca_file.as_deref();
        unusable.bundle("credentials.ca_file", path);
    }
    if config.authenticates_callers() {
        let path = config.callers.jwt_ca_file.as_deref();
        unusable.bundle("callers.jwt_ca_file", path);
    }
    Mistakes::none_of(unusable.0)
}

#[derive(Default)]
struct Unusable(Vec<Mistake>);

impl Unusable {
    /// A certificate and its key: each by itself, and then together.
    fn pair(
        &mut self,
        certificate: (&'static str, Option<&Path>),
        key: (&'static str, Option<&Path>),
    ) {
        let certificate = self.read(certificate.0, certificate.1);
        let key = self.read(key.0, key.1);
        let certificate = certificate.filter(|file| self.holds(tls::chain(file)));
        let key = key.filter(|file| self.holds(tls::private_key(file)));
        if let Some((certificate, key)) = certificate.zip(key) {
            self.holds(Pair { certificate, key }.certified());
        }
    }

    /// Certificates that are trusted.
    fn bundle(&mut self, key: &'static str, path: Option<&Path>) {
        if let Some(file) = self.read(key, path) {
            self.holds(tls::authorities(&file));
        }
    }

    fn read(&mut self, key: &'static str, path: Option<&Path>) -> Option<File> {
        let path = path?.to_owned();
        let read = Source { key, path }.read();
        // The text of a cause, which the operating system gives, is part of the line.
        let read = read.map_err(|error| format!("{:#}", anyhow::Error::from(error)));
        self.note(read)
    }

    fn holds<T>(&mut self, what: Result<T, tls::TlsError>) -> bool {
        self.note(what.map_err(|error| error.to_string())).is_some()
    }

    fn note<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result
            .map_err(|problem| self.0.push(Mistake::UnusableFile { problem }))
            .ok()
    }
}
