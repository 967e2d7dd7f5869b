use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ::http::HeaderValue;
use ::http::header::{HOST, HeaderMap, ORIGIN};

use super::{Refusal, RefusalKind};

/// Which hosts a server answers to, and which origins may ask: the defence against DNS rebinding.
///
/// A web page that somebody opens can make their browser send requests to servers on their machine. Two
/// headers give it away, and a browser lets no page forge them: `Host` is the name by which the page reached
/// the server, `Origin` is where the page is from.
///
/// The default is [`loopback`](Access::loopback). Names are added to it; nothing is taken away.
///
/// ```
/// use http::HeaderMap;
/// use throughline_proto::http::Access;
///
/// let access = Access::loopback().allow_host("mcp.example.com")?.allow_origin("https://app.example.com")?;
/// let mut headers = HeaderMap::new();
/// headers.insert("host", "mcp.example.com".parse()?);
/// access.check(None, &headers)?;
/// headers.insert("origin", "https://app.example.com".parse()?);
/// access.check(None, &headers)?;
/// headers.insert("origin", "https://evil.example".parse()?);
/// assert_eq!(access.check(None, &headers).unwrap_err().status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning>.
#[derive(Clone, Debug, Default)]
pub struct Access {
    is_any_host: bool,
    hosts: Vec<HostRule>,
    origins: Vec<Origin<String>>,
}

/// A host or an origin that cannot be allowed, because no request could ever match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAccess {
    message: String,
}

impl Access {
    /// Answers to `localhost`, names under it, 127.0.0.0/8 and `[::1]`, on any port, and lets pages from
    /// there (by `http` or `https`) ask.
    pub fn loopback() -> Access {
        Access::default()
    }

    /// Answers to `host` too: `mcp.example.com` on any port, or `mcp.example.com:8443` on that one. An IPv6
    /// address stands in brackets.
    ///
    /// # Errors
    ///
    /// When it is not a host with an optional port: a scheme or a path, for example, does not belong here.
    pub fn allow_host(mut self, host: &str) -> Result<Access, InvalidAccess> {
        let Some(Authority { host, port }) = Authority::parse(host) else {
            return Err(InvalidAccess {
                message: format!(
                    "\"{host}\" is not a host. Give a name or an address, with a port or without."
                ),
            });
        };
        self.hosts.push(HostRule { host: host.to_ascii_lowercase(), port });
        Ok(self)
    }

    /// Answers to every host. For a server behind a proxy that checks it, or one that asks everybody for
    /// credentials.
    #[must_use]
    pub fn any_host(mut self) -> Access {
        self.is_any_host = true;
        self
    }

    /// Lets pages from `origin` ask, such as `https://app.example.com` or `http://192.168.0.7:8080`, and
    /// [tells](Access::cors_origin) their browser so.
    ///
    /// # Errors
    ///
    /// When it is not an origin: a scheme, `://`, a host and an optional port, with nothing after it. `null`
    /// is none: it stands for any page that hides where it is from.
    pub fn allow_origin(mut self, origin: &str) -> Result<Access, InvalidAccess> {
        let Some(Origin { scheme, host, port }) = Origin::parse(origin) else {
            return Err(InvalidAccess {
                message: format!(
                    "\"{origin}\" is not an origin. Give a scheme and a host, like https://app.example.com."
                ),
            });
        };
        self.origins.push(Origin {
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_ascii_lowercase(),
            port,
        });
        Ok(self)
    }

    /// Checks one request: `authority` is that of its URI, which HTTP/2 has in the place of `Host`. When
    /// there are both, both must pass. A request without `Origin` is not from a page, and passes.
    ///
    /// # Errors
    ///
    /// [`RefusalKind::BadHost`], also when there is neither authority nor `Host`; [`RefusalKind::BadOrigin`].
    pub fn check(&self, authority: Option<&str>, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.is_any_host {
            let mut is_named = false;
            for host in authority
                .map(str::as_bytes)
                .into_iter()
                .chain(headers.get_all(HOST).iter().map(HeaderValue::as_bytes))
            {
                is_named = true;
                if !std::str::from_utf8(host).is_ok_and(|host| self.answers_to(host)) {
                    return Err(Refusal::new(RefusalKind::BadHost));
                }
            }
            if !is_named {
                return Err(Refusal::new(RefusalKind::BadHost));
            }
        }
        if headers
            .get_all(ORIGIN)
            .iter()
            .all(|origin| origin.to_str().is_ok_and(|origin| self.lets_ask(origin)))
        {
            Ok(())
        } else {
            Err(Refusal::new(RefusalKind::BadOrigin))
        }
    }

    /// The value for `Access-Control-Allow-Origin`: the request's own origin when it was
    /// [named](Access::allow_origin). Pages on loopback may ask, but are not told so: any program on the
    /// machine can serve one.
    pub fn cors_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let mut values = headers.get_all(ORIGIN).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let origin = Origin::parse(value.to_str().ok()?)?;
        self.names(&origin).then(|| value.clone())
    }

    fn answers_to(&self, authority: &str) -> bool {
        let Some(Authority { host, port }) = Authority::parse(authority) else { return false };
        is_loopback(host)
            || self.hosts.iter().any(|rule| {
                rule.host.eq_ignore_ascii_case(host) && rule.port.is_none_or(|wanted| port == Some(wanted))
            })
    }

    fn lets_ask(&self, origin: &str) -> bool {
        let Some(origin) = Origin::parse(origin) else { return false };
        let is_web =
            origin.scheme.eq_ignore_ascii_case("http") || origin.scheme.eq_ignore_ascii_case("https");
        (is_web && is_loopback(origin.host)) || self.names(&origin)
    }

    fn names(&self, origin: &Origin<&str>) -> bool {
        self.origins.iter().any(|named| {
            named.scheme.eq_ignore_ascii_case(origin.scheme)
                && named.host.eq_ignore_ascii_case(origin.host)
                && named.port == origin.port
        })
    }
}

impl fmt::Display for InvalidAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidAccess {}

#[derive(Clone, Debug)]
struct HostRule {
    host: String,
    port: Option<u16>,
}

/// A host and what follows it.
struct Authority<'a> {
    /// Without the dot that a full name may end with; an IPv6 address in its brackets.
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Stricter than a URI: no user, no port that is empty, nothing in the host that is not in a name or an
    /// address.
    fn parse(text: &'a str) -> Option<Authority<'a>> {
        let (host, port) = if text.starts_with('[') {
            let end = text.find(']')? + 1;
            text[1..end - 1].parse::<Ipv6Addr>().ok()?;
            match &text[end..] {
                "" => (&text[..end], None),
                rest => (&text[..end], Some(rest.strip_prefix(':')?)),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        if host.is_empty() || !(is_name || host.starts_with('[')) {
            return None;
        }
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        Some(Authority { host, port })
    }
}

/// Where a page is from. The port that a scheme implies is left out.
#[derive(Clone, Debug)]
struct Origin<T> {
    scheme: T,
    host: T,
    port: Option<u16>,
}

impl<'a> Origin<&'a str> {
    fn parse(text: &'a str) -> Option<Origin<&'a str>> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(is_scheme) {
            return None;
        }
        let Authority { host, port } = Authority::parse(authority)?;
        let implied = match () {
            () if scheme.eq_ignore_ascii_case("http") => Some(80),
            () if scheme.eq_ignore_ascii_case("https") => Some(443),
            () => None,
        };
        Some(Origin { scheme, host, port: port.filter(|port| Some(*port) != implied) })
    }
}

/// A name that never leaves the machine (<https://www.rfc-editor.org/rfc/rfc6761#section-6.3>), or an address
/// that does not.
fn is_loopback(host: &str) -> bool {
    const NAME: &str = "localhost";
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.is_loopback();
    }
    // Compared as bytes, because the cut may fall anywhere in what a peer sent.
    let (before, last) = host.as_bytes().split_at(host.len().saturating_sub(NAME.len()));
    last.eq_ignore_ascii_case(NAME.as_bytes()) && (before.is_empty() || before.ends_with(b"."))
}

#[cfg(test)]
mod tests;
