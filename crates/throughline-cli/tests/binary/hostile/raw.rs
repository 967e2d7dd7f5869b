//! A connection without a client: bytes out, bytes in.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::within;

pub(super) struct Raw {
    stream: TcpStream,
    /// Read and not yet used.
    came: Vec<u8>,
    /// What is next is a chunk of a body, and not a head.
    in_chunks: bool,
}

/// A response, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Raw {
    pub(super) async fn open(address: SocketAddr) -> Self {
        let stream = within("the connection", TcpStream::connect(address)).await.expect("somebody listens");
        stream.set_nodelay(true).expect("it is a socket");
        Self { stream, came: Vec::new(), in_chunks: false }
    }

    /// Writes all of it, which the server has to take.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        assert!(self.offer(bytes).await, "the server closed the connection");
    }

    /// Writes as much as the server takes. False when it closed the connection before all was written.
    pub(super) async fn offer(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within("that the server takes it", self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Whether the server takes all of it, and not only what its buffers hold: the socket is full when a write that could go
    /// on does not while a request on another connection is served.
    pub(super) async fn takes(&mut self, bytes: &[u8], meanwhile: impl Future<Output = ()>) -> bool {
        let mut meanwhile = std::pin::pin!(meanwhile);
        tokio::select! {
            biased;
            written = self.stream.write_all(bytes) => written.is_ok(),
            () = &mut meanwhile => false,
        }
    }

    /// Nothing more comes from here, and the other direction stays open.
    pub(super) async fn finish(&mut self) {
        self.stream.shutdown().await.expect("it was open");
    }

    /// Goes without a farewell: the server gets a reset.
    pub(super) fn reset(self) {
        self.stream.set_zero_linger().expect("it is a socket");
    }

    /// The next response, to its end.
    pub(super) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a number");
            answer.body = self.take(length).await;
        } else if self.in_chunks {
            while let Some(chunk) = self.chunk().await {
                answer.body.extend(chunk);
            }
        }
        answer
    }

    /// The head of the next response; its body is left.
    pub(super) async fn head(&mut self) -> Answer {
        let head = self.until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).expect("a head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect(&head);
        let status = status.split(' ').next().and_then(|status| status.parse().ok()).expect(&head);
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let answer = Answer { status, headers, body: Vec::new() };
        self.in_chunks = answer.header("transfer-encoding") == Some("chunked");
        answer
    }

    /// The next chunk of a body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = String::from_utf8(self.until(b"\r\n").await).expect("a size is text");
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a size");
        let mut chunk = self.take(size + 2).await;
        chunk.truncate(size);
        self.in_chunks = size > 0;
        (size > 0).then_some(chunk)
    }

    /// The text of a stream until `part` of it came.
    pub(super) async fn stream_until(&mut self, part: &str) -> String {
        let mut text = String::new();
        while !text.contains(part) {
            let chunk = self.chunk().await.unwrap_or_else(|| panic!("no {part} in {text}"));
            text += &String::from_utf8(chunk).expect("it is UTF-8");
        }
        text
    }

    /// Reads until the server closes the connection, with a farewell or without.
    pub(super) async fn closed(&mut self) -> Vec<u8> {
        // A reset is an end as good as any other.
        let _ = within("that the server closes", self.stream.read_to_end(&mut self.came)).await;
        std::mem::take(&mut self.came)
    }

    /// The next bytes, so many.
    pub(super) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.came.len() < count {
            self.read().await;
        }
        self.came.drain(..count).collect()
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.came.windows(end.len()).position(|window| window == end) {
                return self.came.drain(..at + end.len()).collect();
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let count = within("an answer", self.stream.read_buf(&mut self.came)).await.expect("it is open");
        assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&self.came));
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The only message of the body, whether it is JSON or a stream of events.
    pub(super) fn json(&self) -> Value {
        let text = std::str::from_utf8(&self.body).expect("a body is UTF-8");
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).find(|data| !data.is_empty());
        serde_json::from_str(data.unwrap_or(text)).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// The status, and the code of the JSON-RPC error; 0 when the body has none.
    pub(super) fn says(&self) -> (u16, i64) {
        let code = (!self.body.is_empty()).then(|| self.json()["error"]["code"].as_i64());
        (self.status, code.flatten().unwrap_or_default())
    }
}

/// A POST of this message.
pub(super) fn post(session: Option<&str>, message: &str) -> Vec<u8> {
    let session: Vec<_> = session.iter().map(|id| ("mcp-session-id", *id)).collect();
    post_with(&session, message.as_bytes())
}

/// A POST of these bytes with further headers.
pub(super) fn post_with(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut request = head("POST", &[headers, &[("content-length", &length)]].concat()).into_bytes();
    request.extend(body);
    request
}

/// The head of a request with what every client sends and further headers.
pub(super) fn head(method: &str, headers: &[(&str, &str)]) -> String {
    head_at(method, "/mcp", headers)
}

/// The same for another path.
pub(super) fn head_at(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n"
    );
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a string takes all");
    }
    head + "\r\n"
}

/// A POST of this message to another path.
pub(super) fn post_at(path: &str, message: &str) -> Vec<u8> {
    let length = message.len().to_string();
    let mut request = head_at("POST", path, &[("content-length", &length)]).into_bytes();
    request.extend(message.as_bytes());
    request
}
