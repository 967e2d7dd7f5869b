//! The client.
//!
//! ```text
//!   Client      typed calls, each a Calling: what its caller says of it, then driven to its end
//!      |
//!   Core        what clones share: the calls in flight, who answers the server, what was agreed with it
//!      |
//!      +-- Http   every request has a response of its own: Streamable HTTP, both eras
//!      |            Line      one exchange over any tower service
//!      |            Reading   a response as it arrives
//!      +-- Pipe   one stream of messages each way
//!                   Lines      over a reader and a writer
//!                   stdio      the same with the process of a server
//!                   http_sse   HTTP+SSE: a stream by GET, and a POST for each message
//!
//!   Connect --> reach: the ways to a server --> negotiate: what it speaks, and over which of them
//! ```
//!
//! The rules are the engine's ([`throughline_proto::client`]): what to try next, what a lost connection means, how long a call
//! may take.

mod authorize;
mod cache;
mod call;
mod connect;
#[cfg(feature = "client")]
mod connector;
mod core;
mod elicit;
mod error;
mod handlers;
mod http;
mod http_sse;
mod in_flight;
mod line;
mod listening;
mod listing;
mod negotiate;
mod observed;
mod output;
mod pipe;
#[cfg(feature = "client")]
mod process;
mod reach;
mod saved;
#[cfg(feature = "client")]
mod schema;
mod settings;
#[cfg(feature = "client")]
mod stdio;
mod tools;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{self, Raw};
use throughline_proto::model::{
    CallToolResult, CompleteParams, CompleteResult, GetPromptResult, LoggingLevel, Prompt,
    ReadResourceParams, ReadResourceResult, Resource, ResourceParams, ResourceTemplate, SetLevelParams, Tool,
};
use throughline_proto::revision::Revision;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub use authorize::{
    AfterRefusal, Credentials, Refusal, TokenError, TokenNeed, TokenProvider, TokenRequest, Tokens, tokens,
};
pub use cache::SharedCache;
pub use call::{Calling, ResumptionToken, Round};
pub use connect::Connect;
#[cfg(all(test, feature = "auth"))]
pub(crate) use connector::Names;
#[cfg(feature = "auth")]
pub(crate) use connector::{BadOption, Connector, Stays};
#[cfg(feature = "client")]
pub use connector::{HttpOptions, Proxy};
pub use core::Peer;
pub use error::ClientError;
pub use line::RequestBody;
#[cfg(feature = "auth")]
pub(crate) use line::{BoxBody, BoxError, boxed_body};
pub use listing::{Listed, Listing};
pub use observed::{AnswerForm, ClientTransport, ConnectStep};
#[cfg(feature = "client")]
pub use process::ServerCommand;
pub use saved::{SavedSession, Verdict};
pub use throughline_proto::client::TransportChoice;

use core::{Core, Transport};
use line::Line;

/// A client of one server. Every call on it settles: with an answer, or with an error that says what happened.
///
/// It finds out by itself what the server speaks, answers what the server asks by the functions it was
/// [given](Connect), comes back to a call's stream when its connection is lost, and opens another session when the server
/// has forgotten the first.
///
/// ```
/// use serde_json::json;
/// use throughline::{Client, Server, StreamableHttp, tool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::ClientError> {
/// let server = Server::new("demo", "1.0.0").tool(tool("hello", || async { "Hello!" }));
/// let client = Client::over(StreamableHttp::new(server)).await?;
/// assert_eq!(client.list_tools().await?.len(), 1);
/// let result = client.call_tool("hello", &json!({})).await?;
/// assert_eq!(result.content[0].as_text(), Some("Hello!"));
/// client.close().await
/// # }
/// ```
///
/// Cheap to clone; every clone speaks over the same connection.
///
/// # Drop behavior
///
/// With the last clone, answers to the server that are still being made are given up, and streams are closed. A session
/// stays open at the server until it expires: end it with [`close`](Self::close).
#[derive(Clone, Debug)]
pub struct Client(Arc<Handle>);

/// Closes the core with the last client.
#[derive(Debug)]
struct Handle(Arc<Core>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.set_closed();
        if let Transport::Pipe(pipe) = &self.0.transport {
            pipe.abandon();
        }
    }
}

/// How the stream is that carries what belongs to no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamStatus {
    /// It was not opened: nothing asks for it, or it is being opened.
    Idle,
    /// It is open.
    Open,
    /// It was lost and is opened again, for as long as it takes.
    Reconnecting {
        /// How many events the server said that it no longer has.
        lost: u64,
    },
    /// The server offers none, or does not let this client have it.
    Unavailable,
    /// The client was closed.
    Closed,
}

impl Client {
    /// A client of the server at this address, over Streamable HTTP or HTTP+SSE, whichever it speaks.
    ///
    /// The address begins with `https://` or `http://` and is that of the server's MCP endpoint; credentials belong in a
    /// [header](Connect::header). One that cannot be used is an error when the [`Connect`] is awaited.
    ///
    /// ```no_run
    /// use throughline::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), throughline::ClientError> {
    /// let client = Client::connect("https://example.com/mcp").await?;
    /// for tool in client.list_tools().await? {
    ///     println!("{}", tool.name);
    /// }
    /// client.close().await
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub fn connect(url: impl AsRef<str>) -> Connect {
        Connect::to_address(url.as_ref())
    }

    /// A client of a server that it starts, over
    /// [standard input and output](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).
    ///
    /// When the process ends, every call that waits fails at once with an error that says how it ended and what it wrote
    /// last; calls that are begun later [are closed](ClientError::is_closed). [`close`](Self::close) ends the process in order
    /// and waits for that; so does dropping the client, in the background ([`ServerCommand`]).
    ///
    /// A server that ends as soon as it is asked what it is (`server/discover`, which older ones do not know) is started a
    /// second time and asked in the older way.
    ///
    /// ```no_run
    /// use throughline::Client;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), throughline::ClientError> {
    /// let client = Client::stdio(["uvx", "mcp-server-fetch"]).await?;
    /// println!("{:?}", client.peer().info);
    /// client.close().await
    /// # }
    /// ```
    #[cfg(feature = "client")]
    pub fn stdio(command: impl Into<ServerCommand>) -> Connect {
        Connect::to_command(command.into())
    }

    /// A client of `service`: a [`StreamableHttp`](crate::StreamableHttp), or any tower service with the same types. It
    /// opens no sockets itself.
    pub fn over<S, B>(service: S) -> Connect
    where
        S: tower_service::Service<::http::Request<RequestBody>, Response = ::http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Connect::to_line(Line::new(service))
    }

    /// A client of a server at the other end of a reader and a writer, with a message on each line as over
    /// [stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).
    pub fn over_io(
        reader: impl AsyncRead + Send + 'static,
        writer: impl AsyncWrite + Send + 'static,
    ) -> Connect {
        Connect::to_pipe(reader, writer)
    }

    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Arc::new(Handle(core)))
    }

    /// An id for [`Calling::id`].
    #[cfg(feature = "testing")]
    pub(crate) fn next_id(&self) -> i64 {
        self.core().next_id()
    }

    /// Whether each call has a stream that the server ends, also when it was told that the call is cancelled.
    #[cfg(feature = "testing")]
    pub(crate) fn streams_end_by_themselves(&self) -> bool {
        matches!(self.core().transport, Transport::Http(_)) && !self.revision().is_modern()
    }

    /// Whether it opens a stream for what belongs to no call: the standalone one of a session, or one of changes.
    #[cfg(feature = "testing")]
    pub(crate) fn opens_stream(&self) -> bool {
        let has_one = self.revision().is_modern() || self.session_id().is_some();
        has_one && self.core().config.standalone
    }

    fn core(&self) -> &Arc<Core> {
        &self.0.0
    }

    /// What is known of the server.
    pub fn peer(&self) -> Arc<Peer> {
        Arc::clone(&self.core().agreed().peer)
    }

    /// The revision that is spoken.
    pub fn revision(&self) -> Revision {
        self.core().agreed().peer.revision
    }

    /// The id of the session; `None` when the server keeps none. It is a secret.
    pub fn session_id(&self) -> Option<String> {
        self.core().agreed().session_id().map(str::to_owned)
    }

    /// The transport that the client speaks with its server over.
    pub fn transport(&self) -> ClientTransport {
        match &self.core().transport {
            Transport::Http(_) => ClientTransport::Streamable,
            Transport::Pipe(pipe) => pipe.transport(),
        }
    }

    /// How the last call over Streamable HTTP was answered; `None` before the first, and over other transports. A server
    /// that answers with one JSON body whatever the call takes can send neither progress nor questions with it.
    pub fn answered_by(&self) -> Option<AnswerForm> {
        match &self.core().transport {
            Transport::Http(http) => http.form.get(),
            Transport::Pipe(_) => None,
        }
    }

    /// What was found out about the server, for [`Connect::verdict`].
    pub fn verdict(&self) -> Verdict {
        Verdict { revision: self.revision() }
    }

    /// The session, for [`Connect::restore`] in another process. `None` when the server keeps none.
    pub fn saved(&self) -> Option<SavedSession> {
        SavedSession::of(&self.core().agreed())
    }

    /// How the stream is that carries what belongs to no call, to be watched.
    pub fn status(&self) -> watch::Receiver<StreamStatus> {
        self.core().status.subscribe()
    }

    /// Calls a tool with these arguments, a JSON object
    /// ([tools](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#calling-tools)).
    ///
    /// `()` are no arguments. A tool that fails says so in its result (`is_error`); that is no error here, but one of
    /// [`output`](Calling::output).
    pub fn call_tool(
        &self,
        name: impl AsRef<str>,
        arguments: &(impl Serialize + ?Sized),
    ) -> Calling<'_, CallToolResult> {
        self.call_named("tools/call", name.as_ref(), arguments)
    }

    /// The tools, all pages of them.
    pub fn list_tools(&self) -> Listing<'_, Tool> {
        Listing::new(self.core())
    }

    /// The prompts, all pages of them.
    pub fn list_prompts(&self) -> Listing<'_, Prompt> {
        Listing::new(self.core())
    }

    /// The resources, all pages of them.
    pub fn list_resources(&self) -> Listing<'_, Resource> {
        Listing::new(self.core())
    }

    /// The resource templates, all pages of them.
    pub fn list_resource_templates(&self) -> Listing<'_, ResourceTemplate> {
        Listing::new(self.core())
    }

    /// Gets a prompt with these arguments: an object of texts, or `()` for none.
    pub fn get_prompt(
        &self,
        name: impl AsRef<str>,
        arguments: &(impl Serialize + ?Sized),
    ) -> Calling<'_, GetPromptResult> {
        self.call_named("prompts/get", name.as_ref(), arguments)
    }

    /// A request that has a name, and arguments unless they are `()`.
    fn call_named<R: DeserializeOwned>(
        &self,
        method: &'static str,
        name: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> Calling<'_, R> {
        #[derive(Serialize)]
        struct Params<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            arguments: Option<&'a Raw>,
        }
        match Raw::new(arguments) {
            Ok(arguments) => {
                let arguments = (!arguments.is_null()).then_some(&arguments);
                Calling::new(self.core(), method, &Params { name, arguments })
            }
            // Said when the call is awaited.
            Err(_) => Calling::new(self.core(), method, arguments),
        }
    }

    /// Reads a resource.
    pub fn read_resource(&self, uri: impl AsRef<str>) -> Calling<'_, ReadResourceResult> {
        Calling::new(self.core(), "resources/read", &ReadResourceParams::new(uri.as_ref().to_owned()))
    }

    /// Asks how an argument may be completed.
    pub fn complete(&self, params: &CompleteParams) -> Calling<'_, CompleteResult> {
        Calling::new(self.core(), "completion/complete", params)
    }

    /// Asks whether the server is there. In the modern era there is no `ping`: there it is `server/discover`, which is never
    /// answered from the cache, and the result is what the server says of itself.
    pub fn ping(&self) -> Calling<'_, Raw> {
        let method = if self.core().is_modern() { "server/discover" } else { "ping" };
        Calling::new(self.core(), method, &()).fresh()
    }

    /// Says which log messages the client wants, the least severe ones.
    ///
    /// In the modern era nothing is sent: from now on every request says it
    /// ([log level](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/logging#per-request-log-level)).
    ///
    /// # Errors
    ///
    /// When the server refuses. A session that is opened later asks for this level all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open which level the server has.
    pub async fn set_log_level(&self, level: LoggingLevel) -> Result<(), ClientError> {
        let core = self.core();
        if core.is_closed() {
            return Err(ClientError::closed());
        }
        core.settings.set_level(level);
        if core.is_modern() {
            core.set_log_level(level);
            return Ok(());
        }
        Calling::<Raw>::new(core, "logging/setLevel", &SetLevelParams::new(level)).await.map(drop)
    }

    /// Asks to be told when a resource changes ([`Connect::on_resource_updated`]).
    ///
    /// In the modern era this opens or replaces the one
    /// [`subscriptions/listen`](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions) of the client,
    /// and is done when the server has agreed to tell of the resource. Changes may be told twice while one replaces the other.
    ///
    /// # Errors
    ///
    /// When the server refuses or does not tell of this resource, or 1,024 resources are subscribed to already. Then the resource
    /// is not subscribed to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes the wish back.
    pub async fn subscribe(&self, uri: impl AsRef<str>) -> Result<(), ClientError> {
        let uri = uri.as_ref();
        let core = self.core();
        if core.is_modern() {
            return listening::subscribe(core, uri).await;
        }
        let added = core.settings.subscribe(uri)?;
        let params = ResourceParams::new(uri.to_owned());
        let outcome = Calling::<Raw>::new(core, "resources/subscribe", &params).await;
        if outcome.is_err() && added {
            core.settings.unsubscribe(uri);
        }
        outcome.map(drop)
    }

    /// Asks not to be told any more when a resource changes. In the modern era there is nothing to wait for: what is listened for
    /// is asked for anew.
    ///
    /// # Errors
    ///
    /// When the server refuses. The client takes the resource for given up all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes nothing back, but the server may not have been told.
    pub async fn unsubscribe(&self, uri: impl AsRef<str>) -> Result<(), ClientError> {
        let uri = uri.as_ref();
        let core = self.core();
        if core.is_closed() {
            return Err(ClientError::closed());
        }
        core.settings.unsubscribe(uri);
        if core.is_modern() {
            core.listening.refresh(core);
            return Ok(());
        }
        let params = ResourceParams::new(uri.to_owned());
        Calling::<Raw>::new(core, "resources/unsubscribe", &params).await.map(drop)
    }

    /// Makes any request, with params that are a JSON object, or `()` for none. With [`Raw`] for `R` the result is given as it
    /// came.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), throughline::ClientError> {
    /// # let endpoint = throughline::StreamableHttp::new(throughline::Server::new("demo", "1.0.0"));
    /// use throughline::jsonrpc::Raw;
    ///
    /// let client = throughline::Client::over(endpoint).await?;
    /// let tools: Raw = client.request("tools/list", &()).await?;
    /// assert!(tools.as_str().contains(r#""tools":[]"#));
    /// # Ok(())
    /// # }
    /// ```
    pub fn request<R: DeserializeOwned>(
        &self,
        method: impl AsRef<str>,
        params: &(impl Serialize + ?Sized),
    ) -> Calling<'_, R> {
        Calling::new(self.core(), method.as_ref().to_owned(), params)
    }

    /// Sends a notification, with params that are a JSON object, or `()` for none.
    ///
    /// # Errors
    ///
    /// When it cannot be sent, or the server refuses it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it was sent.
    pub async fn notify(
        &self,
        method: impl AsRef<str>,
        params: &(impl Serialize + ?Sized),
    ) -> Result<(), ClientError> {
        let method = method.as_ref();
        if self.core().is_closed() {
            return Err(ClientError::closed());
        }
        let params = Raw::new(params).map_err(ClientError::unsendable)?;
        let params = (!params.is_null()).then_some(&params);
        let mut message = BytesMut::new();
        jsonrpc::write_notification(&mut message, method, params).map_err(ClientError::unsendable)?;
        self.core().notify(method, message.freeze()).await
    }

    /// Tells the server that the roots changed, so that it asks for them anew. In the modern era there is nothing to tell: a server
    /// asks whenever a call needs them.
    ///
    /// # Errors
    ///
    /// As [`notify`](Self::notify).
    pub async fn roots_changed(&self) -> Result<(), ClientError> {
        let core = self.core();
        if core.is_modern() && !core.is_closed() {
            return Ok(());
        }
        self.notify("notifications/roots/list_changed", &()).await
    }

    /// Ends the session, and with it everything of this client and its clones: calls that wait fail, streams are closed.
    ///
    /// # Errors
    ///
    /// When the server does not let the session be ended, or cannot be reached. The client is closed all the same.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future can leave the session open at the server, until it expires there. The process of a server is
    /// ended all the same.
    pub async fn close(&self) -> Result<(), ClientError> {
        let core = self.core();
        // A call that was given up just before is taken back at the server, not forgotten with the session.
        core.say_farewells().await;
        let agreed = core.agreed();
        if !core.set_closed() {
            return Ok(());
        }
        match &core.transport {
            Transport::Http(http) if agreed.session_id().is_some() => http.end_session(&agreed).await,
            Transport::Http(_) => Ok(()),
            Transport::Pipe(pipe) => {
                pipe.close().await;
                Ok(())
            }
        }
    }
}
