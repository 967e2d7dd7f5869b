//! Where a client of HTTP+SSE posts its messages: the address names the session
//! ([HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse)).

use std::borrow::Cow;

use super::headers::MAX_ID;
use super::{Refusal, RefusalKind};

/// The data of the event `endpoint`: `path`, and the session in its query. What an address cannot carry as it is, is
/// percent-encoded.
///
/// It has no host on purpose: a client resolves it against the address that it opened the stream at, so it holds behind
/// proxies too.
///
/// ```
/// use throughline_proto::http::{message_address, session_in_query};
///
/// let address = message_address("/messages", "a+b");
/// assert_eq!(address, "/messages?sessionId=a%2Bb");
/// assert_eq!(session_in_query(address.split_once('?').map(|(_, query)| query))?, "a+b");
/// # Ok::<(), throughline_proto::http::Refusal>(())
/// ```
#[must_use]
pub fn message_address(path: &str, session: &str) -> String {
    let mut address = String::with_capacity(path.len() + 1 + PARAMETER.len() + 1 + session.len());
    address.push_str(path);
    address.push('?');
    address.push_str(PARAMETER);
    address.push('=');
    for byte in session.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            address.push(char::from(byte));
        } else {
            address.push('%');
            for half in [byte >> 4, byte & 15] {
                address.push(char::from(HEX[usize::from(half)]));
            }
        }
    }
    address
}

/// The session that the query of a POST names: 1 to 256 bytes of visible ASCII. Other parameters are ignored: a proxy may
/// have added them.
///
/// # Errors
///
/// [`RefusalKind::MissingSession`] when it names none, [`RefusalKind::InvalidRequest`] when it names two, or something that
/// is no id.
pub fn session_in_query(query: Option<&str>) -> Result<Cow<'_, str>, Refusal> {
    let parameters = query.unwrap_or_default().split('&');
    let mut named = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (name == PARAMETER).then_some(value)
    });
    let Some(value) = named.next() else {
        return Err(Refusal::new(RefusalKind::MissingSession).with_message(MISSING));
    };
    // Proxies and servers disagree on which of several counts.
    let id = if named.next().is_none() { decode(value) } else { None };
    id.filter(|id| !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or_else(|| Refusal::new(RefusalKind::InvalidRequest).with_message(INVALID))
}

/// The text that was percent-encoded; `None` when it was not done right, or is no text.
fn decode(value: &str) -> Option<Cow<'_, str>> {
    // Three bytes for each at most: what is longer is no id.
    if value.len() > 3 * MAX_ID {
        return None;
    }
    if !value.contains('%') {
        return Some(Cow::Borrowed(value));
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (code, after) = rest.split_at_checked(2)?;
        let [high, low] = [code[0], code[1]].map(|digit| char::from(digit).to_digit(16));
        bytes.push(u8::try_from(high? << 4 | low?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// What other servers of this transport call it too, and some clients look for.
const PARAMETER: &str = "sessionId";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

const MISSING: &str = "The address names no session. Open the stream with GET, and post to the address that its first event gives.";
const INVALID: &str = "The address must name one session. Post to the address that the first event of the stream gave, as it is.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_was() {
        for id in ["1868a90c", "a b", "a&sessionId=b", "100%", "~._-", "a/b?c#d", "\"'<>", &"x".repeat(256)] {
            let address = message_address("/m", id);
            let (path, query) = address.split_once('?').unwrap();
            assert_eq!(path, "/m");
            assert!(address.parse::<::http::Uri>().is_ok(), "{address}");
            match session_in_query(Some(query)) {
                Ok(found) => assert_eq!(found, id),
                Err(_) => assert!(id.contains(' '), "{id}"),
            }
        }
    }

    #[test]
    fn an_address_names_one_session() {
        for (query, expected) in [
            (Some("sessionId=a"), Ok("a")),
            (Some("x=1&sessionId=a&y"), Ok("a")),
            (Some("sessionId=%61"), Ok("a")),
            (None, Err(RefusalKind::MissingSession)),
            (Some(""), Err(RefusalKind::MissingSession)),
            (Some("session_id=a&sessionid=b"), Err(RefusalKind::MissingSession)),
            (Some("sessionId"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId="), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=a&sessionId=a"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=a&sessionId=b"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=%"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=%6"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=%+6"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=%zz"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=%ff"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=a%0d%0ab"), Err(RefusalKind::InvalidRequest)),
            (Some("sessionId=a%20b"), Err(RefusalKind::InvalidRequest)),
        ] {
            let found = session_in_query(query);
            assert_eq!(found.as_deref().map_err(Refusal::kind), expected, "{query:?}");
        }
        for long in ["a".repeat(257), "%61".repeat(257), "%61".repeat(100_000)] {
            assert!(session_in_query(Some(&format!("sessionId={long}"))).is_err());
        }
    }
}
