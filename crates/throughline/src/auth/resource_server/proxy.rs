//! Identities that a proxy vouches for.

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use throughline_proto::auth::ScopeSet;

use super::BadAuthorization;
use crate::server::PeerAddress;
use crate::{Authorized, Principal};

/// A proxy in front of the server that logs people in by itself, and names who sends a request in a header.
///
/// The header is believed on connections from the addresses of the proxy alone, as [`PeerAddress`] says it: [`serve`](crate::serve())
/// puts that into each request, other servers have to. On other connections it is taken out of the request and means nothing.
/// The proxy must set the header on every request, and never let one through that a client sent.
///
/// ```
/// use throughline::auth::{Authorization, TrustedProxy};
///
/// # fn main() -> Result<(), throughline::auth::BadAuthorization> {
/// let proxy = TrustedProxy::new("X-Forwarded-User").at("10.0.0.0/24").at("fd00::7").scopes_from("X-Forwarded-Scopes");
/// let lock = Authorization::builder("https://mcp.example.com/mcp").trusted_proxy(proxy).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxy {
    user: String,
    client: Option<String>,
    scope_header: Option<String>,
    scopes: ScopeSet,
    networks: Vec<String>,
    issuer: String,
}

impl TrustedProxy {
    /// A proxy that names who sends a request in this header.
    pub fn new(user_header: impl Into<String>) -> Self {
        Self {
            user: user_header.into(),
            client: None,
            scope_header: None,
            scopes: ScopeSet::new(),
            networks: Vec::new(),
            issuer: "proxy".into(),
        }
    }

    /// Connections from this address (`10.0.0.7`), or from this network (`10.0.0.0/24`), come from the proxy. Can be called
    /// several times; without it nobody is believed.
    #[must_use]
    pub fn at(mut self, network: impl Into<String>) -> Self {
        self.networks.push(network.into());
        self
    }

    /// The proxy says in this header which scopes were granted, with spaces or commas between them.
    #[must_use]
    pub fn scopes_from(mut self, header: impl Into<String>) -> Self {
        self.scope_header = Some(header.into());
        self
    }

    /// Whoever the proxy lets through has these scopes, besides those that a header names.
    #[must_use]
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = scopes;
        self
    }

    /// The proxy names the client program in this header.
    #[must_use]
    pub fn client_from(mut self, header: impl Into<String>) -> Self {
        self.client = Some(header.into());
        self
    }

    /// The issuer of the [principals](crate::Principal::issuer). Default: `proxy`.
    #[must_use]
    pub fn issuer(mut self, name: impl Into<String>) -> Self {
        self.issuer = name.into();
        self
    }

    /// The same, checked.
    pub(super) fn checked(self) -> Result<Proxy, BadAuthorization> {
        let header = |name: &str| {
            HeaderName::try_from(name).map_err(|_| {
                BadAuthorization::new(format!(
                    "`{name}` is no name of a header for a trusted proxy; use one like `X-Forwarded-User`"
                ))
            })
        };
        let networks = self.networks.iter().map(|text| {
            Network::parse(text).ok_or_else(|| {
                BadAuthorization::new(format!(
                    "`{text}` is no address of a trusted proxy; write it like `10.0.0.7` or `10.0.0.0/24`"
                ))
            })
        });
        let networks = networks.collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            return Err(BadAuthorization::new(
                "the trusted proxy has no address, so nobody would be believed; name one with `at`".into(),
            ));
        }
        Ok(Proxy {
            user: header(&self.user)?,
            client: self.client.as_deref().map(header).transpose()?,
            scope_header: self.scope_header.as_deref().map(header).transpose()?,
            scopes: self.scopes,
            networks,
            issuer: self.issuer.into(),
        })
    }
}

/// A [`TrustedProxy`] that was checked.
#[derive(Debug)]
pub(super) struct Proxy {
    user: HeaderName,
    client: Option<HeaderName>,
    scope_header: Option<HeaderName>,
    scopes: ScopeSet,
    networks: Vec<Network>,
    issuer: std::sync::Arc<str>,
}

/// What a proxy says of a request.
#[derive(Debug)]
pub(super) enum Word {
    /// Nothing, or nobody who may.
    None,
    /// Who sends it.
    Of(Authorized),
    /// Something that cannot be understood: which header.
    Unreadable(HeaderName),
}

impl Proxy {
    /// Takes its headers out of a request.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        for name in [Some(&self.user), self.client.as_ref(), self.scope_header.as_ref()].into_iter().flatten()
        {
            headers.remove(name);
        }
    }

    /// What its headers say, if they came from it.
    pub(super) fn read(&self, parts: &Parts) -> Word {
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip().to_canonical());
        let trusted = peer.is_some_and(|peer| self.networks.iter().any(|network| network.contains(peer)));
        let mut unreadable = None;
        let mut taken = |name: Option<&HeaderName>| {
            let name = name?;
            let value = only(&parts.headers, name);
            value.unwrap_or_else(|Unreadable| {
                unreadable = Some(name.clone());
                None
            })
        };
        let user = taken(Some(&self.user));
        let client = taken(self.client.as_ref());
        let scopes = taken(self.scope_header.as_ref());
        if !trusted {
            if user.is_some() || unreadable.is_some() {
                tracing::debug!(
                    header = self.user.as_str(),
                    ?peer,
                    "a header that only a proxy may send was left aside"
                );
            }
            return Word::None;
        }
        if let Some(header) = unreadable {
            return Word::Unreadable(header);
        }
        let Some(user) = user else { return Word::None };
        let mut principal = Principal::new(std::sync::Arc::clone(&self.issuer), user);
        principal.client = client.map(Into::into);
        let granted = ScopeSet::parse_lossy(&scopes.unwrap_or_default().replace(',', " "));
        Word::Of(Authorized::new(principal).with_scopes(self.scopes.union(&granted)))
    }
}

/// A header that is there more than once, too long, or no text.
struct Unreadable;

/// What a header says. One without a value is none.
fn only(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Unreadable> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.len() > MAX_VALUE {
        return Err(Unreadable);
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| Unreadable)?.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Addresses that begin alike.
#[derive(Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// How many bits are the same.
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
            None => (text.trim(), None),
        };
        let address = address.parse::<IpAddr>().ok()?;
        let width = width(address);
        let prefix = prefix.unwrap_or(width);
        // Of a network the rest is zero: what is written otherwise was meant otherwise.
        let rest = if prefix == 0 { u128::MAX } else { (1_u128 << (128 - prefix.min(128))) - 1 };
        let shifted = bits(address) << (128 - width);
        (prefix <= width && (prefix == width || shifted & rest == 0)).then_some(Self { address, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let width = width(self.address);
        width == self::width(address)
            && (self.prefix == 0
                || bits(self.address) >> (width - self.prefix) == bits(address) >> (width - self.prefix))
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// A name of a person, or the scopes of one: the same as a token may be long.
const MAX_VALUE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn proxy() -> Proxy {
        TrustedProxy::new("X-User")
            .at("10.0.0.0/24")
            .at("::1")
            .scopes_from("X-Scopes")
            .client_from("X-App")
            .scopes(ScopeSet::parse("base").unwrap())
            .checked()
            .unwrap()
    }

    fn request(peer: Option<&str>, headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddress(peer.parse::<SocketAddr>().unwrap()));
        }
        request.into_parts().0
    }

    fn taken(proxy: &Proxy, parts: &mut Parts) -> Word {
        let word = proxy.read(parts);
        proxy.strip(&mut parts.headers);
        word
    }

    #[test]
    fn the_proxy_is_believed() {
        for peer in ["10.0.0.7:1", "[::1]:2", "[::ffff:10.0.0.200]:3"] {
            let mut parts = request(
                Some(peer),
                &[("x-user", "ann"), ("x-scopes", "read,write base"), ("x-app", "editor"), ("accept", "*/*")],
            );
            let Word::Of(authorized) = taken(&proxy(), &mut parts) else { panic!("{peer} is the proxy") };
            assert_eq!(
                *authorized.principal(),
                Principal { client: Some("editor".into()), ..Principal::new("proxy", "ann") }
            );
            assert_eq!(authorized.scopes().to_string(), "base read write");
            assert_eq!(parts.headers.len(), 1, "its headers are gone");
        }
    }

    #[test]
    fn nobody_else_is_and_the_headers_are_gone() {
        for peer in [None, Some("10.0.1.7:1"), Some("[::2]:2"), Some("[::ffff:11.0.0.7]:3")] {
            let mut parts = request(peer, &[("x-user", "ann"), ("x-user", "bob"), ("x-scopes", "admin")]);
            assert!(matches!(taken(&proxy(), &mut parts), Word::None), "{peer:?}");
            assert!(parts.headers.is_empty());
        }
    }

    #[test]
    fn a_proxy_may_name_nobody_and_must_not_name_two() {
        let mut parts = request(Some("10.0.0.7:1"), &[("x-user", " "), ("x-scopes", "admin")]);
        assert!(matches!(taken(&proxy(), &mut parts), Word::None));
        let mut parts = request(Some("10.0.0.7:1"), &[("x-user", "ann"), ("x-user", "bob")]);
        assert!(matches!(taken(&proxy(), &mut parts), Word::Unreadable(header) if header == "x-user"));
        let mut parts =
            request(Some("10.0.0.7:1"), &[("x-user", "ann"), ("x-scopes", "a"), ("x-scopes", "b")]);
        assert!(matches!(taken(&proxy(), &mut parts), Word::Unreadable(header) if header == "x-scopes"));
    }

    #[test]
    fn networks() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.168.7.4", "192.168.7.4", "192.168.7.5"),
            ("192.168.7.4/31", "192.168.7.5", "192.168.7.6"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::1", "8.8.8.8"),
            ("fd00::/8", "fdff::1", "fe00::1"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?}");
        }
        for bad in
            ["", "10.0.0", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "example.com", "fd00::1/64"]
        {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let without = TrustedProxy::new("X-User").checked().unwrap_err();
        assert!(without.to_string().contains("no address"));
        let named = TrustedProxy::new("X-User").at("proxy.internal").checked().unwrap_err();
        assert!(named.to_string().contains("proxy.internal"));
        let header = TrustedProxy::new("X User").at("::1").checked().unwrap_err();
        assert!(header.to_string().contains("X User"));
    }
}
