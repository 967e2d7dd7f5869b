//! The headers that let a proxy route requests of the modern era without reading their bodies, and what they must say; see
//! [request metadata](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#request-metadata).

use std::borrow::Cow;

use ::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::header_text::{decode_header_text, trimmed};
use super::refusal::excerpt;
use super::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID, Refusal};
use crate::jsonrpc::{self, MetaOutline, Outline};
use crate::model::Method;
use crate::revision::{Revision, is_modern_call};

/// Repeats the method of the body.
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Repeats the name of the tool or prompt, or the address of the resource, that the body names.
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Whether a request is of the modern era. Its body decides ([`is_modern_call`]); where it says nothing, and neither opens
/// nor names a session, an `MCP-Protocol-Version` header with a modern revision does, so that a client that forgot its
/// `_meta` is told so and not asked for a session.
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning>.
#[must_use]
pub fn is_modern_request(method: &str, meta: &MetaOutline<'_>, headers: &HeaderMap) -> bool {
    let names_modern =
        |value: &HeaderValue| trimmed(value).and_then(Revision::parse).is_some_and(Revision::is_modern);
    is_modern_call(method, meta)
        || (method != Method::Initialize.as_str()
            && !headers.contains_key(&MCP_SESSION_ID)
            && headers.get_all(&MCP_PROTOCOL_VERSION).iter().any(names_modern))
}

/// What the `Mcp-Name` header of a request must repeat: its [target](Method::target). `None` for other methods, and when the body has no such text, which its reader will refuse.
#[must_use]
pub fn routing_name<'a>(method: &str, params: &Outline<'a>) -> Option<Cow<'a, str>> {
    Method::parse(method)?.target(params).and_then(jsonrpc::text)
}

/// Checks that the headers of a request of the modern era say what its body says: `MCP-Protocol-Version` the `version` in
/// its `_meta`, `Mcp-Method` its `method`, `Mcp-Name` the [`name`](routing_name), if there is one.
///
/// Values are compared as they are, but for white space around them, and for an `Mcp-Name` that is
/// [encoded](super::encode_header_text).
///
/// ```
/// use http::HeaderMap;
/// use throughline_proto::http::check_request_headers;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("mcp-protocol-version", "2026-07-28".parse()?);
/// headers.insert("mcp-method", "tools/call".parse()?);
/// headers.insert("mcp-name", "add".parse()?);
/// check_request_headers(&headers, "2026-07-28", "tools/call", Some("add"))?;
///
/// let refusal = check_request_headers(&headers, "2026-07-28", "tools/call", Some("sub")).unwrap_err();
/// assert_eq!((refusal.status().as_u16(), refusal.code().0), (400, -32020));
/// assert_eq!(refusal.message(), r#"The Mcp-Name header says "add", and the body "sub". Send the same in both."#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation>.
///
/// # Errors
///
/// [`RefusalKind::HeaderMismatch`](super::RefusalKind::HeaderMismatch) when one of them is missing, sent more than once,
/// unreadable, or says something else.
pub fn check_request_headers(
    headers: &HeaderMap,
    version: &str,
    method: &str,
    name: Option<&str>,
) -> Result<(), Refusal> {
    if say_just_so(headers, [Some(version), Some(method), name]) {
        return Ok(());
    }
    check(headers, &MCP_PROTOCOL_VERSION, "MCP-Protocol-Version", version, plain)?;
    check(headers, &MCP_METHOD, "Mcp-Method", method, plain)?;
    match name {
        Some(name) => check(headers, &MCP_NAME, "Mcp-Name", name, decode_header_text),
        None => Ok(()),
    }
}

/// Whether each is there once and says just what the body says, as nearly all do: a walk over all headers costs less than
/// looking for each.
fn say_just_so(headers: &HeaderMap, bodies: [Option<&str>; 3]) -> bool {
    static NAMES: [HeaderName; 3] = [MCP_PROTOCOL_VERSION, MCP_METHOD, MCP_NAME];
    let mut said = [false; 3];
    for (name, value) in headers {
        for ((wanted, body), said) in NAMES.iter().zip(bodies).zip(&mut said) {
            if let Some(body) = body.filter(|_| name == wanted)
                && (std::mem::replace(said, true) || !says_plainly(value, body))
            {
                return false;
            }
        }
    }
    said.iter().zip(bodies).all(|(said, body)| *said || body.is_none())
}

/// What begins like an encoded text is not plain, nor is what no header can say so.
fn says_plainly(value: &HeaderValue, body: &str) -> bool {
    value.as_bytes() == body.as_bytes()
        && !body.starts_with("=?")
        && body.bytes().all(|byte| byte.is_ascii_graphic())
}

fn plain(value: &HeaderValue) -> Option<Cow<'_, str>> {
    trimmed(value).map(Cow::Borrowed)
}

/// Checks one header, `shown` being its name as people write it.
fn check(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &str,
    body: &str,
    read: fn(&HeaderValue) -> Option<Cow<'_, str>>,
) -> Result<(), Refusal> {
    let Some(value) = only(headers, name, shown)? else {
        return Err(missing(shown));
    };
    match read(value) {
        Some(text) if text == body => Ok(()),
        Some(text) => Err(mismatch(shown, &text, body)),
        None => Err(unreadable(shown)),
    }
}

/// The only value of a header: proxies and servers disagree on which of several counts.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<&'a HeaderValue>, Refusal> {
    super::headers::single(headers, name).map_err(|()| {
        Refusal::header_mismatch(format!("The {shown} header was sent more than once. Send it once."))
    })
}

pub(super) fn missing(shown: &str) -> Refusal {
    Refusal::header_mismatch(format!("The {shown} header is missing. Send in it what the body says."))
}

pub(super) fn mismatch(shown: &str, header: &str, body: &str) -> Refusal {
    Refusal::header_mismatch(format!(
        "The {shown} header says \"{}\", and the body \"{}\". Send the same in both.",
        excerpt(header),
        excerpt(body)
    ))
}

pub(super) fn unreadable(shown: &str) -> Refusal {
    Refusal::header_mismatch(format!(
        "The {shown} header is not visible ASCII, or not the Base64 that it is marked as. Send in it what the body says."
    ))
}

#[cfg(test)]
mod tests;
