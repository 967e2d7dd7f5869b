//! How a client connects: what its user says beforehand.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use throughline_proto::client::{Negotiation, Patience, TransportChoice};
#[cfg(feature = "testing")]
use throughline_proto::jsonrpc::Message;
use throughline_proto::jsonrpc::{Notification, Raw, Request};
use throughline_proto::model::{
    self, ClientCapabilities, CreateMessageParams, CreateMessageResult, ElicitParams, ElicitResult,
    ElicitationCapability, ElicitationCompleteParams, Implementation, ListRootsResult, LoggingLevel,
    LoggingMessageParams, ResourceUpdatedParams, RootsCapability, SamplingCapability,
};
use throughline_proto::revision::Revision;
use tokio::io::{AsyncRead, AsyncWrite};

use super::authorize::{Authorizing, Credentials, TokenProvider};
use super::cache::{Cache, SharedCache};
use super::core::{Config, Core};
use super::handlers::Handlers;
use super::line::Line;
use super::negotiate::{Setup, find_out, start};
use super::observed::{ConnectStep, Steps};
use super::reach::Target;
use super::{Client, ClientError, SavedSession, StreamStatus, Verdict};
#[cfg(feature = "client")]
use super::{HttpOptions, Proxy, ServerCommand};
use crate::error::McpError;

/// How a [`Client`] connects: say more about it, then `.await` it.
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
///     .await?;
/// assert_eq!(&*client.peer().info.as_ref().expect("it says who it is").name, "demo");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the server cannot be reached, refuses, or speaks no revision that this client may speak; when an address, a proxy or a
/// certificate that was given cannot be used.
///
/// # Cancel safety
///
/// Dropping the future gives the connection up, and ends a process that was started. A session that was just opened stays at
/// the server until it expires.
#[must_use = "nothing is connected unless awaited"]
pub struct Connect {
    target: Result<Target, ClientError>,
    /// What every HTTP request carries.
    headers: HeaderMap,
    /// What says who sends them.
    bearer: Option<Result<Credentials, ClientError>>,
    authorizing: Option<Arc<Authorizing>>,
    handlers: Handlers,
    info: Implementation,
    derived: ClientCapabilities,
    capabilities: Option<ClientCapabilities>,
    pinned: Option<Revision>,
    verdict: Option<Verdict>,
    session_revision: Option<Revision>,
    choice: TransportChoice,
    patience: Patience,
    max_rounds: u32,
    log_level: Option<LoggingLevel>,
    standalone: bool,
    renews: bool,
    cache: bool,
    shared_cache: Option<SharedCache>,
    partition: Option<String>,
    saved: Option<SavedSession>,
    steps: Steps,
}

impl Connect {
    pub(super) fn to_line(line: Line) -> Self {
        Self::to(Ok(Target::Line(line)))
    }

    pub(super) fn to_pipe(
        reader: impl AsyncRead + Send + 'static,
        writer: impl AsyncWrite + Send + 'static,
    ) -> Self {
        Self::to(Ok(Target::Pipe(Box::new(reader), Box::new(writer))))
    }

    #[cfg(feature = "client")]
    pub(super) fn to_address(url: &str) -> Self {
        Self::to(Target::address(url))
    }

    #[cfg(feature = "client")]
    pub(super) fn to_command(command: ServerCommand) -> Self {
        Self::to(Ok(Target::Command(command)))
    }

    fn to(target: Result<Target, ClientError>) -> Self {
        Self {
            target,
            headers: HeaderMap::new(),
            bearer: None,
            authorizing: None,
            handlers: Handlers::default(),
            info: default_info(),
            derived: ClientCapabilities::new(),
            capabilities: None,
            pinned: None,
            verdict: None,
            session_revision: None,
            choice: TransportChoice::Auto,
            patience: Patience::default(),
            max_rounds: MOST_ROUNDS,
            log_level: None,
            standalone: true,
            renews: true,
            cache: true,
            shared_cache: None,
            partition: None,
            saved: None,
            steps: Steps::default(),
        }
    }

    /// Speaks this revision, or fails. Default: the newest that the server speaks.
    pub fn revision(mut self, revision: Revision) -> Self {
        self.pinned = Some(revision);
        self
    }

    /// What was found out about this server before ([`Client::verdict`]): it is tried first, and found out anew when it
    /// no longer holds. A server of the legacy era is then not asked what it is before its session is opened; one of the modern era
    /// is, since its answer also says what it can do. A [pinned revision](Self::revision) counts more.
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// In a session, asks for this revision; the server may answer with another. Default: the latest that has sessions.
    pub fn session_revision(mut self, revision: Revision) -> Self {
        self.session_revision = Some(revision);
        self
    }

    /// Which of the HTTP transports may be used. Default: whichever the server speaks.
    pub fn transport(mut self, choice: TransportChoice) -> Self {
        self.choice = choice;
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

    /// As the test kit wants it: it can do this, wants all log messages, hears of all lists and begins with a session, unless
    /// its user said otherwise; a session that is gone stays so and every answer is the server's, for the test to see; and
    /// `stray` is told of what belongs to no call.
    #[cfg(feature = "testing")]
    pub(crate) fn for_kit(
        mut self,
        capabilities: ClientCapabilities,
        stray: impl Fn(&Message) + Send + Sync + 'static,
    ) -> Self {
        self.capabilities.get_or_insert(capabilities);
        self.log_level.get_or_insert(LoggingLevel::Debug);
        if self.pinned.is_none() {
            self.verdict.get_or_insert(Verdict { revision: Revision::LATEST_LEGACY });
        }
        if self.max_rounds == MOST_ROUNDS {
            self.max_rounds = MOST_ROUNDS_OF_A_KIT;
        }
        (self.renews, self.cache) = (false, false);
        for listener in [
            &mut self.handlers.tools_changed,
            &mut self.handlers.prompts_changed,
            &mut self.handlers.resources_changed,
        ] {
            // Without a listener a client of the modern era is not told.
            listener.get_or_insert_with(|| Box::new(|()| {}));
        }
        self.handlers.stray = Some(Box::new(stray));
        self
    }

    /// The methods that it answers by handlers of their own.
    #[cfg(feature = "testing")]
    pub(crate) fn answers(&self) -> Vec<&'static str> {
        self.handlers.methods()
    }

    /// The address of the endpoint, for a client over a service. Default: `http://localhost/mcp`.
    pub fn uri(mut self, uri: Uri) -> Self {
        if let Ok(Target::Line(line)) = &mut self.target {
            line.set_uri(uri);
        }
        self
    }

    /// Sends this header with every HTTP request. It is never logged.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sends this access token with every HTTP request, to the origin of the server's address alone. It is never logged. One that
    /// the server refuses [is an error](ClientError::is_unauthorized); [`authorize`](Self::authorize) is for tokens that change.
    ///
    /// A client that [connects](Client::connect) by itself sends it over `https`, or to this machine; another network that is
    /// trusted with it takes a [`header`](Self::header).
    ///
    /// ```no_run
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # #[cfg(feature = "client")] {
    /// let token = std::env::var("MCP_TOKEN")?;
    /// let client = throughline::Client::connect("https://example.com/mcp").bearer(token).await?;
    /// # drop(client);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the [`Connect`] is awaited: a token with characters that no token has, or an address that it may not be sent to.
    pub fn bearer(mut self, token: impl AsRef<str>) -> Self {
        self.bearer = Some(Credentials::bearer(token).map_err(ClientError::unsendable));
        self
    }

    /// Asks this provider for the credentials of every HTTP request, and again when the server refuses them: by 401, or by 403
    /// for want of scopes. A request that is refused so did not run, so it is sent again, five times at most.
    ///
    /// While a person may be asked to log in, the clocks of the client's calls stand still. No person is asked for what nobody
    /// waits for: the stream of what belongs to no call, the end of a session, a cancellation. Such a stream waits for the
    /// credentials that the next call gets. [Results from memory](Self::cache) are answered to whom they were sent alone.
    ///
    /// Credentials go to the origin of the server's address alone; a client that [connects](Client::connect) by itself sends
    /// them over `https`, or to this machine. Over pipes there are none.
    ///
    /// ```
    /// use throughline::{Client, Server, StreamableHttp, TokenError, tokens};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), throughline::ClientError> {
    /// let server = StreamableHttp::new(Server::new("demo", "1.0.0"));
    /// let ours = tokens(|need| async move {
    ///     match need.refused {
    ///         None => Ok("the-first-token".to_owned()),
    ///         Some(status) => Err(TokenError::new(format!("there is no other token ({status}); ask for one"))),
    ///     }
    /// });
    /// let client = Client::over(server).authorize(ours).await?;
    /// # client.close().await
    /// # }
    /// ```
    pub fn authorize(mut self, provider: impl TokenProvider) -> Self {
        self.authorizing = Some(Authorizing::new(provider));
        self
    }

    /// How the network is used by a client that [connects](Client::connect) by itself, all of it; the methods below say one
    /// thing each. Clients over a service or a pipe do not ask.
    #[cfg(feature = "client")]
    pub fn http(mut self, options: HttpOptions) -> Self {
        if let Ok(Target::Address(_, known)) = &mut self.target {
            *known = options;
        }
        self
    }

    /// How long a new connection may take; see [`HttpOptions::connect_timeout`]. Default: 10 s.
    #[cfg(feature = "client")]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with_options(|options| options.connect_timeout(timeout))
    }

    /// Whether and through which proxy the server is reached; see [`Proxy`]. Default: as the environment says.
    #[cfg(feature = "client")]
    pub fn proxy(self, proxy: Proxy) -> Self {
        self.with_options(|options| options.proxy(proxy))
    }

    /// Trusts the certificates in this PEM text too; see [`HttpOptions::root_certificates`].
    #[cfg(feature = "client")]
    pub fn root_certificates(self, pem: impl AsRef<[u8]>) -> Self {
        self.with_options(|options| options.root_certificates(pem))
    }

    #[cfg(feature = "client")]
    fn with_options(mut self, set: impl FnOnce(HttpOptions) -> HttpOptions) -> Self {
        if let Ok(Target::Address(_, options)) = &mut self.target {
            *options = set(std::mem::take(options));
        }
        self
    }

    /// How long a call waits for its answer unless it says otherwise. Default: 60 s, begun anew by progress.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience.timeout = timeout;
        self
    }

    /// How long a call may take in all unless it says otherwise. Default: one hour.
    pub fn max_total(mut self, most: Duration) -> Self {
        self.patience.max_total = most;
        self
    }

    /// How often the questions of one call are answered before it fails, where a server asks by results. Default: 10.
    pub fn max_rounds(mut self, rounds: u32) -> Self {
        self.max_rounds = rounds;
        self
    }

    /// The least severe log messages that the client wants ([`Client::set_log_level`] says another later). Default: what the
    /// server sends unasked, which is nothing in the modern era.
    pub fn log_level(mut self, level: LoggingLevel) -> Self {
        self.log_level = Some(level);
        self
    }

    /// Whether a stream is kept open for what belongs to no call. Default: it is.
    ///
    /// In the modern era that is a `subscriptions/listen` for what there are listeners for, and none is opened when there are
    /// none; without this one is opened for [subscriptions](Client::subscribe) alone.
    pub fn standalone_stream(mut self, open: bool) -> Self {
        self.standalone = open;
        self
    }

    /// Whether results are answered from memory while the server says that they are fresh: lists, and resources that were
    /// read. Default: they are; [`Calling::fresh`](super::Calling::fresh) asks the server all the same. Only servers of the modern
    /// era say so ([caching](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching)).
    ///
    /// What the server tells of changes makes results stale, but it tells only those who
    /// [listen](Self::on_tools_changed); without a listener, results are as old as the server allows.
    pub fn cache(mut self, keep: bool) -> Self {
        self.cache = keep;
        self
    }

    /// Keeps results together with other clients of the same server.
    pub fn shared_cache(mut self, cache: SharedCache) -> Self {
        self.shared_cache = Some(cache);
        self
    }

    /// The name of the authorization context: private results are shared by clients that give the same one. Another access token
    /// is another context. Default: one of this client's own.
    pub fn cache_partition(mut self, name: impl Into<String>) -> Self {
        self.partition = Some(name.into());
        self
    }

    /// Goes on with a session that this or another process opened ([`Client::saved`]).
    pub fn restore(mut self, saved: SavedSession) -> Self {
        self.saved = Some(saved);
        self
    }

    /// Answers the server's forms and pages (`elicitation/create`).
    ///
    /// A form's answer is [completed](model::ElicitSchema::complete) with the form's defaults and checked before it is sent.
    /// One that does not fit never is: the server gets an internal error that names the field, and the error is logged. What
    /// was declined or cancelled is sent without content. (An answer that is to be sent as it is, in a test of a server,
    /// comes from [`on_request`](Self::on_request).)
    pub fn on_elicit<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(ElicitParams) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ElicitResult, McpError>> + Send + 'static,
    {
        self.derived.elicitation = Some(ElicitationCapability { form: true, url: true });
        let elicitations = Arc::clone(&self.handlers.elicitations);
        self.handlers.set("elicitation/create", move |question: ElicitParams| {
            let elicitations = Arc::clone(&elicitations);
            let answering = elicitations.begin(&question).map(|()| answer(question.clone()));
            async move { elicitations.finish(&question, answering?.await?) }
        });
        self
    }

    /// Is told that the user is done with a page that the server had sent them to
    /// (`notifications/elicitation/complete`), once for each: what was refused until then may be asked for again. Servers
    /// need not say so. It must not block.
    pub fn on_elicitation_complete(
        mut self,
        tell: impl Fn(ElicitationCompleteParams) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.page_done = Some(Box::new(tell));
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

    /// Tells the server the roots (`roots/list`). Say that they changed with
    /// [`Client::roots_changed`](Client::roots_changed).
    pub fn on_roots<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ListRootsResult, McpError>> + Send + 'static,
    {
        self.derived.roots = Some(RootsCapability { list_changed: true });
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

    /// Is told of every notification, on whatever stream it comes. It must not block. By itself it opens no stream: in the modern
    /// era changes are told to those who listen for them.
    pub fn on_notification(mut self, tell: impl Fn(&Notification) + Send + Sync + 'static) -> Self {
        self.handlers.notified = Some(Box::new(tell));
        self
    }

    /// Is told of every log message. It must not block.
    pub fn on_log(mut self, tell: impl Fn(LoggingMessageParams) + Send + Sync + 'static) -> Self {
        self.handlers.log = Some(Box::new(tell));
        self
    }

    /// Is told of resources that changed, of those that were [subscribed to](Client::subscribe). It must not block.
    pub fn on_resource_updated(
        mut self,
        tell: impl Fn(ResourceUpdatedParams) + Send + Sync + 'static,
    ) -> Self {
        self.handlers.updated = Some(Box::new(tell));
        self
    }

    /// Is told that the list of tools changed. It must not block.
    ///
    /// In the modern era this and its like open a stream. When that was lost and is open again, each listener is told once, as
    /// changes may have been missed; the same holds for resources that are subscribed to.
    pub fn on_tools_changed(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.handlers.tools_changed = Some(Box::new(move |()| tell()));
        self
    }

    /// Is told that the list of prompts changed. It must not block.
    pub fn on_prompts_changed(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.handlers.prompts_changed = Some(Box::new(move |()| tell()));
        self
    }

    /// Is told that the list of resources changed. It must not block.
    pub fn on_resources_changed(mut self, tell: impl Fn() + Send + Sync + 'static) -> Self {
        self.handlers.resources_changed = Some(Box::new(move |()| tell()));
        self
    }

    /// Is told of each step of connecting when it is done. It must not block.
    pub fn on_step(mut self, tell: impl Fn(ConnectStep) + Send + Sync + 'static) -> Self {
        self.steps = Steps::new(tell);
        self
    }

    async fn run(self) -> Result<Client, ClientError> {
        let client =
            model::Client { info: Some(self.info), capabilities: self.capabilities.unwrap_or(self.derived) };
        self.handlers.elicitations.set_told(client.capabilities.elicitation);
        let config = Config {
            client,
            patience: self.patience,
            max_rounds: self.max_rounds,
            pinned: self.pinned,
            choice: self.choice,
            cache: self
                .cache
                .then(|| Cache::new(self.shared_cache, self.partition, self.authorizing.clone())),
            standalone: self.standalone,
            renews: self.renews,
            authorizing: self.authorizing.clone(),
        };
        let setup = Setup {
            handlers: Arc::new(self.handlers),
            config,
            log_level: self.log_level,
            steps: self.steps.clone(),
        };
        let (target, mut headers) = (self.target?, self.headers);
        if self.bearer.is_some() || self.authorizing.is_some() {
            target.may_be_told_secrets()?;
        }
        if let Some(bearer) = self.bearer {
            bearer?.put_into(&mut headers);
        }
        let (way, command) = target.open(headers, self.authorizing, self.steps)?;
        let first_id = self.saved.as_ref().map_or(1, SavedSession::first_id);
        let mut negotiation = Negotiation::new(way.kind(), self.choice, self.pinned);
        // From here on an error closes what was opened.
        let mut client = setup.client(way, first_id);
        if let Some(saved) = self.saved {
            saved.restore(client.core())?;
        } else {
            if let Some(revision) = self.session_revision {
                negotiation = negotiation.with_session_revision(revision);
            }
            if let Some(verdict) = self.verdict {
                negotiation = negotiation.with_verdict(verdict.revision);
            }
            client = find_out(client, &setup, command, negotiation).await?;
        }
        let core = client.core();
        start(core);
        let settings = async {
            if !core.is_modern() && core.agreed().peer.capabilities.logging {
                core.restore_settings().await;
            }
        };
        tokio::join!(settings, stream_opened(core));
        Ok(client)
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Waits a moment for the stream that carries what belongs to no call: some servers lose what they would send on it before it
/// is open, questions of the first call among it.
async fn stream_opened(core: &Core) {
    if core.keeps_open.load(Ordering::Relaxed) {
        let mut status = core.status.subscribe();
        let settled = status.wait_for(|status| *status != StreamStatus::Idle);
        // Those that send no head before the first event are not waited for.
        let _ = tokio::time::timeout(STREAM_WAIT, settled).await;
    }
}

pub(crate) fn default_info() -> Implementation {
    Implementation::new("throughline-client", env!("CARGO_PKG_VERSION"))
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("handlers", &self.handlers).finish_non_exhaustive()
    }
}

/// Some round trips, and less than a person notices.
const STREAM_WAIT: Duration = Duration::from_millis(250);
/// A conversation with a user has a few; more is a server that goes in circles.
const MOST_ROUNDS: u32 = 10;
/// In a test every answer is written down, so only a server in circles asks more often.
#[cfg(feature = "testing")]
const MOST_ROUNDS_OF_A_KIT: u32 = 1_000;
