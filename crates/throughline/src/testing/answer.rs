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
pub(super) struct Desk(Mutex<Vec<(RequestId, Waiting)>>);

type Waiting = oneshot::Sender<Result<Raw, McpError>>;

impl Desk {
    /// A question arrived; the future is its answer.
    pub(super) fn put(
        &self,
        question: &Request,
    ) -> impl Future<Output = Result<Raw, McpError>> + Send + use<> {
        let (answer, waiting) = oneshot::channel();
        let mut open = self.0.locked();
        // Questions that the server took back.
        open.retain(|(_, answer)| !answer.is_closed());
        open.push((question.id.clone(), answer));
        async move {
            match waiting.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Whether the test has to answer this question: a handler of the client's own may do it instead.
    pub(super) fn has(&self, id: &RequestId) -> bool {
        self.0.locked().iter().any(|(open, _)| open == id)
    }

    /// Answers, if the question is not taken back yet.
    pub(super) fn answer(&self, id: &RequestId, answer: Result<Raw, McpError>) {
        let mut open = self.0.locked();
        let at = open.iter().position(|(open, _)| open == id);
        let waiting = at.map(|at| open.swap_remove(at).1);
        drop(open);
        // Nobody listens when it was just taken back: then the server wants no answer.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }
}
