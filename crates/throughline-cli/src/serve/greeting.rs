//! What a person reads at the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::flags::{Hosts, SsePaths};

/// The address, and a client configuration to paste. `restored` is a line about what is kept, or nothing.
pub(super) fn text(address: SocketAddr, path: &str, sse: Option<&SsePaths>, restored: &str) -> String {
    let base = format!("http://{}", reachable(address));
    let url = format!("{base}{path}");
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
         Health: {base}/healthz and {base}/readyz\n\
         Metrics: {base}/metrics\n\
         {restored}\
         Stop with Ctrl-C.\n"
    )
}

/// What somebody should know who opens the server to others.
pub(super) fn warning(address: SocketAddr, hosts: &Hosts) -> Option<String> {
    let unnamed = matches!(hosts, Hosts::Named(hosts) if hosts.is_empty());
    (unnamed && !address.ip().is_loopback()).then(|| {
        format!(
            "listening on {address}, which others can reach, and there is no authentication yet; requests from there get \
             403 until --allow-host names the host that clients use"
        )
    })
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

    fn at(address: &str) -> SocketAddr {
        address.parse().expect("an address")
    }

    #[test]
    fn the_greeting_is_ready_to_paste() {
        insta::assert_snapshot!(text(at("127.0.0.1:8808"), "/mcp", None, "").replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#"
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
        let paths = SsePaths { stream: "/older".into(), message: "/post".into() };
        let text = text(at("0.0.0.0:80"), "/mcp", Some(&paths), "");
        assert!(text.contains("}\n\nFor clients of HTTP+SSE: http://127.0.0.1:80/older\nHealth: "), "{text}");
    }

    #[test]
    fn any_address_is_shown_as_one_to_connect_to() {
        assert!(text(at("0.0.0.0:80"), "/", None, "").contains("demo at http://127.0.0.1:80/\n"));
        assert!(text(at("[::]:80"), "/", None, "").contains("demo at http://[::1]:80/\n"));
        assert!(text(at("192.0.2.7:80"), "/", None, "").contains("demo at http://192.0.2.7:80/\n"));
    }

    #[test]
    fn only_an_open_server_without_hosts_is_warned_about() {
        let none = Hosts::Named(Vec::new());
        assert!(warning(at("0.0.0.0:80"), &none).is_some());
        assert!(warning(at("192.0.2.7:80"), &none).is_some());
        assert!(warning(at("127.0.0.2:80"), &none).is_none());
        assert!(warning(at("[::1]:80"), &none).is_none());
        assert!(warning(at("0.0.0.0:80"), &Hosts::Any).is_none());
        assert!(warning(at("0.0.0.0:80"), &Hosts::Named(vec!["mcp.example.com".into()])).is_none());
    }
}
