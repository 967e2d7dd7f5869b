//! Cancelling a request.

use serde::{Deserialize, Serialize};

use super::Meta;
use crate::jsonrpc::{RequestId, Str};

/// The parameters of `notifications/cancelled`; see
/// [cancellation](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/cancellation).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CancelledParams {
    /// The request that is no longer wanted.
    pub request_id: RequestId,
    /// Why, for a log or a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Str>,
    /// What the notification carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl CancelledParams {
    /// Cancels this request.
    #[must_use]
    pub fn new(request_id: RequestId) -> CancelledParams {
        CancelledParams { request_id, reason: None, meta: None }
    }

    setters! {
        /// Why it is cancelled.
        with_reason(reason: impl Into<Str>) = Some(reason.into());
        /// What the notification carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
