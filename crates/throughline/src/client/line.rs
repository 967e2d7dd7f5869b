//! One HTTP exchange over a tower service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use super::ClientError;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;
type Sending = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, BoxError>> + Send>>;

/// The body of a request of a [`Client`](super::Client): nothing, or one message.
#[derive(Clone, Debug, Default)]
pub struct RequestBody(Bytes);

#[cfg(all(test, feature = "client"))]
impl RequestBody {
    pub(crate) fn new(message: impl Into<Bytes>) -> Self {
        Self(message.into())
    }
}

/// A service, its address, and the headers that every request to it carries.
#[derive(Clone)]
pub(crate) struct Line {
    service: Arc<dyn Fn(Request<RequestBody>) -> Sending + Send + Sync>,
    uri: Uri,
    headers: HeaderMap,
}

impl Line {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = move |mut request: Request<RequestBody>| {
            let mut service = service.clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| NeverSent(error.into()))?;
                if let Some(Sent(mark)) = request.extensions_mut().remove() {
                    mark.store(true, Ordering::Relaxed);
                }
                let response = service.call(request).await.map_err(Into::into)?;
                Ok(response.map(|body| Box::pin(Erased(Box::pin(body))) as BoxBody))
            }) as Sending
        };
        Self {
            service: Arc::new(service),
            uri: Uri::from_static("http://localhost/mcp"),
            headers: HeaderMap::new(),
        }
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn set_uri(&mut self, uri: Uri) {
        self.uri = uri;
    }

    pub(crate) fn set_headers(&mut self, headers: HeaderMap) {
        self.headers = headers;
    }

    /// Sends a request with the line's own headers and these.
    pub(crate) async fn send(
        &self,
        method: Method,
        body: Bytes,
        extra: &HeaderMap,
    ) -> Result<Response<BoxBody>, ClientError> {
        self.send_to(&self.uri, method, body, extra).await
    }

    /// Posts a request, and sets the mark as soon as it is on its way.
    pub(crate) async fn post_marking(
        &self,
        body: Bytes,
        extra: &HeaderMap,
        sent: Arc<AtomicBool>,
    ) -> Result<Response<BoxBody>, ClientError> {
        let mut request = self.request(&self.uri, Method::POST, body, extra);
        request.extensions_mut().insert(Sent(sent));
        (self.service)(request).await.map_err(ClientError::from_service)
    }

    /// The same to another address, of the same origin.
    pub(crate) async fn send_to(
        &self,
        uri: &Uri,
        method: Method,
        body: Bytes,
        extra: &HeaderMap,
    ) -> Result<Response<BoxBody>, ClientError> {
        let request = self.request(uri, method, body, extra);
        (self.service)(request).await.map_err(ClientError::from_service)
    }

    fn request(&self, uri: &Uri, method: Method, body: Bytes, extra: &HeaderMap) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody(body));
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + extra.len() + 2);
        if method == Method::GET {
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        } else {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        }
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in self.headers.iter().chain(extra) {
            headers.insert(name, value.clone());
        }
        *request.method_mut() = method;
        request
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the headers: there are secrets among them.
        f.debug_struct("Line").field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// On a request: is to be set when it goes to the service.
#[derive(Clone)]
struct Sent(Arc<AtomicBool>);

/// The request was certainly not sent: it may be sent again.
#[derive(Debug)]
pub(crate) struct NeverSent(pub(crate) BoxError);

impl fmt::Display for NeverSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NeverSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
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
