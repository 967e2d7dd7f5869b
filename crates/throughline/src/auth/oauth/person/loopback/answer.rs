//! What comes in on the port, and what it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::address::Loopback;
use super::listen::Ports;
use crate::auth::oauth::person::Redirect;
use crate::lock::Lock;
use crate::runtime;

/// Answers every request on the port.
pub(super) struct Answers(Arc<Expected>);

/// The one request that counts.
struct Expected {
    at: Loopback,
    authority: String,
    state: Zeroizing<String>,
    /// `None`: it was there.
    waiting: Mutex<Option<oneshot::Sender<Redirect>>>,
}

impl Answers {
    /// `state`: what the answer brings back. The answer arrives once its page is written.
    pub(super) fn to(ports: &Ports, state: &str) -> (Self, oneshot::Receiver<Redirect>) {
        let (waiting, arrived) = oneshot::channel();
        let expected = Expected {
            at: ports.at.clone(),
            authority: ports.at.authority(),
            state: Zeroizing::new(state.to_owned()),
            waiting: Mutex::new(Some(waiting)),
        };
        (Self(Arc::new(expected)), arrived)
    }

    /// Answers until it is dropped.
    pub(super) async fn serve(self, ports: Ports) {
        let mut connections = JoinSet::new();
        let mut oldest_first = VecDeque::with_capacity(MOST_CONNECTIONS);
        loop {
            tokio::select! {
                accepted = ports.accept() => match accepted {
                    Ok(stream) => {
                        if oldest_first.len() >= MOST_CONNECTIONS {
                            oldest_first.retain(|connection: &tokio::task::AbortHandle| !connection.is_finished());
                        }
                        // Who opens connections and says nothing must not keep the browser out.
                        if oldest_first.len() >= MOST_CONNECTIONS && let Some(oldest) = oldest_first.pop_front() {
                            oldest.abort();
                        }
                        oldest_first.push_back(connections.spawn(Arc::clone(&self.0).connection(stream)));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a connection for the login could not be accepted");
                        runtime::sleep_until(runtime::now() + ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Hands the answer over when the connection is done with, however that comes about: the page should be written first, as
/// the program may end once it has the answer.
struct Delivery(Option<(oneshot::Sender<Redirect>, Redirect)>);

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some((waiting, redirect)) = self.0.take() {
            // Nobody waits when the time was over.
            let _ = waiting.send(redirect);
        }
    }
}

impl Expected {
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let delivery = Mutex::new(Delivery(None));
        let service = service_fn(|request: Request<Incoming>| {
            let (page, arrived) = self.answer(&request);
            if arrived.is_some() {
                delivery.locked().0 = arrived;
            }
            std::future::ready(Ok::<_, Infallible>(page.response()))
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(TIME_OF_A_CONNECTION);
        http.keep_alive(false).max_buf_size(MOST_HEAD_BYTES).max_headers(MOST_HEADERS);
        let serving = http.serve_connection(TokioIo::new(stream), service);
        let until = runtime::now() + TIME_OF_A_CONNECTION;
        tokio::select! {
            // What is wrong with a connection is the business of its other end.
            _ = serving => {}
            () = runtime::sleep_until(until) => {}
        }
    }

    /// What a request is told, and the answer of the login if it is that.
    fn answer<B>(&self, request: &Request<B>) -> (Page, Option<(oneshot::Sender<Redirect>, Redirect)>) {
        // A page whose name was turned to this machine sends its own name.
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
        let ours = |host: &str| host == self.authority;
        if !host.is_some_and(ours) || request.uri().authority().is_some_and(|host| !ours(host.as_str())) {
            return (Page::FOREIGN_HOST, None);
        }
        if request.uri().path() != self.at.path() {
            return (Page::NOT_FOUND, None);
        }
        // Nothing but a browser that was sent here is the answer; a look ahead (HEAD) is not.
        if request.method() != Method::GET {
            return (Page::WRONG_METHOD, None);
        }
        let query = request.uri().query().unwrap_or_default();
        if !is_answer(query, &self.state) {
            return (Page::FOREIGN, None);
        }
        let address = format!("{}?{query}", self.at);
        let Ok(redirect) = Redirect::new(address) else { return (Page::TOO_LONG, None) };
        let failed = members(query).any(|(name, _)| name == "error");
        match self.waiting.locked().take() {
            Some(waiting) => (if failed { Page::REFUSED } else { Page::DONE }, Some((waiting, redirect))),
            None => (Page::OVER, None),
        }
    }
}

/// Whether a query is an answer, with a code or an error
/// ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2)), and brings back the state.
pub(in super::super) fn is_answer(query: &str, state: &str) -> bool {
    let mut states = members(query).filter(|(name, _)| name == "state");
    let brought = states.next().filter(|_| states.next().is_none());
    let ours = brought.is_some_and(|(_, brought)| is_same(brought.as_bytes(), state.as_bytes()));
    // An empty state would be brought back by anybody.
    ours && !state.is_empty() && members(query).any(|(name, _)| name == "code" || name == "error")
}

fn members(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// In a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// What a person sees. Nothing of a request is in it.
#[derive(Clone, Copy)]
struct Page {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
}

impl Page {
    const DONE: Self = Self::new(
        StatusCode::OK,
        "The answer has arrived",
        "You can close this page and go back to the program.",
    );
    const REFUSED: Self = Self::new(
        StatusCode::OK,
        "The login did not succeed",
        "You can close this page and go back to the program, which says why.",
    );
    const OVER: Self = Self::new(
        StatusCode::GONE,
        "This login is over",
        "Its answer has arrived already. You can close this page and go back to the program.",
    );
    const FOREIGN: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "This is not the answer of the login",
        "It belongs to another login, or to none. Go back to the program and open the page that it names.",
    );
    const FOREIGN_HOST: Self = Self::new(
        StatusCode::FORBIDDEN,
        "This is not the address of the login",
        "Only the address that the program named is answered here.",
    );
    const NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "There is nothing here", "A login is waited for at another path.");
    const WRONG_METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here", "A login is waited for.");
    const TOO_LONG: Self = Self::new(
        StatusCode::URI_TOO_LONG,
        "The answer of the login is too long",
        "Go back to the program and start the login again.",
    );

    const fn new(status: StatusCode, title: &'static str, text: &'static str) -> Self {
        Self { status, title, text }
    }

    fn response(self) -> Response<String> {
        let Self { title, text, .. } = self;
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{text}</p></html>\n"
        );
        let mut response = Response::new(page);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        response
    }
}

/// The address of the page has the code in it: it is not kept, not sent on, and not shown within another page.
const HEADERS: [(header::HeaderName, &str); 5] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];
/// As many connections at the same time: a browser opens some six to a host, and some of them before it needs them.
const MOST_CONNECTIONS: usize = 32;
/// How long a connection may take: its one request is on the way when it is opened, and goes through this machine alone. A
/// browser that opened one too early opens another.
const TIME_OF_A_CONNECTION: Duration = Duration::from_secs(10);
/// The most bytes of a request's head: the answer, and what a browser sends along. The cookies of all programs that
/// ever served `localhost` come too.
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// The most headers; a browser sends some twenty.
const MOST_HEADERS: usize = 100;
/// After a connection could not be accepted: too many files are open, most likely, and the next would fail as well.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
