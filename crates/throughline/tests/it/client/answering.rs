//! A server over a pipe that answers each request by a function, so that a test can have it lie.

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Client, Connect};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// What is said to one request.
#[derive(Default)]
pub(super) struct Said {
    /// Messages before the answer, without their version.
    before: Vec<Value>,
    /// The answer's own member, `result` or `error`.
    answer: Value,
}

impl Said {
    pub(super) fn result(result: Value) -> Self {
        Self { before: Vec::new(), answer: json!({ "result": result }) }
    }

    pub(super) fn error(code: i64, data: Value) -> Self {
        let error = json!({ "code": code, "message": "not so", "data": data });
        Self { before: Vec::new(), answer: json!({ "error": error }) }
    }

    pub(super) fn after(mut self, before: impl IntoIterator<Item = Value>) -> Self {
        self.before.extend(before);
        self
    }
}

/// A client that begins with a session, and what it answers to requests of the server's.
pub(super) fn answering(
    answer: impl Fn(&str, &Value) -> Said + Send + 'static,
) -> (Connect, mpsc::UnboundedReceiver<Value>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (tell, answers) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (reader, mut writer) = tokio::io::split(far);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("the client writes JSON");
            let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) else {
                if message.get("method").is_none() {
                    let _ = tell.send(message);
                }
                continue;
            };
            let Said { before, answer } = match method {
                "initialize" => Said::result(json!({
                    "protocolVersion": Revision::LATEST_LEGACY.date(),
                    "capabilities": { "tools": { "listChanged": true } },
                    "serverInfo": { "name": "answering", "version": "1.0.0" },
                })),
                _ => answer(method, &message["params"]),
            };
            let answer = answer.as_object().expect("a member of an answer").clone();
            let mut answered = json!({ "id": id });
            answered.as_object_mut().expect("it is one").extend(answer);
            for mut said in before.into_iter().chain([answered]) {
                said["jsonrpc"] = json!("2.0");
                if writer.write_all(format!("{said}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    });
    let (reader, writer) = tokio::io::split(near);
    (Client::over_io(reader, writer).revision(Revision::LATEST_LEGACY), answers)
}
