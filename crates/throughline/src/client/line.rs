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
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use throughline_proto::auth::{Challenge, ChallengeError};
use throughline_proto::client::same_origin;
use throughline_proto::http::routing_name;
use throughline_proto::jsonrpc::{self, Message, ParseLimits};
use tower_service::Service;

use super::ClientError;
use super::authorize::{AfterRefusal, Asks, Authorizing, Credentials, Refusal, TokenRequest};
use super::http::Reading;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;
type Answering = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, BoxError>> + Send>>;

/// The body of a request of a [`Client`](super::Client): nothing, or one message.
#[derive(Clone, Debug, Default)]
pub struct RequestBody(Bytes);

#[cfg(any(feature = "auth", all(test, feature = "client")))]
impl RequestBody {
    pub(crate) fn new(message: impl Into<Bytes>) -> Self {
        Self(message.into())
    }
}

/// A service, its address, and the headers that every request to it carries.
#[derive(Clone)]
pub(crate) struct Line {
    service: Arc<dyn Fn(Request<RequestBody>) -> Answering + Send + Sync>,
    uri: Uri,
    headers: HeaderMap,
    authorizing: Option<Arc<Authorizing>>,
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
                Ok(response.map(boxed_body))
            }) as Answering
        };
        Self {
            service: Arc::new(service),
            uri: Uri::from_static("http://localhost/mcp"),
            headers: HeaderMap::new(),
            authorizing: None,
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

    pub(crate) fn set_authorizing(&mut self, authorizing: Option<Arc<Authorizing>>) {
        self.authorizing = authorizing;
    }

    pub(crate) fn authorizing(&self) -> Option<&Arc<Authorizing>> {
        self.authorizing.as_ref()
    }

    /// Sends a request with the line's own headers and these. Where there is a provider of credentials, a refusal that it has no
    /// answer to is an error.
    pub(crate) async fn send(
        &self,
        method: Method,
        body: Bytes,
        extra: &HeaderMap,
        asks: Asks,
    ) -> Result<Response<BoxBody>, ClientError> {
        self.deliver(&self.uri, method, body, extra, None, asks).await
    }

    /// Posts a request, and sets the mark as soon as it is on its way.
    pub(crate) async fn post_marking(
        &self,
        body: Bytes,
        extra: &HeaderMap,
        sent: Arc<AtomicBool>,
    ) -> Result<Response<BoxBody>, ClientError> {
        self.deliver(&self.uri, Method::POST, body, extra, Some(&sent), Asks::Person).await
    }

    /// The same to another address, of the same origin.
    pub(crate) async fn send_to(
        &self,
        uri: &Uri,
        method: Method,
        body: Bytes,
        extra: &HeaderMap,
    ) -> Result<Response<BoxBody>, ClientError> {
        self.deliver(uri, method, body, extra, None, Asks::Person).await
    }

    async fn deliver(
        &self,
        uri: &Uri,
        method: Method,
        body: Bytes,
        extra: &HeaderMap,
        sent: Option<&Arc<AtomicBool>>,
        asks: Asks,
    ) -> Result<Response<BoxBody>, ClientError> {
        match &self.authorizing {
            // Whatever it is, credentials of one origin are not for another.
            Some(authorizing) if same_origin(&self.uri, uri) => {
                let sending = Sending { line: self, uri, method, body, extra, sent };
                // Of the calls of a client, those without a provider are not to carry its future.
                Box::pin(sending.authorized(authorizing, asks)).await
            }
            _ => self.once(self.request(uri, method, body, extra), sent).await,
        }
    }

    async fn once(
        &self,
        mut request: Request<RequestBody>,
        sent: Option<&Arc<AtomicBool>>,
    ) -> Result<Response<BoxBody>, ClientError> {
        if let Some(sent) = sent {
            request.extensions_mut().insert(Sent(Arc::clone(sent)));
        }
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

/// A request that is sent with credentials, as often as it takes.
struct Sending<'a> {
    line: &'a Line,
    uri: &'a Uri,
    method: Method,
    body: Bytes,
    extra: &'a HeaderMap,
    sent: Option<&'a Arc<AtomicBool>>,
}

impl Sending<'_> {
    async fn authorized(
        self,
        authorizing: &Authorizing,
        asks: Asks,
    ) -> Result<Response<BoxBody>, ClientError> {
        let may_ask = asks == Asks::Person;
        let asked = TokenRequest { endpoint: &self.line.uri, uri: self.uri, method: &self.method, may_ask };
        for before in 0.. {
            let used =
                authorizing.credentials(&asked).await.map_err(|why| ClientError::login_failed(None, why))?;
            let mut request = self.line.request(self.uri, self.method.clone(), self.body.clone(), self.extra);
            if let Some(used) = &used {
                used.put_into(request.headers_mut());
            }
            let response = self.line.once(request, self.sent).await?;
            authorizing.provider().answered(&asked, response.status(), response.headers());
            let Some(mut refusal) = self.refusal(&response, used, before, may_ask) else {
                return Ok(response);
            };
            // It never ran, so there is nothing to take back: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.2
            if let Some(sent) = self.sent {
                sent.store(false, Ordering::Relaxed);
            }
            // Read to its end, so that its connection can be used again.
            let Err(error) = Reading::new(response).await else {
                unreachable!("a status of refusal is an error")
            };
            if before == MOST_REFUSALS {
                return Err(error);
            }
            refusal.operation = self.operation();
            match authorizing.refused(refusal).await {
                Ok(AfterRefusal::SendAgain) => {}
                Ok(AfterRefusal::GiveUp) => return Err(error),
                Err(why) => return Err(ClientError::login_failed(Some(error), why)),
            }
        }
        unreachable!("the attempts end by a return")
    }

    /// What the provider may have an answer to: 401, and 403 when it is for want of scopes. See
    /// [error handling](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#error-handling).
    fn refusal(
        &self,
        response: &Response<BoxBody>,
        used: Option<Credentials>,
        before: u32,
        may_ask: bool,
    ) -> Option<Refusal> {
        let (status, headers) = (response.status(), response.headers());
        if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return None;
        }
        let challenges = Challenge::parse_all(headers);
        let wants_scopes =
            || challenges.iter().any(|challenge| challenge.error == Some(ChallengeError::InsufficientScope));
        (status == StatusCode::UNAUTHORIZED || wants_scopes()).then(|| Refusal {
            endpoint: self.line.uri.clone(),
            uri: self.uri.clone(),
            method: self.method.clone(),
            operation: String::new(),
            may_ask,
            status,
            challenges,
            headers: headers.clone(),
            used,
            before,
        })
    }

    /// The method of the message, and the name of what it is for.
    fn operation(&self) -> String {
        let (method, params) = match jsonrpc::parse(&self.body, &ParseLimits::default()) {
            Ok(jsonrpc::Frame::Single(Message::Request(request))) => (request.method, request.params),
            Ok(jsonrpc::Frame::Single(Message::Notification(told))) => (told.method, told.params),
            _ => return String::new(),
        };
        let name = params.as_ref().and_then(|params| {
            let outline = jsonrpc::outline(Some(params)).ok()?;
            routing_name(&method, &outline).map(|name| name.to_string())
        });
        match name {
            Some(name) => format!("{method} {name}"),
            None => method.to_string(),
        }
    }
}

/// How often one request is sent anew: for a nonce, for a token that was taken back, for a login, and for two steps up in
/// scopes. A server that refuses it then does so whatever is done.
const MOST_REFUSALS: u32 = 5;

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

/// A body of any kind, as one kind.
pub(crate) fn boxed_body<B>(body: B) -> BoxBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Box::pin(Erased(Box::pin(body)))
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
