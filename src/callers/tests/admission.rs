use http::HeaderValue;

use super::*;
use crate::caller::MAX_IDENTITIES;

const XFCC: &str = "x-forwarded-client-cert";

fn policy(execute: &[&str], reflection: &[&str]) -> Policy {
    let patterns = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| Pattern::parse(text).unwrap())
            .collect()
    };
    Policy {
        execute_response_action: patterns(execute),
        reflection: patterns(reflection),
        ..Policy::default()
    }
}

fn certificate(uri: &str) -> ClientCertificate {
    ClientCertificate {
        uris: vec![uri.to_owned()],
        dns: vec!["SOC.example".to_owned()],
        not_after: now() + Duration::from_secs(1),
    }
}

/// Certificates in both ways; `*` may do everything.
fn by_certificate() -> CallerOptions {
    CallerOptions {
        certificates: true,
        forwarded_certificates: true,
        jwt: None,
        policy: policy(&["*"], &["*"]),
    }
}

fn new(options: CallerOptions) -> Callers {
    Callers::new(options, Metrics::disabled()).unwrap()
}

/// Certificates in both ways, and tokens of this issuer.
fn in_every_way(issuer: &TestIssuer) -> Callers {
    new(CallerOptions {
        jwt: Some(options(issuer)),
        ..by_certificate()
    })
}

async fn execute(
    callers: &Callers,
    metadata: &HeaderMap,
    certificate: Option<&ClientCertificate>,
    is_local: bool,
) -> Result<String, Failure> {
    let presented = Presented {
        metadata,
        certificate,
        is_local,
    };
    let caller = admitted(callers, presented, Rpc::ExecuteResponseAction, now());
    caller.await.map(|caller| named(&caller))
}

/// What a sidecar says of a certificate.
fn element(names: &str) -> HeaderValue {
    let hash = "468e".repeat(16);
    HeaderValue::from_str(&format!("Hash={hash};{names}")).unwrap()
}

fn forwarded(value: HeaderValue) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    metadata.insert(XFCC, value);
    metadata
}

#[tokio::test]
async fn nobody_is_asked_of_an_open_gateway() {
    let metadata = HeaderMap::new();
    let certificate = certificate("spiffe://c/soc");
    let presented = Presented {
        metadata: &metadata,
        certificate: Some(&certificate),
        is_local: true,
    };
    for rpc in [Rpc::ExecuteResponseAction, Rpc::Reflection] {
        let caller = admitted(&Callers::open(), presented, rpc, now())
            .await
            .unwrap();
        assert!(caller.names().is_empty());
    }
}

#[tokio::test]
async fn names_of_every_way_add_up() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = in_every_way(&issuer);
    let mut user = claims(&issuer);
    user["scp"] = json!("Execute");
    let mut metadata = bearer(&ec.token("ec", &user));
    metadata.insert(XFCC, element("URI=spiffe://c/soc;DNS=side.c"));
    let certificate = certificate("spiffe://c/soc");
    let names = execute(&callers, &metadata, Some(&certificate), true).await;
    assert_eq!(
        names.unwrap(),
        "spiffe://c/soc dns:soc.example dns:side.c app:app-1 subject:object-1 role:Execute scope:Execute"
    );
    let presented = Presented {
        metadata: &metadata,
        certificate: None,
        is_local: false,
    };
    let rpc = Rpc::ExecuteResponseAction;
    let caller = admitted(&callers, presented, rpc, now()).await.unwrap();
    assert!(caller.token().unwrap().is_user());
}

#[tokio::test]
async fn who_has_many_names_has_no_more_than_the_audit_log_keeps() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = in_every_way(&issuer);
    let hosts = |of: &'static str| (0..40).map(move |n| format!("h{n}.{of}"));
    let mut metadata = bearer(&ec.token("ec", &claims(&issuer)));
    let forwarded: Vec<_> = hosts("side").map(|host| format!("DNS={host}")).collect();
    metadata.insert(XFCC, element(&forwarded.join(";")));
    let certificate = ClientCertificate {
        dns: hosts("own").collect(),
        ..certificate("spiffe://c/soc")
    };
    let presented = Presented {
        metadata: &metadata,
        certificate: Some(&certificate),
        is_local: true,
    };
    let rpc = Rpc::ExecuteResponseAction;
    let caller = admitted(&callers, presented, rpc, now()).await.unwrap();
    let names: Vec<_> = caller.identities().map(ToString::to_string).collect();
    assert_eq!(names.len(), MAX_IDENTITIES);
    assert!(names.ends_with(&["app:app-1".to_owned(), "subject:object-1".to_owned()]));
}

#[tokio::test]
async fn what_is_broken_refuses_whatever_else_holds() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let callers = in_every_way(&issuer);
    let good = certificate("spiffe://c/soc");
    let old = ClientCertificate {
        not_after: now() - Duration::from_secs(1),
        ..good.clone()
    };
    let token = ec.token("ec", &claims(&issuer));
    let mut two = bearer(&token);
    two.append(AUTHORIZATION, two[AUTHORIZATION].clone());
    let mut basic = HeaderMap::new();
    basic.insert(AUTHORIZATION, HeaderValue::from_static("Basic dTpw"));
    let mut broken = bearer(&token);
    broken.insert(XFCC, HeaderValue::from_static("URI=\"spiffe://c/soc"));
    let mut lines = bearer(&token);
    lines.append(XFCC, HeaderValue::from_static("URI=spiffe://c/soc"));
    lines.append(XFCC, HeaderValue::from_static("URI=spiffe://c/soc"));
    for (metadata, certificate, want) in [
        (bearer(&token), &old, "expired at 2023-11-14T22:13:19Z"),
        (bearer("opaque"), &good, "no signed"),
        (two, &good, "more than once"),
        (basic, &good, "not a bearer"),
        (broken, &good, "malformed"),
        (lines, &good, "more than once"),
    ] {
        let failure = execute(&callers, &metadata, Some(certificate), true).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, Kind::CallerUnauthenticated);
        assert!(failure.message.contains(want), "{failure}");
    }
    let all = execute(&callers, &bearer(&token), Some(&good), true).await;
    assert!(all.is_ok(), "{all:?}");
}

#[tokio::test]
async fn a_way_that_is_not_asked_for_proves_nothing_and_breaks_nothing() {
    let certificate = certificate("spiffe://c/soc");
    let header = forwarded(element("URI=spiffe://c/side"));
    let broken = forwarded(HeaderValue::from_static("broken"));
    let with_token = bearer("opaque");
    let only = |certificates, forwarded_certificates| {
        new(CallerOptions {
            certificates,
            forwarded_certificates,
            ..by_certificate()
        })
    };
    let direct = "spiffe://c/soc dns:soc.example";
    for (callers, metadata, is_local, want) in [
        (only(true, false), &header, true, Some(direct)),
        (only(true, false), &broken, true, Some(direct)),
        (only(true, false), &with_token, true, Some(direct)),
        (only(false, true), &header, true, Some("spiffe://c/side")),
        // Anybody could have written it.
        (only(false, true), &header, false, None),
        (only(true, true), &header, false, Some(direct)),
        (only(true, true), &broken, false, Some(direct)),
        // Asked to prove who they are, and given no way to.
        (only(false, false), &header, true, None),
    ] {
        let names = execute(&callers, metadata, Some(&certificate), is_local).await;
        if let Some(want) = want {
            assert_eq!(names.unwrap(), want);
            continue;
        }
        let failure = names.unwrap_err();
        assert_eq!(failure.kind, Kind::CallerUnauthenticated);
        assert!(!failure.message.ends_with(' '), "{failure}");
    }
}

#[tokio::test]
async fn who_proves_nothing_is_told_the_ways() {
    let ec = Signer::p256();
    let issuer = TestIssuer::new(&[ec.jwk("ec")]).await;
    let nameless = ClientCertificate {
        uris: vec!["https://c/soc".to_owned()],
        dns: vec!["*.c".to_owned()],
        ..certificate("")
    };
    let all = in_every_way(&issuer);
    let failure = execute(&all, &forwarded(element("URI=")), Some(&nameless), true).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind, Kind::CallerUnauthenticated);
    for way in ["Bearer TOKEN", AUDIENCE, "client certificate", "sidecar"] {
        assert!(failure.message.contains(way), "{failure}");
    }
    let by_certificate = new(CallerOptions {
        forwarded_certificates: false,
        ..by_certificate()
    });
    let failure = execute(&by_certificate, &HeaderMap::new(), None, true).await;
    let message = failure.unwrap_err().message;
    assert!(message.contains("client certificate"), "{message}");
    assert!(
        !message.contains("Bearer") && !message.contains("sidecar"),
        "{message}"
    );
    assert_eq!(issuer.answers().requests, 0);
}

#[tokio::test]
async fn the_policy_of_an_rpc_lists_who_may() {
    let soc = certificate("spiffe://c/ns/soc/sa/a");
    for (execute, reflection, may_execute, may_reflect) in [
        (&["*"][..], &["*"][..], true, true),
        (&["spiffe://c/ns/soc/*"], &[], true, false),
        (&["spiffe://c/ns/soc"], &["dns:soc.example"], false, true),
        (
            &["app:soc.example", "role:soc.example"],
            &["dns:*.example"],
            false,
            true,
        ),
        (
            &["spiffe://d/*", "dns:soc.example"],
            &["dns:other"],
            true,
            false,
        ),
        (&[], &[], false, false),
    ] {
        let callers = new(CallerOptions {
            policy: policy(execute, reflection),
            ..by_certificate()
        });
        let metadata = HeaderMap::new();
        let presented = Presented {
            metadata: &metadata,
            certificate: Some(&soc),
            is_local: false,
        };
        for (rpc, may, key) in [
            (
                Rpc::ExecuteResponseAction,
                may_execute,
                "`policy.execute_response_action`",
            ),
            (Rpc::Reflection, may_reflect, "`policy.reflection`"),
            // Whom no policy names may do nothing.
            (Rpc::GetIncidentTask, false, "`policy.get_incident_task`"),
            (
                Rpc::ListIncidentTasks,
                false,
                "`policy.list_incident_tasks`",
            ),
            (
                Rpc::UpdateIncidentTask,
                false,
                "`policy.update_incident_task`",
            ),
            (
                Rpc::WatchIncidentTask,
                false,
                "`policy.watch_incident_task`",
            ),
        ] {
            let admitted = admitted(&callers, presented, rpc, now()).await;
            if may {
                assert!(admitted.is_ok(), "{execute:?} {reflection:?}");
                continue;
            }
            let failure = admitted.unwrap_err();
            assert_eq!(failure.kind, Kind::CallerNotAllowed);
            assert!(failure.message.contains(key), "{failure}");
            assert!(!failure.message.contains("spiffe"), "{failure}");
        }
    }
}

#[test]
fn a_time_that_nobody_can_write_is_not_written() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(written(at(253_402_300_799)), "9999-12-31T23:59:59Z");
    let before = UNIX_EPOCH - Duration::from_secs(1);
    for time in [at(253_402_300_800), before] {
        assert_eq!(written(time), "a time far away");
    }
}

#[tokio::test]
async fn an_issuer_must_be_safe_to_ask() {
    let issuer = TestIssuer::new(&[]).await;
    for (name, is_safe) in [
        ("https://issuer.example/v2.0", true),
        ("http://127.0.0.1:1/", true),
        ("http://issuer.example", false),
        ("issuer.example", false),
        ("", false),
    ] {
        let jwt = JwtOptions {
            issuer: name.to_owned(),
            ..options(&issuer)
        };
        let options = CallerOptions {
            jwt: Some(jwt),
            ..CallerOptions::default()
        };
        let built = Callers::new(options, Metrics::disabled());
        assert_eq!(built.is_ok(), is_safe, "{name}");
    }
}
