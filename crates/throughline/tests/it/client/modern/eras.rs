//! What a server speaks may change, and what was found out before may be wrong.

use std::future::IntoFuture;

use serde_json::json;
use throughline::model::LoggingLevel;
use throughline::revision::Revision;
use throughline::{Client, StreamStatus, Verdict};

use super::Notes;
use super::scripted::{BOTH, Over, Scripted, connected, discovered, scripted};
use crate::support::within;

const NEW: Revision = Revision::LATEST;
const OLD: Revision = Revision::LATEST_LEGACY;

fn verdict(revision: Revision) -> Verdict {
    serde_json::from_value(json!({ "revision": revision.date() })).unwrap()
}

fn no_tools() -> serde_json::Value {
    json!({ "resultType": "complete", "tools": [] })
}

fn unsupported() -> serde_json::Value {
    json!({ "supported": [OLD.date()], "requested": NEW.date() })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_drops_the_revision_is_asked_what_it_speaks_now() {
    for over in BOTH {
        let notes = Notes::default();
        let (mut server, client) =
            connected(over, |connect| connect.on_tools_changed(notes.hear("tools"))).await;
        let stream = server.expect("subscriptions/listen").await.stream();
        stream.acknowledge(json!({ "toolsListChanged": true }));
        within(client.status().wait_for(|now| *now == StreamStatus::Open)).await.unwrap();
        client.set_log_level(LoggingLevel::Info).await.unwrap();

        let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
            server.expect("tools/list").await.error_with(400, -32022, unsupported());
            server.expect("server/discover").await.error_with(400, -32022, unsupported());
            let initialize = server.expect("initialize").await;
            assert_eq!(initialize.params()["protocolVersion"], OLD.date());
            initialize.result(super::scripted::initialized());
            server.expect("notifications/initialized").await.accept();
            // The call is made again, in the session; what a new session is told goes beside it.
            let mut left = vec!["logging/setLevel", "tools/list"];
            if over == Over::Http {
                left.push("GET");
            } else {
                left.push("notifications/cancelled");
            }
            while !left.is_empty() {
                let seen = server.next().await;
                let what = if seen.verb == http::Method::GET { "GET" } else { seen.method() }.to_owned();
                left.retain(|awaited| *awaited != what);
                match what.as_str() {
                    "GET" => seen.refuse(405),
                    "tools/list" => {
                        assert!(seen.params().get("_meta").is_none());
                        seen.result(no_tools());
                    }
                    "logging/setLevel" => {
                        assert_eq!(seen.params()["level"], "info");
                        seen.result(json!({}));
                    }
                    _ => assert_eq!(seen.params()["requestId"], stream.id),
                }
            }
        });
        listed.unwrap();
        assert_eq!(client.revision(), OLD);
        let status = if over == Over::Http { StreamStatus::Unavailable } else { StreamStatus::Idle };
        within(client.status().wait_for(|now| *now == status)).await.unwrap();
        if over == Over::Http {
            stream.closed(&mut server).await;
        }
        assert!(server.is_quiet().await);
    }
}

/// The call ends so, after the server was asked what it speaks.
async fn fails_after_asking(client: &Client, server: &mut Scripted, refuse: impl Fn(super::scripted::Seen)) {
    let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
        refuse(server.expect("tools/list").await);
        server.expect("server/discover").await.result(discovered());
    });
    assert_eq!(listed.unwrap_err().status().unwrap(), 400);
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_that_was_none_leaves_the_error() {
    let (mut server, client) = connected(Over::Http, |connect| connect).await;
    fails_after_asking(&client, &mut server, |seen| seen.refuse(400)).await;
    fails_after_asking(&client, &mut server, |seen| seen.error(400, -32000)).await;
    assert_eq!(client.revision(), NEW);
    // Most errors raise none.
    for (status, code) in [(200, -32603), (404, -32601), (400, -32602), (400, -32021)] {
        let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
            server.expect("tools/list").await.error(status, code);
        });
        assert_eq!(listed.unwrap_err().error().unwrap().code.0, code);
        assert!(server.is_quiet().await);
    }
    for status in [401, 403, 413, 429, 500, 503] {
        let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
            server.expect("tools/list").await.refuse(status);
        });
        assert_eq!(listed.unwrap_err().status().unwrap(), status);
        assert!(server.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_became_older_is_spoken_to_as_such() {
    let (mut server, client) = connected(Over::Http, |connect| connect.standalone_stream(false)).await;
    let (a, b, ()) =
        tokio::join!(client.list_tools().into_future(), client.list_prompts().into_future(), async {
            // Of two who ask at the same time one finds out.
            let (one, two) = (server.next().await, server.next().await);
            one.error(400, -32000);
            two.refuse(404);
            server.expect("server/discover").await.error(400, -32000);
            server.expect("initialize").await.result(super::scripted::initialized());
            server.expect("notifications/initialized").await.accept();
            for _ in 0..2 {
                let seen = server.next().await;
                let list = if seen.method() == "tools/list" { "tools" } else { "prompts" };
                seen.result(json!({ list: [] }));
            }
        });
    a.unwrap();
    b.unwrap();
    assert_eq!(client.revision(), OLD);
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_new_session_is_told_its_settings_once() {
    let (mut server, client) = connected(Over::Http, |connect| connect.standalone_stream(false)).await;
    client.set_log_level(LoggingLevel::Info).await.unwrap();
    let calls = (0..3).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.list_tools().await })
    });
    let calls: Vec<_> = calls.collect();
    for call in [server.next().await, server.next().await, server.next().await] {
        call.error(400, -32000);
    }
    server.expect("server/discover").await.error(400, -32000);
    server.expect("initialize").await.result(super::scripted::initialized());
    server.expect("notifications/initialized").await.accept();
    let mut told = 0;
    for _ in 0..4 {
        let seen = server.next().await;
        if seen.method() == "logging/setLevel" {
            told += 1;
            seen.result(json!({}));
        } else {
            seen.result(no_tools());
        }
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(told, 1);
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_became_modern_is_spoken_to_as_such() {
    let (mut server, connect) = scripted(Over::Http);
    let notes = Notes::default();
    let connect = connect.on_tools_changed(notes.hear("tools")).verdict(verdict(OLD));
    let (client, ()) = tokio::join!(connect.into_future(), server.open_session(Over::Http));
    let client = client.unwrap();
    assert_eq!(client.session_id().as_deref(), Some("s-1"));
    // The session is gone, and there are none any more.
    let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
        server.expect("tools/list").await.refuse(404);
        server.expect("initialize").await.error(400, -32020);
        server.expect("server/discover").await.result(discovered());
        let (one, two) = (server.next().await, server.next().await);
        for seen in [one, two] {
            assert_eq!(seen.header("mcp-session-id"), "");
            assert_eq!(seen.header("mcp-protocol-version"), NEW.date());
            match seen.method() {
                "tools/list" => seen.result(no_tools()),
                "subscriptions/listen" => seen.error(404, -32601),
                method => panic!("{method}"),
            }
        }
    });
    listed.unwrap();
    assert_eq!((client.revision(), client.session_id()), (NEW, None));

    // Without sessions the first refusal says it.
    let (mut server, connect) = scripted(Over::Http);
    let connect = connect.verdict(verdict(OLD)).standalone_stream(false);
    let (client, ()) = tokio::join!(connect.into_future(), async {
        server.expect("initialize").await.result(super::scripted::initialized());
        server.expect("notifications/initialized").await.accept();
    });
    let client = client.unwrap();
    let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
        server.expect("tools/list").await.error(400, -32020);
        server.expect("server/discover").await.result(discovered());
        server.expect("tools/list").await.result(no_tools());
    });
    listed.unwrap();
    assert_eq!(client.revision(), NEW);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_again_once() {
    let (mut server, client) = connected(Over::Http, |connect| connect.standalone_stream(false)).await;
    let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
        server.expect("tools/list").await.refuse(405);
        server.expect("server/discover").await.refuse(405);
        server.expect("initialize").await.result(super::scripted::initialized());
        server.expect("notifications/initialized").await.accept();
        server.expect("tools/list").await.error(400, -32022);
    });
    assert_eq!(listed.unwrap_err().error().unwrap().code.0, -32022);
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_saves_the_question() {
    for over in BOTH {
        let (mut server, connect) = scripted(over);
        let (client, ()) =
            tokio::join!(connect.verdict(verdict(OLD)).into_future(), server.open_session(over));
        let client = client.unwrap();
        assert_eq!((client.revision(), client.verdict()), (OLD, verdict(OLD)));
        // A modern one is asked what it can do.
        let (mut server, connect) = scripted(over);
        let (client, ()) = tokio::join!(connect.verdict(verdict(NEW)).into_future(), async {
            server.expect("server/discover").await.result(discovered());
        });
        let client = client.unwrap();
        assert!(client.revision() == NEW && client.peer().capabilities.logging);
        // Both may be wrong.
        let (mut server, connect) = scripted(over);
        let (client, ()) = tokio::join!(connect.verdict(verdict(OLD)).into_future(), async {
            server.expect("initialize").await.error(404, -32601);
            server.expect("server/discover").await.result(discovered());
        });
        assert_eq!(client.unwrap().revision(), NEW);
        let (mut server, connect) = scripted(over);
        let (client, ()) = tokio::join!(connect.verdict(verdict(NEW)).into_future(), async {
            server.expect("server/discover").await.error(400, -32601);
            server.open_session(over).await;
        });
        assert_eq!(client.unwrap().revision(), OLD);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pinned_revision_is_spoken_or_nothing_is() {
    for over in BOTH {
        let (mut server, connect) = scripted(over);
        let connect = connect.revision(NEW).verdict(verdict(OLD));
        let (client, ()) = tokio::join!(connect.into_future(), async {
            server.expect("server/discover").await.error(404, -32601);
        });
        assert_eq!(client.unwrap_err().error().unwrap().code.0, -32601);
        // Also later: nothing else is tried.
        let (mut server, client) = connected(over, |connect| connect.revision(NEW)).await;
        let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
            server.expect("tools/list").await.error_with(400, -32022, unsupported());
            server.expect("server/discover").await.error_with(400, -32022, unsupported());
        });
        assert!(listed.unwrap_err().is_unsupported_revision());
        assert!(server.is_quiet().await);
    }
}
