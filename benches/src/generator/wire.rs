//! One keep-alive connection, and what comes back over it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

use crate::Result;
use crate::echo::MAX_BODY;
use crate::scenario::{EVENT_STREAM, JSON};

/// Where a target listens, and the token that its requests carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) socket: SocketAddr,
    path: Uri,
    token: Option<String>,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(said: &str) -> Result<Self, String> {
        let (address, token) = match said.split_once(' ') {
            Some((address, token)) => (address, Some(token.to_owned())),
            None => (said, None),
        };
        let fault = || format!("{address} is not of the form http://127.0.0.1:PORT/PATH");
        let uri: Uri = address.parse().map_err(|_| fault())?;
        let socket: SocketAddr = uri.authority().and_then(|at| at.as_str().parse().ok()).ok_or_else(fault)?;
        if uri.scheme_str() != Some("http") {
            return Err(fault());
        }
        if !socket.ip().is_loopback() {
            return Err(format!("{socket} is not a loopback address; the lab loads only its own targets"));
        }
        let path = uri.path().parse().map_err(|_| fault())?;
        Ok(Self { socket, path, token })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.socket, self.path)?;
        self.token.iter().try_for_each(|token| write!(f, " {token}"))
    }
}

/// A connection, with the headers that each of its requests has.
pub(super) struct Wire {
    http: SendRequest<Full<Bytes>>,
    headers: HeaderMap,
    path: Uri,
}

impl Wire {
    pub(super) async fn connect(endpoint: &Endpoint) -> Result<Self> {
        Self::over(socket(endpoint)?, endpoint).await
    }

    /// One of very many connections: from the `number`th on, further loopback addresses give further ports.
    pub(super) async fn connect_one_of_many(endpoint: &Endpoint, number: usize) -> Result<Self> {
        let socket = socket(endpoint)?;
        if endpoint.socket.is_ipv4() && number >= PORTS_PER_SOURCE {
            let source = Ipv4Addr::new(127, 0, 0, u8::try_from(1 + number / PORTS_PER_SOURCE)?);
            socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
        }
        Self::over(socket, endpoint).await
    }

    /// A connection that takes little before it is read.
    pub(super) async fn connect_narrow(endpoint: &Endpoint) -> Result<Self> {
        let socket = socket(endpoint)?;
        socket.set_recv_buffer_size(NARROW)?;
        Self::over(socket, endpoint).await
    }

    async fn over(socket: TcpSocket, endpoint: &Endpoint) -> Result<Self> {
        let stream = socket.connect(endpoint.socket).await?;
        stream.set_nodelay(true)?;
        let (http, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends when `http` is dropped; a failure shows in the request that it breaks.
        tokio::spawn(connection);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(endpoint.socket.to_string())?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(token) = &endpoint.token {
            headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}"))?);
        }
        Ok(Self { http, headers, path: endpoint.path.clone() })
    }

    /// Sends a header with every request from now on.
    pub(super) fn keep_header(&mut self, name: &'static str, value: HeaderValue) {
        self.headers.insert(HeaderName::from_static(name), value);
    }

    /// Sends a header no more.
    pub(super) fn drop_header(&mut self, name: &'static str) {
        self.headers.remove(name);
    }

    /// Waits until a request can be sent, so that it is not part of what is measured.
    pub(super) async fn ready(&mut self) -> Result<()> {
        Ok(self.http.ready().await?)
    }

    pub(super) async fn post(&mut self, body: impl Into<Bytes>) -> Result<Response<Incoming>> {
        self.send(Method::POST, body.into()).await
    }

    pub(super) async fn send(&mut self, method: Method, body: Bytes) -> Result<Response<Incoming>> {
        self.http.ready().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        *request.headers_mut() = self.headers.clone();
        Ok(self.http.send_request(request).await?)
    }
}

fn socket(endpoint: &Endpoint) -> std::io::Result<TcpSocket> {
    if endpoint.socket.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

/// Below the 28,232 ports that Linux gives out by default.
const PORTS_PER_SOURCE: usize = 20_000;

/// Bytes; the kernel takes its own minimum when that is more.
const NARROW: u32 = 4 * 1024;

/// A whole answer.
pub(super) struct Answer {
    pub(super) is_stream: bool,
    body: Bytes,
}

impl Answer {
    /// The only message of the answer.
    pub(super) fn message(&self) -> Result<Cow<'_, str>> {
        let text = std::str::from_utf8(&self.body)?;
        if self.is_stream { response_event(text) } else { Ok(text.into()) }
    }
}

/// Reads a successful answer to the end.
pub(super) async fn read(response: Response<Incoming>) -> Result<Answer> {
    let status = response.status();
    let is_stream = is_stream(&response);
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    let body = Limited::new(response.into_body(), MAX_BODY).collect().await?.to_bytes();
    if status != StatusCode::OK {
        return Err(
            format!("a request was answered with {status}: {}", String::from_utf8_lossy(&body)).into()
        );
    }
    let is_stream = is_stream.ok_or_else(|| format!("an answer has the content type {content_type:?}"))?;
    Ok(Answer { is_stream, body })
}

/// Whether the answer is an event stream (or one JSON body); nothing when it is neither.
pub(super) fn is_stream(response: &Response<Incoming>) -> Option<bool> {
    let content_type = response.headers().get(CONTENT_TYPE)?.as_bytes();
    if content_type.starts_with(JSON.as_bytes()) {
        Some(false)
    } else {
        content_type.starts_with(EVENT_STREAM.as_bytes()).then_some(true)
    }
}

/// The data of the only event that has any. Events without data (priming) and comments (keep-alive)
/// are skipped; two messages, or none, are not an echo.
fn response_event(stream: &str) -> Result<Cow<'_, str>> {
    let mut message = None;
    let mut data: Option<Cow<'_, str>> = None;
    for line in stream.lines() {
        if let Some(value) = line.strip_prefix("data:") {
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut data {
                None => data = Some(value.into()),
                Some(data) => {
                    data.to_mut().push('\n');
                    data.to_mut().push_str(value);
                }
            }
        } else if line.is_empty()
            && let Some(data) = data.take().filter(|data| !data.is_empty())
            && message.replace(data).is_some()
        {
            return Err(format!("more than one message came back: {stream:?}").into());
        }
    }
    message.ok_or_else(|| format!("no message came back: {stream:?}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_endpoints() {
        let endpoint: Endpoint = "http://127.0.0.1:8001/mcp".parse().unwrap();
        assert_eq!(endpoint.to_string(), "http://127.0.0.1:8001/mcp");
        let locked: Endpoint = "http://127.0.0.1:8001/mcp a.b.c".parse().unwrap();
        assert_eq!(locked.to_string(), "http://127.0.0.1:8001/mcp a.b.c");
        assert_ne!(locked, endpoint);
        for other in
            ["http://10.0.0.1:80/mcp", "https://127.0.0.1:80/mcp", "127.0.0.1:80", "http://localhost/"]
        {
            other.parse::<Endpoint>().unwrap_err();
        }
    }

    #[tokio::test]
    async fn very_many_connections_come_from_several_addresses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: Endpoint = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
        for (number, source) in [(19_999, [127, 0, 0, 1]), (20_000, [127, 0, 0, 2]), (40_000, [127, 0, 0, 3])]
        {
            let (_wire, accepted) =
                tokio::join!(Wire::connect_one_of_many(&endpoint, number), listener.accept());
            assert_eq!(accepted.unwrap().1.ip(), IpAddr::from(source));
        }
    }

    #[test]
    fn the_message_is_found_behind_priming_and_comments() {
        let stream = ": hello\nid: 0\nretry: 1000\ndata:\n\n: keep-alive\nid: 1\ndata: {\"id\":1}\n\n";
        assert_eq!(response_event(stream).unwrap(), "{\"id\":1}");
    }

    #[test]
    fn data_lines_are_joined() {
        assert_eq!(response_event("data: {\r\ndata:}\r\n\r\n").unwrap(), "{\n}");
    }

    #[test]
    fn none_two_or_half_a_message_is_an_error() {
        for stream in ["", "data:\n\n", "data: 1\n\ndata: 2\n\n", "data: 1\n"] {
            response_event(stream).unwrap_err();
        }
    }
}
