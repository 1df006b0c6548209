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

/// The proof for one request.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    Secret(Secret),
    Assertion(Secret),
}

// === impl Proof ===

impl Proof {
    /// Reads, or signs, what is shown to the token endpoint `audience`. The error names
    /// the file, never what is in it.
    pub(super) async fn show(&self, client_id: &str, audience: &str) -> Result<Shown, Failure> {
        match self {
            Self::Secret(secret) => Ok(Shown::Secret(secret.clone())),
            Self::SecretFile(path) => one_line(path).await.map(Shown::Secret),
            Self::TokenFile(path) => one_line(path).await.map(Shown::Assertion),
            Self::CertificateFile(path) => {
                let pem = read(path).await?;
                assertion::signed(&pem, client_id, audience)
                    .map(Shown::Assertion)
                    .map_err(|error| unusable(path, error))
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

async fn one_line(path: &Path) -> Result<Secret, Failure> {
    let bytes = read(path).await?;
    let secret = String::from_utf8(bytes).ok().map(|text| Secret::new(&text));
    secret
        .filter(|secret| {
            let text = secret.reveal();
            !text.is_empty() && !text.contains(|c: char| c.is_control())
        })
        .ok_or_else(|| unusable(path, NotOneLine))
}

async fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = async {
        use tokio::io::AsyncReadExt as _;
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(path).await?;
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).await?;
        Ok::<_, std::io::Error>(bytes)
    };
    read.await.map_err(|error| unusable(path, error))
}

/// The caller is not told where the gateway keeps its secrets; the log is.
fn unusable(path: &Path, cause: impl Error + Send + Sync + 'static) -> Failure {
    let (path, cause) = (path.to_owned(), Box::new(cause));
    Failure::new(
        Kind::GatewayCredentialRejected,
        "this gateway's own credential cannot be used; its operator has to mend that",
    )
    .because(Unusable { path, cause })
}

#[derive(Debug, thiserror::Error)]
#[error("the file {} cannot be used", path.display())]
struct Unusable {
    path: PathBuf,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
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
                (Err(failure), None) => {
                    let text = format!("{failure:?}");
                    assert!(!failure.to_string().contains("secret"), "{failure}");
                    assert!(!text.contains("lines"), "{text}");
                }
                (shown, _) => panic!("{content:?}: {shown:?}"),
            }
        }
        std::fs::remove_file(&path).unwrap();
        let failure = proof.show("c", "a").await.unwrap_err();
        assert_eq!(failure.kind, Kind::GatewayCredentialRejected);
    }
}
