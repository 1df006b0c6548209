use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{signer::RSA, signer::message, *};

/// What only the sender of a bad token wrote, and no message may repeat.
const MARK: &str = "m4rk";

async fn refused(callers: &Callers, token: &str) -> String {
    let failure = admit(callers, token).await.expect_err(token);
    assert_eq!(failure.kind, Kind::CallerUnauthenticated, "{failure}");
    let shown = format!("{failure} {failure:?}");
    assert!(!shown.contains(MARK), "{shown}");
    for part in token.split('.').filter(|part| part.len() > 10) {
        assert!(!shown.contains(part), "{shown}");
    }
    assert!(shown.contains(AUDIENCE), "what would be right: {shown}");
    failure.message.into_string()
}

#[tokio::test]
async fn a_good_token_is_admitted_whatever_its_key_is() {
    let signers = [Signer::p256(), Signer::p384(), Signer::ed25519()];
    let mut keys: Vec<Value> = signers
        .iter()
        .zip(["0", "1", "2"])
        .map(|(signer, kid)| signer.jwk(kid))
        .collect();
    keys.push(RSA.jwk("rsa"));
    let issuer = TestIssuer::new(&keys).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    let mut tokens: Vec<String> = signers
        .iter()
        .zip(["0", "1", "2"])
        .map(|(signer, kid)| signer.token(kid, &claims))
        .collect();
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        tokens.push(RSA.signed(&json!({"alg": algorithm, "kid": "rsa"}), &claims));
    }
    for token in tokens {
        let caller = admit(&callers, &token).await.unwrap();
        assert_eq!(named(&caller), "app:app-1 subject:object-1 role:Execute");
        let proof = caller.token().unwrap();
        assert_eq!(proof.reveal(), token);
        assert!(!proof.is_user());
    }
    assert_eq!(issuer.answers().asked, 1);
}

#[tokio::test]
async fn who_has_only_public_keys_makes_no_token() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[RSA.jwk("rsa"), ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    let mut claims = claims(&issuer);
    claims["azp"] = json!(MARK);
    let jwk = RSA.jwk("rsa");
    let modulus = jwk["n"].as_str().unwrap();
    let der = RSA.public();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{base64}\n-----END RSA PUBLIC KEY-----\n");
    let secrets = [
        pem.as_bytes().to_vec(),
        der,
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        jwk.to_string().into_bytes(),
        Vec::new(),
    ];
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        for algorithm in ["HS256", "hs256", "RS256", "none"] {
            let message = message(&json!({"alg": algorithm, "kid": "rsa"}), &claims);
            let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
            refused(&callers, &format!("{message}.{tag}")).await;
        }
    }
    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({"alg": algorithm, "kid": "rsa"});
        refused(&callers, &format!("{}.", message(&header, &claims))).await;
        refused(&callers, &RSA.signed(&header, &claims)).await;
    }
}

#[tokio::test]
async fn a_key_signs_only_by_its_own_algorithm() {
    let ec = Signer::p256();
    let mut pinned = RSA.jwk("pinned");
    pinned["alg"] = json!("PS256");
    let issuer = TestIssuer::new(&[RSA.jwk("rsa"), ec.jwk("ec"), pinned]).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    for (signer, algorithm, kid) in [
        (&*RSA, "RS256", "ec"),
        (&*RSA, "ES256", "ec"),
        (&*RSA, "ES256", "rsa"),
        (&*RSA, "RS256", "pinned"),
        (&*RSA, "PS384", "pinned"),
        (&ec, "ES256", "rsa"),
        (&ec, "RS256", "ec"),
        (&ec, "ES384", "ec"),
        (&ec, "EdDSA", "ec"),
    ] {
        let token = signer.signed(&json!({"alg": algorithm, "kid": kid}), &claims);
        refused(&callers, &token).await;
    }
    let token = RSA.signed(&json!({"alg": "PS256", "kid": "pinned"}), &claims);
    assert!(admit(&callers, &token).await.is_ok());
}

#[tokio::test]
async fn what_was_changed_after_signing_is_refused() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    let token = ec.token("ec", &claims);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let mut raised = claims.clone();
    raised["roles"] = json!([MARK]);
    let raised = URL_SAFE_NO_PAD.encode(raised.to_string());
    let zero = URL_SAFE_NO_PAD.encode([0; 64]);
    for token in [
        format!("{header}.{raised}.{signature}"),
        format!("{message}."),
        format!("{message}.{}", &signature[..40]),
        format!("{message}.{signature}AAAA"),
        // CVE-2022-21449: r and s are 0.
        format!("{message}.{zero}"),
        // Another key under the same name.
        Signer::p256().token("ec", &claims),
    ] {
        let message = refused(&callers, &token).await;
        assert!(message.contains("signature"), "{message}");
    }
    for kid in ["EC", "", "ec\0", "../ec"] {
        let message = refused(&callers, &ec.token(kid, &claims)).await;
        assert!(message.contains("no key of the issuer"), "{message}");
    }
    // A key that the token itself brings.
    let own = Signer::p256();
    let header =
        json!({"alg": "ES256", "kid": MARK, "jwk": own.jwk(MARK), "jku": "http://127.0.0.1:1/"});
    refused(&callers, &own.signed(&header, &claims)).await;
}

#[tokio::test]
async fn without_kid_there_must_be_one_key() {
    let ec = Signer::p256();
    let header = json!({"alg": "ES256"});
    let single = TestIssuer::new(&[ec.jwk("ec"), json!({"kty": "oct", "k": "x"})]).await;
    let token = ec.signed(&header, &claims(&single));
    assert!(admit(&callers(&single), &token).await.is_ok());
    let several = TestIssuer::new(&[ec.jwk("ec"), Signer::p256().jwk("other")]).await;
    let token = ec.signed(&header, &claims(&several));
    let message = refused(&callers(&several), &token).await;
    assert!(message.contains("`kid`"), "{message}");
}

#[tokio::test]
async fn a_signed_token_must_be_for_this_gateway_and_now() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    for (name, value, want) in [
        ("iss", json!(MARK), "another issuer"),
        ("aud", json!(MARK), "another audience"),
        ("exp", json!(NOW - 60), "expired at 2023-11-14T22:12:20Z"),
        ("exp", Value::Null, "never expires"),
        ("nbf", json!(NOW + 61), "not valid yet"),
        ("iat", json!(NOW + 61), "in the future"),
        ("azp", json!([MARK]), "malformed"),
    ] {
        let mut claims = claims(&issuer);
        claims[name] = value;
        let message = refused(&callers, &ec.token("ec", &claims)).await;
        assert!(message.contains(want), "{message}");
        assert!(message.contains(&issuer.name()), "{message}");
    }
    let opaque = refused(&callers, "opaque-and-no-token").await;
    assert!(opaque.contains("no signed JSON Web Token"), "{opaque}");
    let mut large = claims(&issuer);
    for (padding, fits) in [(11_000, true), (13_000, false)] {
        large["padding"] = json!("x".repeat(padding));
        let token = ec.token("ec", &large);
        if fits {
            assert!(admit(&callers, &token).await.is_ok());
        } else {
            let message = refused(&callers, &token).await;
            assert!(message.contains("16 KiB"), "{message}");
        }
    }
}
