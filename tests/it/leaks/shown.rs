//! What `Debug` shows of everything that can hold a secret.

use std::{fmt::Debug, time::Duration};

use http::{HeaderMap, HeaderValue};
use incidentgate::{
    app,
    authorization::{Authorization, TokenOwner},
    caller::{Caller, CallerToken},
    config::{Config, Preset, Sources},
    credentials::{Client, Credentials, Proof},
    graph::GraphOptions,
    reload::{File, Source},
    secret::Secret,
    telemetry::Metrics,
    tls::Pair,
};

use super::Marks;
use crate::support::{Authority, TlsFolder};

const MARK: &str = "debug-marked-as-secret";

fn environment(mode: &str) -> Sources {
    let variables = [
        ("CREDENTIALS__MODE", mode),
        ("CREDENTIALS__TENANT", "contoso.example"),
        ("CREDENTIALS__CLIENT_ID", "gateway"),
        ("CREDENTIALS__CLIENT_SECRET", MARK),
        ("CALLERS__JWT_ISSUER", "https://issuer.example"),
        ("CALLERS__JWT_AUDIENCE", "gateway"),
        ("POLICY__EXECUTE_RESPONSE_ACTION", "*"),
    ];
    let name = |name| format!("INCIDENTGATE_{name}").into();
    Sources {
        preset: Preset::Production,
        environment: variables
            .into_iter()
            .map(|(key, value)| (name(key), value.into()))
            .collect(),
        ..Sources::default()
    }
}

#[track_caller]
fn check(marks: &Marks, value: &dyn Debug) {
    marks.are_not_in("Debug", &format!("{value:?}"));
    marks.are_not_in("Debug", &format!("{value:#?}"));
}

#[tokio::test]
async fn configuration_and_credentials_do_not_show_their_secrets() {
    let marks = Marks::of([MARK]);
    for mode in ["application", "on_behalf_of"] {
        let loaded = Config::load(environment(mode)).unwrap();
        let secret = loaded.config.credentials.client_secret.as_ref().unwrap();
        assert_eq!(secret.reveal(), MARK);
        check(&marks, &loaded);
        marks.are_not_in("check", &loaded.effective.to_string());
        let credentials = app::credentials(&loaded.config, &Metrics::disabled()).unwrap();
        check(&marks, &credentials);
        let caller = Caller::proven(Vec::new(), CallerToken::new(MARK, true));
        check(&marks, &caller);
        if let Ok(credential) = credentials.of(&caller, &HeaderMap::new()) {
            check(&marks, &credential);
        }
    }
    let secret = Secret::new(MARK);
    check(&marks, &secret);
    check(&marks, &CallerToken::new(MARK, false));
    let client = Client {
        id: "gateway".to_owned(),
        proof: Proof::Secret(secret),
    };
    check(&marks, &client);
    check(&marks, &Authorization::bearer(MARK, TokenOwner::Caller));
    let mut metadata = HeaderMap::new();
    let bearer = HeaderValue::from_str(&format!("Bearer {MARK}")).unwrap();
    metadata.insert("authorization", bearer);
    let credential = Credentials::Passthrough.of(&Caller::anonymous(), &metadata);
    let credential = credential.unwrap();
    check(&marks, &credential);
    check(&marks, &credential.grant().await.unwrap());
}

#[test]
fn files_with_keys_do_not_show_them() {
    let pair = Authority::new().issue(&["localhost"]);
    let mut marks = Marks::default();
    marks.add_key(&pair.key);
    // The bytes as numbers, as a derived `Debug` would have them.
    let numbers = format!("{:?}", &pair.key.as_bytes()[40..80]);
    marks.add(numbers.trim_matches(['[', ']']));
    let folder = TlsFolder::with(&pair);
    let variables = folder
        .for_server()
        .into_iter()
        .chain(folder.as_client_of_graph());
    let name = |key: &str| format!("INCIDENTGATE_{}", key.replace('.', "__").to_uppercase());
    let config = Config::load(Sources {
        environment: variables
            .map(|(key, value)| (name(key).into(), value.into()))
            .collect(),
        ..Sources::default()
    })
    .unwrap()
    .config;
    let options: GraphOptions = app::graph_options(&config).unwrap();
    assert_ne!(options.connect_timeout, Duration::ZERO);
    check(&marks, &options);
    let file = |key: &'static str| -> File {
        let path = folder.path().join(key);
        Source { key, path }.read().unwrap()
    };
    let pair = Pair {
        certificate: file("certificate"),
        key: file("key"),
    };
    check(&marks, &pair);
    check(&marks, &pair.certified().unwrap());
}
