//! What stands in for a response that the log cannot hold or did not take.

use bytes::{Bytes, BytesMut};
use throughline_proto::jsonrpc::{
    self, ErrorCode, ErrorObject, Frame, Message, ParseLimits, RequestId, write_error,
};

/// For a response larger than a stream may be: the same response, as an error.
pub(super) fn too_large(out: &mut BytesMut, frame: &[u8], largest: usize) {
    let id = response_id(&data_of(frame)).flatten();
    let message = format!(
        "the response has {} bytes and its connection was lost; only responses of less than {largest} bytes can be resumed",
        frame.len()
    );
    write_error(out, id.as_ref(), &ErrorObject::new(ErrorCode::INTERNAL_ERROR, message));
}

/// For a response that the event store did not take: the same response, as an error. `None` when it is no response.
pub(super) fn not_stored(message: &Bytes) -> Option<BytesMut> {
    let id = response_id(message)?;
    let why = "the server could not keep the events of this call, so it failed; try again";
    let mut out = BytesMut::new();
    write_error(&mut out, id.as_ref(), &ErrorObject::new(ErrorCode::INTERNAL_ERROR, why));
    Some(out)
}

/// The message in an event.
pub(crate) fn data_of(frame: &[u8]) -> Bytes {
    let lines: Vec<&[u8]> =
        frame.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"data: ")).collect();
    lines.join(&b'\n').into()
}

/// The id of a response; `None` when the message is none.
fn response_id(message: &Bytes) -> Option<Option<RequestId>> {
    match jsonrpc::parse(message, &ParseLimits::default()) {
        Ok(Frame::Single(Message::Response(response))) => Some(response.id),
        _ => None,
    }
}
