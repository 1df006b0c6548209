//! The client certificate that a sidecar has seen: `x-forwarded-client-cert`, as Envoy
//! writes it (Envoy, "HTTP header manipulation", x-forwarded-client-cert).
//!
//! ```text
//! By=spiffe://corp/gate;Hash=468e…;Subject="CN=soc";URI=spiffe://corp/soc,By=…
//! ```
//!
//! Elements by `,`, pairs by `;`. A sidecar appends its element to what the peer had sent
//! (`APPEND_FORWARD`) or replaces it (`SANITIZE_SET`), so only the last one is its word.

use std::borrow::Cow;

use http::HeaderMap;

use super::{Wrong, certificate};
use crate::caller::Name;

const HEADER: &str = "x-forwarded-client-cert";
/// The longest header that is read. A chain of certificates in it has some kilobytes.
const MAX_BYTES: usize = 16 * 1024;

/// The names that the sidecar has seen: none if there is no such header, or if it names
/// none. The header's text is in no message.
pub(super) fn prove(metadata: &HeaderMap) -> Result<Vec<Name>, Wrong> {
    let mut lines = metadata.get_all(HEADER).iter();
    let Some(line) = lines.next() else {
        return Ok(Vec::new());
    };
    // Nobody could tell which one is the sidecar's.
    if lines.next().is_some() {
        return Err(wrong("was sent more than once"));
    }
    if line.len() > MAX_BYTES {
        return Err(wrong("is longer than 16 KiB"));
    }
    let pairs = line.to_str().ok().and_then(last_element);
    let pairs = pairs
        .filter(|pairs| is_of_one_certificate(pairs))
        .ok_or_else(|| wrong("is malformed"))?;
    let all = |wanted: &'static str| {
        pairs
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_ref())
    };
    Ok(certificate::names(all("URI"), all("DNS")))
}

fn wrong(what: &str) -> Wrong {
    format!("the metadata key `{HEADER}` {what}; let the sidecar in front of this gateway write it")
        .into()
}

/// The pairs of the last element; nothing if anything in the header is malformed.
///
/// What a peer wrote before that element cannot reach into it: a quotation that it left
/// open ends at the first quote of the sidecar's element, and then follows neither a
/// separator nor the end.
fn last_element(header: &str) -> Option<Vec<(&str, Cow<'_, str>)>> {
    let mut pairs = Vec::new();
    let mut rest = header;
    loop {
        let (key, text) = rest.split_once('=')?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let (value, after) = value(text)?;
        pairs.push((key, value));
        let mut after = after.chars();
        match after.next() {
            None => return Some(pairs),
            Some(';') => {}
            Some(',') => pairs.clear(),
            Some(_) => return None,
        }
        rest = after.as_str();
    }
}

/// The keys in the order in which Envoy writes them, and whether one may come again.
const KEYS: [(&str, bool); 7] = [
    ("By", true),
    ("Hash", false),
    ("Cert", false),
    ("Chain", false),
    ("Subject", false),
    // A SPIFFE certificate has exactly one URI (X509-SVID, section 2).
    ("URI", false),
    ("DNS", true),
];
/// A SHA-256 in hexadecimal digits.
const HASH_LENGTH: usize = 64;

/// Whether the element is as Envoy writes it for one certificate.
///
/// Envoy does not quote URIs and DNS names, so that one with `,` or `;` in it reads as
/// several pairs. Most of those are out of order, or without the certificate's hash.
fn is_of_one_certificate(pairs: &[(&str, Cow<'_, str>)]) -> bool {
    let rank = |name: &str| {
        KEYS.iter()
            .position(|(key, _)| key.eq_ignore_ascii_case(name))
    };
    // Keys of later versions say nothing here.
    let known: Vec<(usize, &str)> = pairs
        .iter()
        .filter_map(|(key, value)| Some((rank(key)?, value.as_ref())))
        .collect();
    let in_order = known.windows(2).all(|pair| {
        let (one, next) = (pair[0].0, pair[1].0);
        one < next || one == next && KEYS[one].1
    });
    let is_hash = |value: &str| {
        value.len() == HASH_LENGTH && value.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let has_hash = known
        .iter()
        .any(|(rank, value)| *rank == 1 && is_hash(value));
    in_order && has_hash
}

/// One value, and what follows it.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (plain, rest) = text.split_at(end);
        return (!plain.contains('"')).then_some((Cow::Borrowed(plain), rest));
    };
    let mut value = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => return Some((Cow::Owned(value), rest.as_str())),
            '\\' => {
                // Envoy puts subjects there as RFC 2253 writes them, where a backslash
                // takes the next character with it, another backslash too.
                let next = rest.next()?;
                if next != '"' {
                    value.push('\\');
                }
                value.push(next);
            }
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn metadata(lines: &[&str]) -> HeaderMap {
        let mut metadata = HeaderMap::new();
        for line in lines {
            let line = line.replace("HASH", &"468e".repeat(16));
            let line = line.replace("Hash=#", &format!("Hash={}", "468e".repeat(16)));
            metadata.append(HEADER, HeaderValue::from_str(&line).unwrap());
        }
        metadata
    }

    fn shown(header: &str) -> Option<Vec<String>> {
        let names = prove(&metadata(&[header])).ok()?;
        Some(names.iter().map(ToString::to_string).collect())
    }

    /// As Envoy writes elements; `Hash=#` stands for a whole hash.
    const SIDECARS: [&str; 5] = [
        r#"By=spiffe://c/gate;Hash=#;Subject="";URI=spiffe://c/soc"#,
        r#"By=spiffe://c/gate;Hash=#;Cert="-----BEGIN%20CERT";Subject="CN=a\"b\\";URI=spiffe://c/soc;DNS=soc.example"#,
        "Hash=#;URI=spiffe://c/soc",
        r#"Hash=#;Subject="/C=US/CN=soc";URI=;DNS=a.example;DNS=B.example"#,
        r#"Hash=#;Subject="CN=nobody""#,
    ];

    #[test]
    fn the_last_element_counts() {
        for (header, want) in [
            (SIDECARS[0], &["spiffe://c/soc"][..]),
            (SIDECARS[1], &["spiffe://c/soc", "dns:soc.example"]),
            (SIDECARS[2], &["spiffe://c/soc"]),
            (SIDECARS[3], &["dns:a.example", "dns:b.example"]),
            (SIDECARS[4], &[]),
            ("URI=spiffe://c/admin,Hash=#", &[]),
            (
                "URI=spiffe://c/admin,Hash=#;URI=spiffe://c/soc",
                &["spiffe://c/soc"],
            ),
            (
                "hash=HASH;uri=spiffe://c/soc;dns=a.b",
                &["spiffe://c/soc", "dns:a.b"],
            ),
            (
                r#"By=x;By=y;Hash=#;New=z;URI="spiffe://c/soc""#,
                &["spiffe://c/soc"],
            ),
            (r#"Subject="a,URI=spiffe://c/admin;URI=x",Hash=#"#, &[]),
            (r#"Hash=#;Subject="a\",URI=spiffe://c/admin""#, &[]),
            ("By=spiffe://c/admin;Hash=#;Subject=spiffe://c/admin", &[]),
            ("Hash=#;URI=https://c/a?b=c;DNS=*.example", &[]),
            (r#"Hash=#;URI="spiffe://c/s\oc""#, &[]),
        ] {
            let want = want.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(shown(header), Some(want), "{header}");
        }
        assert_eq!(prove(&HeaderMap::new()), Ok(Vec::new()));
    }

    #[test]
    fn a_malformed_header_is_refused_as_a_whole() {
        for header in [
            "",
            "x",
            ",",
            "=x",
            "URI=a,",
            "URI=a;",
            ",URI=a",
            "URI=a,,URI=b",
            "URI=a;;DNS=b",
            "URI=a, URI=b",
            "U RI=a",
            "URI =a",
            r#"URI="a"#,
            r#"URI="a\"#,
            r#"URI="a\""#,
            r#"URI="a"b"#,
            r#"URI="a"bDNS=c"#,
            r#"URI="a" "#,
            r#"URI="a""b""#,
            r#"URI=a"b"#,
            r#"URI=a"b""#,
            "x,URI=spiffe://c/soc",
            // Whole, but of no certificate, or of several.
            "URI=spiffe://c/soc",
            "Hash=468e;URI=spiffe://c/soc",
            "Hash=#;Hash=#;URI=spiffe://c/soc",
            "Hash=#;URI=spiffe://c/soc;URI=spiffe://c/boss",
            "Hash=#;URI=https://x.example/;URI=spiffe://c/boss",
            "Hash=#;URI=https://x.example/,URI=spiffe://c/boss",
            "Hash=#;URI=;DNS=x.example;URI=spiffe://c/boss",
            "Hash=#;DNS=x.example,URI=spiffe://c/boss",
            "Hash=#;URI=spiffe://c/soc;By=x",
        ] {
            let header = metadata(&[header]);
            let wrong = prove(&header).unwrap_err();
            assert!(wrong.contains("malformed"), "{header:?}: {wrong}");
        }
        let mut raw = HeaderMap::new();
        raw.insert(HEADER, HeaderValue::from_bytes(b"URI=\xff").unwrap());
        assert!(prove(&raw).unwrap_err().contains("malformed"));
        let two = metadata(&["URI=spiffe://c/a", "URI=spiffe://c/b"]);
        assert!(prove(&two).unwrap_err().contains("more than once"));
        let hash = format!("Hash={};Cert=", "0".repeat(HASH_LENGTH));
        let fits = format!("{hash}{}", "x".repeat(MAX_BYTES - hash.len()));
        assert_eq!(shown(&fits), Some(Vec::new()));
        let long = metadata(&[&format!("{fits}x")]);
        assert!(prove(&long).unwrap_err().contains("16 KiB"));
    }

    proptest! {
        #[test]
        fn whatever_a_peer_wrote_before_it_the_sidecars_element_decides(
            peer in prop_oneof![
                r#"[A-Za-z="';,\\:/. ]{0,40}"#,
                r#"(URI=spiffe://c/admin;)?(Subject|Cert)="[a-z,;=\\"]{0,12}"#,
                "[ -~]{0,40}",
            ],
            sidecar in prop::sample::select(&SIDECARS[..]),
        ) {
            let names = shown(&format!("{peer},{sidecar}"));
            prop_assert!(names.is_none() || names == shown(sidecar), "{peer}");
        }

        #[test]
        fn a_value_in_quotes_comes_back(value in "[ -~&&[^\\\\]]{0,40}") {
            let header = format!("Subject=\"{}\";Hash=1", value.replace('"', "\\\""));
            let pairs = last_element(&header).unwrap();
            prop_assert_eq!(&pairs[0].1, &value);
            prop_assert_eq!(pairs.len(), 2);
        }
    }
}
