use crate::jsonrpc::{Message, MetaOutline, meta_outline, outline};

/// Whether a message is of the modern era, which has no sessions: its `_meta` names a protocol version, or
/// its method exists only there. The shape of the body decides, not a header, because only the body is the
/// client's own word.
///
/// A `_meta` that cannot be read names nothing. Whoever has the outline already asks [`is_modern_call`].
///
/// Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning>.
pub fn is_modern(message: &Message) -> bool {
    let Some(method) = message.method() else { return false };
    let meta = outline(message.params()).and_then(|outline| meta_outline(outline.meta)).unwrap_or_default();
    is_modern_call(method, &meta)
}

/// The question of [`is_modern`] for a request or a notification whose `_meta` is known.
pub fn is_modern_call(method: &str, meta: &MetaOutline<'_>) -> bool {
    meta.protocol_version.is_some() || matches!(method, "server/discover" | "subscriptions/listen")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::jsonrpc::{Frame, parse};

    #[test]
    fn the_body_says_which_era_it_is_of() {
        for (body, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#, true),
            (r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}"#, true),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"x","params":{"_meta":{"a":1,"io.modelcontextprotocol\/protocolVersion":null}}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"progressToken":1}}}"#,
                false,
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":7}}"#, false),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}"#,
                false,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
                false,
            ),
        ] {
            let Frame::Single(message) =
                parse(&Bytes::from_static(body.as_bytes()), &Default::default()).unwrap()
            else {
                panic!("one message: {body}")
            };
            assert_eq!(is_modern(&message), expected, "{body}");
        }
    }
}
