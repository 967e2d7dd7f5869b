//! Text in the headers of the modern era that mirror the body; see
//! [value encoding](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#value-encoding).

use std::borrow::Cow;

use ::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// Text as the value of an `Mcp-Name` or `Mcp-Param-*` header: as it is where that is safe, else `=?base64?..?=` around its
/// UTF-8. Safe is visible ASCII, with spaces inside, that does not itself look encoded. No text at all is encoded too, because
/// some senders leave out a header without a value.
///
/// ```
/// use throughline_proto::http::{decode_header_text, encode_header_text};
///
/// assert_eq!(encode_header_text("us-west1"), "us-west1");
/// assert_eq!(encode_header_text("Hello, 世界"), "=?base64?SGVsbG8sIOS4lueVjA==?=");
/// assert_eq!(decode_header_text(&encode_header_text(" padded ")).as_deref(), Some(" padded "));
/// ```
#[must_use]
pub fn encode_header_text(text: &str) -> HeaderValue {
    if is_plain(text)
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let encoded = format!("{PREFIX}{}{SUFFIX}", BASE64_STANDARD.encode(text));
    HeaderValue::try_from(encoded).expect("Base64 and its markers are visible ASCII")
}

/// The text that a header's value stands for, without the white space around the value and without a copy unless it is
/// encoded. The reverse of [`encode_header_text`].
///
/// `None` when the value holds anything but visible ASCII, spaces and tabs, or is marked as Base64 and is not exactly
/// that (the standard alphabet, with its padding) of text in UTF-8.
#[must_use]
pub fn decode_header_text(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = trimmed(value)?;
    if !is_marked(text) {
        return Some(Cow::Borrowed(text));
    }
    // Prefix and suffix may not share a byte: `=?base64?=` is marked, and encodes nothing.
    let encoded = text.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let bytes = BASE64_STANDARD.decode(encoded).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A value without the white space around it, which is no part of it
/// (<https://www.rfc-editor.org/rfc/rfc9110.html#section-5.5>); `None` when it holds anything but visible ASCII, spaces and
/// tabs.
pub(super) fn trimmed(value: &HeaderValue) -> Option<&str> {
    Some(value.to_str().ok()?.trim_matches([' ', '\t']))
}

fn is_plain(text: &str) -> bool {
    // A tab would be allowed inside, but some proxies turn it into a space.
    !text.is_empty()
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim_matches(' ') == text
        && !is_marked(text)
}

fn is_marked(text: &str) -> bool {
    text.starts_with(PREFIX) && text.ends_with(SUFFIX)
}

/// Whether text may be a header's name, or another token of HTTP
/// (<https://www.rfc-editor.org/rfc/rfc9110.html#section-5.6.2>).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(bytes: &[u8]) -> Option<String> {
        decode_header_text(&HeaderValue::from_bytes(bytes).unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn text_is_encoded_as_the_specification_shows() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            // What it says in words, and what follows from it.
            ("us west 1", "us west 1"),
            ("file:///projects/my%20app/config.json", "file:///projects/my%20app/config.json"),
            (" us-west1", "=?base64?IHVzLXdlc3Qx?="),
            ("us-west1 ", "=?base64?dXMtd2VzdDEg?="),
            ("line1\r\nline2", "=?base64?bGluZTENCmxpbmUy?="),
            ("\tindented", "=?base64?CWluZGVudGVk?="),
            ("in\tside", "=?base64?aW4Jc2lkZQ==?="),
            ("\u{7f}", "=?base64?fw==?="),
            ("\0", "=?base64?AA==?="),
            ("", "=?base64??="),
            ("=?base64?=", "=?base64?PT9iYXNlNjQ/PQ==?="),
            ("=?base64?x", "=?base64?x"),
            ("x?=", "x?="),
            ("=?BASE64?x?=", "=?BASE64?x?="),
        ] {
            assert_eq!(encode_header_text(text), value, "{text:?}");
            assert_eq!(decode(value.as_bytes()).as_deref(), Some(text), "{value}");
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        let value = HeaderValue::from_static(" add ");
        assert!(matches!(decode_header_text(&value), Some(Cow::Borrowed("add"))));
    }

    #[test]
    fn white_space_around_a_value_is_no_part_of_it() {
        for value in ["add", " add", "add ", " \t add \t", "=?base64?YWRk?=", "  =?base64?YWRk?=\t"] {
            assert_eq!(decode(value.as_bytes()).as_deref(), Some("add"), "{value:?}");
        }
        for (value, text) in [("", ""), (" \t ", ""), ("a \t b", "a \t b")] {
            assert_eq!(decode(value.as_bytes()).as_deref(), Some(text), "{value:?}");
        }
    }

    #[test]
    fn what_is_not_marked_in_full_is_taken_as_it_is() {
        for value in [
            "SGVsbG8=",
            "=?base64?SGVsbG8=",
            "SGVsbG8=?=",
            "=?Base64?SGVsbG8=?=",
            "=?base64SGVsbG8=?=",
            "?base64?SGVsbG8=?=",
            "x=?base64?SGVsbG8=?=",
            "=?base64?SGVsbG8=?=x",
            "=?utf-8?q?SGVsbG8=?=",
        ] {
            assert_eq!(decode(value.as_bytes()).as_deref(), Some(value));
        }
    }

    #[test]
    fn base64_is_read_strictly() {
        for value in [
            "=?base64?SGVsbG8?=",     // no padding
            "=?base64?SGVsbG8==?=",   // too much of it
            "=?base64?SGVsbG9=?=",    // bits after the end
            "=?base64?SGVs!!!bG8=?=", // not in the alphabet
            "=?base64?SGVs bG8=?=",   // white space inside
            "=?base64? SGVsbG8=?=",
            "=?base64?SGVsbG8=\t?=",
            "=?base64?__79?=",         // the alphabet for addresses
            "=?base64?=SGVsbG8?=",     // padding in front
            "=?base64?SGVsbG8=SGVs?=", // padding inside
            "=?base64?S?=",
            "=?base64?=?=",
            "=?base64?=",      // the marks share a byte
            "=?base64?gICA?=", // not UTF-8
            "=?base64?7aCA?=", // half a surrogate pair
            "=?base64?=?base64?YWRk?=?=",
        ] {
            assert_eq!(decode(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn only_visible_ascii_is_read() {
        for value in [&b"\xc3\xa9"[..], "é".as_bytes(), b"a\x80", b"\xff", "=?base64?é?=".as_bytes()] {
            assert_eq!(decode(value), None, "{value:?}");
        }
    }

    proptest! {
            #[test]
            fn any_text_comes_back(text in any::<String>()) {
                let value = encode_header_text(&text);
                prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
                prop_assert_eq!(decode(value.as_bytes()), Some(text));
            }

            #[test]
            fn text_that_looks_encoded_comes_back(text in "(=\\?base64\\?)?[ -~]{0,12}(\\?=)?") {
    prop_assert_eq!(decode(encode_header_text(&text).as_bytes()), Some(text));
            }

            #[test]
            fn a_text_has_two_values_at_most(value in "=\\?base64\\?[A-D8+/=]{0,8}\\?=|[ -~]{0,24}") {
                let value = value.trim_matches(' ');
                if let Some(text) = decode(value.as_bytes()) {
                    let encoded = format!("{PREFIX}{}{SUFFIX}", BASE64_STANDARD.encode(&text));
                    prop_assert!(value == text || value == encoded, "{} says {:?}", value, text);
                    prop_assert!(value == encoded || !is_marked(value));
                }
            }
        }
}
