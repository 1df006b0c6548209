//! Who calls, and what proves it: good, too old, forged, cut short, in the wrong place.

use incidentgate::sandbox::Mint;
use serde_json::json;

use super::{LOUD, Marks, assert_nothing_leaked, told};
use crate::support::{Authority, Gateway, RawCall, Stub, TlsFolder, request, within};

const CLAIM: &str = "claim-of-a-caller-marked-as-secret";

fn claimed(mint: Mint) -> Mint {
    Mint {
        claims: serde_json::from_value(json!({"note": CLAIM})).unwrap(),
        ..mint
    }
}

/// A good token, and every kind that is refused.
async fn tokens(gateway: &Gateway) -> Vec<String> {
    let user = || Mint {
        user: Some("user".to_owned()),
        scopes: vec!["Incident.Execute".to_owned()],
        ..Mint::default()
    };
    let header = |header| Mint {
        header: serde_json::from_value(header).unwrap(),
        ..user()
    };
    let mut tokens = Vec::new();
    for mint in [
        user(),
        Mint::default(),
        Mint {
            expires_in: -7200,
            ..user()
        },
        Mint {
            not_before: 7200,
            ..user()
        },
        Mint {
            audience: "api://somebody-else".to_owned(),
            ..user()
        },
        header(json!({"alg": "none"})),
        header(json!({"alg": "HS256"})),
        header(json!({"kid": "another"})),
        header(json!({"typ": "logout+jwt"})),
        header(json!({"crit": ["b64"]})),
    ] {
        tokens.push(gateway.sandbox.mint(claimed(mint)).await.unwrap());
    }
    let good = tokens[0].clone();
    let (message, signature) = good.rsplit_once('.').unwrap();
    tokens.extend([
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{}", &signature[1..]),
        format!("{good}.{signature}"),
        format!("x{good}"),
        format!("{good} {good}"),
        format!("{good}{}", "A".repeat(20_000)),
    ]);
    tokens
}

#[tokio::test]
async fn tokens_of_callers_go_nowhere_whether_they_are_let_in_or_not() {
    for policy in ["*", "role:nobody"] {
        let gateway = Gateway::single_attempts()
            .with_log_filter(LOUD)
            .with_entra("on_behalf_of")
            .with("policy.execute_response_action", policy)
            .with("callers.forwarded_certificates", "true")
            .start()
            .await;
        let mut marks = Marks::of([CLAIM]);
        let tokens = tokens(&gateway).await;
        for token in &tokens {
            for part in token.split([' ', '.']).filter(|part| part.len() > 100) {
                marks.add(part);
            }
        }
        for token in &tokens {
            for scheme in ["Bearer ", "bearer  ", "Basic ", ""] {
                let value = format!("{scheme}{token}");
                let call = RawCall::execute(&gateway, "213213", &[("authorization", &value)]).await;
                marks.are_not_in("answer", &told(&call));
            }
        }
        let refused = gateway.log_text().matches("call failed").count();
        assert!(refused >= 4 * tokens.len() - 4, "{refused}");
        assert_nothing_leaked(&gateway, &marks);
    }
}

#[tokio::test]
async fn what_a_sidecar_forwards_is_only_told_as_a_proven_name() {
    let gateway = Gateway::single_attempts()
        .with_log_filter(LOUD)
        .with_own_token()
        .with("callers.forwarded_certificates", "true")
        .with("policy.execute_response_action", "spiffe://corp/soc")
        .start()
        .await;
    let marks = Marks::of(["marked-as-secret"]);
    for header in [
        "Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;Subject=\"CN=marked-as-secret\";URI=spiffe://corp/soc",
        "Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;Cert=\"marked-as-secret\";URI=spiffe://corp/intern",
        "URI=spiffe://marked-as-secret,Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;URI=spiffe://corp/soc",
        "Hash=marked-as-secret",
        "Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;URI=https://marked-as-secret/",
        "URI=\"marked-as-secret",
        "marked-as-secret",
    ] {
        let headers = [
            ("x-forwarded-client-cert", header),
            ("cookie", "marked-as-secret"),
        ];
        let call = RawCall::execute(&gateway, "213213", &headers).await;
        marks.are_not_in("answer", &told(&call));
    }
    assert_nothing_leaked(&gateway, &marks);
}

#[tokio::test]
async fn what_an_issuer_answers_goes_nowhere() {
    let mark = "document-marked-as-secret";
    let own = "ISSUER";
    for body in [
        mark.to_owned(),
        format!("\"{mark}\""),
        format!("[\"{mark}\"]"),
        format!("{{\"issuer\": [\"{mark}\"]}}"),
        json!({"issuer": mark, "jwks_uri": "https://x"}).to_string(),
        json!({"issuer": own, "jwks_uri": mark}).to_string(),
        json!({"issuer": own, "jwks_uri": format!("https://{mark}/")}).to_string(),
        json!({"issuer": own, "jwks_uri": format!("{own}/{mark}"), "keys": mark}).to_string(),
        json!({"issuer": own, "jwks_uri": format!("{own}/{mark}"), "keys": [{"kty": mark}]})
            .to_string(),
    ] {
        let issuer = Stub::start(move |_, mut stream, heard| {
            let body = body.clone();
            async move {
                let own = format!("http://{}", stream.local_addr().unwrap());
                let body = body.replace("ISSUER", &own);
                while heard.request(&mut stream).await {
                    use tokio::io::AsyncWriteExt as _;
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 200 {mark}\r\ncontent-length: {length}\r\nx-said: {mark}\r\n\r\n{body}"
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        })
        .await;
        let gateway = Gateway::single_attempts()
            .with_log_filter(LOUD)
            .with_entra("on_behalf_of")
            .with("callers.jwt_issuer", format!("http://{}", issuer.addr))
            .start()
            .await;
        let token = gateway
            .sandbox
            .mint(claimed(Mint::default()))
            .await
            .unwrap();
        let mut marks = Marks::of([mark, CLAIM]);
        marks.add_token(&token);
        let value = format!("Bearer {token}");
        let call = RawCall::execute(&gateway, "213213", &[("authorization", &value)]).await;
        assert_eq!(call.error().reason, "ISSUER_UNAVAILABLE");
        marks.are_not_in("answer", &told(&call));
        assert!(gateway.log_text().contains("a fetch failed"));
        assert_nothing_leaked(&gateway, &marks);
    }
}

#[tokio::test]
async fn private_keys_go_nowhere_even_where_their_files_are_broken() {
    let authority = Authority::new();
    let pair = authority.issue(&["localhost"]);
    let other = authority.issue(&["localhost"]);
    let mut marks = Marks::default();
    marks.add_key(&pair.key);
    marks.add_key(&other.key);
    let folder = TlsFolder::with(&pair);
    let gateway = Gateway::single_attempts()
        .with_log_filter(LOUD)
        .with_tls(folder.for_server())
        .start()
        .await;
    let uri = format!("https://localhost:{}", gateway.addr.port());
    let channel = tonic::transport::Channel::from_shared(uri)
        .unwrap()
        .tls_config(authority.tonic(None))
        .unwrap();
    let mut client = Gateway::client_of(within(channel.connect()).await.unwrap());
    within(client.execute_response_action(request("213213")))
        .await
        .unwrap();
    let lines: Vec<&str> = other.key.lines().collect();
    for (n, broken) in [
        other.key.clone(),
        lines[1..].join("\n"),
        other.key.replacen("PRIVATE KEY", "CERTIFICATE", 2),
        other.key.replace(lines[1], &format!("!{}", lines[1])),
        other.key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
    ]
    .into_iter()
    .enumerate()
    {
        folder.put("key", &broken);
        gateway
            .logged_times("changed files are of no use", n + 1)
            .await;
    }
    assert_nothing_leaked(&gateway, &marks);
}
