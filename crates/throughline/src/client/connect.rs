//! The handshake.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use bytes::BytesMut;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Uri};
use throughline_proto::jsonrpc::{self, Message, Notification, Raw, Request, RequestId};
use throughline_proto::model::{
    ClientCapabilities, CreateMessageParams, CreateMessageResult, ElicitParams, ElicitResult,
    ElicitationCapability, Implementation, InitializeParams, InitializeResult, ListRootsResult,
    RootsCapability, SamplingCapability,
};
use throughline_proto::revision::Revision;

use super::handlers::Handlers;
use super::incoming::read_whole;
use super::line::Line;
use super::{Client, ClientError, Inner};
use crate::error::McpError;

/// How a [`Client`] connects. Made by [`Client::over`].
///
/// ```
/// use throughline::jsonrpc::Raw;
/// use throughline::model::ElicitResult;
/// use throughline::{Client, Server, StreamableHttp};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let yes = Raw::new(&serde_json::json!({ "approved": true }))?;
/// let client = Client::over(StreamableHttp::new(Server::new("demo", "1.0.0")))
///     .on_elicit(move |_form| std::future::ready(Ok(ElicitResult::accept(yes.clone()))))
///     .connect()
///     .await?;
/// assert_eq!(&*client.initialized().server_info.name, "demo");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "call `connect`"]
pub struct Connect {
    line: Line,
    handlers: Handlers,
    revision: Revision,
    info: Implementation,
    derived: ClientCapabilities,
    capabilities: Option<ClientCapabilities>,
}

impl Connect {
    pub(super) fn new(line: Line) -> Self {
        Self {
            line,
            handlers: Handlers::default(),
            revision: Revision::LATEST_LEGACY,
            info: Implementation::new("throughline-client", env!("CARGO_PKG_VERSION")),
            derived: ClientCapabilities::new(),
            capabilities: None,
        }
    }

    /// The revision to ask for. Default: the latest that has sessions.
    pub fn revision(mut self, revision: Revision) -> Self {
        self.revision = revision;
        self
    }

    /// Who the client says it is.
    pub fn info(mut self, info: Implementation) -> Self {
        self.info = info;
        self
    }

    /// What the client says it can do. Default: what there are handlers for.
    pub fn capabilities(mut self, capabilities: ClientCapabilities) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// What the client says it can do, unless that was said already.
    #[cfg(feature = "testing")]
    pub(crate) fn able(mut self, capabilities: ClientCapabilities) -> Self {
        self.capabilities.get_or_insert(capabilities);
        self
    }

    /// The address of the endpoint. Default: `http://localhost/mcp`.
    pub fn uri(mut self, uri: Uri) -> Self {
        self.line.set_uri(uri);
        self
    }

    /// Sends this header with every request.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.line.set_header(name, value);
        self
    }

    /// Answers the server's forms and pages (`elicitation/create`).
    pub fn on_elicit<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(ElicitParams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ElicitResult, McpError>> + Send + 'static,
    {
        self.derived.elicitation = Some(ElicitationCapability { form: true, url: true });
        self.handlers.set("elicitation/create", answer);
        self
    }

    /// Answers the server's questions to the model (`sampling/createMessage`).
    pub fn on_sample<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(CreateMessageParams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<CreateMessageResult, McpError>> + Send + 'static,
    {
        self.derived.sampling = Some(SamplingCapability { context: false, tools: true });
        self.handlers.set("sampling/createMessage", answer);
        self
    }

    /// Tells the server the roots (`roots/list`).
    pub fn on_roots<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ListRootsResult, McpError>> + Send + 'static,
    {
        self.derived.roots = Some(RootsCapability { list_changed: false });
        self.handlers.set("roots/list", move |_: serde::de::IgnoredAny| answer());
        self
    }

    /// Answers every request of the server that has no handler of its own, in raw JSON. Without it they are answered
    /// with "method not found", `ping` excepted.
    pub fn on_request<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Raw, McpError>> + Send + 'static,
    {
        self.handlers.set_other(answer);
        self
    }

    /// Is told of every notification, whatever stream it comes on.
    pub fn on_notification(mut self, tell: impl Fn(&Notification) + Send + Sync + 'static) -> Self {
        self.handlers.set_notified(tell);
        self
    }

    /// Opens the session: `initialize`, then `notifications/initialized`.
    ///
    /// # Errors
    ///
    /// When the server refuses or cannot be reached, or answers with a revision that this client does not speak.
    pub async fn connect(self) -> Result<Client, ClientError> {
        let Self { mut line, handlers, revision, info, derived, capabilities } = self;
        let params = InitializeParams::new(revision.date(), capabilities.unwrap_or(derived), info);
        let mut body = BytesMut::new();
        let id = RequestId::Number(0);
        jsonrpc::write_request(&mut body, &id, "initialize", &params).map_err(ClientError::unwritable)?;
        let response = line.send(Method::POST, body.freeze(), None).await?;
        let headers = response.headers().clone();
        let initialized = read_whole(response)
            .await?
            .into_iter()
            .find_map(|message| match message {
                Message::Response(response) if response.id.as_ref() == Some(&id) => Some(response.outcome),
                _ => None,
            })
            .ok_or_else(|| ClientError::peer("the server did not answer `initialize`"))?
            .map_err(ClientError::answered)?;
        let initialized: InitializeResult = initialized
            .parse()
            .map_err(|error| ClientError::peer(format!("the result of `initialize` is none: {error}")))?;
        let date = &initialized.protocol_version;
        let revision = Revision::parse(date).filter(|revision| !revision.is_modern()).ok_or_else(|| {
            ClientError::peer(format!("the server speaks revision `{date}`, which this client does not"))
        })?;
        line.open(&headers, revision);
        let client =
            Client(Arc::new(Inner { line, handlers, initialized, revision, next_id: AtomicI64::new(1) }));
        client.notify("notifications/initialized", &serde_json::json!({})).await?;
        Ok(client)
    }
}
