use futures_util::FutureExt as _;
use http::StatusCode;
use tokio::time;

use super::{
    super::token::{MAX_STRANGERS, RENEWAL_INTERVAL},
    *,
};

/// Lets the clock of the keys jump, and no timer fire too early for real sockets.
async fn later(by: Duration) {
    time::pause();
    time::advance(by).await;
    time::resume();
}

#[tokio::test]
async fn a_flood_of_invented_keys_asks_once_in_an_interval() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    for interval in 1..=2 {
        for i in 0..500 {
            let token = ec.token(&format!("{interval}-{i}"), &claims);
            let failure = admit(&callers, &token).await.unwrap_err();
            assert_eq!(failure.kind, Kind::CallerUnauthenticated);
        }
        assert_eq!(issuer.answers().asked, interval);
        later(RENEWAL_INTERVAL).await;
    }
    assert!(admit(&callers, &ec.token("ec", &claims)).await.is_ok());
    assert_eq!(issuer.answers().asked, 2);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_ends_what_it_has_signed() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let issuer = TestIssuer::new(&[old.jwk("old")]).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    let token = old.token("old", &claims);
    let other = new.token("new", &claims);
    assert!(admit(&callers, &token).await.is_ok());
    issuer.publish(&[old.jwk("old"), new.jwk("new")]);
    later(RENEWAL_INTERVAL).await;
    assert!(admit(&callers, &other).await.is_ok());
    assert!(admit(&callers, &token).await.is_ok(), "both are published");
    assert_eq!(issuer.answers().asked, 2);
    issuer.publish(&[new.jwk("new")]);
    later(RENEWAL_INTERVAL).await;
    let unknown = new.token("unknown", &claims);
    assert!(admit(&callers, &unknown).await.is_err());
    assert_eq!(issuer.answers().asked, 3);
    let failure = admit(&callers, &token).await.unwrap_err();
    assert_eq!(failure.kind, Kind::CallerUnauthenticated);
    assert!(admit(&callers, &other).await.is_ok());
    // The name of a key alone does not save it either.
    issuer.publish(&[Signer::p256().jwk("new")]);
    later(RENEWAL_INTERVAL).await;
    assert!(admit(&callers, &unknown).await.is_err());
    let failure = admit(&callers, &other).await.unwrap_err();
    assert!(failure.message.contains("signature"), "{failure}");
}

#[tokio::test]
async fn a_known_token_still_expires() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    let token = ec.token("ec", &claims(&issuer));
    let after = |seconds| UNIX_EPOCH + Duration::from_secs(NOW + seconds);
    for seconds in [0, 0, 600, 659] {
        assert!(admit_at(&callers, &token, after(seconds)).await.is_ok());
    }
    for seconds in [660, 661] {
        let failure = admit_at(&callers, &token, after(seconds)).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, Kind::CallerUnauthenticated);
        assert!(failure.message.contains("expired"), "{failure}");
    }
    // The clock was set back, before the token was issued.
    let before = UNIX_EPOCH + Duration::from_secs(NOW - 66);
    assert!(admit_at(&callers, &token, before).await.is_err());
}

#[tokio::test]
async fn an_issuer_that_is_down_takes_nothing_away() {
    let (known, new) = (Signer::p256(), Signer::p256());
    let issuer = TestIssuer::new(&[known.jwk("known")]).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    let token = known.token("known", &claims);
    issuer.answers().status = StatusCode::SERVICE_UNAVAILABLE;
    let failure = admit(&callers, &token).await.unwrap_err();
    assert_eq!(failure.kind, Kind::IssuerUnavailable);
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(7)));
    assert!(!failure.message.contains("127.0.0.1"), "{failure}");
    assert!(admit(&callers, &token).await.is_err());
    assert_eq!(issuer.answers().asked, 1, "not at once again");
    // What is no token is told so all the same.
    let failure = admit(&callers, "opaque").await.unwrap_err();
    assert_eq!(failure.kind, Kind::CallerUnauthenticated);

    issuer.answers().status = StatusCode::OK;
    later(Duration::from_secs(7)).await;
    assert!(admit(&callers, &token).await.is_ok());

    issuer.answers().status = StatusCode::BAD_GATEWAY;
    later(RENEWAL_INTERVAL).await;
    let other = new.token("new", &claims);
    for _ in 0..3 {
        // Nobody knows whether the issuer has that key by now.
        let failure = admit(&callers, &other).await.unwrap_err();
        assert_eq!(failure.kind, Kind::IssuerUnavailable);
        assert!(admit(&callers, &token).await.is_ok());
    }
    assert_eq!(issuer.answers().asked, 3);
    // For a day the old keys are good enough, and no longer.
    later(Duration::from_secs(24 * 3600 - 60)).await;
    assert!(admit(&callers, &token).await.is_ok());
    later(Duration::from_secs(120)).await;
    let failure = admit(&callers, &token).await.unwrap_err();
    assert_eq!(failure.kind, Kind::IssuerUnavailable);
}

#[tokio::test]
async fn a_wait_that_the_issuer_names_is_bounded() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let token = ec.token("ec", &claims(&issuer));
    issuer.answers().status = StatusCode::TOO_MANY_REQUESTS;
    for (named, want) in [
        ("0", 0),
        ("18446744073709551615", 300),
        ("18446744073709551616", 1),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 1),
    ] {
        issuer.answers().retry_after = named;
        let failure = admit(&callers(&issuer), &token).await.unwrap_err();
        assert_eq!(
            failure.retry_after(),
            Some(Duration::from_secs(want)),
            "{named}"
        );
    }
}

#[tokio::test]
async fn documents_that_cannot_be_trusted_are_not_used() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let token = ec.token("ec", &claims(&issuer));
    let name = issuer.name();
    let keys = format!("{}/keys", name.strip_suffix("/tenant/v2.0").unwrap());
    let document =
        |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys}).to_string();
    let slashed = format!("{name}/");
    let with_user = keys.replace("//", "//user@");
    for (discovery, cause) in [
        (document("https://evil.example", &keys), "another issuer"),
        (document(&slashed, &keys), "another issuer"),
        (document(&name, "http://keys.example/keys"), "https URL"),
        (document(&name, "https://keys.example/keys"), "https URL"),
        (document(&name, "file:///etc/keys"), "https URL"),
        (document(&name, "/keys"), "https URL"),
        (document(&name, &with_user), "https URL"),
        (
            json!({"issuer": name}).to_string(),
            "discovery document could not be read",
        ),
        ("<html>".to_owned(), "discovery document could not be read"),
    ] {
        issuer.answers().discovery = Some(discovery.clone());
        let failure = admit(&callers(&issuer), &token).await.unwrap_err();
        assert_eq!(failure.kind, Kind::IssuerUnavailable, "{discovery}");
        let why = std::error::Error::source(&failure).unwrap().to_string();
        assert!(why.contains(cause), "{discovery}: {why}");
    }
    assert_eq!(issuer.answers().asked, 0);
    issuer.discovery(&name, &keys);
    let padding = " ".repeat(5_000_000);
    for (set, cause) in [
        (format!("{{\"keys\":[]{padding}}}"), "could not be fetched"),
        (r#"{"keys":[]}"#.to_owned(), "no key"),
        (
            r#"{"keys":[{"kty":"oct","k":"eA","kid":"ec"}]}"#.to_owned(),
            "no key",
        ),
        (r#"{"keys":7}"#.to_owned(), "key set could not be read"),
        (String::new(), "key set could not be read"),
    ] {
        issuer.answers().keys = set;
        let failure = admit(&callers(&issuer), &token).await.unwrap_err();
        assert_eq!(failure.kind, Kind::IssuerUnavailable);
        let why = std::error::Error::source(&failure).unwrap().to_string();
        assert!(why.contains(cause), "{why}");
    }
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_given_up() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    issuer.answers().hangs = true;
    let options = CallerOptions {
        jwt: Some(JwtOptions {
            timeout: Duration::from_millis(20),
            ..options(&issuer)
        }),
        ..CallerOptions::default()
    };
    let callers = Callers::new(options, Metrics::disabled()).unwrap();
    let token = ec.token("ec", &claims(&issuer));
    let failure = admit(&callers, &token).await.unwrap_err();
    assert_eq!(failure.kind, Kind::IssuerUnavailable);
}

#[tokio::test]
async fn many_first_calls_fetch_once() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    let token = ec.token("ec", &claims(&issuer));
    let calls = (0..100).map(|_| admit(&callers, &token));
    for admitted in futures_util::future::join_all(calls).await {
        assert!(admitted.is_ok());
    }
    assert_eq!(issuer.answers().requests, 2);
}

#[tokio::test]
async fn invented_keys_hold_only_so_many_calls_while_the_issuer_hangs() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = callers(&issuer);
    let claims = claims(&issuer);
    assert!(admit(&callers, &ec.token("ec", &claims)).await.is_ok());
    later(RENEWAL_INTERVAL).await;
    issuer.answers().hangs = true;
    let tokens: Vec<String> = (0..MAX_STRANGERS + 50)
        .map(|n| ec.token(&format!("invented-{n}"), &claims))
        .collect();
    let mut waiting: Vec<_> = tokens
        .iter()
        .map(|token| Box::pin(admit(&callers, token)))
        .collect();
    let mut refused = 0;
    for call in &mut waiting {
        if let Some(refusal) = call.as_mut().now_or_never() {
            assert_eq!(refusal.unwrap_err().kind, Kind::IssuerUnavailable);
            refused += 1;
        }
    }
    assert_eq!(refused, 50);
    assert!(admit(&callers, &ec.token("ec", &claims)).await.is_ok());
}
