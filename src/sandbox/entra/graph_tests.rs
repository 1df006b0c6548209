//! What Graph makes of Entra's tokens.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::fixture::Http;
use super::super::{Options, Tokens};
use super::fixture::*;
use super::*;

const EXPIRED: &str = "Lifetime validation failed, the token is expired.";
const EARLY: &str = "Access token has expired or is not yet valid.";
const AUDIENCE: &str = "Access token validation failure. Invalid audience.";
const INVALID: &str = "Access token validation failure.";

async fn with(tokens: Tokens) -> Asker {
    let options = Options {
        tokens,
        ..Options::default()
    };
    Asker::with(options, Http::Two).await
}

fn changed(part: &str, value: &Value) -> Mint {
    let value = value.as_object().unwrap().clone();
    match part {
        "header" => Mint {
            header: value,
            ..Mint::for_graph()
        },
        _ => Mint {
            claims: value,
            ..Mint::for_graph()
        },
    }
}

#[tokio::test]
async fn a_token_issued_here_has_to_be_good_and_one_from_elsewhere_depends() {
    for tokens in [Tokens::Any, Tokens::Issued] {
        let asker = with(tokens.clone()).await;
        let good = asker.mint(Mint::for_graph()).await;
        let forged = good.rsplit_once('.').unwrap().0.to_owned() + "." + &jwt::encode([7; 256]);
        for (mint, want) in [
            (Mint::for_graph(), (200, "")),
            (changed("claims", &json!({"aud": GRAPH_ID})), (200, "")),
            (changed("claims", &json!({"nbf": null})), (200, "")),
            (
                Mint {
                    expires_in: 0,
                    ..Mint::for_graph()
                },
                (401, EXPIRED),
            ),
            (
                Mint {
                    expires_in: -60,
                    ..Mint::for_graph()
                },
                (401, EXPIRED),
            ),
            (changed("claims", &json!({"exp": null})), (401, EXPIRED)),
            (
                Mint {
                    not_before: 60,
                    ..Mint::for_graph()
                },
                (401, EARLY),
            ),
            (Mint::default(), (401, AUDIENCE)),
            (changed("claims", &json!({"aud": [GRAPH]})), (401, AUDIENCE)),
            (changed("header", &json!({"alg": "none"})), (401, INVALID)),
            (changed("header", &json!({"alg": "HS256"})), (401, INVALID)),
        ] {
            let (status, message, challenge) = asker.graph(&asker.mint(mint.clone()).await).await;
            assert_eq!((status, message.as_str()), want, "{tokens:?} {mint:?}");
            assert_eq!(challenge.starts_with("Bearer realm=\"\""), status == 401);
        }
        assert_eq!(asker.graph(&forged).await.1, INVALID);

        let foreign = if tokens == Tokens::Any { 200 } else { 401 };
        let unknown = asker.mint(changed("header", &json!({"kid": "x"}))).await;
        for token in ["sandbox-token", "a.b.c", &unknown] {
            assert_eq!(asker.graph(token).await.0, foreign, "{tokens:?} {token}");
        }
        assert_eq!(asker.graph("").await.1, "Access token is empty.");
    }
}

#[tokio::test]
async fn a_list_of_tokens_is_all_that_counts() {
    let asker = with(Tokens::Only(vec!["right".to_owned()])).await;
    assert_eq!(asker.graph(asker.sandbox.token()).await.0, 200);
    let issued = asker.mint(Mint::for_graph()).await;
    assert_eq!(asker.graph(&issued).await.1, INVALID);
}

#[tokio::test]
async fn rotation_takes_the_old_keys_away_unless_they_are_kept() {
    for keep in [true, false] {
        let asker = with(Tokens::Issued).await;
        let (old, user) = (asker.token(&[]).await, asker.mint(of_user()).await);
        let before = asker.keys().await;
        asker.sandbox.rotate_keys(keep).await.unwrap();
        let after = asker.keys().await;
        assert_eq!(after.contains(&before[0]), keep);
        assert_eq!(after.len(), 1 + usize::from(keep));

        let new = asker.token(&[]).await;
        asker.verified(&new, GRAPH).await;
        let header = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
        assert_ne!(header(&old), header(&new));
        assert_eq!(asker.graph(&new).await.0, 200);
        assert_eq!(asker.graph(&old).await.0, if keep { 200 } else { 401 });
        assert_eq!(
            asker.exchange(&user, &[]).await.0,
            if keep { 200 } else { 400 }
        );

        asker.sandbox.reset();
        assert_eq!(asker.keys().await, before);
    }
}

#[tokio::test]
async fn a_revocation_is_about_the_tokens_before_it() {
    let asker = with(Tokens::Issued).await;
    let own_uti = asker.mint(changed("claims", &json!({"uti": "x"}))).await;
    let old = asker.token(&[]).await;
    asker.sandbox.revoke_tokens(Revoke::default());
    let (status, message, challenge) = asker.graph(&old).await;
    assert_eq!(status, 401);
    assert!(message.contains("has been revoked"), "{message}");
    assert!(!challenge.contains("claims"), "{challenge}");
    assert_eq!(asker.graph(&own_uti).await.0, 401);
    // Within the same second.
    assert_eq!(asker.graph(&asker.token(&[]).await).await.0, 200);
    asker.sandbox.reset();
    assert_eq!(asker.graph(&old).await.0, 200);
}

#[tokio::test]
async fn a_challenge_is_answered_by_asking_with_its_claims() {
    let asker = with(Tokens::Issued).await;
    let old = asker.token(&[]).await;
    let revoke = Revoke {
        challenge: true,
        user: Some(Mint::default().object_id()),
        app: Some(CLIENT_ID.to_owned()),
    };
    asker.sandbox.revoke_tokens(revoke);
    let (status, message, challenge) = asker.graph(&old).await;
    assert_eq!(status, 401);
    assert!(
        message.contains("TokenIssuedBeforeRevocationTimestamp"),
        "{message}"
    );
    let (_, rest) = challenge
        .split_once("error=\"insufficient_claims\", claims=\"")
        .unwrap();
    let claims = BASE64_STANDARD
        .decode(rest.strip_suffix('"').unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["access_token"]["nbf"]["essential"], json!(true));

    // Asked for without them, or with nothing but capabilities, a token is no better.
    let capable = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;
    for claims in ["", capable] {
        let token = asker.token(&[("claims", claims)]).await;
        assert_eq!(asker.graph(&token).await.0, 401, "{claims}");
    }
    let answered = asker.token(&[("claims", &claims.to_string())]).await;
    assert_eq!(asker.graph(&answered).await.0, 200);
    assert_eq!(
        asker.graph(&asker.token(&[]).await).await.0,
        200,
        "it is over"
    );
    assert_eq!(
        asker.graph(&old).await.0,
        401,
        "what was revoked stays revoked"
    );
}

#[tokio::test]
async fn a_revocation_may_be_of_one_user_or_one_application() {
    let asker = with(Tokens::Issued).await;
    let mint = |user: &str, app: &str| Mint {
        user: Some(user.to_owned()),
        app: app.to_owned(),
        ..Mint::for_graph()
    };
    let of = |user: Option<&str>, app: Option<&str>| Revoke {
        user: user.map(str::to_owned),
        app: app.map(str::to_owned),
        challenge: false,
    };
    for (whose, refused) in [
        (of(Some("u"), None), [true, true, false]),
        (of(None, Some("a")), [true, false, true]),
        (of(Some("u"), Some("a")), [true, false, false]),
    ] {
        asker.sandbox.reset();
        let mut tokens = Vec::new();
        for (user, app) in [("u", "a"), ("u", "b"), ("v", "a")] {
            tokens.push(asker.mint(mint(user, app)).await);
        }
        asker.sandbox.revoke_tokens(whose.clone());
        for (token, refused) in tokens.iter().zip(refused) {
            let want = if refused { 401 } else { 200 };
            assert_eq!(asker.graph(token).await.0, want, "{whose:?}");
        }
    }
}
