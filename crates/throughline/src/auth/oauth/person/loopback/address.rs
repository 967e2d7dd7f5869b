//! Redirect addresses on this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// The name of this machine in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    V4,
    V6,
    /// A browser may take it for either.
    Localhost,
}

impl Host {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.1",
            Self::V6 => "[::1]",
            Self::Localhost => "localhost",
        }
    }

    /// What to bind.
    pub(super) fn addresses(self) -> &'static [IpAddr] {
        const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
        const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
        match self {
            Self::V4 => &[V4],
            Self::V6 => &[V6],
            Self::Localhost => &[V4, V6],
        }
    }
}

/// A redirect address, whose port may be left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loopback {
    pub(super) host: Host,
    /// 0: any.
    pub(super) port: u16,
    /// As it was written, since authorization servers compare redirect addresses byte for byte: none is no `/`.
    path: String,
}

impl Loopback {
    /// Where a login is received unless anybody says otherwise. The specification's own example has this path, and a
    /// literal address cannot be turned elsewhere by a resolver
    /// ([RFC 8252](https://www.rfc-editor.org/rfc/rfc8252#section-8.3)).
    pub(super) fn any() -> Self {
        Self { host: Host::V4, port: 0, path: "/callback".into() }
    }

    /// `None`: it is no address on this machine, or one that a redirect address must not be.
    pub(super) fn parse(address: &str) -> Option<Self> {
        // `Uri` drops a fragment without a word.
        let uri = address.parse::<Uri>().ok().filter(|_| !address.contains('#'))?;
        let authority = uri.authority()?;
        let host = match authority.host() {
            "127.0.0.1" => Host::V4,
            "[::1]" => Host::V6,
            "localhost" => Host::Localhost,
            _ => return None,
        };
        let port = match authority.as_str().strip_prefix(host.as_str())? {
            "" => 0,
            port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
        };
        let path = address.strip_prefix("http://")?.strip_prefix(authority.as_str())?;
        uri.query().is_none().then(|| Self { host, port, path: path.to_owned() })
    }

    /// The path as a request has it.
    pub(super) fn path(&self) -> &str {
        if self.path.is_empty() { "/" } else { &self.path }
    }

    /// The host and port as a request has them.
    pub(super) fn authority(&self) -> String {
        match self.port {
            // The port of the scheme is left out.
            80 => self.host.as_str().to_owned(),
            port => format!("{}:{port}", self.host.as_str()),
        }
    }

    /// Whether it is the same but for the port.
    pub(super) fn is_near(&self, other: &Self) -> bool {
        self.host == other.host && self.path == other.path
    }
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, path) = (self.host.as_str(), &self.path);
        match self.port {
            0 => write!(f, "http://{host}{path}"),
            port => write!(f, "http://{host}:{port}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_taken() {
        for good in [
            "http://127.0.0.1",
            "http://127.0.0.1/",
            "http://localhost:3000/callback",
            "http://[::1]:8765/a/b",
        ] {
            assert_eq!(Loopback::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "https://127.0.0.1/callback",
            "HTTP://127.0.0.1/callback",
            "http://127.0.0.2/callback",
            "http://localhost.evil.example/callback",
            "http://user@localhost:3000/callback",
            "http://localhost:0/callback",
            "http://localhost:/callback",
            "http://localhost:99999/callback",
            "http://localhost:3000/callback?a=b",
            "http://localhost:3000/callback#a",
            "/callback",
            "com.example.app:/callback",
        ] {
            assert_eq!(Loopback::parse(bad), None, "{bad}");
        }
    }
}
