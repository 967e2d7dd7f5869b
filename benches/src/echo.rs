//! What goes over the wire, shared by the generator and the floor.

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

/// Bytes a request or an answer may have. An echo has a few hundred; more is a fault of the peer.
pub(crate) const MAX_BODY: usize = 64 * 1024;

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

/// The body of a call of `echo`. `text` must not need escaping in JSON.
pub(crate) fn call(id: u64, text: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}}}}}}"#
    )
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
