//! How it ends.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::process::serve;
use super::super::within;
use super::scripted::{Asked, Scripted, session};
use super::{Host, call};

/// Calls and the end of the session are never answered.
fn hangs(asked: &Asked) -> Option<String> {
    if asked.head.starts_with("DELETE") { None } else { session(asked) }
}

/// Notifications, too, once the session is open.
fn takes_nothing(asked: &Asked) -> Option<String> {
    if asked.body.contains("notifications/roots") { None } else { hangs(asked) }
}

#[tokio::test]
async fn it_ends_with_its_input_whatever_the_server_does() {
    for script in [hangs, takes_nothing] {
        let server = Scripted::start(script).await;
        let mut host = Host::open(&server.url(), &[], "2025-11-25").await;
        host.say(&json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})).await;
        host.request(json!(1), "tools/call", call("x", json!({}))).await;
        let (code, rest, log) = host.close().await;
        assert_eq!((code, log.as_str()), (0, ""));
        let [told] = &rest[..] else { panic!("one answer: {rest:?}") };
        assert_eq!((&told["id"], &told["error"]["code"]), (&json!(1), &json!(-32600)));
        assert!(server.asked().iter().any(|asked| asked.head.starts_with("DELETE")), "{:?}", server.asked());
    }
}

#[tokio::test]
async fn it_ends_with_its_input_while_it_connects() {
    let server = Scripted::start(|_| None).await;
    let mut host = Host::start(&server.url(), &[]);
    let open = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host", "version": "1"}});
    host.request(json!(1), "initialize", open).await;
    let (code, rest, log) = host.close().await;
    assert_eq!((code, rest.len(), log.as_str()), (0, 0, ""));
}

#[tokio::test]
async fn a_last_call_is_answered_before_the_end() {
    let server = serve(&[]).await;
    let mut host = Host::open(&format!("http://{}/mcp", server.address), &[], "2025-11-25").await;
    let input = host.input.as_mut().expect("it is open");
    // Without a newline, too.
    let last = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call("echo", json!({"text": "last"}))});
    input.write_all(last.to_string().as_bytes()).await.expect("it reads");
    let (code, rest, _) = host.close().await;
    assert_eq!((code, rest.len()), (0, 1), "{rest:?}");
    assert_eq!(super::text(&rest[0]), "last");
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_when_told_to() {
    let server = Scripted::start(hangs).await;
    let mut host = Host::open(&server.url(), &[], "2025-11-25").await;
    host.request(json!(1), "tools/call", call("x", json!({}))).await;
    // A message after the call: it has been taken in.
    assert_eq!(host.initialize("2025-11-25").await["error"]["code"], -32600);
    let id = rustix::process::Pid::from_raw(host.child.id().expect("it runs").cast_signed()).expect("not 0");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is ours");
    let input = host.input.take();
    let (code, rest, log) = host.ended().await;
    drop(input);
    assert_eq!((code, rest.len()), (0, 1), "{rest:?} {log}");
    assert!(server.asked().iter().any(|asked| asked.head.starts_with("DELETE")), "{:?}", server.asked());
}

#[tokio::test]
async fn it_ends_when_nobody_reads_its_output() {
    let server = serve(&[]).await;
    let mut host = Host::open(&format!("http://{}/mcp", server.address), &[], "2025-11-25").await;
    let ping = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    drop(host.output);
    host.input.as_mut().expect("it is open").write_all(ping).await.expect("it reads");
    let status = within("the end of the program", host.child.wait()).await.expect("it is ours");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_server_that_cannot_be_had_is_told_of_and_ends_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = format!("http://{}/mcp", listener.local_addr().expect("it is bound"));
    drop(listener);
    let wrong = serve(&[]).await;
    let wrong = format!("http://{}/elsewhere", wrong.address);
    for (url, says) in
        [(nobody.as_str(), "is the server running"), (wrong.as_str(), "404"), ("ftp://example.com", "http")]
    {
        let mut host = Host::start(url, &[]);
        let answer = host.initialize("2025-11-25").await;
        let why = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(why.contains(says), "{url}: {why}");
        let (code, _, log) = host.ended().await;
        assert_eq!(code, 1, "{log}");
        assert!(log.starts_with("error: ") && log.contains(says), "{log}");
    }
}
