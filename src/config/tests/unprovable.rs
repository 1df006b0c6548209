//! Names and proofs that are set, and that nothing could use.

use super::{
    access::{APPLICATION, JWT, MTLS, OPEN, assert_named, with},
    *,
};

#[test]
fn a_proof_that_is_never_shown_is_named() {
    let managed = ("credentials.client_authentication", "managed_identity");
    for (keys, changed, key, why) in [
        (
            &OPEN[..],
            &[("credentials.client_secret_file", "/a")][..],
            "credentials.client_secret_file",
            "no value, or another mode than `passthrough`, which proves no application, in credentials.mode (flag --test)",
        ),
        (
            &OPEN,
            &[("credentials.certificate_file", "/a")],
            "credentials.certificate_file",
            "another mode than `passthrough`",
        ),
        (
            &OPEN,
            &[("credentials.federated_token_file", "/a")],
            "credentials.federated_token_file",
            "another mode than `passthrough`",
        ),
        (
            &APPLICATION,
            &[("credentials.certificate_file", "/a")],
            "credentials.certificate_file",
            "no value, or the way that shows it in credentials.client_authentication (default)",
        ),
        (
            &APPLICATION,
            &[managed],
            "credentials.client_secret_file",
            "the way that shows it in credentials.client_authentication (flag --test)",
        ),
    ] {
        assert_named(with(keys, changed), key, why);
    }
    // The platform's may be there for another program, the gateway's own is not.
    for (name, is_taken) in [
        ("AZURE_FEDERATED_TOKEN_FILE", true),
        ("INCIDENTGATE_CREDENTIALS__FEDERATED_TOKEN_FILE", false),
        ("INCIDENTGATE_CREDENTIALS__CLIENT_SECRET", false),
    ] {
        let loaded = Config::load(Sources {
            environment: environment([(name, "/hunter2")]),
            ..flags(OPEN)
        });
        assert_eq!(loaded.is_ok(), is_taken, "{name}");
    }
}

#[test]
fn a_policy_that_nobody_can_prove_is_named_with_its_entry() {
    let sidecar = [("callers.forwarded_certificates", "true")];
    for (keys, entries, why) in [
        (
            &MTLS[..],
            "spiffe://a/b,role:Execute",
            Some("need `callers.jwt_issuer`, and entry 2 has none"),
        ),
        (&MTLS, "scope:a", Some("entry 1")),
        (&MTLS, "*,app:a", Some("entry 2")),
        (&MTLS, "*,dns:a,subject:a", Some("entry 3")),
        (&MTLS, "*,dns:*.a,spiffe://a/*,spiffe://a", None),
        (&sidecar, "dns:a", None),
        (&sidecar, "role:a", Some("entry 1")),
        (&JWT, "*,app:a,subject:a,role:a,scope:a", None),
        (
            &JWT,
            "role:a,dns:*.a",
            Some("need `tls.client_ca_file` or `callers.forwarded_certificates`, and entry 2"),
        ),
        (&JWT, "spiffe://a/*", Some("entry 1")),
    ] {
        let keys: Vec<_> = APPLICATION.iter().chain(keys).copied().collect();
        for key in ["policy.execute_response_action", "policy.reflection"] {
            let star = ("policy.execute_response_action", "*");
            let loaded = with(&keys, &[star, (key, entries)]);
            match why {
                Some(why) => assert_named(loaded, key, why),
                None => assert!(loaded.is_ok(), "{key} {entries}: {loaded:?}"),
            }
        }
    }
    // Where nobody is asked, such an entry would keep nobody out.
    assert_named(
        with(&OPEN, &[("policy.reflection", "role:Reader")]),
        "policy.reflection",
        "a way for callers to prove who they are",
    );
}

#[test]
fn a_policy_is_not_measured_against_a_way_that_is_mistaken_itself() {
    let keys: Vec<_> = APPLICATION.iter().chain(&MTLS).copied().collect();
    let issuer = ("callers.jwt_issuer", "sts.example");
    let loaded = with(&keys, &[issuer, ("policy.reflection", "role:Reader")]);
    assert_named(loaded, "callers.jwt_issuer", "an https URL");
}

#[test]
fn the_sandbox_brings_the_issuer_of_on_behalf_of_and_no_other() {
    for (mode, is_taken) in [("on_behalf_of", true), ("application", false)] {
        let loaded = Config::load(Sources {
            preset: Preset::Sandbox,
            ..flags([
                ("credentials.mode", mode),
                ("policy.execute_response_action", "scope:a"),
            ])
        });
        assert_eq!(loaded.is_ok(), is_taken, "{mode}");
    }
}

#[test]
fn an_issuer_of_many_tenants_is_refused_with_its_reason() {
    let keys: Vec<_> = APPLICATION.iter().chain(&JWT).copied().collect();
    for (issuer, is_taken) in [
        ("https://login.microsoftonline.com/common/v2.0", false),
        ("https://login.microsoftonline.us/organizations/v2.0", false),
        ("https://sts.windows.net/Common/", false),
        ("https://login.microsoftonline.com/contoso/v2.0", true),
        ("https://sts.example/realms/common/", true),
        ("https://common/", true),
    ] {
        let loaded = with(&keys, &[("callers.jwt_issuer", issuer)]);
        if is_taken {
            assert!(loaded.is_ok(), "{issuer}: {loaded:?}");
        } else {
            assert_named(loaded, "callers.jwt_issuer", "names a template");
        }
    }
}
