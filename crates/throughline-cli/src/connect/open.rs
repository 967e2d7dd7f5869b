//! The way to the server, once the host says of which era it is.

use std::sync::Arc;

use serde_json::json;
use throughline::jsonrpc::{self, ErrorCode, ErrorObject, MetaOutline, Raw, Request};
use throughline::model::{ClientCapabilities, Implementation, InitializeParams, InitializeResult};
use throughline::revision::Revision;
use throughline::{Client, Connect, Verdict};

use super::calls::{fail, pass, refuse, to_object, what_to_do};
use super::host::{Host, Session};
use super::out::Reply;
use crate::Stop;

impl Host {
    /// The host opens a session: the server is asked for one too, and spoken to otherwise if it has none.
    ///
    /// # Errors
    ///
    /// When the server cannot be had: without it there is nothing to be done here.
    pub(super) async fn open(self: &Arc<Self>, request: &Request, reply: &Reply) -> Result<(), Stop> {
        let params = request.params.clone().unwrap_or_else(Raw::empty_object);
        let init: InitializeParams = match params.parse() {
            Ok(init) => init,
            Err(error) => {
                let why = format!("The params of `initialize` cannot be read: {}", jsonrpc::reason(&error));
                fail(reply, Some(&request.id), &ErrorObject::new(ErrorCode::INVALID_PARAMS, why));
                return Ok(());
            }
        };
        let wanted = Revision::negotiate(&init.protocol_version);
        // Nothing of the server's may come before the answer.
        self.out.hold();
        let connect = self
            .connect(init.client_info, init.capabilities)
            .session_revision(wanted)
            .verdict(Verdict::new(wanted))
            // A server without sessions tells those who listen; what it tells is passed on as it comes.
            .on_tools_changed(|| {})
            .on_prompts_changed(|| {})
            .on_resources_changed(|| {})
            .on_resource_updated(|_| {});
        let connect = {
            let (out, questions) = (self.out.clone(), self.questions.clone());
            connect.on_notification(move |notification| match &*notification.method {
                "notifications/cancelled" => questions.withdraw(notification.params.as_ref()),
                // Of the client's own subscription.
                "notifications/subscriptions/acknowledged" => {}
                _ => pass(&out, notification, None),
            })
        };
        let client = match connect.await {
            Ok(client) => client,
            Err(error) => {
                self.out.release();
                fail(reply, Some(&request.id), &to_object(&error));
                return Err(Stop::failure(format!("error: {}", what_to_do(&error))));
            }
        };
        let peer = client.peer();
        tracing::info!(revision = %peer.revision, "connected");
        let revision = if peer.revision.is_modern() { wanted } else { peer.revision };
        let info = peer.info.clone().unwrap_or_else(|| Implementation::new("unknown", "0"));
        let mut result = InitializeResult::new(revision.date(), peer.capabilities.clone(), info);
        result.instructions = peer.instructions.clone().map(Into::into);
        reply.send(|out| {
            let _ = jsonrpc::write_result(out, &request.id, &result);
        });
        self.set_session(Session { client, revision });
        Ok(())
    }

    /// The host speaks of no sessions: its requests go on as they are, if the server speaks so too. Else it is answered, so that
    /// it falls back to `initialize`.
    pub(super) async fn open_modern(
        self: &Arc<Self>,
        request: &Request,
        meta: &MetaOutline<'_>,
        reply: &Reply,
    ) -> Option<Client> {
        if self.target.revision().is_some_and(|pinned| !pinned.is_modern()) {
            self.fall_back(request, reply);
            return None;
        }
        let params = request.params.as_ref();
        let part = |part: Option<jsonrpc::Part<'_>>| Some(params?.slice(part?));
        let info = part(meta.client_info).and_then(|info| info.parse::<Implementation>().ok());
        let info = info.unwrap_or_else(|| Implementation::new("throughline", env!("CARGO_PKG_VERSION")));
        let capabilities = part(meta.client_capabilities).and_then(|all| all.parse().ok());
        // What the server tells comes with the calls that it belongs to.
        let connect = self.connect(info, capabilities.unwrap_or_default()).revision(Revision::LATEST);
        match connect.await {
            Ok(client) => {
                tracing::info!(revision = %client.revision(), "connected");
                Some(client)
            }
            Err(error) if error.is_connection_lost() || error.is_unauthorized() || error.is_timeout() => {
                fail(reply, Some(&request.id), &to_object(&error));
                None
            }
            Err(error) => {
                tracing::debug!(%error, "the server speaks no revision without sessions");
                self.fall_back(request, reply);
                None
            }
        }
    }

    /// The host is served when it falls back: any code that is none of the modern era's has it do so; see
    /// [stdio](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio#backward-compatibility).
    fn fall_back(&self, request: &Request, reply: &Reply) {
        refuse(
            reply,
            Some(&request.id),
            "The server behind this one needs a session. Send initialize first.",
        );
    }

    /// What clients of both eras are told. `Connect::cache` is off: what the host asks for is asked of the server.
    fn connect(&self, info: Implementation, capabilities: ClientCapabilities) -> Connect {
        let questions = self.questions.clone();
        self.target
            .connect()
            .info(info)
            .capabilities(capabilities)
            .cache(false)
            .on_request(move |question| questions.clone().ask(question))
    }
}

/// The host's revision is none that can be spoken without sessions; see
/// [versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning).
pub(super) fn unsupported(requested: &str) -> ErrorObject {
    let supported = Revision::MODERN.map(Revision::date);
    ErrorObject::new(
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION,
        format!("Unsupported protocol version. Use one of {}.", Revision::modern_dates()),
    )
    .with_data(&json!({ "supported": supported, "requested": jsonrpc::excerpt(requested).to_string() }))
}
