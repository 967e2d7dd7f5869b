//! A server that does what a test says, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What is written; the connection is closed then. `None`: it hangs.
pub(super) type Script = fn(&Asked) -> Option<String>;

impl Scripted {
    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let all = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let Some(asked) = read(&mut client).await else { return };
                    all.lock().expect("nobody panicked").push(asked.clone());
                    match script(&asked) {
                        Some(answer) => drop(client.write_all(answer.as_bytes()).await),
                        None => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, asked }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// The bodies with this in them.
    pub(super) fn bodies(&self, part: &str) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.body).filter(|body| body.contains(part)).collect()
    }
}

/// A JSON body.
pub(super) fn json(text: &str) -> String {
    answer("200 OK", "application/json", text)
}

/// A stream of these events.
pub(super) fn events(messages: &[&str]) -> String {
    let events: String = messages.iter().map(|message| format!("data: {message}\n\n")).collect();
    answer("200 OK", "text/event-stream", &events)
}

pub(super) fn refusal(status: &str) -> String {
    answer(status, "text/plain", "")
}

fn answer(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nmcp-session-id: s1\r\nconnection: close\r\n\r\n{body}"
    )
}

/// The id of a request of the bridge.
pub(super) fn id_of(asked: &Asked) -> String {
    let message: serde_json::Value = serde_json::from_str(&asked.body).expect("it is JSON");
    message["id"].to_string()
}

/// What every server with sessions says; `None` for what is the test's own.
pub(super) fn session(asked: &Asked) -> Option<String> {
    if asked.head.starts_with("GET") {
        return Some(refusal("405 Method Not Allowed"));
    }
    if asked.head.starts_with("DELETE") {
        return Some(refusal("204 No Content"));
    }
    if asked.body.contains(r#""method":"initialize""#) {
        let result = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"odd","version":"1"}}"#;
        return Some(json(&format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id_of(asked))));
    }
    (!asked.body.contains(r#""id":"#)).then(|| refusal("202 Accepted"))
}

async fn read(client: &mut TcpStream) -> Option<Asked> {
    let mut all = Vec::new();
    let head = loop {
        if let Some(end) = all.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        client.read_buf(&mut all).await.ok().filter(|count| *count > 0)?;
    };
    let text = String::from_utf8(all[..head].to_vec()).expect("it is ASCII");
    let length = text
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let end = head + 4 + length.unwrap_or(0_usize);
    while all.len() < end {
        client.read_buf(&mut all).await.ok().filter(|count| *count > 0)?;
    }
    let body = String::from_utf8(all[head + 4..end].to_vec()).expect("it is UTF-8");
    Some(Asked { head: text, body })
}
