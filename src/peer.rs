//! The other end of a connection: its address, its certificate, and what its tokens say
//! without proof.

mod certificate;

use std::{fmt, net::SocketAddr};

pub use certificate::{ClientCertificate, Unreadable};

use crate::authorization::LastClaims;

/// Who has opened a connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it comes from.
    pub address: PeerAddress,
    /// What it has shown in the TLS handshake, which has verified it. None without TLS,
    /// and where the peer has shown none.
    pub certificate: Option<ClientCertificate>,
    /// What one of its last tokens said, unverified: so that it is not decoded again.
    pub last_claims: LastClaims,
    /// The address as text, made once for a connection.
    text: String,
}

/// The socket's other end. Shown as `IP:PORT` or as `unix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A process on this machine that reaches the unix socket. Such a peer has no name of
    /// its own.
    Unix,
}

// === impl Peer ===

impl Peer {
    /// A peer that has shown no certificate.
    pub fn new(address: PeerAddress) -> Self {
        Self {
            address,
            certificate: None,
            last_claims: LastClaims::default(),
            text: address.to_string(),
        }
    }

    /// The address as it is shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is on this machine: a loopback address or the unix socket.
    pub fn is_local(&self) -> bool {
        match self.address {
            PeerAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            PeerAddress::Unix => true,
        }
    }
}

// === impl PeerAddress ===

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for (address, is_local) in [
            ("127.0.0.1:1", true),
            ("127.8.7.6:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("10.0.0.1:1", false),
            ("0.0.0.0:1", false),
            ("[::ffff:10.0.0.1]:1", false),
            ("[fe80::1]:1", false),
        ] {
            let peer = PeerAddress::Tcp(address.parse().unwrap());
            assert_eq!(Peer::new(peer).is_local(), is_local, "{address}");
            assert_eq!(peer.to_string(), address);
        }
        assert!(Peer::new(PeerAddress::Unix).is_local());
        assert_eq!(PeerAddress::Unix.to_string(), "unix");
    }
}
