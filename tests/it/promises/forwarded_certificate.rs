//! `x-forwarded-client-cert`: the sidecar's element decides, whatever a peer wrote before.

use std::{
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderValue};
use incidentgate::{
    caller::{Name, Pattern},
    callers::{CallerOptions, Callers, Policy, Presented, Rpc},
    failure::{Failure, Kind},
    telemetry::Metrics,
};

const HEADER: &str = "x-forwarded-client-cert";
const MAX_NAME_BYTES: usize = 2048;
/// As Envoy writes its element.
const SIDECARS: [(&str, &str); 2] = [
    (
        r#"By=spiffe://c/gate;Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;Subject="CN=a\"b";URI=spiffe://c/soc"#,
        "spiffe://c/soc",
    ),
    (
        "Hash=468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e468e;DNS=soc.example",
        "dns:soc.example",
    ),
];

static CALLERS: LazyLock<Callers> = LazyLock::new(|| {
    let options = CallerOptions {
        forwarded_certificates: true,
        policy: Policy {
            execute_response_action: Pattern::parse("*").into_iter().collect(),
            ..Policy::default()
        },
        ..CallerOptions::default()
    };
    Callers::new(options, Metrics::disabled()).unwrap()
});

/// Each line of the input is a header's value.
pub(crate) fn forwarded_certificate(data: &[u8]) {
    let values: Vec<_> = super::lines(data)
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    match admitted(&values) {
        Ok(names) => {
            assert_eq!(values.len(), 1, "{values:?}");
            assert!(!names.is_empty());
            names.iter().for_each(is_sound);
        }
        Err(failure) => {
            assert_eq!(failure.kind, Kind::CallerUnauthenticated);
            assert!(!super::holds_a_token_or_url(&failure.message));
        }
    }
    for (element, name) in SIDECARS {
        let Some(peer) = values.first() else { return };
        let header = [peer.as_bytes(), b",", element.as_bytes()].concat();
        let header = HeaderValue::from_bytes(&header).unwrap();
        if let Ok(names) = admitted(&[header]) {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            assert_eq!(names, [name], "{peer:?}");
        }
    }
}

/// Only certificates' names, and nothing that could break a line of a log.
fn is_sound(name: &Name) {
    let text = name.to_string();
    assert!(matches!(name, Name::Spiffe(_) | Name::Dns(_)), "{name:?}");
    assert!(text.len() <= MAX_NAME_BYTES, "{name:?}");
    assert!(!text.contains(char::is_control), "{name:?}");
    assert!(!text.contains(char::is_whitespace), "{name:?}");
}

fn admitted(values: &[HeaderValue]) -> Result<Vec<Name>, Failure> {
    let mut metadata = HeaderMap::new();
    for value in values {
        metadata.append(HEADER, value.clone());
    }
    let presented = Presented {
        metadata: &metadata,
        certificate: None,
        is_local: true,
    };
    let identified = pin!(CALLERS.identify(presented));
    let Poll::Ready(identified) = identified.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nobody has to be asked");
    };
    let admitted = CALLERS.permit(identified?, Rpc::ExecuteResponseAction);
    admitted.map(|caller| caller.names().to_vec())
}
