//! The names of a client certificate.

use std::time::SystemTime;

use super::{Wrong, written};
use crate::{
    caller::{MAX_CERTIFICATE_NAMES, Name},
    peer::ClientCertificate,
};

/// SPIFFE-ID specification, section 2.3: the longest SPIFFE ID, in bytes.
const MAX_SPIFFE_BYTES: usize = 2048;
/// SPIFFE-ID specification, section 2.1: the longest trust domain, in bytes.
const MAX_TRUST_DOMAIN_BYTES: usize = 255;
/// RFC 1035, section 2.3.4, without the closing dot.
const MAX_DNS_BYTES: usize = 253;

/// The names that a certificate proves which the listener has verified, or that it has
/// expired since.
pub(super) fn prove(certificate: &ClientCertificate, now: SystemTime) -> Result<Vec<Name>, Wrong> {
    if certificate.is_expired(now) {
        return Err(format!(
            "the client certificate of this connection has expired at {}; connect again with a new one",
            written(certificate.not_after)
        )
        .into());
    }
    // A SPIFFE certificate has exactly one URI (X509-SVID, section 2): who has two has none.
    let uris = certificate.uris.iter().map(String::as_str);
    let uris = uris.filter(|_| certificate.uris.len() == 1);
    let dns = certificate.dns.iter().map(String::as_str);
    Ok(names(uris, dns))
}

/// The SPIFFE IDs and the DNS names among these. Whatever is none is dropped, and so
/// are those beyond the limit.
pub(super) fn names<'a>(
    uris: impl Iterator<Item = &'a str>,
    dns: impl Iterator<Item = &'a str>,
) -> Vec<Name> {
    let uris = uris.filter_map(spiffe);
    uris.chain(dns.filter_map(host))
        .take(MAX_CERTIFICATE_NAMES)
        .collect()
}

/// A SPIFFE ID as its specification (section 2) allows it.
fn spiffe(uri: &str) -> Option<Name> {
    let rest = uri.strip_prefix("spiffe://")?;
    let (domain, path) = match rest.split_once('/') {
        Some((domain, path)) => (domain, Some(path)),
        None => (rest, None),
    };
    let in_domain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    let in_path = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let is_segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_path);
    let is_id = uri.len() <= MAX_SPIFFE_BYTES
        && (1..=MAX_TRUST_DOMAIN_BYTES).contains(&domain.len())
        && domain.bytes().all(in_domain)
        && path.is_none_or(|path| path.split('/').all(is_segment));
    is_id.then(|| Name::Spiffe(uri.to_owned()))
}

/// A host name. A wildcard is a certificate for servers and names no caller.
fn host(name: &str) -> Option<Name> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_allowed);
    let is_host = name.len() <= MAX_DNS_BYTES && name.split('.').all(is_label);
    is_host.then(|| Name::Dns(name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_the_specification_allows_is_a_spiffe_id() {
        let long = format!("spiffe://corp/{}", "x".repeat(MAX_SPIFFE_BYTES - 14));
        let longer = format!("{long}x");
        let domain = format!("spiffe://{}/x", "d".repeat(MAX_TRUST_DOMAIN_BYTES));
        let wide = format!("spiffe://{}/x", "d".repeat(MAX_TRUST_DOMAIN_BYTES + 1));
        for (uri, want) in [
            ("spiffe://corp.example/ns/soc/sa/responder", true),
            ("spiffe://corp.example", true),
            ("spiffe://corp_1-a/A.b_c-1", true),
            ("spiffe://corp/...", true),
            (long.as_str(), true),
            (domain.as_str(), true),
            (longer.as_str(), false),
            (wide.as_str(), false),
            ("spiffe://", false),
            ("spiffe:///x", false),
            ("spiffe://corp/", false),
            ("spiffe://corp/x/", false),
            ("spiffe://corp//x", false),
            ("spiffe://corp/./x", false),
            ("spiffe://corp/../x", false),
            ("spiffe://corp/x/..", false),
            ("spiffe://Corp/x", false),
            ("SPIFFE://corp/x", false),
            ("spiffe://corp:8080/x", false),
            ("spiffe://user@corp/x", false),
            ("spiffe://corp/x%2Fy", false),
            ("spiffe://corp/x?y", false),
            ("spiffe://corp/x#y", false),
            ("spiffe://corp/x y", false),
            ("spiffe://corp/x*", false),
            ("spiffe://corp/ü", false),
            ("https://corp/x", false),
            ("", false),
        ] {
            let name = want.then(|| Name::Spiffe(uri.to_owned()));
            assert_eq!(spiffe(uri), name, "{uri:.80}");
        }
    }

    #[test]
    fn only_a_host_is_a_dns_name() {
        for (name, want) in [
            ("SOC.Example.com", Some("soc.example.com")),
            ("_soc.a-b", Some("_soc.a-b")),
            ("*.example.com", None),
            ("a..b", None),
            ("a.", None),
            (".a", None),
            ("a b", None),
            ("ü.example", None),
            ("", None),
        ] {
            let want = want.map(|want| Name::Dns(want.to_owned()));
            assert_eq!(host(name), want, "{name}");
        }
        assert_eq!(host(&"a".repeat(MAX_DNS_BYTES + 1)), None);
    }

    #[test]
    fn names_are_capped_and_an_expired_certificate_proves_nothing() {
        let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let certificate = ClientCertificate {
            uris: vec!["spiffe://c/x".to_owned()],
            dns: (0..100).map(|i| format!("h{i}.example")).collect(),
            not_after,
        };
        let names = prove(&certificate, not_after).unwrap();
        assert_eq!(names.len(), MAX_CERTIFICATE_NAMES);
        assert_eq!(names[0], Name::Spiffe("spiffe://c/x".to_owned()));
        assert_eq!(names[1], Name::Dns("h0.example".to_owned()));
        let wrong = prove(&certificate, not_after + Duration::from_secs(1)).unwrap_err();
        assert!(wrong.contains("expired at 2001-09-09T01:46:40Z"), "{wrong}");

        let two = ClientCertificate {
            uris: vec!["spiffe://c/x".to_owned(), "spiffe://c/y".to_owned()],
            dns: Vec::new(),
            not_after,
        };
        assert_eq!(prove(&two, not_after), Ok(Vec::new()));
    }
}
