//! Questions by result: answered by the handlers, or handed to the caller.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::jsonrpc::Raw;
use throughline::model::{ElicitResult, ListRootsResult};
use throughline::{Connect, Round};
use tokio::sync::{Barrier, oneshot};

use super::scripted::{BOTH, Over, Seen, connected};
use crate::support::within;

/// A state that looks like nothing else: escapes, quotes, what is no ASCII, and what looks like JSON.
const STATE: &str = "\u{0}\"\\/\u{7f}\u{2028}é😀 {\"a\":1} ";

fn elicit(message: &str) -> Value {
    json!({
        "method": "elicitation/create",
        "params": {
            "message": message,
            "requestedSchema": { "type": "object", "properties": { "ok": { "type": "boolean" } } },
        },
    })
}

fn asks(questions: Value, state: Option<&str>) -> Value {
    let mut result = json!({ "resultType": "input_required", "inputRequests": questions });
    if questions_are_none(&result) {
        result.as_object_mut().unwrap().remove("inputRequests");
    }
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    result
}

fn questions_are_none(result: &Value) -> bool {
    result["inputRequests"].is_null()
}

fn done() -> Value {
    json!({ "resultType": "complete", "content": [{ "type": "text", "text": "done" }] })
}

fn yes() -> ElicitResult {
    ElicitResult::accept(Raw::new(&json!({ "ok": true })).unwrap())
}

fn approving(connect: Connect) -> Connect {
    connect.on_elicit(|_| std::future::ready(Ok(yes())))
}

/// What a request has beside its metadata.
fn bare(seen: &Seen) -> Value {
    let mut params = seen.params().clone();
    params.as_object_mut().unwrap().remove("_meta");
    params
}

#[tokio::test(start_paused = true)]
async fn a_round_is_the_request_again_with_answers_and_state() {
    for over in BOTH {
        let (mut server, client) = connected(over, approving).await;
        let first = json!({ "name": "t", "arguments": { "x": 1 } });
        let (called, ()) = tokio::join!(client.call_tool("t", &json!({ "x": 1 })).into_future(), async {
            let one = server.expect("tools/call").await;
            assert_eq!(bare(&one), first);
            let (id, progress) = (one.id(), one.meta("progressToken").clone());
            one.result(asks(json!({ "q 1": elicit("?") }), Some(STATE)));

            let two = server.expect("tools/call").await;
            assert_ne!(two.id(), id);
            assert_ne!(two.meta("progressToken"), &progress, "it is that of another request");
            let answer = json!({ "action": "accept", "content": { "ok": true } });
            let mut wanted = first.clone();
            wanted["inputResponses"] = json!({ "q 1": answer });
            wanted["requestState"] = json!(STATE);
            assert_eq!(bare(&two), wanted);
            // Another question, and no state this time: none may be sent.
            two.result(asks(json!({ "q 2": elicit("?") }), None));

            let three = server.expect("tools/call").await;
            wanted["inputResponses"] = json!({ "q 2": answer });
            wanted.as_object_mut().unwrap().remove("requestState");
            assert_eq!(bare(&three), wanted);
            // A state alone: it is asked again at once.
            three.result(asks(Value::Null, Some("")));

            let four = server.expect("tools/call").await;
            let mut wanted = first.clone();
            wanted["requestState"] = json!("");
            assert_eq!(bare(&four), wanted);
            four.result(done());
        });
        assert_eq!(called.unwrap().content[0].as_text(), Some("done"), "{over:?}");
        assert!(server.is_quiet().await, "nothing is sent but requests");
        // The next call knows nothing of it.
        let (called, ()) = tokio::join!(client.call_tool("t", &json!({ "x": 1 })).into_future(), async {
            let seen = server.expect("tools/call").await;
            assert_eq!(bare(&seen), first);
            seen.result(done());
        });
        called.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_stays_with_its_call() {
    for over in BOTH {
        let (mut server, client) = connected(over, approving).await;
        let call = |name: &'static str| client.call_tool(name, &()).into_future();
        let (a, b, ()) = tokio::join!(call("a"), call("b"), async {
            let (one, two) = (server.next().await, server.next().await);
            for seen in [one, two] {
                let state = format!("state of {}", seen.params()["name"].as_str().unwrap());
                seen.result(asks(json!({ "q": elicit("?") }), Some(&state)));
            }
            for _ in 0..2 {
                let seen = server.expect("tools/call").await;
                let name = seen.params()["name"].as_str().unwrap().to_owned();
                assert_eq!(seen.params()["requestState"], format!("state of {name}"));
                seen.result(done());
            }
        });
        a.unwrap();
        b.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn questions_of_one_round_are_answered_at_the_same_time() {
    for over in BOTH {
        // Each waits for the others.
        let all = Arc::new(Barrier::new(3));
        let (mut server, client) = connected(over, |connect| {
            let (one, two) = (Arc::clone(&all), Arc::clone(&all));
            connect
                .on_elicit(move |_| {
                    let all = Arc::clone(&one);
                    async move {
                        all.wait().await;
                        Ok(yes())
                    }
                })
                .on_roots(move || {
                    let all = Arc::clone(&two);
                    async move {
                        all.wait().await;
                        Ok(ListRootsResult::new([]))
                    }
                })
        })
        .await;
        let (called, ()) = tokio::join!(client.call_tool("t", &()).into_future(), async {
            let questions = json!({
                "a": elicit("a"), "b": elicit("b"), "c": { "method": "roots/list", "params": {} },
            });
            server.expect("tools/call").await.result(asks(questions, Some("s")));
            let seen = server.expect("tools/call").await;
            let answers = seen.params()["inputResponses"].as_object().unwrap();
            assert_eq!(answers.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
            assert_eq!(answers["c"], json!({ "roots": [] }));
            seen.result(done());
        });
        called.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn rounds_have_an_end() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| approving(connect).max_rounds(3)).await;
        for questions in [json!({ "q": elicit("?") }), Value::Null] {
            let (called, ()) = tokio::join!(client.call_tool("t", &()).into_future(), async {
                for _ in 0..4 {
                    server.expect("tools/call").await.result(asks(questions.clone(), Some("s")));
                }
            });
            assert_eq!(
                called.unwrap_err().to_string(),
                "the server asked again after 3 rounds of answers; raise `max_rounds` if it may"
            );
            assert!(server.is_quiet().await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_answered_fails_the_call() {
    for over in BOTH {
        // Nobody answers roots, and one question fails.
        let (mut server, client) = connected(over, |connect| {
            connect
                .on_elicit(|_| std::future::ready(Err(throughline::McpError::internal("the user is away"))))
        })
        .await;
        let kinds = [
            (asks(json!({ "q": elicit("?") }), None), "the user is away"),
            (
                asks(json!({ "q": { "method": "roots/list" } }), None),
                "this client has no method `roots/list`",
            ),
            (asks(json!({ "q": { "method": "x/y", "params": {} } }), None), "`x/y` is no input request"),
            (asks(json!({ "q": { "method": "ping" } }), None), "`ping` is no input request"),
            (asks(json!({ "q": 7 }), None), "what it asks for cannot be read"),
            (asks(json!([]), None), "what it asks for cannot be read"),
            (asks(Value::Null, None), "neither what for nor in which state"),
            (json!({ "resultType": "input_required", "requestState": 7 }), "what it asks for cannot be read"),
        ];
        for (result, why) in kinds {
            let (called, ()) = tokio::join!(client.call_tool("t", &()).into_future(), async {
                server.expect("tools/call").await.result(result.clone());
            });
            let error = called.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(server.is_quiet().await);
        }
        // Where nothing may be asked.
        let (listed, ()) = tokio::join!(client.list_tools().into_future(), async {
            server.expect("tools/list").await.result(asks(json!({ "q": elicit("?") }), None));
        });
        let error = listed.unwrap_err();
        assert!(error.is_protocol_violation() && error.to_string().contains("`tools/list`"), "{error}");
        // The client is as good as before.
        let (called, ()) = tokio::join!(client.call_tool("t", &()).into_future(), async {
            server.expect("tools/call").await.result(done());
        });
        called.unwrap();
    }
}

/// Says when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_drops_its_answerers() {
    for over in BOTH {
        let (begun, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let (mut server, client) = connected(over, |connect| {
            connect.on_elicit(move |_| {
                let (gone, is_gone) = oneshot::channel();
                let guard = Dropped(Some(gone));
                begun.send(is_gone).unwrap();
                async move {
                    let _guard = guard;
                    std::future::pending::<()>().await;
                    Ok(yes())
                }
            })
        })
        .await;
        let mut calling = Box::pin(client.call_tool("t", &()).into_future());
        let is_gone = tokio::select! {
            _ = &mut calling => panic!("nobody answers"),
            () = async {
                server.expect("tools/call").await.result(asks(json!({ "q": elicit("?") }), Some("s")));
                std::future::pending::<()>().await;
            } => unreachable!(),
            is_gone = asked.recv() => is_gone.unwrap(),
        };
        drop(calling);
        within(is_gone).await.unwrap();
        // The request was answered: there is nothing to take back.
        assert!(server.is_quiet().await);
    }
}

#[tokio::test(start_paused = true)]
async fn the_users_time_is_not_the_servers() {
    for over in BOTH {
        let (mut server, client) = connected(over, |connect| {
            connect.timeout(Duration::from_secs(10)).max_total(Duration::from_secs(20)).on_elicit(|_| async {
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(yes())
            })
        })
        .await;
        let (called, ()) = tokio::join!(client.call_tool("t", &()).into_future(), async {
            server.expect("tools/call").await.result(asks(json!({ "q": elicit("?") }), Some("s")));
            server.expect("tools/call").await.result(done());
        });
        called.unwrap();
        // The server's own time counts as ever.
        let (called, seen) = tokio::join!(client.call_tool("t", &()).into_future(), async {
            server.expect("tools/call").await.result(asks(json!({ "q": elicit("?") }), Some("s")));
            server.expect("tools/call").await
        });
        assert!(called.unwrap_err().is_timeout());
        if over == Over::Pipe {
            // The request that is open is the one that is taken back.
            assert_eq!(server.expect("notifications/cancelled").await.params()["requestId"], seen.id());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_answer_by_itself() {
    for over in BOTH {
        let answered = Arc::new(AtomicUsize::new(0));
        let (mut server, client) = connected(over, |connect| {
            let answered = Arc::clone(&answered);
            connect.on_elicit(move |_| {
                answered.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok(yes()))
            })
        })
        .await;
        let (round, ()) = tokio::join!(client.call_tool("t", &()).one_round().into_future(), async {
            server.expect("tools/call").await.result(asks(json!({ "q": elicit("?") }), Some(STATE)));
        });
        let Round::InputRequired(required) = round.unwrap() else { panic!("it is asked") };
        assert_eq!(required.input_requests[0].0, "q");
        assert_eq!(answered.load(Ordering::Relaxed), 0);
        let answers = [("q".into(), Raw::new(&json!({ "action": "decline" })).unwrap())];
        let next = client.call_tool("t", &()).answers(answers, required.request_state).one_round();
        let (round, ()) = tokio::join!(next.into_future(), async {
            let seen = server.expect("tools/call").await;
            assert_eq!(seen.params()["requestState"], STATE);
            assert_eq!(seen.params()["inputResponses"], json!({ "q": { "action": "decline" } }));
            seen.result(done());
        });
        assert!(matches!(round.unwrap(), Round::Complete(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_asks_its_user_ends_with_the_client() {
    for over in BOTH {
        for hangs_up in [false, true] {
            if hangs_up && over == Over::Http {
                continue;
            }
            let (asked, is_asked) = oneshot::channel();
            let asked = std::sync::Mutex::new(Some(asked));
            let (mut server, client) = connected(over, |connect| {
                connect.on_elicit(move |_| {
                    let _ = asked.lock().unwrap().take().expect("it is asked once").send(());
                    std::future::pending()
                })
            })
            .await;
            let calling = client.clone();
            let running = tokio::spawn(async move { calling.call_tool("t", &()).await });
            server.expect("tools/call").await.result(asks(json!({ "q": elicit("?") }), Some("s")));
            within(is_asked).await.unwrap();
            if hangs_up {
                server.hang_up();
            } else {
                client.close().await.unwrap();
            }
            let error = within(running).await.unwrap().unwrap_err();
            assert!(!error.is_outcome_unknown(), "{over:?}: nothing is open at the server: {error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_asks_for_too_much_is_an_error() {
    for over in BOTH {
        let asked = Arc::new(AtomicUsize::new(0));
        let (mut server, client) = connected(over, |connect| {
            let asked = Arc::clone(&asked);
            connect.on_elicit(move |_| {
                asked.fetch_add(1, Ordering::Relaxed);
                std::future::ready(Ok(yes()))
            })
        })
        .await;
        let questions = |count: usize| -> Value {
            (0..count)
                .map(|question| (question.to_string(), elicit("?")))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let (called, ()) = tokio::join!(client.call_tool("t", &()).into_future(), async {
            server.expect("tools/call").await.result(asks(questions(64), None));
            server.expect("tools/call").await.result(asks(questions(65), None));
        });
        let error = called.unwrap_err();
        assert!(error.to_string().contains("65"), "{error}");
        assert_eq!(asked.load(Ordering::Relaxed), 64);
        assert!(server.is_quiet().await);
    }
}
