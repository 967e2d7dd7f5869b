//! What the server asks the user: answers are checked before they are sent, and pages are known until they are done with.

use std::sync::{Mutex, OnceLock};

use throughline_proto::client::Pages;
use throughline_proto::jsonrpc::{ErrorCode, ErrorObject, Raw};
use throughline_proto::model::{
    ElicitAction, ElicitParams, ElicitResult, ElicitationCapability, ElicitationCompleteParams,
    UrlElicitationRequired,
};

use crate::error::McpError;
use crate::lock::Lock;

#[derive(Debug, Default)]
pub(crate) struct Elicitations {
    /// What the server was told that the client can do.
    told: OnceLock<Option<ElicitationCapability>>,
    pages: Mutex<Pages>,
}

impl Elicitations {
    pub(crate) fn set_told(&self, capability: Option<ElicitationCapability>) {
        // A client connects once.
        let _ = self.told.set(capability);
    }

    /// Takes a question on.
    pub(crate) fn begin(&self, question: &ElicitParams) -> Result<(), McpError> {
        if !self.told.get().copied().flatten().is_some_and(|capability| question.suits(capability)) {
            let why = "this client did not say that it can be asked so; look at its capability `elicitation`";
            return Err(McpError::invalid_params(why));
        }
        if let ElicitParams::Url(page) = question
            && let Some(id) = &page.elicitation_id
        {
            self.pages.locked().open(id);
        }
        Ok(())
    }

    /// What of the user's answer is sent.
    pub(crate) fn finish(
        &self,
        question: &ElicitParams,
        answer: ElicitResult,
    ) -> Result<ElicitResult, McpError> {
        if let ElicitParams::Url(page) = question
            && let Some(id) = &page.elicitation_id
            && answer.action != ElicitAction::Accept
        {
            self.pages.locked().close(id);
        }
        question.complete(answer).map_err(|error| {
            tracing::error!(%error, "the answer to a form of the server's does not fit, so it is not sent");
            McpError::internal(format!("this client's answer does not fit, so it is not sent: {error}"))
        })
    }

    /// Whether anybody is to be told that this page is done with.
    pub(crate) fn complete(&self, params: &ElicitationCompleteParams) -> bool {
        self.pages.locked().close(&params.elicitation_id)
    }

    /// An error may send the user to pages too; see
    /// [the error](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#url-elicitation-required-error).
    pub(crate) fn note(&self, error: &ErrorObject) {
        if error.code != ErrorCode::URL_ELICITATION_REQUIRED {
            return;
        }
        let required = error.data.as_ref().map(Raw::parse::<UrlElicitationRequired>);
        let Some(Ok(required)) = required else { return };
        let mut pages = self.pages.locked();
        required
            .elicitations
            .iter()
            .filter_map(|page| page.elicitation_id.as_ref())
            .for_each(|id| pages.open(id));
    }
}
