use serde_json::json;

use super::*;

const NOW: u64 = 1_700_000_000;
const SKEW: Duration = Duration::from_secs(60);

fn expected() -> Expected {
    Expected {
        issuer: "https://issuer.example/v2.0".to_owned(),
        audiences: vec!["api://gate".to_owned(), "gate-id".to_owned()],
        skew: SKEW,
    }
}

/// Good claims, with these put over them; `null` takes one away.
fn claims(over: &Value) -> String {
    let mut claims = json!({
        "iss": "https://issuer.example/v2.0",
        "aud": "api://gate",
        "exp": NOW + 600,
        "nbf": NOW - 5,
        "iat": NOW - 5,
        "azp": "app-1",
        "oid": "object-1",
        "sub": "subject-1",
    });
    for (name, value) in over.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.to_string()
}

fn read(over: &Value) -> Result<Claims, Wrong> {
    Claims::read(claims(over).as_bytes(), &expected())
}

fn judged(over: &Value) -> Result<(), Wrong> {
    let now = UNIX_EPOCH + Duration::from_secs(NOW);
    read(over)?.validity.check(now, SKEW)
}

#[test]
fn one_wrong_claim_is_enough() {
    for (over, want) in [
        (
            json!({"iss": "https://issuer.example/v2.0/"}),
            "another issuer",
        ),
        (
            json!({"iss": "https://ISSUER.example/v2.0"}),
            "another issuer",
        ),
        (json!({"iss": ""}), "another issuer"),
        (json!({"iss": null}), "another issuer"),
        (json!({"iss": ["https://issuer.example/v2.0"]}), "malformed"),
        (json!({"aud": "api://other"}), "another audience"),
        (json!({"aud": "API://gate"}), "another audience"),
        (json!({"aud": "api://gate gate-id"}), "another audience"),
        (json!({"aud": ""}), "another audience"),
        (json!({"aud": []}), "another audience"),
        (json!({"aud": null}), "another audience"),
        (json!({"aud": {"a": "api://gate"}}), "another audience"),
        (json!({"aud": [["api://gate"]]}), "another audience"),
        (json!({"exp": null}), "never expires"),
        (json!({"exp": "9999999999"}), "malformed"),
        (json!({"exp": -1}), "malformed"),
        (json!({"exp": 1e300}), "malformed"),
        (json!({"exp": true}), "malformed"),
        (json!({"exp": NOW - 60}), "expired at 2023-11-14T22:12:20Z"),
        (json!({"exp": 0}), "expired at 1970-01-01T00:00:00Z"),
        (json!({"nbf": NOW + 61}), "not valid yet"),
        (json!({"nbf": u64::MAX}), "not valid yet"),
        (json!({"nbf": "soon"}), "malformed"),
        (json!({"iat": NOW + 61}), "in the future"),
        (json!({"azp": 7}), "malformed"),
        (json!({"oid": {}}), "malformed"),
    ] {
        let wrong = judged(&over).expect_err(&over.to_string());
        assert!(wrong.contains(want), "{over}: {wrong}");
    }
    let twice = claims(&json!({})).replace('{', r#"{"aud":"api://gate","#);
    for payload in [twice.as_str(), "", "[]", "null", "7", "{"] {
        let wrong = Claims::read(payload.as_bytes(), &expected());
        assert!(wrong.is_err(), "{payload}");
    }
}

#[test]
fn clocks_may_differ_and_audiences_may_be_many() {
    for over in [
        json!({}),
        json!({"exp": NOW - 59}),
        json!({"exp": f64::from(1_700_000_600) + 0.5}),
        json!({"exp": u64::MAX}),
        json!({"nbf": NOW + 60, "iat": NOW + 60}),
        json!({"nbf": null, "iat": null}),
        json!({"aud": "gate-id"}),
        json!({"aud": ["api://other", "gate-id"]}),
        json!({"aud": [7, "api://gate"]}),
    ] {
        assert_eq!(judged(&over), Ok(()), "{over}");
    }
}

#[test]
fn names_are_what_a_token_grants() {
    let long = "ü".repeat(MAX_NAME + 1);
    let longest = &long[..2 * MAX_NAME];
    for (over, want) in [
        (json!({}), "app:app-1 subject:object-1"),
        (json!({"azp": null, "appid": "a"}), "app:a subject:object-1"),
        (json!({"appid": "other"}), "app:app-1 subject:object-1"),
        (json!({"oid": null}), "app:app-1 subject:subject-1"),
        (json!({"azp": "", "oid": "a\nb"}), ""),
        (
            json!({"roles": ["R.Execute", 7, "", "S"], "azp": null, "oid": null, "sub": null}),
            "role:R.Execute role:S",
        ),
        (
            json!({"roles": "R", "scp": "a  b", "scope": "c", "azp": null, "oid": "o"}),
            "subject:o role:R scope:a scope:b scope:c",
        ),
        (
            json!({"scp": ["a", "b c"], "azp": null, "oid": "o"}),
            "subject:o scope:a scope:b scope:c",
        ),
        (
            json!({"roles": {"a": "b"}, "scp": 7}),
            "app:app-1 subject:object-1",
        ),
        (json!({"azp": long, "oid": "o"}), "subject:o"),
        (
            json!({"azp": longest, "oid": "o"}),
            &format!("app:{longest} subject:o"),
        ),
    ] {
        let names = read(&over).unwrap().names;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names.join(" "), want, "{over}");
    }
}

#[test]
fn grants_are_capped() {
    let roles: Vec<String> = (0..MAX_GRANTS * 2).map(|i| format!("r{i}")).collect();
    let names = read(&json!({"roles": roles, "scp": "a"})).unwrap().names;
    assert_eq!(names.len(), MAX_GRANTS + 2);
    assert_eq!(
        names.last(),
        Some(&Name::Role(format!("r{}", MAX_GRANTS - 1)))
    );
}

#[test]
fn a_user_stands_behind_a_token_with_scp() {
    for (over, want) in [
        (json!({"scp": "Incident.Execute"}), true),
        (json!({"scp": "a", "idtyp": "user"}), true),
        (json!({"scp": "a", "oid": null}), true),
        (json!({}), false),
        (json!({"scp": ""}), false),
        (json!({"scope": "a"}), false),
        (json!({"roles": ["a"], "idtyp": "app"}), false),
        (json!({"scp": "a", "idtyp": "app"}), false),
        (json!({"scp": "a", "sub": "object-1"}), false),
    ] {
        assert_eq!(read(&over).unwrap().is_user, want, "{over}");
    }
}
