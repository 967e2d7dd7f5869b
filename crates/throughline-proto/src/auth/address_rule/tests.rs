use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

/// An address of each class that can be allowed, and what allows it.
const SERVERS: [(&str, IpClass); 4] = [
    ("http://127.0.0.1:8808/mcp", IpClass::Loopback),
    ("http://10.0.0.7/mcp", IpClass::Private),
    ("http://169.254.7.7/mcp", IpClass::LinkLocal),
    ("http://100.64.0.7/mcp", IpClass::Shared),
];

#[test]
fn what_an_address_is_for() {
    use IpClass::*;
    for (address, class) in [
        ("1.1.1.1", Public),
        ("93.184.215.14", Public),
        ("172.15.255.255", Public),
        ("172.32.0.0", Public),
        ("100.63.255.255", Public),
        ("100.128.0.0", Public),
        ("192.167.255.255", Public),
        ("169.253.255.255", Public),
        ("126.255.255.255", Public),
        ("223.255.255.255", Public),
        ("168.63.129.17", Public),
        ("127.0.0.1", Loopback),
        ("127.255.255.254", Loopback),
        ("10.0.0.0", Private),
        ("10.255.255.255", Private),
        ("172.16.0.0", Private),
        ("172.31.255.255", Private),
        ("192.168.0.1", Private),
        ("169.254.169.254", LinkLocal),
        ("168.63.129.16", LinkLocal),
        ("100.64.0.0", Shared),
        ("100.100.100.200", Shared),
        ("100.127.255.255", Shared),
        ("0.0.0.0", Unspecified),
        ("0.0.0.1", Reserved),
        ("192.0.0.192", Reserved),
        ("192.0.2.1", Reserved),
        ("192.88.99.1", Reserved),
        ("198.18.0.1", Reserved),
        ("198.19.255.255", Reserved),
        ("198.51.100.1", Reserved),
        ("203.0.113.1", Reserved),
        ("240.0.0.1", Reserved),
        ("255.255.255.255", Reserved),
        ("224.0.0.1", Multicast),
        ("239.255.255.255", Multicast),
        ("2606:4700:4700::1111", Public),
        ("2a00:1450::1", Public),
        ("::", Unspecified),
        ("::1", Loopback),
        ("fc00::1", Private),
        ("fd00:ec2::254", Private),
        ("fec0::1", Private),
        ("64:ff9b:1::1", Private),
        ("fe80::1", LinkLocal),
        ("febf::1", LinkLocal),
        ("ff02::1", Multicast),
        ("2001:db8::1", Reserved),
        ("3fff::1", Reserved),
        ("2001::1", Reserved),
        ("2001:20::1", Reserved),
        ("100::1", Reserved),
        ("5f00::1", Reserved),
        ("4000::1", Reserved),
        ("::2", Reserved),
        ("::127.0.0.1", Reserved),
        ("::ffff:0:127.0.0.1", Reserved),
        // An IPv4 address in another coat.
        ("::ffff:127.0.0.1", Loopback),
        ("::ffff:10.0.0.1", Private),
        ("::ffff:169.254.169.254", LinkLocal),
        ("::ffff:0.0.0.0", Unspecified),
        ("::ffff:8.8.8.8", Public),
        ("64:ff9b::7f00:1", Loopback),
        ("64:ff9b::a9fe:a9fe", LinkLocal),
        ("64:ff9b::808:808", Public),
        ("2002:7f00:1::", Loopback),
        ("2002:a9fe:a9fe::1", LinkLocal),
        ("2002:c0a8:1::", Private),
    ] {
        assert_eq!(IpClass::of(ip(address)), class, "{address}");
    }
}

#[test]
fn a_public_server_sends_nobody_anywhere_else() {
    let rule = AddressRule::for_server(&uri("https://mcp.example.com/mcp"), &[ip("1.1.1.1")]);
    assert_eq!(rule, AddressRule::public());
    for good in [
        "https://login.example.com",
        "https://login.example.com:8443/a",
        "https://8.8.8.8/",
        "https://example.com./",
    ] {
        assert_eq!(rule.check_uri(&uri(good)), Ok(()), "{good}");
    }
    for bad in [
        "http://login.example.com/",
        "http://8.8.8.8/",
        "ftp://login.example.com/",
        "gopher://login.example.com/",
        "/token",
        "https://ann:secret@login.example.com/",
        "https://login.example.com:0/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[::]/",
        "https://0.0.0.0/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://[fd00:ec2::254]/",
        // What resolvers take for an address.
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://017700000001/",
        "https://1.2.3/",
        "https://1.2.3.4.5/",
        "https://256.256.256.256/",
        "https://a.0X7f/",
    ] {
        let error = rule.check_uri(&uri(bad)).unwrap_err();
        assert!(!error.to_string().contains("example") && !error.to_string().contains("169"), "{error}");
    }
}

#[test]
fn a_name_is_checked_once_more_when_it_is_looked_up() {
    let rule = AddressRule::public();
    let address = uri("https://login.example.com/");
    assert_eq!(rule.check_resolved(&address, ip("1.1.1.1")), Ok(()));
    for bad in [
        "127.0.0.1",
        "::1",
        "10.1.1.1",
        "169.254.169.254",
        "::ffff:10.1.1.1",
        "fd00::1",
        "0.0.0.0",
        "224.0.0.1",
    ] {
        assert_eq!(
            rule.check_resolved(&address, ip(bad)).unwrap_err().class(),
            Some(IpClass::of(ip(bad))),
            "{bad}"
        );
    }
    assert!(rule.check_resolved(&uri("http://login.example.com/"), ip("1.1.1.1")).is_err());
}

#[test]
fn a_server_that_is_there_itself_may_send_there() {
    for (server, class) in SERVERS {
        let rule = AddressRule::for_server(&uri(server), &[]);
        for (_, other) in SERVERS {
            assert_eq!(rule.allows(other), other == class, "{server}: {other}");
        }
        assert!(rule.allows(IpClass::Public));
        assert!(!rule.allows(IpClass::Unspecified));
    }
    let private =
        AddressRule::for_server(&uri("https://mcp.corp.example/mcp"), &[ip("10.1.1.1"), ip("fd00::1")]);
    assert!(private.allows(IpClass::Private) && !private.allows(IpClass::Loopback));
    // By http never, unless it stays on the machine.
    assert!(private.check_uri(&uri("http://10.1.1.2/")).is_err());
    assert_eq!(private.check_uri(&uri("https://10.1.1.2/")), Ok(()));
}

#[test]
fn a_name_for_two_worlds_opens_only_the_public_one() {
    let server = uri("https://mcp.example.com/mcp");
    assert_eq!(AddressRule::for_server(&server, &[ip("1.1.1.1"), ip("127.0.0.1")]), AddressRule::public());
    assert_eq!(AddressRule::for_server(&server, &[ip("127.0.0.1"), ip("10.0.0.1")]), AddressRule::public());
    assert_eq!(AddressRule::for_server(&server, &[]), AddressRule::public());
    assert_eq!(AddressRule::for_server(&server, &[ip("0.0.0.0")]), AddressRule::public());
    assert_eq!(AddressRule::for_server(&uri("/mcp"), &[ip("127.0.0.1")]), AddressRule::public());
}

#[test]
fn plain_http_stays_on_the_machine() {
    for server in [
        "http://localhost:8808/mcp",
        "http://127.0.0.1/mcp",
        "http://[::1]:1/mcp",
        "https://app.localhost/mcp",
    ] {
        let rule = AddressRule::for_server(&uri(server), &[]);
        for good in [
            "http://localhost:9000/",
            "http://127.0.0.1:9000/",
            "http://[::1]/",
            "https://login.example.com/",
        ] {
            assert_eq!(rule.check_uri(&uri(good)), Ok(()), "{server}: {good}");
        }
        assert!(rule.check_uri(&uri("http://login.example.com/")).is_err());
        assert!(rule.check_uri(&uri("https://10.0.0.1/")).is_err());
        // `localhost` that is somewhere else.
        assert_eq!(rule.check_resolved(&uri("http://localhost/"), ip("127.0.0.1")), Ok(()));
        assert!(rule.check_resolved(&uri("http://localhost/"), ip("1.1.1.1")).is_err());
    }
}

#[test]
fn an_operator_allows_a_class() {
    let rule = AddressRule::public().allow(IpClass::Private);
    assert_eq!(rule.check_uri(&uri("https://10.0.0.1/")), Ok(()));
    assert!(rule.check_uri(&uri("https://127.0.0.1/")).is_err());
    for never in [IpClass::Unspecified, IpClass::Multicast, IpClass::Reserved] {
        assert_eq!(AddressRule::public().allow(never), AddressRule::public(), "{never}");
    }
}

proptest! {
    #[test]
    fn what_is_refused_by_its_address_is_refused_by_its_url(bits in any::<u128>(), four in any::<bool>(), plain in any::<bool>()) {
        let ip: IpAddr = if four { IpAddr::V4((bits as u32).into()) } else { IpAddr::V6(bits.into()) };
        let host = if four { ip.to_string() } else { format!("[{ip}]") };
        let scheme = if plain { "http" } else { "https" };
        let address = uri(&format!("{scheme}://{host}/"));
        for rule in [AddressRule::public(), AddressRule::public().allow(IpClass::Loopback), AddressRule::public().allow(IpClass::Private)] {
            let allowed = rule.allows(IpClass::of(ip)) && (!plain || IpClass::of(ip) == IpClass::Loopback);
            prop_assert_eq!(rule.check_uri(&address).is_ok(), allowed);
            prop_assert_eq!(rule.check_resolved(&address, ip).is_ok(), allowed);
        }
    }

    #[test]
    fn an_ipv4_address_is_of_its_class_in_any_coat(bits in any::<u32>()) {
        let four = std::net::Ipv4Addr::from(bits);
        let class = IpClass::of(four.into());
        let [a, b] = [(bits >> 16) as u16, bits as u16];
        for coat in [
            four.to_ipv6_mapped(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
            Ipv6Addr::new(0x2002, a, b, 1, 2, 3, 4, 5),
        ] {
            prop_assert_eq!(IpClass::of(coat.into()), class);
        }
    }
}
