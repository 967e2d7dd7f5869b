//! A session, seen from a handler.

use std::sync::Arc;

use serde::Serialize;
use std::future::poll_fn;
use throughline_proto::jsonrpc::Raw;
use throughline_proto::log::SessionId;

use super::channel::{Channel, Note};
use super::{Ask, CallOver, Caller, Question};

/// A session of a client: outlives any one call.
///
/// What is sent here belongs to no request and goes to the session's standalone stream (GET; over stdio, to the client as
/// everything does).
///
/// # Drop behavior
///
/// None: the session goes on.
#[derive(Clone)]
pub struct SessionHandle {
    id: SessionId,
    channel: Arc<dyn Channel>,
    caller: Arc<Caller>,
}

impl SessionHandle {
    pub(crate) fn new(id: SessionId, channel: Arc<dyn Channel>, caller: Arc<Caller>) -> Self {
        Self { id, channel, caller }
    }

    /// The session's id. It is a secret between client and server: do not log it.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whose session it is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Asks the client something outside any call.
    ///
    /// The question waits on the standalone stream; a client that never opens it never answers, and the wait ends by
    /// its timeout.
    ///
    /// # Errors
    ///
    /// An [`AskError`](super::AskError).
    pub fn ask<Q: Question>(&self, question: Q) -> Ask<Q> {
        Ask::new(Arc::clone(&self.channel), None, question)
    }

    /// Sends a notification that belongs to no call.
    ///
    /// # Errors
    ///
    /// [`CallOver`] when the session ended, or the parameters cannot be JSON.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), CallOver> {
        let params = Raw::new(params).map_err(|_| CallOver)?;
        poll_fn(|cx| self.channel.poll_notify(None, Note::Custom { method, params: Some(&params) }, cx)).await
    }

    /// Tells the client that the page of [`elicit_url`](super::Context::elicit_url) with this id is done with.
    ///
    /// # Errors
    ///
    /// [`CallOver`] when the session ended.
    pub async fn elicitation_complete(&self, id: &str) -> Result<(), CallOver> {
        self.notify("notifications/elicitation/complete", &serde_json::json!({ "elicitationId": id })).await
    }
}

impl std::fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionHandle").field("id", &self.id).finish_non_exhaustive()
    }
}
