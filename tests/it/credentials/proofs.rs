//! How the gateway proves to Entra which application it is.

use std::{fs, path::PathBuf};

use incidentgate::sandbox::{Federated, Mint, Proof, Registration};
use tempfile::TempDir;

use super::token_requests;
use crate::support::{Gateway, GatewayBuilder, answer, within};

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }
}

fn proving_by(way: &'static str, key: &'static str, path: String) -> GatewayBuilder {
    Gateway::builder()
        .with_entra("application")
        .with("credentials.client_authentication", way)
        .with(key, path)
}

/// An RSA certificate and its key, in PEM.
fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    let key = key.unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["gateway".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_secret_file_is_read_for_each_token() {
    let files = Files::new();
    files.write("secret", "an-old-secret\n");
    let builder = proving_by(
        "secret",
        "credentials.client_secret_file",
        files.path("secret"),
    );
    let gateway = builder.with("retry.max_attempts", "1").start().await;
    let refused = answer(&gateway.execute("213213").await.unwrap_err());
    assert_eq!(refused.reason, "GATEWAY_CREDENTIAL_REJECTED");
    assert!(
        refused.message.contains("AADSTS7000215"),
        "{}",
        refused.message
    );
    files.write("secret", format!("{}\n", gateway.sandbox.client_secret()));
    // The refusal is remembered for a moment.
    within(async { while gateway.execute("213213").await.is_err() {} }).await;
    let last = token_requests(&gateway.sandbox).pop().unwrap();
    assert_eq!(last.proof, Some(Proof::Secret));
    assert!(!gateway.log_text().contains("an-old-secret"));
}

#[tokio::test]
async fn a_certificate_signs_an_assertion() {
    let files = Files::new();
    let (certificate, key) = certificate();
    files.write("identity.pem", format!("{key}{certificate}"));
    let path = files.path("identity.pem");
    let gateway = proving_by("certificate", "credentials.certificate_file", path)
        .start()
        .await;
    let registration = Registration {
        certificates: vec![certificate],
        ..Registration::default()
    };
    let id = gateway.sandbox.client_id();
    gateway.sandbox.put_client(id, registration).unwrap();
    within(async { while gateway.execute("213213").await.is_err() {} }).await;
    let last = token_requests(&gateway.sandbox).pop().unwrap();
    assert_eq!(last.proof, Some(Proof::Certificate));

    for content in ["", "no PEM", &key, &certificate_only()] {
        files.write("identity.pem", content);
        let gateway = proving_by(
            "certificate",
            "credentials.certificate_file",
            files.path("identity.pem"),
        )
        .with("retry.max_attempts", "1")
        .start()
        .await;
        let refused = answer(&gateway.execute("213213").await.unwrap_err());
        assert_eq!(refused.reason, "GATEWAY_CREDENTIAL_REJECTED");
        let log = gateway.log_text();
        assert!(log.contains("identity.pem"), "{log}");
        assert!(!gateway.log_text().contains("PRIVATE KEY"));
        assert_eq!(gateway.sandbox.token_requests(), 0);
    }
}

fn certificate_only() -> String {
    certificate().0
}

#[tokio::test]
async fn a_token_of_the_platform_proves_it() {
    let files = Files::new();
    let gateway_issuer = Gateway::start().await;
    // Any JSON Web Token of another issuer: the sandbox matches issuer and subject.
    let platform_token = gateway_issuer
        .sandbox
        .mint(Mint {
            audience: "api://AzureADTokenExchange".to_owned(),
            claims: serde_json::from_value(serde_json::json!({
                "iss": "https://kubernetes.example",
                "sub": "system:serviceaccount:soc:gateway",
            }))
            .unwrap(),
            ..Mint::default()
        })
        .await
        .unwrap();
    files.write("token", &platform_token);
    let path = files.path("token");
    let gateway = proving_by(
        "workload_identity",
        "credentials.federated_token_file",
        path,
    )
    .start()
    .await;
    let registration = Registration {
        federated: vec![Federated {
            issuer: "https://kubernetes.example".to_owned(),
            subject: "system:serviceaccount:soc:gateway".to_owned(),
        }],
        ..Registration::default()
    };
    let id = gateway.sandbox.client_id();
    gateway.sandbox.put_client(id, registration).unwrap();
    within(async { while gateway.execute("213213").await.is_err() {} }).await;
    let last = token_requests(&gateway.sandbox).pop().unwrap();
    assert_eq!(last.proof, Some(Proof::Federated));
    assert!(!gateway.log_text().contains(&platform_token));
}
