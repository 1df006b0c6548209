//! What stands between a client command and the gateway, and the likely mend.

use std::{fmt, path::Path};

/// No peer has shown that it speaks gRPC, so no call was sent.
#[derive(Debug, thiserror::Error)]
pub(super) struct Unreachable {
    origin: String,
    causes: String,
    mend: Option<String>,
}

/// The way that was tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    /// `http`, `https` or `unix`.
    pub(super) scheme: &'a str,
    /// The host and perhaps the port; empty for a socket.
    pub(super) authority: &'a str,
    /// `--ca-file`.
    pub(super) ca_file: Option<&'a Path>,
    /// `--certificate-file`.
    pub(super) certificate_file: Option<&'a Path>,
    /// The time of that certificate is over.
    pub(super) has_expired: bool,
    /// There was a connection, by TLS one whose handshake had ended on this side.
    pub(super) is_connected: bool,
}

// === impl Unreachable ===

impl Unreachable {
    /// Takes the texts of the error and of those behind it.
    pub(super) fn new(origin: &impl fmt::Display, way: &Way<'_>, causes: String) -> Self {
        Self {
            origin: origin.to_string(),
            mend: way.mend(&causes),
            causes,
        }
    }

    /// Whether the text says what is likely to help.
    pub(super) fn has_mend(&self) -> bool {
        self.mend.is_some()
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot reach the gateway at {}: ", self.origin)?;
        match &self.mend {
            Some(mend) => write!(f, "{mend} ({})", self.causes),
            None => f.write_str(&self.causes),
        }
    }
}

// === impl Way ===

impl Way<'_> {
    /// What is likely to help. The libraries' texts are all that is left of an error once
    /// it has passed HTTP/2; the tests with real connections hold their wording.
    fn mend(&self, causes: &str) -> Option<String> {
        let is_late = causes.contains(" within ");
        match self.scheme {
            _ if is_late => None,
            // Before there is a connection the cause says all: no listener, no such host.
            "http" if self.is_connected => Some(format!(
                "it does not speak gRPC without TLS; if it speaks TLS, use https://{}",
                self.authority
            )),
            "https" => self.mend_of_certificate(causes).or_else(|| {
                self.mend_of_protocol(causes)
                    .or_else(|| self.mend_of_loss(causes))
            }),
            _ => None,
        }
    }

    /// Of the gateway's certificate, which is judged here, or of ours, by the alert that
    /// came (RFC 8446, section 6.2).
    fn mend_of_certificate(&self, causes: &str) -> Option<String> {
        // The latter where another authority of the same name is trusted.
        let unknown = ["UnknownIssuer", "invalid peer certificate: BadSignature"];
        if unknown.into_iter().any(|text| causes.contains(text)) {
            return Some(match self.ca_file {
                None => "name its authority by --ca-file".to_owned(),
                Some(file) => format!(
                    "its authority is not in {}; name its authority by --ca-file",
                    file.display()
                ),
            });
        }
        if causes.contains("not valid for name") {
            let text = "its certificate has another name; give that one by --server-name";
            return Some(text.to_owned());
        }
        if causes.contains("invalid peer certificate: certificate expired") {
            return Some("its certificate has expired; renew it there".to_owned());
        }
        let (_, alert) = causes.split_once("received fatal alert: ")?;
        let alert = alert.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
        if alert == "CertificateRequired" {
            let text = "it wants a client certificate; show one by --certificate-file and \
                        --key-file";
            return Some(text.to_owned());
        }
        let why = match alert {
            "CertificateExpired" => "it has expired",
            "UnknownCA" => "its authority is not trusted there",
            "CertificateRevoked" => "it has been revoked",
            // What BadSignature is on the other side.
            "DecryptError" => "its signature is not one of an authority that is trusted there",
            "UnsupportedCertificate" => "its kind is not supported there",
            "BadCertificate" | "CertificateUnknown" | "AccessDenied" => "it is not accepted there",
            _ => return None,
        };
        let file = self.certificate_file?.display();
        Some(format!(
            "it refuses your client certificate ({file}): {why}"
        ))
    }

    fn mend_of_protocol(&self, causes: &str) -> Option<String> {
        let http = format!("use http://{}", self.authority);
        if causes.contains("InvalidContentType") {
            return Some(format!("it does not speak TLS; {http}"));
        }
        if causes.contains("handshake eof") {
            return Some(format!("if it does not speak TLS, {http}"));
        }
        let lacks_http2 = ["NoApplicationProtocol", "HTTP/2 was not negotiated"];
        lacks_http2
            .into_iter()
            .any(|text| causes.contains(text))
            .then(|| "it does not speak HTTP/2, so it is no gRPC server".to_owned())
    }

    /// A peer that has closed on our certificate resets the connection when more of ours
    /// arrives, and the reset can overtake its alert.
    fn mend_of_loss(&self, causes: &str) -> Option<String> {
        let is_lost = ["roken pipe", "onnection reset", "unexpected eof", "closed"]
            .into_iter()
            .any(|text| causes.contains(text));
        let file = self.certificate_file.filter(|_| is_lost)?.display();
        let why = if self.has_expired {
            ": it has expired"
        } else {
            ""
        };
        Some(format!(
            "it closes the connection; it may refuse your client certificate ({file}){why}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Way<'static> = Way {
        scheme: "http",
        authority: "gate:1",
        ca_file: None,
        certificate_file: None,
        has_expired: false,
        is_connected: true,
    };
    const TLS: Way<'static> = Way {
        scheme: "https",
        ..PLAIN
    };

    /// As it comes out of HTTP/2.
    fn alert(name: &str) -> String {
        format!("connection error: received fatal alert: {name}: more")
    }

    #[track_caller]
    fn assert_mend(way: Way<'_>, causes: &str, mend: &str) {
        let found = way.mend(causes).unwrap_or_default();
        assert_eq!(found, mend, "{way:?} {causes}");
    }

    #[test]
    fn another_protocol_is_named() {
        let refused = Way {
            is_connected: false,
            ..PLAIN
        };
        let socket = Way {
            scheme: "unix",
            ..PLAIN
        };
        let use_https = "it does not speak gRPC without TLS; if it speaks TLS, use https://gate:1";
        for (way, causes, mend) in [
            (PLAIN, "broken pipe", use_https),
            (PLAIN, "frame with invalid size", use_https),
            (PLAIN, "no answer within 1s", ""),
            (refused, "tcp connect error: Connection refused", ""),
            (socket, "broken pipe", ""),
            (TLS, "tcp connect error: Connection refused", ""),
            (TLS, "no connection within 1s", ""),
            (
                TLS,
                "received corrupt message of type InvalidContentType",
                "it does not speak TLS; use http://gate:1",
            ),
            (
                TLS,
                "tls handshake eof",
                "if it does not speak TLS, use http://gate:1",
            ),
            (
                TLS,
                &alert("NoApplicationProtocol"),
                "it does not speak HTTP/2, so it is no gRPC server",
            ),
        ] {
            assert_mend(way, causes, mend);
        }
    }

    #[test]
    fn a_certificate_that_one_side_refuses_is_named() {
        let with_files = Way {
            ca_file: Some(Path::new("ca.pem")),
            certificate_file: Some(Path::new("me.pem")),
            ..TLS
        };
        let with_old_certificate = Way {
            has_expired: true,
            ..with_files
        };
        for (way, causes, mend) in [
            (
                TLS,
                "invalid peer certificate: UnknownIssuer",
                "name its authority by --ca-file",
            ),
            (
                with_files,
                "invalid peer certificate: UnknownIssuer",
                "its authority is not in ca.pem; name its authority by --ca-file",
            ),
            (
                TLS,
                "invalid peer certificate: certificate not valid for name \"gate\"",
                "its certificate has another name; give that one by --server-name",
            ),
            (
                TLS,
                "invalid peer certificate: certificate expired: verification time 1",
                "its certificate has expired; renew it there",
            ),
            (
                with_files,
                &alert("CertificateExpired"),
                "it refuses your client certificate (me.pem): it has expired",
            ),
            (
                with_files,
                &alert("UnknownCA"),
                "it refuses your client certificate (me.pem): its authority is not trusted there",
            ),
            (
                with_files,
                "invalid peer certificate: BadSignature",
                "its authority is not in ca.pem; name its authority by --ca-file",
            ),
            (
                with_files,
                &alert("DecryptError"),
                "it refuses your client certificate (me.pem): its signature is not one of an authority that is trusted there",
            ),
            (
                with_files,
                &alert("BadCertificate"),
                "it refuses your client certificate (me.pem): it is not accepted there",
            ),
            // Without a certificate there is none to blame.
            (TLS, &alert("UnknownCA"), ""),
            (
                TLS,
                &alert("CertificateRequired"),
                "it wants a client certificate; show one by --certificate-file and --key-file",
            ),
            (with_files, &alert("InternalError"), ""),
            (
                with_files,
                "stream closed because of a broken pipe",
                "it closes the connection; it may refuse your client certificate (me.pem)",
            ),
            (
                with_old_certificate,
                "operation was canceled: connection closed",
                "it closes the connection; it may refuse your client certificate (me.pem): it has expired",
            ),
            (TLS, "stream closed because of a broken pipe", ""),
        ] {
            assert_mend(way, causes, mend);
        }
    }

    #[test]
    fn the_cause_is_always_told() {
        for (causes, text, has_mend) in [
            ("no such host", "at X: no such host", false),
            (
                "UnknownIssuer",
                "at X: name its authority by --ca-file (UnknownIssuer)",
                true,
            ),
        ] {
            let error = Unreachable::new(&"X", &TLS, causes.to_owned());
            assert!(error.to_string().ends_with(text), "{error}");
            assert_eq!(error.has_mend(), has_mend);
        }
    }
}
