use ::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Refusal, RefusalKind};

/// Names the session a request belongs to.
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// Names the protocol version that was negotiated.
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Names the event after which a stream is resumed.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Bytes of a session id or an event id. Ours have some 40; the rest is room for ids that users make
/// themselves.
pub(super) const MAX_ID: usize = 256;

/// The `Mcp-Session-Id` header: visible ASCII, 1 to 256 bytes.
///
/// ```
/// use http::HeaderMap;
/// use throughline_proto::http::session_id;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(session_id(&headers)?, None);
/// headers.insert("mcp-session-id", "1868a90c".parse().unwrap());
/// assert_eq!(session_id(&headers)?, Some("1868a90c"));
/// # Ok::<(), throughline_proto::http::Refusal>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management>.
///
/// # Errors
///
/// [`RefusalKind::InvalidRequest`] when it is anything else, or occurs twice.
pub fn session_id(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    match single(headers, &MCP_SESSION_ID) {
        Ok(None) => Ok(None),
        Ok(Some(value)) if !value.is_empty() && value.len() <= MAX_ID => visible(value).map(Some),
        _ => Err(()),
    }
    .map_err(|()| {
        Refusal::new(RefusalKind::InvalidRequest).with_message(
            "The Mcp-Session-Id header must be 1 to 256 visible ASCII characters. Send the one that initialize was answered with, once.",
        )
    })
}

/// The `MCP-Protocol-Version` header, as text: which revision it names, if any, is a question to
/// [`revision`](crate::revision). A text that is none is refused with [`Refusal::unsupported_version`].
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header>.
///
/// # Errors
///
/// [`RefusalKind::InvalidRequest`] when it is not visible ASCII, or occurs twice.
pub fn protocol_version(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    match single(headers, &MCP_PROTOCOL_VERSION) {
        Ok(None) => Ok(None),
        Ok(Some(value)) => visible(value).map(Some),
        Err(()) => Err(()),
    }
    .map_err(|()| {
        Refusal::new(RefusalKind::InvalidRequest).with_message(
            "The MCP-Protocol-Version header must be one date. Send the version that was negotiated, once.",
        )
    })
}

/// The `Last-Event-ID` header: visible ASCII, at most 256 bytes. An empty one is none, which is what the
/// standard means by it.
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#resumability-and-redelivery>.
///
/// # Errors
///
/// [`RefusalKind::CursorInvalid`] when it is anything else, or occurs twice.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    match single(headers, &LAST_EVENT_ID) {
        Ok(None) => Ok(None),
        Ok(Some(value)) if value.is_empty() => Ok(None),
        Ok(Some(value)) if value.len() <= MAX_ID => visible(value).map(Some),
        _ => Err(()),
    }
    .map_err(|()| Refusal::new(RefusalKind::CursorInvalid))
}

/// The only value of a header, or `Err` when there are several: proxies and servers disagree on which of them
/// counts.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(()),
    }
}

fn visible(value: &HeaderValue) -> Result<&str, ()> {
    // All bytes at once, and no end at the first that is wrong: so it is a few instructions for a whole id.
    let is_visible = value.as_bytes().iter().fold(true, |yes, byte| yes & byte.is_ascii_graphic());
    if is_visible { std::str::from_utf8(value.as_bytes()).map_err(|_| ()) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn ids_are_short_and_visible() {
        let longest = "x".repeat(256);
        let too_long = "x".repeat(257);
        for good in ["!", "~", "1868a90c-2b5b", "a,b", &longest] {
            assert_eq!(session_id(&headers(&MCP_SESSION_ID, &[good])), Ok(Some(good)));
            assert_eq!(last_event_id(&headers(&LAST_EVENT_ID, &[good])), Ok(Some(good)));
        }
        for bad in [&["a b"][..], &["a\tb"], &["é"], &[&too_long], &["a", "a"], &["a", ""]] {
            let refusal = session_id(&headers(&MCP_SESSION_ID, bad)).unwrap_err();
            assert_eq!(
                (refusal.kind(), refusal.status().as_u16()),
                (RefusalKind::InvalidRequest, 400),
                "{bad:?}"
            );
            assert!(refusal.message().contains("Mcp-Session-Id"));
            let refusal = last_event_id(&headers(&LAST_EVENT_ID, bad)).unwrap_err();
            assert_eq!(
                (refusal.kind(), refusal.status().as_u16()),
                (RefusalKind::CursorInvalid, 400),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn an_empty_cursor_is_none_and_an_empty_session_is_refused() {
        assert_eq!(last_event_id(&headers(&LAST_EVENT_ID, &[""])), Ok(None));
        assert_eq!(last_event_id(&HeaderMap::new()), Ok(None));
        assert!(session_id(&headers(&MCP_SESSION_ID, &[""])).is_err());
    }

    #[test]
    fn a_version_is_any_visible_text() {
        assert_eq!(protocol_version(&HeaderMap::new()), Ok(None));
        for good in ["2025-06-18", "nonsense", ""] {
            assert_eq!(protocol_version(&headers(&MCP_PROTOCOL_VERSION, &[good])), Ok(Some(good)));
        }
        for bad in [&["2025-06-18", "2025-06-18"][..], &["2025-06-18, 2025-06-18"], &["é"]] {
            let refusal = protocol_version(&headers(&MCP_PROTOCOL_VERSION, bad)).unwrap_err();
            assert_eq!(refusal.kind(), RefusalKind::InvalidRequest, "{bad:?}");
        }
    }
}
