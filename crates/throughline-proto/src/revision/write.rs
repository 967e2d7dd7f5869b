//! Writing messages in a revision's wire form.

use std::fmt;

use bytes::BytesMut;
use serde::ser::Error as _;

use super::Revision;
use super::lower::Lowered;
use crate::jsonrpc::{self, RequestId};
use crate::model::{
    Answer, ClientAnswer, ClientNotification, ClientRequest, Method, ServerNotification, ServerRequest,
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
    /// When the answer has no JSON form, as a number that is not finite, and in a revision that is only known by name.
    pub fn write_answer(
        self,
        out: &mut BytesMut,
        id: &RequestId,
        answer: &mut Answer,
    ) -> Result<(), serde_json::Error> {
        self.lower(answer).map_err(serde_json::Error::custom)?;
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
        self.lower(answer)?;
        match answer {
            ClientAnswer::Custom(raw) => jsonrpc::write_raw_result(out, id, raw),
            answer => jsonrpc::write_result(out, id, answer)?,
        }
        Ok(())
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

    /// Takes every step from the newest form down to this revision's.
    fn lower(self, message: &mut impl Lowered) -> Result<(), WriteError> {
        if self.is_modern() {
            return Err(WriteError::Unsupported(format!(
                "nothing can be written in protocol revision {self} yet: speak one of {}",
                Revision::supported_dates()
            )));
        }
        for revision in Revision::ALL.into_iter().rev() {
            message
                .lower(revision.table().lower)
                .map_err(|why| WriteError::Unsupported(format!("protocol revision {self} {why}")))?;
            if revision == self {
                break;
            }
        }
        Ok(())
    }
}
