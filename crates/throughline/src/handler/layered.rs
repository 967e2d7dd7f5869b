//! Middleware around calls: tower layers.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use http::HeaderMap;
use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::Notification;
use throughline_proto::model::{Answer, CallToolResult, ToolAnnotations};
use throughline_proto::session::Offer;
use tower_layer::Layer;
use tower_service::Service;

use super::{Call, Caller, Context, Handler, Outcome, Peers, Reply, Server};
use crate::error::McpError;

/// A call, as a layer sees it: the request of a [`CallService`] and of all that is put around it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallRequest {
    /// What is called.
    pub call: Call,
    /// The way back to the client; who calls.
    pub context: Context,
}

impl CallRequest {
    /// A call with its context.
    pub fn new(call: Call, context: Context) -> Self {
        Self { call, context }
    }
}

/// A handler as a tower service: what the innermost layer is put around. Always ready.
#[derive(Clone)]
pub struct CallService(Arc<dyn Handler>);

impl Service<CallRequest> for CallService {
    type Response = Answer;
    type Error = McpError;
    type Future = Handled;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), McpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: CallRequest) -> Handled {
        Handled(Some(self.0.call(request.call, request.context)))
    }
}

impl std::fmt::Debug for CallService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallService").finish_non_exhaustive()
    }
}

/// A call that runs: the future of a [`CallService`].
///
/// # Drop behavior
///
/// The call is given up: its handler is dropped.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Handled(Option<Reply>);

impl Future for Handled {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Outcome> {
        match self.0.take().expect("a future is not polled after its end") {
            Reply::Ready(outcome) => Poll::Ready(outcome),
            Reply::Later(mut running) => {
                let polled = running.as_mut().poll(cx);
                if polled.is_pending() {
                    self.0 = Some(Reply::Later(running));
                }
                polled
            }
        }
    }
}

/// A handler with tower layers around its calls: made by [`Server::layer`].
///
/// A layer sees each request that a handler answers (`tools/call`, `tools/list`, `prompts/get`, methods of your own), one
/// by one also where they came in a batch; what the library answers itself (`initialize`, `ping`, subscriptions) and
/// notifications pass it by.
///
/// There is one service for all calls, and a call waits in line until it is ready: so layers that hold calls back, as a
/// limit of the rate or of the calls at a time, need not be cloned and are fair.
///
/// # Errors of layers
///
/// An [`McpError`] is sent as it is. Any other error, such as that of a timeout or of a load that is shed, becomes a tool
/// error where a tool is called, so that the model learns of it, and an internal error (-32603) elsewhere, with the text
/// of the error. To answer differently, put a layer around that maps the error.
#[derive(Clone)]
pub struct Layered {
    handler: Arc<dyn Handler>,
    around: Arc<dyn Around>,
}

impl Server {
    /// Puts a tower layer around the calls of this server. Do it last: what comes back is a [`Handler`] to be served. A
    /// server without layers pays nothing for this.
    ///
    /// ```
    /// use std::time::Duration;
    /// use throughline::{Server, StreamableHttp, tool};
    /// use tower::ServiceBuilder;
    /// use tower::limit::ConcurrencyLimitLayer;
    /// use tower::timeout::TimeoutLayer;
    ///
    /// let server = Server::new("demo", "1.0.0")
    ///     .tool(tool("ping", || async { "pong" }))
    ///     // At most eight calls at a time, each for a minute at most.
    ///     .layer(TimeoutLayer::new(Duration::from_secs(60)))
    ///     .layer(ConcurrencyLimitLayer::new(8));
    /// let endpoint = StreamableHttp::new(server);
    /// ```
    pub fn layer<L>(self, layer: L) -> Layered
    where
        L: Layer<CallService>,
        L::Service: Service<CallRequest, Response = Answer> + Send + 'static,
        <L::Service as Service<CallRequest>>::Future: Send + 'static,
        <L::Service as Service<CallRequest>>::Error: Into<BoxError>,
    {
        Layered::new(self, layer)
    }
}

impl Layered {
    /// Puts a layer around any handler.
    pub fn new<L>(handler: impl Handler, layer: L) -> Self
    where
        L: Layer<CallService>,
        L::Service: Service<CallRequest, Response = Answer> + Send + 'static,
        <L::Service as Service<CallRequest>>::Future: Send + 'static,
        <L::Service as Service<CallRequest>>::Error: Into<BoxError>,
    {
        let handler: Arc<dyn Handler> = Arc::new(handler);
        let service = layer.layer(CallService(Arc::clone(&handler)));
        Self { handler, around: Arc::new(InLine(Arc::new(tokio::sync::Mutex::new(service)))) }
    }

    /// Puts one more layer around those there are: it sees a call first.
    pub fn layer<L>(self, layer: L) -> Layered
    where
        L: Layer<CallService>,
        L::Service: Service<CallRequest, Response = Answer> + Send + 'static,
        <L::Service as Service<CallRequest>>::Future: Send + 'static,
        <L::Service as Service<CallRequest>>::Error: Into<BoxError>,
    {
        Layered::new(self, layer)
    }
}

impl Handler for Layered {
    fn offer(&self) -> Offer {
        self.handler.offer()
    }

    fn call(&self, call: Call, cx: Context) -> Reply {
        let calls_tool = &*call.method == "tools/call";
        let answering = self.around.answer(CallRequest::new(call, cx));
        Reply::later(async move {
            match answering.await {
                Ok(answer) => Ok(answer),
                Err(error) => outcome_of(error, calls_tool),
            }
        })
    }

    fn admit(&self, call: &Call, caller: &Caller, headers: Option<&HeaderMap>) -> Result<(), McpError> {
        self.handler.admit(call, caller, headers)
    }

    fn wants_scopes(&self) -> bool {
        self.handler.wants_scopes()
    }

    fn scopes(&self, call: &Call, caller: &Caller) -> ScopeSet {
        self.handler.scopes(call, caller)
    }

    fn notified(&self, notification: Notification, cx: Context) {
        self.handler.notified(notification, cx);
    }

    fn knows(&self, method: &str, target: Option<&str>) -> bool {
        self.handler.knows(method, target)
    }

    fn annotations(&self, tool: &str) -> Option<ToolAnnotations> {
        self.handler.annotations(tool)
    }

    fn wants_http_parts(&self) -> bool {
        self.handler.wants_http_parts()
    }

    fn attach(&self, peers: Peers) {
        self.handler.attach(peers);
    }
}

impl std::fmt::Debug for Layered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layered").finish_non_exhaustive()
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

/// Layers around a handler, whatever their types.
trait Around: Send + Sync {
    fn answer(&self, request: CallRequest) -> Answering;
}

/// The one service, and the line of calls that wait for it to be ready. Only the first in line asks it, so no call can
/// take away the wake-up of another.
struct InLine<S>(Arc<tokio::sync::Mutex<S>>);

impl<S> Around for InLine<S>
where
    S: Service<CallRequest, Response = Answer, Error: Into<BoxError>, Future: Send + 'static>
        + Send
        + 'static,
{
    fn answer(&self, request: CallRequest) -> Answering {
        let service = Arc::clone(&self.0);
        Box::pin(async move {
            let mut first = service.lock_owned().await;
            poll_fn(|cx| first.poll_ready(cx)).await.map_err(Into::into)?;
            let answering = first.call(request);
            drop(first);
            answering.await.map_err(Into::into)
        })
    }
}

/// What a call is answered with whose layers gave an error.
fn outcome_of(error: BoxError, calls_tool: bool) -> Outcome {
    match error.downcast::<McpError>() {
        Ok(error) => Err(*error),
        Err(error) => {
            let sentence = format!("the server gave this call up: {error}");
            if calls_tool {
                Ok(CallToolResult::error(sentence).into())
            } else {
                Err(McpError::internal(sentence))
            }
        }
    }
}
