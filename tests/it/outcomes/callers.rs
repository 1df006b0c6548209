//! Callers who prove nothing, or whose tokens Entra does not exchange.

use std::iter::repeat_n;

use incidentgate::sandbox::{EntraFault, Mint};

use crate::support::{Gateway, GatewayBuilder};

const XFCC: &str = "x-forwarded-client-cert";

/// Why such a call fails.
pub(super) enum Callers {
    /// The sidecar's header is no such header.
    Malformed,
    /// The sidecar's header names nobody.
    Nameless,
    /// The policy names somebody else.
    Unnamed,
    /// The issuer's host does not exist.
    WithoutIssuer,
    /// There is no user behind the token.
    AppOnly,
    /// Entra asks for a second factor.
    Interaction,
    /// Entra says that the token is too old.
    Stale,
    /// Entra throttles.
    IllEntra,
    /// Entra knows another secret.
    RefusedGateway,
}

impl Callers {
    /// A gateway, and the header of a call that fails there.
    pub(super) async fn set(&self) -> (Gateway, (&'static str, String)) {
        match self {
            Self::Malformed => forwarded("URI").await,
            Self::Nameless => forwarded("Hash=468e").await,
            Self::Unnamed => forwarded("Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;URI=spiffe://corp/intern").await,
            Self::WithoutIssuer => {
                let gateway = Gateway::single_attempts()
                    .with_entra("application")
                    .with("callers.jwt_issuer", "https://issuer.invalid")
                    .with("callers.jwt_audience", "api://gateway")
                    .with("policy.execute_response_action", "*")
                    .start()
                    .await;
                let token = gateway.sandbox.mint(Mint::default()).await.unwrap();
                (gateway, bearer(&token))
            }
            Self::AppOnly => exchanging(None, EntraFault::default()).await,
            Self::Interaction => {
                let claims = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
                exchanging(Some("u"), EntraFault::interaction_required(claims)).await
            }
            Self::Stale => exchanging(Some("u"), EntraFault::aadsts(500_133)).await,
            Self::IllEntra => exchanging(Some("u"), EntraFault::throttle(7)).await,
            Self::RefusedGateway => exchanging(Some("u"), EntraFault::aadsts(7_000_215)).await,
        }
    }
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

async fn forwarded(header: &str) -> (Gateway, (&'static str, String)) {
    let builder: GatewayBuilder = Gateway::single_attempts().with_own_token();
    let gateway = builder
        .with("callers.forwarded_certificates", "true")
        .with("policy.execute_response_action", "spiffe://corp/soc")
        .start()
        .await;
    (gateway, (XFCC, header.to_owned()))
}

async fn exchanging(user: Option<&str>, fault: EntraFault) -> (Gateway, (&'static str, String)) {
    let gateway = Gateway::single_attempts()
        .with_entra("on_behalf_of")
        .with_entra_faults(repeat_n(fault, 3))
        .start()
        .await;
    let mint = Mint {
        user: user.map(str::to_owned),
        scopes: user
            .map(|_| "Incident.Execute".to_owned())
            .into_iter()
            .collect(),
        ..Mint::default()
    };
    let token = gateway.sandbox.mint(mint).await.unwrap();
    (gateway, bearer(&token))
}
