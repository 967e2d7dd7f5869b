//! What the tests share: a wire to the server that checks every message, gates that tools wait at, loopback sockets.

mod checked;
mod cutter;
mod disk;
mod gate;
pub(crate) mod kit;
mod ledger;
mod lines;
pub(crate) mod locked;
mod modern;
pub(crate) mod older;
mod random;
pub(crate) mod reader;
#[cfg(feature = "client")]
mod scripted;
mod tcp;
mod wire;

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Client, Connect, StreamableHttp};

pub(crate) use checked::Checked;
pub(crate) use cutter::Cutter;
pub(crate) use disk::Disk;
pub(crate) use gate::Gate;
pub(crate) use ledger::{Ledger, Ran};
pub(crate) use lines::Lines;
pub(crate) use modern::{MODERN, about, listen, modern, modern_of};
pub(crate) use older::Older;
pub(crate) use random::Random;
#[cfg(feature = "client")]
pub(crate) use scripted::{Scripted, Streaming};
pub(crate) use tcp::{Loopback, Tcp};
pub(crate) use wire::{Answer, Event, Events, Sending, Wire};

/// The revisions of Streamable HTTP.
pub(crate) const REVISIONS: [Revision; 3] =
    [Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

/// A client with a session, whose every message is checked.
pub(crate) fn client(endpoint: &StreamableHttp) -> Connect {
    Client::over(Checked::new(endpoint.clone())).revision(Revision::LATEST_LEGACY)
}

/// Awaits something that must happen: on a paused clock, waiting for ever becomes a failure at once.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(24 * 3600), future).await.expect("nothing happened in a day")
}

/// Lets every other task run until it waits.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits, on the runtime's clock, until something holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The `initialize` request of a client with these capabilities.
pub(crate) fn initialize(revision: Revision, capabilities: &Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": revision.date(),
            "capabilities": capabilities,
            "clientInfo": { "name": "it", "version": "1" },
        },
    })
}

/// A request.
pub(crate) fn request(id: impl Into<Value>, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// A tool call that wants progress, with its id as token.
pub(crate) fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    let id = id.into();
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": id } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

/// The text of a tool's result.
pub(crate) fn text(message: &Value) -> &str {
    message["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("a result with text: {message}"))
}
