//! Writing messages in a revision's wire form.

use std::fmt;

use bytes::BytesMut;
use serde::ser::Error as _;

use super::lower::{Lower, Lowered};
use super::{ResultExtras, Revision, result};
use crate::jsonrpc::{self, RequestId};
use crate::model::{
    Answer, ClientAnswer, ClientNotification, ClientRequest, Method, Question, ServerNotification,
    ServerRequest,
};

/// Why a message was not written.
#[derive(Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The revision has no such message, or no form for what it says; the sentence says what to do instead.
    Unsupported(String),
    /// The message has no JSON form, as a number that is not finite.
    Json(serde_json::Error),
}

impl WriteError {
    /// Whether it is the revision that cannot say it, so that another revision might.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, WriteError::Unsupported(_))
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Unsupported(why) => f.write_str(why),
            WriteError::Json(error) => write!(f, "the message has no JSON form: {error}"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WriteError::Unsupported(_) => None,
            WriteError::Json(error) => Some(error),
        }
    }
}

impl From<serde_json::Error> for WriteError {
    fn from(error: serde_json::Error) -> WriteError {
        WriteError::Json(error)
    }
}

/// Every `write_*` appends one message to `out`, and leaves `out` as it was on an error. The message is brought down to the
/// revision's form in place: what the revision lacks is left out of it or turned into text, and stays so.
impl Revision {
    /// Writes the response with which a server answers the request `id`.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use throughline_proto::jsonrpc::{Raw, RequestId};
    /// use throughline_proto::model::{Answer, CallToolResult};
    /// use throughline_proto::revision::Revision;
    ///
    /// let result = CallToolResult::new([]).with_structured_content(Raw::from_json(r#"{"sum":3}"#)?);
    /// let mut out = BytesMut::new();
    /// // This revision has no structured content, so the client gets it as text.
    /// Revision::V2025_03_26.write_answer(&mut out, &RequestId::Number(1), &mut Answer::from(result))?;
    /// assert_eq!(
    ///     out,
    ///     r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"sum\":3}"}]}}"#
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the answer has no JSON form, as a number that is not finite, and when it is one that the revision does not have.
    pub fn write_answer(
        self,
        out: &mut BytesMut,
        id: &RequestId,
        answer: &mut Answer,
    ) -> Result<(), serde_json::Error> {
        self.write_answer_with(out, id, answer, &ResultExtras::NONE)
    }

    /// Writes the response with which a server answers the request `id`, with what every result says beside. Only the modern
    /// era says it: in an older revision this is [`write_answer`](Revision::write_answer).
    ///
    /// The result of the modern era begins with its `resultType`; one that is already JSON keeps its own. A server's identity
    /// that the answer's `_meta` has already is kept, and so are its cache hints.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use throughline_proto::model::{Answer, CacheHints, CacheScope, Implementation, ListToolsResult};
    /// use throughline_proto::revision::{ResultExtras, Revision};
    ///
    /// let cache = CacheHints { ttl_ms: 60_000, scope: CacheScope::Public };
    /// let extras = ResultExtras::new(&Implementation::new("projects", "1.0.0"), cache)?;
    /// let mut out = BytesMut::new();
    /// Revision::LATEST.write_answer_with(&mut out, &1.into(), &mut ListToolsResult::new([]).into(), &extras)?;
    /// assert_eq!(
    ///     out,
    ///     concat!(
    ///         r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","#,
    ///         r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"projects","version":"1.0.0"}},"#,
    ///         r#""tools":[],"ttlMs":60000,"cacheScope":"public"}}"#,
    ///     )
    /// );
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write_answer`](Revision::write_answer); in the modern era also when a result that is already JSON is no object.
    pub fn write_answer_with(
        self,
        out: &mut BytesMut,
        id: &RequestId,
        answer: &mut Answer,
        extras: &ResultExtras,
    ) -> Result<(), serde_json::Error> {
        self.lower(answer).map_err(serde_json::Error::custom)?;
        if self.has_result_types() {
            return jsonrpc::write_result_with(out, id, |out| result::write(self, out, answer, extras));
        }
        match answer {
            Answer::Custom(raw) => {
                jsonrpc::write_raw_result(out, id, raw);
                Ok(())
            }
            answer => jsonrpc::write_result(out, id, answer),
        }
    }

    /// Writes the response with which a client answers the request `id`.
    ///
    /// # Errors
    ///
    /// When the revision has no form for it, or JSON has none.
    pub fn write_client_answer(
        self,
        out: &mut BytesMut,
        id: &RequestId,
        answer: &mut ClientAnswer,
    ) -> Result<(), WriteError> {
        if self.has_result_types() {
            return Err(WriteError::Unsupported(format!(
                "protocol revision {self} has no requests of servers: send what they ask along with the next request"
            )));
        }
        self.lower(answer)?;
        match answer {
            ClientAnswer::Custom(raw) => jsonrpc::write_raw_result(out, id, raw),
            answer => jsonrpc::write_result(out, id, answer)?,
        }
        Ok(())
    }

    /// Writes what a client answers to a question of an [`InputRequiredResult`](crate::model::InputRequiredResult): the result
    /// alone.
    ///
    /// # Errors
    ///
    /// When the revision has no such questions, or JSON has no form for the answer.
    pub fn write_input_response(
        self,
        out: &mut BytesMut,
        answer: &mut ClientAnswer,
    ) -> Result<(), WriteError> {
        self.asks_by_results()?;
        self.lower(answer)?;
        match answer {
            ClientAnswer::Custom(raw) => out.extend_from_slice(raw.as_bytes()),
            answer => jsonrpc::write_value(out, answer)?,
        }
        Ok(())
    }

    /// Writes a question of a server as it stands in an [`InputRequiredResult`](crate::model::InputRequiredResult):
    /// `{"method": .., "params": ..}`, without an id.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use throughline_proto::model::{EmptyParams, ServerRequest};
    /// use throughline_proto::revision::Revision;
    ///
    /// let mut out = BytesMut::new();
    /// Revision::LATEST.write_input_request(&mut out, &mut ServerRequest::ListRoots(EmptyParams::new()))?;
    /// assert_eq!(out, r#"{"method":"roots/list","params":{}}"#);
    /// # Ok::<(), throughline_proto::revision::WriteError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the revision has no such question, or JSON has no form for it.
    pub fn write_input_request(
        self,
        out: &mut BytesMut,
        request: &mut ServerRequest,
    ) -> Result<(), WriteError> {
        let method = request.method();
        self.asks_by_results()?;
        self.known(method, self.server_request(method.as_str()).is_some())?;
        self.lower(request)?;
        Ok(jsonrpc::write_value(out, &Question::from(&*request))?)
    }

    /// Writes a server's request.
    ///
    /// # Errors
    ///
    /// When the revision has no such request or no form for it (as for tools in sampling, URL elicitation or a list in a form
    /// where it lacks them), or JSON has none.
    pub fn write_server_request(
        self,
        out: &mut BytesMut,
        id: &RequestId,
        request: &mut ServerRequest,
    ) -> Result<(), WriteError> {
        let method = request.method();
        if self.has_result_types() {
            return Err(WriteError::Unsupported(format!(
                "protocol revision {self} has no requests of servers: ask by `write_input_request` within a result"
            )));
        }
        self.known(method, self.server_request(method.as_str()).is_some())?;
        self.lower(request)?;
        Ok(jsonrpc::write_request(out, id, method.as_str(), request)?)
    }

    /// Writes a client's request.
    ///
    /// # Errors
    ///
    /// When the revision has no such request, or JSON has no form for it.
    pub fn write_client_request(
        self,
        out: &mut BytesMut,
        id: &RequestId,
        request: &mut ClientRequest,
    ) -> Result<(), WriteError> {
        let method = request.method();
        self.known(method, self.client_request(method.as_str()).is_some())?;
        self.lower(request)?;
        Ok(jsonrpc::write_request(out, id, method.as_str(), request)?)
    }

    /// Writes a server's notification.
    ///
    /// # Errors
    ///
    /// When the revision has no such notification, or JSON has no form for it.
    pub fn write_server_notification(
        self,
        out: &mut BytesMut,
        notification: &mut ServerNotification,
    ) -> Result<(), WriteError> {
        use ServerNotification::{PromptListChanged, ResourceListChanged, ToolListChanged};

        let method = notification.method();
        self.known(method, self.server_notification(method.as_str()).is_some())?;
        self.lower(notification)?;
        let params = match notification {
            ResourceListChanged(empty) | ToolListChanged(empty) | PromptListChanged(empty)
                if empty.meta.is_none() =>
            {
                None
            }
            notification => Some(&*notification),
        };
        Ok(jsonrpc::write_notification(out, method.as_str(), params)?)
    }

    /// Writes a client's notification.
    ///
    /// # Errors
    ///
    /// When the revision has no such notification, or JSON has no form for it.
    pub fn write_client_notification(
        self,
        out: &mut BytesMut,
        notification: &mut ClientNotification,
    ) -> Result<(), WriteError> {
        use ClientNotification::{Initialized, RootsListChanged};

        let method = notification.method();
        self.known(method, self.client_notification(method.as_str()).is_some())?;
        self.lower(notification)?;
        let params = match notification {
            Initialized(empty) | RootsListChanged(empty) if empty.meta.is_none() => None,
            notification => Some(&*notification),
        };
        Ok(jsonrpc::write_notification(out, method.as_str(), params)?)
    }

    fn known(self, method: Method, known: bool) -> Result<(), WriteError> {
        if known {
            return Ok(());
        }
        Err(WriteError::Unsupported(format!(
            "protocol revision {self} has no {method}: do without it, or speak a revision that has it"
        )))
    }

    fn asks_by_results(self) -> Result<(), WriteError> {
        if self.has_result_types() {
            return Ok(());
        }
        Err(WriteError::Unsupported(format!(
            "protocol revision {self} has no questions as results: send the question as a request"
        )))
    }

    /// Takes every step from the newest form down to this revision's.
    fn lower(self, message: &mut impl Lowered) -> Result<(), WriteError> {
        if let Some(removed) = self.table().removed {
            self.step(message, removed)?;
        }
        for revision in Revision::ALL.into_iter().rev() {
            if let Some(lower) = revision.table().lower {
                self.step(message, lower)?;
            }
            if revision == self {
                break;
            }
        }
        Ok(())
    }

    fn step(self, message: &mut impl Lowered, step: &dyn Lower) -> Result<(), WriteError> {
        message.lower(step).map_err(|why| WriteError::Unsupported(format!("protocol revision {self} {why}")))
    }
}
