//! GET: opens the stream of a session, whose first event says where its messages are posted
//! ([HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse)).

use std::sync::Arc;

use http::Response;
use http::request::Parts;
use throughline_proto::http::{Refusal, RefusalKind, accepts};

use super::link::LinkStream;
use super::paths::Paths;
use crate::server::ResponseBody;
use crate::server::streamable_http::{Endpoint, of_session, respond, version};
use crate::server::who::Who;

pub(super) fn answer(
    endpoint: &Arc<Endpoint>,
    paths: &Paths,
    parts: &Parts,
    who: &Who,
) -> Result<Response<ResponseBody>, Refusal> {
    if !accepts(&parts.headers).sse {
        let why = "a GET opens a stream of events; send: Accept: text/event-stream";
        return Err(Refusal::new(RefusalKind::NotAcceptable).with_message(why));
    }
    of_session(version(parts))?;
    if endpoint.is_draining() {
        return Err(Refusal::new(RefusalKind::Draining));
    }
    endpoint.check_sender(who, parts)?;
    // A `Last-Event-ID` has no effect: no event has an id, and a client that comes back begins anew.
    let link = endpoint.open_link(who)?;
    link.pipe().send_event("endpoint", paths.address(link.id.as_str()).as_bytes());
    Ok(respond::events(ResponseBody::link(LinkStream::new(Arc::clone(endpoint), link))))
}
