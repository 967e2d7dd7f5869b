//! Questions to the client: forms, pages, samples, roots.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{ErrorObject, Raw, reason};
use throughline_proto::model::{
    CreateMessageParams, CreateMessageResult, ElicitAction, ElicitFormParams, ElicitResult, ElicitSchema,
    ElicitUrlParams, EmptyParams, ListRootsResult, Root, ServerRequest,
};
use throughline_proto::session::{self, AskNo, CallNo, Patience};

use super::channel::{AskRequest, Channel, QuestionBody};
use super::input::kind_of;
use super::once::is_making;
use crate::runtime;

/// A question that a server may put to its client.
///
/// [`Elicit`], [`ElicitUrl`], [`Sample`], [`Roots`] and [`RawQuestion`] are the ones there are.
pub trait Question: Send + 'static {
    /// What the answer is read into.
    type Answer: Send + 'static;

    /// The question as it goes on the wire.
    ///
    /// # Errors
    ///
    /// [`AskError`] when the question itself is wrong.
    #[doc(hidden)]
    fn encode(&self) -> Result<EncodedQuestion, AskError>;

    /// Reads the answer.
    ///
    /// # Errors
    ///
    /// [`AskError`] when it is a refusal, or not what was asked for.
    #[doc(hidden)]
    fn decode(answer: &Raw) -> Result<Self::Answer, AskError>;
}

/// A question in its wire form; only this crate makes one.
#[doc(hidden)]
#[derive(Debug)]
pub struct EncodedQuestion {
    kind: session::Question,
    pub(super) request: AskRequest,
    timeout: Duration,
}

/// A form for the client's user. The answer is a `T`. See [`Context::elicit`](super::Context::elicit).
pub struct Elicit<T> {
    message: String,
    schema: Result<ElicitSchema, String>,
    answer: PhantomData<fn() -> T>,
}

impl<T: JsonSchema + 'static> Elicit<T> {
    /// A form with one field for each field of `T`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), schema: super::arguments::elicit_schema::<T>(), answer: PhantomData }
    }
}

impl<T> Elicit<T> {
    /// A form with a schema of your own; the answer must fit `T` all the same.
    pub fn with_schema(message: impl Into<String>, schema: ElicitSchema) -> Self {
        Self { message: message.into(), schema: Ok(schema), answer: PhantomData }
    }
}

impl<T: DeserializeOwned + Send + 'static> Question for Elicit<T> {
    type Answer = T;

    fn encode(&self) -> Result<EncodedQuestion, AskError> {
        let schema = self.schema.clone().map_err(AskError::unusable)?;
        let params = ElicitFormParams::new(self.message.clone(), schema);
        Ok(EncodedQuestion::new(
            session::Question::ElicitForm,
            ServerRequest::Elicit(params.into()),
            ELICIT_TIMEOUT,
        ))
    }

    fn decode(answer: &Raw) -> Result<T, AskError> {
        let result = elicited(answer)?;
        let content =
            result.content.ok_or_else(|| AskError::unreadable("it was accepted without `content`"))?;
        content.parse().map_err(|error| AskError::unreadable(reason(&error)))
    }
}

/// A web page for the client's user to visit. See [`Context::elicit_url`](super::Context::elicit_url).
#[derive(Clone, Debug)]
pub struct ElicitUrl {
    message: String,
    url: String,
    id: String,
}

impl ElicitUrl {
    /// A page to visit; `id` is unique among this server's elicitations.
    pub fn new(message: impl Into<String>, url: impl Into<String>, id: impl Into<String>) -> Self {
        Self { message: message.into(), url: url.into(), id: id.into() }
    }
}

impl Question for ElicitUrl {
    type Answer = ();

    fn encode(&self) -> Result<EncodedQuestion, AskError> {
        let params = ElicitUrlParams::new(self.id.clone(), self.url.clone(), self.message.clone());
        Ok(EncodedQuestion::new(
            session::Question::ElicitUrl,
            ServerRequest::Elicit(params.into()),
            ELICIT_TIMEOUT,
        ))
    }

    fn decode(answer: &Raw) -> Result<(), AskError> {
        elicited(answer).map(|_| ())
    }
}

/// A conversation for the client's model to continue. See [`Context::sample`](super::Context::sample).
#[derive(Clone, Debug)]
pub struct Sample(CreateMessageParams);

impl From<CreateMessageParams> for Sample {
    fn from(params: CreateMessageParams) -> Self {
        Self(params)
    }
}

impl Question for Sample {
    type Answer = CreateMessageResult;

    fn encode(&self) -> Result<EncodedQuestion, AskError> {
        let kind = session::Question::Sample { with_tools: self.0.uses_tools() };
        Ok(EncodedQuestion::new(kind, ServerRequest::CreateMessage(self.0.clone()), SAMPLE_TIMEOUT))
    }

    fn decode(answer: &Raw) -> Result<CreateMessageResult, AskError> {
        answer.parse().map_err(|error| AskError::unreadable(reason(&error)))
    }
}

/// The client's roots. See [`Context::roots`](super::Context::roots).
#[derive(Clone, Copy, Debug)]
pub struct Roots;

impl Question for Roots {
    type Answer = Vec<Root>;

    fn encode(&self) -> Result<EncodedQuestion, AskError> {
        Ok(EncodedQuestion::new(
            session::Question::Roots,
            ServerRequest::ListRoots(EmptyParams::new()),
            ROOTS_TIMEOUT,
        ))
    }

    fn decode(answer: &Raw) -> Result<Vec<Root>, AskError> {
        answer
            .parse::<ListRootsResult>()
            .map(|result| result.roots)
            .map_err(|error| AskError::unreadable(reason(&error)))
    }
}

/// A request of your own design, for clients that know it; the answer is raw JSON.
#[derive(Clone, Debug)]
pub struct RawQuestion {
    method: &'static str,
    params: Raw,
}

impl RawQuestion {
    /// A request with this method and these parameters.
    ///
    /// # Errors
    ///
    /// When the parameters cannot be JSON.
    pub fn new(method: &'static str, params: &impl Serialize) -> Result<Self, AskError> {
        let params = Raw::new(params).map_err(|error| AskError::unusable(error.to_string()))?;
        Ok(Self { method, params })
    }
}

impl Question for RawQuestion {
    type Answer = Raw;

    fn encode(&self) -> Result<EncodedQuestion, AskError> {
        let kind = if self.method == "ping" { session::Question::Ping } else { session::Question::Custom };
        let request = AskRequest::Custom { method: self.method, params: self.params.clone() };
        Ok(EncodedQuestion { kind, request, timeout: ROOTS_TIMEOUT })
    }

    fn decode(answer: &Raw) -> Result<Raw, AskError> {
        Ok(answer.clone())
    }
}

/// Any request of MCP; the answer is raw JSON.
#[derive(Clone, Debug)]
pub(super) struct AnyQuestion(Box<ServerRequest>);

impl AnyQuestion {
    pub(super) fn new(request: Box<ServerRequest>) -> Self {
        Self(request)
    }
}

impl Question for AnyQuestion {
    type Answer = Raw;

    fn encode(&self) -> Result<EncodedQuestion, AskError> {
        let kind = kind_of(&self.0);
        let timeout = match kind {
            session::Question::ElicitForm | session::Question::ElicitUrl => ELICIT_TIMEOUT,
            session::Question::Sample { .. } => SAMPLE_TIMEOUT,
            _ => ROOTS_TIMEOUT,
        };
        Ok(EncodedQuestion { kind, request: AskRequest::Mcp(self.0.clone()), timeout })
    }

    fn decode(answer: &Raw) -> Result<Raw, AskError> {
        Ok(answer.clone())
    }
}

impl EncodedQuestion {
    fn new(kind: session::Question, request: ServerRequest, timeout: Duration) -> Self {
        Self { kind, request: AskRequest::Mcp(Box::new(request)), timeout }
    }
}

/// A question about to be put to the client: `.await` it for the answer.
#[must_use = "a question is asked when awaited"]
pub struct Ask<Q> {
    channel: Arc<dyn Channel>,
    call: Option<CallNo>,
    question: Q,
    key: Option<String>,
    patience: Option<Patience>,
}

impl<Q: Question> Ask<Q> {
    pub(crate) fn new(channel: Arc<dyn Channel>, call: Option<CallNo>, question: Q) -> Self {
        Self { channel, call, question, key: None, patience: None }
    }

    /// Names the question, so that its answer is found again when a revision without sessions runs the handler anew.
    ///
    /// Questions without a name are numbered in the order in which they are asked. That will do for questions asked one
    /// after another; give names to those whose order may differ from run to run. The client sees the name.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How long to wait: ten minutes for a form or page, five for a sample, one for the rest, unless set here.
    /// Progress of the client about the question starts the time anew, up to an hour in total. A revision without sessions
    /// waits for nothing: there the time has no meaning.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.patience(Patience::new(timeout))
    }

    /// How long to wait, in every detail.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = Some(patience);
        self
    }
}

impl<Q: Question> IntoFuture for Ask<Q> {
    type Output = Result<Q::Answer, AskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// # Drop behavior
    ///
    /// Dropping the future takes the question back: with `notifications/cancelled` in a session; a revision without
    /// sessions then does not ask it.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if self.call.is_some() && is_making() {
                return Err(AskError::unusable(IN_ONCE));
            }
            let encoded = self.question.encode()?;
            let body = QuestionBody {
                kind: encoded.kind,
                request: encoded.request,
                key: self.key,
                patience: self.patience.unwrap_or(Patience::new(encoded.timeout)),
            };
            let ask = self.channel.open_ask(self.call, &body)?;
            let mut waiting = Waiting { channel: self.channel, ask, timer: None, over: false };
            loop {
                let answer = (&mut waiting).await?;
                match Q::decode(&answer) {
                    Err(error) if error.is_unreadable() && waiting.channel.reject_answer(ask) => {
                        waiting.over = false;
                    }
                    read => return read,
                }
            }
        })
    }
}

impl<Q> fmt::Debug for Ask<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("call", &self.call).field("key", &self.key).finish_non_exhaustive()
    }
}

/// An open ask. Its timer follows the deadline, which progress moves.
struct Waiting {
    channel: Arc<dyn Channel>,
    ask: AskNo,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    over: bool,
}

impl Future for Waiting {
    type Output = Result<Raw, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if let Poll::Ready(answer) = this.channel.poll_ask(this.ask, cx) {
                this.over = true;
                return Poll::Ready(answer);
            }
            let Some(deadline) = this.channel.ask_deadline(this.ask) else { return Poll::Pending };
            match &mut this.timer {
                Some(timer) if timer.deadline().into_std() != deadline => {
                    timer.as_mut().reset(deadline.into());
                }
                Some(_) => {}
                none => *none = Some(Box::pin(runtime::sleep_until(deadline))),
            }
            let timer = this.timer.as_mut().expect("it was set above");
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.channel.expire_asks(runtime::now().max(deadline));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.channel.close_ask(self.ask);
        }
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug)]
pub struct AskError(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Declined,
    Cancelled,
    TimedOut,
    NotCapable(String),
    /// The same where a revision has an error for it, which the call is answered with.
    Undeclared(ErrorObject),
    NoBackChannel(String),
    CallOver,
    TooMany(usize),
    Refused(ErrorObject),
    Unreadable(String),
    Unusable(String),
}

impl AskError {
    /// The user said no.
    pub fn is_declined(&self) -> bool {
        matches!(self.0, Kind::Declined)
    }

    /// The user closed the form without a choice.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Kind::Cancelled)
    }

    /// No answer came in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0, Kind::TimedOut)
    }

    /// The client cannot be asked this: it did not declare the capability, or its revision does not have it.
    pub fn is_not_supported(&self) -> bool {
        matches!(self.0, Kind::NotCapable(_) | Kind::Undeclared(_))
    }

    /// This server's mode leaves no way to ask: the message names the flag.
    pub fn is_no_back_channel(&self) -> bool {
        matches!(self.0, Kind::NoBackChannel(_))
    }

    /// The call was answered or cancelled, or its session ended.
    pub fn is_call_over(&self) -> bool {
        matches!(self.0, Kind::CallOver)
    }

    /// The answer is not what was asked for. In a revision without sessions this never comes: the client is asked again.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.0, Kind::Unreadable(_))
    }

    /// The error the client answered with.
    pub fn refusal(&self) -> Option<&ErrorObject> {
        if let Kind::Refused(error) = &self.0 { Some(error) } else { None }
    }

    pub(crate) fn timed_out() -> Self {
        Self(Kind::TimedOut)
    }

    pub(crate) fn call_over() -> Self {
        Self(Kind::CallOver)
    }

    pub(crate) fn not_capable(what: impl Into<String>) -> Self {
        Self(Kind::NotCapable(what.into()))
    }

    pub(crate) fn undeclared(error: ErrorObject) -> Self {
        Self(Kind::Undeclared(error))
    }

    /// The error that a call ends with which cannot go on without this answer, where its revision has one for it.
    pub(crate) fn as_protocol_error(&self) -> Option<&ErrorObject> {
        if let Kind::Undeclared(error) = &self.0 { Some(error) } else { None }
    }

    pub(crate) fn no_back_channel(why: impl Into<String>) -> Self {
        Self(Kind::NoBackChannel(why.into()))
    }

    pub(crate) fn too_many(limit: usize) -> Self {
        Self(Kind::TooMany(limit))
    }

    pub(crate) fn refused(error: ErrorObject) -> Self {
        Self(Kind::Refused(error))
    }

    fn unreadable(why: impl Into<String>) -> Self {
        Self(Kind::Unreadable(why.into()))
    }

    pub(crate) fn unusable(why: impl Into<String>) -> Self {
        Self(Kind::Unusable(why.into()))
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Declined => f.write_str("the user declined"),
            Kind::Cancelled => f.write_str("the user closed the question without an answer"),
            Kind::TimedOut => f.write_str("the client did not answer in time"),
            Kind::NotCapable(what) => write!(f, "the client cannot be asked: {what}"),
            Kind::Undeclared(error) => write!(f, "the client cannot be asked: {}", error.message),
            Kind::NoBackChannel(why) => write!(f, "the client cannot be asked: {why}"),
            Kind::CallOver => f.write_str("the call is over; nothing can be asked for it any more"),
            Kind::TooMany(limit) => {
                write!(f, "{limit} questions to this client are open; wait for an answer first")
            }
            Kind::Refused(error) => {
                write!(f, "the client answered with error {}: {}", error.code.0, error.message)
            }
            Kind::Unreadable(why) => write!(f, "the client's answer is not what was asked for: {why}"),
            Kind::Unusable(why) => write!(f, "this question cannot be asked: {why}"),
        }
    }
}

impl std::error::Error for AskError {}

/// The accepted form, or the refusal.
fn elicited(answer: &Raw) -> Result<ElicitResult, AskError> {
    let result: ElicitResult = answer.parse().map_err(|error| AskError::unreadable(reason(&error)))?;
    match result.action {
        ElicitAction::Accept => Ok(result),
        ElicitAction::Decline => Err(AskError(Kind::Declined)),
        ElicitAction::Cancel => Err(AskError(Kind::Cancelled)),
    }
}

const IN_ONCE: &str = "nothing can be asked inside `once`; ask before it, and give it the answer";

/// Ten minutes: a person reads, thinks and fills in a form (design §6).
const ELICIT_TIMEOUT: Duration = Duration::from_secs(600);
/// Five minutes: a person may review the sample, and a slow model takes a minute (design §6).
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(300);
/// One minute, the usual timeout of a request: no person and no model is involved.
const ROOTS_TIMEOUT: Duration = Duration::from_secs(60);
