//! Which proxy leads to a server, if any. No input but the settings: nothing here touches the network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::options::BadOption;

/// The address of a proxy that speaks HTTP.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyAddress {
    /// TLS to the proxy itself.
    pub(super) https: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    credentials: Option<HeaderValue>,
}

impl ProxyAddress {
    /// Reads `[http[s]://][user[:password]@]host[:port][/]`. `what` names the setting in the error, which repeats nothing of
    /// the address: there may be a password in it.
    pub(super) fn parse(what: &str, address: &str) -> Result<Self, BadOption> {
        let bad = |why: &str| BadOption::new(format!("{what} is no proxy that can be used: {why}"));
        let (scheme, rest) = address.trim().split_once("://").unwrap_or(("http", address.trim()));
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            "socks4" | "socks4a" | "socks5" | "socks5h" => {
                return Err(bad("SOCKS is not spoken here; give an HTTP proxy (http://host:port)"));
            }
            _ => return Err(bad("its scheme must be http or https (http://host:port)")),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let authority: http::uri::Authority =
            rest.parse().map_err(|_| bad("write it as http://host:port"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            None if authority.as_str().len() == authority.host().len() => {
                if https {
                    443
                } else {
                    80
                }
            }
            _ => return Err(bad("its port must be a number from 1 to 65535")),
        };
        if host.is_empty() {
            return Err(bad("it has no host; write it as http://host:port"));
        }
        let credentials = match user {
            Some(user) => Some(basic(user).ok_or_else(|| bad("its user name or password cannot be sent"))?),
            None => None,
        };
        Ok(Self { https, host, port, credentials })
    }

    /// `Basic ..`, if the address has a user name.
    pub(super) fn credentials(&self) -> Option<&HeaderValue> {
        self.credentials.as_ref()
    }

    /// Host and port, for errors.
    pub(super) fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the credentials.
        f.write_str(&self.name())
    }
}

/// The rules from a server to its proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    /// For `http` servers and for `https` servers. A bad one is an error for those that need it.
    http: Option<Result<ProxyAddress, BadOption>>,
    https: Option<Result<ProxyAddress, BadOption>>,
    except: Vec<Except>,
    /// Servers on this machine are reached directly.
    not_loopback: bool,
}

impl Proxies {
    /// One proxy for every server.
    pub(super) fn all(address: ProxyAddress) -> Self {
        Self { http: Some(Ok(address.clone())), https: Some(Ok(address)), ..Self::default() }
    }

    /// By the variables that curl established. The lower-case name of each goes first. `HTTP_PROXY` counts only outside of
    /// CGI, where a request could set it by its header `Proxy` (<https://httpoxy.org>). An empty variable is none.
    pub(super) fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names
                .iter()
                .find_map(|&name| Some((name, variable(name).filter(|value| !value.trim().is_empty())?)))
        };
        let parsed = |found: Option<(&'static str, String)>| {
            found.map(|(name, value)| ProxyAddress::parse(&format!("the variable {name}"), &value))
        };
        let all = || first(&["all_proxy", "ALL_PROXY"]);
        let http = if variable("REQUEST_METHOD").is_some() {
            first(&["http_proxy"])
        } else {
            first(&["http_proxy", "HTTP_PROXY"])
        };
        let except = first(&["no_proxy", "NO_PROXY"]).map(|(_, value)| value).unwrap_or_default();
        Self {
            http: parsed(http.or_else(all)),
            https: parsed(first(&["https_proxy", "HTTPS_PROXY"]).or_else(all)),
            except: except.split([',', ' ']).filter_map(|entry| Except::parse(entry.trim())).collect(),
            not_loopback: true,
        }
    }

    /// The proxy for a server; `host` without brackets.
    pub(super) fn of(&self, https: bool, host: &str, port: u16) -> Result<Option<&ProxyAddress>, BadOption> {
        let Some(proxy) = (if https { &self.https } else { &self.http }) else { return Ok(None) };
        if (self.not_loopback && is_loopback(host))
            || self.except.iter().any(|except| except.fits(host, port))
        {
            return Ok(None);
        }
        proxy.as_ref().map(Some).map_err(Clone::clone)
    }
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Except {
    All,
    /// This name and those under it.
    Domain(String, Option<u16>),
    /// Addresses whose first bits are these.
    Net(IpAddr, u32, Option<u16>),
}

impl Except {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let bits = bits.parse().ok().filter(|&bits| bits <= width(address))?;
            return Some(Self::Net(address, bits, None));
        }
        let (host, port) = match entry.rsplit_once(':') {
            // Colons without brackets are those of an IPv6 address.
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => {
                (host, Some(port.parse().ok()?))
            }
            _ => (entry, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = host.parse() {
            return Some(Self::Net(address, width(address), port));
        }
        // `*.example.com`, `.example.com` and `example.com` mean the same, as with curl.
        let host = host.strip_prefix('*').unwrap_or(host).trim_start_matches('.').trim_end_matches('.');
        (!host.is_empty()).then(|| Self::Domain(host.to_ascii_lowercase(), port))
    }

    fn fits(&self, host: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Domain(domain, only) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                only.is_none_or(|only| only == port)
                    && host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Net(net, count, only) => {
                let Ok(address) = host.parse::<IpAddr>() else { return false };
                let away = width(*net) - count;
                only.is_none_or(|only| only == port)
                    && address.is_ipv4() == net.is_ipv4()
                    && bits(address).checked_shr(away) == bits(*net).checked_shr(away)
            }
        }
    }
}

/// Names and addresses of this machine: a proxy elsewhere would look for them on its own machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { Ipv4Addr::BITS } else { u128::BITS }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// `user:password`, percent-encoded as in an address, as the value of `Proxy-Authorization`.
fn basic(user: &str) -> Option<HeaderValue> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain = decoded(name)?;
    plain.push(b':');
    plain.extend(decoded(password)?);
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The bytes that a percent-encoded text stands for.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(proxies: &Proxies, https: bool, host: &str, port: u16) -> Option<String> {
        proxies.of(https, host, port).unwrap().map(ProxyAddress::name)
    }

    #[test]
    fn addresses_of_proxies() {
        for (address, name, https) in [
            ("http://proxy:3128", "proxy:3128", false),
            ("proxy:3128", "proxy:3128", false),
            ("proxy", "proxy:80", false),
            ("https://proxy/", "proxy:443", true),
            ("HTTP://[::1]:1", "[::1]:1", false),
            ("http://a%40b:c%3Ad@proxy:1", "proxy:1", false),
        ] {
            let proxy = ProxyAddress::parse("x", address).unwrap();
            assert_eq!((proxy.name().as_str(), proxy.https), (name, https), "{address}");
        }
        let proxy = ProxyAddress::parse("x", "http://Aladdin:open%20sesame@proxy:1").unwrap();
        assert_eq!(proxy.credentials().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{proxy:?}").contains("QWxh"));
    }

    #[test]
    fn what_is_no_proxy_is_an_error_without_its_secrets() {
        for address in [
            "socks5://user:hunter2@proxy:1",
            "ftp://user:hunter2@proxy",
            "http://user:hunter2@",
            "http://user:hunter2@proxy:0",
            "http://user:hunter2@proxy:99999",
            "http://user:hunter2%zz@proxy",
            "http://pro xy",
        ] {
            let error = ProxyAddress::parse("the variable HTTP_PROXY", address).unwrap_err().to_string();
            assert!(error.starts_with("the variable HTTP_PROXY is no proxy"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_variables_are_those_of_curl() {
        let none = proxies(&[]);
        assert_eq!(chosen(&none, true, "example.com", 443), None);
        let both = proxies(&[("HTTP_PROXY", "a:1"), ("HTTPS_PROXY", "b:2"), ("ALL_PROXY", "c:3")]);
        assert_eq!(chosen(&both, false, "example.com", 80).unwrap(), "a:1");
        assert_eq!(chosen(&both, true, "example.com", 443).unwrap(), "b:2");
        let all = proxies(&[("all_proxy", "c:3"), ("HTTPS_PROXY", "")]);
        assert_eq!(chosen(&all, false, "example.com", 80).unwrap(), "c:3");
        assert_eq!(chosen(&all, true, "example.com", 443).unwrap(), "c:3");
        let lower = proxies(&[("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:1")]);
        assert_eq!(chosen(&lower, true, "example.com", 443).unwrap(), "lower:1");
        assert_eq!(chosen(&lower, false, "example.com", 80), None);
    }

    #[test]
    fn a_header_of_a_cgi_request_sets_no_proxy() {
        let cgi = proxies(&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1"), ("HTTPS_PROXY", "good:1")]);
        assert_eq!(chosen(&cgi, false, "example.com", 80), None);
        assert_eq!(chosen(&cgi, true, "example.com", 443).unwrap(), "good:1");
    }

    #[test]
    fn this_machine_is_reached_directly_unless_told_otherwise() {
        let env = proxies(&[("ALL_PROXY", "p:1")]);
        let told = Proxies::all(ProxyAddress::parse("x", "p:1").unwrap());
        for host in
            ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"]
        {
            assert_eq!(chosen(&env, false, host, 80), None, "{host}");
            assert_eq!(chosen(&told, false, host, 80).unwrap(), "p:1", "{host}");
        }
        assert!(chosen(&env, false, "notlocalhost", 80).is_some());
    }

    #[test]
    fn exceptions() {
        for (list, host, port, direct) in [
            ("*", "example.com", 80, true),
            ("example.com", "example.com", 80, true),
            ("example.com", "EXAMPLE.com.", 80, true),
            ("example.com", "api.example.com", 80, true),
            (".example.com", "example.com", 80, true),
            ("*.example.com", "api.example.com", 80, true),
            ("example.com", "notexample.com", 80, false),
            ("example.com", "example.com.evil.org", 80, false),
            ("a.org, example.com", "example.com", 80, true),
            ("a.org example.com", "example.com", 80, true),
            ("example.com:8080", "example.com", 8080, true),
            ("example.com:8080", "example.com", 80, false),
            ("10.0.0.1", "10.0.0.1", 80, true),
            ("10.0.0.1", "10.0.0.11", 80, false),
            ("10.0.0.1:80", "10.0.0.1", 81, false),
            ("10.0.0.0/8", "10.200.3.4", 80, true),
            ("10.0.0.0/8", "11.0.0.1", 80, false),
            ("10.0.0.0/8", "10.example.com", 80, false),
            ("0.0.0.0/0", "8.8.8.8", 80, true),
            ("fd00::/8", "fd12::1", 80, true),
            ("::/0", "10.0.0.1", 80, false),
            ("::/0", "2001:db8::1", 80, true),
            ("2001:db8::1", "2001:db8::1", 80, true),
            ("[2001:db8::1]:80", "2001:db8::1", 80, true),
            ("[2001:db8::1]:80", "2001:db8::1", 81, false),
            ("10.0.0.0/99, ,:, .", "10.0.0.1", 80, false),
        ] {
            let proxies = proxies(&[("ALL_PROXY", "p:1"), ("NO_PROXY", list)]);
            assert_eq!(chosen(&proxies, false, host, port).is_none(), direct, "{list:?} {host}:{port}");
        }
    }

    #[test]
    fn a_bad_variable_is_an_error_of_those_who_need_it() {
        let bad = proxies(&[("HTTPS_PROXY", "socks5://p:1"), ("NO_PROXY", "inside.example.com")]);
        assert!(bad.of(true, "example.com", 443).is_err());
        assert!(bad.of(true, "inside.example.com", 443).unwrap().is_none());
        assert!(bad.of(false, "example.com", 80).unwrap().is_none());
    }
}
