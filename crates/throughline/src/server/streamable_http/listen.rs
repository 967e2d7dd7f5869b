//! `subscriptions/listen`: a POST whose answer tells of changes for as long as it takes.

use http::Response;
use throughline_proto::http::{Accepts, Refusal, RefusalKind};
use throughline_proto::jsonrpc::Request;

use super::endpoint::Endpoint;
use super::{ResponseBody, respond};
use crate::handler::Caller;
use crate::server::shares::Part;
use crate::server::who::Who;

/// Answers with a stream, whatever the endpoint's mode: there is no other form for it.
pub(super) fn answer(
    endpoint: &Endpoint,
    who: &Who,
    request: &Request,
    caller: Caller,
    accepts: Accepts,
) -> Result<Response<ResponseBody>, Refusal> {
    let refuse = |refusal: Refusal| refusal.with_id(request.id.clone());
    if !accepts.sse {
        let why = "Changes are told in a stream. Send: Accept: application/json, text/event-stream";
        return Err(refuse(Refusal::new(RefusalKind::NotAcceptable).with_message(why)));
    }
    let listening = endpoint.modern.listening(&*endpoint.handler, request).map_err(refuse)?;
    let held = endpoint.take(who, Part::Stream).map_err(refuse)?;
    let seat = endpoint.listeners.open(listening, caller).map_err(refuse)?;
    let server_info = endpoint.modern.extras().server_info.clone();
    Ok(respond::events(ResponseBody::listen(seat).bound(who.expiry(), held).of_server(server_info)))
}
