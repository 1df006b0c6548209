//! Tokens that are none, or not for this gateway, or not now, or not its issuer's.

use incidentgate::sandbox::Mint;
use serde_json::{Value, json};

use super::{
    EXTRA, Fort,
    fort::allowed,
    weight::{assert_turned_away, request_with, send_block},
};
use crate::support::{Attacker, EXECUTE, fields, head};

fn claiming(claims: Value) -> Mint {
    Mint {
        claims: serde_json::from_value(claims).unwrap(),
        ..allowed()
    }
}

#[tokio::test]
async fn a_token_that_is_not_for_here_and_now_is_nobodys() {
    let fort = Fort::start().await.besieged().await;
    let lives = |expires_in| Mint {
        expires_in,
        ..allowed()
    };
    let begins = |not_before| Mint {
        not_before,
        ..allowed()
    };
    let to = |audience: String| Mint {
        audience,
        ..allowed()
    };
    let not_signed = Mint {
        header: serde_json::from_value(json!({"alg": "none"})).unwrap(),
        ..allowed()
    };
    for (what, mint) in [
        ("expired", lives(-3600)),
        ("expired, beyond the skew", lives(-61)),
        ("not yet valid", begins(600)),
        ("for Graph", to(Mint::for_graph().audience)),
        ("for nobody", claiming(json!({"aud": null}))),
        (
            "of another issuer",
            claiming(json!({"iss": "https://login.example/x"})),
        ),
        ("of no issuer", claiming(json!({"iss": null}))),
        ("without an end", claiming(json!({"exp": null}))),
        (
            "issued in the future",
            claiming(json!({"iat": 4_000_000_000_u32})),
        ),
        ("not signed", not_signed),
    ] {
        let token = fort.sandbox.mint(mint).await.unwrap();
        Fort::assert_nobody(&fort.attempt(&format!("Bearer {token}")).await, what);
    }
    // Known to the issuer, and not named by the policy.
    let stranger = fort.sandbox.mint(Mint::default()).await.unwrap();
    let error = fort.attempt(&format!("Bearer {stranger}")).await.error();
    let told = (&*error.reason, &*error.outcome);
    assert_eq!(told, ("CALLER_NOT_ALLOWED", "NOT_STARTED"));
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn there_is_one_token_in_one_place_or_none() {
    let fort = Fort::start().await.besieged().await;
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Basic dTpw",
        &fort.token,
        &format!("Token {}", fort.token),
        &format!("Bearer {0}, Bearer {0}", fort.token),
        &format!("Bearer {}.", fort.token),
        &format!("Bearer  {} x", fort.token),
    ] {
        let call = fort.attempt(authorization).await;
        Fort::assert_nobody(&call, &authorization[..authorization.len().min(20)]);
    }
    for names in [
        &[][..],
        &["authorization-bin"],
        &["proxy-authorization"],
        &["x-authorization"],
        &["grpc-authorization"],
        &["authorization", "authorization"],
    ] {
        let mut request = head(EXECUTE, &[]);
        request.headers_mut().remove("authorization");
        for name in names {
            let name = http::HeaderName::from_static(name);
            let value = fort.bearer().parse().unwrap();
            request.headers_mut().append(name, value);
        }
        Fort::assert_nobody(&fort.send(request).await, &names.join(" "));
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_turned_away_before_it_is_held() {
    // As wide as headers can be made: what is left is the token's own limit.
    let wide = &[("INCIDENTGATE_SERVER__MAX_HEADER_LIST_SIZE", "1048576")];
    let fort = Fort::with(wide).await.besieged().await;
    let large = |bytes: usize| claiming(json!({"padding": "x".repeat(bytes)}));
    for bytes in [16 * 1024, 500 * 1024] {
        let token = fort.sandbox.mint(large(bytes)).await.unwrap();
        for _ in 0..20 {
            let call = fort.attempt(&format!("Bearer {token}")).await;
            Fort::assert_nobody(&call, "large");
            assert!(call.error().message.contains("16 KiB"));
        }
    }
    // Beyond what headers may be, it ends as a stream or a connection.
    let token = fort.sandbox.mint(large(1024 * 1024)).await.unwrap();
    let bearer = format!("Bearer {token}");
    for _ in 0..20 {
        let mut attacker = Attacker::connect(fort.addr()).await;
        let block = fields(request_with(&[("authorization", bearer.as_bytes())]));
        send_block(&mut attacker, 1, &block).await;
        assert_turned_away(&attacker, 1).await;
    }
    fort.stands(2 * EXTRA).await;
}
