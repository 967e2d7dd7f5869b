//! What a person reads at the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Stop;
use crate::flags::{By, Guard, Hosts, Serve};

/// The address, and a client configuration to paste. `restored` is a line about what is kept, or nothing.
pub(super) fn text(address: SocketAddr, settings: &Serve, restored: &str) -> String {
    let base = base(address, &settings.guard);
    let url = url(address, &settings.guard, &settings.path);
    let sse = settings.sse.as_ref();
    let lock = match settings.guard.lock.as_ref().map(|lock| &lock.by) {
        Some(By::Keys(_)) => "Clients send a key: Authorization: Bearer KEY\n".to_owned(),
        Some(By::Jwt { issuer, .. } | By::Introspection { issuer, .. }) => {
            format!("Clients log in at {issuer}\n")
        }
        Some(By::Proxy { header, .. }) => format!("The proxy names clients in {header}\n"),
        None => String::new(),
    };
    let configuration =
        serde_json::json!({ "mcpServers": { "throughline": { "type": "http", "url": url } } });
    let version = env!("CARGO_PKG_VERSION");
    let sse =
        sse.map_or_else(String::new, |paths| format!("For clients of HTTP+SSE: {base}{}\n", paths.stream));
    format!(
        "throughline {version} serves its demo at {url}\n\
         \n\
         Client configuration (mcp.json):\n\
         {configuration:#}\n\
         \n\
         {sse}\
         {lock}\
         Health: {base}/healthz and {base}/readyz\n\
         Metrics: {base}/metrics\n\
         {restored}\
         Stop with Ctrl-C.\n"
    )
}

/// The address of the endpoint, as clients know it.
pub(super) fn url(address: SocketAddr, guard: &Guard, path: &str) -> String {
    guard.public_url.clone().unwrap_or_else(|| format!("{}{path}", base(address, guard)))
}

/// The address of the server on this machine.
fn base(address: SocketAddr, guard: &Guard) -> String {
    let scheme = if guard.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", reachable(address))
}

/// Why the server does not listen there: others could reach it, and it would let everybody in, or nobody.
pub(super) fn refusal(address: SocketAddr, guard: &Guard) -> Option<Stop> {
    if address.ip().is_loopback() {
        return None;
    }
    match &guard.lock {
        None if !guard.insecure_open => Some(Stop::usage(format!(
            "error: --listen: other machines can reach {address}, and nothing asks them who they are; lock the server with --auth, \
             listen on 127.0.0.1, or give --insecure-open where a proxy or the network decides who may come."
        ))),
        Some(lock)
            if guard.public_url.is_none() && matches!(lock.by, By::Jwt { .. } | By::Introspection { .. }) =>
        {
            Some(Stop::usage(
                "error: --public-url: say at which address clients know the endpoint, such as https://mcp.example.com/mcp: their \
                 tokens are for that one.",
            ))
        }
        _ => None,
    }
}

/// What somebody should know who opens the server to others.
pub(super) fn warnings(address: SocketAddr, guard: &Guard, hosts: &Hosts) -> Vec<String> {
    let mut warnings = Vec::new();
    if address.ip().is_loopback() {
        return warnings;
    }
    if guard.lock.is_none() {
        warnings.push(format!("--insecure-open: whoever reaches {address} may do everything"));
    } else if guard.tls.is_none() {
        warnings.push(format!(
            "what lets clients in travels to {address} in the clear; give --tls-cert and --tls-key, or have a proxy in front speak HTTPS"
        ));
    }
    if guard.public_url.is_none() && matches!(hosts, Hosts::Named(hosts) if hosts.is_empty()) {
        warnings.push(format!(
            "listening on {address}, which others can reach; their requests get 403 until --public-url or --allow-host names the \
             host that they use"
        ));
    }
    warnings
}

/// The address as a client on this machine reaches it: "any address" is none to connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Parsed;

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    fn serve(line: &[&str]) -> Serve {
        let line = ["throughline", "serve"].iter().chain(line).map(Into::into);
        match crate::flags::parse(line) {
            Ok(Parsed::Serve(settings)) => *settings,
            other => panic!("read as {other:?}"),
        }
    }

    fn greets(address: &str, line: &[&str]) -> String {
        text(at(address), &serve(line), "").replace(env!("CARGO_PKG_VERSION"), "VERSION")
    }

    #[test]
    fn the_greeting_is_ready_to_paste() {
        insta::assert_snapshot!(greets("127.0.0.1:8808", &[]), @r#"
        throughline VERSION serves its demo at http://127.0.0.1:8808/mcp

        Client configuration (mcp.json):
        {
          "mcpServers": {
            "throughline": {
              "type": "http",
              "url": "http://127.0.0.1:8808/mcp"
            }
          }
        }

        Health: http://127.0.0.1:8808/healthz and http://127.0.0.1:8808/readyz
        Metrics: http://127.0.0.1:8808/metrics
        Stop with Ctrl-C.
        "#);
    }

    #[test]
    fn the_greeting_says_where_older_clients_go() {
        let text = greets("0.0.0.0:80", &["--sse", "--sse-path", "/older"]);
        assert!(text.contains("}\n\nFor clients of HTTP+SSE: http://127.0.0.1:80/older\nHealth: "), "{text}");
    }

    #[test]
    fn the_greeting_says_what_lets_clients_in() {
        let line =
            ["--auth", "jwt", "--auth-issuer", "https://a.example", "--public-url", "https://b.example/mcp"];
        let text = greets("0.0.0.0:80", &line);
        assert!(text.contains("its demo at https://b.example/mcp\n"), "{text}");
        assert!(
            text.contains("\nClients log in at https://a.example\nHealth: http://127.0.0.1:80/healthz"),
            "{text}"
        );
        let text = greets("127.0.0.1:80", &["--auth", "key", "--auth-key-file", "keys"]);
        assert!(text.contains("\nClients send a key: Authorization: Bearer KEY\n"), "{text}");
    }

    #[test]
    fn any_address_is_shown_as_one_to_connect_to() {
        let shown = |address, line: &[&str]| greets(address, line).lines().next().map(str::to_owned);
        let says = |url: &str| Some(format!("throughline VERSION serves its demo at {url}"));
        let root = &["--path", "/"][..];
        assert_eq!(shown("0.0.0.0:80", root), says("http://127.0.0.1:80/"));
        assert_eq!(shown("[::]:80", root), says("http://[::1]:80/"));
        assert_eq!(shown("192.0.2.7:80", root), says("http://192.0.2.7:80/"));
        let tls = ["--path", "/", "--tls-cert", "c", "--tls-key", "k"];
        assert_eq!(shown("192.0.2.7:80", &tls), says("https://192.0.2.7:80/"));
    }

    const KEYS: [&str; 4] = ["--auth", "key", "--auth-key-file", "keys"];
    const JWT: [&str; 4] = ["--auth", "jwt", "--auth-issuer", "https://a.example"];

    #[test]
    fn only_an_open_server_is_refused() {
        for (address, line, refused) in [
            ("0.0.0.0:80", &[][..], Some("--insecure-open")),
            ("[::]:80", &[], Some("--insecure-open")),
            ("192.0.2.7:80", &[], Some("--insecure-open")),
            ("192.0.2.7:80", &["--insecure-open"], None),
            ("127.0.0.2:80", &[], None),
            ("[::1]:80", &[], None),
            ("0.0.0.0:80", &KEYS, None),
            ("127.0.0.1:80", &JWT, None),
            ("0.0.0.0:80", &JWT, Some("--public-url")),
        ] {
            let refusal = refusal(at(address), &serve(line).guard).map(|stop| stop.sentence);
            let fits = match (refused, &refusal) {
                (Some(says), Some(sentence)) => sentence.contains(says),
                (None, None) => true,
                _ => false,
            };
            assert!(fits, "{address} {line:?}: {refusal:?}");
        }
    }

    #[test]
    fn who_opens_a_server_is_warned() {
        let warned = |address, line: &[&str]| {
            let settings = serve(line);
            warnings(at(address), &settings.guard, &settings.hosts)
        };
        let open = "--insecure-open";
        assert_eq!(warned("0.0.0.0:80", &[open]).len(), 2);
        assert_eq!(warned("192.0.2.7:80", &[open]).len(), 2);
        assert!(warned("127.0.0.2:80", &[open]).is_empty());
        assert!(warned("[::1]:80", &[open]).is_empty());
        assert_eq!(warned("0.0.0.0:80", &[open, "--allow-host", "*"]).len(), 1);
        assert_eq!(warned("0.0.0.0:80", &[open, "--allow-host", "mcp.example.com"]).len(), 1);
        let url = ["--public-url", "https://mcp.example.com/mcp"];
        let clear = warned("0.0.0.0:80", &[&KEYS[..], &url].concat());
        assert!(matches!(&clear[..], [only] if only.contains("in the clear")), "{clear:?}");
        let tls = ["--tls-cert", "c", "--tls-key", "k"];
        assert!(warned("0.0.0.0:80", &[&KEYS[..], &url, &tls].concat()).is_empty());
    }
}
