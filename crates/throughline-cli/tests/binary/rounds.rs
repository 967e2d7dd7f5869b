//! The demo's questions without a session, over real processes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::http::{Connection, json as body_of};
use super::process::{Served, serve};

/// Gives each connection to the next server, whatever it carries.
async fn round_robin(servers: Vec<SocketAddr>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let turns = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&turns);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = servers[taken.fetch_add(1, Ordering::Relaxed) % servers.len()];
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.expect("it listens");
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, turns)
}

/// One round of a call, over a connection of its own.
async fn round(address: SocketAddr, tool: &str, arguments: &Value, state: &Value, responses: Value) -> Value {
    let mut params = json!({"name": tool, "arguments": arguments, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}, "sampling": {}, "roots": {}},
    }});
    if !state.is_null() {
        params["requestState"] = state.clone();
        params["inputResponses"] = responses;
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ];
    let mut connection = Connection::open(address).await;
    let response = connection.send(Method::POST, "/mcp", &headers, &message.to_string()).await;
    assert!(matches!(response.status(), StatusCode::OK | StatusCode::BAD_REQUEST));
    body_of(response).await
}

fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// Calls a tool, answering each question with the next of the answers; the questions and the text at the end.
async fn play(address: SocketAddr, tool: &str, arguments: Value, answers: &[Value]) -> (Vec<Value>, String) {
    let (mut state, mut responses, mut asked) = (Value::Null, Value::Null, Vec::new());
    for answer in answers {
        let message = round(address, tool, &arguments, &state, responses).await;
        let result = &message["result"];
        assert_eq!(result["resultType"], "input_required", "{message}");
        let questions = result["inputRequests"].as_object().expect("questions");
        let [(name, question)] = questions.iter().collect::<Vec<_>>()[..] else { panic!("{message}") };
        asked.push(question.clone());
        state = result["requestState"].clone();
        responses = json!({ name: answer });
    }
    let message = round(address, tool, &arguments, &state, responses).await;
    assert_eq!(message["result"]["resultType"], "complete", "{message}");
    (asked, message["result"]["content"][0]["text"].as_str().expect("a text").to_owned())
}

fn trip() -> [Value; 3] {
    [
        accept(json!({"from": "Ulm", "to": "Bonn"})),
        accept(json!({"people": 2, "by": "train"})),
        accept(json!({"book": true})),
    ]
}

#[tokio::test]
async fn two_processes_with_one_key_are_one_server() {
    let secret = "the same secret on both machines, long enough";
    let servers: [Served; 2] = [serve(&["--seal-key", secret]).await, serve(&["--seal-key", secret]).await];
    let (proxy, turns) = round_robin(servers.iter().map(|server| server.address).collect()).await;
    // Each trip takes four connections: with one more between them, both servers get to make an offer.
    for _ in 0..2 {
        let (asked, text) = play(proxy, "plan_trip", json!({}), &trip()).await;
        let offer = asked[2]["params"]["message"].as_str().expect("a text");
        let number = offer.split([' ', ':']).nth(1).expect("its number");
        assert_eq!(offer, format!("Offer {number}: 2 by train from Ulm to Bonn. Take it?"));
        assert_eq!(text, format!("Offer {number} (2 by train from Ulm to Bonn) is taken."));
        assert!(number.ends_with("-1"), "each process has made one offer in all: {number}");
        round(proxy, "plan_trip", &json!({}), &Value::Null, Value::Null).await;
    }
    assert_eq!(turns.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn processes_with_keys_of_their_own_refuse_each_other() {
    let servers = [serve(&[]).await, serve(&[]).await];
    let first = round(servers[0].address, "plan_trip", &json!({}), &Value::Null, Value::Null).await;
    let state = &first["result"]["requestState"];
    let answers = json!({"route": trip()[0]});
    let refused = round(servers[1].address, "plan_trip", &json!({}), state, answers.clone()).await;
    assert_eq!(refused["error"]["code"], -32602);
    let next = round(servers[0].address, "plan_trip", &json!({}), state, answers).await;
    assert!(next["result"]["inputRequests"]["travel"].is_object(), "{next}");
}

#[tokio::test]
async fn the_tools_that_ask_are_the_same_without_a_session() {
    let server = serve(&[]).await;
    let path = json!({"path": "a.txt"});
    for (answer, says) in [
        (accept(json!({"allow": true})), "Permission granted: a.txt may be changed."),
        (accept(json!({"allow": false})), "Permission refused: a.txt stays as it is."),
        (json!({"action": "decline"}), "The user declined to answer: a.txt stays as it is."),
        (json!({"action": "cancel"}), "The user closed the question: a.txt stays as it is."),
    ] {
        let (asked, text) = play(server.address, "ask_permission", path.clone(), &[answer]).await;
        assert_eq!(asked[0]["params"]["message"], "May a.txt be changed?");
        assert_eq!(text, says);
    }
    let sample =
        json!({"role": "assistant", "content": {"type": "text", "text": "In short: long."}, "model": "m"});
    let (asked, text) = play(server.address, "summarize", json!({"text": "long"}), &[sample]).await;
    assert_eq!(asked[0]["method"], "sampling/createMessage");
    assert_eq!(text, "In short: long.");
    let roots = json!({"roots": [{"uri": "file:///a"}]});
    let (_, text) = play(server.address, "list_project_roots", json!({}), &[roots]).await;
    assert_eq!(text, "file:///a");
}
