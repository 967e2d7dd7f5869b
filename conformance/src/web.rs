//! One HTTP request, and its answer as it is: no redirect is followed.

use std::error::Error;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The header of this name; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends a request over a connection of its own. `address` begins with `http://`.
pub(crate) async fn send(
    method: Method,
    address: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, Box<dyn Error>> {
    let uri: Uri = address.parse()?;
    let authority = uri.authority().ok_or("an address has a host")?;
    let place = (authority.host(), authority.port_u16().unwrap_or(80));
    let mut request = Request::builder().method(method);
    request = request.uri(uri.path_and_query().map_or("/", |path| path.as_str()));
    request = request.header("host", authority.as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into()))?;
    let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(place).await?)).await?;
    // It ends with the sender.
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer { status: parts.status, headers: parts.headers, body: body.collect().await?.to_bytes() })
}
