//! A server of which each response is written by hand.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use throughline::revision::Revision;
use throughline::{Client, Connect, RequestBody};
use tokio::sync::watch;
use tokio::time::Instant;
use tower_service::Service;

use crate::support::within;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A request as the server sees it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) verb: Method,
    pub(super) headers: HeaderMap,
    pub(super) message: Value,
    pub(super) at: Instant,
}

impl Asked {
    pub(super) fn method(&self) -> &str {
        self.message["method"].as_str().unwrap_or_default()
    }

    pub(super) fn id(&self) -> &Value {
        &self.message["id"]
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// What the body of a response does next.
pub(super) enum Step {
    Say(Bytes),
    /// The same without end, as fast as it is read.
    Forever(Bytes),
    /// The same without end, in these steps.
    Trickle(Bytes, Duration),
    Hang,
    Break,
    /// Goes on when this ends.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// A response.
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    steps: VecDeque<Step>,
    /// The connection is lost instead.
    lost: bool,
    /// It takes so long until it begins.
    delay: Duration,
    /// Lives as long as the response.
    held: Option<Arc<()>>,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            steps: VecDeque::new(),
            lost: false,
            delay: Duration::ZERO,
            held: None,
        }
    }

    pub(super) fn lost() -> Self {
        Self { lost: true, ..Self::status(200) }
    }

    pub(super) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Lets a test see when the client has dropped the response.
    pub(super) fn holding(mut self, held: &Arc<()>) -> Self {
        self.held = Some(Arc::clone(held));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn kind(self, kind: &str) -> Self {
        self.header("content-type", kind)
    }

    pub(super) fn json(message: &Value) -> Self {
        Self::status(200).kind("application/json").say(message.to_string())
    }

    pub(super) fn sse() -> Self {
        Self::status(200).kind("text/event-stream")
    }

    pub(super) fn say(mut self, text: impl Into<Bytes>) -> Self {
        self.steps.push_back(Step::Say(text.into()));
        self
    }

    pub(super) fn event(self, message: &Value) -> Self {
        self.say(format!("data: {message}\n\n"))
    }

    /// An event with an id.
    pub(super) fn event_at(self, id: &str, message: &Value) -> Self {
        self.say(format!("id: {id}\ndata: {message}\n\n"))
    }

    pub(super) fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(step) = self.steps.pop_front() else { return Poll::Ready(None) };
        match step {
            Step::Say(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Step::Forever(bytes) => {
                self.steps.push_front(Step::Forever(bytes.clone()));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Step::Trickle(bytes, every) => {
                let waker = cx.waker().clone();
                tokio::spawn(async move {
                    tokio::time::sleep(every).await;
                    waker.wake();
                });
                self.steps.push_front(Step::Trickle(bytes.clone(), every));
                self.steps.push_front(Step::Say(bytes));
                self.steps.push_front(Step::Hang);
                Poll::Pending
            }
            Step::Hang => {
                // What a trickle left here is over when it is woken.
                if !self.steps.is_empty() {
                    return self.poll_frame(cx);
                }
                self.steps.push_front(Step::Hang);
                Poll::Pending
            }
            Step::Wait(mut until) => {
                if until.as_mut().poll(cx).is_pending() {
                    self.steps.push_front(Step::Wait(until));
                    return Poll::Pending;
                }
                self.poll_frame(cx)
            }
            Step::Break => Poll::Ready(Some(Err("broken".into()))),
        }
    }
}

/// A server whose bad behaviour is a function, and that does all else as it should.
#[derive(Clone)]
pub(super) struct Script(Arc<Inner>);

struct Inner {
    #[allow(clippy::type_complexity, reason = "named nowhere else")]
    bad: Box<dyn Fn(&Script, &Asked) -> Option<Answering> + Send + Sync>,
    seen: watch::Sender<Vec<Asked>>,
    sessions: Mutex<u32>,
}

impl Script {
    /// `bad` answers what it wants to; the rest is answered well.
    pub(super) fn new(bad: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::knowing_itself(move |_, asked| bad(asked))
    }

    /// The same where the response depends on what else comes.
    pub(super) fn knowing_itself(
        bad: impl Fn(&Script, &Asked) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::from(move |script, asked| Some(Box::pin(std::future::ready(bad(script, asked)?))))
    }

    /// The same where the response may take its time.
    pub(super) fn slow(bad: impl Fn(&Asked) -> Option<Answering> + Send + Sync + 'static) -> Self {
        Self::from(move |_, asked| bad(asked))
    }

    fn from(bad: impl Fn(&Script, &Asked) -> Option<Answering> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            bad: Box::new(bad),
            seen: watch::Sender::default(),
            sessions: Mutex::default(),
        }))
    }

    pub(super) fn connect(&self, revision: Revision) -> Connect {
        Client::over(self.clone()).revision(revision)
    }

    /// The requests with this method, or, without one, of this kind: `GET`, `DELETE`, or `answer`.
    pub(super) fn seen(&self, what: &str) -> Vec<Asked> {
        let seen = self.0.seen.borrow();
        let is_one = |asked: &&Asked| match what {
            "GET" | "DELETE" => asked.verb == what,
            "answer" => asked.message.get("result").or(asked.message.get("error")).is_some(),
            method => asked.method() == method,
        };
        seen.iter().filter(is_one).cloned().collect()
    }

    /// Waits until so many of these were seen.
    pub(super) async fn until(&self, what: &str, count: usize) {
        let mut seen = self.0.seen.subscribe();
        within(seen.wait_for(|_| true)).await.expect("it is ours");
        while self.seen(what).len() < count {
            within(seen.changed()).await.expect("it is ours");
        }
    }

    /// How many have this script, the test with its one included.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    fn well(&self, asked: &Asked) -> Reply {
        let answer =
            |result: Value| Reply::json(&json!({ "jsonrpc": "2.0", "id": asked.id(), "result": result }));
        let capabilities = json!({ "tools": {}, "logging": {}, "resources": { "subscribe": true } });
        match asked.method() {
            _ if asked.verb == Method::GET => Reply::status(405),
            _ if asked.verb == Method::DELETE => Reply::status(204),
            "initialize" => {
                let mut sessions = self.0.sessions.lock().unwrap();
                *sessions += 1;
                answer(json!({
                    "protocolVersion": asked.message["params"]["protocolVersion"],
                    "capabilities": capabilities,
                    "serverInfo": { "name": "script", "version": "1" },
                }))
                .header("mcp-session-id", format!("session-{sessions}"))
            }
            "server/discover" => answer(json!({
                "resultType": "complete",
                "supportedVersions": [Revision::LATEST.date()],
                "capabilities": capabilities,
                "ttlMs": 0,
                "cacheScope": "private",
            })),
            "tools/list" => answer(json!({ "tools": [], "ttlMs": 0, "cacheScope": "private" })),
            _ if asked.id().is_null() || asked.method().is_empty() => Reply::status(202),
            _ => answer(json!({ "ok": true })),
        }
    }
}

impl Service<Request<RequestBody>> for Script {
    type Response = Response<Reply>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Reply>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let script = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let message =
                if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
            let asked = Asked { verb: head.method, headers: head.headers, message, at: Instant::now() };
            script.0.seen.send_modify(|seen| seen.push(asked.clone()));
            let reply = match (script.0.bad)(&script, &asked) {
                Some(answering) => answering.await,
                None => script.well(&asked),
            };
            if !reply.delay.is_zero() {
                tokio::time::sleep(reply.delay).await;
            }
            if reply.lost {
                return Err("the connection was lost".into());
            }
            let mut response = Response::builder().status(StatusCode::from_u16(reply.status)?);
            for (name, value) in &reply.headers {
                response = response.header(*name, value);
            }
            Ok(response.body(reply)?)
        })
    }
}

/// A service that is not ready while it is told so.
#[derive(Clone)]
pub(super) struct Busy<S>(S, Arc<AtomicBool>);

impl<S> Busy<S> {
    pub(super) fn new(service: S, is_busy: &Arc<AtomicBool>) -> Self {
        Self(service, Arc::clone(is_busy))
    }
}

impl<S: Service<Request<RequestBody>>> Service<Request<RequestBody>> for Busy<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.1.load(Ordering::SeqCst) { Poll::Pending } else { self.0.poll_ready(cx) }
    }

    fn call(&mut self, request: Request<RequestBody>) -> S::Future {
        self.0.call(request)
    }
}
