#![doc = include_str!("docs.md")]
//!
//! [`Running`] lists what can be expected of a call.

mod answer;
mod event;
mod running;
mod script;
mod transcript;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use throughline_proto::jsonrpc::{Message, ProgressToken, RequestId};
use throughline_proto::model::{
    ClientCapabilities, ElicitationCapability, LoggingLevel, ResourceParams, RootsCapability,
    SamplingCapability, SetLevelParams,
};
use tokio::sync::mpsc;

pub use answer::{Answer, accept, cancel, decline, error, json, roots, sampled, silence};
pub use running::Running;

use answer::{Desk, value};
use event::{Event, Short};
use script::{Script, Skips};
use transcript::Transcript;

use crate::client::{Client, ClientError, Connect, Incoming, MOST_NOTIFICATIONS};
use crate::handler::Handler;
use crate::runtime;
use crate::server::StreamableHttp;

/// A client plugged into a server in memory. See the [module](self) for how it is used.
///
/// It can be asked everything (forms, pages, samples, roots), has a session and its standalone stream open, and wants
/// all log messages. Connect one that can do less with [`Kit::connect`].
///
/// # Drop behavior
///
/// Nothing is read any more. The session stays open: end it with [`close`](Self::close).
pub struct Kit {
    client: Client,
    desk: Arc<Desk>,
    transcript: Transcript,
    patience: Duration,
    calls: usize,
    stream: Option<Script>,
}

impl Kit {
    /// Plugs into a server that is served with the default settings.
    ///
    /// # Panics
    ///
    /// When the server refuses the session.
    pub async fn of(handler: impl Handler) -> Self {
        Self::over(StreamableHttp::new(handler)).await
    }

    /// Plugs into an endpoint with settings of its own.
    ///
    /// # Panics
    ///
    /// When the server refuses the session.
    pub async fn over(endpoint: StreamableHttp) -> Self {
        Self::connect(Client::over(endpoint)).await
    }

    /// Connects in this way: another revision, other capabilities, headers, or a server that is reached over a socket.
    /// Questions that the client has handlers for are answered by those; the rest is the test's.
    ///
    /// ```
    /// use throughline::model::ClientCapabilities;
    /// use throughline::testing::Kit;
    /// use throughline::{Client, Context, Server, StreamableHttp, tool};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let server = Server::new("demo", "1.0.0")
    ///     .tool(tool("roots", |cx: Context| async move { Ok::<_, throughline::Error>(cx.roots().await?.len()) }));
    /// let client = Client::over(StreamableHttp::new(server)).capabilities(ClientCapabilities::new());
    /// let mut kit = Kit::connect(client).await;
    /// assert!(kit.call("roots", ()).tool_error().await.contains("cannot be asked"));
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the server refuses the session.
    pub async fn connect(client: Connect) -> Self {
        let (desk, transcript) = (Arc::new(Desk::default()), Transcript::new());
        let put = Arc::clone(&desk);
        let client = client
            .able(everything())
            .on_request(move |question| put.put(&question))
            .connect()
            .await
            .unwrap_or_else(|error| panic!("the server refused the session: {error}"));
        let mut kit = Self { client, desk, transcript, patience: PATIENCE, calls: 0, stream: None };
        if kit.client.session_id().is_some() {
            if kit.client.initialized().capabilities.logging {
                kit.log_level(LoggingLevel::Debug).await;
            }
            // A server need not have one, which is no mistake of this test.
            if let Ok(stream) = kit.client.open_stream().await {
                kit.stream = Some(kit.script("stream".into(), move |reading| listen(stream, reading)));
            }
        }
        kit
    }

    /// How long a test waits for a message, on the runtime's clock; an hour unless set here, which no wait of a server
    /// reaches. Set less where the clock is not paused.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        if let Some(stream) = &mut self.stream {
            stream.patience = patience;
        }
        self
    }

    /// Calls a tool with these arguments: a JSON object, or `()` for none. The call starts at once and runs beside
    /// others.
    ///
    /// # Panics
    ///
    /// When the arguments cannot be JSON.
    pub fn call(&mut self, tool: &str, arguments: impl Serialize) -> Running {
        let mut params = serde_json::json!({ "name": tool });
        match value(arguments) {
            Value::Null => {}
            arguments => params["arguments"] = arguments,
        }
        self.begin(tool, "tools/call", params)
    }

    /// Sends any request, with parameters that are a JSON object, or `()` for none.
    ///
    /// ```
    /// use throughline::model::{ListToolsResult, ReadResourceResult};
    /// use throughline::testing::Kit;
    /// use throughline::{Server, resource};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let server = Server::new("demo", "1.0.0").resource(resource("demo://motd", "motd", || async { "Hello." }));
    /// let mut kit = Kit::of(server).await;
    /// let read: ReadResourceResult =
    ///     kit.request("resources/read", serde_json::json!({ "uri": "demo://motd" })).answer().await;
    /// assert_eq!(read.contents[0].uri(), "demo://motd");
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the parameters cannot be a JSON object.
    pub fn request(&mut self, method: &str, params: impl Serialize) -> Running {
        let params = match value(params) {
            Value::Null => serde_json::json!({}),
            object @ Value::Object(_) => object,
            other => panic!("the parameters of a request are a JSON object, and these are {other}"),
        };
        self.begin(method, method, params)
    }

    /// Says which log messages the client wants (`logging/setLevel`).
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn log_level(&mut self, level: LoggingLevel) {
        self.ask("logging/setLevel", &SetLevelParams::new(level)).await;
    }

    /// Subscribes to a resource; [`expect_updated`](Self::expect_updated) then hears of its changes.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn subscribe(&mut self, uri: &str) {
        self.ask("resources/subscribe", &ResourceParams::new(uri.to_owned())).await;
    }

    /// Expects that the resource changed, as the next message of the standalone stream.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_updated<'a>(&'a mut self, uri: &'a str) -> impl Future<Output = ()> + Send + use<'a> {
        let at = Location::caller();
        async move {
            let stream = open(&mut self.stream);
            let params = stream.notification(at, "notifications/resources/updated").await;
            if params["uri"] != uri {
                stream.fail(
                    at,
                    &format_args!("a change of {uri}"),
                    &format_args!("{} changed", params["uri"]),
                );
            }
        }
    }

    /// Expects a notification that belongs to no call, as the next message of the standalone stream. Gives its
    /// parameters; `null` where it has none.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_notification<'a>(
        &'a mut self,
        method: &'a str,
    ) -> impl Future<Output = Value> + Send + use<'a> {
        let at = Location::caller();
        async move { open(&mut self.stream).notification(at, method).await }
    }

    /// Expects a question that belongs to no call, as the next message of the standalone stream, and answers it.
    ///
    /// # Panics
    ///
    /// When something else comes, or nothing.
    #[track_caller]
    pub fn expect_question<'a, F>(
        &'a mut self,
        method: &'a str,
        answer: F,
    ) -> impl Future<Output = ()> + Send + use<'a, F>
    where
        F: FnOnce(&Value) -> Answer + Send,
    {
        let at = Location::caller();
        async move {
            let stream = open(&mut self.stream);
            stream.question(at, method, |it| Ok(answer(&script::read(it.params.as_ref())?))).await;
        }
    }

    /// Expects that nothing comes on the standalone stream for this long. On a paused clock this takes no time.
    ///
    /// # Panics
    ///
    /// When something comes.
    #[track_caller]
    pub fn expect_nothing_for(&mut self, time: Duration) -> impl Future<Output = ()> + Send {
        let at = Location::caller();
        async move { open(&mut self.stream).nothing(at, time).await }
    }

    /// Everything that was said so far: a line for each message, with the seconds since the kit was connected. On a paused
    /// clock it is the same in every run, so it can be a snapshot.
    pub fn transcript(&self) -> String {
        self.transcript.to_string()
    }

    /// The client, for what the kit has no word for. What it does itself is not in the transcript.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends the session.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn close(self) {
        self.client.close().await.unwrap_or_else(|error| panic!("the session cannot be ended: {error}"));
    }

    async fn ask(&self, method: &str, params: &impl Serialize) {
        self.client.request(method, params).await.unwrap_or_else(|error| panic!("{method} failed: {error}"));
    }

    fn begin(&mut self, name: &str, method: &str, mut params: Value) -> Running {
        self.calls += 1;
        let who = format!("{name}#{}", self.calls);
        self.transcript.sent(&who, &format_args!("{method} {}", Short(&params.to_string())));
        let id = self.client.next_id();
        let RequestId::Number(token) = id else { unreachable!("ids of this client are numbers") };
        params["_meta"]["progressToken"] = value(ProgressToken::Number(token));
        let (client, call, method) = (self.client.clone(), id.clone(), method.to_owned());
        let cancelled = Arc::new(AtomicBool::new(false));
        let taken_back = Arc::clone(&cancelled);
        let script = self.script(who, move |reading| async move {
            let outcome = client.settle(call, &method, &params, |message| reading.take(message)).await;
            reading.end(running::end(outcome, &taken_back));
        });
        Running { script, client: self.client.clone(), id, cancelled }
    }

    fn script<F: Future<Output = ()> + Send + 'static>(
        &self,
        who: String,
        read: impl FnOnce(Reading) -> F,
    ) -> Script {
        // One place more for the end.
        let (tell, events) = mpsc::channel(MOST_NOTIFICATIONS + 1);
        let (transcript, desk) = (self.transcript.clone(), Arc::clone(&self.desk));
        let reading = Reading { who: who.clone(), transcript: transcript.clone(), desk: desk.clone(), tell };
        let reader = runtime::spawn(read(reading));
        let (patience, skips) = (self.patience, Skips::default());
        Script { who, transcript, desk, patience, events, reader, skips }
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// The side of a [`Script`] that reads ahead.
struct Reading {
    who: String,
    transcript: Transcript,
    desk: Arc<Desk>,
    tell: mpsc::Sender<Event>,
}

impl Reading {
    fn take(&self, message: Message) -> Result<(), ClientError> {
        let Some(event) = Event::of(message) else { return Ok(()) };
        self.transcript.came(&self.who, &event);
        // A question that a handler of the client's own answers is none of the test's.
        if matches!(&event, Event::Question(question) if !self.desk.has(&question.id)) {
            return Ok(());
        }
        if self.tell.capacity() > 1 {
            // The test may have stopped to listen: then nobody misses it.
            let _ = self.tell.try_send(event);
            return Ok(());
        }
        Err(ClientError::peer("it sent more than 8192 messages that the test did not look at"))
    }

    fn end(&self, event: Event) {
        self.transcript.came(&self.who, &event);
        let _ = self.tell.try_send(event);
    }
}

/// Reads the standalone stream to its end.
async fn listen(mut stream: Incoming, reading: Reading) {
    let outcome = loop {
        match stream.next().await {
            Ok(Some(received)) => {
                if let Some(Err(error)) = received.message.map(|message| reading.take(message)) {
                    break Err(error);
                }
            }
            Ok(None) => break Ok(None),
            Err(error) => break Err(error),
        }
    };
    reading.end(Event::Over(outcome));
}

fn open(stream: &mut Option<Script>) -> &mut Script {
    stream
        .as_mut()
        .expect("the server has a standalone stream: this one keeps no sessions, or refused to open it")
}

fn everything() -> ClientCapabilities {
    ClientCapabilities::new()
        .with_roots(RootsCapability { list_changed: true })
        .with_sampling(SamplingCapability { context: true, tools: true })
        .with_elicitation(ElicitationCapability { form: true, url: true })
}

/// No wait of a server is longer: the patience of a question ends after an hour at most.
const PATIENCE: Duration = Duration::from_secs(3_600 + 60);
