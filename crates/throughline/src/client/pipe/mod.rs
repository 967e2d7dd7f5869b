//! One stream of messages each way: standard input and output of a server's process, a pipe in memory, or HTTP+SSE.
//!
//! ```text
//!   call --> Sink (the one writer) --> server
//!                                        |
//!   Pending <-- Core::take <-- reader <--+
//! ```

mod lines;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};
use throughline_proto::client::{Answered, Envelope, Overdue, Patience, write_call};
use throughline_proto::http::MCP_PROTOCOL_VERSION;
use throughline_proto::jsonrpc::{self, Message, Raw};
use throughline_proto::model::{InitializeResult, Meta};
use throughline_proto::revision::Revision;

#[cfg(feature = "client")]
pub(crate) use lines::{Lines, read_lines};
pub(crate) use lines::{follow, open_lines};

use super::ClientError;
use super::authorize::in_time;
use super::call::{Spec, request_id};
use super::core::{Agreed, Core, Peer};
use super::in_flight::{Hooks, Pending};
use super::negotiate::renegotiate;
use super::observed::ClientTransport;
use crate::lock::Lock;

/// The way to a server over one stream of messages each way.
pub(crate) struct Pipe {
    sink: Box<dyn Sink>,
    /// Why nothing can come any more.
    ended: Mutex<Option<String>>,
}

/// Where messages for the server go.
pub(crate) trait Sink: Send + Sync {
    /// Waits until a call can be made, for which there must be room, and a connection that was lost may have to be made
    /// anew. Who gives up before that has sent nothing.
    fn ready<'a>(
        &'a self,
        _: &'a Arc<Core>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What it is.
    fn transport(&self) -> ClientTransport {
        ClientTransport::Stdio
    }

    /// The handshake is over.
    fn begun(&self, _: &Core) {}

    /// Sends one message, after those that were sent before.
    fn send(&self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + '_>>;

    /// Ends the connection in good order, within a bounded time.
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The same without waiting. What is dropped with the sink need not be done here.
    fn abandon(&self) {}
}

impl Pipe {
    pub(crate) fn new(sink: impl Sink + 'static) -> Self {
        Self { sink: Box::new(sink), ended: Mutex::new(None) }
    }

    pub(crate) async fn send(&self, message: Bytes) -> Result<(), ClientError> {
        self.check()?;
        self.sink.send(message).await
    }

    /// Waits until a call can be made.
    pub(crate) async fn ready(&self, core: &Arc<Core>) -> Result<(), ClientError> {
        self.sink.ready(core).await
    }

    pub(crate) fn transport(&self) -> ClientTransport {
        self.sink.transport()
    }

    pub(crate) async fn close(&self) {
        self.sink.close().await;
    }

    pub(crate) fn abandon(&self) {
        self.sink.abandon();
    }

    /// Nothing comes any more: every call that waits fails with the reason.
    pub(crate) fn set_ended(&self, core: &Core, why: String) {
        self.ended.locked().get_or_insert_with(|| why.clone());
        core.in_flight.fail_all(|pending| ClientError::ended(why.clone(), pending.is_sent()));
        core.listening.set_closed(core);
    }

    pub(crate) fn check(&self) -> Result<(), ClientError> {
        match &*self.ended.locked() {
            Some(why) => Err(ClientError::ended(why.clone(), false)),
            None => Ok(()),
        }
    }

    /// Makes a call: sends its request, and waits until the reader brings the answer.
    pub(crate) async fn exchange(
        &self,
        core: &Arc<Core>,
        pending: &Arc<Pending>,
        spec: &Spec,
        params: &Raw,
    ) -> Result<Raw, ClientError> {
        if spec.resume.is_some() {
            return Err(ClientError::unsendable("a call over this transport cannot be resumed"));
        }
        let agreed = core.agreed();
        match self.send_and_wait(core, &agreed, pending, spec, params).await {
            Err(error)
                if error.raises_doubt(agreed.peer.revision) && Box::pin(renegotiate(core, &agreed)).await =>
            {
                core.in_flight.renew(pending, core.next_id());
                self.send_and_wait(core, &core.agreed(), pending, spec, params).await
            }
            outcome => outcome,
        }
    }

    async fn send_and_wait(
        &self,
        core: &Arc<Core>,
        agreed: &Agreed,
        pending: &Arc<Pending>,
        spec: &Spec,
        params: &Raw,
    ) -> Result<Raw, ClientError> {
        let id = pending.id();
        let mut message = BytesMut::new();
        write_call(&mut message, &request_id(id), &spec.method, params, &spec.own_meta(id), &agreed.envelope)
            .map_err(|error| ClientError::unsendable(error.message))?;
        let message = message.freeze();
        let sending = async {
            self.ready(core).await?;
            self.check()?;
            pending.set_sent();
            pending.set_generation(core.agreed().generation);
            self.sink.send(message).await
        };
        tokio::select! {
            biased;
            // The answer can be quicker than the word that the request was taken; and the client may be closed.
            outcome = pending.settled() => return outcome,
            sent = sending => sent?,
        }
        if let Err(ended) = self.check() {
            // It ended before the reader could know of this call.
            pending.settle(Err(ClientError::ended(ended.to_string(), true)));
        }
        pending.settled().await
    }

    /// Asks for what the server is, as a client of this revision without sessions.
    pub(crate) async fn discover(&self, core: &Arc<Core>, revision: Revision) -> Result<Probe, ClientError> {
        let envelope = Envelope::new(revision, &core.config.client).map_err(ClientError::unsendable)?;
        let id = core.next_id();
        let params = Raw::empty_object();
        let mut message = BytesMut::new();
        write_call(&mut message, &request_id(id), "server/discover", &params, &Meta::new(), &envelope)
            .map_err(|error| ClientError::unsendable(error.message))?;
        let pending = core.in_flight.begin(id, core.config.patience, Hooks::default())?;
        pending.set_sent();
        self.send(message.freeze()).await?;
        if let Err(ended) = self.check() {
            // It ended before the reader could know of this request.
            pending.settle(Err(ClientError::ended(ended.to_string(), true)));
        }
        Ok(Probe(pending))
    }

    /// Asks for a session of this revision.
    pub(crate) async fn initialize(
        &self,
        core: &Arc<Core>,
        revision: Revision,
    ) -> Result<Answered, ClientError> {
        let id = core.next_id();
        let message = super::http::write_initialize(core, &request_id(id), revision)?;
        self.ask(core, id, message, core.config.patience.timeout).await
    }

    /// The session is open.
    pub(crate) async fn begin(
        &self,
        core: &Arc<Core>,
        revision: Revision,
        result: InitializeResult,
        generation: u64,
    ) -> Result<(), ClientError> {
        let mut headers = HeaderMap::new();
        if revision.has_version_header() {
            // For HTTP+SSE; see
            // https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header
            headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(revision.date()));
        }
        core.agree(Agreed {
            peer: Arc::new(Peer::of_initialize(revision, result)),
            envelope: Envelope::default(),
            headers,
            generation,
        });
        let mut message = BytesMut::new();
        jsonrpc::write_notification(&mut message, "notifications/initialized", None::<&()>)
            .map_err(ClientError::unsendable)?;
        core.in_time(self.send(message.freeze())).await?;
        self.sink.begun(core);
        Ok(())
    }

    /// Sends a request of the handshake and waits for its answer.
    async fn ask(
        &self,
        core: &Arc<Core>,
        id: i64,
        message: Bytes,
        patience: Duration,
    ) -> Result<Answered, ClientError> {
        let pending = core.in_flight.begin(
            id,
            Patience { timeout: patience, ..Patience::default() },
            Hooks::default(),
        )?;
        pending.set_sent();
        let asking = async {
            tokio::select! {
                biased;
                outcome = pending.settled() => return outcome,
                sent = self.send(message) => sent?,
            }
            pending.settled().await
        };
        let outcome = in_time(core.config.authorizing.as_ref(), patience, asking).await;
        core.in_flight.end(&pending);
        match outcome {
            Some(outcome) => answered(outcome),
            None => {
                tracing::debug!(error = %ClientError::timeout(Overdue::Silent, Patience { timeout: patience, ..Patience::default() }), "the handshake");
                Ok(Answered::TimedOut)
            }
        }
    }
}

/// A `server/discover` that is on its way.
pub(crate) struct Probe(Arc<Pending>);

impl Probe {
    /// Waits for the answer; `None` when it does not come in time. It may still come.
    pub(crate) async fn wait(
        &self,
        core: &Core,
        patience: Duration,
    ) -> Option<Result<Answered, ClientError>> {
        let outcome = tokio::time::timeout(patience, self.0.settled()).await.ok()?;
        core.in_flight.end(&self.0);
        Some(answered(outcome))
    }

    /// Looks for the answer after all, and gives it up. `waits`: it is the last hope, so it is waited for a moment.
    pub(crate) async fn finish(self, core: &Core, waits: bool) -> Option<Answered> {
        let patience = if waits { LAST_HOPE } else { Duration::ZERO };
        let outcome = self.wait(core, patience).await;
        core.in_flight.end(&self.0);
        outcome?.ok()
    }
}

fn answered(outcome: Result<Raw, ClientError>) -> Result<Answered, ClientError> {
    match outcome {
        Ok(result) => Ok(Answered::Result(result)),
        Err(error) => match error.error() {
            Some(object) if error.status().is_none() => {
                Ok(Answered::Error(http::StatusCode::OK, object.clone()))
            }
            // No call of the user's was lost with it.
            _ => Err(error.of_handshake()),
        },
    }
}

/// Takes in a message that came down a pipe.
pub(crate) fn take(core: &Arc<Core>, message: Result<Message, jsonrpc::Malformed>) {
    match message {
        Ok(message) => core.take(message, super::core::Origin::Pipe),
        Err(malformed) => {
            tracing::warn!(error = %malformed, "the server sent what is no message; it is skipped");
            if let Some(jsonrpc::RequestId::Number(id)) = malformed.answers.as_deref()
                && let Some(pending) = core.in_flight.get(*id)
            {
                let what = format!("its answer is no message: {}", malformed.error.message);
                pending.settle(Err(ClientError::peer(what)));
            }
        }
    }
}

/// A server that was slow to start answers in order: what it says to `server/discover` comes right before or after its answer to
/// `initialize`.
const LAST_HOPE: Duration = Duration::from_secs(5);
