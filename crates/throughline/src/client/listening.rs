//! Hearing of changes in the modern era: the one `subscriptions/listen` that what this client listens for needs.
//!
//! ```text
//!   listeners, Client::subscribe --> what is wanted --+
//!                                                     v
//!   notifications, ends ------> Subscriber (the engine): what to open and close, and when
//!                                                     |
//!         over HTTP: a POST whose response a task of its own reads
//!         over a pipe: a request whose messages name it --> Core::take
//! ```
//!
//! Specification: [subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use http::{Method, StatusCode};
use throughline_proto::client::{Denial, Ending, Hearing, Listen, Subscriber, Told, Wish, write_call};
use throughline_proto::jsonrpc::{Message, Notification, Raw, RequestId, Str};
use throughline_proto::model::{ListenParams, Meta, ResourceUpdatedParams, SubscriptionFilter};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::authorize::{Asks, in_time};
use super::call::request_id;
use super::core::{Agreed, Core, Origin, Transport};
use super::http::{Http, Reading, dice, modern_headers};
use super::negotiate::renegotiate;
use super::pipe::Pipe;
use super::{ClientError, StreamStatus};
use crate::lock::Lock;
use crate::runtime;

const LISTEN: &str = "subscriptions/listen";

/// What a client hears of changes, and the task that sees to it.
pub(crate) struct Listening {
    subscriber: Mutex<Subscriber>,
    /// The task that sees to it was started.
    begun: AtomicBool,
    /// For that task: look again.
    woken: Notify,
    /// For those who wait for a subscription: something came of it.
    news: watch::Sender<()>,
    /// What the server does not tell of, as far as that was said in the log.
    missing: Mutex<SubscriptionFilter>,
    /// How many wait for a subscription: for them a person may be asked to log in.
    waiting: AtomicUsize,
    /// What carries each subscription. As many as the subscriber has open: three at most.
    tasks: Mutex<HashMap<i64, AbortHandle>>,
}

impl Listening {
    /// `separate`: each subscription has a connection of its own.
    pub(crate) fn new(separate: bool, patience: Duration) -> Self {
        Self {
            subscriber: Mutex::new(Subscriber::new(separate, patience)),
            begun: AtomicBool::new(false),
            woken: Notify::new(),
            news: watch::Sender::new(()),
            missing: Mutex::default(),
            waiting: AtomicUsize::new(0),
            tasks: Mutex::default(),
        }
    }

    /// What is wanted changed, or may have.
    pub(crate) fn refresh(&self, core: &Arc<Core>) {
        let wanted = wanted(core);
        let wants = wanted != SubscriptionFilter::default();
        self.subscriber.locked().want(wanted);
        if wants && !self.begun.swap(true, Ordering::Relaxed) {
            core.spawn(listen(Arc::clone(core)));
        }
        self.woken.notify_one();
    }

    /// Takes a notification in. False when nobody may be told of it.
    pub(crate) fn take(&self, core: &Core, on: Option<i64>, notification: &Notification) -> bool {
        let told = self.subscriber.locked().handle_notification(runtime::now(), on, notification);
        match told {
            Told::Other => return true,
            Told::Change => {
                core.cache_handle(&notification.method, notification.params.as_ref());
                return true;
            }
            Told::Foreign => {
                tracing::debug!(
                    method = &*notification.method,
                    "a notification of no subscription of this client is ignored"
                );
                return false;
            }
            Told::Acknowledged(acknowledged) => {
                let news = acknowledged.missing != *self.missing.locked();
                if news && acknowledged.missing != SubscriptionFilter::default() {
                    tracing::warn!(
                        missing = ?acknowledged.missing,
                        "the server does not tell of everything that this client listens for"
                    );
                }
                *self.missing.locked() = acknowledged.missing;
                if let Some(missed) = acknowledged.missed {
                    tell_missed(core, &missed);
                }
            }
            Told::Ended => {
                // What a server takes back it need not end: over HTTP the connection is given up.
                if let Some(task) = on.and_then(|id| self.tasks.locked().remove(&id)) {
                    task.abort();
                }
            }
        }
        self.tell_news(core);
        true
    }

    /// An answer came down a pipe. False when it answers no subscription.
    pub(crate) fn take_answer(&self, core: &Core, id: i64, outcome: &Result<Raw, ClientError>) -> bool {
        if !self.subscriber.locked().knows(id) {
            return false;
        }
        match outcome {
            Ok(_) => self.handle_end(core, id, Ending::Closed),
            Err(error) => self.handle_end(core, id, ending_of(error)),
        }
        true
    }

    /// Nothing can come any more.
    pub(crate) fn set_closed(&self, core: &Core) {
        self.subscriber.locked().handle_closed();
        self.tell_news(core);
    }

    fn handle_end(&self, core: &Core, id: i64, ending: Ending<'_>) {
        self.subscriber.locked().handle_end(runtime::now(), id, ending, dice());
        self.tasks.locked().remove(&id);
        self.tell_news(core);
    }

    fn tell_news(&self, core: &Core) {
        self.report(core);
        self.news.send_replace(());
        self.woken.notify_one();
    }

    /// Says how the stream is.
    fn report(&self, core: &Core) {
        let hearing = self.subscriber.locked().hearing();
        if core.is_modern() {
            let status = match hearing {
                Hearing::Not => StreamStatus::Idle,
                Hearing::Well => StreamStatus::Open,
                Hearing::Again => StreamStatus::Reconnecting { lost: 0 },
                Hearing::Never => StreamStatus::Unavailable,
            };
            core.status.send_if_modified(|now| {
                let is_news = *now != status && *now != StreamStatus::Closed;
                if is_news {
                    *now = status;
                }
                is_news
            });
        }
    }
}

/// Subscribes to a resource: done when the server has agreed to tell of it.
pub(crate) async fn subscribe(core: &Arc<Core>, uri: &str) -> Result<(), ClientError> {
    if core.is_closed() {
        return Err(ClientError::closed());
    }
    let listening = &core.listening;
    let mut undo = Undo { core, uri, armed: core.settings.subscribe(uri)? };
    listening.waiting.fetch_add(1, Ordering::Relaxed);
    let _waiting = Waiting(listening);
    let mut news = listening.news.subscribe();
    listening.refresh(core);
    let agreed = async {
        loop {
            let wish = listening.subscriber.locked().wish(uri);
            match wish {
                Wish::Granted => return Ok(()),
                Wish::Denied => {
                    return Err(ClientError::unsupported(format!(
                        "the server does not tell of changes of `{}`",
                        throughline_proto::jsonrpc::excerpt(uri)
                    )));
                }
                Wish::Refused(denial) => return Err(error_of(core, denial)),
                Wish::Open => {}
            }
            if news.changed().await.is_err() || core.is_closed() {
                return Err(ClientError::closed());
            }
        }
    };
    let patience = core.config.patience;
    match in_time(core.config.authorizing.as_ref(), patience.timeout, agreed).await {
        Some(outcome) => {
            undo.armed &= outcome.is_err();
            outcome
        }
        None => Err(ClientError::timeout(throughline_proto::client::Overdue::Silent, patience)),
    }
}

/// One that waits for a subscription.
struct Waiting<'a>(&'a Listening);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes a wish back that did not come true.
struct Undo<'a> {
    core: &'a Arc<Core>,
    uri: &'a str,
    armed: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.core.settings.unsubscribe(self.uri);
            self.core.listening.refresh(self.core);
        }
    }
}

/// What there are listeners for, and what was subscribed to.
fn wanted(core: &Core) -> SubscriptionFilter {
    let mut wanted = SubscriptionFilter::default();
    if core.is_closed() || !core.is_modern() {
        return wanted;
    }
    if core.config.standalone {
        wanted.tools_list_changed = core.handlers.tools_changed.is_some();
        wanted.prompts_list_changed = core.handlers.prompts_changed.is_some();
        wanted.resources_list_changed = core.handlers.resources_changed.is_some();
    }
    wanted.resource_subscriptions = core.settings.subscriptions().into_iter().map(Str::from).collect();
    wanted
}

/// Sees to it that what is wanted is heard of, for as long as the client lives.
async fn listen(core: Arc<Core>) {
    let listening = &core.listening;
    let mut renewals = core.config.authorizing.as_ref().map(|authorizing| authorizing.renewals());
    loop {
        // Before looking, so that what happens meanwhile is not missed.
        let woken = listening.woken.notified();
        let step = {
            let wanted = wanted(&core);
            let mut subscriber = listening.subscriber.locked();
            subscriber.want(wanted);
            subscriber.next(runtime::now())
        };
        listening.report(&core);
        match step {
            Listen::Open(filter) => open(&core, filter),
            Listen::Close(id) => close(&core, id),
            Listen::Wait(at) => {
                tokio::select! {
                    () = woken => {}
                    () = runtime::sleep_until(at) => {}
                }
            }
            Listen::Rest => {
                tokio::select! {
                    () = woken => {}
                    () = renewed(&mut renewals) => listening.subscriber.locked().handle_credentials(),
                }
            }
        }
    }
}

/// Waits for other credentials.
async fn renewed(renewals: &mut Option<watch::Receiver<u64>>) {
    match renewals {
        // Its sender lives as long as the client.
        Some(renewals) => drop(renewals.changed().await),
        None => std::future::pending().await,
    }
}

/// Asks for a subscription.
fn open(core: &Arc<Core>, filter: SubscriptionFilter) {
    let id = core.next_id();
    let listening = &core.listening;
    listening.subscriber.locked().handle_opened(runtime::now(), id, filter.clone());
    listening.tell_news(core);
    let agreed = core.agreed();
    let (message, headers) = match write(&agreed, id, filter) {
        Ok(written) => written,
        Err(error) => {
            tracing::warn!(%error, "what this client listens for cannot be asked for");
            return listening.handle_end(core, id, ending_of(&error));
        }
    };
    let carrying = Arc::clone(core);
    let task = core.spawn(async move {
        match &carrying.transport {
            Transport::Http(http) => carry_http(&carrying, http, &agreed, id, message, &headers).await,
            Transport::Pipe(pipe) => carry_pipe(&carrying, pipe, id, message).await,
        }
    });
    let mut tasks = listening.tasks.locked();
    tasks.retain(|_, task| !task.is_finished());
    // None where the client was closed meanwhile.
    tasks.extend(task.map(|task| (id, task)));
}

fn write(agreed: &Agreed, id: i64, filter: SubscriptionFilter) -> Result<(Bytes, HeaderMap), ClientError> {
    let params = Raw::new(&ListenParams::new(filter)).map_err(ClientError::unsendable)?;
    let mut message = BytesMut::new();
    write_call(&mut message, &request_id(id), LISTEN, &params, &Meta::new(), &agreed.envelope)
        .map_err(|error| ClientError::unsendable(error.message))?;
    let mut headers = agreed.headers.clone();
    modern_headers(&mut headers, agreed.peer.revision.date(), LISTEN, &params)?;
    Ok((message.freeze(), headers))
}

/// Takes a subscription back.
fn close(core: &Arc<Core>, id: i64) {
    if let Some(task) = core.listening.tasks.locked().remove(&id) {
        // Over HTTP the lost connection says it.
        task.abort();
    }
    if matches!(core.transport, Transport::Pipe(_)) {
        core.cancel(id, "the client listens for something else");
    }
}

/// Sends the request and reads its response to the end.
async fn carry_http(
    core: &Arc<Core>,
    http: &Http,
    agreed: &Agreed,
    id: i64,
    message: Bytes,
    headers: &HeaderMap,
) {
    match read_http(core, http, id, message, headers).await {
        Ok(()) => core.listening.handle_end(core, id, Ending::Closed),
        Err(error) => {
            tracing::debug!(%error, "the stream of changes ended");
            let replaced = error.raises_doubt(agreed.peer.revision) && renegotiate(core, agreed).await;
            // In another revision it may well be had.
            let ending = if replaced { Ending::Lost } else { ending_of(&error) };
            core.listening.handle_end(core, id, ending);
        }
    }
}

async fn read_http(
    core: &Arc<Core>,
    http: &Http,
    id: i64,
    message: Bytes,
    headers: &HeaderMap,
) -> Result<(), ClientError> {
    let is_waited_for = core.listening.waiting.load(Ordering::Relaxed) > 0;
    let asks = if is_waited_for { Asks::Person } else { Asks::Nobody };
    let mut reading = Reading::new(http.line.send(Method::POST, message, headers, asks).await?).await?;
    while let Some(received) = reading.next().await? {
        match received.message {
            Some(Ok(Message::Response(response)))
                if response.id.as_ref().is_none_or(|answered| *answered == RequestId::Number(id)) =>
            {
                return response.outcome.map(drop).map_err(ClientError::answered);
            }
            Some(Ok(message @ Message::Notification(_))) => core.take(message, Origin::Listen(id)),
            Some(Ok(_)) => tracing::debug!("the server sent what has no place on a stream of changes"),
            Some(Err(error)) => {
                tracing::warn!(%error, "the server sent what is no message; it is skipped");
            }
            None => {}
        }
    }
    Ok(())
}

/// Sends the request; the reader of the pipe brings what comes of it.
async fn carry_pipe(core: &Arc<Core>, pipe: &Pipe, id: i64, message: Bytes) {
    if let Err(error) = pipe.send(message).await {
        tracing::debug!(%error, "the server cannot be listened to");
        core.listening.handle_end(core, id, Ending::Lost);
        core.listening.set_closed(core);
    }
}

/// No subscription was open for a while: whatever is listened for may have changed.
fn tell_missed(core: &Core, missed: &SubscriptionFilter) {
    let tell = |method, params: Option<Raw>| {
        core.cache_handle(method, params.as_ref());
        core.handlers.tell(&Notification { method: Str::from_static(method), params });
    };
    for (was_granted, method) in [
        (missed.tools_list_changed, "notifications/tools/list_changed"),
        (missed.prompts_list_changed, "notifications/prompts/list_changed"),
        (missed.resources_list_changed, "notifications/resources/list_changed"),
    ] {
        if was_granted {
            tell(method, None);
        }
    }
    for uri in &missed.resource_subscriptions {
        let params = ResourceUpdatedParams::new(uri.clone());
        tell("notifications/resources/updated", Raw::new(&params).ok());
    }
}

/// What the end of a subscription is to the engine.
fn ending_of(error: &ClientError) -> Ending<'_> {
    match error.error() {
        Some(object) if error.status().is_none() => {
            Ending::Refused { status: StatusCode::OK, error: Some(object), retry_after: None }
        }
        _ => super::http::ending_of(error),
    }
}

/// What a caller is told of a refusal.
fn error_of(core: &Core, denial: Denial) -> ClientError {
    match (denial.status, denial.error) {
        (Some(status), Some(error)) if status.is_success() => ClientError::answered(error),
        (Some(status), error) => ClientError::refused(status, error, None),
        (None, _) => match &core.transport {
            Transport::Pipe(pipe) => pipe.check().err().unwrap_or_else(ClientError::closed),
            Transport::Http(_) => ClientError::closed(),
        },
    }
}
