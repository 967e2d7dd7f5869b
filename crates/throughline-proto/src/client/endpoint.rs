use std::error::Error;
use std::fmt;

use ::http::Uri;

use super::redirect::{resolve, same_origin, shown};
use crate::jsonrpc::excerpt;

/// Where messages go, by what a server of HTTP+SSE told in the `endpoint` event of the stream at `stream`: an address, or
/// a reference that is resolved against the stream's own. It must be of the same origin, as the client's credentials go
/// there.
///
/// Specification: [HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse).
///
/// ```
/// use http::Uri;
/// use throughline_proto::client::message_endpoint;
///
/// let stream = Uri::from_static("https://example.com/tools/sse");
/// assert_eq!(message_endpoint(&stream, "/messages?sessionId=7")?, "https://example.com/messages?sessionId=7");
/// assert_eq!(message_endpoint(&stream, "messages")?, "https://example.com/tools/messages");
/// assert!(message_endpoint(&stream, "https://other.example/messages").is_err());
/// # Ok::<(), throughline_proto::client::BadEndpoint>(())
/// ```
///
/// # Errors
///
/// [`BadEndpoint`], one sentence that names the address without its query, as there is the session's id in it.
pub fn message_endpoint(stream: &Uri, told: &str) -> Result<Uri, BadEndpoint> {
    let told = told.trim();
    let Some(endpoint) = Some(told).filter(|told| !told.is_empty()).and_then(|told| resolve(stream, told))
    else {
        let told = told.split(['?', '#']).next().unwrap_or_default();
        return Err(BadEndpoint(format!("its `endpoint` event holds no address: `{}`", excerpt(told))));
    };
    if !same_origin(stream, &endpoint) {
        return Err(BadEndpoint(format!(
            "its `endpoint` event names `{}`, which is another origin than that of its stream, `{}`, so nothing is sent \
             there; behind a proxy the server must be told its public address",
            shown(&endpoint),
            shown(stream)
        )));
    }
    Ok(endpoint)
}

/// Why there is no address for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadEndpoint(String);

impl fmt::Display for BadEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadEndpoint {}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(endpoint: &str) -> Result<String, String> {
        let stream = Uri::from_static("http://localhost:8808/v1/sse?team=1");
        message_endpoint(&stream, endpoint).map(|uri| uri.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn references_are_resolved_against_the_stream() {
        for (endpoint, address) in [
            ("/messages/?session_id=7", "http://localhost:8808/messages/?session_id=7"),
            ("messages?s=7", "http://localhost:8808/v1/messages?s=7"),
            ("?s=7", "http://localhost:8808/v1/sse?s=7"),
            ("http://localhost:8808/m?s=7", "http://localhost:8808/m?s=7"),
            (" /m\t", "http://localhost:8808/m"),
        ] {
            assert_eq!(told(endpoint).as_deref(), Ok(address));
        }
    }

    #[test]
    fn other_origins_are_refused_without_their_query() {
        for endpoint in [
            "https://localhost:8808/m?s=secret",
            "http://localhost/m?s=secret",
            "http://127.0.0.1:8808/m?s=secret",
            "//other.example/m?s=secret",
            "http://user:secret@localhost:8808/m",
        ] {
            let error = told(endpoint).unwrap_err();
            assert!(error.contains("another origin") && !error.contains("secret"), "{error}");
        }
        for endpoint in ["", " ", "a b?s=secret"] {
            let error = told(endpoint).unwrap_err();
            assert!(error.contains("no address") && !error.contains("secret"), "{error}");
        }
    }
}
