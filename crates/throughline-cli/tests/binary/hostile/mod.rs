//! Clients that mean harm, against the binary over raw sockets.
//!
//! Each case says how it is answered: the exact status and JSON-RPC code, or that the connection just ends. After it a client
//! that means well is still served, the server has reported no error of its own, and on Linux the peak of its memory has
//! grown by no more than the case says.
//!
//! What takes the server's patience to its end (30 s for a head, a body, a write) is not waited for here: those cases are in
//! the library's own tests, on a clock that can be turned.

mod bodies;
mod bombs;
mod connections;
mod cursors;
mod heads;
mod http2;
mod http_sse;
mod modern;
mod raw;
mod sessions;
mod stdio;
mod streams;

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::Connection;
use super::process::{Served, serve};
use super::session::Session;
use raw::{Raw, post};

/// A server under attack.
struct Target {
    served: Served,
    memory: Memory,
}

impl Target {
    /// Starts one, serves a client once so that everything that is made once is made, and begins to measure.
    async fn start(arguments: &[&str]) -> Self {
        // At `info` each session would be a line, and nobody reads them while the attack goes on.
        let quiet = ["--log", "error", "--shutdown-grace", "0s"];
        let served = serve(&[&quiet, arguments].concat()).await;
        serves(served.address).await;
        let memory = Memory::of(&served);
        Self { served, memory }
    }

    fn address(&self) -> SocketAddr {
        self.served.address
    }

    async fn raw(&self) -> Raw {
        Raw::open(self.address()).await
    }

    /// The id of a session that was opened just now, by a client that can do nothing.
    async fn session(&self) -> String {
        let mut raw = self.raw().await;
        raw.send(post(None, INITIALIZE)).await;
        let opened = raw.answer().await;
        assert_eq!(opened.status, 200);
        let id = opened.header("mcp-session-id").expect("a session").to_owned();
        raw.send(post(Some(&id), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)).await;
        assert_eq!(raw.answer().await.status, 202);
        id
    }

    /// A number of its metrics page.
    async fn metric(&self, name: &str) -> u64 {
        let mut raw = self.raw().await;
        raw.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let page = String::from_utf8(raw.answer().await.body).expect("it is text");
        let mut lines = page.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(found, _)| *found == name).expect("the page has it");
        value.parse().expect("a whole number")
    }

    /// Waits until a number of its metrics page is this.
    async fn until_metric(&self, name: &str, wanted: u64) {
        let becomes = async {
            // Each look is a request that is answered.
            while self.metric(name).await != wanted {}
        };
        super::within(&format!("{name} {wanted}"), becomes).await;
    }

    /// It is as before: serves a client that means well, has nothing to report, and its memory grew by so many MiB at most.
    async fn stands(self, most_mib: u64) {
        serves(self.served.address).await;
        assert_eq!(self.metric("throughline_panics_total").await, 0);
        self.memory.assert_grew_at_most(most_mib);
        let log = self.served.killed().await;
        assert_eq!(log, "", "an attack is no error of the server's");
    }
}

/// A client that means well comes, in both eras, does something and goes.
async fn serves(address: SocketAddr) {
    let mut session = Session::open(address, json!({})).await;
    assert_eq!(session.text("echo", json!({"text": "hi"})).await, ("hi".to_owned(), false));
    let headers = [("mcp-session-id", session.id())];
    let ended = Connection::open(address).await.send(http::Method::DELETE, "/mcp", &headers, "").await;
    assert_eq!(ended.status(), 204);
    let mut raw = Raw::open(address).await;
    raw.send(modern::call("echo", "echo", &json!({"text": "hi"}))).await;
    let answer = raw.answer().await;
    assert_eq!((answer.status, &answer.json()["result"]["content"][0]["text"]), (200, &json!("hi")));
}

/// A message of a call.
fn call(id: &Value, tool: &str, arguments: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"hostile","version":"1"}}}"#;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// The peak of a server's memory since a moment.
#[cfg(target_os = "linux")]
struct Memory {
    process: u32,
    before: u64,
}

#[cfg(target_os = "linux")]
impl Memory {
    fn of(served: &Served) -> Self {
        let process = served.id();
        // Sets the peak to what is resident now: see proc_pid_clear_refs(5).
        std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the process is ours");
        Self { process, before: peak(process) }
    }

    fn assert_grew_at_most(&self, mib: u64) {
        let grew = peak(self.process).saturating_sub(self.before);
        assert!(grew <= mib * 1024, "the peak of its memory grew by {grew} KiB, more than {mib} MiB");
    }
}

/// The most that was resident, in KiB.
#[cfg(target_os = "linux")]
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has a peak");
    line.trim().strip_suffix(" kB").and_then(|number| number.parse().ok()).expect("a number")
}

#[cfg(not(target_os = "linux"))]
struct Memory;

#[cfg(not(target_os = "linux"))]
impl Memory {
    fn of(_: &Served) -> Self {
        Self
    }

    fn assert_grew_at_most(&self, _: u64) {}
}
