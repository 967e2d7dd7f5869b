//! A new connection: name, address, TCP, proxy, TLS.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::super::RequestBody;
use super::error::{HttpError, Name};
use super::proxy::ProxyAddress;
use super::tls::Tls;

/// A server, and how it is reached.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) https: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port, for errors and for proxies.
    pub(super) name: Name,
    pub(super) route: Route,
}

#[derive(Debug)]
pub(super) enum Route {
    Direct,
    /// The proxy is given whole addresses (`http`).
    Forward(ProxyAddress),
    /// The proxy is asked for a tunnel (`https`).
    Tunnel(ProxyAddress),
}

/// Bytes both ways: TCP, TLS, or TLS within TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<I: AsyncRead + AsyncWrite + Unpin + Send> Io for I {}

pub(super) struct Dialed {
    pub(super) io: TokioIo<Box<dyn Io>>,
    /// Both sides agreed to speak HTTP/2.
    pub(super) http2: bool,
}

/// Which addresses may be connected to: all, unless it was said. It is asked about those that a name was found to have, and
/// then these are connected to, so that a name that has others a moment later gains nothing.
#[derive(Clone, Default)]
pub(super) struct Admits(pub(super) Option<Arc<Admitting>>);

/// Is this address admitted, with TLS or without?
type Admitting = dyn Fn(bool, IpAddr) -> bool + Send + Sync;

impl Admits {
    fn admit(&self, tls: bool, address: IpAddr) -> bool {
        self.0.as_ref().is_none_or(|admits| admits(tls, address))
    }
}

impl std::fmt::Debug for Admits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Admits(some)" } else { "Admits(all)" })
    }
}

/// Where the addresses of a name come from: the system, unless a test says otherwise.
#[derive(Clone, Default)]
pub(crate) struct Names(#[cfg(test)] Option<Arc<Finding>>);

#[cfg(test)]
type Finding = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

impl Names {
    #[cfg(test)]
    pub(crate) fn by(find: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    /// The addresses of a host, with this port.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Some(find) = &self.0 {
            return Ok(find(host).into_iter().map(|address| SocketAddr::new(address, port)).collect());
        }
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

/// How far a new connection has come, for the error when it took too long.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Step {
    Queue,
    Name,
    Tcp,
    Proxy,
    Tls,
}

impl Progress {
    pub(super) fn at(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    /// What it was that took too long.
    pub(super) fn waited_for(&self) -> &'static str {
        match self.0.load(Ordering::Relaxed) {
            step if step == Step::Queue as u8 => "another connection to it was being made",
            step if step == Step::Name as u8 => "its name was not resolved",
            step if step == Step::Tcp as u8 => "nothing answered; check the address and the network",
            step if step == Step::Proxy as u8 => "the proxy did not answer",
            _ => "the TLS handshake did not end; does it speak https at this port?",
        }
    }
}

/// Connects.
pub(super) async fn dial(
    target: &Target,
    tls: &Tls,
    admits: &Admits,
    names: &Names,
    progress: &Progress,
) -> Result<Dialed, HttpError> {
    let io: Box<dyn Io> = match &target.route {
        Route::Direct => {
            let admits = |address| admits.admit(target.https, address);
            Box::new(tcp(&target.host, target.port, &target.name, admits, names, progress).await?)
        }
        Route::Forward(proxy) => to_proxy(proxy, tls, progress).await?,
        Route::Tunnel(proxy) => {
            let io = to_proxy(proxy, tls, progress).await?;
            progress.at(Step::Proxy);
            tunnel(io, proxy, &target.name).await?
        }
    };
    if !target.https {
        return Ok(Dialed { io: TokioIo::new(io), http2: false });
    }
    progress.at(Step::Tls);
    let stream = tls.handshake(&target.host, io, false).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Dialed { io: TokioIo::new(Box::new(stream)), http2 })
}

async fn to_proxy(proxy: &ProxyAddress, tls: &Tls, progress: &Progress) -> Result<Box<dyn Io>, HttpError> {
    let name: Name = format!("the proxy {}", proxy.name()).into();
    // The proxy is the choice of whoever runs this program, and no address that a peer named.
    let io = tcp(&proxy.host, proxy.port, &name, |_| true, &Names::default(), progress).await?;
    if !proxy.https {
        return Ok(Box::new(io));
    }
    progress.at(Step::Proxy);
    Ok(Box::new(tls.handshake(&proxy.host, io, true).await?))
}

/// Asks the proxy for a tunnel to the server ([RFC 9110, 9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6)).
async fn tunnel(io: Box<dyn Io>, proxy: &ProxyAddress, server: &Name) -> Result<Box<dyn Io>, HttpError> {
    let lost = |error: hyper::Error| {
        HttpError::unreachable(
            format!("the proxy {} gave no answer that can be understood", proxy.name()),
            Some(error.into()),
        )
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(super::pool::MAX_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(lost)?;
    // Ends when the tunnel is there, and when the sender is dropped.
    let _ = crate::runtime::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let mut request = Request::new(RequestBody::default());
    *request.method_mut() = Method::CONNECT;
    let named = || HttpError::unreachable(format!("{server} cannot be named to a proxy"), None);
    *request.uri_mut() = server.parse().map_err(|_| named())?;
    request.headers_mut().insert(HOST, server.parse().map_err(|_| named())?);
    if let Some(credentials) = proxy.credentials() {
        request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    let response = sender.send_request(request).await.map_err(lost)?;
    if !response.status().is_success() {
        return Err(HttpError::proxy_refused(proxy.name(), server, response.status()));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(lost)?;
    match upgraded.downcast::<TokioIo<Box<dyn Io>>>() {
        // The server says nothing before it was greeted, so nothing can have been read beyond the answer.
        Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
        _ => Err(HttpError::unreachable(
            format!("the proxy {} sent bytes into the tunnel to {server} before it was used", proxy.name()),
            None,
        )),
    }
}

/// A TCP connection to the first address of `host` that answers.
async fn tcp(
    host: &str,
    port: u16,
    name: &Name,
    admits: impl Fn(IpAddr) -> bool,
    names: &Names,
    progress: &Progress,
) -> Result<TcpStream, HttpError> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            progress.at(Step::Name);
            let found = names.look_up(host, port).await.map_err(|error| {
                HttpError::unreachable(
                    format!("the name `{host}` cannot be resolved; check how it is written, and the network"),
                    Some(error.into()),
                )
            })?;
            interleaved(found)
        }
    };
    let found = addresses.len();
    let addresses: Vec<_> = addresses.into_iter().filter(|address| admits(address.ip())).collect();
    if addresses.is_empty() && found > 0 {
        return Err(HttpError::unreachable(
            format!("{name} is at an address of a private network, which may not be reached from here"),
            None,
        ));
    }
    progress.at(Step::Tcp);
    let attempts = addresses.into_iter().take(MOST_ADDRESSES).map(TcpStream::connect);
    let stream = race(attempts, HEAD_START).await.map_err(|error| match error {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => HttpError::unreachable(
            format!("nothing listens at {name}; is the server running, and is the port right?"),
            Some(error.into()),
        ),
        Some(error) => HttpError::unreachable(
            format!("{name} cannot be reached; check the address and the network"),
            Some(error.into()),
        ),
        None => HttpError::unreachable(format!("the name `{host}` has no address"), None),
    })?;
    // Without these the connection works all the same.
    if let Err(error) = stream.set_nodelay(true).and_then(|()| keep_alive(&stream)) {
        tracing::debug!(%error, "a socket did not take its options");
    }
    Ok(stream)
}

/// Addresses of the two families by turns, in the order in which they were found
/// ([RFC 8305, 4](https://www.rfc-editor.org/rfc/rfc8305#section-4)).
fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let addresses: Vec<_> = addresses.into_iter().collect();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::new();
    loop {
        let before = order.len();
        order.extend(first.next());
        order.extend(second.next());
        if order.len() == before {
            return order;
        }
    }
}

/// The first of these that succeeds. The next is begun when one fails, or when nothing came of the others for
/// `head_start` ([RFC 8305, 5](https://www.rfc-editor.org/rfc/rfc8305#section-5)). The error is that of the first that failed.
async fn race<F, T, E>(attempts: impl IntoIterator<Item = F>, head_start: Duration) -> Result<T, Option<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    let mut first_error = None;
    let mut timer = pin!(crate::runtime::sleep_until(crate::runtime::now()));
    let mut exhausted = false;
    poll_fn(move |cx| {
        loop {
            let mut failed = false;
            let mut done = None;
            running.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(won)) => {
                    done = Some(won);
                    false
                }
                Poll::Ready(Err(error)) => {
                    first_error.get_or_insert(error);
                    failed = true;
                    false
                }
                Poll::Pending => true,
            });
            if let Some(won) = done {
                return Poll::Ready(Ok(won));
            }
            if exhausted {
                if running.is_empty() {
                    return Poll::Ready(Err(first_error.take()));
                }
                return Poll::Pending;
            }
            if !failed && !running.is_empty() && timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match waiting.next() {
                Some(attempt) => running.push(Box::pin(attempt)),
                None => exhausted = true,
            }
            timer.as_mut().reset((crate::runtime::now() + head_start).into());
        }
    })
    .await
}

/// Has the system ask the other side now and then whether it is still there.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = TcpKeepalive::new().with_time(PROBE_AFTER);
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let probes = probes.with_interval(PROBE_EVERY);
    #[cfg(any(
        target_os = "linux",
        target_os = "android",
        target_os = "macos",
        target_os = "ios",
        target_os = "freebsd",
        target_os = "netbsd",
    ))]
    let probes = probes.with_retries(PROBES);
    SockRef::from(stream).set_tcp_keepalive(&probes)
}

/// How long an address may be silent before the next is tried beside it: what RFC 8305 recommends.
const HEAD_START: Duration = Duration::from_millis(250);

/// More addresses of one name than this are not tried: at a head start each, they outlast the connect timeout anyway.
const MOST_ADDRESSES: usize = 32;

/// A connection that was silent for this long is probed. Servers of event streams send a comment every 15 s or so, thus
/// only the silent are probed, and often enough for a NAT that forgets after a minute.
const PROBE_AFTER: Duration = Duration::from_secs(30);

/// With [`PROBES`]: a dead connection is noticed a minute after its last byte.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Two of them may be lost on the way.
const PROBES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addresses =
            |list: &[&str]| -> Vec<SocketAddr> { list.iter().map(|a| a.parse().unwrap()).collect() };
        assert_eq!(
            interleaved(addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"])),
            addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]),
        );
        assert_eq!(interleaved(addresses(&["1.1.1.1:1", "[::1]:1"])), addresses(&["1.1.1.1:1", "[::1]:1"]));
        assert_eq!(interleaved([]), []);
    }

    #[tokio::test]
    async fn sockets_do_not_wait_and_are_probed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream =
            tcp("localhost", port, &"here".into(), |_| true, &Names::default(), &Progress::default())
                .await
                .unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            let socket = SockRef::from(&stream);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE_AFTER);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
        }
    }

    #[tokio::test]
    async fn addresses_that_are_not_admitted_are_not_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1"] {
            let asked = AtomicU8::new(0);
            let admits = |address: IpAddr| {
                assert!(address.is_loopback());
                asked.fetch_add(1, Ordering::Relaxed);
                false
            };
            let error = tcp(host, port, &"here".into(), admits, &Names::default(), &Progress::default())
                .await
                .unwrap_err();
            assert!(error.to_string().contains("may not be reached"), "{error}");
            assert!(asked.load(Ordering::Relaxed) > 0);
        }
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => Some(accepted),
            () = tokio::task::yield_now() => None,
        };
        assert!(accepted.is_none());
    }

    async fn after(millis: u64, result: Result<u64, u64>) -> Result<u64, u64> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        result
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_does_not_hold_up_the_next() {
        let began = tokio::time::Instant::now();
        let won = race([after(1_000_000, Ok(1)), after(10, Ok(2)), after(0, Ok(3))], HEAD_START).await;
        assert_eq!((won, began.elapsed().as_millis()), (Ok(2), 260));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_gives_way_at_once() {
        let began = tokio::time::Instant::now();
        let won = race([after(5, Err(1)), after(5, Err(2)), after(5, Ok(3))], HEAD_START).await;
        assert_eq!((won, began.elapsed().as_millis()), (Ok(3), 15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_one_may_still_win() {
        let began = tokio::time::Instant::now();
        let won = race([after(300, Ok(1)), after(300, Ok(2))], HEAD_START).await;
        assert_eq!((won, began.elapsed().as_millis()), (Ok(1), 300));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_first_error_counts() {
        let began = tokio::time::Instant::now();
        let lost = race([after(400, Err(1)), after(5, Err(2)), after(5, Err(3))], HEAD_START).await;
        assert_eq!((lost, began.elapsed().as_millis()), (Err(Some(2)), 400));
        assert_eq!(
            race(std::iter::empty::<std::future::Ready<Result<u8, u8>>>(), HEAD_START).await,
            Err(None)
        );
    }
}
