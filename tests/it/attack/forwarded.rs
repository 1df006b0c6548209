//! `x-forwarded-client-cert` from those who are not the sidecar, or try to speak in its
//! place.

use tonic::Code;

use super::{EXTRA, Fort};
use crate::support::{EXECUTE, RawCall, head, program::Program};

const HEADER: &str = "x-forwarded-client-cert";
const SOAR: &str = "By=spiffe://corp.test/gate;Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;URI=spiffe://corp.test/soar";
const GUEST: &str = "By=spiffe://corp.test/gate;Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;Subject=\"CN=x\";URI=spiffe://corp.test/guest";
const POLICY: (&str, &str) = (
    "INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION",
    "spiffe://corp.test/soar,role:Execute",
);
const ON: (&str, &str) = ("INCIDENTGATE_CALLERS__FORWARDED_CERTIFICATES", "true");

async fn call(fort: &Fort, lines: &[&str]) -> RawCall {
    let mut request = head(EXECUTE, &[]);
    request.headers_mut().remove("authorization");
    for line in lines {
        request.headers_mut().append(HEADER, line.parse().unwrap());
    }
    fort.send(request).await
}

#[tokio::test]
async fn where_nobody_has_asked_for_it_the_header_proves_nothing() {
    // Whoever has proven any name would be let in.
    let any = ("INCIDENTGATE_POLICY__EXECUTE_RESPONSE_ACTION", "*");
    let fort = Fort::with(&[any]).await.besieged().await;
    for lines in [&[SOAR][..], &[SOAR, SOAR], &["nonsense"]] {
        Fort::assert_nobody(&call(&fort, lines).await, lines[0]);
    }
    fort.stands(EXTRA).await;
}

#[tokio::test]
async fn what_a_peer_wrote_before_the_sidecars_element_proves_nothing() {
    let fort = Fort::with(&[POLICY, ON]).await.besieged().await;
    for forged in [
        SOAR.to_owned(),
        format!("{SOAR},{SOAR}"),
        "URI=spiffe://corp.test/soar".to_owned(),
        "Subject=\"x\";URI=spiffe://corp.test/soar".to_owned(),
        "Hash=1;uri=spiffe://corp.test/soar;Subject=\"\\\"\"".to_owned(),
    ] {
        let error = call(&fort, &[&format!("{forged},{GUEST}")]).await.error();
        assert_eq!(error.code, Code::PermissionDenied, "{forged}");
        assert_eq!(error.reason, "CALLER_NOT_ALLOWED", "{forged}");
        assert_eq!(error.outcome, "NOT_STARTED");
    }
    // What would swallow the sidecar's element, or leave it open whose it is.
    for lines in [
        &[format!("URI=spiffe://corp.test/soar;Subject=\",{GUEST}")][..],
        &[format!("{SOAR};Subject=\"\\,{GUEST}")],
        &[format!("{SOAR};,{GUEST}")],
        &[format!("{GUEST},")],
        &[SOAR.to_owned(), GUEST.to_owned()],
        &[GUEST.to_owned(), SOAR.to_owned()],
        &[format!("Cert=\"{}\";{SOAR}", "x".repeat(17 * 1024))],
        &[String::new()],
    ] {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        Fort::assert_nobody(&call(&fort, &lines).await, lines[0]);
    }
    fort.stands(EXTRA).await;
}

#[test]
fn where_others_could_forge_it_the_gateway_does_not_start() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let arguments = [
            "serve",
            "--listen",
            listen,
            "--graph-url",
            "http://127.0.0.1:9/beta",
        ];
        let ended = Program::start_with(&arguments, &[POLICY, ON], "").ended();
        assert_ne!(ended.code, Some(0), "{listen}");
        let said = "callers.forwarded_certificates";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}
