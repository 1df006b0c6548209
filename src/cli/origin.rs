//! What `--endpoint` takes.

use std::fmt;

use http::Uri;
use tonic::transport::{Endpoint, Error};

const EXPECTED: &str = "expected `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`";

/// Where a gateway listens.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// With or without TLS, by the scheme; there is nothing behind the authority.
    Http(Uri),
    /// `unix:` and an absolute path.
    Unix(String),
}

// === impl Origin ===

impl Origin {
    /// Takes a scheme, a host and perhaps a port, or an absolute path of a socket. What a
    /// call would silently leave out, such as a path or a port above 65535, is refused.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            // gRPC's naming has both `unix:/path` and `unix:///path`.
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.strip_prefix('/') {
                Some(rest) if !rest.is_empty() => Ok(Self::Unix(format!("unix:{path}"))),
                _ => Err(EXPECTED.to_owned()),
            };
        }
        let is_origin = |uri: &Uri| {
            let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
            let is_host = uri.authority().is_some_and(|authority| {
                let host = authority.host();
                let has_port = authority.as_str() != host;
                !host.is_empty()
                    && !authority.as_str().contains('@')
                    && authority.port_u16().is_some() == has_port
            });
            is_http && is_host && uri.path() == "/" && uri.query().is_none()
        };
        text.parse()
            .ok()
            .filter(is_origin)
            .map(Self::Http)
            .ok_or_else(|| EXPECTED.to_owned())
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint, Error> {
        match self {
            Self::Http(uri) => Ok(Endpoint::from(uri.clone())),
            Self::Unix(path) => Endpoint::from_shared(path.clone()),
        }
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// `http`, `https` or `unix`.
    pub(super) fn scheme(&self) -> &str {
        match self {
            Self::Http(uri) => uri.scheme_str().unwrap_or_default(),
            Self::Unix(_) => "unix",
        }
    }

    /// The host and perhaps the port; empty for a socket.
    pub(super) fn authority(&self) -> &str {
        match self {
            Self::Http(uri) => uri.authority().map_or("", http::uri::Authority::as_str),
            Self::Unix(_) => "",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(_) => write!(f, "{}://{}", self.scheme(), self.authority()),
            Self::Unix(path) => f.write_str(path),
        }
    }
}
