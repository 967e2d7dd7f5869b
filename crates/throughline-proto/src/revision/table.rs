//! What a revision's file says about it.

use super::lower::Lower;
use crate::jsonrpc::ErrorCode;
use crate::model::{Capability, Method};

/// A method as one revision has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MethodRule {
    /// The method.
    pub method: Method,
    /// The capability that must have been declared for it, by the client or the server as
    /// [`Capability::is_of_client`] says; `None` when it needs none.
    pub needs: Option<Capability>,
}

/// A method that needs no capability.
pub(super) const fn free(method: Method) -> MethodRule {
    MethodRule { method, needs: None }
}

/// A method that needs a capability.
pub(super) const fn needing(method: Method, capability: Capability) -> MethodRule {
    MethodRule { method, needs: Some(capability) }
}

/// All that is particular to a revision. The fields are the questions of [`Revision`](super::Revision).
pub(super) struct Table {
    pub(super) date: &'static str,
    /// What its wire form lacks compared with the next revision's; `None` for the newest.
    pub(super) lower: Option<&'static dyn Lower>,
    /// What it lacks although older revisions have it; taken away only when this very revision is written.
    pub(super) removed: Option<&'static dyn Lower>,
    pub(super) client_requests: &'static [MethodRule],
    pub(super) client_notifications: &'static [MethodRule],
    pub(super) server_requests: &'static [MethodRule],
    pub(super) server_notifications: &'static [MethodRule],
    pub(super) modern: bool,
    pub(super) result_types: bool,
    pub(super) streamable_http: bool,
    pub(super) batches: bool,
    pub(super) version_header: bool,
    pub(super) primes: bool,
    pub(super) tool_annotations: bool,
    pub(super) audio: bool,
    pub(super) progress_message: bool,
    pub(super) structured_content: bool,
    pub(super) resource_links: bool,
    pub(super) completion_context: bool,
    pub(super) elicitation: bool,
    pub(super) url_elicitation: bool,
    pub(super) multi_select: bool,
    pub(super) sampling_tools: bool,
    pub(super) argument_errors_are_results: bool,
    pub(super) resource_not_found: ErrorCode,
    /// The code that says what this one says, as far as the revision can.
    pub(super) error_code: fn(ErrorCode) -> ErrorCode,
}
