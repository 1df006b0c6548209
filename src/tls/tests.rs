use std::{path::Path, time::Duration};

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// OpenSSL's words for keys that need a passphrase, without a key.
const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
];

fn file(key: &'static str, text: &str) -> File {
    File {
        source: Source {
            key,
            path: Path::new("/etc/gate").join(key),
        },
        bytes: text.as_bytes().into(),
    }
}

fn pair(certificate: &str, key: &str) -> Pair {
    Pair {
        certificate: file("tls.certificate_file", certificate),
        key: file("tls.key_file", key),
    }
}

/// A certificate that ends on 2031-02-03, and its key.
fn issued() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["gate.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, key.serialize_pem())
}

#[test]
fn what_is_of_no_use_is_named_by_key_and_path_and_not_shown() {
    let (certificate, key) = issued();
    let (other, _) = issued();
    let garbled = key.replace(
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMIGH?",
    );
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let certificate_file = "tls.certificate_file /etc/gate/tls.certificate_file holds no readable certificate in PEM form";
    let key_file = "tls.key_file /etc/gate/tls.key_file";
    let none = format!("{key_file} holds no private key in PEM form");
    let mismatch = format!(
        "{key_file} is not the key of the certificate in tls.certificate_file /etc/gate/tls.certificate_file"
    );
    let encrypted = format!("{key_file} is encrypted, ");
    let unusable = format!("{key_file} holds a private key that cannot be used; ");
    for (certificate, key, expected) in [
        ("", key.as_str(), certificate_file),
        ("text", &key, certificate_file),
        (&key, &key, certificate_file),
        (no_der, &key, certificate_file),
        (&certificate[..200], &key, certificate_file),
        (&certificate, "", &none),
        (&certificate, &certificate, &none),
        (&certificate, &key[..100], &none),
        (&certificate, &garbled, &none),
        (&certificate, ENCRYPTED[0], &encrypted),
        (&certificate, ENCRYPTED[1], &encrypted),
        (&certificate, no_key, &unusable),
        (&other, &key, &mismatch),
    ] {
        let pair = pair(certificate, key);
        let error = pair.certified().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(std::error::Error::source(&error).is_none());
        let shown = format!("{error:?} {pair:?}");
        assert!(
            !shown.contains("MIG") && !shown.contains("BEGIN"),
            "{shown}"
        );
    }
}

#[test]
fn one_file_may_have_the_key_and_the_whole_chain() {
    let (leaf, key) = issued();
    let (issuer, _) = issued();
    // One file for both, with words between, is usual.
    let all = format!("subject=gate\n{key}issuer=me\n{leaf}{issuer}");
    assert_eq!(pair(&all, &all).certified().unwrap().cert.len(), 2);
}

#[test]
fn authorities_are_all_certificates_of_the_file() {
    let ((one, key), (two, _)) = (issued(), issued());
    let roots = authorities(&file("tls.client_ca_file", &format!("{one}{two}"))).unwrap();
    assert_eq!(roots.len(), 2);
    let error = authorities(&file("tls.client_ca_file", &key)).unwrap_err();
    assert!(error.to_string().starts_with("tls.client_ca_file /etc/"));
}

#[test]
fn a_certificate_expires_after_its_last_second() {
    let (certificate, key) = issued();
    let pair = pair(&certificate, &key);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_927_843_200);
    assert!(!pair.is_expired(end));
    assert!(pair.is_expired(end + Duration::from_secs(1)));
}
