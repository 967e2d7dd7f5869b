//! One HTTP exchange over a tower service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use throughline_proto::http::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use throughline_proto::revision::Revision;
use tower_service::Service;

use super::ClientError;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
pub(super) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;
type Sending = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, BoxError>> + Send>>;

/// The body of a request of a [`Client`](super::Client): nothing, or one message.
#[derive(Debug, Default)]
pub struct RequestBody(Bytes);

/// A service, and the headers that every request to it carries.
pub(super) struct Line {
    service: Box<dyn Fn(Request<RequestBody>) -> Sending + Send + Sync>,
    uri: Uri,
    headers: HeaderMap,
}

impl Line {
    pub(super) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
                let response = service.call(request).await.map_err(Into::into)?;
                Ok(response.map(|body| Box::pin(Erased(Box::pin(body))) as BoxBody))
            }) as Sending
        };
        Self {
            service: Box::new(service),
            uri: Uri::from_static("http://localhost/mcp"),
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn set_uri(&mut self, uri: Uri) {
        self.uri = uri;
    }

    pub(super) fn set_header(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// The session is open: from now on its headers go with every request.
    pub(super) fn open(&mut self, answered: &HeaderMap, revision: Revision) {
        if let Some(id) = answered.get(MCP_SESSION_ID) {
            self.headers.insert(MCP_SESSION_ID, id.clone());
        }
        if revision.has_version_header() {
            self.headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(revision.date()));
        }
    }

    pub(super) fn session_id(&self) -> Option<&str> {
        self.headers.get(MCP_SESSION_ID).and_then(|id| id.to_str().ok())
    }

    pub(super) async fn send(
        &self,
        method: Method,
        body: Bytes,
        extra: Option<(HeaderName, &str)>,
    ) -> Result<Response<BoxBody>, ClientError> {
        let mut request = Request::new(RequestBody(body));
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        if method == Method::GET {
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        } else {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        }
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if let Some((name, value)) = extra {
            headers.insert(name, HeaderValue::from_str(value).map_err(ClientError::unwritable)?);
        }
        *request.method_mut() = method;
        (self.service)(request).await.map_err(ClientError::connection)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the headers: the session id is a secret.
        f.debug_struct("Line").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// A body whose kind of error is forgotten.
struct Erased<B>(Pin<Box<B>>);

impl<B> Body for Erased<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
