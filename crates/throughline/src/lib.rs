//! Model Context Protocol servers over Streamable HTTP.
//!
//! A server is a list of tools, prompts and resources; a front door puts it on the network. A connection that breaks in the
//! middle of a long call loses nothing: the client comes back and reads on.
//!
//! ```no_run
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use throughline::{Server, StreamableHttp, serve, tool};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Add { a: i64, b: i64 }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> std::io::Result<()> {
//!     let server = Server::new("adder", "1.0.0")
//!         .tool(tool("add", |args: Add| async move { args.a + args.b }).description("Adds two integers."));
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8808").await?;
//!     serve(listener, StreamableHttp::new(server)).await
//! }
//! ```
//!
//! # The parts
//!
//! - [`Server`]: tools ([`tool()`]), prompts ([`prompt()`]), resources ([`resource()`], [`template()`]), made of async
//!   functions ([`Function`]).
//! - [`Context`]: what a handler may do while it runs: progress, logs, questions to the client and its user, cancellation.
//! - [`StreamableHttp`]: the endpoint, a tower service; its [`Builder`] has every setting with its default and reason.
//! - [`serve()`]: serves it on a listener, with timeouts and graceful shutdown.
//! - [`store`]: where events are kept until a client has them, and the laws for stores of your own.
//! - [`model`]: the messages of the protocol, the same for all revisions.
//!
//! # What it speaks
//!
//! Streamable HTTP for the revisions with sessions: 2025-03-26, 2025-06-18 and 2025-11-25 (and 2024-11-05 over the same
//! transport). Not yet: revision 2026-07-28 (such a request is refused so that a client of both eras falls back), the older
//! HTTP+SSE transport, stdio, authorization, and a full client.
//!
//! # Safety by default
//!
//! The defaults hold for a server on this machine: only hosts and origins of this machine are answered, everything that a
//! client can make the server hold is bounded, and nothing of a session is visible to another.

mod client;
mod error;
mod handler;
mod lock;
mod runtime;
mod server;
pub mod store;

pub use client::{Called, Client, ClientError, Connect, Incoming, Received, RequestBody};
pub use error::{Error, McpError, Result};
pub use handler::{
    Answer, Ask, AskError, Call, CallOver, Caller, Cancelled, Completing, Context, Elicit, ElicitUrl,
    Function, Handler, IntoPromptResult, IntoResourceResult, IntoToolResult, Json, Log, Misuse, Notify,
    Offer, Outcome, PeerSet, Peers, Principal, Progress, PromptDef, Question, RawQuestion, Reply,
    ResourceDef, Roots, Sample, Server, SessionHandle, SessionInfo, TemplateDef, ToolDef, prompt, resource,
    template, tool,
};
pub use server::{
    Builder, Closed, Counters, ResponseBody, ResponseMode, Serve, StoreFailure, StreamableHttp, serve,
};
pub use throughline_proto::{http, jsonrpc, model, revision, session};

/// The programs in the README are compiled with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
