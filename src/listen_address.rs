//! Where the gateway listens.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// The most bytes of a socket's path: `sun_path` of Linux has 108, macOS 104, a closing
/// zero included.
const MAX_PATH_BYTES: usize = 103;

/// An IP address with a port, or the path of a unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port; port 0 lets the operating system choose.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// The expected form, in words.
    pub const EXPECTED: &str = "an IP address and a port, such as `127.0.0.1:50051` or \
        `[::]:50051`, or `unix:` and an absolute path of at most 103 bytes";

    /// The address, or nothing if the text has not the [expected form](Self::EXPECTED).
    pub fn parse(text: &str) -> Option<Self> {
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().ok().map(Self::Tcp);
        };
        let is_path = path.starts_with('/') && path.len() <= MAX_PATH_BYTES && !path.contains('\0');
        is_path.then(|| Self::Unix(PathBuf::from(path)))
    }

    /// Whether only this machine can reach it: a loopback address or a unix socket.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_knows_what_is_local() {
        for (text, is_local) in [
            ("127.0.0.1:50051", true),
            ("127.9.9.9:0", true),
            ("[::1]:1", true),
            ("0.0.0.0:50051", false),
            ("[::]:50051", false),
            ("10.0.0.1:1", false),
            ("unix:/run/incidentgate.sock", true),
        ] {
            let address = ListenAddress::parse(text).expect(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(address.is_local(), is_local, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("unix:/{}", "x".repeat(MAX_PATH_BYTES));
        for text in [
            "",
            "localhost:1",
            "127.0.0.1",
            "unix:",
            "unix:run/x",
            "unix:@x",
            &long,
        ] {
            assert_eq!(ListenAddress::parse(text), None, "{text}");
        }
    }
}
