//! `subscriptions/listen` over HTTP: what is told to whom, how many may listen, and how it ends.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Era, PeerInfo, Principal, Server, StreamableHttp, prompt, resource, serve, tool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{Gate, Loopback, MODERN, Wire, kit, listen, modern, request, until, within};

fn server() -> Server {
    kit::server(&Gate::new())
        .prompt(prompt("hello", || async { "Hello!" }))
        .resource(resource("it://motd", "motd", || async { "Have a nice day." }))
        .resource(
            resource("it://secret", "secret", || async { "?" })
                .visible_to(|caller| caller.principal().is_some_and(|who| &*who.subject == "admin")),
        )
}

fn everything() -> Value {
    json!({
        "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true,
        "resourceSubscriptions": ["it://motd"],
    })
}

fn by_header(server: Server) -> throughline::Builder {
    StreamableHttp::builder(server)
        .principal(|parts| Some(Principal::new("it", parts.headers.get("x-who")?.to_str().ok()?)))
}

// What is told

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_what_was_agreed_and_then_tells_what_changes() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let wire = Wire::new(&endpoint);
    let answer = wire.post_modern(listen("l-1", everything())).send().await;
    assert_eq!(answer.header("x-accel-buffering"), "no");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("mcp-session-id"), "");
    let mut events = answer.events();
    let acknowledged = events.next().await.unwrap().message;
    assert_eq!(
        acknowledged,
        json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {
            "notifications": everything(),
            "_meta": {"io.modelcontextprotocol/subscriptionId": "l-1"},
        }})
    );
    drop(events);

    let mut stream = wire.listen(7, everything()).await;
    assert!(stream.is_quiet().await);
    server.add_tool(tool("late", || async { "late" })).unwrap();
    assert_eq!(stream.what().await.unwrap(), "tools/list_changed");
    assert!(server.remove_prompt("hello"));
    assert_eq!(stream.what().await.unwrap(), "prompts/list_changed");
    server.add_resource(resource("it://late", "late", || async { "late" })).unwrap();
    assert_eq!(stream.what().await.unwrap(), "resources/list_changed");
    assert_eq!(server.resource_updated("it://motd"), 1);
    let (what, message) = stream.next().await.unwrap();
    assert_eq!((what.as_str(), &message["params"]["uri"]), ("resources/updated", &json!("it://motd")));
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_that_was_not_asked_for() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let wire = Wire::new(&endpoint);
    let mut tools = wire.listen(1, json!({ "toolsListChanged": true, "promptsListChanged": false })).await;
    let mut nothing = wire.listen(2, json!({})).await;
    assert!(server.remove_prompt("hello") && server.remove_resource("it://motd"));
    assert_eq!(server.resource_updated("it://motd"), 0);
    assert_eq!(server.notify_all("notifications/it.example/lunch", &json!({})).unwrap(), 0);
    assert!(tools.is_quiet().await && nothing.is_quiet().await);
    assert!(server.remove_tool("echo"));
    assert_eq!(tools.what().await.unwrap(), "tools/list_changed");
    assert!(tools.is_quiet().await && nothing.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_does_not_have_is_left_out_of_the_acknowledgment() {
    let endpoint = StreamableHttp::new(kit::server(&Gate::new()));
    let mut events = Wire::new(&endpoint).post_modern(listen(1, everything())).send().await.events();
    let acknowledged = events.next().await.unwrap().message;
    assert_eq!(acknowledged["params"]["notifications"], json!({ "toolsListChanged": true }));
}

#[tokio::test(start_paused = true)]
async fn sessions_and_listeners_hear_of_the_same_change() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let session = Wire::open(&endpoint, Revision::V2025_11_25).await;
    let subscribed =
        session.post(request(1, "resources/subscribe", json!({ "uri": "it://motd" }))).send().await;
    assert_eq!(subscribed.status(), 200);
    let mut standalone = session.get().send().await.events();
    let mut stream = Wire::new(&endpoint).listen(1, everything()).await;
    assert_eq!(server.resource_updated("it://motd"), 2);
    assert_eq!(standalone.message().await.message["params"], json!({ "uri": "it://motd" }));
    assert_eq!(stream.what().await.unwrap(), "resources/updated");
    // What an application sends by itself is for sessions.
    let offered = std::cell::RefCell::new(Vec::new());
    let told = server.notify_where(
        |peer: &PeerInfo<'_>| {
            offered.borrow_mut().push(peer.session.is_some());
            true
        },
        "notifications/it.example/lunch",
        &json!({}),
    );
    assert_eq!((told.unwrap(), offered.into_inner()), (1, vec![true]));
    assert_eq!(standalone.message().await.message["method"], "notifications/it.example/lunch");
    assert!(stream.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn nobody_hears_of_updates_of_what_is_hidden_from_them() {
    let server = server();
    let endpoint = by_header(server.clone()).build();
    let filter = json!({ "resourceSubscriptions": ["it://secret", "it://nothing", "it://motd"] });
    let mut streams = Vec::new();
    for who in ["guest", "admin"] {
        let wire = Wire::new(&endpoint).with("x-who", who);
        let mut events = wire.post_modern(listen(1, filter.clone())).send().await.events();
        // The answer does not tell what is hidden from what is not there.
        assert_eq!(events.next().await.unwrap().message["params"]["notifications"], filter);
        streams.push(wire.listen(2, filter.clone()).await);
    }
    let [guest, admin] = &mut streams[..] else { panic!("two") };
    assert_eq!(server.resource_updated("it://secret"), 1, "the other two of the four are gone");
    assert_eq!(server.resource_updated("it://motd"), 2);
    assert_eq!(guest.next().await.unwrap().1["params"]["uri"], "it://motd");
    assert_eq!(admin.next().await.unwrap().1["params"]["uri"], "it://secret");
    assert_eq!(admin.next().await.unwrap().1["params"]["uri"], "it://motd");
}

#[tokio::test(start_paused = true)]
async fn changes_that_wait_for_a_slow_reader_are_told_once() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let mut stream = Wire::new(&endpoint).listen(1, everything()).await;
    for _ in 0..1000 {
        assert_eq!(server.resource_updated("it://motd"), 1);
        assert!(server.remove_tool("echo"));
        server.add_tool(tool("echo", || async { "echo" })).unwrap();
    }
    assert_eq!(stream.what().await.unwrap(), "resources/updated");
    assert_eq!(stream.what().await.unwrap(), "tools/list_changed");
    assert!(stream.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_kept_alive() {
    let endpoint = StreamableHttp::new(server());
    let mut stream = Wire::new(&endpoint).listen(1, everything()).await;
    let began = tokio::time::Instant::now();
    assert_eq!(stream.chunk().await.unwrap(), ":\n");
    assert!(began.elapsed() >= Duration::from_secs(15));
    assert_eq!(stream.chunk().await.unwrap(), ":\n");
}

#[tokio::test(start_paused = true)]
async fn the_flags_of_sessions_take_nothing_away() {
    let server = server();
    let endpoint = StreamableHttp::builder(server.clone()).stateless_http(true).json_response(true).build();
    let mut stream = Wire::new(&endpoint).listen(1, everything()).await;
    assert_eq!(server.resource_updated("it://motd"), 1);
    assert_eq!(stream.what().await.unwrap(), "resources/updated");
}

// What is refused

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_sessions_alone_has_a_client_of_both_eras_fall_back() {
    let endpoint = StreamableHttp::builder(server()).era(Era::Legacy).build();
    let refused = Wire::new(&endpoint).post_modern(listen(1, everything())).send().await;
    insta::assert_snapshot!(refused.refusal().await, @"400 -32600: This server needs a session. Send initialize first.");
    assert_eq!(endpoint.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn headers_that_say_something_else_are_refused() {
    let endpoint = StreamableHttp::new(server());
    let wire = Wire::new(&endpoint);
    for (name, value) in [("mcp-method", "tools/list"), ("mcp-protocol-version", "2025-11-25")] {
        let refused = wire.post_modern(listen(1, everything())).header(name, value).send().await;
        assert!(refused.refusal().await.starts_with("400 -32020: "), "{name}");
    }
    assert_eq!(endpoint.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_is_none_is_refused_before_anything_is_sent() {
    let endpoint = StreamableHttp::new(server());
    let wire = Wire::new(&endpoint);
    let many: Vec<String> = (0..1025).map(|number| format!("it://{number}")).collect();
    let mut refusals = Vec::new();
    for params in [
        json!({}),
        json!({ "notifications": null }),
        json!({ "notifications": { "toolsListChanged": 1 } }),
        json!({ "notifications": { "resourceSubscriptions": ["it://motd", 7] } }),
        json!({ "notifications": { "resourceSubscriptions": many } }),
        json!({ "notifications": { "resourceSubscriptions": ["x".repeat(2049)] } }),
    ] {
        let answer = wire.post_modern(modern("l", "subscriptions/listen", params)).send().await;
        refusals.push(answer.refusal().await);
    }
    insta::assert_snapshot!(refusals.join("\n"), @r"
    400 -32602: The params of subscriptions/listen do not fit it: missing field `notifications`
    400 -32602: The params of subscriptions/listen do not fit it: `notifications` must be an object
    400 -32602: The params of subscriptions/listen do not fit it: invalid type: integer `1`, expected a boolean
    400 -32602: The params of subscriptions/listen do not fit it: invalid type: integer `7`, expected a string
    400 -32602: `resourceSubscriptions` has more than 1024 URIs. Listen to fewer, or in several requests.
    400 -32602: `resourceSubscriptions` has a URI longer than 2048 bytes. Listen to shorter ones.
    ");
    let only_json =
        wire.post_modern(listen(1, everything())).header("accept", "application/json").send().await;
    insta::assert_snapshot!(only_json.refusal().await, @"406 -32600: Changes are told in a stream. Send: Accept: application/json, text/event-stream");
    assert_eq!(endpoint.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_may_listen_and_one_more_when_one_is_gone() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let wire = Wire::new(&endpoint);
    let mut streams = Vec::new();
    for _ in 0..1000 {
        // Each of another connection, so that the same id is no matter.
        streams.push(wire.listen(1, everything()).await);
    }
    assert_eq!(endpoint.listeners(), 1000);
    let refused = wire.post_modern(listen(1, everything())).send().await;
    assert_eq!(refused.header("retry-after"), "10");
    insta::assert_snapshot!(refused.refusal().await, @"503 -32603: As many clients listen for changes as the server can take. Try again later.");
    assert_eq!(server.resource_updated("it://motd"), 1000);
    for stream in &mut streams {
        assert_eq!(stream.what().await.unwrap(), "resources/updated");
    }
    streams.pop();
    let _again = wire.listen(1, everything()).await;
    assert_eq!(endpoint.listeners(), 1000);
    drop((streams, _again));
    assert_eq!(endpoint.listeners(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_principal_cannot_take_all_the_room() {
    let endpoint = by_header(server()).max_listens(3).max_listens_per_principal(2).build();
    let (her, him) = (Wire::new(&endpoint).with("x-who", "her"), Wire::new(&endpoint).with("x-who", "him"));
    let (first, _second) = (her.listen(1, everything()).await, her.listen(2, everything()).await);
    let refused = her.post_modern(listen(3, everything())).send().await;
    insta::assert_snapshot!(refused.refusal().await, @"503 -32603: You listen 2 times already, as often as you may. End one of those, or ask for more in one request.");
    let _his = him.listen(1, everything()).await;
    let refused = him.post_modern(listen(2, everything())).send().await;
    insta::assert_snapshot!(refused.refusal().await, @"503 -32603: As many clients listen for changes as the server can take. Try again later.");
    drop(first);
    let _again = her.listen(4, everything()).await;
}

// How it ends

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_what_waits_answers_and_closes() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let wire = Wire::new(&endpoint);
    let mut streams = [wire.listen("a", everything()).await, wire.listen("b", everything()).await];
    server.resource_updated("it://motd");
    let draining = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.drain(Duration::from_secs(5)).await }
    });
    for stream in &mut streams {
        assert_eq!(stream.what().await.unwrap(), "resources/updated");
        let (what, answer) = stream.next().await.unwrap();
        assert_eq!(what, "result");
        assert_eq!(answer["result"]["resultType"], "complete");
        assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "it");
        assert_eq!(stream.what().await, None);
    }
    drop(streams);
    within(draining).await.unwrap();
    let refused = wire.post_modern(listen("c", everything())).send().await;
    assert_eq!(refused.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn an_application_can_take_a_subscription_back() {
    let endpoint = by_header(server()).build();
    let (her, him) = (Wire::new(&endpoint).with("x-who", "her"), Wire::new(&endpoint).with("x-who", "him"));
    let (mut hers, mut his) = (her.listen("h", everything()).await, him.listen("h", everything()).await);
    let is_her = |peer: &PeerInfo<'_>| peer.caller.principal().is_some_and(|who| &*who.subject == "her");
    assert_eq!(endpoint.end_listens(is_her, "You were logged out."), 1);
    let (what, message) = hers.next().await.unwrap();
    assert_eq!(what, "cancelled");
    assert_eq!(
        (&message["params"]["requestId"], &message["params"]["reason"]),
        (&json!("h"), &json!("You were logged out."))
    );
    assert_eq!(hers.what().await, None);
    assert!(his.is_quiet().await);
}

// Real sockets

#[tokio::test]
async fn a_lost_connection_frees_its_place() {
    let endpoint = StreamableHttp::builder(server()).max_listens(1).build();
    let loopback = Loopback::serve(&endpoint).await;
    let lost = listen_on(TcpStream::connect(loopback.address).await.unwrap(), &everything()).await;
    assert_eq!(endpoint.listeners(), 1);
    drop(lost);
    until(|| endpoint.listeners() == 0).await;
    let kept = listen_on(TcpStream::connect(loopback.address).await.unwrap(), &everything()).await;
    assert_eq!(endpoint.listeners(), 1);
    // A shutdown ends it in good order: the answer, the end of the body, the end of the connection.
    let (_, rest) = tokio::join!(loopback.stop(), read_to_end(kept));
    assert!(rest.contains(r#""id":1,"result":{"resultType":"complete""#), "{rest}");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn who_does_not_read_is_reset_and_holds_up_nobody() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, endpoint.clone()).write_timeout(Duration::from_millis(200)).into_future());
    // Together as long as may be, so that each round of changes is much to read.
    let uris: Vec<String> = (0..64).map(|number| format!("it://{number}/{}", "x".repeat(1000))).collect();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let mut unread = listen_on(stream, &json!({ "resourceSubscriptions": uris })).await;
    let mut reader = listen_on(TcpStream::connect(address).await.unwrap(), &everything()).await;
    assert_eq!(endpoint.listeners(), 2);
    let mut told = 0;
    until(|| {
        for uri in &uris {
            told += server.resource_updated(uri);
        }
        endpoint.listeners() == 1
    })
    .await;
    assert!(told > 1000, "it took many changes: {told}");
    // What had left the server is still there to read, and then the reset.
    let ended = within(async {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match unread.read(&mut chunk).await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    });
    assert!(ended.await);
    server.resource_updated("it://motd");
    read_until(&mut reader, "resources/updated").await;
}

#[tokio::test]
async fn many_listen_over_one_http_2_connection() {
    let server = server();
    let endpoint = StreamableHttp::new(server.clone());
    let loopback = Loopback::serve(&endpoint).await;
    let socket = TcpStream::connect(loopback.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..20 {
        // Requests of one connection need no ids of their own: each has its stream.
        let request = Request::post(format!("http://{}/mcp", loopback.address))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", MODERN.date())
            .header("mcp-method", "subscriptions/listen")
            .body(Full::new(Bytes::from(listen(1, everything()).to_string())))
            .unwrap();
        let mut body = sender.clone().send_request(request).await.unwrap().into_body();
        assert!(next_text(&mut body).await.contains("subscriptions/acknowledged"));
        streams.push(body);
    }
    assert_eq!(endpoint.listeners(), 20);
    assert_eq!(server.resource_updated("it://motd"), 20);
    for stream in &mut streams {
        assert!(next_text(stream).await.contains("resources/updated"));
    }
    // Closing one stream takes one request back.
    streams.truncate(5);
    until(|| endpoint.listeners() == 5).await;
    assert_eq!(server.resource_updated("it://motd"), 5);
    drop(streams);
    until(|| endpoint.listeners() == 0).await;
    connection.abort();
    loopback.stop().await;
}

async fn next_text(body: &mut Incoming) -> String {
    let data = within(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

/// Listens over this connection, and reads as far as the acknowledgment.
async fn listen_on(mut stream: TcpStream, filter: &Value) -> TcpStream {
    let body = listen(1, filter.clone()).to_string();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         mcp-protocol-version: {}\r\nmcp-method: subscriptions/listen\r\ncontent-length: {}\r\n\r\n",
        MODERN.date(),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    read_until(&mut stream, "subscriptions/acknowledged").await;
    stream
}

async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        assert_ne!(
            within(stream.read_buf(&mut read)).await.unwrap(),
            0,
            "{}",
            String::from_utf8_lossy(&read)
        );
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    within(stream.read_to_end(&mut read)).await.unwrap();
    String::from_utf8_lossy(&read).into_owned()
}
