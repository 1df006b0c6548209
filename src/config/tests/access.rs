//! Who may call, as whom, by which certificates: the rules between these keys.

use super::*;
use crate::secret::Secret;

pub(super) const OPEN: [(&str, &str); 1] = [("credentials.mode", "passthrough")];
pub(super) const APPLICATION: [(&str, &str); 4] = [
    ("credentials.mode", "application"),
    ("credentials.tenant", "contoso.example"),
    ("credentials.client_id", "gateway"),
    ("credentials.client_secret_file", "/run/secret"),
];
pub(super) const JWT: [(&str, &str); 3] = [
    ("callers.jwt_issuer", "https://sts.example/"),
    ("callers.jwt_audience", "api://gateway"),
    ("policy.execute_response_action", "role:Execute"),
];
pub(super) const MTLS: [(&str, &str); 4] = [
    ("tls.certificate_file", "/tls.crt"),
    ("tls.key_file", "/tls.key"),
    ("tls.client_ca_file", "/ca.crt"),
    ("policy.execute_response_action", "spiffe://corp.example/*"),
];

pub(super) type Keys = [(&'static str, &'static str)];

/// `keys`, and `changed` in place of, or beside, them; an empty text takes a key away.
pub(super) fn with(keys: &Keys, changed: &Keys) -> Result<Loaded, Mistakes> {
    let flags = keys.iter().chain(changed);
    Config::load(Sources {
        flags: flags.map(|(key, value)| flag(key, value)).collect(),
        ..Sources::default()
    })
}

#[test]
fn each_way_to_set_it_up_is_taken() {
    for (keys, more) in [
        (&OPEN[..], &[][..]),
        (&OPEN, &[("server.listen", "0.0.0.0:50051")]),
        (&OPEN, &MTLS),
        (&APPLICATION, &[]),
        (&APPLICATION, &[("server.listen", "unix:/run/gate.sock")]),
        (&APPLICATION, &JWT),
        (&APPLICATION, &MTLS),
        (
            &APPLICATION,
            &[
                ("callers.forwarded_certificates", "true"),
                ("policy.execute_response_action", "*"),
            ],
        ),
        (
            &APPLICATION,
            &[
                ("credentials.client_authentication", "managed_identity"),
                ("credentials.tenant", ""),
                ("credentials.client_id", ""),
                ("credentials.client_secret_file", ""),
            ],
        ),
    ] {
        if let Err(mistakes) = with(keys, more) {
            panic!("{more:?}: {mistakes}");
        }
    }
    for keys in [&JWT[..], &MTLS] {
        let all: Vec<_> = APPLICATION.iter().chain(keys).copied().collect();
        let loaded = with(&all, &[("server.listen", "[::]:50051")]);
        assert!(loaded.unwrap().config.authenticates_callers());
    }
    let on_behalf: Vec<_> = APPLICATION.iter().chain(&JWT).copied().collect();
    assert!(with(&on_behalf, &[("credentials.mode", "on_behalf_of")]).is_ok());
}

#[test]
fn what_is_missing_or_too_much_is_named_with_its_reason() {
    for (keys, changed, key, why) in [
        (
            &APPLICATION[..],
            &[("server.listen", "0.0.0.0:50051")][..],
            "server.listen",
            "whoever reaches the gateway starts actions with its permissions",
        ),
        (
            &APPLICATION,
            &[("credentials.tenant", "")],
            "credentials.tenant",
            "needs one",
        ),
        (
            &APPLICATION,
            &[("credentials.client_id", "")],
            "credentials.client_id",
            "needs one",
        ),
        (
            &APPLICATION,
            &[("credentials.client_secret_file", "")],
            "credentials.client_secret_file",
            "INCIDENTGATE_CREDENTIALS__CLIENT_SECRET",
        ),
        (
            &APPLICATION,
            &[
                ("credentials.client_authentication", "certificate"),
                ("credentials.client_secret_file", ""),
            ],
            "credentials.certificate_file",
            "needs one",
        ),
        (
            &APPLICATION,
            &[
                ("credentials.client_authentication", "workload_identity"),
                ("credentials.client_secret_file", ""),
            ],
            "credentials.federated_token_file",
            "needs one",
        ),
        (
            &APPLICATION,
            &[
                ("credentials.mode", "on_behalf_of"),
                ("policy.execute_response_action", "*"),
            ],
            "callers.jwt_issuer",
            "exchanges them",
        ),
        (
            &OPEN,
            &JWT,
            "callers.jwt_issuer",
            "nobody else can check them",
        ),
        (
            &APPLICATION,
            &[
                ("callers.jwt_issuer", "https://sts.example"),
                ("policy.execute_response_action", "*"),
            ],
            "callers.jwt_audience",
            "at least one audience",
        ),
        (
            &OPEN,
            &[
                ("callers.forwarded_certificates", "true"),
                ("policy.execute_response_action", "*"),
                ("server.listen", "0.0.0.0:50051"),
            ],
            "callers.forwarded_certificates",
            "any peer could forge the header",
        ),
    ] {
        assert_named(with(keys, changed), key, why);
    }
}

#[test]
fn who_calls_and_by_which_certificates_is_named_with_its_reason() {
    for (keys, changed, key, why) in [
        (
            &OPEN[..],
            &[("policy.execute_response_action", "*")][..],
            "policy.execute_response_action",
            "a way for callers to prove who they are",
        ),
        (
            &OPEN,
            &[("policy.reflection", "role:Operator")],
            "policy.reflection",
            "a way for callers to prove who they are",
        ),
        (
            &OPEN,
            &[("policy.reflection", "")],
            "policy.reflection",
            "server.reflection",
        ),
        (
            &OPEN,
            &[("callers.forwarded_certificates", "true")],
            "policy.execute_response_action",
            "at least one caller",
        ),
        (
            &OPEN,
            &[("tls.certificate_file", "/a")],
            "tls.key_file",
            "together with",
        ),
        (
            &OPEN,
            &[("graph.client_key_file", "/a")],
            "graph.client_key_file",
            "together with",
        ),
    ] {
        assert_named(with(keys, changed), key, why);
    }
}

#[track_caller]
pub(super) fn assert_named(loaded: Result<Loaded, Mistakes>, key: &str, why: &str) {
    let lines = mistakes(loaded);
    let [line] = &lines[..] else {
        panic!("one mistake for {key}: {lines:?}")
    };
    assert!(line.starts_with(&format!("{key} (")), "{line}");
    assert!(line.contains(why), "{line}");
}

#[test]
fn a_managed_identity_exchanges_no_tokens() {
    let keys: Vec<_> = APPLICATION.iter().chain(&JWT).copied().collect();
    let lines = mistakes(with(
        &keys,
        &[
            ("credentials.mode", "on_behalf_of"),
            ("credentials.client_authentication", "managed_identity"),
        ],
    ));
    assert!(
        lines[0].contains("a managed identity cannot exchange"),
        "{lines:?}"
    );
}

#[test]
fn a_secret_comes_from_the_environment_and_is_never_shown() {
    let secret = "hunter2";
    let keys = &APPLICATION[..3];
    let sources = |environment| Sources {
        environment,
        flags: keys.iter().map(|(key, value)| flag(key, value)).collect(),
        ..Sources::default()
    };
    let variable = environment([("INCIDENTGATE_CREDENTIALS__CLIENT_SECRET", secret)]);
    let Loaded { config, effective } = Config::load(sources(variable)).unwrap();
    assert_eq!(
        config
            .credentials
            .client_secret
            .as_ref()
            .map(Secret::reveal),
        Some(secret)
    );
    assert!(effective.to_string().contains("client_secret"));
    for text in [format!("{config:?}"), effective.to_string()] {
        assert!(!text.contains(secret), "{text}");
    }

    let result = load_text(&format!("[credentials]\nclient_secret = \"{secret}\""));
    let lines = mistakes(result);
    assert!(lines[0].contains("no secret here"), "{lines:?}");
    assert!(!lines[0].contains(secret), "{lines:?}");
}

#[test]
fn lists_are_arrays_or_text_with_commas() {
    let list = |text: &str| {
        let text = format!("[callers]\njwt_audience = {text}\n");
        load_text(&text).map(|loaded| loaded.config.callers.jwt_audience)
    };
    for (text, want) in [
        (r#""a, b""#, &["a", "b"][..]),
        (r#""a,b""#, &["a", "b"]),
        (r#"["a", "b"]"#, &["a", "b"]),
        (r#"["a"]"#, &["a"]),
        ("[]", &[]),
        (r#""""#, &[]),
    ] {
        assert_eq!(list(text).unwrap(), want, "{text}");
    }
    for text in [
        r#"["a,b"]"#,
        r#"["a", 1]"#,
        r#"[["a"]]"#,
        r#"[""]"#,
        r#""a,,b""#,
        "7",
    ] {
        assert!(
            mistakes(list(text).map(|_| unreachable!()))[0].contains("expected a list"),
            "{text}"
        );
    }
    // A key that is no list takes no array.
    assert!(load_text("[server]\nlisten = [\"127.0.0.1:1\"]").is_err());
}

#[test]
fn the_platforms_variables_come_before_everything_else() {
    let platform = [
        ("AZURE_TENANT_ID", "platform-tenant"),
        ("AZURE_CLIENT_ID", "platform-client"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/platform/token"),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/"),
    ];
    let config = Config::load(Sources {
        environment: environment(platform),
        flags: vec![
            flag("credentials.mode", "application"),
            flag("credentials.client_authentication", "workload_identity"),
            flag("credentials.client_id", "own-client"),
        ],
        ..Sources::default()
    });
    let credentials = config.unwrap().config.credentials;
    assert_eq!(credentials.tenant.as_deref(), Some("platform-tenant"));
    assert_eq!(credentials.client_id.as_deref(), Some("own-client"));
    assert_eq!(
        credentials.federated_token_file,
        Some("/platform/token".into())
    );
    assert_eq!(
        credentials.authority.as_str(),
        "https://login.microsoftonline.us"
    );
}

#[test]
fn a_platforms_variable_that_is_empty_is_not_set() {
    let platform = [
        ("AZURE_TENANT_ID", ""),
        ("AZURE_CLIENT_ID", ""),
        ("AZURE_FEDERATED_TOKEN_FILE", ""),
        ("AZURE_AUTHORITY_HOST", ""),
    ];
    let Loaded { config, effective } = Config::load(Sources {
        environment: environment(platform),
        ..Sources::default()
    })
    .unwrap();
    assert_eq!(
        config.credentials.authority.as_str(),
        "https://login.microsoftonline.com"
    );
    assert!(!effective.to_string().contains("AZURE_"), "{effective}");
}

#[test]
fn a_policy_that_nobody_applies_is_refused_in_front_of_the_sandbox_too() {
    let load = |keys: &Keys| {
        Config::load(Sources {
            preset: Preset::Sandbox,
            flags: keys.iter().map(|(key, value)| flag(key, value)).collect(),
            ..Sources::default()
        })
    };
    let policy = ("policy.execute_response_action", "role:Execute");
    let why = "a way for callers to prove who they are";
    assert_named(load(&[policy]), policy.0, why);
    assert_named(load(&[(policy.0, "")]), policy.0, why);
    for keys in [
        &[][..],
        &[(policy.0, "*")],
        &[policy, ("credentials.mode", "on_behalf_of")],
        &[
            (policy.0, "spiffe://corp.example/*"),
            ("callers.forwarded_certificates", "true"),
        ],
    ] {
        assert!(load(keys).is_ok(), "{keys:?}");
    }
}
