//! What all clones of a client share.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use throughline_proto::client::{Envelope, Overdue, TransportChoice, TransportKind, session_tag};
use throughline_proto::http::MCP_SESSION_ID;
use throughline_proto::jsonrpc::{self, Message, Notification, ProgressToken, Raw, RequestId};
use throughline_proto::model::{
    self, DiscoverResult, Implementation, InitializeResult, LoggingLevel, Meta, Method, ServerCapabilities,
};
use throughline_proto::revision::Revision;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::authorize::{Asks, Authorizing, in_time};
use super::cache::Cache;
use super::handlers::{Handlers, write_answer};
use super::http::Http;
use super::in_flight::{InFlight, Pending};
use super::listening::Listening;
use super::pipe::Pipe;
use super::settings::Settings;
use super::tools::ToolBook;
use super::{ClientError, StreamStatus};
use crate::error::McpError;
use crate::lock::Lock;
use crate::runtime;

/// What a client is made of. It is closed with the last [`Client`](super::Client), whatever tasks still hold it.
pub(crate) struct Core {
    pub(crate) transport: Transport,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) config: Config,
    pub(crate) in_flight: InFlight,
    pub(crate) status: watch::Sender<StreamStatus>,
    pub(crate) tools: ToolBook,
    #[cfg(feature = "client")]
    pub(crate) schemas: super::schema::OutputSchemas,
    pub(crate) settings: Settings,
    pub(crate) listening: Listening,
    /// Held while it is found out anew what the server speaks.
    pub(crate) negotiating: tokio::sync::Mutex<()>,
    /// The task that keeps the standalone stream of sessions open was started.
    pub(crate) keeps_open: AtomicBool,
    agreed: Mutex<Arc<Agreed>>,
    next_id: AtomicI64,
    closed: AtomicBool,
    /// Responses that nobody waited for.
    stray: AtomicI64,
    tasks: Mutex<Vec<AbortHandle>>,
    /// Cancellations that are being sent.
    farewells: Mutex<Vec<oneshot::Receiver<()>>>,
}

/// How messages travel.
pub(crate) enum Transport {
    /// Every request has a response of its own.
    Http(Http),
    /// One stream of messages each way.
    Pipe(Pipe),
}

/// What does not change while a client lives.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) client: model::Client,
    pub(crate) patience: throughline_proto::client::Patience,
    /// Questions by result that are answered for one call at most.
    pub(crate) max_rounds: u32,
    /// The one revision that will do.
    pub(crate) pinned: Option<Revision>,
    pub(crate) choice: TransportChoice,
    /// What is kept of results; `None`: nothing is.
    pub(crate) cache: Option<Cache>,
    /// Whether a stream for what belongs to no request is opened.
    pub(crate) standalone: bool,
    /// Whether another session is opened when the server no longer knows this one.
    pub(crate) renews: bool,
    /// Where credentials come from.
    pub(crate) authorizing: Option<Arc<Authorizing>>,
}

/// What was agreed with the server. Replaced as a whole when a session is opened anew.
#[derive(Clone)]
pub(crate) struct Agreed {
    pub(crate) peer: Arc<Peer>,
    pub(crate) envelope: Envelope,
    /// What every request of the session carries: its id and revision.
    pub(crate) headers: HeaderMap,
    /// Counts the sessions of this client.
    pub(crate) generation: u64,
}

impl Agreed {
    /// The id of the session; `None` when the server keeps none.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.headers.get(MCP_SESSION_ID).and_then(|id| id.to_str().ok())
    }

    /// What tells the session from others; `None` when the server keeps none.
    pub(crate) fn session_tag(&self) -> Option<u32> {
        self.session_id().map(session_tag)
    }
}

/// What is known of the server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// The revision that is spoken.
    pub revision: Revision,
    /// Who the server says it is; servers without sessions may keep that to themselves.
    pub info: Option<Implementation>,
    /// What it says it can do.
    pub capabilities: ServerCapabilities,
    /// How it wants to be used, for the model.
    pub instructions: Option<String>,
}

/// From which stream a message came.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The response to the request of this call.
    Call(&'a Arc<Pending>),
    /// The standalone stream: what belongs to no call.
    Standalone,
    /// The one stream of a pipe: what belongs to any.
    Pipe,
    /// The response to the `subscriptions/listen` of this id.
    Listen(i64),
}

impl Core {
    pub(crate) fn new(
        transport: Transport,
        handlers: Arc<Handlers>,
        config: Config,
        first_id: i64,
    ) -> Arc<Self> {
        let nothing = Agreed {
            peer: Arc::new(Peer {
                revision: Revision::LATEST_LEGACY,
                info: None,
                capabilities: ServerCapabilities::default(),
                instructions: None,
            }),
            envelope: Envelope::default(),
            headers: HeaderMap::new(),
            generation: 0,
        };
        // A kit sees each change once: it reads no stream on that was replaced, and in memory nothing is overtaken.
        let separate = matches!(transport, Transport::Http(_)) && config.renews;
        let listening = Listening::new(separate, config.patience.timeout);
        Arc::new(Self {
            transport,
            handlers,
            config,
            in_flight: InFlight::default(),
            status: watch::Sender::new(StreamStatus::Idle),
            tools: ToolBook::default(),
            #[cfg(feature = "client")]
            schemas: super::schema::OutputSchemas::default(),
            settings: Settings::default(),
            listening,
            negotiating: tokio::sync::Mutex::new(()),
            keeps_open: AtomicBool::new(false),
            agreed: Mutex::new(Arc::new(nothing)),
            next_id: AtomicI64::new(first_id),
            closed: AtomicBool::new(false),
            stray: AtomicI64::new(0),
            tasks: Mutex::default(),
            farewells: Mutex::default(),
        })
    }

    pub(crate) fn next_id(&self) -> i64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn agreed(&self) -> Arc<Agreed> {
        Arc::clone(&self.agreed.locked())
    }

    pub(crate) fn agree(&self, agreed: Agreed) {
        let generation = agreed.generation;
        *self.agreed.locked() = Arc::new(agreed);
        if let Transport::Http(http) = &self.transport {
            // Who still reads a stream of the session before need not.
            http.generation.send_replace(generation);
        }
    }

    /// Whether there are no sessions.
    pub(crate) fn is_modern(&self) -> bool {
        self.agreed.locked().peer.revision.is_modern()
    }

    /// Over what the server is reached.
    pub(crate) fn kind(&self) -> TransportKind {
        match self.transport {
            Transport::Http(_) => TransportKind::Http,
            Transport::Pipe(_) => TransportKind::Pipe,
        }
    }

    /// From now on every request says this level, where requests say it.
    pub(crate) fn set_log_level(&self, level: LoggingLevel) {
        let mut agreed = self.agreed.locked();
        let mut renewed = Agreed::clone(&agreed);
        renewed.envelope = renewed.envelope.with_log_level(Some(level));
        *agreed = Arc::new(renewed);
    }

    /// What is kept of results learns of a change.
    pub(crate) fn cache_handle(&self, method: &str, params: Option<&Raw>) {
        if let Some(cache) = &self.config.cache {
            cache.handle_notification(method, params);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Says how the standalone stream is. A closed client stays closed.
    pub(crate) fn set_status(&self, status: StreamStatus) {
        self.status.send_if_modified(|now| {
            let changes = *now != StreamStatus::Closed && *now != status;
            if changes {
                *now = status;
            }
            changes
        });
    }

    /// No call can begin any more; those that wait fail. False when it was closed before.
    pub(crate) fn set_closed(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::SeqCst);
        self.tasks.locked().drain(..).for_each(|task| task.abort());
        self.handlers.give_up();
        self.set_status(StreamStatus::Closed);
        self.in_flight.fail_all(|pending| match pending.is_sent() {
            true => ClientError::outcome_unknown(Some(ClientError::closed())),
            false => ClientError::closed(),
        });
        first
    }

    /// Runs a task that ends with the client.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        let mut tasks = self.tasks.locked();
        // Asked under the lock, so that nothing begins after everything was ended.
        if self.is_closed() {
            return None;
        }
        let task = runtime::spawn(task);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.clone());
        Some(task)
    }

    /// Takes a message in that is no response to the request of `origin` itself.
    pub(crate) fn take(self: &Arc<Self>, message: Message, origin: Origin<'_>) {
        let of_call = match origin {
            Origin::Call(pending) => Some(Arc::clone(pending)),
            Origin::Standalone | Origin::Pipe => self.call_of(&message),
            Origin::Listen(_) => None,
        };
        if let Some(pending) = &of_call {
            pending.tell(&message);
        }
        if let Message::Notification(notification) = &message
            && !self.may_be_told(notification, origin)
        {
            return;
        }
        if of_call.is_none() {
            self.handlers.tell_stray(&message);
        }
        let generation = || match origin {
            Origin::Call(pending) => pending.generation(),
            Origin::Standalone | Origin::Listen(_) | Origin::Pipe => self.agreed().generation,
        };
        match message {
            Message::Notification(notification) => {
                if notification.method == "notifications/cancelled" {
                    self.handlers.withdraw(notification.params.as_ref(), generation());
                }
                if notification.method == "notifications/tools/list_changed" {
                    self.tools.set_changed();
                }
                self.handlers.tell(&notification);
            }
            Message::Request(request) => {
                // On a pipe nobody can tell for which call the server asks.
                let held = match origin {
                    Origin::Pipe => self.in_flight.all().iter().map(Pending::hold).collect(),
                    Origin::Call(pending) => vec![pending.hold()],
                    Origin::Standalone | Origin::Listen(_) => Vec::new(),
                };
                let answering = self.handlers.begin(self, request, held, generation());
                if let (Origin::Call(pending), Some(answering)) = (origin, answering) {
                    pending.asks(answering);
                }
            }
            Message::Response(response) => {
                let waiting = match &response.id {
                    Some(RequestId::Number(id)) => self.in_flight.get(*id),
                    _ => None,
                };
                let outcome = response.outcome.map_err(ClientError::answered);
                match waiting {
                    Some(pending) => pending.settle(outcome),
                    None if self.answers_subscription(response.id.as_ref(), &outcome) => {}
                    None => {
                        self.stray.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(id = ?response.id, "the server answered what nobody waits for");
                    }
                }
            }
        }
    }

    /// Whether a notification is for the listeners. In the modern era changes are told on subscriptions alone; see
    /// [receiving notifications](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#receiving-notifications).
    fn may_be_told(&self, notification: &Notification, origin: Origin<'_>) -> bool {
        if matches!(&*notification.method, "notifications/progress" | "notifications/message")
            || !self.is_modern()
        {
            return true;
        }
        let on = match origin {
            Origin::Call(pending) => Some(pending.id()),
            Origin::Listen(id) => Some(id),
            Origin::Standalone | Origin::Pipe => None,
        };
        self.listening.take(self, on, notification)
    }

    fn answers_subscription(&self, id: Option<&RequestId>, outcome: &Result<Raw, ClientError>) -> bool {
        let Some(RequestId::Number(id)) = id else { return false };
        self.listening.take_answer(self, *id, outcome)
    }

    /// The call that a message of a shared stream belongs to, as far as it says so.
    fn call_of(&self, message: &Message) -> Option<Arc<Pending>> {
        let Message::Notification(notification) = message else { return None };
        if notification.method != "notifications/progress" {
            return None;
        }
        let params = notification.params.as_ref()?;
        self.in_flight.of_token(&params.parse::<ProgressOf>().ok()?.progress_token)
    }

    /// Sends the answer to a question that the server asked in the session of this generation. Another session may use the
    /// same id for another question, so it is not sent there.
    pub(crate) async fn send_answer(&self, id: RequestId, outcome: Result<Raw, McpError>, generation: u64) {
        let agreed = self.agreed();
        if agreed.generation != generation {
            tracing::debug!("the session of a question is gone; its answer is not sent");
            return;
        }
        if let Err(error) = self.send_in(&agreed, write_answer(&id, outcome).freeze()).await {
            tracing::warn!(%error, "the answer to a question of the server's could not be sent");
        }
    }

    /// Sends a notification that nobody waits for.
    pub(crate) async fn send_message(&self, message: Bytes) -> Result<(), ClientError> {
        let agreed = self.agreed();
        self.in_time(self.send_asking(&agreed, message, Asks::Nobody)).await
    }

    /// The same in this session.
    pub(crate) async fn send_in(&self, agreed: &Agreed, message: Bytes) -> Result<(), ClientError> {
        self.in_time(self.send_asking(agreed, message, Asks::Person)).await
    }

    async fn send_asking(&self, agreed: &Agreed, message: Bytes, asks: Asks) -> Result<(), ClientError> {
        match &self.transport {
            Transport::Http(http) => http.post(agreed, message, asks).await,
            Transport::Pipe(pipe) => pipe.send(message).await,
        }
    }

    /// Sends a notification of the caller's, with a connection or session made anew where that takes one.
    pub(crate) async fn notify(self: &Arc<Self>, method: &str, message: Bytes) -> Result<(), ClientError> {
        match &self.transport {
            Transport::Http(http) => http.notify(self, method, message).await,
            Transport::Pipe(pipe) => {
                let sending = async {
                    pipe.ready(self).await?;
                    pipe.send(message).await
                };
                self.in_time(sending).await
            }
        }
    }

    /// What is sent without an answer may take as long as a call.
    pub(crate) async fn in_time(
        &self,
        sending: impl Future<Output = Result<(), ClientError>>,
    ) -> Result<(), ClientError> {
        let patience = self.config.patience;
        in_time(self.config.authorizing.as_ref(), patience.timeout, sending)
            .await
            .unwrap_or_else(|| Err(ClientError::timeout(Overdue::Silent, patience)))
    }

    /// Tells the server that a call is taken back, without waiting for it to hear so.
    pub(crate) fn cancel(self: &Arc<Self>, id: i64, reason: &str) {
        if matches!(self.transport, Transport::Http(_)) && self.agreed().peer.revision.is_modern() {
            // The lost connection says it.
            return;
        }
        let params = model::CancelledParams::new(RequestId::Number(id)).with_reason(reason.to_owned());
        let mut message = BytesMut::new();
        if jsonrpc::write_notification(&mut message, "notifications/cancelled", Some(&params)).is_err() {
            return;
        }
        let core = Arc::clone(self);
        let send = async move {
            let sending = core.send_message(message.freeze());
            match tokio::time::timeout(FAREWELL, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a cancellation could not be sent"),
                Err(_) => tracing::debug!("a cancellation was not taken in time"),
            }
        };
        // A future may be dropped where there is no runtime any more.
        if tokio::runtime::Handle::try_current().is_ok() {
            let (told, waiting) = oneshot::channel::<()>();
            let mut farewells = self.farewells.locked();
            farewells.retain_mut(|farewell| farewell.try_recv() == Err(TryRecvError::Empty));
            farewells.push(waiting);
            drop(farewells);
            runtime::spawn(async move {
                send.await;
                drop(told);
            });
        }
    }

    /// Waits until the server was told of every call that was taken back, each for a bounded time.
    pub(crate) async fn say_farewells(&self) {
        let farewells = std::mem::take(&mut *self.farewells.locked());
        for farewell in farewells {
            // It ends by being dropped.
            let _ = farewell.await;
        }
    }

    /// Adds the headers that repeat arguments of a tool, where its schema is known to ask for some; see
    /// [custom headers](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#custom-headers-from-tool-parameters).
    ///
    /// # Errors
    ///
    /// When the tool was left out of the list.
    pub(crate) fn add_param_headers(
        &self,
        headers: &mut HeaderMap,
        method: &str,
        params: &Raw,
    ) -> Result<(), ClientError> {
        if method == Method::CallTool.as_str() {
            self.tools.add_headers(headers, params)?;
        }
        Ok(())
    }

    /// Looks whether tools want other headers than were sent. True when the request may be sent again.
    pub(crate) async fn knows_better_headers(self: &Arc<Self>, method: &str) -> bool {
        method == Method::CallTool.as_str() && self.tools.refresh(self).await
    }

    /// Tells a new session what the one before was told: the level of logs, and subscriptions.
    pub(crate) async fn restore_settings(self: &Arc<Self>) {
        self.tools.set_changed();
        self.settings.restore(self).await;
    }
}

impl Peer {
    pub(crate) fn of_initialize(revision: Revision, result: InitializeResult) -> Self {
        Self {
            revision,
            info: Some(result.server_info),
            capabilities: result.capabilities,
            instructions: result.instructions.map(|text| text.to_string()),
        }
    }

    pub(crate) fn of_discover(revision: Revision, result: DiscoverResult) -> Self {
        let info = result.meta.as_ref().and_then(|meta| meta.get(Meta::SERVER_INFO)?.parse().ok());
        Self {
            revision,
            info,
            capabilities: result.capabilities,
            instructions: result.instructions.map(|text| text.to_string()),
        }
    }
}

/// The token of a progress notification, and nothing else of it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressOf {
    progress_token: ProgressToken,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the session: its id is a secret.
        f.debug_struct("Core").field("peer", &self.agreed().peer).finish_non_exhaustive()
    }
}

/// How long a message may take that nobody waits for: a server that does not read must not collect tasks here.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);
