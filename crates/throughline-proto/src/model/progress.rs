//! Progress of a request.

use serde::{Deserialize, Serialize};

use super::{Meta, wire};
use crate::jsonrpc::{ProgressToken, Str};

/// The parameters of `notifications/progress`; see
/// [progress](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/progress).
///
/// ```
/// use throughline_proto::{jsonrpc::ProgressToken, model::ProgressParams};
///
/// let progress = ProgressParams::new(ProgressToken::Number(7), 5.0).with_total(10.0);
/// assert_eq!(serde_json::to_string(&progress)?, r#"{"progressToken":7,"progress":5,"total":10}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProgressParams {
    /// The token of the request that moves on.
    pub progress_token: ProgressToken,
    /// How far it is, in units of its own. It must grow with every notification.
    #[serde(with = "wire::number")]
    pub progress: f64,
    /// Where it will end, in the same units, if that is known.
    #[serde(default, with = "wire::maybe_number", skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What is being done, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Str>,
    /// What the notification carries beside.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ProgressParams {
    /// The request of this token is this far.
    #[must_use]
    pub fn new(progress_token: ProgressToken, progress: f64) -> ProgressParams {
        ProgressParams { progress_token, progress, total: None, message: None, meta: None }
    }

    setters! {
        /// Where it will end.
        with_total(total: f64) = Some(total);
        /// What is being done.
        with_message(message: impl Into<Str>) = Some(message.into());
        /// What the notification carries beside.
        with_meta(meta: Meta) = Some(meta);
    }
}
