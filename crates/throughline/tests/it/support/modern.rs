//! Requests of the modern era, written by hand.

use serde_json::{Value, json};
use throughline::revision::Revision;

use super::{Event, Sending, Wire, within};

/// The revision that they are written in.
pub(crate) const MODERN: Revision = Revision::V2026_07_28;

/// A request of a client without capabilities.
pub(crate) fn modern(id: impl Into<Value>, method: &str, params: Value) -> Value {
    modern_of(json!({}), id, method, params)
}

/// A request of a client with these capabilities. What `params` has in `_meta` stays there.
pub(crate) fn modern_of(capabilities: Value, id: impl Into<Value>, method: &str, mut params: Value) -> Value {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN.date());
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "it", "version": "1" });
    meta["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    super::request(id, method, params)
}

/// A `subscriptions/listen` with this filter.
pub(crate) fn listen(id: impl Into<Value>, filter: Value) -> Value {
    modern(id, "subscriptions/listen", json!({ "notifications": filter }))
}

impl Wire {
    /// A POST of a message of the modern era, with the headers that it needs.
    pub(crate) fn post_modern(&self, message: Value) -> Sending {
        let params = &message["params"];
        let method = message["method"].as_str().expect("a method").to_owned();
        let name = params["name"].as_str().or(params["uri"].as_str()).map(str::to_owned);
        let sending =
            self.post(message).header("mcp-protocol-version", MODERN.date()).header("mcp-method", &method);
        match name {
            Some(name) => sending.header("mcp-name", &name),
            None => sending,
        }
    }

    /// Listens; the stream after its acknowledgment.
    pub(crate) async fn listen(&self, id: impl Into<Value>, filter: Value) -> Listening {
        let id = id.into();
        let events = self.post_modern(listen(id.clone(), filter)).send().await.events();
        let mut listening = Listening { events, id };
        let (what, acknowledged) = listening.next().await.expect("the acknowledgment");
        assert_eq!(what, "subscriptions/acknowledged", "{acknowledged}");
        listening
    }
}

/// A stream of changes. Each message is checked to say which subscription it belongs to.
pub(crate) struct Listening {
    events: super::wire::Events,
    id: Value,
}

impl Listening {
    /// The next message and what it is about: its method without `notifications/`, or `result`. `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        let Event { id, retry, message } = self.events.next().await?;
        assert_eq!((id, retry), (None, None), "the modern era resumes nothing");
        Some((about(&message, &self.id), message))
    }

    /// What the next message is about.
    pub(crate) async fn what(&mut self) -> Option<String> {
        self.next().await.map(|(what, _)| what)
    }

    /// Whether nothing more is there now.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        self.events.is_quiet().await
    }

    /// The next bytes as they are.
    pub(crate) async fn chunk(&mut self) -> Option<bytes::Bytes> {
        within(self.events.chunk()).await
    }
}

/// What a message of the subscription with this id is about: its method without `notifications/`, or `result`.
pub(crate) fn about(message: &Value, id: &Value) -> String {
    const ID: &str = "io.modelcontextprotocol/subscriptionId";
    let (what, body) = match message["method"].as_str() {
        Some(method) => (method.strip_prefix("notifications/").expect("a notification"), &message["params"]),
        None => {
            assert_eq!(&message["id"], id, "{message}");
            ("result", &message["result"])
        }
    };
    assert_eq!(&body["_meta"][ID], id, "{message}");
    what.to_owned()
}
