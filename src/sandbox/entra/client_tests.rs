//! How applications prove who they are.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::super::fixture::json_of;
use super::fixture::*;
use super::*;

const ISSUER: &str = "https://kubernetes.default.svc";
const SUBJECT: &str = "system:serviceaccount:gate:gateway";

async fn registered() -> Asker {
    let asker = Asker::start().await;
    let registration = Registration {
        certificates: vec![IDENTITY.pem.clone()],
        federated: vec![Federated {
            issuer: ISSUER.to_owned(),
            subject: SUBJECT.to_owned(),
        }],
        ..Registration::default()
    };
    asker.sandbox.put_client(CLIENT_ID, registration).unwrap();
    asker
}

async fn show(asker: &Asker, assertion: &str) -> (u16, Value) {
    let fields = [
        ("client_secret", ""),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    asker.ask(&fields).await
}

#[tokio::test]
async fn a_certificate_is_good_by_either_thumbprint_and_algorithm() {
    let asker = registered().await;
    let claims = assertion(&asker, &json!({}));
    for header in [
        IDENTITY.header(Algorithm::PS256),
        IDENTITY.header(Algorithm::RS256),
        IDENTITY.header_x5t(Algorithm::PS256),
        IDENTITY.header_x5t(Algorithm::RS256),
    ] {
        let answer = show(&asker, &IDENTITY.sign(&header, &claims)).await;
        asker.verified(&token_in(&answer), GRAPH).await;
        let entry = asker.sandbox.entra_journal();
        let token = entry
            .iter()
            .rfind(|entry| entry.endpoint == Endpoint::Token);
        assert_eq!(token.unwrap().proof, Some(Proof::Certificate), "{header:?}");
    }
    let user = asker.mint(of_user()).await;
    let header = IDENTITY.header(Algorithm::PS256);
    let fields = [
        ("client_secret", ""),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &IDENTITY.sign(&header, &claims)),
    ];
    assert_eq!(asker.exchange(&user, &fields).await.0, 200);
}

#[tokio::test]
async fn a_certificates_assertion_is_refused_with_its_number() {
    let asker = registered().await;
    let other = Identity::new();
    let good = IDENTITY.header(Algorithm::PS256);
    let day = 24 * 60 * 60;
    for (identity, header, changes, code) in [
        (
            &*IDENTITY,
            other.header(Algorithm::PS256),
            json!({}),
            700_027,
        ),
        (&other, good.clone(), json!({}), 700_027),
        (
            &IDENTITY,
            IDENTITY.header(Algorithm::RS384),
            json!({}),
            700_027,
        ),
        (
            &IDENTITY,
            jsonwebtoken::Header::new(Algorithm::PS256),
            json!({}),
            700_027,
        ),
        (&IDENTITY, good.clone(), json!({"sub": "other"}), 700_021),
        (&IDENTITY, good.clone(), json!({"sub": null}), 700_021),
        (
            &IDENTITY,
            good.clone(),
            json!({"aud": "http://elsewhere/token"}),
            700_023,
        ),
        (
            &IDENTITY,
            good.clone(),
            json!({"aud": [asker.token_url()]}),
            700_023,
        ),
        (&IDENTITY, good.clone(), json!({"exp": now() - 1}), 700_024),
        (&IDENTITY, good.clone(), json!({"exp": null}), 700_024),
        (
            &IDENTITY,
            good.clone(),
            json!({"exp": now() + day + 60}),
            700_024,
        ),
        (&IDENTITY, good.clone(), json!({"nbf": now() + 60}), 700_024),
        (
            &IDENTITY,
            good.clone(),
            json!({"iss": "https://elsewhere"}),
            700_211,
        ),
        (&IDENTITY, good, json!({"iss": null}), 700_211),
    ] {
        let signed = identity.sign(&header, &assertion(&asker, &changes));
        let want = (401, "invalid_client".to_owned(), code);
        assert_eq!(
            refusal(&show(&asker, &signed).await),
            want,
            "{header:?} {changes}"
        );
        assert_eq!(asker.sandbox.entra_journal().pop().unwrap().proof, None);
    }
}

#[tokio::test]
async fn a_foreign_token_is_good_for_the_subject_that_is_registered() {
    let asker = registered().await;
    let exchange = "api://AzureADTokenExchange";
    // Whose key it is does not matter: nobody is asked.
    let foreign = |changes: Value| {
        let mut claims =
            json!({"iss": ISSUER, "sub": SUBJECT, "aud": [exchange], "exp": now() + 60});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        IDENTITY.sign(&jsonwebtoken::Header::new(Algorithm::RS256), &claims)
    };
    for changes in [json!({}), json!({"aud": exchange})] {
        assert_eq!(show(&asker, &foreign(changes)).await.0, 200);
        let entry = asker.sandbox.entra_journal().pop().unwrap();
        assert_eq!(entry.proof, Some(Proof::Federated));
    }
    for (changes, code) in [
        (json!({"iss": "https://elsewhere"}), 700_211),
        (json!({"sub": "system:serviceaccount:gate:other"}), 700_213),
        (json!({"sub": SUBJECT.to_uppercase()}), 700_213),
        (json!({"aud": asker.token_url()}), 700_212),
        (json!({"aud": [exchange, "b"]}), 700_212),
        (json!({"exp": now() - 1}), 700_024),
    ] {
        let want = (401, "invalid_client".to_owned(), code);
        assert_eq!(
            refusal(&show(&asker, &foreign(changes.clone())).await),
            want,
            "{changes}"
        );
    }
    asker
        .sandbox
        .put_client(CLIENT_ID, Registration::default())
        .unwrap();
    assert_eq!(refusal(&show(&asker, &foreign(json!({}))).await).2, 70_021);
}

#[tokio::test]
async fn what_is_registered_is_checked_and_replaces_what_was() {
    let asker = Asker::start().await;
    let with = |certificates: &[&str]| Registration {
        certificates: certificates.iter().map(|&pem| pem.to_owned()).collect(),
        ..Registration::default()
    };
    let pem = IDENTITY.pem.as_str();
    let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (registration, mistake) in [
        (
            with(&[pem, "x"]),
            "certificate 1: expected an X.509 certificate in PEM",
        ),
        (
            with(&[not_one]),
            "certificate 0: expected an X.509 certificate in PEM",
        ),
        (with(&[pem; 33]), "at most 32 credentials of a kind"),
    ] {
        assert_eq!(
            asker.sandbox.put_client(CLIENT_ID, registration),
            Err(mistake.to_owned())
        );
    }
    assert_eq!(asker.ask(&[]).await.0, 200, "a mistake changes nothing");
    let secret = Some("another".to_owned());
    let registration = Registration {
        secret,
        ..Registration::default()
    };
    assert!(!format!("{registration:?}").contains("another"));
    asker.sandbox.put_client(CLIENT_ID, registration).unwrap();
    assert_eq!(refusal(&asker.ask(&[]).await).2, 7_000_215);
    asker.token(&[("client_secret", "another")]).await;
    asker.sandbox.reset();
    asker.token(&[]).await;
}

#[tokio::test]
async fn roles_and_scopes_are_those_of_the_registration() {
    let asker = Asker::start().await;
    let registration = Registration {
        secret: Some("s".to_owned()),
        roles: Vec::new(),
        scopes: vec!["A".to_owned(), "B".to_owned()],
        ..Registration::default()
    };
    asker.sandbox.put_client("app", registration).unwrap();
    let own = [("client_id", "app"), ("client_secret", "s")];
    let claims = asker.verified(&asker.token(&own).await, GRAPH).await;
    assert!(
        claims.get("roles").is_none(),
        "Entra issues such tokens too"
    );
    let user = asker
        .mint(Mint {
            audience: "app".to_owned(),
            ..of_user()
        })
        .await;
    let answer = asker.exchange(&user, &own).await;
    assert_eq!(
        asker.verified(&token_in(&answer), GRAPH).await["scp"],
        json!("A B")
    );
}

#[tokio::test]
async fn the_name_that_was_called_is_the_one_that_counts() {
    let asker = registered().await;
    let audience = format!("http://entra.test/{DOMAIN}/oauth2/v2.0/token");
    let claims = assertion(&asker, &json!({"aud": audience}));
    let assertion = IDENTITY.sign(&IDENTITY.header(Algorithm::PS256), &claims);
    let fields = [
        ("client_secret", ""),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", &assertion),
    ];
    let url = asker.token_url().replace(TENANT, DOMAIN);
    let mut request = asker
        .request(&fields)
        .header("Host", "entra.test")
        .build()
        .unwrap();
    *request.url_mut() = url.parse().unwrap();
    let response = asker.caller.client.execute(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let token = json_of(response).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let token = jwt::Jwt::parse(&token).unwrap();
    assert_eq!(
        token.text("iss"),
        Some(format!("http://entra.test/{TENANT}/v2.0").as_str())
    );
}
