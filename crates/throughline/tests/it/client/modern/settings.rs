//! What every request says: the level of logs; and what has another form than in the legacy era.

use std::future::IntoFuture;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{LoggingLevel, Meta};

use super::scripted::{BOTH, Over, Scripted, connected, discovered};

const LEVEL: &str = "io.modelcontextprotocol/logLevel";

/// Answers one call, and says which level it asked for.
async fn level(server: &mut Scripted, call: impl IntoFuture) -> Value {
    let (_, level) = tokio::join!(call.into_future(), async {
        let seen = server.next().await;
        assert_eq!(seen.method(), "tools/call");
        let level = seen.meta(LEVEL).clone();
        seen.result(json!({ "resultType": "complete", "content": [] }));
        level
    });
    level
}

#[tokio::test(start_paused = true)]
async fn the_level_of_logs_is_in_every_request() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| connect).await;
        assert_eq!(level(&mut server, client.call_tool("x", &())).await, Value::Null);
        // Nothing is sent for it.
        client.set_log_level(LoggingLevel::Info).await.unwrap();
        assert!(server.is_quiet().await);
        assert_eq!(level(&mut server, client.call_tool("x", &())).await, "info");
        client.clone().set_log_level(LoggingLevel::Error).await.unwrap();
        assert_eq!(level(&mut server, client.call_tool("x", &())).await, "error");
        // A call may say another.
        let meta = Meta::new().with(LEVEL, "debug").unwrap();
        assert_eq!(level(&mut server, client.call_tool("x", &()).meta(meta)).await, "debug");
        client.close().await.unwrap();
        assert!(client.set_log_level(LoggingLevel::Info).await.unwrap_err().is_closed());

        let (mut server, client) = connected(over, |connect| connect.log_level(LoggingLevel::Notice)).await;
        assert_eq!(level(&mut server, client.call_tool("x", &())).await, "notice");
    }
}

#[tokio::test(start_paused = true)]
async fn roots_that_changed_are_nobodys_news() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| connect).await;
        client.roots_changed().await.unwrap();
        assert!(server.is_quiet().await);
        // A notification of the caller's own is sent as every message is.
        let date = client.revision().date();
        let (sent, ()) = tokio::join!(client.notify("notifications/it.example/lunch", &()), async {
            let seen = server.expect("notifications/it.example/lunch").await;
            if over == Over::Http {
                assert_eq!(seen.header("mcp-method"), "notifications/it.example/lunch");
                assert_eq!(seen.header("mcp-protocol-version"), date);
            }
            seen.accept();
        });
        sent.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_asks_what_the_server_is() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| connect).await;
        for _ in 0..2 {
            let (pong, ()) = tokio::join!(client.ping().into_future(), async {
                let mut found = discovered();
                found["ttlMs"] = json!(60_000);
                server.expect("server/discover").await.result(found);
            });
            let pong: Raw = pong.unwrap();
            assert!(pong.as_str().contains("supportedVersions"));
        }
    }
}
