//! How the gateway proves to Entra which application it is.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use super::assertion;
use crate::{
    failure::{Failure, Kind},
    secret::Secret,
};

/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The largest file that is read: a certificate with a long chain has some 20 KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The gateway's registration.
#[derive(Debug, Clone)]
pub struct Client {
    /// The application (client) id.
    pub id: String,
    /// What proves it.
    pub proof: Proof,
}

/// What proves that it is the application. Files are read for each token, so that what
/// replaces them is used at once.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A client secret.
    Secret(Secret),
    /// A file with a client secret and nothing else.
    SecretFile(PathBuf),
    /// A PEM file with a certificate and its private key.
    CertificateFile(PathBuf),
    /// A file with a token of the platform that Entra trusts.
    TokenFile(PathBuf),
}

/// A file that proves nothing. It names the key and the file, never what is in it.
#[derive(Debug, thiserror::Error)]
#[error("{key} {} cannot be used", path.display())]
pub struct Unusable {
    key: &'static str,
    path: PathBuf,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

/// The proof for one request.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    Secret(Secret),
    Assertion(Secret),
}

// === impl Client ===

impl Client {
    /// Whether its proof can be shown now: a file that is missing, or holds something else,
    /// is better told before the first call.
    pub async fn check(&self) -> Result<(), Unusable> {
        // Whom it is shown to makes no difference.
        self.proof.show(&self.id, "").await.map(drop)
    }
}

// === impl Proof ===

impl Proof {
    /// Reads, or signs, what is shown to the token endpoint `audience`.
    pub(super) async fn show(&self, client_id: &str, audience: &str) -> Result<Shown, Unusable> {
        match self {
            Self::Secret(secret) => Ok(Shown::Secret(secret.clone())),
            Self::SecretFile(path) => {
                let key = "credentials.client_secret_file";
                one_line(key, path).await.map(Shown::Secret)
            }
            Self::TokenFile(path) => {
                let key = "credentials.federated_token_file";
                one_line(key, path).await.map(Shown::Assertion)
            }
            Self::CertificateFile(path) => {
                let key = "credentials.certificate_file";
                let pem = read(key, path).await?;
                assertion::signed(&pem, client_id, audience)
                    .map(Shown::Assertion)
                    .map_err(|error| Unusable::new(key, path, error))
            }
        }
    }
}

// === impl Shown ===

impl Shown {
    /// The parameters of a token request.
    pub(super) fn parameters(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Secret(secret) => vec![("client_secret", secret.reveal())],
            Self::Assertion(assertion) => vec![
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", assertion.reveal()),
            ],
        }
    }
}

async fn one_line(key: &'static str, path: &Path) -> Result<Secret, Unusable> {
    let bytes = read(key, path).await?;
    let secret = String::from_utf8(bytes).ok().map(|text| Secret::new(&text));
    secret
        .filter(|secret| {
            let text = secret.reveal();
            !text.is_empty() && !text.contains(|c: char| c.is_control())
        })
        .ok_or_else(|| Unusable::new(key, path, NotOneLine))
}

async fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    let read = async {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(path).await?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).await?;
        Ok::<_, std::io::Error>(bytes)
    };
    read.await.map_err(|error| Unusable::new(key, path, error))
}

// === impl Unusable ===

impl Unusable {
    fn new(key: &'static str, path: &Path, cause: impl Error + Send + Sync + 'static) -> Self {
        Self {
            key,
            path: path.to_owned(),
            cause: Box::new(cause),
        }
    }
}

/// The caller is not told where the gateway keeps its secrets; the log is.
impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        Self::new(
            Kind::GatewayCredentialRejected,
            "this gateway's own credential cannot be used; its operator has to mend that",
        )
        .because(unusable)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it holds something else than one line of text")]
struct NotOneLine;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_read_without_its_newline_and_each_time_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let proof = Proof::SecretFile(path.clone());
        for (content, want) in [
            ("one\n", Some("one")),
            ("two", Some("two")),
            ("\n", None),
            ("two\nlines", None),
        ] {
            std::fs::write(&path, content).unwrap();
            match (proof.show("c", "a").await, want) {
                (Ok(shown), Some(want)) => {
                    assert_eq!(shown.parameters(), [("client_secret", want)]);
                    assert!(!format!("{shown:?}").contains(want));
                }
                (Err(unusable), None) => {
                    let text = format!("{unusable:?}");
                    let failure = Failure::from(unusable);
                    assert!(!failure.to_string().contains("secret"), "{failure}");
                    assert!(!text.contains("lines"), "{text}");
                }
                (shown, _) => panic!("{content:?}: {shown:?}"),
            }
        }
        std::fs::remove_file(&path).unwrap();
        let unusable = proof.show("c", "a").await.unwrap_err();
        let named = format!("credentials.client_secret_file {} cannot", path.display());
        assert!(unusable.to_string().starts_with(&named), "{unusable}");
        assert_eq!(
            Failure::from(unusable).kind,
            Kind::GatewayCredentialRejected
        );
    }
}
