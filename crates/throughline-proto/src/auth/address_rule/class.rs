use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an IP address is for (<https://www.iana.org/assignments/iana-ipv4-special-registry/> and
/// <https://www.iana.org/assignments/iana-ipv6-special-registry/>). An IPv6 address that stands for an IPv4 one
/// (IPv4-mapped, 6to4, NAT64) is of that one's class.
///
/// ```
/// use throughline_proto::auth::IpClass;
///
/// assert_eq!(IpClass::of("10.1.2.3".parse()?), IpClass::Private);
/// assert_eq!(IpClass::of("::ffff:127.0.0.1".parse()?), IpClass::Loopback);
/// assert_eq!(IpClass::of("2606:4700::1".parse()?), IpClass::Public);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpClass {
    /// Reachable from everywhere.
    Public,
    /// This machine: `127.0.0.0/8`, `::1`.
    Loopback,
    /// A private network: `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16`, `fc00::/7`, `fec0::/10`.
    Private,
    /// The same wire, and where clouds keep the credentials of a machine: `169.254.0.0/16`, `fe80::/10`.
    LinkLocal,
    /// A provider's network: `100.64.0.0/10`.
    Shared,
    /// `0.0.0.0` and `::`, which lead to this machine.
    Unspecified,
    /// `224.0.0.0/4`, `ff00::/8`.
    Multicast,
    /// Everything else that is no public address: documentation, benchmarks, broadcast, tunnels, the future.
    Reserved,
}

impl IpClass {
    /// The class of an address.
    #[must_use]
    pub const fn of(ip: IpAddr) -> IpClass {
        match ip {
            IpAddr::V4(ip) => v4(ip),
            IpAddr::V6(ip) => v6(ip),
        }
    }
}

const fn v4(ip: Ipv4Addr) -> IpClass {
    match ip.octets() {
        [0, 0, 0, 0] => IpClass::Unspecified,
        [127, ..] => IpClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => IpClass::Private,
        // The second is where the virtual machines of Azure find what is theirs only:
        // https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16.
        [169, 254, ..] | [168, 63, 129, 16] => IpClass::LinkLocal,
        [100, 64..=127, ..] => IpClass::Shared,
        [224..=239, ..] => IpClass::Multicast,
        // "This network", protocols, documentation, 6to4 relays, benchmarks, and what is beyond multicast.
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => IpClass::Reserved,
        _ => IpClass::Public,
    }
}

const fn v6(ip: Ipv6Addr) -> IpClass {
    const fn embedded(high: u16, low: u16) -> IpClass {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        v4(Ipv4Addr::new(a, b, c, d))
    }

    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => IpClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => IpClass::Loopback,
        // IPv4-mapped, NAT64 (https://www.rfc-editor.org/rfc/rfc6052#section-2.1), which is how a network without IPv4
        // reaches the rest, and 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => embedded(high, low),
        // NAT64 of a network's own making (https://www.rfc-editor.org/rfc/rfc8215): where it ends only that network knows.
        [0x64, 0xff9b, 1, ..] => IpClass::Private,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => IpClass::Private,
        [0xfe80..=0xfebf, ..] => IpClass::LinkLocal,
        [0xff00..=0xffff, ..] => IpClass::Multicast,
        // Protocols and tunnels (Teredo, ORCHID, benchmarks), and documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => IpClass::Reserved,
        [0x2000..=0x3fff, ..] => IpClass::Public,
        _ => IpClass::Reserved,
    }
}

impl fmt::Display for IpClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpClass::Public => "public",
            IpClass::Loopback => "on this machine",
            IpClass::Private => "in a private network",
            IpClass::LinkLocal => "on the local link",
            IpClass::Shared => "in a provider's network",
            IpClass::Unspecified => "no address of anyone",
            IpClass::Multicast => "an address of many",
            IpClass::Reserved => "reserved",
        })
    }
}
