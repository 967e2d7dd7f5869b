//! `throughline connect`: the binary between a host that only speaks stdio and a server over the network.

mod bytes;
mod ends;
#[cfg(unix)]
mod login;
mod lost;
mod modern;
mod relay;
mod scripted;
mod sessions;

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::process::binary;
use super::within;

/// A host that started the bridge.
struct Host {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    /// What came while something else was waited for.
    seen: Vec<Value>,
}

impl Host {
    fn start(url: &str, arguments: &[&str]) -> Self {
        Self::of(binary(&[&["connect", url], arguments].concat()))
    }

    fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().expect("it starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, input, output, seen: Vec::new() }
    }

    /// A host that opened a session of this revision.
    async fn open(url: &str, arguments: &[&str], revision: &str) -> Self {
        let mut host = Self::start(url, arguments);
        let answer = host.initialize(revision).await;
        assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
        host.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        host
    }

    async fn initialize(&mut self, revision: &str) -> Value {
        self.ask(
            json!("open"),
            "initialize",
            json!({
                "protocolVersion": revision,
                "capabilities": {"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}},
                "clientInfo": {"name": "host", "version": "1"},
            }),
        )
        .await
    }

    async fn say(&mut self, message: &Value) {
        self.say_line(&message.to_string()).await;
    }

    async fn say_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("it was not closed");
        within("reading", input.write_all(format!("{line}\n").as_bytes())).await.expect("it reads");
    }

    async fn request(&mut self, id: Value, method: &str, params: Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
    }

    /// Sends a request, and waits for its answer; what comes before is [`seen`](Self::seen).
    async fn ask(&mut self, id: Value, method: &str, params: Value) -> Value {
        self.request(id.clone(), method, params).await;
        self.answer(&id).await
    }

    async fn answer(&mut self, id: &Value) -> Value {
        loop {
            let message = self.next().await;
            if message["id"] == *id && message["method"].is_null() {
                return message;
            }
            self.seen.push(message);
        }
    }

    /// Waits for a request or a notification.
    async fn told(&mut self, method: &str) -> Value {
        if let Some(at) = self.seen.iter().position(|message| message["method"] == method) {
            return self.seen.remove(at);
        }
        loop {
            let message = self.next().await;
            if message["method"] == method {
                return message;
            }
            self.seen.push(message);
        }
    }

    async fn reply(&mut self, question: &Value, result: Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": question["id"], "result": result})).await;
    }

    async fn line(&mut self) -> Option<String> {
        within("a line", self.output.next_line()).await.expect("it writes UTF-8")
    }

    async fn next(&mut self) -> Value {
        let line = self.line().await.expect("a message before the end");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Waits for a line on standard error with this in it.
    #[cfg(unix)]
    async fn stderr_line_with(&mut self, part: &str) -> String {
        let stderr = self.child.stderr.as_mut().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        loop {
            let line = within(part, lines.next_line()).await.expect("it writes UTF-8");
            let line = line.unwrap_or_else(|| panic!("standard error ended without `{part}`"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The progress that came, with this token.
    fn progress(&mut self, token: &Value) -> Vec<u64> {
        let mut steps = Vec::new();
        self.seen.retain(|message| {
            let is =
                message["method"] == "notifications/progress" && message["params"]["progressToken"] == *token;
            steps.extend(message["params"]["progress"].as_u64().filter(|_| is));
            !is
        });
        steps
    }

    /// Closes the input, and waits for the end: the exit code, what came last, and the log.
    async fn close(mut self) -> (i32, Vec<Value>, String) {
        self.input = None;
        self.ended().await
    }

    async fn ended(mut self) -> (i32, Vec<Value>, String) {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        let status = within("the end of the program", self.child.wait()).await.expect("it is ours");
        let mut log = String::new();
        let mut stderr = self.child.stderr.take().expect("it is piped");
        within("the end of the log", stderr.read_to_string(&mut log)).await.expect("it writes UTF-8");
        (status.code().expect("it was not killed"), rest, log)
    }
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"))
}
