//! A call's stream, through as many connections as it takes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Method, StatusCode};
use throughline_proto::client::{Ending, Following, Next, RetryPolicy, StreamKind};
use throughline_proto::http::LAST_EVENT_ID;
use throughline_proto::jsonrpc::{Message, Raw, RequestId, Response, excerpt};

use super::reading::Received;
use super::{Http, Reading, check_session, dice, ending_of};
use crate::client::ClientError;
use crate::client::authorize::Asks;
use crate::client::call::{ResumptionToken, request_id};
use crate::client::core::{Agreed, Core, Origin};
use crate::client::in_flight::Pending;
use crate::runtime;

impl Http {
    /// Follows a call's stream until its answer.
    pub(super) async fn follow(
        &self,
        core: &Arc<Core>,
        pending: &Arc<Pending>,
        agreed: &Agreed,
        reading: Reading,
    ) -> Result<Raw, ClientError> {
        let stream = Stream::new(Following::new(StreamKind::Call, RetryPolicy::CALL), agreed);
        self.read_to_answer(core, pending, agreed, stream, reading).await
    }

    /// Takes up the stream of a call that was made before.
    pub(super) async fn resume(
        &self,
        core: &Arc<Core>,
        pending: &Arc<Pending>,
        agreed: &Agreed,
        token: &ResumptionToken,
    ) -> Result<Raw, ClientError> {
        if agreed.peer.revision.is_modern() {
            return Err(ClientError::unsendable("a call without a session cannot be resumed; call again"));
        }
        if token.session.is_some() && token.session != agreed.session_tag() {
            // Its session was lost, and another one knows nothing of it.
            return Err(ClientError::outcome_unknown(Some(ClientError::gone())));
        }
        pending.set_generation(agreed.generation);
        // It is on its way for long: whoever gives it up tells the server so.
        pending.set_sent();
        let following = Following::after(StreamKind::Call, RetryPolicy::CALL, token.cursor.clone());
        let mut stream = Stream::new(following, agreed);
        let now = Next::Reopen { at: runtime::now(), lost: 0 };
        let reading = self.reopen(pending, agreed, &mut stream, now, None).await?;
        self.read_to_answer(core, pending, agreed, stream, reading).await
    }

    async fn read_to_answer(
        &self,
        core: &Arc<Core>,
        pending: &Arc<Pending>,
        agreed: &Agreed,
        mut stream: Stream,
        mut reading: Reading,
    ) -> Result<Raw, ClientError> {
        let can_resume = !agreed.peer.revision.is_modern();
        loop {
            let lost = match read_on(core, pending, can_resume, &mut stream, &mut reading).await {
                ReadOn::Answered(outcome) => {
                    self.finish(core, reading).await;
                    return outcome;
                }
                ReadOn::Ended if !reading.is_stream() => return Err(stream.unanswered(reading.status)),
                ReadOn::Ended => stream.why_ended(),
                ReadOn::Lost(error) if error.is_connection_lost() => Some(error),
                ReadOn::Lost(error) => return Err(error),
            };
            // Streams of the modern era cannot be resumed, whatever ids they had.
            if !can_resume {
                return Err(ClientError::outcome_unknown(lost));
            }
            let is_lost = lost.as_ref().is_some_and(ClientError::is_connection_lost);
            let ending = if is_lost { Ending::Lost } else { Ending::Closed };
            let next = stream.following.handle_end(runtime::now(), ending, dice());
            reading = self.reopen(pending, agreed, &mut stream, next, lost).await?;
        }
    }

    /// Does what the engine says until the stream is open again.
    async fn reopen(
        &self,
        pending: &Pending,
        agreed: &Agreed,
        stream: &mut Stream,
        mut next: Next,
        mut why: Option<ClientError>,
    ) -> Result<Reading, ClientError> {
        loop {
            match next {
                Next::Reopen { at, lost } => {
                    if lost > 0 {
                        pending.tell_lost(lost);
                    }
                    runtime::sleep_until(at).await;
                }
                Next::Reinitialize { .. } => {
                    return Err(ClientError::outcome_unknown(Some(ClientError::gone())));
                }
                Next::Authorize | Next::Stop(_) => return Err(ClientError::outcome_unknown(why)),
            }
            let error = match self.get(agreed, stream.following.cursor(), Asks::Person).await {
                Ok(reading) => {
                    stream.following.handle_open(runtime::now());
                    return Ok(reading);
                }
                Err(error) => error,
            };
            if !error.is_connection_lost() && error.status().is_none() {
                return Err(ClientError::outcome_unknown(Some(error)));
            }
            next = stream.following.handle_end(runtime::now(), ending_of(&error), dice());
            why = Some(error);
        }
    }

    /// Opens a stream: the standalone one without a cursor, what a cursor belongs to with one.
    pub(super) async fn get(
        &self,
        agreed: &Agreed,
        cursor: Option<&str>,
        asks: Asks,
    ) -> Result<Reading, ClientError> {
        let mut headers = agreed.headers.clone();
        if let Some(cursor) = cursor {
            let cursor = HeaderValue::from_str(cursor)
                .map_err(|_| ClientError::peer("the id of its last event cannot be sent back in a header"))?;
            headers.insert(LAST_EVENT_ID, cursor);
        }
        let response = self.line.send(Method::GET, Bytes::new(), &headers, asks).await?;
        let reading = Reading::new(response).await?;
        check_session(agreed, &reading.headers);
        if reading.is_stream() {
            return Ok(reading);
        }
        Err(ClientError::peer(format!("it answered GET with {} and no stream of events", reading.status)))
    }
}

/// Where a call's stream is, and what came on it that was no help.
struct Stream {
    following: Following,
    session: Option<u32>,
    /// Events that were no messages.
    garbage: u64,
    /// The id of the last response that was to another request.
    other: Option<RequestId>,
}

impl Stream {
    fn new(following: Following, agreed: &Agreed) -> Self {
        Self { following, session: agreed.session_tag(), garbage: 0, other: None }
    }

    /// Takes an event in; gives the outcome when it is the answer.
    fn take(
        &mut self,
        core: &Arc<Core>,
        pending: &Arc<Pending>,
        can_resume: bool,
        received: Received,
    ) -> Option<Result<Raw, ClientError>> {
        let is_message = matches!(received.message, Some(Ok(_)));
        self.following.handle_event(received.id.as_deref(), received.retry, is_message);
        let outcome = match received.message {
            Some(Ok(Message::Response(response))) if is_answer(&response, pending.id()) => {
                Some(response.outcome.map_err(ClientError::answered))
            }
            Some(Ok(message)) => {
                if let Message::Response(response) = &message {
                    self.other.clone_from(&response.id);
                }
                core.take(message, Origin::Call(pending));
                None
            }
            Some(Err(malformed)) if malformed.answers.as_deref() == Some(&request_id(pending.id())) => {
                let why = format!("its answer is no message: {}", malformed.error.message);
                Some(Err(ClientError::peer(why)))
            }
            Some(Err(malformed)) => {
                tracing::warn!(error = %malformed, "the server sent what is no message; it is skipped");
                self.garbage += 1;
                None
            }
            None => None,
        };
        if let (Some(_), Some(cursor), true) = (&received.id, self.following.cursor(), can_resume) {
            pending.tell_token(|| ResumptionToken {
                cursor: cursor.to_owned(),
                request: pending.id(),
                session: self.session,
            });
        }
        outcome
    }

    /// What to say of a response that is no stream and holds no answer.
    fn unanswered(&self, status: StatusCode) -> ClientError {
        let instead = self.oddities().map(|what| format!(", but {what}")).unwrap_or_default();
        ClientError::peer(format!("its response ({status}) holds no answer to the request{instead}"))
    }

    /// What to say of a stream that ended in good order; `None` when there is nothing to add.
    fn why_ended(&self) -> Option<ClientError> {
        let what = self.oddities()?;
        Some(ClientError::peer(format!("its stream ended without an answer to the request, but with {what}")))
    }

    fn oddities(&self) -> Option<String> {
        match (&self.other, self.garbage) {
            (Some(RequestId::String(id)), _) => Some(format!("one to a request \"{}\"", excerpt(id))),
            (Some(RequestId::Number(id)), _) => Some(format!("one to a request {id}")),
            (None, 1) => Some("what is no message".to_owned()),
            (None, count) if count > 1 => Some(format!("{count} events that are no messages")),
            (None, _) => None,
        }
    }
}

/// How reading a connection ended.
enum ReadOn {
    Answered(Result<Raw, ClientError>),
    Ended,
    Lost(ClientError),
}

/// Reads a connection until the call's answer or its end.
async fn read_on(
    core: &Arc<Core>,
    pending: &Arc<Pending>,
    can_resume: bool,
    stream: &mut Stream,
    reading: &mut Reading,
) -> ReadOn {
    loop {
        loop {
            let received = match reading.next_ready() {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(error) => return ReadOn::Lost(error),
            };
            if let Some(outcome) = stream.take(core, pending, can_resume, received) {
                return ReadOn::Answered(outcome);
            }
        }
        match reading.fill().await {
            Ok(true) => {}
            Ok(false) => return ReadOn::Ended,
            Err(error) => return ReadOn::Lost(error),
        }
    }
}

fn is_answer(response: &Response, id: i64) -> bool {
    // An error without an id, as the only answer to our POST: the server could not read ours.
    response.id.as_ref().is_none_or(|answered| *answered == RequestId::Number(id))
}
