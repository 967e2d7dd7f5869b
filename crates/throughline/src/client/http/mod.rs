//! Streamable HTTP, from the client's side: every request has a response of its own, which is followed through as many
//! connections as it takes.
//!
//! ```text
//!   exchange --> POST --> Reading: 202, one JSON body, or a stream of events
//!                            |
//!                            v
//!                 Following (the engine): the stream ended without the answer
//!                            |-- there is a cursor: GET with Last-Event-ID, and on
//!                            |-- there is none: the outcome is unknown
//!                            v
//!                 404: the session is gone; a POST never ran, so it is repeated once in a new one
//! ```
//!
//! Specification: [with sessions](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http),
//! [without](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http).

mod follow;
mod reading;
mod session;
mod standalone;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{HeaderMap, HeaderValue};
use throughline_proto::client::{Ending, write_call};
use throughline_proto::http::{
    MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, MCP_SESSION_ID, encode_header_text, routing_name,
};
use throughline_proto::jsonrpc::{self, ErrorCode, Raw};
use tokio::sync::{Mutex, Semaphore, watch};

pub(crate) use reading::{MAX_EVENT, Reading, messages};
pub(crate) use session::write_initialize;
pub(crate) use standalone::keep_open;

use super::ClientError;
use super::authorize::Asks;
use super::call::{Spec, request_id};
use super::core::{Agreed, Core};
use super::in_flight::Pending;
use super::line::Line;
use super::negotiate::renegotiate;
use super::observed::LastForm;
use crate::runtime;

/// The way to one endpoint.
pub(crate) struct Http {
    pub(crate) line: Line,
    /// Held while a session is opened anew.
    renewing: Arc<Mutex<()>>,
    /// The generation of the session that is open, for who reads streams of the one before.
    pub(crate) generation: watch::Sender<u64>,
    /// How the last call was answered.
    pub(crate) form: LastForm,
    /// Taken by each response whose answer came before its end.
    finishing: Arc<Semaphore>,
}

impl Http {
    pub(crate) fn new(line: Line) -> Self {
        Self {
            line,
            renewing: Arc::default(),
            generation: watch::Sender::new(0),
            form: LastForm::default(),
            finishing: Arc::new(Semaphore::new(MOST_FINISHING)),
        }
    }

    /// Posts a message that is not answered.
    pub(crate) async fn post(&self, agreed: &Agreed, message: Bytes, asks: Asks) -> Result<(), ClientError> {
        let response = self.line.send(Method::POST, message, &agreed.headers, asks).await?;
        if response.status().is_success() {
            // Whatever it says beside that, nobody reads it.
            return Ok(());
        }
        Reading::new(response).await.map(drop)
    }

    /// Posts a notification, with the headers that a POST of the revision has. Where the session is unknown it was not taken
    /// in, so it goes to another once.
    pub(crate) async fn notify(
        &self,
        core: &Arc<Core>,
        method: &str,
        message: Bytes,
    ) -> Result<(), ClientError> {
        let mut agreed = Agreed::clone(&core.agreed());
        if agreed.peer.revision.is_modern() {
            let date = agreed.peer.revision.date();
            modern_headers(&mut agreed.headers, date, method, &Raw::empty_object())?;
        }
        match core.send_in(&agreed, message.clone()).await {
            Err(error) if error.is_session_gone() && core.config.renews && agreed.session_id().is_some() => {
                self.renew(core, agreed.generation).await?;
                core.send_in(&core.agreed(), message).await
            }
            sent => sent,
        }
    }

    /// Makes a call: sends its request, and follows its stream to the answer.
    pub(crate) async fn exchange(
        &self,
        core: &Arc<Core>,
        pending: &Arc<Pending>,
        spec: &Spec,
        params: &Raw,
    ) -> Result<Raw, ClientError> {
        if let Some(token) = &spec.resume {
            return self.resume(core, pending, &core.agreed(), token).await;
        }
        let (mut renewed, mut refreshed, mut renegotiated) = (spec.stays, false, spec.stays);
        loop {
            let agreed = core.agreed();
            pending.set_generation(agreed.generation);
            let id = pending.id();
            let mut body = BytesMut::new();
            write_call(
                &mut body,
                &request_id(id),
                &spec.method,
                params,
                &spec.own_meta(id),
                &agreed.envelope,
            )
            .map_err(|error| ClientError::unsendable(error.message))?;
            let headers = self.headers(core, &agreed, &spec.method, params)?;
            let response = self.line.post_marking(body.freeze(), &headers, pending.sent_mark()).await;
            let error = match response {
                Ok(response) => match Reading::new(response).await {
                    Ok(reading) => {
                        self.form.set(reading.is_stream());
                        check_session(&agreed, &reading.headers);
                        return self.follow(core, pending, &agreed, reading).await;
                    }
                    Err(error) => error.after_sending(),
                },
                Err(error) => error.after_sending(),
            };
            if !error.is_outcome_unknown() {
                // Refused, or never sent: there is nothing to take back.
                pending.set_answered();
            }
            let may_renew = core.config.renews && agreed.session_id().is_some();
            if error.is_session_gone() && may_renew && !renewed {
                // It never ran: https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
                renewed = true;
                self.renew(core, agreed.generation).await?;
            } else if is_mismatch(&error) && !refreshed && core.knows_better_headers(&spec.method).await {
                refreshed = true;
            } else if error.raises_doubt(agreed.peer.revision)
                && !std::mem::replace(&mut renegotiated, true)
                && renegotiate(core, &agreed).await
            {
                // It never ran, and what it is like is another thing now.
            } else {
                return Err(error);
            }
            core.in_flight.renew(pending, core.next_id());
        }
    }

    /// Lets a response come to its end after its answer, where it has not yet, without waiting for it.
    pub(super) async fn finish(&self, core: &Core, mut reading: Reading) {
        if reading.skip_arrived().await {
            return;
        }
        // With more than these at a time, the server is one that does not end its streams.
        if let Ok(permit) = Arc::clone(&self.finishing).try_acquire_owned() {
            core.spawn(async move {
                reading.finish().await;
                drop(permit);
            });
        }
    }

    /// The headers of a request.
    fn headers(
        &self,
        core: &Core,
        agreed: &Agreed,
        method: &str,
        params: &Raw,
    ) -> Result<HeaderMap, ClientError> {
        let mut headers = agreed.headers.clone();
        if agreed.peer.revision.is_modern() {
            modern_headers(&mut headers, agreed.peer.revision.date(), method, params)?;
            core.add_param_headers(&mut headers, method, params)?;
        }
        Ok(headers)
    }
}

/// As many connections as are kept for a second at most by a server that does not end its streams.
const MOST_FINISHING: usize = 16;

/// Adds what a request of the modern era repeats in its headers; see
/// [request metadata](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#request-metadata).
pub(crate) fn modern_headers(
    headers: &mut HeaderMap,
    date: &'static str,
    method: &str,
    params: &Raw,
) -> Result<(), ClientError> {
    headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(date));
    headers.insert(MCP_METHOD, encode_header_text(method));
    let outline = jsonrpc::outline(Some(params)).map_err(|error| ClientError::unsendable(error.message))?;
    if let Some(name) = routing_name(method, &outline) {
        headers.insert(MCP_NAME, encode_header_text(&name));
    }
    Ok(())
}

fn is_mismatch(error: &ClientError) -> bool {
    error.error().is_some_and(|error| error.code == ErrorCode::HEADER_MISMATCH)
}

/// A server may not give a session another id on its way: it goes on under the one that it was opened with; see
/// [session management](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management).
fn check_session(agreed: &Agreed, answered: &HeaderMap) {
    if let (Some(ours), Some(theirs)) = (agreed.headers.get(MCP_SESSION_ID), answered.get(MCP_SESSION_ID))
        && ours != theirs
    {
        tracing::warn!("the server answered with the id of another session; the one that was opened is kept");
    }
}

/// What the end of a connection is to the engine.
pub(crate) fn ending_of(error: &ClientError) -> Ending<'_> {
    match error.status() {
        Some(status) => Ending::Refused { status, error: error.error(), retry_after: error.retry_after() },
        None => Ending::Lost,
    }
}

/// A random number for the engine.
pub(crate) fn dice() -> u32 {
    u32::from_ne_bytes(runtime::random())
}
