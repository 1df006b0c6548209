//! The base URL of a service that is sent tokens or secrets.

use std::fmt;

use url::{Host, Url};

/// A base URL that is safe to send tokens to: https, or plain http that stays on this machine.
///
/// Parsed by the same crate as the HTTP client's URLs, so that both see the same host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The expected form, in words.
    pub const EXPECTED: &str = "an https URL without user, query and fragment; \
        http only on 127.0.0.0/8, ::1 and localhost";

    /// The URL, or `None` when the text does not have the [expected form](Self::EXPECTED).
    pub fn parse(text: &str) -> Option<Self> {
        // The URL standard strips white space and repairs `https:host`, `https:\\host`
        // and `https:///host`; here they are typing errors.
        let authority = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))?;
        let is_repaired = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if authority.starts_with('/') || text.contains(is_repaired) || text.contains('@') {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let is_base = url.query().is_none() && url.fragment().is_none();
        let is_loopback = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        (is_base && (url.scheme() == "https" || is_loopback)).then_some(Self(url))
    }

    /// The URL without a trailing slash, ready for a path to be appended.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL as it was given.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether requests leave without TLS.
    pub fn is_plaintext(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Scheme, host and port, as `https://graph.microsoft.com`.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The host; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_is_removed() {
        for text in [
            "https://graph.microsoft.com/beta",
            "https://graph.microsoft.com/beta/",
        ] {
            assert_eq!(
                BaseUrl::parse(text).unwrap().as_str(),
                "https://graph.microsoft.com/beta"
            );
        }
        assert_eq!(
            BaseUrl::parse("https://graph.microsoft.com")
                .unwrap()
                .as_str(),
            "https://graph.microsoft.com"
        );
    }

    #[test]
    fn plain_http_stays_on_loopback() {
        for host in [
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "localhost",
            "LOCALHOST:1",
        ] {
            let url = BaseUrl::parse(&format!("http://{host}/beta")).expect(host);
            assert!(url.is_plaintext(), "{host}");
        }
        for host in [
            "10.0.0.1",
            "example.com",
            "localhost.example.com",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "128.0.0.1",
        ] {
            assert_eq!(
                BaseUrl::parse(&format!("http://{host}/beta")),
                None,
                "{host}"
            );
            assert!(
                BaseUrl::parse(&format!("https://{host}/beta")).is_some(),
                "{host}"
            );
        }
    }

    #[test]
    fn anything_but_a_base_url_is_refused() {
        for text in [
            "",
            "https://",
            "https:///beta",
            "graph.microsoft.com",
            "ftp://graph.microsoft.com",
            "https:graph.microsoft.com",
            "https:\\\\graph.microsoft.com",
            " https://graph.microsoft.com",
            "https://graph.microsoft.com/beta\n",
            "https://user@graph.microsoft.com",
            "https://user:word@graph.microsoft.com",
            "https://@graph.microsoft.com",
            "https://graph.microsoft.com?",
            "https://graph.microsoft.com/?a=b",
            "https://graph.microsoft.com/#a",
            "https://graph.microsoft.com:99999",
            "unix:///run/graph",
        ] {
            assert_eq!(BaseUrl::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_origin_is_without_the_path() {
        for (text, origin) in [
            (
                "https://graph.microsoft.us/beta",
                "https://graph.microsoft.us",
            ),
            ("http://127.0.0.1:8080/beta/", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().origin(), origin);
        }
    }

    #[test]
    fn the_host_is_without_the_port() {
        assert_eq!(
            BaseUrl::parse("http://[::1]:80/beta").unwrap().host(),
            "[::1]"
        );
        assert_eq!(
            BaseUrl::parse("https://Graph.Microsoft.com:444")
                .unwrap()
                .host(),
            "graph.microsoft.com"
        );
    }
}
