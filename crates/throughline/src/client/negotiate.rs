//! Finding out what the server speaks, as the engine says ([`Negotiation`]).
//!
//! ```text
//!   find_out      once, while the client connects: may open another way to the server
//!      |
//!   negotiate     over one way: server/discover, initialize
//!      |
//!   renegotiate   later, when the server seems to be another
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::HeaderMap;
use throughline_proto::client::{Answered, Envelope, Negotiation, Step, Unreachable};
use throughline_proto::model::{self, LoggingLevel};
use throughline_proto::revision::Revision;

use super::authorize::in_time;
use super::core::{Agreed, Config, Core, Peer, Transport};
use super::handlers::Handlers;
use super::http::keep_open;
use super::http_sse;
use super::observed::{ConnectStep, Steps};
use super::pipe::Probe;
use super::reach::{Restart, Way};
use super::{Client, ClientError, StreamStatus};

/// What every attempt to connect begins with.
pub(super) struct Setup {
    pub(super) handlers: Arc<Handlers>,
    pub(super) config: Config,
    pub(super) log_level: Option<LoggingLevel>,
    pub(super) steps: Steps,
}

impl Setup {
    pub(super) fn client(&self, way: Way, first_id: i64) -> Client {
        let core = Core::new(way.transport, Arc::clone(&self.handlers), self.config.clone(), first_id);
        if let Some(level) = self.log_level {
            core.settings.set_level(level);
        }
        if let Some(follow) = way.follow {
            core.spawn(follow(Arc::clone(&core)));
        }
        Client::new(core)
    }

    /// The same client over another way; the one before is closed.
    fn instead_of(&self, client: Client, way: Way) -> Client {
        let first_id = client.core().next_id();
        drop(client);
        self.client(way, first_id)
    }
}

/// Finds out what the server speaks, if need be over another way than the first. `command`: how its process is started again.
pub(super) async fn find_out(
    mut client: Client,
    setup: &Setup,
    command: Option<Restart>,
    mut negotiation: Negotiation,
) -> Result<Client, ClientError> {
    // Where only a modern server will do, an older one need not be started again.
    let mut command = command.filter(|_| !setup.config.pinned.is_some_and(Revision::is_modern));
    let mut step = negotiation.first();
    loop {
        step = match negotiate(client.core(), &setup.steps, &mut negotiation, step).await {
            Ok(Found::Agreed) => return Ok(client),
            Ok(Found::MaybeSse) => match open_sse(client.core()).await {
                Ok(way) => {
                    setup.steps.done(ConnectStep::SseOpened);
                    client = setup.instead_of(client, way);
                    negotiation.handle_endpoint(Ok(()))
                }
                Err(error) => {
                    setup.steps.done(ConnectStep::SseOpened);
                    let why = Unreachable::NotMcp(error.detail());
                    match negotiation.handle_endpoint(Err(why.clone())) {
                        Step::Fail(told) if told == why => return Err(error),
                        next => {
                            tracing::debug!(%error, "the server speaks no HTTP+SSE either");
                            next
                        }
                    }
                }
            },
            Err(ended) if ended.is_ended_by_probe() => {
                let Some(command) = command.take() else { return Err(ended) };
                tracing::info!(%ended, "the server ended when it was asked what it is: it is started again");
                client = setup.instead_of(client, command.open()?);
                negotiation = negotiation.without_discovery();
                negotiation.first()
            }
            Err(error) => return Err(error),
        };
    }
}

/// What a negotiation came to.
enum Found {
    /// It is agreed what is spoken.
    Agreed,
    /// The server may speak HTTP+SSE, which goes another way.
    MaybeSse,
}

/// Finds out what the server speaks and agrees with it, beginning with this step.
///
/// # Errors
///
/// Where a process ended over `server/discover`, the error [says so](ClientError::is_ended_by_probe): another process is to be
/// asked with [`Negotiation::without_discovery`].
async fn negotiate(
    core: &Arc<Core>,
    steps: &Steps,
    negotiation: &mut Negotiation,
    mut step: Step,
) -> Result<Found, ClientError> {
    let generation = core.agreed().generation + 1;
    // A `server/discover` on a pipe that was not answered yet.
    let mut late = None;
    // The headers of the last answer to `initialize`.
    let mut headers = HeaderMap::new();
    loop {
        step = match step {
            Step::Discover(revision) => {
                let answered = discover(core, revision, &mut late).await.map_err(ClientError::by_probe)?;
                steps.done(ConnectStep::Discovered);
                negotiation.handle_discover(answered)
            }
            Step::Initialize(revision) => {
                let answered;
                (answered, headers) = initialize(core, revision).await?;
                steps.done(ConnectStep::Initialized);
                if let Some(probe) = late.take() {
                    let is_refused = !matches!(answered, Answered::Result(_) | Answered::TimedOut);
                    if let Some(answered) = probe.finish(core, is_refused).await {
                        negotiation.handle_late_discover(answered);
                    }
                }
                negotiation.handle_initialize(answered)
            }
            Step::Modern(revision, found) => {
                agree_modern(core, revision, *found, generation)?;
                return Ok(Found::Agreed);
            }
            Step::Legacy(revision, result) => {
                match &core.transport {
                    Transport::Http(http) => {
                        http.begin(core, revision, *result, &headers, generation).await?;
                    }
                    Transport::Pipe(pipe) => pipe.begin(core, revision, *result, generation).await?,
                }
                return Ok(Found::Agreed);
            }
            Step::OpenSse => return Ok(Found::MaybeSse),
            Step::Authorize => {
                return Err(ClientError::refused(http::StatusCode::UNAUTHORIZED, None, None));
            }
            Step::Fail(why) => return Err(ClientError::unreachable(why)),
        };
    }
}

/// Opens the stream of HTTP+SSE at the address of the endpoint.
async fn open_sse(core: &Core) -> Result<Way, ClientError> {
    match &core.transport {
        Transport::Http(http) => http_sse::open(http.line.clone(), core.config.patience.timeout).await,
        Transport::Pipe(_) => Err(ClientError::peer("only servers over HTTP have a stream to open")),
    }
}

/// Finds out anew what the server speaks, as it refused a request in a way that raises doubt. Of many who ask at the same time
/// one does it. True when the request may be made again: it would be another.
pub(crate) async fn renegotiate(core: &Arc<Core>, before: &Agreed) -> bool {
    if !core.config.renews {
        return false;
    }
    let revision = before.peer.revision;
    // Whether it was done by another who asked: then all that follows is done, too.
    let mut by_another = false;
    let negotiated = {
        let _negotiating = core.negotiating.lock().await;
        if core.agreed().generation == before.generation {
            tracing::info!("the server seems to speak something else than before: it is asked");
            let mut negotiation = Negotiation::new(core.kind(), core.config.choice, core.config.pinned);
            let first = negotiation.first();
            negotiate(core, &Steps::default(), &mut negotiation, first).await
        } else {
            by_another = true;
            Ok(Found::Agreed)
        }
    };
    match negotiated {
        Ok(Found::Agreed) => {}
        Ok(Found::MaybeSse) => {
            tracing::warn!("the server no longer speaks Streamable HTTP: connect again");
            return false;
        }
        Err(error) => {
            tracing::warn!(%error, "what the server speaks could not be found out anew");
            return false;
        }
    }
    let now = core.agreed();
    if now.generation == before.generation || (now.peer.revision == revision && revision.is_modern()) {
        return false;
    }
    if by_another {
        return true;
    }
    if let Some(cache) = &core.config.cache {
        cache.clear();
    }
    // What was open belongs to the other era.
    core.status.send_if_modified(|status| {
        let was_open = !matches!(*status, StreamStatus::Closed | StreamStatus::Idle);
        if was_open {
            *status = StreamStatus::Idle;
        }
        was_open
    });
    start(core);
    if !now.peer.revision.is_modern() {
        let restoring = Arc::clone(core);
        core.spawn(async move { restoring.restore_settings().await });
    }
    true
}

async fn discover(
    core: &Arc<Core>,
    revision: Revision,
    late: &mut Option<Probe>,
) -> Result<Answered, ClientError> {
    match &core.transport {
        Transport::Http(http) => {
            let asking = http.discover(core, revision);
            in_time(core.config.authorizing.as_ref(), core.config.patience.timeout, asking)
                .await
                .unwrap_or(Ok(Answered::TimedOut))
        }
        Transport::Pipe(pipe) => {
            let probe = pipe.discover(core, revision).await?;
            // One that must be modern is waited for as any call is.
            let must = core.config.pinned.is_some_and(Revision::is_modern);
            let patience = core.config.patience.timeout;
            let patience = if must { patience } else { patience.min(PROBE) };
            match probe.wait(core, patience).await {
                Some(answered) => answered,
                None => {
                    *late = Some(probe);
                    Ok(Answered::TimedOut)
                }
            }
        }
    }
}

async fn initialize(core: &Arc<Core>, revision: Revision) -> Result<(Answered, HeaderMap), ClientError> {
    match &core.transport {
        Transport::Http(http) => {
            let asking = http.initialize(core, revision);
            in_time(core.config.authorizing.as_ref(), core.config.patience.timeout, asking)
                .await
                .unwrap_or_else(|| Ok((Answered::TimedOut, HeaderMap::new())))
        }
        Transport::Pipe(pipe) => Ok((pipe.initialize(core, revision).await?, HeaderMap::new())),
    }
}

fn agree_modern(
    core: &Core,
    revision: Revision,
    found: model::DiscoverResult,
    generation: u64,
) -> Result<(), ClientError> {
    let envelope = Envelope::new(revision, &core.config.client).map_err(ClientError::unsendable)?;
    core.agree(Agreed {
        peer: Arc::new(Peer::of_discover(revision, found)),
        envelope: envelope.with_log_level(core.settings.level()),
        headers: HeaderMap::new(),
        generation,
    });
    Ok(())
}

/// Begins what goes on beside the calls.
pub(super) fn start(core: &Arc<Core>) {
    // In the legacy era it ends what it may have opened before.
    core.listening.refresh(core);
    let has_stream = matches!(core.transport, Transport::Http(_)) && !core.is_modern();
    if core.config.standalone && has_stream && !core.keeps_open.swap(true, Ordering::Relaxed) {
        core.spawn(keep_open(Arc::clone(core)));
    }
}

/// How long a server on a pipe is waited for before it is taken for one that ignores what it does not know; see
/// [stdio](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio#backward-compatibility).
const PROBE: Duration = Duration::from_secs(5);
