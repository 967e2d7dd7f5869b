//! The protocol's revisions: which there are, which one is spoken, and how each looks on the wire.
//!
//! Each revision has a file with its method table, its answers to the questions below, and what its wire form *lacks*
//! compared with the next one. A message is brought down step by step from the newest form to the wanted one, in place, and
//! then written once:
//!
//! ```text
//!  model (all that any revision knows)
//!    -> 2026-07-28 removed .. (taken away in that revision alone)
//!    -> 2025-11-25 lacks ..  -> 2025-06-18 lacks ..  -> 2025-03-26 lacks ..  -> 2024-11-05 lacks ..
//! ```
//!
//! This is the only place that names a revision. Everything else asks a [`Revision`] a question.

mod era;
mod lower;
mod request_meta;
mod result;
mod table;
mod v2024_11_05;
mod v2025_03_26;
mod v2025_06_18;
mod v2025_11_25;
mod v2026_07_28;
mod write;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::jsonrpc::{ErrorCode, Str};
use crate::model::Method;
use table::Table;

pub use era::{is_modern, is_modern_call};
pub use result::ResultExtras;
pub use table::MethodRule;
pub use write::WriteError;

/// A revision of the protocol, named by its date.
///
/// ```
/// use throughline_proto::revision::Revision;
///
/// let revision = Revision::negotiate("2025-06-18");
/// assert_eq!(revision.date(), "2025-06-18");
/// assert!(revision.has_elicitation() && !revision.has_batches());
/// // A server answers an unknown revision with the latest it speaks.
/// assert_eq!(Revision::negotiate("1999-12-31"), Revision::LATEST_LEGACY);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Revision {
    /// HTTP+SSE.
    V2024_11_05,
    /// Streamable HTTP, batches, audio, tool annotations.
    V2025_03_26,
    /// No batches; elicitation, structured tool output, titles.
    V2025_06_18,
    /// Priming events, URL elicitation, sampling with tools, icons.
    V2025_11_25,
    /// The modern era: no sessions; discovery, listening, questions as results, cache hints.
    V2026_07_28,
}

impl Revision {
    /// All revisions, from the oldest.
    pub const ALL: [Revision; 5] = [
        Revision::V2024_11_05,
        Revision::V2025_03_26,
        Revision::V2025_06_18,
        Revision::V2025_11_25,
        Revision::V2026_07_28,
    ];

    /// The revisions that begin with `initialize`, from the oldest.
    pub const LEGACY: [Revision; 4] =
        [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

    /// The revisions without sessions, from the oldest.
    pub const MODERN: [Revision; 1] = [Revision::V2026_07_28];

    /// The newest revision.
    pub const LATEST: Revision = Revision::V2026_07_28;

    /// The newest revision that begins with `initialize`.
    pub const LATEST_LEGACY: Revision = Revision::V2025_11_25;

    /// The revision that a Streamable HTTP request without an `MCP-Protocol-Version` header is taken to speak, when nothing
    /// else tells; see
    /// [the header](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header).
    pub const WITHOUT_HEADER: Revision = Revision::V2025_03_26;

    /// The first revision with authorization, whose servers have their metadata at their own origin; see
    /// [its discovery](https://modelcontextprotocol.io/specification/2025-03-26/basic/authorization#server-metadata-discovery).
    pub const FIRST_WITH_AUTHORIZATION: Revision = Revision::V2025_03_26;

    /// The revision's date, which is its name on the wire.
    #[must_use]
    pub const fn date(self) -> &'static str {
        self.table().date
    }

    /// The revision of this date; `None` when there is none, known here, of that date.
    #[must_use]
    pub fn parse(date: &str) -> Option<Revision> {
        Revision::ALL.into_iter().find(|revision| revision.date() == date)
    }

    /// The revision with which a server answers `initialize`: the requested one if it can be spoken in a session, else the
    /// latest that can; see
    /// [version negotiation](https://modelcontextprotocol.io/specification/2025-11-25/basic/lifecycle#version-negotiation).
    #[must_use]
    pub fn negotiate(requested: &str) -> Revision {
        match Revision::parse(requested) {
            Some(revision) if !revision.is_modern() => revision,
            _ => Revision::LATEST_LEGACY,
        }
    }

    /// The dates of all revisions, for messages, from the newest.
    #[must_use]
    pub const fn supported_dates() -> &'static str {
        "2026-07-28, 2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05"
    }

    /// The dates of the revisions that begin with `initialize`, for messages, from the newest.
    #[must_use]
    pub const fn legacy_dates() -> &'static str {
        "2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05"
    }

    /// The dates of the revisions without sessions, for messages, from the newest.
    #[must_use]
    pub const fn modern_dates() -> &'static str {
        "2026-07-28"
    }

    /// The rule of a request that clients send; `None` when the revision has no such request.
    #[must_use]
    pub fn client_request(self, method: &str) -> Option<MethodRule> {
        find(self.table().client_requests, method)
    }

    /// The rule of a notification that clients send; `None` when the revision has no such notification.
    #[must_use]
    pub fn client_notification(self, method: &str) -> Option<MethodRule> {
        find(self.table().client_notifications, method)
    }

    /// The rule of a request that servers send, or of a question that they ask by a result where the revision
    /// [does that](Revision::has_result_types); `None` when the revision has neither.
    #[must_use]
    pub fn server_request(self, method: &str) -> Option<MethodRule> {
        find(self.table().server_requests, method)
    }

    /// The rule of a notification that servers send; `None` when the revision has no such notification.
    #[must_use]
    pub fn server_notification(self, method: &str) -> Option<MethodRule> {
        find(self.table().server_notifications, method)
    }

    /// Whether it has neither sessions nor `initialize`: every request carries its version, identity and capabilities.
    #[must_use]
    pub const fn is_modern(self) -> bool {
        self.table().modern
    }

    /// Whether every result says of what type it is (`resultType`), so that a server asks the client by a result and not by a
    /// request of its own; see
    /// [result types](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#resulttype).
    #[must_use]
    pub const fn has_result_types(self) -> bool {
        self.table().result_types
    }

    /// Whether its HTTP transport is Streamable HTTP, and not HTTP+SSE.
    #[must_use]
    pub const fn has_streamable_http(self) -> bool {
        self.table().streamable_http
    }

    /// Whether several messages may be sent in one JSON array.
    #[must_use]
    pub const fn has_batches(self) -> bool {
        self.table().batches
    }

    /// Whether HTTP requests after `initialize` must carry `MCP-Protocol-Version`.
    #[must_use]
    pub const fn has_version_header(self) -> bool {
        self.table().version_header
    }

    /// Whether a stream begins with an event that has an id and `retry` but no message, so that a client can resume before
    /// the first message came.
    #[must_use]
    pub const fn primes(self) -> bool {
        self.table().primes
    }

    /// Whether tools say what they do in annotations.
    #[must_use]
    pub const fn has_tool_annotations(self) -> bool {
        self.table().tool_annotations
    }

    /// Whether there is audio content.
    #[must_use]
    pub const fn has_audio(self) -> bool {
        self.table().audio
    }

    /// Whether progress notifications have a message.
    #[must_use]
    pub const fn has_progress_message(self) -> bool {
        self.table().progress_message
    }

    /// Whether tools have output schemas and structured results.
    #[must_use]
    pub const fn has_structured_content(self) -> bool {
        self.table().structured_content
    }

    /// Whether content can link to a resource.
    #[must_use]
    pub const fn has_resource_links(self) -> bool {
        self.table().resource_links
    }

    /// Whether a request for completion tells the arguments that are settled already.
    #[must_use]
    pub const fn has_completion_context(self) -> bool {
        self.table().completion_context
    }

    /// Whether a server can ask the client's user by a form.
    #[must_use]
    pub const fn has_elicitation(self) -> bool {
        self.table().elicitation
    }

    /// Whether a server can send the client's user to an address.
    #[must_use]
    pub const fn has_url_elicitation(self) -> bool {
        self.table().url_elicitation
    }

    /// Whether a form can ask for several values of a list.
    #[must_use]
    pub const fn has_multi_select(self) -> bool {
        self.table().multi_select
    }

    /// Whether a sampling request can offer tools, and a message can hold several blocks.
    #[must_use]
    pub const fn has_sampling_tools(self) -> bool {
        self.table().sampling_tools
    }

    /// Whether arguments that do not fit a tool are answered with a tool result that says so, for the model to read, and not
    /// with an error of the protocol; see
    /// [error handling](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#error-handling).
    #[must_use]
    pub const fn argument_errors_are_results(self) -> bool {
        self.table().argument_errors_are_results
    }

    /// The code of the error that says that there is no such resource.
    #[must_use]
    pub const fn resource_not_found(self) -> ErrorCode {
        self.table().resource_not_found
    }

    /// The code with which the revision says what this code says. The modern era must not send the codes that only older
    /// revisions define, nor use its own range for anything else; see
    /// [error codes](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#error-codes).
    ///
    /// ```
    /// use throughline_proto::jsonrpc::ErrorCode;
    /// use throughline_proto::revision::Revision;
    ///
    /// assert_eq!(Revision::LATEST.error_code(ErrorCode::RESOURCE_NOT_FOUND), ErrorCode::INVALID_PARAMS);
    /// assert_eq!(Revision::LATEST_LEGACY.error_code(ErrorCode::RESOURCE_NOT_FOUND), ErrorCode::RESOURCE_NOT_FOUND);
    /// ```
    #[must_use]
    pub fn error_code(self, code: ErrorCode) -> ErrorCode {
        (self.table().error_code)(code)
    }

    const fn table(self) -> &'static Table {
        match self {
            Revision::V2024_11_05 => &v2024_11_05::TABLE,
            Revision::V2025_03_26 => &v2025_03_26::TABLE,
            Revision::V2025_06_18 => &v2025_06_18::TABLE,
            Revision::V2025_11_25 => &v2025_11_25::TABLE,
            Revision::V2026_07_28 => &v2026_07_28::TABLE,
        }
    }
}

fn find(rules: &[MethodRule], method: &str) -> Option<MethodRule> {
    let method = Method::parse(method)?;
    rules.iter().find(|rule| rule.method == method).copied()
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.date())
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.date())
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.date())
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Revision, D::Error> {
        let date = Str::deserialize(deserializer)?;
        Revision::parse(&date).ok_or_else(|| {
            de::Error::custom(format_args!(
                "the protocol revision `{date}` is not known here: use one of {}",
                Revision::supported_dates()
            ))
        })
    }
}

#[cfg(test)]
mod tests;
