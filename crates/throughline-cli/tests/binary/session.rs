//! A session of an MCP client, by hand.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::http::{Connection, Messages};

pub(super) struct Session {
    address: SocketAddr,
    id: String,
    next: u32,
}

impl Session {
    /// Opens a session as a client of the newest revision that has them, with these capabilities.
    pub(super) async fn open(address: SocketAddr, capabilities: Value) -> Self {
        let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"},
        }});
        let response = Connection::open(address).await.post("/mcp", None, &initialize).await;
        let id = response.headers()["mcp-session-id"].to_str().expect("it is ASCII").to_owned();
        let answer = Messages::of(response).expect().await;
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer}");
        let session = Self { address, id, next: 1 };
        session.tell(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        session
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Sends something that is not answered: a notification, or the answer to a question.
    pub(super) async fn tell(&self, message: &Value) {
        let response = Connection::open(self.address).await.post("/mcp", Some(&self.id), message).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{message}");
    }

    /// Sends a request, on a connection of its own.
    pub(super) async fn request(&mut self, method: &str, params: Value) -> Messages {
        let message = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        self.next += 1;
        Messages::of(Connection::open(self.address).await.post("/mcp", Some(&self.id), &message).await)
    }

    /// The answer to a request that sends nothing before it.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let answers = self.request(method, params).await.rest().await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.into_iter().next().expect("there is one")
    }

    /// Calls a tool that reports progress.
    pub(super) async fn call(&mut self, tool: &str, arguments: Value) -> Messages {
        self.request(
            "tools/call",
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}}),
        )
        .await
    }

    /// The text that a call ends with, and whether it is an error.
    pub(super) async fn text(&mut self, tool: &str, arguments: Value) -> (String, bool) {
        let answer = self.ask("tools/call", json!({"name": tool, "arguments": arguments})).await;
        text_of(&answer)
    }

    /// Ends the session.
    pub(super) async fn delete(&self) {
        let headers = [("mcp-session-id", self.id.as_str())];
        let response = Connection::open(self.address).await.send(Method::DELETE, "/mcp", &headers, "").await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }

    /// Goes on with another process.
    pub(super) fn moved_to(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Resumes a stream after this event.
    pub(super) async fn resume(&self, last_id: &str) -> Messages {
        let headers = [
            ("accept", "text/event-stream"),
            ("mcp-session-id", self.id.as_str()),
            ("last-event-id", last_id),
        ];
        Messages::of(Connection::open(self.address).await.send(Method::GET, "/mcp", &headers, "").await)
    }

    /// Opens the stream of what belongs to no request.
    pub(super) async fn listen(&self) -> Messages {
        let headers = [("accept", "text/event-stream"), ("mcp-session-id", self.id.as_str())];
        Messages::of(Connection::open(self.address).await.send(Method::GET, "/mcp", &headers, "").await)
    }
}

/// The text of a tool's result, and whether it is an error.
pub(super) fn text_of(answer: &Value) -> (String, bool) {
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("no text in {answer}")).to_owned();
    (text, answer["result"]["isError"] == true)
}
