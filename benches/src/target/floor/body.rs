//! What the floor answers with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;
use tokio::sync::mpsc::UnboundedReceiver;

use super::events::Writing;
use crate::scenario::JSON;

pub(super) type Answer = Response<Content>;

pub(super) enum Content {
    /// All of it, with its length.
    Whole(Option<Bytes>),
    /// What a stream that listens is told.
    Told(UnboundedReceiver<Bytes>),
    /// Progress, made as it is written.
    Counted(Writing),
    /// Something first, and then a stream that stays open.
    Open(Option<Bytes>),
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take()),
            Self::Told(receiver) => receiver.poll_recv(cx),
            Self::Counted(writing) => Poll::Ready(writing.frame()),
            Self::Open(first) => first.take().map_or(Poll::Pending, |first| Poll::Ready(Some(first))),
        };
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}

pub(super) fn with(media_type: &'static str, content: Content) -> Answer {
    let mut response = Response::new(content);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

pub(super) fn whole(media_type: &'static str, body: Vec<u8>) -> Answer {
    with(media_type, Content::Whole(Some(body.into())))
}

pub(super) fn refuse(id: &RawValue, code: i32, text: &str) -> Answer {
    let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}"}}}}"#);
    whole(JSON, error.into_bytes())
}

pub(super) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Content::Whole(None));
    *response.status_mut() = status;
    response
}
