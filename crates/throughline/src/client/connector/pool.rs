//! Which connection a request goes over.
//!
//! ```text
//!   take: idle HTTP/1.1, or HTTP/2 with room --> used --> its body is read, or dropped --> given back
//!   none: a new one                                         (ended meanwhile: nobody takes it)
//! ```
//!
//! The pool is our own and small: a request that follows another must find the connection of that, even when it is faster
//! than the task that drives the connection; what was handed to a connection must come back while it is unsent; and a
//! server that says how long it keeps a connection (`Keep-Alive`) must be believed.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Uri};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::super::RequestBody;
use super::dial::{Progress, Route, Step, Target, dial};
use super::error::{HttpError, Name};
use super::options::Settings;
use super::tls::Tls;
use crate::client::ConnectStep;
use crate::lock::Lock;
use crate::runtime;

/// The connections of a connector.
pub(super) struct Pool {
    settings: Settings,
    tls: Tls,
    origins: Mutex<HashMap<(bool, Authority), Arc<Origin>>>,
}

/// The connections to one server.
pub(super) struct Origin {
    target: Target,
    host_header: HeaderValue,
    idle_timeout: Duration,
    connections: Mutex<Connections>,
    /// One connection is made at a time while HTTP/2 may come of it, which then serves all who wait.
    connecting: tokio::sync::Mutex<()>,
    /// The last connection came to HTTP/1.1.
    speaks_http1: AtomicBool,
    /// One clone is in every HTTP/1.1 connection.
    open: Arc<()>,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Idle>,
    shared: Vec<Shared>,
    /// A task looks after those that are idle for too long.
    swept: bool,
    /// When one was last looked for.
    asked: Option<Instant>,
}

/// An HTTP/1.1 connection that carries no request.
struct Idle {
    sender: H1,
    until: Instant,
}

/// An HTTP/2 connection.
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    streams: Arc<Streams>,
}

/// The streams of an HTTP/2 connection.
struct Streams {
    open: AtomicUsize,
    /// When the last of them ended.
    idle_since: Mutex<Instant>,
}

/// One stream of an HTTP/2 connection, until it is dropped.
pub(super) struct Stream(Arc<Streams>);

/// The sender of an HTTP/1.1 connection.
pub(super) struct H1 {
    sender: http1::SendRequest<RequestBody>,
    _open: Arc<()>,
}

/// A connection for one request.
pub(super) struct Connection {
    pub(super) kind: Kind,
    /// It carried requests before: if it has ended by now, another one may do.
    pub(super) reused: bool,
}

pub(super) enum Kind {
    H1(H1),
    H2(http2::SendRequest<RequestBody>, Stream),
}

/// What a response holds while its body is read; gives its connection back when dropped.
pub(super) enum Lease {
    H1 { origin: Weak<Origin>, sender: Option<H1>, keep: Duration },
    H2 { _stream: Stream },
}

impl Pool {
    pub(super) fn new(mut settings: Settings) -> Self {
        let tls = Tls::new(&mut settings);
        Self { settings, tls, origins: Mutex::default() }
    }

    /// The connections to the server of this address.
    pub(super) fn origin(&self, uri: &Uri) -> Result<Arc<Origin>, HttpError> {
        let bad = || HttpError::unreachable("the address is none of an http or https server", None);
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        let key = (https, authority.clone());
        let mut origins = self.origins.locked();
        if let Some(origin) = origins.get(&key) {
            return Ok(Arc::clone(origin));
        }
        if origins.len() >= MOST_ORIGINS {
            origins.retain(|_, origin| Arc::strong_count(origin) > 1 || origin.has_connections());
            if origins.len() >= MOST_ORIGINS {
                return Err(HttpError::unreachable(
                    format!(
                        "this client is connected to {MOST_ORIGINS} servers; use another client for the next"
                    ),
                    None,
                ));
            }
        }
        let origin = Arc::new(self.new_origin(https, authority).ok_or_else(bad)??);
        origins.insert(key, Arc::clone(&origin));
        Ok(origin)
    }

    fn new_origin(&self, https: bool, authority: &Authority) -> Option<Result<Origin, HttpError>> {
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let default = if https { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let host_header = if port == default { authority.host() } else { authority.as_str() };
        let host_header = HeaderValue::from_str(host_header).ok()?;
        let route = match self.settings.proxies.of(https, &host, port) {
            Ok(None) => Route::Direct,
            Ok(Some(proxy)) if https => Route::Tunnel(proxy.clone()),
            Ok(Some(proxy)) => Route::Forward(proxy.clone()),
            Err(error) => return Some(Err(HttpError::unreachable(error.to_string(), None))),
        };
        let name: Name = format!("{}:{port}", authority.host()).into();
        Some(Ok(Origin {
            target: Target { https, host, port, name, route },
            host_header,
            idle_timeout: self.settings.idle_timeout,
            connections: Mutex::default(),
            connecting: tokio::sync::Mutex::new(()),
            speaks_http1: AtomicBool::new(false),
            open: Arc::new(()),
        }))
    }

    /// A connection to the server: one that is there, or a new one.
    pub(super) async fn connection(&self, origin: &Arc<Origin>) -> Result<Connection, HttpError> {
        if let Some(connection) = origin.take().await {
            return Ok(connection);
        }
        let progress = Progress::default();
        let limit = self.settings.connect_timeout;
        tokio::time::timeout(limit, self.open(origin, &progress)).await.unwrap_or_else(|_| {
            Err(HttpError::timed_out(format!(
                "no connection to {} within {limit:?}: {}",
                origin.name(),
                progress.waited_for(),
            )))
        })
    }

    async fn open(&self, origin: &Arc<Origin>, progress: &Progress) -> Result<Connection, HttpError> {
        let mut alone = None;
        if origin.target.https && !origin.speaks_http1.load(Ordering::Relaxed) {
            progress.at(Step::Queue);
            let turn = origin.connecting.lock().await;
            if let Some(connection) = origin.take().await {
                return Ok(connection);
            }
            // Whoever went before may have found out that nothing can be shared.
            alone = (!origin.speaks_http1.load(Ordering::Relaxed)).then_some(turn);
        }
        let dialed =
            dial(&origin.target, &self.tls, &self.settings.admits, &self.settings.names, progress).await?;
        self.settings.steps.done(ConnectStep::Reached);
        let ended = |error| HttpError::ended_before(origin.name(), error);
        let kind = if dialed.http2 {
            let (sender, connection) = http2_builder().handshake(dialed.io).await.map_err(ended)?;
            drive(connection);
            Kind::H2(sender.clone(), origin.share(sender))
        } else {
            let (sender, connection) = http1_builder().handshake(dialed.io).await.map_err(ended)?;
            drive(connection);
            Kind::H1(H1 { sender, _open: Arc::clone(&origin.open) })
        };
        origin.speaks_http1.store(!dialed.http2, Ordering::Relaxed);
        origin.sweep();
        drop(alone);
        Ok(Connection { kind, reused: false })
    }
}

impl Origin {
    pub(super) fn name(&self) -> &Name {
        &self.target.name
    }

    pub(super) fn route(&self) -> &Route {
        &self.target.route
    }

    /// The value of `Host`.
    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// A connection that is there already.
    async fn take(&self) -> Option<Connection> {
        if self.rested() {
            // This thread may have been busy or asleep since, and the end of a connection be there unseen. The first
            // turn is the reactor's, which wakes the connections; the second is theirs.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        loop {
            let mut kind = self.pop()?;
            if let Kind::H1(H1 { sender, .. }) = &mut kind {
                // Its response was read to the end, but the task that drives it may not have come to that yet.
                let ready = sender.is_ready()
                    || matches!(tokio::time::timeout(READY_WAIT, sender.ready()).await, Ok(Ok(())));
                if !ready {
                    continue;
                }
            }
            return Some(Connection { kind, reused: true });
        }
    }

    /// Was there no request for so long that connections may have ended since?
    fn rested(&self) -> bool {
        let now = runtime::now();
        let asked = self.connections.locked().asked.replace(now);
        asked.is_some_and(|asked| now.saturating_duration_since(asked) >= REST)
    }

    fn pop(&self) -> Option<Kind> {
        let now = runtime::now();
        let mut connections = self.connections.locked();
        connections.tidy(now, self.idle_timeout);
        let room = connections
            .shared
            .iter()
            .find(|shared| shared.streams.open.load(Ordering::Relaxed) < MOST_STREAMS);
        if let Some(shared) = room {
            return Some(Kind::H2(shared.sender.clone(), Stream::new(&shared.streams)));
        }
        // The one that was used last is the one that most likely lives.
        connections.idle.pop().map(|idle| Kind::H1(idle.sender))
    }

    /// Keeps a new HTTP/2 connection for others too, and gives its first stream.
    fn share(&self, sender: http2::SendRequest<RequestBody>) -> Stream {
        let streams = Arc::new(Streams { open: AtomicUsize::new(0), idle_since: Mutex::new(runtime::now()) });
        let stream = Stream::new(&streams);
        self.connections.locked().shared.push(Shared { sender, streams });
        stream
    }

    fn give_back(&self, sender: H1, keep: Duration) {
        if sender.sender.is_closed() || keep.is_zero() {
            return;
        }
        let mut connections = self.connections.locked();
        if connections.idle.len() < MOST_IDLE {
            connections.idle.push(Idle { sender, until: runtime::now() + keep });
        }
    }

    /// How many connections wait for a request.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        let mut connections = self.connections.locked();
        connections.tidy(runtime::now(), self.idle_timeout);
        connections.idle.len()
    }

    fn has_connections(&self) -> bool {
        Arc::strong_count(&self.open) > 1 || !self.connections.locked().shared.is_empty()
    }

    /// Sees to it that connections that are idle for too long are closed, as long as there are connections.
    fn sweep(self: &Arc<Self>) {
        if std::mem::replace(&mut self.connections.locked().swept, true) {
            return;
        }
        let every = (self.idle_timeout / 2).max(SWEEP_AT_MOST);
        let origin = Arc::downgrade(self);
        let _ = runtime::spawn(async move {
            loop {
                runtime::sleep_until(runtime::now() + every).await;
                let Some(origin) = origin.upgrade() else { return };
                let mut connections = origin.connections.locked();
                connections.tidy(runtime::now(), origin.idle_timeout);
                if connections.shared.is_empty() && Arc::strong_count(&origin.open) == 1 {
                    connections.swept = false;
                    return;
                }
            }
        });
    }
}

impl Connections {
    /// Drops what has ended, and what was idle for too long.
    fn tidy(&mut self, now: Instant, idle_timeout: Duration) {
        self.idle.retain(|idle| !idle.sender.sender.is_closed() && now < idle.until);
        self.shared.retain(|shared| {
            !shared.sender.is_closed()
                && (shared.streams.open.load(Ordering::Relaxed) > 0
                    || now < *shared.streams.idle_since.locked() + idle_timeout)
        });
    }
}

impl Stream {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(streams))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        *self.0.idle_since.locked() = runtime::now();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl H1 {
    pub(super) async fn try_send_request(
        &mut self,
        request: http::Request<RequestBody>,
    ) -> Result<
        http::Response<hyper::body::Incoming>,
        hyper::client::conn::TrySendError<http::Request<RequestBody>>,
    > {
        self.sender.try_send_request(request).await
    }
}

impl Lease {
    pub(super) fn h1(origin: &Arc<Origin>, sender: H1) -> Self {
        Self::H1 { origin: Arc::downgrade(origin), sender: Some(sender), keep: origin.idle_timeout }
    }

    pub(super) fn h2(stream: Stream) -> Self {
        Self::H2 { _stream: stream }
    }

    /// The response has these headers.
    pub(super) fn answered(mut self, headers: &HeaderMap) -> Self {
        if let Self::H1 { keep, .. } = &mut self
            && let Some(kept) = kept_for(headers)
        {
            *keep = kept.min(*keep);
        }
        self
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Self::H1 { origin, sender, keep } = self
            && let (Some(origin), Some(sender)) = (origin.upgrade(), sender.take())
        {
            origin.give_back(sender, *keep);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("origins", &self.origins.locked().len()).finish_non_exhaustive()
    }
}

/// Four fifths of the time for which the server says that it keeps the connection: the last request must arrive before
/// it closes (`Keep-Alive: timeout=5`, as Node.js sends it; it is not in a standard of today, but
/// <https://datatracker.ietf.org/doc/html/rfc2068#section-19.7.1.1> had it).
fn kept_for(answered: &HeaderMap) -> Option<Duration> {
    let value = answered.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(seconds.into()) * 4 / 5)
}

/// Runs a connection until it ends. Whoever waits for a response is told of its error there.
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    let _ = runtime::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a server ended with an error");
        }
    });
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    builder
}

fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(false);
    builder
}

/// The most that a response's status line and headers may take: four times what browsers accept, and little enough
/// to hold. Over HTTP/1.1 it is the size of the read buffer too, which is filled by a server that sends faster than is read.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// HTTP/2: a connection with open streams is asked every 30 s whether it is still there. With [`PING_TIMEOUT`] a dead one
/// is noticed in 40 s, which is before most callers give up (60 s), and no gateway forgets a live one, which
/// takes a minute of silence or more. More often would count as a flood with some servers.
const PING_EVERY: Duration = Duration::from_secs(30);

/// A ping is answered by the other side's HTTP/2 itself, however busy the server is: ten seconds allow for a packet that is
/// lost twice.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// As many streams go over one HTTP/2 connection: no server should allow fewer
/// (<https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>). With more, another connection is made. Where a server does
/// allow fewer, a request waits for a stream to end.
const MOST_STREAMS: usize = 100;

/// As many HTTP/1.1 connections to one server wait for their next request; more than a client's usual calls at a time, and
/// a small part of the files that a process may open (1,024 by default). Others are closed after their response.
const MOST_IDLE: usize = 32;

/// A client speaks to one server, or to a few where it is shared; each costs about a kilobyte.
const MOST_ORIGINS: usize = 1024;

/// A connection whose response was read is ready in microseconds, unless its server answered without reading the request. Then
/// it is left.
const READY_WAIT: Duration = Duration::from_millis(100);

/// After a pause of this length a look at the connections, which costs microseconds, goes before the request. No server
/// closes a connection sooner.
const REST: Duration = Duration::from_secs(1);

/// Idle connections are looked for every half idle timeout, and at most every second.
const SWEEP_AT_MOST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_how_long_it_keeps_a_connection() {
        for (value, millis) in [
            ("timeout=5", Some(4_000)),
            ("max=100, Timeout=10", Some(8_000)),
            ("timeout=1", Some(800)),
            ("timeout=0", Some(0)),
            ("timeout=x", None),
            ("max=100", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", HeaderValue::from_static(value));
            assert_eq!(kept_for(&headers), millis.map(Duration::from_millis), "{value:?}");
        }
        assert_eq!(kept_for(&HeaderMap::new()), None);
    }
}
