//! Opening a session, and another when it is gone.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use throughline_proto::client::{
    Answered, Envelope, Negotiation, Overdue, Patience, Step, TransportChoice, TransportKind, Unreachable,
    write_call,
};
use throughline_proto::http::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use throughline_proto::jsonrpc::{self, Message, Raw, RequestId};
use throughline_proto::model::{InitializeParams, InitializeResult, Meta};
use throughline_proto::revision::Revision;
use tokio::sync::oneshot;

use super::{Http, Reading, modern_headers};
use crate::client::ClientError;
use crate::client::authorize::{Asks, in_time};
use crate::client::core::{Agreed, Core, FAREWELL, Peer, Transport};
use crate::client::negotiate::renegotiate;

impl Http {
    /// Asks for what the server is, as a client of this revision without sessions.
    pub(crate) async fn discover(&self, core: &Core, revision: Revision) -> Result<Answered, ClientError> {
        let envelope = Envelope::new(revision, &core.config.client).map_err(ClientError::unsendable)?;
        let id = RequestId::Number(core.next_id());
        let params = Raw::empty_object();
        let mut body = BytesMut::new();
        write_call(&mut body, &id, "server/discover", &params, &Meta::new(), &envelope)
            .map_err(|error| ClientError::unsendable(error.message))?;
        let mut headers = HeaderMap::new();
        modern_headers(&mut headers, revision.date(), "server/discover", &params)?;
        Ok(self.ask(core, &id, body.freeze(), &headers).await?.0)
    }

    /// Asks for a session of this revision. The headers are those of the response.
    pub(crate) async fn initialize(
        &self,
        core: &Core,
        revision: Revision,
    ) -> Result<(Answered, HeaderMap), ClientError> {
        let id = RequestId::Number(core.next_id());
        let body = write_initialize(core, &id, revision)?;
        self.ask(core, &id, body, &HeaderMap::new()).await
    }

    /// The session is open.
    pub(crate) async fn begin(
        &self,
        core: &Arc<Core>,
        revision: Revision,
        result: InitializeResult,
        answered: &HeaderMap,
        generation: u64,
    ) -> Result<(), ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(id) = answered.get(MCP_SESSION_ID) {
            // https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management
            if id.is_empty() || !id.as_bytes().iter().all(u8::is_ascii_graphic) {
                return Err(ClientError::peer("the id of its session is no visible ASCII"));
            }
            headers.insert(MCP_SESSION_ID, id.clone());
        }
        if revision.has_version_header() {
            headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(revision.date()));
        }
        let agreed = Agreed {
            peer: Arc::new(Peer::of_initialize(revision, result)),
            envelope: Envelope::default(),
            headers,
            generation,
        };
        let mut message = BytesMut::new();
        jsonrpc::write_notification(&mut message, "notifications/initialized", None::<&()>)
            .map_err(ClientError::unsendable)?;
        core.send_in(&agreed, message.freeze()).await?;
        core.agree(agreed);
        Ok(())
    }

    /// Opens another session, as the server no longer knows the one of this generation. Of many who ask at the same time one
    /// does it. It is done by a task, so that it is not left half way when the call gives up that asked for it.
    pub(crate) async fn renew(&self, core: &Arc<Core>, generation: u64) -> Result<(), ClientError> {
        let renewing = Arc::clone(&self.renewing).lock_owned().await;
        if core.agreed().generation != generation {
            return Ok(());
        }
        tracing::info!("the server no longer knows the session: another is opened");
        let (told, opened) = oneshot::channel();
        let opening = Arc::clone(core);
        core.spawn(async move {
            let patience = opening.config.patience;
            let authorizing = opening.config.authorizing.as_ref();
            let opened = in_time(authorizing, patience.timeout, open_another(&opening))
                .await
                .unwrap_or_else(|| Err(ClientError::timeout(Overdue::Silent, patience)));
            // What the session before was told comes before whatever waits for this one.
            if matches!(opened, Ok(true))
                && in_time(authorizing, patience.timeout, opening.restore_settings()).await.is_none()
            {
                tracing::warn!("the new session could not be told its settings in time");
            }
            drop(renewing);
            // Nobody may be there any more.
            let _ = told.send(opened.map(drop));
        });
        // Closed, unless it says otherwise: then its tasks were ended.
        opened.await.unwrap_or_else(|_| Err(ClientError::closed()))
    }

    /// Ends the session. A server that does not let clients do so (405) ends it by itself; see
    /// [session management](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#session-management).
    pub(crate) async fn end_session(&self, agreed: &Agreed) -> Result<(), ClientError> {
        let ending = async {
            let response =
                self.line.send(Method::DELETE, Bytes::new(), &agreed.headers, Asks::Nobody).await?;
            Reading::new(response).await
        };
        let ended = tokio::time::timeout(FAREWELL, ending).await.unwrap_or_else(|_| {
            let patience = Patience { timeout: FAREWELL, ..Patience::default() };
            Err(ClientError::timeout(Overdue::Silent, patience))
        });
        match ended {
            Err(error)
                if matches!(error.status(), Some(StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_FOUND)) =>
            {
                Ok(())
            }
            // Whatever the body of a success is, nobody reads it.
            Err(error) if !error.is_protocol_violation() => Err(error),
            _ => Ok(()),
        }
    }

    /// Posts a request of the handshake and waits for its answer.
    async fn ask(
        &self,
        core: &Core,
        id: &RequestId,
        body: Bytes,
        headers: &HeaderMap,
    ) -> Result<(Answered, HeaderMap), ClientError> {
        let read = match self.line.send(Method::POST, body, headers, Asks::Person).await {
            Ok(response) => Reading::new(response).await,
            Err(error) => Err(error),
        };
        let mut reading = match read {
            Ok(reading) => reading,
            // Whatever it speaks, it speaks to others only.
            Err(error) if error.is_login_failed() || error.is_challenged() => return Err(error),
            Err(error) => {
                let answered = match (error.status(), error.error()) {
                    (Some(status), Some(object)) => Answered::Error(status, object.clone()),
                    (Some(status), None) => Answered::Refused(status),
                    _ if error.is_protocol_violation() => Answered::NotMcp(error.detail()),
                    _ => return Err(error),
                };
                return Ok((answered, HeaderMap::new()));
            }
        };
        let answered_headers = reading.headers.clone();
        while let Some(received) = reading.next().await? {
            if let Some(Ok(Message::Response(response))) = received.message
                && response.id.as_ref().is_none_or(|answered| answered == id)
            {
                let answered = match response.outcome {
                    Ok(result) => Answered::Result(result),
                    Err(error) => Answered::Error(reading.status, error),
                };
                self.finish(core, reading).await;
                return Ok((answered, answered_headers));
            }
        }
        Ok((Answered::NotMcp("its response holds no answer".into()), answered_headers))
    }
}

/// Whether the server was there and would open no session.
fn is_refused(why: &Unreachable) -> bool {
    match why {
        Unreachable::Refused(status, _) => status.is_client_error(),
        Unreachable::Answered(_) | Unreachable::NoRevision(_) => true,
        Unreachable::TimedOut | Unreachable::NotMcp(_) => false,
    }
}

/// Opens a session like the one that is agreed on now. False when the server turned out to know no sessions any more.
async fn open_another(core: &Arc<Core>) -> Result<bool, ClientError> {
    let Transport::Http(http) = &core.transport else { unreachable!("only HTTP has sessions to open anew") };
    let agreed = core.agreed();
    let (answered, headers) = http.initialize(core, agreed.peer.revision).await?;
    let mut negotiation =
        Negotiation::new(TransportKind::Http, TransportChoice::Streamable, core.config.pinned);
    match negotiation.handle_initialize(answered) {
        Step::Legacy(revision, result) => {
            http.begin(core, revision, *result, &headers, agreed.generation + 1).await.map(|()| true)
        }
        Step::Fail(why) if is_refused(&why) && renegotiate(core, &agreed).await => Ok(false),
        Step::Fail(why) => Err(ClientError::unreachable(why)),
        _ => Err(ClientError::refused(StatusCode::UNAUTHORIZED, None, None)),
    }
}

/// The request that opens a session.
pub(crate) fn write_initialize(
    core: &Core,
    id: &RequestId,
    revision: Revision,
) -> Result<Bytes, ClientError> {
    let client = core.config.client.clone();
    let info = client.info.unwrap_or_else(crate::client::connect::default_info);
    let params = InitializeParams::new(revision.date(), client.capabilities, info);
    let mut body = BytesMut::new();
    jsonrpc::write_request(&mut body, id, "initialize", &params).map_err(ClientError::unsendable)?;
    Ok(body.freeze())
}
