//! A host that knows nothing of logins, and a server that asks for one.

use serde_json::json;

use super::super::auth::Locked;
use super::{Host, call, text};

#[tokio::test]
async fn the_bridge_logs_in_for_its_host() {
    let mut locked = Locked::start(&[]).await;
    let mut host = Host::of(locked.command(&["connect", "URL"]));
    let capabilities = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "host", "version": "1"}});
    host.request(json!(1), "initialize", capabilities).await;
    locked.browser.log_in().await;
    let answer = host.answer(&json!(1)).await;
    assert_eq!(answer["result"]["serverInfo"]["name"], "throughline-demo", "{answer}");
    host.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let answer = host.ask(json!(2), "tools/call", call("echo", json!({"text": "hello"}))).await;
    assert_eq!(text(&answer), "hello");
    let (code, rest, log) = host.close().await;
    assert_eq!((code, &rest[..]), (0, &[][..]), "{log}");
    assert!(log.contains("log in at"), "{log}");

    // The next one needs nobody.
    let mut host = Host::of(locked.command(&["connect", "URL"]));
    let answer = host.initialize("2025-11-25").await;
    assert!(answer["result"].is_object(), "{answer}");
    let (code, _, log) = host.close().await;
    assert_eq!((code, log.as_str()), (0, ""));
    assert_eq!(locked.authority.count("authorize"), 1);
    assert!(locked.browser.opened_no_more().await);
}

/// Standard input is the host's: without a browser the address is said, and nothing is read for it.
#[tokio::test]
async fn without_a_browser_the_bridge_says_where_to_log_in() {
    let locked = Locked::start(&[]).await;
    let mut host = Host::of(locked.command_without_browser(&["connect", "URL", "--no-browser"]));
    let capabilities = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "host", "version": "1"}});
    host.request(json!(1), "initialize", capabilities).await;
    let page = host.stderr_line_with("/authorize?").await;
    super::super::auth::browser::visit(&page.parse().expect("an address")).await;
    let answer = host.answer(&json!(1)).await;
    assert!(answer["result"].is_object(), "{answer}");
}
