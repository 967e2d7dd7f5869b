//! The revision without sessions, over HTTP.

mod calls;
mod eras;
mod refusals;
mod smuggling;
mod sockets;
mod streams;
mod transcript;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::modern;

/// A call of a tool, without progress.
fn tool_call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    modern(id, "tools/call", json!({ "name": tool, "arguments": arguments }))
}

/// A call of a tool that wants progress, with this token.
fn with_progress(mut call: Value, token: &str) -> Value {
    call["params"]["_meta"]["progressToken"] = json!(token);
    call
}

/// A call that wants log messages from this level on.
fn with_level(mut call: Value, level: &str) -> Value {
    call["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = json!(level);
    call
}

/// Counts how often something was dropped.
#[derive(Clone, Default)]
struct Drops(Arc<AtomicUsize>);

impl Drops {
    fn guard(&self) -> Guard {
        Guard(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct Guard(Drops);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}
