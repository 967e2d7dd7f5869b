//! Who calls.

use std::sync::Arc;

use throughline_proto::revision::Revision;
use throughline_proto::session::Client;

/// Who a client is proven to be: the identity that a session is bound to.
///
/// Two requests with the same principal belong together; a token is no part of it, because tokens change.
/// Its `Debug` form is safe to log.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Principal {
    /// Who vouches: the issuer of the token, or a name of your own.
    pub issuer: Arc<str>,
    /// Whom it stands for.
    pub subject: Arc<str>,
    /// The client program that acts, where it is known.
    pub client: Option<Arc<str>>,
}

impl Principal {
    /// A principal without a client.
    pub fn new(issuer: impl Into<Arc<str>>, subject: impl Into<Arc<str>>) -> Self {
        Self { issuer: issuer.into(), subject: subject.into(), client: None }
    }
}

/// Who sent a call: the client's own words about itself, and the principal it is proven to be.
#[derive(Clone, Debug)]
pub struct Caller {
    revision: Revision,
    client: Option<Client>,
    principal: Option<Principal>,
}

impl Caller {
    pub(crate) fn new(revision: Revision, client: Option<Client>, principal: Option<Principal>) -> Self {
        Self { revision, client, principal }
    }

    /// The protocol revision in use.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Name, version and capabilities of the client; `None` where it said nothing (`stateless_http`).
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Who the client is proven to be; `None` without a principal hook.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }
}
