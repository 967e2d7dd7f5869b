//! HTTP+SSE, from the client's side: a stream by GET, and messages by POST to where its first event says.
//!
//! ```text
//!   GET --> event: endpoint --> Incoming --> Core::take     what the server says, all of it
//!                  |
//!                  v
//!   call --> connected, send --> POST --> 202                a status of refusal fails the call
//!              |
//!              +-- the stream was lost: GET and initialize anew, once for all who wait
//! ```
//!
//! With its stream a session ends, and nothing can be resumed: calls that were sent fail, and their outcome is unknown.
//!
//! Specification: [HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse).

mod post;
mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use throughline_proto::client::{Negotiation, Step, TransportChoice, TransportKind};
use tokio::sync::{Semaphore, watch};

use super::core::{Core, Transport};
use super::line::Line;
use super::observed::ClientTransport;
use super::pipe::{Pipe, Sink, take};
use super::reach::Way;
use super::{ClientError, StreamStatus};
use stream::Incoming;

/// Opens the stream, and waits until it is known where messages go.
///
/// # Errors
///
/// When there is no stream, or it does not say so in `patience`, ten seconds at most.
pub(super) async fn open(line: Line, patience: Duration) -> Result<Way, ClientError> {
    let (endpoint, incoming) = stream::open(&line, patience).await?;
    let first = State::Open { stream: 1, endpoint, begun: false };
    let sse = Sse(Arc::new(Shared {
        line,
        patience,
        state: watch::Sender::new(first),
        renewing: tokio::sync::Mutex::new(()),
        posts: Arc::new(Semaphore::new(MOST_POSTS)),
        core: OnceLock::new(),
    }));
    let pipe = Pipe::new(sse.clone());
    Ok(Way::through(pipe, |core| Box::pin(follow(sse, core, 1, incoming))))
}

/// The way to a server over HTTP+SSE.
#[derive(Clone)]
struct Sse(Arc<Shared>);

struct Shared {
    line: Line,
    patience: Duration,
    state: watch::Sender<State>,
    /// Held while a stream is opened anew.
    renewing: tokio::sync::Mutex<()>,
    posts: Arc<Semaphore>,
    /// Whose messages these are. Not held: it holds this.
    core: OnceLock<Weak<Core>>,
}

#[derive(Debug)]
enum State {
    /// Messages go to the endpoint. Streams are counted.
    Open { stream: u64, endpoint: Uri, begun: bool },
    /// The stream of this number was lost.
    Lost(u64),
    /// The client is closed.
    Closed,
}

impl State {
    fn is_stream(&self, number: u64) -> bool {
        matches!(self, State::Open { stream, .. } if *stream == number)
    }
}

impl Sink for Sse {
    fn ready<'a>(
        &'a self,
        core: &'a Arc<Core>,
    ) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + 'a>> {
        Box::pin(async {
            if self.has_begun() || !core.config.renews { Ok(()) } else { self.renew(core).await }
        })
    }

    fn transport(&self) -> ClientTransport {
        ClientTransport::Sse
    }

    fn begun(&self, core: &Core) {
        self.0.state.send_if_modified(|state| {
            if let State::Open { begun, .. } = state {
                *begun = true;
            }
            false
        });
        set_status(core, StreamStatus::Open);
    }

    fn send(&self, message: Bytes) -> Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send + '_>> {
        Box::pin(async move {
            let (stream, endpoint) = match &*self.0.state.borrow() {
                State::Open { stream, endpoint, .. } => (*stream, endpoint.clone()),
                State::Lost(_) => return Err(ClientError::not_connected("the server's stream was lost")),
                State::Closed => return Err(ClientError::closed()),
            };
            let sent = post::send(&self.0, endpoint, message).await;
            if let (Err(error), Some(core)) = (&sent, self.core())
                && error.is_session_gone()
                && !error.is_outcome_unknown()
            {
                self.lose(&core, stream, Some(ClientError::gone()));
            }
            sent
        })
    }

    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.abandon();
        Box::pin(std::future::ready(()))
    }

    fn abandon(&self) {
        // Who reads and who posts hear of it.
        self.0.state.send_replace(State::Closed);
    }
}

impl Sse {
    fn core(&self) -> Option<Arc<Core>> {
        self.0.core.get()?.upgrade()
    }

    fn has_begun(&self) -> bool {
        matches!(&*self.0.state.borrow(), State::Open { begun: true, .. })
    }

    /// Opens another stream and session. Of many who ask at the same time one does it.
    async fn renew(&self, core: &Arc<Core>) -> Result<(), ClientError> {
        let _renewing = self.0.renewing.lock().await;
        if self.has_begun() {
            return Ok(());
        }
        let Transport::Pipe(pipe) = &core.transport else {
            return Err(ClientError::not_connected("the server's stream was lost"));
        };
        tracing::info!("the server's stream was lost: another is opened");
        let (endpoint, incoming) = stream::open(&self.0.line, self.0.patience).await?;
        let opened = Opened { sse: self, stream: self.opened(endpoint)?, begun: false };
        core.spawn(follow(self.clone(), Arc::clone(core), opened.stream, incoming));
        if core.is_closed() {
            return Err(ClientError::closed());
        }
        let agreed = core.agreed();
        let generation = agreed.generation + 1;
        let answered = pipe.initialize(core, agreed.peer.revision).await?;
        let mut negotiation = Negotiation::new(TransportKind::Http, TransportChoice::Sse, None);
        match negotiation.handle_initialize(answered) {
            Step::Legacy(revision, result) => {
                pipe.begin(core, revision, *result, generation).await.map_err(ClientError::of_handshake)?;
            }
            Step::Fail(why) => return Err(ClientError::unreachable(why)),
            _ => return Err(ClientError::refused(http::StatusCode::UNAUTHORIZED, None, None)),
        }
        opened.keep();
        // Beside the calls: what it calls may have to wait for a stream itself.
        let restoring = Arc::clone(core);
        core.spawn(async move { restoring.restore_settings().await });
        Ok(())
    }

    /// Another stream is open; gives its number.
    fn opened(&self, endpoint: Uri) -> Result<u64, ClientError> {
        let mut number = None;
        self.0.state.send_if_modified(|state| {
            let stream = match state {
                State::Open { stream, .. } | State::Lost(stream) => *stream + 1,
                State::Closed => return false,
            };
            *state = State::Open { stream, endpoint, begun: false };
            number = Some(stream);
            true
        });
        number.ok_or_else(ClientError::closed)
    }

    /// The stream is lost, and with it the answers to what was sent.
    fn lose(&self, core: &Core, stream: u64, why: Option<ClientError>) {
        if !self.give_up(stream) {
            return;
        }
        tracing::debug!(?why, "the server's stream was lost");
        // What it asked is of no interest to the next session.
        core.handlers.give_up();
        set_status(core, StreamStatus::Idle);
        let error = ClientError::outcome_unknown(why);
        for pending in core.in_flight.all() {
            if pending.is_sent() {
                pending.settle(Err(error.clone()));
            }
        }
    }

    /// Nobody uses the stream any more. False when that was so before.
    fn give_up(&self, stream: u64) -> bool {
        self.0.state.send_if_modified(|state| {
            let is_open = state.is_stream(stream);
            if is_open {
                *state = State::Lost(stream);
            }
            is_open
        })
    }
}

/// A stream whose handshake is not over: dropped before, it is given up.
struct Opened<'a> {
    sse: &'a Sse,
    stream: u64,
    begun: bool,
}

impl Opened<'_> {
    fn keep(mut self) {
        self.begun = true;
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if !self.begun {
            self.sse.give_up(self.stream);
        }
    }
}

/// Takes in what comes on a stream, until its end.
async fn follow(sse: Sse, core: Arc<Core>, stream: u64, mut incoming: Incoming) {
    sse.0.core.get_or_init(|| Arc::downgrade(&core));
    let mut state = sse.0.state.subscribe();
    loop {
        tokio::select! {
            biased;
            _ = state.wait_for(|state| !state.is_stream(stream)) => return,
            next = incoming.next() => match next {
                Ok(Some(message)) => take(&core, message),
                Ok(None) => return sse.lose(&core, stream, None),
                Err(error) => return sse.lose(&core, stream, Some(error)),
            }
        }
    }
}

fn set_status(core: &Core, status: StreamStatus) {
    core.status.send_if_modified(|now| {
        let changes = *now != StreamStatus::Closed && *now != status;
        if changes {
            *now = status;
        }
        changes
    });
}

/// Messages that are being posted at the same time: one for each call that may be in flight, and as many again for those
/// that were given up and what is said about them.
const MOST_POSTS: usize = 8_192;
