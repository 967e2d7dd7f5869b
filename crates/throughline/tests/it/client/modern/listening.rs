//! Hearing of changes: one `subscriptions/listen`, whatever becomes of it.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::{Value, json};
use throughline::{Client, Connect, Server, Stdio, StreamStatus, StreamableHttp, resource, tool};

use super::Notes;
use super::scripted::{BOTH, Over, Scripted, Stream, connected};
use crate::support::{settle, within};

fn hearing(connect: Connect, notes: &Notes) -> Connect {
    let updated = notes.clone();
    connect.on_tools_changed(notes.hear("tools")).on_resource_updated(move |params| {
        updated.0.lock().unwrap().push(params.uri.to_string());
    })
}

fn tools() -> Value {
    json!({ "toolsListChanged": true })
}

fn tools_and(uris: &[&str]) -> Value {
    json!({ "toolsListChanged": true, "resourceSubscriptions": uris })
}

/// A client that listens for the tools and for what it subscribes to, and its stream.
async fn listening(over: Over) -> (Scripted, Client, Notes, Stream) {
    let notes = Notes::default();
    let (mut server, client) = connected(over, |connect| hearing(connect, &notes)).await;
    let stream = server.expect("subscriptions/listen").await.stream();
    stream.acknowledge(tools());
    reaches(&client, StreamStatus::Open).await;
    (server, client, notes, stream)
}

async fn reaches(client: &Client, status: StreamStatus) {
    within(client.status().wait_for(|now| *now == status)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_when_nobody_listens() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| {
            // Who hears everything asks for nothing, and what there is no resource for is none to hear of.
            connect.on_notification(|_| {}).on_resource_updated(|_| {})
        })
        .await;
        assert!(server.is_quiet().await);
        assert_eq!(*client.status().borrow(), StreamStatus::Idle);
        drop(client);
        let (mut server, _client) =
            connected(over, |connect| connect.on_tools_changed(|| {}).standalone_stream(false)).await;
        assert!(server.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_asks_for_everything_that_is_listened_for() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| {
            connect.on_tools_changed(|| {}).on_prompts_changed(|| {}).on_resources_changed(|| {})
        })
        .await;
        let seen = server.expect("subscriptions/listen").await;
        let everything =
            json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
        assert_eq!(seen.params()["notifications"], everything);
        assert_eq!(seen.meta("io.modelcontextprotocol/protocolVersion"), client.revision().date());
        assert!(seen.id().is_number() && seen.meta("progressToken").is_null());
        if over == Over::Http {
            assert_eq!(seen.header("mcp-method"), "subscriptions/listen");
            assert_eq!(seen.header("mcp-protocol-version"), client.revision().date());
            assert_eq!(seen.header("mcp-name"), "");
        }
        assert!(server.is_quiet().await);
        assert_eq!(*client.status().borrow(), StreamStatus::Idle);
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_when_they_name_the_subscription() {
    for over in BOTH {
        let (mut server, client, notes, stream) = listening(over).await;
        stream.tell("tools/list_changed", json!({}));
        for foreign in [Value::Null, json!(4711), json!("1"), json!(stream.id.to_string())] {
            stream.tell_as(foreign, "tools/list_changed", json!({}));
        }
        // What was not asked for is not told either.
        stream.tell("resources/updated", json!({ "uri": "it://b" }));
        stream.tell("tools/list_changed", json!({}));
        settle().await;
        assert_eq!(notes.take(), ["tools", "tools"], "{over:?}");

        // On the response to another request it has no place.
        let (called, ()) = tokio::join!(client.call_tool("x", &()).into_future(), async {
            let call = server.expect("tools/call").await.stream();
            call.tell_as(Value::Null, "tools/list_changed", json!({}));
            call.send(json!({ "jsonrpc": "2.0", "id": call.id, "result": { "resultType": "complete", "content": [] } }));
        });
        called.unwrap();
        assert_eq!(notes.take(), [""; 0], "{over:?}");
        client.close().await.unwrap();
        if over == Over::Http {
            stream.closed(&mut server).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_replaces_the_stream_without_a_gap() {
    for over in BOTH {
        let (mut server, client, notes, first) = listening(over).await;
        let (subscribed, second) = tokio::join!(client.subscribe("it://a"), async {
            let seen = server.expect("subscriptions/listen").await;
            assert_eq!(seen.params()["notifications"], tools_and(&["it://a"]));
            let second = seen.stream();
            assert_ne!(second.id, first.id);
            // The first goes on until the second is agreed.
            first.tell("tools/list_changed", json!({}));
            settle().await;
            assert_eq!(notes.take(), ["tools"]);
            second.acknowledge(tools_and(&["it://a"]));
            second
        });
        subscribed.unwrap();
        second.tell("resources/updated", json!({ "uri": "it://a" }));
        first.closed(&mut server).await;
        first.tell("tools/list_changed", json!({}));
        settle().await;
        assert_eq!(notes.take(), ["it://a"], "{over:?}");
        assert_eq!(*client.status().borrow(), StreamStatus::Open);

        // It is subscribed to already: nothing has to be asked for.
        client.subscribe("it://a").await.unwrap();
        assert!(server.is_quiet().await);
        client.unsubscribe("it://a").await.unwrap();
        let seen = server.expect("subscriptions/listen").await;
        assert_eq!(seen.params()["notifications"], tools());
        let third = seen.stream();
        third.acknowledge(tools());
        second.closed(&mut server).await;
        assert!(server.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_not_agreed_is_an_error_of_its_caller() {
    for over in BOTH {
        let (mut server, client, notes, _first) = listening(over).await;
        let (subscribed, second) = tokio::join!(client.subscribe("it://secret"), async {
            let second = server.expect("subscriptions/listen").await.stream();
            second.acknowledge(tools());
            second
        });
        let error = subscribed.unwrap_err();
        assert_eq!(error.to_string(), "the server does not tell of changes of `it://secret`");
        // The stream serves for the rest, and the resource is not asked for again.
        settle().await;
        second.tell("tools/list_changed", json!({}));
        settle().await;
        assert_eq!(notes.take(), ["tools"]);
        let (subscribed, _third) = tokio::join!(client.subscribe("it://a"), async {
            let mut seen = server.next().await;
            if seen.method() == "notifications/cancelled" {
                seen = server.next().await;
            }
            assert_eq!(seen.params()["notifications"], tools_and(&["it://a"]));
            let third = seen.stream();
            third.acknowledge(tools_and(&["it://a"]));
            third
        });
        subscribed.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_leaves_the_stream_as_it_is() {
    for over in BOTH {
        let (mut server, client, notes, first) = listening(over).await;
        let (subscribed, ()) = tokio::join!(client.subscribe("it://a"), async {
            server.expect("subscriptions/listen").await.error(400, -32602);
        });
        let error = subscribed.unwrap_err();
        assert_eq!(error.error().unwrap().code.0, -32602);
        assert!(server.is_quiet().await);
        first.tell("tools/list_changed", json!({}));
        settle().await;
        assert_eq!((notes.take(), *client.status().borrow()), (vec!["tools".to_owned()], StreamStatus::Open));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_missed_is_told_once() {
    for over in BOTH {
        let (mut server, client, notes, first) = listening(over).await;
        let (subscribed, stream) = tokio::join!(client.subscribe("it://a"), async {
            let stream = server.expect("subscriptions/listen").await.stream();
            stream.acknowledge(tools_and(&["it://a"]));
            stream
        });
        subscribed.unwrap();
        first.closed(&mut server).await;
        assert_eq!(notes.take(), [""; 0]);
        // In good order or not: it is opened again, a second later.
        let lost = tokio::time::Instant::now();
        match over {
            Over::Http => drop(stream),
            Over::Pipe => stream.end(),
        }
        reaches(&client, StreamStatus::Reconnecting { lost: 0 }).await;
        let again = server.expect("subscriptions/listen").await;
        assert!(lost.elapsed() >= Duration::from_secs(1));
        assert_eq!(again.params()["notifications"], tools_and(&["it://a"]));
        let again = again.stream();
        assert_eq!(notes.take(), [""; 0], "not before it is open");
        again.acknowledge(tools_and(&["it://a"]));
        reaches(&client, StreamStatus::Open).await;
        assert_eq!(notes.take(), ["tools", "it://a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_the_subscription_back_is_asked_again() {
    for over in BOTH {
        let (mut server, client, _notes, stream) = listening(over).await;
        let params = json!({ "requestId": stream.id, "reason": "it is late" });
        stream.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
        reaches(&client, StreamStatus::Reconnecting { lost: 0 }).await;
        server.expect("subscriptions/listen").await.stream().acknowledge(tools());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_taken_back_is_not_read_on() {
    let (mut server, client, _notes, stream) = listening(Over::Http).await;
    let params = json!({ "requestId": stream.id });
    stream.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }));
    // Though the server does not end it.
    stream.closed(&mut server).await;
    let next = server.expect("subscriptions/listen").await.stream();
    next.acknowledge(tools());
    reaches(&client, StreamStatus::Open).await;
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_know_the_method_is_not_asked_again() {
    for over in BOTH {
        let notes = Notes::default();
        let (mut server, client) = connected(over, |connect| hearing(connect, &notes)).await;
        server.expect("subscriptions/listen").await.error(404, -32601);
        reaches(&client, StreamStatus::Unavailable).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(server.is_quiet().await);
        let (subscribed, ()) = tokio::join!(client.subscribe("it://a"), async {
            server.expect("subscriptions/listen").await.error(404, -32601);
        });
        assert_eq!(subscribed.unwrap_err().error().unwrap().code.0, -32601);
        // Everything else works.
        let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
            server.expect("tools/list").await.result(json!({ "resultType": "complete", "tools": [] }));
        });
        assert!(listed.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_skipped() {
    for over in BOTH {
        let (mut server, _client, notes, stream) = listening(over).await;
        for garbage in
            [json!(7), json!([]), json!({}), json!({ "method": "notifications/tools/list_changed" })]
        {
            stream.send(garbage);
        }
        // A question has no place there, and is not answered over HTTP.
        if over == Over::Http {
            stream.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }));
        }
        stream.tell("tools/list_changed", json!({}));
        settle().await;
        assert_eq!(notes.take(), ["tools"]);
        assert!(server.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_later_and_later() {
    let notes = Notes::default();
    let (mut server, client) = connected(Over::Http, |connect| hearing(connect, &notes)).await;
    let mut waits = Vec::new();
    for status in [503, 429, 502, 500] {
        let before = tokio::time::Instant::now();
        server.expect("subscriptions/listen").await.refuse(status);
        waits.push(before.elapsed());
        reaches(&client, StreamStatus::Reconnecting { lost: 0 }).await;
    }
    assert!(waits[1] >= Duration::from_secs(1) && waits[2] > waits[1] && waits[3] > waits[2], "{waits:?}");
    let stream = server.expect("subscriptions/listen").await.stream();
    stream.acknowledge(tools());
    reaches(&client, StreamStatus::Open).await;
    assert_eq!(notes.take(), [""; 0], "nothing was open before");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_acknowledged_is_given_up_in_time() {
    for over in BOTH {
        let (mut server, client) =
            connected(over, |connect| connect.timeout(Duration::from_secs(7)).on_tools_changed(|| {})).await;
        let silent = server.expect("subscriptions/listen").await.stream();
        silent.closed(&mut server).await;
        reaches(&client, StreamStatus::Reconnecting { lost: 0 }).await;
        let second = server.expect("subscriptions/listen").await.stream();
        // Who subscribes waits as long as for any call, and the wish is taken back.
        let begun = tokio::time::Instant::now();
        assert!(client.subscribe("it://a").await.unwrap_err().is_timeout());
        assert_eq!(begun.elapsed(), Duration::from_secs(7));
        drop(second);
        // What is asked for from now on is what is wanted. Whatever was asked before was given up.
        let asked = loop {
            let seen = server.next().await;
            if seen.method() == "subscriptions/listen" && seen.params()["notifications"] == tools() {
                break seen.stream();
            }
        };
        asked.acknowledge(tools());
        reaches(&client, StreamStatus::Open).await;
        assert!(server.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_subscription_is_taken_back() {
    for over in BOTH {
        let (mut server, client, _notes, first) = listening(over).await;
        let second = {
            let mut subscribing = Box::pin(client.subscribe("it://a"));
            tokio::select! {
                _ = &mut subscribing => panic!("nobody agreed"),
                seen = server.expect("subscriptions/listen") => seen.stream(),
            }
        };
        // What is open serves again.
        second.closed(&mut server).await;
        assert!(server.is_quiet().await);
        first.tell("tools/list_changed", json!({}));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_pipe_ends_the_stream() {
    let (server, client, _notes, _stream) = listening(Over::Pipe).await;
    server.hang_up();
    reaches(&client, StreamStatus::Unavailable).await;
    let error = client.subscribe("it://a").await.unwrap_err();
    assert!(error.is_connection_lost(), "{error}");
    client.close().await.unwrap();
    assert_eq!(*client.status().borrow(), StreamStatus::Closed);
    assert!(client.subscribe("it://a").await.unwrap_err().is_closed());
}

/// Our own server, over both transports.
#[tokio::test(start_paused = true)]
async fn our_own_server_tells_what_changes() {
    let make = || {
        Server::new("demo", "1.0.0").tool(tool("one", || async { "1" })).resource(resource(
            "it://motd",
            "motd",
            || async { "Hello" },
        ))
    };
    for over in BOTH {
        let (server, notes) = (make(), Notes::default());
        let connect = match over {
            Over::Http => Client::over(StreamableHttp::new(server.clone())),
            Over::Pipe => {
                let (ours, theirs) = tokio::io::duplex(4096);
                let (reader, writer) = tokio::io::split(theirs);
                tokio::spawn(Stdio::new(server.clone()).over(reader, writer).into_future());
                let (reader, writer) = tokio::io::split(ours);
                Client::over_io(reader, writer)
            }
        };
        let client = hearing(connect, &notes).await.unwrap();
        reaches(&client, StreamStatus::Open).await;
        client.subscribe("it://motd").await.unwrap();
        let told = |what: &'static str| {
            let notes = notes.clone();
            crate::support::until(move || notes.0.lock().unwrap().iter().any(|note| note == what))
        };
        server.resource_updated("it://motd");
        told("it://motd").await;
        server.add_tool(tool("two", || async { "2" })).unwrap();
        told("tools").await;
        client.unsubscribe("it://motd").await.unwrap();
        client.close().await.unwrap();
    }
}
