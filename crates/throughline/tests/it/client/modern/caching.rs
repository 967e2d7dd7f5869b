//! Results that are answered from memory while they are fresh.

use std::future::IntoFuture;
use std::time::Duration;

use serde_json::{Value, json};
use throughline::model::CallToolResult;
use throughline::{Client, ClientError, SharedCache};

use super::scripted::{BOTH, Over, Scripted, connected, scripted};
use crate::support::settle;

/// A page of tools, fresh for a minute.
fn page(names: &[&str], next: Option<&str>) -> Value {
    let tools: Vec<_> =
        names.iter().map(|name| json!({ "name": name, "inputSchema": { "type": "object" } })).collect();
    let mut page =
        json!({ "resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private" });
    if let Some(next) = next {
        page["nextCursor"] = json!(next);
    }
    page
}

fn contents(uri: &str) -> Value {
    json!({
        "resultType": "complete", "contents": [{ "uri": uri, "text": "x" }],
        "ttlMs": 60_000, "cacheScope": "private",
    })
}

/// The names of the tools; `answer`: what the server says, when it is asked.
async fn names(client: &Client, server: &mut Scripted, answer: Option<Value>) -> Vec<String> {
    let asked = async {
        if let Some(answer) = answer {
            server.expect("tools/list").await.result(answer);
        }
    };
    let (tools, ()) = tokio::join!(client.list_tools().into_future(), asked);
    assert!(server.is_quiet().await);
    tools.unwrap().iter().map(|tool| tool.name.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_fresh_list_is_not_asked_for_again() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| connect).await;
        assert_eq!(names(&client, &mut server, Some(page(&["a"], None))).await, ["a"]);
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert_eq!(names(&client, &mut server, None).await, ["a"]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(names(&client, &mut server, Some(page(&["b"], None))).await, ["b"]);
        assert_eq!(names(&client.clone(), &mut server, None).await, ["b"]);
        // Who wants the server's word gets it, and so do those who come after.
        let (fresh, ()) = tokio::join!(client.list_tools().fresh().into_future(), async {
            server.expect("tools/list").await.result(page(&["c"], None));
        });
        assert_eq!(&*fresh.unwrap()[0].name, "c");
        assert_eq!(names(&client, &mut server, None).await, ["c"]);
        client.close().await.unwrap();
        assert!(client.list_tools().await.unwrap_err().is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_without_hints_is_asked_for_each_time() {
    let (mut server, client) = connected(Over::Http, |connect| connect).await;
    for hints in [json!({}), json!({ "ttlMs": 0 }), json!({ "ttlMs": -1 }), json!({ "ttlMs": "60000" })] {
        let mut answer = page(&["a"], None);
        answer.as_object_mut().unwrap().remove("ttlMs");
        answer.as_object_mut().unwrap().extend(hints.as_object().unwrap().clone());
        names(&client, &mut server, Some(answer.clone())).await;
        names(&client, &mut server, Some(answer)).await;
    }
    // And where nothing is to be kept at all.
    let (mut server, client) = connected(Over::Http, |connect| connect.cache(false)).await;
    names(&client, &mut server, Some(page(&["a"], None))).await;
    names(&client, &mut server, Some(page(&["a"], None))).await;
}

#[tokio::test(start_paused = true)]
async fn the_legacy_era_has_no_hints() {
    for over in BOTH {
        let (mut server, connect) = scripted(over);
        let connect = connect.revision(throughline::revision::Revision::LATEST_LEGACY);
        let (client, ()) = tokio::join!(connect.into_future(), server.open_session(over));
        let client = client.unwrap();
        names(&client, &mut server, Some(page(&["a"], None))).await;
        names(&client, &mut server, Some(page(&["b"], None))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_all_that_counts() {
    let (mut server, client) = connected(Over::Http, |connect| connect).await;
    let read = |uri: &'static str| {
        let client = client.clone();
        async move { client.read_resource(uri).await.map(|result| result.contents.len()) }
    };
    for uri in ["it://a", "it://b"] {
        let (found, ()) = tokio::join!(read(uri), async {
            let seen = server.expect("resources/read").await;
            assert_eq!(seen.params()["uri"], uri);
            seen.result(contents(uri));
        });
        assert_eq!(found.unwrap(), 1);
    }
    assert_eq!(read("it://a").await.unwrap(), 1);
    // What is in `_meta` says nothing of what is asked for.
    let meta = throughline::model::Meta::new().with("it.example/trace", "1").unwrap();
    client.read_resource("it://a").meta(meta).on_progress(|_| {}).await.unwrap();
    // Errors and calls of tools are not kept.
    for _ in 0..2 {
        let (failed, ()) = tokio::join!(read("it://c"), async {
            server.expect("resources/read").await.error(200, -32603);
        });
        assert_eq!(failed.unwrap_err().error().unwrap().code.0, -32603);
        let (called, ()) = tokio::join!(client.call_tool("x", &()).into_future(), async {
            let result = json!({ "resultType": "complete", "content": [], "ttlMs": 60_000 });
            server.expect("tools/call").await.result(result);
        });
        let _: CallToolResult = called.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_rounds_gave_is_not_kept() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| connect).await;
        for _ in 0..2 {
            let (read, ()) = tokio::join!(client.read_resource("it://a").into_future(), async {
                let seen = server.expect("resources/read").await;
                assert!(seen.params().get("requestState").is_none());
                seen.result(json!({ "resultType": "input_required", "requestState": "s", "ttlMs": 60_000 }));
                let seen = server.expect("resources/read").await;
                assert_eq!(seen.params()["requestState"], "s");
                seen.result(contents("it://a"));
            });
            assert_eq!(read.unwrap().contents.len(), 1);
        }
        // Nor is a request with answers answered by what was kept without.
        let (read, ()) = tokio::join!(client.read_resource("it://a").into_future(), async {
            server.expect("resources/read").await.result(contents("it://a"));
        });
        read.unwrap();
        let answered = client.read_resource("it://a").answers([], Some("s".into()));
        let (read, ()) = tokio::join!(answered.into_future(), async {
            server.expect("resources/read").await.result(contents("it://a"));
        });
        read.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn changes_make_results_stale() {
    for over in BOTH {
        let (mut server, client) =
            connected(over, |connect| connect.on_tools_changed(|| {}).on_resource_updated(|_| {})).await;
        let stream = server.expect("subscriptions/listen").await.stream();
        stream.acknowledge(json!({ "toolsListChanged": true }));
        names(&client, &mut server, Some(page(&["a"], None))).await;
        // What is no subscription's says nothing.
        stream.tell_as(Value::Null, "tools/list_changed", json!({}));
        settle().await;
        assert_eq!(names(&client, &mut server, None).await, ["a"]);
        stream.tell("tools/list_changed", json!({}));
        settle().await;
        assert_eq!(names(&client, &mut server, Some(page(&["b"], None))).await, ["b"]);
        // A change while it is asked for: the answer may be older.
        let (listed, ()) = tokio::join!(client.list_tools().fresh().into_future(), async {
            let seen = server.expect("tools/list").await;
            stream.tell("tools/list_changed", json!({}));
            settle().await;
            seen.result(page(&["c"], None));
        });
        listed.unwrap();
        assert_eq!(names(&client, &mut server, Some(page(&["d"], None))).await, ["d"]);
        // Nobody knows what happened while the stream was lost.
        stream.end();
        let stream = server.expect("subscriptions/listen").await.stream();
        assert_eq!(names(&client, &mut server, None).await, ["d"]);
        stream.acknowledge(json!({ "toolsListChanged": true }));
        settle().await;
        assert_eq!(names(&client, &mut server, Some(page(&["e"], None))).await, ["e"]);

        // The same for a resource.
        let uri = "it://a";
        let (subscribed, second) = tokio::join!(client.subscribe(uri), async {
            let second = server.expect("subscriptions/listen").await.stream();
            second.acknowledge(json!({ "toolsListChanged": true, "resourceSubscriptions": [uri] }));
            second
        });
        subscribed.unwrap();
        stream.closed(&mut server).await;
        for _ in 0..2 {
            let (read, ()) = tokio::join!(client.read_resource(uri).into_future(), async {
                server.expect("resources/read").await.result(contents(uri));
            });
            read.unwrap();
            client.read_resource(uri).await.unwrap();
            second.tell("resources/updated", json!({ "uri": uri }));
            settle().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_page_is_kept_by_its_cursor() {
    let (mut server, client) = connected(Over::Http, |connect| connect).await;
    let listed = async |server: &mut Scripted, answers: Vec<(Value, Result<Value, i32>)>| {
        let asked = async {
            for (cursor, answer) in answers {
                let seen = server.expect("tools/list").await;
                assert_eq!(seen.params().get("cursor").unwrap_or(&Value::Null), &cursor);
                match answer {
                    Ok(page) => seen.result(page),
                    Err(code) => seen.error(200, code),
                }
            }
        };
        let (tools, ()) = tokio::join!(client.list_tools().into_future(), asked);
        assert!(server.is_quiet().await);
        tools.map(|tools| tools.iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>())
    };
    let mut last = page(&["b"], None);
    last["ttlMs"] = json!(1000);
    let both = vec![(Value::Null, Ok(page(&["a"], Some("")))), (json!(""), Ok(last))];
    assert_eq!(listed(&mut server, both).await.unwrap(), ["a", "b"]);
    assert_eq!(listed(&mut server, vec![]).await.unwrap(), ["a", "b"]);
    // The second page is stale, and its cursor no longer good: it begins anew.
    tokio::time::advance(Duration::from_secs(1)).await;
    let anew = vec![
        (json!(""), Err(-32602)),
        (Value::Null, Ok(page(&["c"], Some("2")))),
        (json!("2"), Ok(page(&["d"], None))),
    ];
    assert_eq!(listed(&mut server, anew).await.unwrap(), ["c", "d"]);
    // Once.
    let fails = async |server: &mut Scripted| -> ClientError {
        let (listed, ()) = tokio::join!(client.list_tools().fresh().into_future(), async {
            for _ in 0..2 {
                server.expect("tools/list").await.result(page(&["c"], Some("2")));
                server.expect("tools/list").await.error(200, -32602);
            }
        });
        listed.unwrap_err()
    };
    assert_eq!(fails(&mut server).await.error().unwrap().code.0, -32602);
    assert!(server.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn clients_share_what_is_public() {
    let cache = SharedCache::new();
    let shared = |name: Option<&'static str>| {
        let cache = cache.clone();
        connected(Over::Http, move |connect| {
            let connect = connect.shared_cache(cache);
            if let Some(name) = name { connect.cache_partition(name) } else { connect }
        })
    };
    let (mut server, ann) = shared(Some("ann")).await;
    names(&ann, &mut server, Some(page(&["anns"], None))).await;
    for other in [Some("bob"), None, None] {
        let (mut server, client) = shared(other).await;
        assert_eq!(names(&client, &mut server, Some(page(&["own"], None))).await, ["own"], "{other:?}");
    }
    let (mut server, again) = shared(Some("ann")).await;
    assert_eq!(names(&again, &mut server, None).await, ["anns"]);
    let mut public = page(&["all"], None);
    public["cacheScope"] = json!("public");
    let (listed, ()) = tokio::join!(again.list_tools().fresh().into_future(), async {
        server.expect("tools/list").await.result(public);
    });
    listed.unwrap();
    for other in [Some("ann"), Some("carl"), None] {
        let (mut server, client) = shared(other).await;
        assert_eq!(names(&client, &mut server, None).await, ["all"], "{other:?}");
    }
    assert!(!format!("{cache:?}").contains("own"));
}
