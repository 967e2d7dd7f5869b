//! Responses, by kind.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use throughline_proto::http::Refusal;

use super::ResponseBody;

/// A status and nothing else.
pub(in crate::server) fn empty(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}

/// One JSON body.
pub(super) fn json(body: Bytes) -> Response<ResponseBody> {
    with_headers(&JSON, ResponseBody::full(body))
}

/// A stream of events, that no cache keeps and no proxy holds back.
pub(in crate::server) fn events(body: ResponseBody) -> Response<ResponseBody> {
    with_headers(&EVENTS, body)
}

fn with_headers(headers: &HeaderMap, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    response.headers_mut().clone_from(headers);
    response
}

/// A refusal: its status, and a JSON-RPC error that says what to do.
#[cold]
pub(in crate::server) fn refuse(refusal: &Refusal) -> Response<ResponseBody> {
    tracing::debug!(status = refusal.status().as_u16(), reason = refusal.message(), "refused a request");
    let mut body = BytesMut::new();
    refusal.write(&mut body);
    let mut response = json(body.freeze());
    *response.status_mut() = refusal.status();
    if let Some(allow) = refusal.allow() {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(wait) = refusal.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
    }
    if let Some(challenge) = refusal.challenge() {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge.clone());
    }
    response
}

// Copied for each response: a copy costs half as much as to insert them one by one.
static JSON: LazyLock<HeaderMap> =
    LazyLock::new(|| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]));
static EVENTS: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ])
});

/// Read by nginx and its kin: they would hold events back until a buffer is full.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
