//! A client of a server over stdio, by hand: both pipes are in memory.

use std::collections::HashMap;
use std::io;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Server, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

use super::{MODERN, checked, initialize, within};

/// What the test says is what is sent; what comes back is checked.
pub(crate) struct Lines {
    input: Option<DuplexStream>,
    output: Option<tokio::io::Lines<BufReader<DuplexStream>>>,
    serving: JoinHandle<io::Result<()>>,
    revision: Revision,
    /// The method of each request, by id, and whether it is of the modern era.
    methods: HashMap<String, (String, bool)>,
}

impl Lines {
    /// Without a session.
    pub(crate) fn start(stdio: Stdio) -> Self {
        Self::start_with(stdio, 64 * 1024)
    }

    /// The same, with pipes that hold so many bytes.
    pub(crate) fn start_with(stdio: Stdio, bytes: usize) -> Self {
        let (input, reader) = tokio::io::duplex(bytes);
        let (writer, output) = tokio::io::duplex(bytes);
        Self {
            input: Some(input),
            output: Some(BufReader::new(output).lines()),
            serving: tokio::spawn(stdio.over(reader, writer).into_future()),
            revision: Revision::LATEST_LEGACY,
            methods: HashMap::new(),
        }
    }

    /// With a session that is ready.
    pub(crate) async fn open(server: Server, revision: Revision, capabilities: Value) -> Self {
        let mut lines = Self::start(server.stdio());
        lines.initialize(revision, &capabilities).await;
        lines
    }

    /// Opens the session; the answer.
    pub(crate) async fn initialize(&mut self, revision: Revision, capabilities: &Value) -> Value {
        self.send(&initialize(revision, capabilities)).await;
        self.revision = revision;
        let answer = self.next().await;
        assert_eq!(answer["result"]["protocolVersion"], revision.date(), "{answer}");
        self.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer
    }

    /// Sends a message, or a batch.
    pub(crate) async fn send(&mut self, message: &Value) {
        self.note(message);
        self.send_text(&format!("{message}\n")).await;
    }

    /// Remembers what is sent by other means, so that its answer can be checked.
    pub(crate) fn note(&mut self, message: &Value) {
        let messages = message.as_array().map_or(std::slice::from_ref(message), Vec::as_slice);
        for message in messages {
            if let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) {
                let is_modern =
                    !message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"].is_null();
                self.methods.insert(id.to_string(), (method.to_owned(), is_modern));
            }
        }
    }

    /// Sends anything.
    pub(crate) async fn send_text(&mut self, text: impl AsRef<[u8]>) {
        let input = self.input.as_mut().expect("it was not ended");
        within(input.write_all(text.as_ref())).await.expect("the server reads");
    }

    /// The next line, which must be there.
    pub(crate) async fn next(&mut self) -> Value {
        self.next_or_end().await.expect("a line before the end")
    }

    /// The next line; `None` at the end of the output.
    pub(crate) async fn next_or_end(&mut self) -> Option<Value> {
        let output = self.output.as_mut().expect("it was not closed");
        let line = within(output.next_line()).await.expect("text")?;
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let messages = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        for message in messages {
            let (method, is_modern) = match message["method"].as_str() {
                Some(method) => {
                    let subscription = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
                    (method, !subscription.is_null())
                }
                None => match self.methods.get(&message["id"].to_string()) {
                    Some((method, is_modern)) => (method.as_str(), *is_modern),
                    None => ("", false),
                },
            };
            // Only the newest schema has errors without an id.
            let revision = if message.get("id").is_none() && message.get("error").is_some() {
                Revision::LATEST_LEGACY
            } else if is_modern {
                MODERN
            } else {
                self.revision
            };
            checked::check(revision, method, message);
        }
        Some(value)
    }

    /// The answer to a request that sends nothing before it.
    pub(crate) async fn ask(&mut self, request: &Value) -> Value {
        self.send(request).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], request["id"], "{answer}");
        answer
    }

    /// The next line, which must be a refusal: its id, code and sentence.
    pub(crate) async fn refusal(&mut self) -> String {
        let answer = self.next().await;
        let (id, error) = (&answer["id"], &answer["error"]);
        format!("{id} {}: {}", error["code"], error["message"].as_str().unwrap_or_else(|| panic!("{answer}")))
    }

    /// Whether the server has nothing to say: it answers a ping next.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        super::settle().await;
        let ping = super::request("quiet?", "ping", json!({}));
        self.send(&ping).await;
        self.next().await["id"] == "quiet?"
    }

    /// Ends the input.
    pub(crate) fn end(&mut self) {
        self.input = None;
    }

    /// Stops to read the output.
    pub(crate) fn close_output(&mut self) {
        self.output = None;
    }

    /// Waits until the server is done.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        within(&mut self.serving).await.expect("it does not panic")
    }

    /// Drops the server while it serves.
    pub(crate) async fn abort(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }

    /// Takes the input, to write to it while the output is read.
    pub(crate) fn take_input(&mut self) -> DuplexStream {
        self.input.take().expect("it was not ended")
    }
}
