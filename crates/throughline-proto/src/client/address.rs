use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use ::http::Uri;

/// The address of a server, checked: `http` or `https`, a host, and no user name in it. A fragment is dropped, as it is
/// never sent ([RFC 9110, 4.2](https://www.rfc-editor.org/rfc/rfc9110#section-4.2)).
///
/// ```
/// use throughline_proto::client::address;
///
/// assert_eq!(address("https://example.com/mcp?team=1#top")?, "https://example.com/mcp?team=1");
/// assert_eq!(address("http://[::1]:8808")?, "http://[::1]:8808/");
/// assert_eq!(
///     address("localhost:8808/mcp").unwrap_err().to_string(),
///     "the address `localhost:8808/mcp` has no scheme; begin it with https:// or http://",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`BadAddress`], one sentence that says what to change. It repeats neither credentials nor the query.
pub fn address(url: &str) -> Result<Uri, BadAddress> {
    let url = url.trim();
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    // Nothing of a URL that cannot be taken apart may be shown: a password could be anywhere in it.
    let shown = if url.contains('@') { "that was given".into() } else { shown(url) };
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(BadAddress(format!(
            "the address {shown} has no scheme; begin it with https:// or http://"
        )));
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(BadAddress(format!(
            "the address {shown} has a scheme that is not spoken here; it must be https or http"
        )));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(BadAddress(
            "the address holds a user name or a password, which end up in logs; take them out, and send them in an \
             `Authorization` header"
                .into(),
        ));
    }
    if !authority.is_ascii() {
        return Err(BadAddress(format!(
            "the host in the address {shown} is not ASCII; write it as punycode (xn--..)"
        )));
    }
    let uri: Uri = url
        .parse()
        .map_err(|error| BadAddress(format!("the address {shown} is none that can be read: {error}")))?;
    match (uri.host(), uri.authority().map(|authority| (authority.as_str(), authority.port_u16()))) {
        (None | Some("" | "[]"), _) | (_, None) => {
            Err(BadAddress(format!("the address {shown} has no host; write one after {scheme}://")))
        }
        // Behind a colon there is a number, or nothing at all.
        (Some(host), Some((authority, port)))
            if port == Some(0) || (port.is_none() && authority.len() > host.len()) =>
        {
            Err(BadAddress(format!("the port in the address {shown} must be a number from 1 to 65535")))
        }
        _ => Ok(uri),
    }
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAddress(String);

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadAddress {}

fn shown(url: &str) -> Cow<'_, str> {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    Cow::Owned(format!("`{}`", crate::jsonrpc::excerpt(url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        for (url, uri) in [
            ("http://localhost:8808/mcp", "http://localhost:8808/mcp"),
            (" https://example.com/a?b=c#d ", "https://example.com/a?b=c"),
            ("HTTPS://Example.com", "https://example.com/"),
            ("http://127.0.0.1", "http://127.0.0.1/"),
            ("http://[::1]:80/", "http://[::1]:80/"),
            ("http://example.com#top", "http://example.com/"),
            ("http://example.com/@scope/pkg", "http://example.com/@scope/pkg"),
            ("http://example.com?user=a@b", "http://example.com/?user=a@b"),
        ] {
            assert_eq!(address(url).unwrap(), uri, "{url}");
        }
    }

    #[test]
    fn what_is_none_says_what_to_change() {
        for (url, says) in [
            ("", "has no scheme"),
            ("example.com", "has no scheme"),
            ("localhost:1/mcp", "has no scheme"),
            ("ftp://example.com/", "must be https or http"),
            ("file:///etc/passwd", "must be https or http"),
            ("http://", "none that can be read"),
            ("http:///mcp", "none that can be read"),
            ("http://:80/", "has no host"),
            ("http://exämple.com/", "xn--"),
            ("http://example.com:99999/", "from 1 to 65535"),
            ("http://example.com:x/", "from 1 to 65535"),
            ("http://example.com:0/", "from 1 to 65535"),
            ("http://example.com:/", "from 1 to 65535"),
            ("http://exa mple.com/", "none that can be read"),
            ("https://user:hunter2@example.com/", "`Authorization` header"),
        ] {
            let error = address(url).unwrap_err().to_string();
            assert!(error.contains(says), "{url}: {error}");
        }
    }

    #[test]
    fn secrets_are_not_repeated() {
        for url in [
            "https://user:hunter2@example.com/",
            "user:hunter2@example.com",
            "ftp://user:hunter2@example.com",
            "http://exämple.com/?key=hunter2",
            "example.com/?key=hunter2",
        ] {
            assert!(!address(url).unwrap_err().to_string().contains("hunter2"), "{url}");
        }
    }
}
