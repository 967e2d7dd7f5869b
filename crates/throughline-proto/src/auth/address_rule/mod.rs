use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ::http::Uri;

mod class;

pub use class::IpClass;

/// Which addresses discovery may reach. A server names the address of its metadata, that document names an authorization
/// server, and that names endpoints: each of them could be somebody else's, inside the network that this client is in.
///
/// So it is `https` to public addresses only. What the MCP server itself is on is allowed, too: a server on loopback may
/// have an authorization server there, by `http` even, and one in a private network may have it in a private network.
///
/// The rule is asked twice: with the address ([`check_uri`](AddressRule::check_uri)) before a name is looked up, and with
/// each address that the name has ([`check_resolved`](AddressRule::check_resolved)) before a connection is made to
/// it. A name that resolves to something else the second time is so of no use to anyone.
///
/// ```
/// use http::Uri;
/// use throughline_proto::auth::{AddressRule, IpClass};
///
/// let rule = AddressRule::for_server(&Uri::from_static("https://mcp.example.com/mcp"), &["93.184.215.14".parse()?]);
/// let address = Uri::from_static("https://login.example.com/token");
/// rule.check_uri(&address)?;
/// rule.check_resolved(&address, "93.184.215.14".parse()?)?;
/// let refused = rule.check_resolved(&address, "169.254.169.254".parse()?).unwrap_err();
/// assert_eq!(refused.class(), Some(IpClass::LinkLocal));
/// assert!(rule.check_uri(&Uri::from_static("http://login.example.com/token")).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#communication-security>,
/// and [RFC 9728, 7.7](https://www.rfc-editor.org/rfc/rfc9728#section-7.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// One bit for each class that is allowed beside the public one.
    allowed: u16,
}

impl AddressRule {
    /// `https` to public addresses only.
    #[must_use]
    pub const fn public() -> AddressRule {
        AddressRule { allowed: 0 }
    }

    /// The rule for what a server at `endpoint` names. `resolved` are the addresses that its host has, if they are known: a
    /// host that is an address itself, and `localhost`, say theirs without.
    ///
    /// A name with addresses of several classes opens only public ones: it could be a stranger's name that also points
    /// into this network.
    #[must_use]
    pub fn for_server(endpoint: &Uri, resolved: &[IpAddr]) -> AddressRule {
        let rule = AddressRule::public();
        match Host::of(endpoint) {
            Some(Host::Ip(ip)) => rule.allow(IpClass::of(ip)),
            Some(Host::Localhost) => rule.allow(IpClass::Loopback),
            Some(Host::Name) => {
                let mut classes = resolved.iter().map(|ip| IpClass::of(*ip));
                match classes.next() {
                    Some(class) if classes.all(|other| other == class) => rule.allow(class),
                    _ => rule,
                }
            }
            None => rule,
        }
    }

    /// Allows one more class: for a network in which the authorization server of a public server is not public.
    /// Loopback comes with plain `http`. [`Unspecified`](IpClass::Unspecified), [`Multicast`](IpClass::Multicast) and
    /// [`Reserved`](IpClass::Reserved) are never allowed: no server is there.
    #[must_use]
    pub const fn allow(mut self, class: IpClass) -> AddressRule {
        match class {
            // The first is allowed anyway.
            IpClass::Public | IpClass::Unspecified | IpClass::Multicast | IpClass::Reserved => self,
            class => {
                self.allowed |= 1 << class as u16;
                self
            }
        }
    }

    /// Is this class allowed?
    #[must_use]
    pub const fn allows(&self, class: IpClass) -> bool {
        matches!(class, IpClass::Public) || self.allowed & (1 << class as u16) != 0
    }

    /// May this address be asked, as far as can be told before its name is looked up?
    ///
    /// # Errors
    ///
    /// When it has another scheme than `https`, a user name, no host, or a host that is an address which may not be
    /// reached, or something that resolvers take for one.
    pub fn check_uri(&self, uri: &Uri) -> Result<(), AddressRefused> {
        let refuse = |why| Err(AddressRefused(why));
        let plain = match uri.scheme_str() {
            Some("https") => false,
            Some("http") => true,
            _ => return refuse(Why::Scheme),
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return refuse(Why::Authority);
        }
        let (Some(host), Some(_)) = (Host::of(uri), super::resource::origin(uri)) else {
            return refuse(Why::Authority);
        };
        let class = match host {
            Host::Ip(ip) => Some(IpClass::of(ip)),
            Host::Localhost => Some(IpClass::Loopback),
            Host::Name => None,
        };
        if let Some(class) = class
            && !self.allows(class)
        {
            return refuse(Why::Class(class));
        }
        if plain && class != Some(IpClass::Loopback) {
            return refuse(Why::Scheme);
        }
        Ok(())
    }

    /// May a connection be made for this address to `ip`, which its name resolved to?
    ///
    /// # Errors
    ///
    /// When [`check_uri`](AddressRule::check_uri) refuses the address, or the class of `ip` is not allowed, or it is not
    /// loopback and the scheme is `http`.
    pub fn check_resolved(&self, uri: &Uri, ip: IpAddr) -> Result<(), AddressRefused> {
        self.check_uri(uri)?;
        let class = IpClass::of(ip);
        if !self.allows(class) || (uri.scheme_str() == Some("http") && class != IpClass::Loopback) {
            return Err(AddressRefused(Why::Class(class)));
        }
        Ok(())
    }
}

enum Host {
    Ip(IpAddr),
    /// A name that never leaves the machine: <https://www.rfc-editor.org/rfc/rfc6761#section-6.3>.
    Localhost,
    Name,
}

impl Host {
    fn of(uri: &Uri) -> Option<Host> {
        let host = uri.host()?;
        if let Some(inner) = host.strip_prefix('[') {
            let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Ip(ip.into()));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        if let Ok(ip) = name.parse() {
            return Some(Host::Ip(IpAddr::V4(ip)));
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        // `127.1`, `0x7f.1` and `2130706433` are addresses to many resolvers, and names to none:
        // https://url.spec.whatwg.org/#ends-in-a-number-checker.
        let number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if number || !is_name {
            return None;
        }
        Some(if last.eq_ignore_ascii_case("localhost") { Host::Localhost } else { Host::Name })
    }
}

/// Why an address is not asked. Its text repeats nothing of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRefused(Why);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Scheme,
    Authority,
    Class(IpClass),
}

impl AddressRefused {
    /// What the address is, when that is the reason.
    #[must_use]
    pub fn class(&self) -> Option<IpClass> {
        match self.0 {
            Why::Class(class) => Some(class),
            _ => None,
        }
    }
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Why::Scheme => f.write_str(
                "an address that authorization needs is not https; ask who runs the server to use https",
            ),
            Why::Authority => f.write_str(
                "an address that authorization needs has no host that can be asked; ask who runs the server to \
                 correct it",
            ),
            Why::Class(class) => write!(
                f,
                "an address that authorization needs is {class}, which a server elsewhere may not send anyone to; \
                 allow that class of addresses if the server is trusted"
            ),
        }
    }
}

impl Error for AddressRefused {}

#[cfg(test)]
mod tests;
