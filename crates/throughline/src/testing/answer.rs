//! What a test answers to a question of the server.

use std::sync::Mutex;

use serde::Serialize;
use serde_json::{Value, json};
use throughline_proto::jsonrpc::{Raw, Request, RequestId};
use tokio::sync::oneshot;

use crate::error::McpError;
use crate::lock::Lock;

/// What a test answers to a question of the server: [`accept`], [`decline`], [`cancel`], [`sampled`], [`roots`],
/// [`json`](fn@json), [`error`] or [`silence`].
#[derive(Debug)]
pub struct Answer(pub(super) Kind);

#[derive(Debug)]
pub(super) enum Kind {
    Given(Result<Raw, McpError>),
    Silence,
}

/// The user filled in the form like this (or visits the page: then give `json!({})`).
///
/// # Panics
///
/// When `content` cannot be JSON.
pub fn accept(content: impl Serialize) -> Answer {
    json(json!({ "action": "accept", "content": value(content) }))
}

/// The user said no.
pub fn decline() -> Answer {
    json(json!({ "action": "decline" }))
}

/// The user closed the question without a choice.
pub fn cancel() -> Answer {
    json(json!({ "action": "cancel" }))
}

/// The model wrote this text.
pub fn sampled(text: &str) -> Answer {
    json(json!({
        "role": "assistant", "model": "test", "stopReason": "endTurn",
        "content": { "type": "text", "text": text },
    }))
}

/// The client has these roots, by their URIs.
pub fn roots<const N: usize>(uris: [&str; N]) -> Answer {
    let all: Vec<Value> = uris.iter().map(|uri| json!({ "uri": uri })).collect();
    json(json!({ "roots": all }))
}

/// Any JSON, as the result of the question.
///
/// # Panics
///
/// When `result` cannot be JSON.
pub fn json(result: impl Serialize) -> Answer {
    let result = Raw::new(&result).unwrap_or_else(|error| panic!("the answer cannot be JSON: {error}"));
    Answer(Kind::Given(Ok(result)))
}

/// The client refuses with this error.
pub fn error(error: McpError) -> Answer {
    Answer(Kind::Given(Err(error)))
}

/// The client never answers, for tests of what the server does then. On a paused clock its patience ends at once.
pub fn silence() -> Answer {
    Answer(Kind::Silence)
}

/// The value as JSON.
pub(super) fn value(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| panic!("this cannot be JSON: {error}"))
}

/// The questions that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct Desk(Mutex<Vec<Open>>);

/// A question, until the test has answered it and the client has asked for its answer, in whatever order.
#[derive(Debug)]
struct Open {
    id: RequestId,
    answer: Option<oneshot::Sender<Result<Raw, McpError>>>,
    waiting: Option<oneshot::Receiver<Result<Raw, McpError>>>,
}

impl Desk {
    /// A question came. The client asks for its answer next.
    pub(super) fn announce(&self, id: RequestId) {
        let (answer, waiting) = oneshot::channel();
        let mut open = self.0.locked();
        // Questions that the server took back.
        open.retain(|open| open.answer.as_ref().is_none_or(|answer| !answer.is_closed()));
        open.push(Open { id, answer: Some(answer), waiting: Some(waiting) });
    }

    /// The answer to a question that came.
    pub(super) fn answer_to(
        &self,
        question: &Request,
    ) -> impl Future<Output = Result<Raw, McpError>> + Send + use<> {
        let waiting = self.take(&question.id, |open| open.waiting.take());
        async move {
            match waiting {
                Some(waiting) => match waiting.await {
                    Ok(answer) => answer,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Answers, if the question is not taken back yet.
    pub(super) fn answer(&self, id: &RequestId, answer: Result<Raw, McpError>) {
        let waiting = self.take(id, |open| open.answer.take());
        // Nobody listens when it was just taken back: then the server wants no answer.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }

    fn take<T>(&self, id: &RequestId, side: impl FnOnce(&mut Open) -> Option<T>) -> Option<T> {
        let mut all = self.0.locked();
        let at = all.iter().position(|open| open.id == *id)?;
        let taken = side(&mut all[at]);
        if all[at].answer.is_none() && all[at].waiting.is_none() {
            all.swap_remove(at);
        }
        taken
    }
}
