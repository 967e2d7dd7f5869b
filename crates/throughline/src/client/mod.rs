//! A small client.
//!
//! ```text
//!   Client     calls and notifications; comes back to a call's stream when its connection is lost
//!   Incoming   one response as it arrives: events, or one JSON body; answers what the server asks
//!   Line       one HTTP exchange with the session's headers, over any tower service
//! ```

mod connect;
mod error;
mod handlers;
mod incoming;
mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use serde::Serialize;
use throughline_proto::http::LAST_EVENT_ID;
use throughline_proto::jsonrpc::{self, Message, Notification, ProgressToken, Raw, RequestId};
use throughline_proto::model::{CallToolParams, CallToolResult, InitializeResult, Meta};
use throughline_proto::revision::Revision;

pub use connect::Connect;
pub use error::ClientError;
pub use incoming::{Incoming, Received};
pub use line::RequestBody;

use handlers::Handlers;
use line::Line;

/// A small client for tests and examples: it speaks to a server in this process, or to any tower service over `http`
/// types, and opens no sockets itself.
///
/// What it does: the handshake, calls with their progress and log messages, answers to what the server asks, the
/// standalone stream, resuming, and the end of the session. What it leaves out: finding the era of a server, timeouts
/// (wrap a call in your runtime's), opening a new session when one is gone, and authorization.
///
/// ```
/// use schemars::JsonSchema;
/// use serde::Deserialize;
/// use throughline::{Client, Context, Server, StreamableHttp, tool};
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Count { to: u32 }
///
/// async fn count(count: Count, cx: Context) -> throughline::Result<String> {
///     for step in 1..=count.to {
///         cx.progress(step.into()).await?;
///     }
///     Ok("counted".into())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::ClientError> {
/// let server = Server::new("demo", "1.0.0").tool(tool("count", count));
/// let client = Client::over(StreamableHttp::new(server)).connect().await?;
/// let called = client.call_tool("count", &serde_json::json!({ "to": 3 })).await?;
/// assert_eq!(called.result.content[0].as_text(), Some("counted"));
/// assert_eq!(called.notifications.len(), 3);
/// client.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone; every clone speaks in the same session.
///
/// # Drop behavior
///
/// With the last clone, answers to the server that are still being made are given up. The session stays open: end it
/// with [`close`](Self::close).
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    line: Line,
    handlers: Handlers,
    initialized: InitializeResult,
    revision: Revision,
    next_id: AtomicI64,
}

/// What a tool call gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Called {
    /// The tool's result.
    pub result: CallToolResult,
    /// The progress and log messages of the call, in the order in which they came.
    pub notifications: Vec<Notification>,
}

impl Client {
    /// A client of `service`: a [`StreamableHttp`](crate::StreamableHttp), or any tower service with the same types.
    /// [`Connect::connect`] opens the session.
    pub fn over<S, B>(service: S) -> Connect
    where
        S: tower_service::Service<http::Request<RequestBody>, Response = http::Response<B>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Connect::new(Line::new(service))
    }

    /// What the server answered to `initialize`.
    pub fn initialized(&self) -> &InitializeResult {
        &self.0.initialized
    }

    /// The revision that is spoken.
    pub fn revision(&self) -> Revision {
        self.0.revision
    }

    /// The id of the session; `None` when the server keeps none.
    pub fn session_id(&self) -> Option<&str> {
        self.0.line.session_id()
    }

    /// Calls a tool with these arguments, a JSON object, and asks for its progress.
    ///
    /// # Errors
    ///
    /// See [`request`](Self::request); also when the call sends more than 8,192 messages before its result: read
    /// those with [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops listening: the call goes on at the server. To cancel it, send
    /// `notifications/cancelled` with [`notify`](Self::notify).
    pub async fn call_tool(&self, name: &str, arguments: &impl Serialize) -> Result<Called, ClientError> {
        let id = self.next_id();
        let RequestId::Number(token) = id else { unreachable!("ids of this client are numbers") };
        let mut params = CallToolParams::new(name.to_owned());
        params.arguments = Some(Raw::new(arguments).map_err(ClientError::unwritable)?);
        params.meta = Some(
            Meta::new()
                .with("progressToken", &ProgressToken::Number(token))
                .map_err(ClientError::unwritable)?,
        );
        let mut notifications = Vec::new();
        let result = self
            .settle(id, "tools/call", &params, |message| {
                let Message::Notification(notification) = message else { return Ok(()) };
                if notifications.len() == MOST_NOTIFICATIONS {
                    return Err(ClientError::peer(
                        "the call sent more than 8192 messages before its result; read them with `start`",
                    ));
                }
                notifications.push(notification);
                Ok(())
            })
            .await?;
        let result = result
            .parse()
            .map_err(|error| ClientError::peer(format!("the result of `tools/call` is none: {error}")))?;
        Ok(Called { result, notifications })
    }

    /// Sends a request and waits for its result. A lost connection is taken up again after the last event that
    /// arrived, up to five times without a message between them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), throughline::ClientError> {
    /// # let endpoint = throughline::StreamableHttp::new(throughline::Server::new("demo", "1.0.0"));
    /// let client = throughline::Client::over(endpoint).connect().await?;
    /// assert_eq!(client.request("ping", &serde_json::json!({})).await?.as_str(), "{}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ClientError`] that says what happened: the server answered with an error, refused the request, or the
    /// connection was lost and the outcome is unknown.
    ///
    /// # Cancel safety
    ///
    /// As [`call_tool`](Self::call_tool).
    pub async fn request(&self, method: &str, params: &impl Serialize) -> Result<Raw, ClientError> {
        self.settle(self.next_id(), method, params, |_| Ok(())).await
    }

    /// Sends a request and gives its id and the response as it arrives. It is not resumed by itself.
    ///
    /// # Errors
    ///
    /// When the request is refused or cannot be sent.
    pub async fn start(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<(RequestId, Incoming), ClientError> {
        let id = self.next_id();
        let incoming = self.send(&id, method, params).await?;
        Ok((id, incoming))
    }

    /// Sends a notification.
    ///
    /// # Errors
    ///
    /// When it is refused or cannot be sent.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), ClientError> {
        let mut body = BytesMut::new();
        jsonrpc::write_notification(&mut body, method, Some(params)).map_err(ClientError::unwritable)?;
        self.post(body.freeze()).await.map(drop)
    }

    /// Sends a body as it is: a batch, or anything else that is not sent otherwise.
    ///
    /// # Errors
    ///
    /// When it is refused or cannot be sent.
    pub async fn post(&self, body: Bytes) -> Result<Incoming, ClientError> {
        let response = self.0.line.send(Method::POST, body, None).await?;
        Incoming::new(Arc::clone(&self.0), response).await
    }

    /// Opens the standalone stream, which carries what belongs to no request.
    ///
    /// # Errors
    ///
    /// When it is refused or cannot be sent.
    pub async fn open_stream(&self) -> Result<Incoming, ClientError> {
        let response = self.0.line.send(Method::GET, Bytes::new(), None).await?;
        Incoming::new(Arc::clone(&self.0), response).await
    }

    /// Goes on with a stream after the event of this id
    /// ([resumability](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery)).
    ///
    /// # Errors
    ///
    /// When it is refused or cannot be sent.
    pub async fn resume(&self, last_event_id: &str) -> Result<Incoming, ClientError> {
        let response =
            self.0.line.send(Method::GET, Bytes::new(), Some((LAST_EVENT_ID, last_event_id))).await?;
        Incoming::new(Arc::clone(&self.0), response).await
    }

    /// Ends the session.
    ///
    /// # Errors
    ///
    /// When the server refuses: it keeps no sessions, or this one has ended.
    pub async fn close(&self) -> Result<(), ClientError> {
        let response = self.0.line.send(Method::DELETE, Bytes::new(), None).await?;
        Incoming::new(Arc::clone(&self.0), response).await.map(drop)
    }

    pub(crate) fn next_id(&self) -> RequestId {
        RequestId::Number(self.0.next_id.fetch_add(1, Ordering::Relaxed))
    }

    async fn send(
        &self,
        id: &RequestId,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Incoming, ClientError> {
        let mut body = BytesMut::new();
        jsonrpc::write_request(&mut body, id, method, params).map_err(ClientError::unwritable)?;
        self.post(body.freeze()).await
    }

    /// Sends a request and reads on, over as many connections as it takes, until its response. `note` is given every
    /// message before that.
    pub(crate) async fn settle(
        &self,
        id: RequestId,
        method: &str,
        params: &impl Serialize,
        mut note: impl FnMut(Message) -> Result<(), ClientError>,
    ) -> Result<Raw, ClientError> {
        let mut incoming = self.send(&id, method, params).await?;
        let (mut last_id, mut retry, mut tries) = (None, RETRY, 0);
        loop {
            let lost = match incoming.next().await {
                Ok(Some(received)) => {
                    last_id = received.id.or(last_id);
                    retry = received.retry.unwrap_or(retry);
                    match received.message {
                        Some(Message::Response(response)) if response.id.as_ref() == Some(&id) => {
                            return response.outcome.map_err(ClientError::answered);
                        }
                        Some(message) => note(message)?,
                        None => continue,
                    }
                    tries = 0;
                    continue;
                }
                Ok(None) => None,
                Err(error) if error.is_connection_lost() => Some(error),
                Err(error) => return Err(error),
            };
            let Some(after) = last_id.as_ref().filter(|_| tries < MOST_TRIES) else {
                return Err(ClientError::outcome_unknown(lost));
            };
            incoming = loop {
                tries += 1;
                tokio::time::sleep(retry).await;
                match self.resume(after).await {
                    Ok(incoming) => break incoming,
                    Err(error) if !error.is_connection_lost() => return Err(error),
                    Err(error) if tries >= MOST_TRIES => {
                        return Err(ClientError::outcome_unknown(Some(error)));
                    }
                    Err(_) => {}
                }
            };
        }
    }
}

/// As many as a server keeps for a stream by default: more cannot be resumed anyway.
pub(crate) const MOST_NOTIFICATIONS: usize = 8_192;

/// How often a call's stream is taken up again without a message in between (design §7).
const MOST_TRIES: u32 = 5;

/// When to come back if the server does not say (design §8).
const RETRY: Duration = Duration::from_secs(1);

/// The largest event or JSON body that is read (design §8).
const MAX_EVENT: usize = 16 * 1024 * 1024;
