//! Rounds that a handler makes itself: an answer that asks, and what came back.

use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use throughline_proto::jsonrpc::{Raw, Str, reason};
use throughline_proto::model::{
    Answer, CallToolResult, ElicitParams, GetPromptResult, InputRequest, InputRequiredResult,
    ReadResourceResult, ServerRequest,
};
use throughline_proto::session;

use super::ask::AnyQuestion;
use super::channel::AskRequest;
use super::{AskError, Context, IntoPromptResult, IntoResourceResult, IntoToolResult, Outcome, Question};
use crate::error::McpError;

/// An answer that asks: the client is to call again, with answers to these questions and this state.
///
/// Most handlers want [`Context::elicit`] and its like, which read top to bottom. This is for a handler that is a state
/// machine already, or that must not run from its start again: it ends with the questions, and its next run finds the
/// answers in [`Context::input_responses`] and what it wrote down in [`Context::request_state`]. It takes a
/// [`Context`] for that; one that takes none could never read an answer, and in a session it gets an internal error.
///
/// Return it as it is, or as an error: `?` and `.into()` take it through any `Result`. The state is sealed: the client can
/// neither read nor change it. In a session, where a client cannot answer so, the library asks the questions itself and
/// runs the handler again.
///
/// ```
/// use throughline::{Context, Elicit, InputRequired, Result, tool};
///
/// #[derive(serde::Deserialize, schemars::JsonSchema)]
/// struct Name { name: String }
///
/// /// Greets the user by name.
/// #[tool]
/// async fn greet(cx: Context) -> Result<String> {
///     match cx.input_responses().get::<Elicit<Name>>("name") {
///         Some(answer) => Ok(format!("Hello {}!", answer?.name)),
///         None => Err(InputRequired::new().ask("name", Elicit::<Name>::new("What are you called?")).into()),
///     }
/// }
/// ```
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr>.
#[derive(Clone, Debug, Default)]
pub struct InputRequired {
    questions: Vec<(Str, ServerRequest)>,
    state: Option<Str>,
    /// The first thing that is wrong with it.
    misuse: Option<String>,
}

impl InputRequired {
    /// Asks nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks one thing, under a name that no other question of this answer has. At most 64.
    #[must_use]
    pub fn ask<Q: Question>(mut self, name: impl Into<Str>, question: Q) -> Self {
        let name = name.into();
        let wrong = match question.encode().map(|encoded| encoded.request) {
            _ if self.questions.len() >= MOST_QUESTIONS => {
                Some(format!("it has more than {MOST_QUESTIONS} questions"))
            }
            _ if self.questions.iter().any(|(taken, _)| *taken == name) => {
                Some(format!("two of its questions have the name `{name}`"))
            }
            Ok(AskRequest::Mcp(request)) => {
                self.questions.push((name, *request));
                None
            }
            Ok(AskRequest::Custom { method, .. }) => {
                Some(format!("`{method}` is no question of MCP, and no other can be asked so"))
            }
            Err(error) => Some(error.to_string()),
        };
        self.misuse = self.misuse.or(wrong);
        self
    }

    /// What the next run finds in [`Context::request_state`]. With what [`Context::once`] keeps it may have 64 KiB.
    #[must_use]
    pub fn state(mut self, state: &impl Serialize) -> Self {
        match serde_json::to_string(state) {
            Ok(state) => self.state = Some(state.into()),
            Err(error) => self.misuse = self.misuse.or(Some(format!("its state cannot be JSON: {error}"))),
        }
        self
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        if let Some(misuse) = self.misuse {
            return Err(McpError::internal(format!("this cannot be asked: {misuse}")));
        }
        if self.questions.is_empty() && self.state.is_none() {
            return Err(McpError::internal("an answer that asks needs a question or a state"));
        }
        let mut result = InputRequiredResult::new();
        result.input_requests =
            self.questions.into_iter().map(|(name, question)| (name, question.into())).collect();
        result.request_state = self.state;
        Ok(result.into())
    }
}

impl fmt::Display for InputRequired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("input is required before this can be answered")
    }
}

impl std::error::Error for InputRequired {}

impl IntoToolResult for InputRequired {
    fn into_tool_result(self) -> Result<CallToolResult, McpError> {
        Err(not_a_result())
    }

    fn into_tool_answer(self) -> Outcome {
        self.into_outcome()
    }
}

impl IntoPromptResult for InputRequired {
    fn into_prompt_result(self) -> Result<GetPromptResult, McpError> {
        Err(not_a_result())
    }

    fn into_prompt_answer(self) -> Outcome {
        self.into_outcome()
    }
}

impl IntoResourceResult for InputRequired {
    fn into_resource_result(self, _: &str, _: Option<&Str>) -> Result<ReadResourceResult, McpError> {
        Err(not_a_result())
    }

    fn into_resource_answer(self, _: &str, _: Option<&Str>) -> Outcome {
        self.into_outcome()
    }
}

fn not_a_result() -> McpError {
    McpError::internal("an answer that asks is no result; hand it on as the answer that it is")
}

impl Context {
    /// The client's answers to what the run before this one asked by [`InputRequired`]; none in the first run. Older answers are
    /// gone: what must last goes into [`InputRequired::state`].
    pub fn input_responses(&self) -> InputResponses<'_> {
        InputResponses(self)
    }

    /// The state that an earlier run of this handler gave to its [`InputRequired`]; `None` in the first run, and where it
    /// gave none.
    ///
    /// # Errors
    ///
    /// When it does not fit `T`.
    pub fn request_state<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        self.input().request_state().map(|state| serde_json::from_str(&state)).transpose()
    }
}

/// What a client answered. See [`Context::input_responses`].
///
/// It is the client's word: an answer may be there that nobody asked for, and one that was asked for may be missing.
#[derive(Clone, Copy, Debug)]
pub struct InputResponses<'a>(&'a Context);

impl InputResponses<'_> {
    /// The answer to the question of this name, which was a `Q`: an [`Elicit`](super::Elicit), for instance. `None` when it
    /// is not there: ask again.
    ///
    /// The inner error says that the user declined or cancelled, or that the answer is not what was asked for.
    pub fn get<Q: Question>(&self, name: &str) -> Option<Result<Q::Answer, AskError>> {
        self.raw(name).map(|answer| Q::decode(&answer))
    }

    /// The answer as it came.
    pub fn raw(&self, name: &str) -> Option<Raw> {
        self.0.input().response(name)
    }
}

/// The answer of a call whose function ended with `outcome`. `run` runs the function once more: where the client of a
/// session cannot answer by calling again.
pub(super) async fn answer<F>(
    cx: Context,
    outcome: Outcome,
    run: impl Fn(Context) -> Result<F, McpError>,
) -> Outcome
where
    F: Future<Output = Outcome>,
{
    match outcome {
        // Boxed: the future of every call would have room for this one otherwise.
        Ok(Answer::InputRequired(required)) if !cx.has_rounds() => {
            Box::pin(ask_and_run_again(cx, required, run)).await
        }
        outcome => outcome,
    }
}

/// Asks the questions, and runs the function with the answers, until it has no more.
async fn ask_and_run_again<F>(
    cx: Context,
    mut required: Box<InputRequiredResult>,
    run: impl Fn(Context) -> Result<F, McpError>,
) -> Outcome
where
    F: Future<Output = Outcome>,
{
    for _ in 0..MOST_ROUNDS {
        let mut asks = Vec::new();
        let mut names = Vec::new();
        for (name, question) in required.input_requests {
            asks.push(cx.ask(AnyQuestion::new(read_question(question)?)).key(name.to_string()));
            names.push(name);
        }
        let answers = cx.ask_all(asks).await.map_err(super::answer::protocol_error)?;
        cx.own_input().next_round(names.into_iter().zip(answers).collect(), required.request_state.take());
        match run(cx.clone())?.await {
            Ok(Answer::InputRequired(more)) => required = more,
            answered => return answered,
        }
    }
    Err(McpError::internal(format!("this call asked for input {MOST_ROUNDS} times, and that is the most")))
}

/// The question that a handler made, also where it has written it already.
pub(crate) fn read_question(question: InputRequest) -> Result<Box<ServerRequest>, McpError> {
    let question = match question {
        InputRequest::Written(written) => written
            .parse()
            .map_err(|error| McpError::internal(format!("a question cannot be read: {}", reason(&error))))?,
        question => question,
    };
    match question {
        InputRequest::Request(request) => Ok(request),
        _ => Err(McpError::internal("a question of an unknown kind cannot be asked")),
    }
}

/// The rules that a request to the client is under.
pub(crate) fn kind_of(request: &ServerRequest) -> session::Question {
    match request {
        ServerRequest::CreateMessage(params) => session::Question::Sample { with_tools: params.uses_tools() },
        ServerRequest::ListRoots(_) => session::Question::Roots,
        ServerRequest::Elicit(ElicitParams::Form(_)) => session::Question::ElicitForm,
        ServerRequest::Elicit(ElicitParams::Url(_)) => session::Question::ElicitUrl,
        ServerRequest::Ping(_) => session::Question::Ping,
        _ => session::Question::Custom,
    }
}

/// As many as one call may have open ([`stateless`](throughline_proto::stateless)).
const MOST_QUESTIONS: usize = 64;

/// A handler that never has enough would ask for ever where a client answers by itself. No form has a hundred pages.
const MOST_ROUNDS: usize = 100;
