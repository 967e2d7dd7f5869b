//! `throughline serve --stdio`, as the child of a client.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::process::binary;
use super::within;

/// A server that was started by this client.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Session {
    /// Starts it, and opens its session.
    async fn open(arguments: &[&str], capabilities: Value) -> Self {
        let mut command = binary(&["serve", "--stdio"]);
        let mut child = command.args(arguments).stdin(Stdio::piped()).spawn().expect("it starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut session = Self { child, input, output };
        session
            .send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": "2025-11-25", "capabilities": capabilities,
                "clientInfo": {"name": "test", "version": "1"},
            }}))
            .await;
        let answer = session.next().await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "throughline-demo", "{answer}");
        session.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        session
    }

    async fn send(&mut self, message: &Value) {
        let line = format!("{message}\n");
        let input = self.input.as_mut().expect("it was not closed");
        within("reading", input.write_all(line.as_bytes())).await.expect("it reads");
    }

    async fn call(&mut self, id: u32, tool: &str, arguments: Value) {
        let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": id}});
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})).await;
    }

    /// The next line; `None` at the end. Every line has to be a message.
    async fn next_or_end(&mut self) -> Option<Value> {
        let line = within("a line", self.output.next_line()).await.expect("it writes UTF-8")?;
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        Some(message)
    }

    async fn next(&mut self) -> Value {
        self.next_or_end().await.expect("a message before the end")
    }

    /// Waits for its end: the exit code, what it still wrote, and the log.
    async fn ended(mut self) -> (i32, Vec<Value>, String) {
        let mut rest = Vec::new();
        while let Some(message) = self.next_or_end().await {
            rest.push(message);
        }
        let status = within("the end of the program", self.child.wait()).await.expect("it is ours");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        within("the end of the log", stderr.read_to_string(&mut log)).await.expect("it writes UTF-8");
        (status.code().expect("it was not killed"), rest, log)
    }
}

#[tokio::test]
async fn a_client_that_starts_it_is_served_until_it_closes_the_input() {
    let mut session = Session::open(&["--log", "trace"], json!({"elicitation": {}})).await;
    session.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).await;
    assert!(session.next().await["result"]["tools"].as_array().is_some_and(|tools| tools.len() > 3));

    session.call(2, "ask_permission", json!({"path": "a.txt"})).await;
    loop {
        let message = session.next().await;
        if message["method"] == "elicitation/create" {
            let result = json!({"action": "accept", "content": {"allow": true}});
            session.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).await;
        } else if message["id"] == 2 {
            assert_eq!(message["result"]["content"][0]["text"], "Permission granted: a.txt may be changed.");
            break;
        }
    }

    // A call that runs when the input ends is answered.
    session.call(3, "slow", json!({"ms": 300, "events": 3})).await;
    assert_eq!(session.next().await["params"]["progress"], 1);
    session.input = None;
    let (code, rest, log) = session.ended().await;
    assert_eq!(code, 0, "{log}");
    assert_eq!(rest.len(), 3, "two notifications and the answer: {rest:?}");
    assert_eq!(rest[2]["result"]["content"][0]["text"], "done after 300 ms and 3 events");
    assert!(log.contains("stopped"), "the log is on standard error: {log}");
}

#[tokio::test]
async fn a_call_that_takes_longer_than_the_grace_is_dropped() {
    let mut session = Session::open(&["--shutdown-grace", "10ms"], json!({})).await;
    session.call(1, "slow", json!({"ms": 600_000, "events": 1000})).await;
    assert_eq!(session.next().await["params"]["progress"], 1);
    session.input = None;
    let (code, rest, log) = session.ended().await;
    assert_eq!(code, 0, "{log}");
    let last = rest.last().expect("an answer");
    assert_eq!((&last["id"], &last["error"]["code"]), (&json!(1), &json!(-32600)), "{last}");
}

/// The input stays open: nothing that waits for it may hold up the end.
#[tokio::test]
async fn it_ends_when_nobody_reads_its_output() {
    let mut session = Session::open(&[], json!({})).await;
    drop(session.output);
    let ping = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    session.input.as_mut().expect("it is open").write_all(ping).await.expect("it reads");
    let status = within("the end of the program", session.child.wait()).await.expect("it is ours");
    assert_eq!(status.code(), Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn it_ends_when_told_to_while_its_input_is_open() {
    let mut session = Session::open(&[], json!({})).await;
    session.call(1, "slow", json!({"ms": 300, "events": 3})).await;
    assert_eq!(session.next().await["params"]["progress"], 1);
    let id = session.child.id().expect("it runs").cast_signed();
    let id = rustix::process::Pid::from_raw(id).expect("no process has the id 0");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is ours");
    let input = session.input.take();
    let (code, rest, log) = session.ended().await;
    drop(input);
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        rest.last().expect("an answer")["result"]["content"][0]["text"],
        "done after 300 ms and 3 events"
    );
}
