//! What an application may keep for its next start.

use std::fmt;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use throughline_proto::client::Envelope;
use throughline_proto::http::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID};
use throughline_proto::model::ServerCapabilities;
use throughline_proto::revision::Revision;

use super::ClientError;
use super::core::{Agreed, Core, Peer};
use crate::runtime;

/// What was found out about a server: keep it, and the next connection need not ask again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The revision that was agreed on.
    pub(crate) revision: Revision,
}

impl Verdict {
    /// The server is known to speak this revision, or thought to: when it does not, it is found out anew.
    pub fn new(revision: Revision) -> Self {
        Self { revision }
    }

    /// The revision that was agreed on.
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

/// A session that another process can go on with. It holds the session's id: keep it as a secret.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedSession {
    session_id: String,
    revision: Revision,
    info: Option<throughline_proto::model::Implementation>,
    #[serde(default)]
    capabilities: ServerCapabilities,
    #[serde(default)]
    instructions: Option<String>,
}

impl SavedSession {
    pub(crate) fn of(agreed: &Agreed) -> Option<Self> {
        Some(Self {
            session_id: agreed.session_id()?.to_owned(),
            revision: agreed.peer.revision,
            info: agreed.peer.info.clone(),
            capabilities: agreed.peer.capabilities.clone(),
            instructions: agreed.peer.instructions.clone(),
        })
    }

    /// Ids of requests must not be used twice in a session, and nobody knows which the process before used: these begin at
    /// one of four thousand million places.
    pub(crate) fn first_id(&self) -> i64 {
        let place = u32::from_ne_bytes(runtime::random());
        (i64::from(place) + 1) << 20
    }

    pub(crate) fn restore(self, core: &Arc<Core>) -> Result<(), ClientError> {
        let mut headers = HeaderMap::new();
        let id = HeaderValue::from_str(&self.session_id)
            .map_err(|_| ClientError::unsendable("the saved session has no id that fits in a header"))?;
        headers.insert(MCP_SESSION_ID, id);
        if self.revision.has_version_header() {
            headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(self.revision.date()));
        }
        let peer = Peer {
            revision: self.revision,
            info: self.info,
            capabilities: self.capabilities,
            instructions: self.instructions,
        };
        core.agree(Agreed { peer: Arc::new(peer), envelope: Envelope::default(), headers, generation: 1 });
        Ok(())
    }
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession").field("revision", &self.revision).finish_non_exhaustive()
    }
}
