//! What the gateway shows to Entra, what it gets from there, and who repeats it.

use std::fs;

use incidentgate::sandbox::{EntraFault, Mint, Revoke, Task};
use tempfile::TempDir;

use super::{
    LOUD, Marks, assert_nothing_leaked,
    echo::{ANSWERS, Echo},
    told,
};
use crate::support::{Gateway, GatewayBuilder, RawCall, stub, within};

const SECRET: &str = "client~secret-marked_as.secret";
const PLATFORM: &str = "eyJhbGciOiJSUzI1NiJ9.cGxhdGZvcm0tbWFya2Vk.c2lnbmF0dXJlLW1hcmtlZA";

/// A claim of every caller's token.
const CLAIM: &str = "claim-of-a-caller-marked-as-secret";

/// Files with every proof, and the marks in them.
struct Proofs {
    folder: TempDir,
    marks: Marks,
}

// === impl Proofs ===

impl Proofs {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key =
            rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
                .unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        let key = key.serialize_pem();
        let mut marks = Marks::of([SECRET]);
        marks.add_token(PLATFORM);
        marks.add_key(&key);
        for (name, content) in [
            ("secret", SECRET),
            ("token", PLATFORM),
            ("certificate", &format!("{key}{certificate}")),
            ("two-lines", &format!("{SECRET}\n{PLATFORM}\n{key}")),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        Self { folder, marks }
    }

    /// Proves it in one of the ways, by one of the files.
    fn by(&self, way: usize, builder: GatewayBuilder) -> GatewayBuilder {
        let (way, key, file) = [
            ("secret", "credentials.client_secret_file", "secret"),
            ("certificate", "credentials.certificate_file", "certificate"),
            (
                "workload_identity",
                "credentials.federated_token_file",
                "token",
            ),
            ("secret", "credentials.client_secret_file", "two-lines"),
            ("certificate", "credentials.certificate_file", "two-lines"),
            (
                "workload_identity",
                "credentials.federated_token_file",
                "two-lines",
            ),
        ][way];
        let file = self.folder.path().join(file);
        builder
            .with("credentials.client_authentication", way)
            .with(key, file.to_str().unwrap())
    }
}

fn loud(mode: &'static str) -> GatewayBuilder {
    Gateway::single_attempts()
        .with_log_filter(LOUD)
        .with_entra(mode)
}

/// A token of a user of their own.
async fn mint(gateway: &Gateway, user: &str) -> String {
    let mint = Mint {
        user: Some(user.to_owned()),
        scopes: vec!["Incident.Execute".to_owned()],
        claims: serde_json::from_value(serde_json::json!({"note": CLAIM})).unwrap(),
        ..Mint::default()
    };
    gateway.sandbox.mint(mint).await.unwrap()
}

async fn call(gateway: &Gateway, id: &str, token: &str) -> RawCall {
    let bearer = format!("Bearer {token}");
    RawCall::execute(gateway, id, &[("authorization", &bearer)]).await
}

#[tokio::test]
async fn what_entra_repeats_of_an_exchange_goes_nowhere() {
    let proofs = Proofs::new();
    for way in 0..4 {
        let echo = Echo::start(false).await;
        let builder = loud("on_behalf_of").with("credentials.authority", &*echo.url);
        let gateway = proofs.by(way, builder).start().await;
        let mut marks = proofs.marks.clone();
        marks.add(CLAIM);
        for n in 0..ANSWERS {
            echo.set(n);
            // Who was refused is not asked about again at once.
            let token = mint(&gateway, &format!("user-{n}")).await;
            let call = call(&gateway, "213213", &token).await;
            let told = told(&call);
            let mut this = Marks::default();
            this.add_token(&token);
            this.are_not_in(&format!("answer to {n}"), &told);
            for secret in echo.secrets().iter().filter(|secret| **secret != token) {
                marks.add(secret);
            }
            marks.are_not_in(&format!("answer to {n}"), &told);
            echo.forget();
        }
        // A file of no use is not shown.
        assert_eq!(echo.answered() < ANSWERS, way == 3);
        assert!(gateway.log_text().contains("a fetch failed"));
        assert_nothing_leaked(&gateway, &marks);
    }
}

#[tokio::test]
async fn what_entra_repeats_of_the_gateways_own_proof_goes_nowhere() {
    let proofs = Proofs::new();
    let echo = Echo::start(false).await;
    for n in 0..ANSWERS {
        echo.set(n);
        let builder = loud("application").with("credentials.authority", &*echo.url);
        let gateway = proofs.by(n % 6, builder).start().await;
        let call = call(&gateway, "213213", "callers-token-marked").await;
        let mut marks = proofs.marks.clone();
        marks.add("callers-token-marked");
        for secret in echo.secrets() {
            marks.add(&secret);
        }
        marks.are_not_in(&format!("answer to {n}"), &told(&call));
        assert_nothing_leaked(&gateway, &marks);
    }
    assert!(echo.secrets().len() >= ANSWERS / 2);
}

#[tokio::test]
async fn tokens_for_graph_go_nowhere_whatever_graph_repeats_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit.jsonl");
    for mode in ["application", "on_behalf_of"] {
        let echo = Echo::start(true).await;
        let mut gateway = Gateway::builder()
            .with_log_filter(LOUD)
            .with_entra(mode)
            .with("credentials.authority", &*echo.url)
            .with("retry.initial_backoff", "1ms")
            .with("throttle.gate", "false")
            .with("audit.sink", "file")
            .with("audit.file", audit.to_str().unwrap())
            .with_graph(format!("{}/beta", echo.url))
            .start()
            .await;
        let mut marks = Marks::of([gateway.sandbox.client_secret(), CLAIM]);
        let token = mint(&gateway, "user").await;
        marks.add_token(&token);
        for n in 0..ANSWERS {
            echo.set(n);
            let call = call(&gateway, "marked", &token).await;
            for secret in echo.secrets() {
                marks.add(&secret);
            }
            marks.are_not_in(&format!("answer to {n}"), &told(&call));
        }
        gateway.stop().await;
        assert!(gateway.log_text().contains("call failed"));
        assert!(
            echo.secrets()
                .iter()
                .any(|secret| secret.starts_with("issued-token"))
        );
        assert_nothing_leaked(&gateway, &marks);
        let audit = fs::read_to_string(&audit).unwrap();
        assert!(audit.contains("\"outcome\""), "{audit}");
        marks.are_not_in("audit", &audit);
    }
}

#[tokio::test]
async fn good_calls_renewals_and_an_unreachable_entra_leak_nothing() {
    for mode in ["application", "on_behalf_of"] {
        let gateway = Gateway::builder()
            .with_log_filter(LOUD)
            .with_entra(mode)
            .start()
            .await;
        let token = mint(&gateway, "user").await;
        let mut marks = Marks::of([gateway.sandbox.client_secret()]);
        marks.add_token(&token);
        gateway
            .sandbox
            .script_entra([EntraFault::reply(503, SECRET)]);
        marks.add(SECRET);
        for (n, challenge) in [false, true].into_iter().enumerate() {
            let id = format!("task-{n}");
            gateway.sandbox.put_task(Task::new(&id));
            marks.are_not_in("answer", &told(&call(&gateway, &id, &token).await));
            gateway.sandbox.revoke_tokens(Revoke {
                challenge,
                ..Revoke::default()
            });
            marks.are_not_in("answer", &told(&call(&gateway, &id, &token).await));
        }
        assert_nothing_leaked(&gateway, &marks);
    }
    let (_refusing, addr) = stub::refusing();
    let silent = stub::Stub::silent().await;
    for addr in [addr, silent.addr] {
        let gateway = loud("application")
            .with("credentials.authority", format!("http://{addr}"))
            .with("credentials.timeout", "100ms")
            .start()
            .await;
        let marks = Marks::of([gateway.sandbox.client_secret()]);
        let call = within(call(&gateway, "213213", "callers-token-marked")).await;
        marks.are_not_in("answer", &told(&call));
        assert_eq!(call.error().reason, "CREDENTIAL_UNAVAILABLE");
        assert_nothing_leaked(&gateway, &marks);
    }
}
