//! A server on loopback whose every answer a test writes itself.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Takes one request from each connection, in the order in which they came.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<Asked>,
    accepting: tokio::task::JoinHandle<()>,
}

/// A request that waits for its answer.
pub(crate) struct Asked {
    /// `POST /mcp`
    pub(crate) line: String,
    /// The head, in small letters.
    pub(crate) head: String,
    /// The message, or null.
    pub(crate) body: Value,
    stream: TcpStream,
}

/// A stream of events that goes on.
pub(crate) struct Streaming(TcpStream);

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = mpsc::unbounded_channel();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    if let Some(asked) = read(stream).await {
                        let _ = tell.send(asked);
                    }
                });
            }
        });
        Self { address, requests, accepting }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn next(&mut self) -> Asked {
        self.requests.recv().await.expect("it accepts")
    }

    /// The next request, which is this one.
    pub(crate) async fn expect(&mut self, line: &str) -> Asked {
        let asked = self.next().await;
        assert_eq!(asked.line, line, "{}", asked.body);
        asked
    }

    /// Whether a request is there that nobody took.
    pub(crate) fn has_more(&mut self) -> bool {
        self.requests.try_recv().is_ok()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn read(mut stream: TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let line = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let head = head.to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    while bytes.len() < end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or_default();
    Some(Asked { line, head, body, stream })
}

impl Asked {
    pub(crate) fn id(&self) -> i64 {
        self.body["id"].as_i64().expect("a request")
    }

    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().expect("a message with a method")
    }

    /// Answers with a body of this kind.
    pub(crate) async fn answer(mut self, status: &str, kind: &str, body: &str) {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.stream.write_all(body.as_bytes()).await.unwrap();
    }

    /// Answers with a status alone.
    pub(crate) async fn status(self, status: &str) {
        self.answer(status, "text/plain", "").await;
    }

    /// Answers the request with a result, in a JSON body.
    pub(crate) async fn result(self, result: Value) {
        let body = json!({ "jsonrpc": "2.0", "id": self.id(), "result": result }).to_string();
        self.answer("200 OK", "application/json", &body).await;
    }

    /// Answers with a stream.
    pub(crate) async fn stream(mut self) -> Streaming {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        self.stream.write_all(head.as_bytes()).await.unwrap();
        Streaming(self.stream)
    }
}

impl Streaming {
    /// Writes to the stream as it is. A client that has gone is no error.
    pub(crate) async fn raw(&mut self, text: &str) {
        let _ = self.0.write_all(text.as_bytes()).await;
    }

    pub(crate) async fn endpoint(&mut self, address: &str) {
        self.raw(&format!("event: endpoint\ndata: {address}\n\n")).await;
    }

    pub(crate) async fn message(&mut self, message: Value) {
        self.raw(&format!("event: message\ndata: {message}\n\n")).await;
    }

    pub(crate) async fn result(&mut self, id: i64, result: Value) {
        self.message(json!({ "jsonrpc": "2.0", "id": id, "result": result })).await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
    }
}
