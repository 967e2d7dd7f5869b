//! Model Context Protocol servers and clients over Streamable HTTP, HTTP+SSE and stdio.
//!
//! A server is a list of tools, prompts and resources; a front door puts it on the network. A connection that breaks in the
//! middle of a long call loses nothing: the client comes back and reads on.
//!
//! ```no_run
//! use throughline::{Server, tool};
//!
//! /// Adds two integers.
//! #[tool]
//! async fn add(a: i64, b: i64) -> i64 { a + b }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> std::io::Result<()> {
//!     Server::new("adder", "1.0.0").tool(add).serve("127.0.0.1:8808").await
//! }
//! ```
//!
//! # The parts
//!
//! - [`Server`]: tools, prompts and resources. They are made of functions by [`#[tool]`](macro@tool),
//!   [`#[prompt]`](macro@prompt) and [`#[resource]`](macro@resource), of methods by [`#[server]`](macro@server), and of
//!   closures and functions with an argument type by [`tool()`], [`prompt()`], [`resource()`] and [`template()`].
//! - [`Extract`]: what functions take beside their arguments: [`State`], [`Principal`], [`Parts`], [`Meta`], and your own.
//! - [`Server::mount`] puts servers into servers, [`ToolDef::visible_to`] hides entries from some callers,
//!   [`Server::method`] adds methods of your own, [`Server::layer`] puts tower layers around calls.
//! - [`Context`]: what a handler may do while it runs: progress, logs, questions to the client and its user, cancellation.
//! - [`StreamableHttp`]: the endpoint, a tower service; its [`Builder`] has every setting with its default and reason.
//! - [`HttpSse`]: the transport before it, beside it on the same port.
//! - [`serve()`]: serves it on a listener, with timeouts and graceful shutdown.
//! - [`Client`]: calls servers, over all of these transports; [`Connect`] is how it connects, [`Calling`] what is said of one call.
//! - [`auth`]: who is let in, and what for; with the feature `auth` the lock in front of a server and the login of a client.
//! - [`store`]: where events are kept until a client has them, and the laws for stores of your own.
//! - `testing` (feature `testing`): a client in memory that checks, message by message, what a server does.
//! - [`model`]: the messages of the protocol, the same for all revisions.
//!
//! # The guide
//!
//! The [guide] has a page for each thing that people do, with programs that run: [your first server](guide::first_server),
//! [asking the user](guide::asking), [long work](guide::long_work), [dashboards](guide::dashboards),
//! [the two streams](guide::streams), [what the flags take away](guide::flags), [both eras](guide::eras),
//! [older clients](guide::older_clients), [resuming](guide::resuming), [restarting](guide::restarting),
//! [mounting in axum](guide::mounting), [composing](guide::composing), [testing](guide::testing),
//! [the client](guide::client), [authorization](guide::authorization), [deploying behind a proxy](guide::deploying),
//! [observing](guide::observing), [the command line](guide::command_line), and [coming from rmcp](guide::from_rmcp).
//!
//! # What it speaks
//!
//! Streamable HTTP in both of its eras at one address: the revisions with sessions, 2025-03-26, 2025-06-18 and 2025-11-25 (and
//! 2024-11-05 over the same transport), and 2026-07-28, which has none. The same over standard input and output ([`Stdio`]),
//! and over the older HTTP+SSE transport ([`HttpSse`]). Servers and the [`Client`] both speak all of it, with authorization
//! ([`auth`]). Not yet: tasks.
//!
//! # Features
//!
//! - `macros` (on by default): the attributes above. They bring in no crate that is not needed anyway.
//! - `client`: the client's own ways to a server. `Client::connect` goes over the network: HTTP/1.1 and HTTP/2, TLS by rustls with
//!   ring, proxies (`HttpOptions`), and both HTTP transports. `Client::stdio` starts the process of a server (`ServerCommand`).
//!   And results are checked against the schemas of tools. Without it a client speaks to a service that it is given
//!   ([`Client::over`]), or over a reader and a writer ([`Client::over_io`]).
//! - `auth`: authorization of both sides, in `auth`: the lock in front of a server, and the login of a client; see
//!   [authorization](guide::authorization). It brings `client` with it, as keys and logins are fetched over the network.
//! - `tls`: [`serve()`] speaks HTTPS (`ServerTls`), by rustls with ring.
//! - `testing`: the kit, for the tests of a server; see [testing](guide::testing).
//! - `metrics`: what the endpoint counts and measures, for Prometheus; see [observing](guide::observing).
//! - `opentelemetry`: the span of a call is part of the trace that its request came with, for programs with the layer of
//!   `tracing-opentelemetry` (0.34); see [observing](guide::observing).
//!
//! # Safety by default
//!
//! The defaults hold for a server on this machine: only hosts and origins of this machine are answered, everything that a
//! client can make the server hold is bounded, and nothing of a session is visible to another.

pub mod auth;
mod client;
mod error;
pub mod guide;
mod handler;
mod lock;
mod runtime;
mod server;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use ::http::request::Parts;
pub use client::{
    AfterRefusal, AnswerForm, Calling, Client, ClientError, ClientTransport, Connect, ConnectStep,
    Credentials, Listed, Listing, Peer, Refusal, RequestBody, ResumptionToken, Round, SavedSession,
    SharedCache, StreamStatus, TokenError, TokenNeed, TokenProvider, TokenRequest, Tokens, TransportChoice,
    Verdict, tokens,
};
#[cfg(feature = "client")]
pub use client::{HttpOptions, Proxy, ServerCommand};
pub use error::{Error, McpError, Result};
pub use handler::{
    Ability, Answer, Ask, AskAll, AskError, Authorized, Call, CallOver, CallRequest, CallService, Caller,
    Cancelled, ChallengeTerms, Completing, Context, Elicit, ElicitUrl, Extract, Function, Group, Handled,
    Handler, InputRequired, InputResponses, IntoMethodResult, IntoPrompt, IntoPromptResult, IntoResource,
    IntoResourceResult, IntoTemplate, IntoTool, IntoToolResult, Json, Layered, Log, Meta, Misuse, Needs,
    Notify, Offer, OnceError, Outcome, PeerInfo, PeerSet, Peers, Principal, Progress, PromptDef, Question,
    RawQuestion, Reply, ResourceDef, Roots, Sample, Sending, Server, SessionHandle, State, TemplateDef,
    ToolDef, prompt, resource, template, tool,
};
pub use server::{
    AfterRestart, Builder, Closed, Counters, Era, HttpSse, Interrupted, InvalidPath, Listener, PeerAddress,
    ResponseBody, ResponseMode, RestoreError, Restored, Serve, Stdio, StoreFailure, StreamableHttp, serve,
};
#[cfg(feature = "tls")]
pub use server::{ServerTls, TlsConnection, TlsError, TlsListener};
#[cfg(feature = "macros")]
#[doc = include_str!("handler/docs/prompt.md")]
pub use throughline_macros::prompt;
#[cfg(feature = "macros")]
#[doc = include_str!("handler/docs/resource.md")]
pub use throughline_macros::resource;
#[cfg(feature = "macros")]
#[doc = include_str!("handler/docs/server.md")]
pub use throughline_macros::server;
#[cfg(feature = "macros")]
#[doc = include_str!("handler/docs/tool.md")]
pub use throughline_macros::tool;
pub use throughline_proto::stateless::{KeyRing, TraceContext, WeakSecret};
pub use throughline_proto::{http, jsonrpc, model, revision, session};

/// What the code of the macros names. No part of the interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::generated::*;
    pub use {schemars, serde};
}

/// The programs in the README are compiled with the doc tests; one connects by an address, and one has a lock.
#[cfg(all(doctest, feature = "auth"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
