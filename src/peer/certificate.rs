//! The names in a client's certificate.

use std::time::{Duration, SystemTime};

use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer as _, X509Error},
};

/// What a verified client certificate says about its holder. Only subject alternative
/// names count: the common name is no identity (RFC 9525, section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The URI names, as written: a SPIFFE ID is one (SPIFFE X509-SVID, section 2).
    pub uris: Vec<String>,
    /// The DNS names, as written.
    pub dns: Vec<String>,
    /// Until when it is valid, this second included (RFC 5280, section 4.1.2.5).
    pub not_after: SystemTime,
}

/// The bytes are not a certificate with readable names.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be read")]
pub struct Unreadable(#[source] X509Error);

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Reads the names of a certificate that has been verified already: nothing is
    /// checked here.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| Unreadable(error.into()))?;
        let names = certificate.subject_alternative_name().map_err(Unreadable)?;
        let (mut uris, mut dns) = (Vec::new(), Vec::new());
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            if let GeneralName::URI(uri) = name {
                uris.push((*uri).to_owned());
            } else if let GeneralName::DNSName(name) = name {
                dns.push((*name).to_owned());
            }
        }
        let seconds = certificate.validity().not_after.timestamp();
        Ok(Self {
            uris,
            dns,
            // What ended before 1970 is expired either way.
            not_after: SystemTime::UNIX_EPOCH
                + Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        })
    }

    /// Whether its time is over at `now`: a connection can outlive the certificate that
    /// was verified when it began.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        now.duration_since(self.not_after)
            .is_ok_and(|since| since >= Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, string::Ia5String};

    use super::*;

    fn der(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn text(text: &str) -> Ia5String {
        Ia5String::try_from(text).unwrap()
    }

    #[test]
    fn uris_and_dns_names_are_read_and_no_others() {
        let certificate = ClientCertificate::read(&der(vec![
            SanType::URI(text("spiffe://example.org/soar")),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::DnsName(text("soar.example.org")),
            SanType::Rfc822Name(text("soar@example.org")),
            SanType::DnsName(text("*.example.org")),
        ]))
        .unwrap();
        // 2031-02-03T00:00:00Z.
        let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(1_927_843_200);
        assert_eq!(
            certificate,
            ClientCertificate {
                uris: vec!["spiffe://example.org/soar".to_owned()],
                dns: vec!["soar.example.org".to_owned(), "*.example.org".to_owned()],
                not_after,
            }
        );
        for (after, is_expired) in [(0, false), (999, false), (1000, true), (1_000_000, true)] {
            let now = not_after + Duration::from_millis(after);
            assert_eq!(certificate.is_expired(now), is_expired, "{after} ms");
        }
    }

    #[test]
    fn a_certificate_may_have_no_names() {
        let certificate = ClientCertificate::read(&der(Vec::new())).unwrap();
        assert!(certificate.uris.is_empty() && certificate.dns.is_empty());
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        let whole = der(Vec::new());
        for bytes in [&[][..], b"text", &whole[..whole.len() - 1]] {
            ClientCertificate::read(bytes).unwrap_err();
        }
    }
}
