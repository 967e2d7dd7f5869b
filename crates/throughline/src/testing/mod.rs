#![doc = include_str!("docs.md")]
//!
//! [`Running`] lists what can be expected of a call.

mod answer;
mod event;
mod running;
mod script;
mod transcript;
mod vouched;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use throughline_proto::jsonrpc::{Message, Raw, Request, RequestId};
use throughline_proto::model::{
    ClientCapabilities, ElicitationCapability, LoggingLevel, RootsCapability, SamplingCapability,
};
use tokio::sync::mpsc;

pub use answer::{Answer, accept, cancel, decline, error, json, roots, sampled, silence};
pub use running::Running;

use answer::{Desk, value};
use event::{Event, Short};
use running::Taken;
use script::{Script, Skips};
use transcript::Transcript;

use crate::client::{Calling, Client, ClientError, Connect, StreamStatus};
use crate::handler::{Authorized, Handler};
use crate::runtime;
use crate::server::StreamableHttp;

/// A client plugged into a server in memory. See the [module](self) for how it is used.
///
/// It can be asked everything (forms, pages, samples, roots), has a session and its standalone stream open, and wants
/// all log messages. Connect one that can do less, or one [without a session](self#both-eras), with [`Kit::connect`].
///
/// It waits for ever, comes back to a stream whose connection is lost, and opens no other session when the server has
/// forgotten its own: then calls end with the error of the server.
///
/// # Drop behavior
///
/// Calls go on at the server, and what belongs to no call is not read any more. The session stays open: end it with
/// [`close`](Self::close).
pub struct Kit {
    client: Client,
    setting: Setting,
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

    /// Plugs into an endpoint as somebody whom the lock in front of it let in: for tools that need
    /// [scopes](crate::ToolDef::scopes), or to know who calls.
    ///
    /// ```
    /// use throughline::auth::ScopeSet;
    /// use throughline::testing::Kit;
    /// use throughline::{Authorized, Context, Principal, Server, StreamableHttp, tool};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// async fn remove(cx: Context) -> String {
    ///     let who = cx.caller().principal().map_or("nobody", |who| &*who.subject);
    ///     format!("{who} removed it")
    /// }
    /// let server = Server::new("files", "1.0.0").tool(tool("remove", remove).scopes(["files:write"]));
    /// let ann = Authorized::new(Principal::new("it", "ann")).with_scopes(ScopeSet::parse("files:write")?);
    /// let mut kit = Kit::authorized(StreamableHttp::new(server), ann).await;
    /// assert_eq!(kit.call("remove", ()).text().await, "ann removed it");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the server refuses the session.
    pub async fn authorized(endpoint: StreamableHttp, authorized: Authorized) -> Self {
        Self::connect(Client::over(vouched::Vouched::new(endpoint, authorized))).await
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
        let mut own = client.answers();
        own.push("ping");
        let setting = Setting { desk: Arc::default(), transcript: Transcript::new(), own: own.into() };
        let (stream, reading) = setting.script("stream".into(), PATIENCE);
        let (listening, desk) = (Arc::clone(&reading), Arc::clone(&setting.desk));
        let client = client
            .for_kit(everything(), move |message| listening.take(message))
            .on_request(move |question| desk.answer_to(&question))
            .await
            .unwrap_or_else(|error| panic!("the server cannot be connected to: {error}"));
        let stream = watch_stream(&client, stream, reading).await;
        Self { client, setting, patience: PATIENCE, calls: 0, stream }
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
        let set = self.client.set_log_level(level).await;
        set.unwrap_or_else(|error| panic!("the level of log messages cannot be set: {error}"));
    }

    /// Subscribes to a resource; [`expect_updated`](Self::expect_updated) then hears of its changes.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn subscribe(&mut self, uri: &str) {
        let subscribed = self.client.subscribe(uri).await;
        subscribed.unwrap_or_else(|error| panic!("{uri} cannot be subscribed to: {error}"));
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
        self.setting.transcript.to_string()
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

    fn begin(&mut self, name: &str, method: &str, params: Value) -> Running {
        self.calls += 1;
        let who = format!("{name}#{}", self.calls);
        self.setting.transcript.sent(&who, &format_args!("{method} {}", Short(&params.to_string())));
        let (script, reading) = self.setting.script(who, self.patience);
        let (id, taken) = (self.client.next_id(), Arc::new(Taken::default()));
        let (client, method, taken_back) = (self.client.clone(), method.to_owned(), Arc::clone(&taken));
        // It goes on when nobody looks at it any more: to drop a call is to cancel it.
        runtime::spawn(async move {
            let calling = reading.follow(client.request(method, &params).id(id));
            let outcome = match client.streams_end_by_themselves() {
                true => calling.await,
                false => calling.cancel_on(Arc::clone(&taken_back).wait()).await,
            };
            reading.end(taken_back.end(outcome));
        });
        Running { script, client: self.client.clone(), id, taken }
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kit").field("calls", &self.calls).finish_non_exhaustive()
    }
}

/// What all conversations of a kit share.
struct Setting {
    desk: Arc<Desk>,
    transcript: Transcript,
    /// The methods that the test does not answer, as the client does it by itself.
    own: Arc<[&'static str]>,
}

impl Setting {
    /// Both sides of a conversation.
    fn script(&self, who: String, patience: Duration) -> (Script, Arc<Reading>) {
        // One place more for the end.
        let (tell, events) = mpsc::channel(MOST_EVENTS + 1);
        let (transcript, desk) = (self.transcript.clone(), Arc::clone(&self.desk));
        let reading = Reading {
            who: who.clone(),
            transcript: transcript.clone(),
            desk: Arc::clone(&desk),
            own: Arc::clone(&self.own),
            tell,
            rounds: AtomicU64::new(0),
            full: AtomicBool::new(false),
        };
        let script = Script { who, transcript, desk, patience, events, skips: Skips::default() };
        (script, Arc::new(reading))
    }
}

/// The side of a [`Script`] that reads ahead.
struct Reading {
    who: String,
    transcript: Transcript,
    desk: Arc<Desk>,
    own: Arc<[&'static str]>,
    tell: mpsc::Sender<Event>,
    /// Questions that came in results.
    rounds: AtomicU64,
    /// The test did not look at so many messages that no more are kept.
    full: AtomicBool,
}

impl Reading {
    /// Has a call tell everything of itself, and wait for as long as the test does.
    fn follow<'a>(self: &Arc<Self>, calling: Calling<'a, Raw>) -> Calling<'a, Raw> {
        let (messages, questions) = (Arc::clone(self), Arc::clone(self));
        calling
            .ask_for_progress(true)
            .timeout(Duration::MAX)
            .max_total(Duration::MAX)
            .on_message(move |message| messages.take(message))
            .on_question(move |question| questions.take_round(question))
    }

    fn take(&self, message: &Message) {
        let Some(event) = Event::of(message) else { return };
        self.transcript.came(&self.who, &event);
        if let Event::Question(question) = &event {
            if self.own.contains(&&*question.method) {
                return;
            }
            self.desk.announce(question.id.clone());
        }
        self.put(event);
    }

    /// A question that came in a result. It has only a name there, which is no other question's in that result alone.
    fn take_round(&self, question: &mut Request) {
        let number = self.rounds.fetch_add(1, Ordering::Relaxed);
        question.id = RequestId::String(format!("{}/{number}", self.who).into());
        self.take(&Message::Request(question.clone()));
    }

    fn put(&self, event: Event) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        if self.tell.capacity() > 1 {
            // The test may have stopped to listen: then nobody misses it.
            let _ = self.tell.try_send(event);
        } else if !self.full.swap(true, Ordering::Relaxed) {
            let why = format!("it sent more than {MOST_EVENTS} messages that the test did not look at");
            let _ = self.tell.try_send(Event::Over(Err(ClientError::peer(why))));
        }
    }

    fn end(&self, event: Event) {
        self.transcript.came(&self.who, &event);
        let _ = self.tell.try_send(event);
    }
}

/// Waits until the stream is open that carries what belongs to no call, and watches how it ends. `None` where there is
/// none: a server need not have one, which is no mistake of the test.
async fn watch_stream(client: &Client, stream: Script, reading: Arc<Reading>) -> Option<Script> {
    if !client.opens_stream() {
        // All of it comes on the one stream of a pipe, and changes when they are subscribed to.
        return (!client.streams_end_by_themselves()).then_some(stream);
    }
    let mut status = client.status();
    let is_settled = |status: &StreamStatus| *status != StreamStatus::Idle;
    let settled = *status.wait_for(is_settled).await.ok()?;
    if is_over(settled) {
        return None;
    }
    // It ends with the client.
    runtime::spawn(async move {
        let _ = status.wait_for(|status| is_over(*status)).await;
        reading.end(Event::Over(Ok(None)));
    });
    Some(stream)
}

fn is_over(status: StreamStatus) -> bool {
    matches!(status, StreamStatus::Unavailable | StreamStatus::Closed)
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

/// As many as a server keeps for a stream by default: more cannot be resumed anyway.
const MOST_EVENTS: usize = 8_192;

/// No wait of a server is longer: the patience of a question ends after an hour at most.
const PATIENCE: Duration = Duration::from_secs(3_600 + 60);
