//! What the requests of an endpoint share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Response, StatusCode};
use throughline_proto::http::{Access, Refusal, RefusalKind, is_modern_request, session_id};
use throughline_proto::jsonrpc::{ErrorObject, MetaOutline, Raw};
use throughline_proto::log::SessionId;
use throughline_proto::model::Answer;
use throughline_proto::revision::Revision;
use throughline_proto::session::Session;
use throughline_proto::stateless::Change;

use super::ended::{Ended, Unforgotten};
use super::request_body::Bodies;
use super::restore::Restoration;
use super::{Config, ResponseBody, ResponseMode, respond, unknown_session};
use crate::handler::{Handler, PeerInfo, PeerSet, Peers, Principal, Standing};
use crate::lock::Lock;
use crate::runtime;
use crate::server::backlog::Backlog;
use crate::server::calls::{CallPermit, Calls};
use crate::server::counters::Tally;
use crate::server::keeping::{Keeping, NotKept};
use crate::server::listen::Listeners;
use crate::server::live::{Ground, Live, Logs};
#[cfg(feature = "metrics")]
use crate::server::metrics;
use crate::server::modern::Modern;
use crate::server::queue::Queue;
use crate::server::registry::{Registry, Unused};
use crate::server::shares::{Held, Part, Shares};
use crate::server::stream::Closing;
use crate::server::who::Who;
use crate::server::{Closed, Era};
use crate::store::{EventStore, Limits};

pub(crate) struct Endpoint {
    pub(in crate::server) handler: Arc<dyn Handler>,
    pub(in crate::server) config: Config,
    pub(super) store: Arc<dyn EventStore>,
    pub(in crate::server) registry: Registry,
    pub(in crate::server) tally: Arc<Tally>,
    pub(super) modern: Arc<Modern>,
    limits: Limits,
    /// Sessions outlive the process.
    keeps: bool,
    pub(in crate::server) backlog: Arc<Backlog>,
    pub(in crate::server) calls: Calls,
    /// What each principal takes.
    pub(in crate::server) shares: Shares,
    pub(in crate::server) bodies: Bodies,
    /// Who listens for changes without a session.
    pub(super) listeners: Arc<Listeners>,
    /// Streams without a session, for their keep-alives.
    queues: Mutex<Vec<Weak<Queue>>>,
    draining: AtomicBool,
    /// The sessions of the process before this one are here, if there were any.
    pub(super) ready: AtomicBool,
    pub(super) restoration: tokio::sync::Mutex<Restoration>,
    /// How often that failed, to be known without waiting.
    pub(super) restores_failed: AtomicU64,
    unforgotten: Unforgotten,
    house: OnceLock<()>,
    /// A `Host` that is answered to.
    usual_host: OnceLock<HeaderValue>,
    pub(super) this: Weak<Endpoint>,
}

impl Endpoint {
    pub(super) fn new(handler: Arc<dyn Handler>, config: Config, store: Arc<dyn EventStore>) -> Arc<Self> {
        #[cfg(feature = "metrics")]
        let (tally, store) =
            if config.metrics { metrics::measured(store) } else { (Tally::default(), store) };
        #[cfg(not(feature = "metrics"))]
        let tally = Tally::default();
        let tally = Arc::new(tally);
        let caps = config.caps;
        let endpoint = Arc::new_cyclic(|this: &Weak<Endpoint>| Self {
            backlog: Backlog::of_server(store.limits().store_bytes),
            limits: store.limits(),
            keeps: !config.stateless && config.era.has_sessions() && store.sessions().is_some(),
            registry: Registry::new(config.max_sessions),
            unforgotten: Unforgotten::new(config.max_sessions),
            bodies: Bodies::new(config.max_bodies),
            listeners: Listeners::new(config.max_listens, config.max_listens_of_principal),
            modern: Modern::new(config.era, Arc::clone(&config.seal), Arc::clone(&tally)),
            handler,
            config,
            store,
            tally,
            calls: Calls::default(),
            shares: Shares::new(caps),
            queues: Mutex::default(),
            draining: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            restoration: tokio::sync::Mutex::default(),
            restores_failed: AtomicU64::new(0),
            house: OnceLock::new(),
            usual_host: OnceLock::new(),
            this: Weak::clone(this),
        });
        // Without sessions there is nobody behind it to reach, but a handler also checks here that it is complete.
        let peers: Weak<dyn PeerSet> = endpoint.this.clone();
        endpoint.handler.attach(Peers::new(peers));
        endpoint
    }

    /// Whether the request may come in, by its `Host` and `Origin`. Most come to one host and from no page: that host is
    /// looked into once.
    pub(in crate::server) fn check_access(&self, parts: &Parts) -> Result<(), Refusal> {
        let authority = parts.uri.authority().map(http::uri::Authority::as_str);
        let host = match authority {
            None if !parts.headers.contains_key(ORIGIN) => only_host(&parts.headers),
            _ => None,
        };
        if host.is_some() && host == self.usual_host.get() {
            return Ok(());
        }
        self.config.access.check(authority, &parts.headers)?;
        if let Some(host) = host {
            // The first one stays.
            self.usual_host.get_or_init(|| host.clone());
        }
        Ok(())
    }

    pub(in crate::server) fn config_access(&self) -> &Access {
        &self.config.access
    }

    pub(in crate::server) fn is_stateless(&self) -> bool {
        self.config.stateless
    }

    /// Whether sessions outlive the process.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Whether a call may run again that a restart interrupted.
    pub(super) fn runs_again(&self) -> bool {
        self.config.interrupted.is_some()
    }

    /// Whether there are sessions: streams to be opened by GET, and ended by DELETE.
    pub(in crate::server) fn has_sessions(&self) -> bool {
        !self.is_stateless() && self.config.era.has_sessions()
    }

    /// Whether a GET or DELETE is served: the revisions without sessions have neither.
    pub(super) fn serves_streams(&self, parts: &Parts) -> bool {
        self.has_sessions()
            && !(self.serves_modern() && is_modern_request("", &MetaOutline::default(), &parts.headers))
    }

    fn serves_modern(&self) -> bool {
        self.config.era != Era::Legacy
    }

    pub(in crate::server) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.calls.running()
    }

    /// Everything that is counted and measured, in the text format of Prometheus.
    #[cfg(feature = "metrics")]
    pub(super) fn metrics(&self) -> String {
        let queues = self.queues.locked().iter().filter(|queue| queue.strong_count() > 0).count();
        let of_sessions: usize = self.registry.all().iter().map(|live| live.streams_read()).sum();
        let streams = of_sessions + self.registry.links().len();
        metrics::text(&metrics::Moment {
            counters: self.tally.snapshot(),
            measured: self.tally.metrics.as_deref(),
            sessions: self.registry.len(),
            max_sessions: self.config.max_sessions,
            streams: streams + queues + self.listeners.len(),
            listeners: self.listeners.len(),
            max_listens: self.config.max_listens,
            in_flight: self.in_flight(),
            max_calls: self.config.max_calls,
            draining: self.is_draining(),
            usage: self.store.usage(),
            limits: &self.limits,
        })
    }

    pub(super) fn limitations(&self) -> Vec<&'static str> {
        let mut sentences = Vec::new();
        match self.config.era {
            // The flags are for sessions, and there are none.
            Era::Modern => return vec![
                "era modern: clients of the revisions with sessions are refused, so those that begin with initialize cannot connect",
            ],
            Era::Legacy => sentences.push(
                "era legacy: clients of the revisions without sessions are refused, unless they fall back to initialize",
            ),
            Era::Hybrid => {}
        }
        if self.config.mode == ResponseMode::Json {
            sentences.push("json_response: in sessions, progress and log messages of calls are not sent, and tools cannot ask the client anything");
        }
        if self.config.stateless {
            sentences.push(
                "stateless_http: no sessions, so clients that would open one have no subscriptions, no messages outside a call, no resuming, and tools cannot ask them anything",
            );
        }
        sentences
    }

    /// Starts the one task that keeps house, once, when the first request comes: then there is a runtime.
    pub(super) fn keep_house(&self) {
        self.house.get_or_init(|| {
            let endpoint = self.this.clone();
            runtime::spawn(async move {
                loop {
                    tokio::time::sleep(TICK).await;
                    let Some(endpoint) = endpoint.upgrade() else { return };
                    // A hook or a store that panics must not end the house-keeping.
                    if catch_unwind(AssertUnwindSafe(|| endpoint.handle_tick(runtime::now()))).is_err() {
                        tracing::error!(
                            "a hook or the event store panicked while sessions were looked after"
                        );
                    }
                }
            });
        });
    }

    fn handle_tick(&self, now: Instant) {
        let config = &self.config;
        for live in self.registry.all() {
            if live.handle_tick(now, config.keep_alive, config.idle_timeout, config.unused_timeout) {
                self.close_later(&live, Closed::Idle);
            }
        }
        self.tick_links(now);
        let queues = self.queues.locked().clone();
        for queue in queues.iter().filter_map(Weak::upgrade) {
            if !queue.handle_tick(now, config.keep_alive) {
                self.tally.readers_detached.add_one();
            }
        }
        for _ in 0..self.listeners.handle_tick(now, config.keep_alive) {
            self.tally.readers_detached.add_one();
        }
        self.unforgotten.handle_tick(&self.store);
        self.shares.handle_tick(now);
        self.store.sweep(now);
    }

    /// Has a stream without a session kept alive.
    pub(super) fn keep_alive(&self, queue: &Arc<Queue>) {
        let mut queues = self.queues.locked();
        // Those that are gone leave when the list would grow: it is never longer than twice what is in use.
        if queues.len() == queues.capacity() {
            queues.retain(|queue| queue.strong_count() > 0);
        }
        queues.push(Arc::downgrade(queue));
    }

    /// A place for one more request, of those of all and of those of its sender.
    pub(in crate::server) fn permit(&self, who: &Who) -> Result<CallPermit, Refusal> {
        let permit = self.permit_of_nobody()?;
        if who.principal().is_none() {
            return Ok(permit);
        }
        Ok(permit.of_share(self.take(who, Part::Call)?))
    }

    /// The same for one that is on nobody's account.
    pub(in crate::server) fn permit_of_nobody(&self) -> Result<CallPermit, Refusal> {
        self.calls.permit(self.config.max_calls).ok_or_else(|| Refusal::new(RefusalKind::RequestsFull))
    }

    /// A part of what its sender may take.
    pub(in crate::server) fn take(&self, who: &Who, part: Part) -> Result<Option<Held>, Refusal> {
        who.take(part).inspect_err(|_| self.tally.requests_throttled.add_one())
    }

    /// Opens a session. `Ok(Err(..))`: the request is answered with an error, and no session was opened.
    pub(super) async fn open_session(
        &self,
        params: Option<&Raw>,
        who: &Who,
    ) -> Result<Result<(Arc<Live>, Answer), ErrorObject>, Refusal> {
        let tag = u32::from_ne_bytes(runtime::random());
        let (mut session, result) =
            match Session::open(params, &self.handler.offer(), tag, self.config.session) {
                Ok(opened) => opened,
                Err(error) => return Ok(Err(error)),
            };
        session.set_default_level(self.config.log_level);
        if self.keeps && !self.is_ready() {
            return Err(Refusal::new(RefusalKind::SessionsUnavailable));
        }
        let id = self.new_session_id()?;
        let held = self.take(who, Part::Session)?;
        self.make_room()?;
        let keeping = self.keeps.then(|| Arc::new(Keeping::new()));
        let live = self.live(id, session, who.standing(), keeping);
        live.hold(held);
        if !self.registry.insert(&live) {
            self.registry.withdraw();
            tracing::error!("the session id generator gave an id that is in use");
            return Err(Refusal::new(RefusalKind::Internal));
        }
        if self.is_draining() && self.registry.remove(&live) {
            // The shutdown may have looked at the sessions before this one came.
            return Err(Refusal::new(RefusalKind::Draining));
        }
        if self.keeps {
            self.keep_new(&live).await?;
        }
        self.tally.sessions_opened.add_one();
        if let (Some(hook), Some(handle)) = (&self.config.opened, live.handle()) {
            hook(&handle);
        }
        Ok(Ok((live, Answer::Initialize(Box::new(result)))))
    }

    /// A place for one more session.
    pub(in crate::server) fn make_room(&self) -> Result<(), Refusal> {
        match self.registry.admit() {
            Ok(None) => {}
            Ok(Some(Unused::Session(live))) => {
                if let Some(ended) = self.closed(&live, Closed::Evicted) {
                    self.unforgotten.finish_later(ended);
                }
            }
            Ok(Some(Unused::Link(link))) => self.link_closed(&link, Closed::Evicted),
            Err(_) => return Err(Refusal::new(RefusalKind::SessionsFull)),
        }
        Ok(())
    }

    /// A session on the store.
    pub(super) fn live(
        &self,
        id: SessionId,
        session: Session,
        standing: Standing,
        keeping: Option<Arc<Keeping>>,
    ) -> Arc<Live> {
        let logs = Logs {
            store: Arc::clone(&self.store),
            backlog: Arc::new(Backlog::of_session(self.limits.session_bytes, &self.backlog)),
            largest_event: self.limits.largest_event(),
            on_failure: self.config.store_failure,
            keeping,
        };
        Live::new(id, session, standing, Ground::Logs(logs), Arc::clone(&self.tally))
    }

    /// Has a new session kept before its client hears of it. One that is not is none.
    async fn keep_new(&self, live: &Arc<Live>) -> Result<(), Refusal> {
        let kept = live.save().await;
        if live.is_ended() {
            return Err(Refusal::new(RefusalKind::Draining));
        }
        if let Err(NotKept) = kept {
            self.close_later(live, Closed::Evicted);
            return Err(Refusal::new(RefusalKind::SessionsUnavailable));
        }
        if let Some(keeping) = live.keeping() {
            keeping.announce();
        }
        Ok(())
    }

    /// What stands for a session while one POST is served without any.
    pub(super) fn stateless_session(&self, revision: Revision, standing: Standing) -> Arc<Live> {
        let mut session = Session::stateless(revision, self.config.session);
        session.set_default_level(self.config.log_level);
        Live::new(SessionId::from(""), session, standing, Ground::Passing, Arc::clone(&self.tally))
    }

    pub(in crate::server) fn new_session_id(&self) -> Result<SessionId, Refusal> {
        let Some(generate) = &self.config.session_id else {
            return Ok(runtime::random_id().into());
        };
        let id = generate();
        if id.is_empty() || id.len() > 256 || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            tracing::error!(
                "the session id generator gave an id that is not 1 to 256 visible ASCII characters"
            );
            return Err(Refusal::new(RefusalKind::Internal));
        }
        Ok(SessionId::from(id))
    }

    /// The session that a request names.
    pub(super) fn find_session(
        &self,
        parts: &Parts,
        principal: Option<&Principal>,
    ) -> Result<Arc<Live>, Refusal> {
        let id = session_id(&parts.headers)?.ok_or_else(|| Refusal::new(RefusalKind::MissingSession))?;
        let found = self.registry.find(id, principal).filter(|live| !live.is_ended());
        found.ok_or_else(|| self.refuse_unknown())
    }

    /// A session is not there. Where it may be in the store its client is told to come back, not that it is gone.
    fn refuse_unknown(&self) -> Refusal {
        match self.keeps {
            true if self.is_draining() => Refusal::new(RefusalKind::Draining),
            true if !self.is_ready() => Refusal::new(RefusalKind::SessionsUnavailable),
            _ => unknown_session(),
        }
    }

    /// DELETE: the client ends its session
    /// ([session management](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management)).
    pub(super) async fn delete(&self, parts: &Parts, who: &Who) -> Result<Response<ResponseBody>, Refusal> {
        self.check_sender(who, parts)?;
        let live = self.find_session(parts, who.principal())?;
        if !self.keeps {
            self.close_later(&live, Closed::ByClient);
        } else if let Some(ended) = self.close(&live, Closed::ByClient) {
            // Before the client hears that it is gone: it must not come back with a restart.
            self.unforgotten.finish(ended).await;
        }
        Ok(respond::empty(StatusCode::NO_CONTENT))
    }

    /// Takes a session out and ends it; what is left is for the store to let go of it.
    fn close(&self, live: &Arc<Live>, why: Closed) -> Option<Ended> {
        if self.registry.remove(live) { self.closed(live, why) } else { None }
    }

    /// The same where nobody waits for the store.
    fn close_later(&self, live: &Arc<Live>, why: Closed) {
        if let Some(ended) = self.close(live, why) {
            self.unforgotten.finish_later(ended);
        }
    }

    /// Ends a session that was taken out. `None` when it was over before.
    fn closed(&self, live: &Arc<Live>, why: Closed) -> Option<Ended> {
        if !live.end() {
            return None;
        }
        let outlives = why == Closed::Shutdown && self.keeps;
        let leave = if outlives { Ended::release } else { Ended::forget };
        let ended = leave(&*self.store, &live.id);
        if live.is_announced() {
            self.announce_closed(live, why);
        }
        Some(ended)
    }

    /// A session is over that the hooks know of.
    pub(in crate::server) fn announce_closed(&self, live: &Live, why: Closed) {
        self.tally.sessions_closed.add_one();
        if let (Some(hook), Some(handle)) = (&self.config.closed, live.handle()) {
            hook(&handle, why);
        }
    }

    pub(super) async fn drain(&self, grace: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        let finished = async {
            self.calls.finished().await;
            // Their answers too, where the store takes its time: a restart would call them interrupted.
            for live in self.registry.all() {
                live.stored().await;
            }
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(
                in_flight = self.in_flight(),
                "calls did not finish within the grace period, or the event store did not take their answers"
            );
        }
        self.listeners.end_gracefully(self.modern.extras().server_info.as_ref());
        let sessions = self.registry.all();
        let count = u32::try_from(sessions.len()).unwrap_or(u32::MAX).max(1);
        for (at, live) in (0u32..).zip(&sessions) {
            live.close_connections(Closing::Retry(self.config.retry + SPREAD * at / count));
        }
        // Readers take what is left and the `retry`; one that does not read is not waited for.
        let read = async {
            while self.listeners.len() > 0 || sessions.iter().any(|live| live.is_read()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(FAREWELL, read).await;
        let ended: Vec<Ended> =
            sessions.iter().filter_map(|live| self.close(live, Closed::Shutdown)).collect();
        for one in ended {
            self.unforgotten.finish(one).await;
        }
        self.drain_links().await;
    }
}

/// The `Host`, where there is one.
fn only_host(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut hosts = headers.get_all(HOST).iter();
    hosts.next().filter(|_| hosts.next().is_none())
}

impl PeerSet for Endpoint {
    fn broadcast(
        &self,
        resource: Option<&str>,
        choose: &dyn Fn(&PeerInfo<'_>) -> bool,
        method: &str,
        params: Option<&Raw>,
    ) -> usize {
        let mut sessions = self.registry.all();
        sessions.extend(self.registry.links().iter().filter_map(|link| link.live()));
        let told = sessions.iter().filter(|live| live.broadcast(resource, choose, method, params)).count();
        let change = Change::told_by(method, resource);
        told + change.map_or(0, |change| self.listeners.broadcast(change, choose))
    }
}

/// Often enough for timeouts that are counted in seconds, and seldom enough to cost nothing.
const TICK: Duration = Duration::from_secs(1);

/// Over how long clients are spread that come back after a shutdown.
pub(in crate::server) const SPREAD: Duration = Duration::from_secs(1);

/// How long connections may take to write what is left at a shutdown.
pub(in crate::server) const FAREWELL: Duration = Duration::from_secs(1);
