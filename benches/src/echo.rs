//! What goes over the wire, shared by the generator and the floor.

use crate::scenario::LARGE;

/// The revision the generator speaks.
///
/// Named here and not asked of the library: the generator is a foreign client, and the floor and peers
/// are measured without the library.
pub(crate) const REVISION: &str = "2025-11-25";

/// The revision it speaks where there are no sessions.
pub(crate) const MODERN_REVISION: &str = "2026-07-28";

/// The headers that repeat what a request without a session says in its body,
/// see <https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#standard-request-headers>.
pub(crate) const METHOD_HEADER: &str = "mcp-method";
pub(crate) const NAME_HEADER: &str = "mcp-name";

/// The resource that changes.
pub(crate) const CHANGING: &str = "lab://changing";

/// The endpoint of every target.
pub(crate) const PATH: &str = "/mcp";

/// The header that names a session,
/// see <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management>.
pub(crate) const SESSION_HEADER: &str = "mcp-session-id";

/// The header that names the revision,
/// see <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header>.
pub(crate) const VERSION_HEADER: &str = "mcp-protocol-version";

/// The header that says behind which event a stream is resumed,
/// see <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery>.
pub(crate) const CURSOR_HEADER: &str = "last-event-id";

/// Bytes a request or an answer may have: the large argument and what is around it. More is a fault of the peer.
pub(crate) const MAX_BODY: usize = 2 * LARGE;

/// The body of an `initialize` request.
pub(crate) fn initialize(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{REVISION}","capabilities":{{}},"clientInfo":{{"name":"load-lab","version":"1.0.0"}}}}}}"#
    )
}

/// The body of the notification that opens the session for requests.
pub(crate) fn initialized() -> &'static str {
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
}

/// The body of a call of a tool that takes a text. `text` must not need escaping in JSON.
pub(crate) fn call(id: u64, tool: &str, text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{"text":"{text}"}}}}}}"#
    )
}

/// The body of a call that reports progress `count` times, with its id as its progress token.
pub(crate) fn progress(id: u64, count: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"progressToken":{id}}},"name":"progress","arguments":{{"count":{count}}}}}}}"#
    )
}

/// The same without a session.
pub(crate) fn modern_progress(id: u64, count: usize) -> String {
    let meta = META.trim_start_matches('{');
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"progressToken":{id},{meta},"name":"progress","arguments":{{"count":{count}}}}}}}"#
    )
}

/// The body of a request for the list of tools.
pub(crate) fn list(id: u64) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#)
}

/// What request `id` says.
pub(crate) fn said(id: u64) -> String {
    format!("what was said in request {id}")
}

/// The body of a call without a session; `with` are further members of its parameters, each after a comma. `text` must not
/// need escaping in JSON.
pub(crate) fn modern_call(id: u64, tool: &str, text: &str, with: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{META},"name":"{tool}","arguments":{{"text":"{text}"}}{with}}}}}"#
    )
}

/// The body of a request to hear of changes of [`CHANGING`].
pub(crate) fn listen(id: u64) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"_meta":{META},"notifications":{{"resourceSubscriptions":["{CHANGING}"]}}}}}}"#
    )
}

/// What a request without a session says about its sender.
const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"load-lab","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}"#;
