//! CORS: pages of named origins may call the server from a browser
//! ([Fetch](https://fetch.spec.whatwg.org/#http-cors-protocol)).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue, VARY,
};
use http::{Response, StatusCode};

use super::{ResponseBody, respond};

/// The answer to a preflight: the methods and headers of the protocol.
pub(super) fn preflight(stateless: bool) -> Response<ResponseBody> {
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    let methods = if stateless { "POST" } else { "GET, POST, DELETE" };
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "Authorization, Content-Type, Accept, Mcp-Session-Id, MCP-Protocol-Version, Last-Event-ID",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// Lets the page read the answer and the headers that the protocol needs.
pub(super) fn expose(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Mcp-Session-Id, Retry-After"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}
