//! Who calls.

use std::sync::{Arc, OnceLock};

use throughline_proto::auth::ScopeSet;
use throughline_proto::jsonrpc::Raw;
use throughline_proto::model::{Client, ClientCapabilities};
use throughline_proto::revision::Revision;

use super::Authorized;

/// Who a client is proven to be: the identity that a session is bound to.
///
/// Two requests with the same principal belong together; a token is no part of it, because tokens change.
/// Its `Debug` form is safe to log.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Principal {
    /// Who vouches: the issuer of the token, or a name of your own.
    pub issuer: Arc<str>,
    /// Whom it stands for. Of a token that names nobody but its client this is `client_id=` and the id, which no person is called.
    pub subject: Arc<str>,
    /// The client program that acts, where it is known.
    pub client: Option<Arc<str>>,
}

impl Principal {
    /// A principal without a client.
    pub fn new(issuer: impl Into<Arc<str>>, subject: impl Into<Arc<str>>) -> Self {
        Self { issuer: issuer.into(), subject: subject.into(), client: None }
    }

    /// The same, acting through this client program.
    #[must_use]
    pub fn with_client(mut self, client: impl Into<Arc<str>>) -> Self {
        self.client = Some(client.into());
        self
    }
}

impl Principal {
    /// One text for each principal, and no two share one.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [Some(&self.issuer), Some(&self.subject), self.client.as_ref()].into_iter().flatten() {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Who sent a call: the client's own words about itself, and the principal it is proven to be.
#[derive(Clone, Debug)]
pub struct Caller {
    revision: Revision,
    words: Words,
    standing: Standing,
}

/// What is known of whoever is at the other end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    authorized: Option<Authorized>,
    /// It started this process or holds a pipe to it: scopes are no question.
    is_local: bool,
}

impl Standing {
    /// At the other end of a pipe, where a client has its rights by the process that it speaks to
    /// ([protocol requirements](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#protocol-requirements)).
    pub(crate) fn local(principal: Option<Principal>) -> Self {
        Self { authorized: principal.map(Authorized::new), is_local: true }
    }

    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.authorized.as_ref().map(Authorized::principal)
    }
}

impl From<Option<Authorized>> for Standing {
    fn from(authorized: Option<Authorized>) -> Self {
        Self { authorized, is_local: false }
    }
}

/// What a client says about itself.
#[derive(Clone, Debug)]
enum Words {
    Known(Option<Arc<Client>>),
    /// Its name is read when somebody asks for it: every request of the modern era carries it, and few want to know.
    Unread {
        capabilities: ClientCapabilities,
        info: Option<Raw>,
        client: OnceLock<Arc<Client>>,
    },
}

impl Caller {
    pub(crate) fn new(revision: Revision, client: Option<Arc<Client>>, standing: Standing) -> Self {
        Self { revision, words: Words::Known(client), standing }
    }

    /// The caller of a request that says itself who sends it.
    pub(crate) fn unread(
        revision: Revision,
        capabilities: ClientCapabilities,
        info: Option<Raw>,
        standing: Standing,
    ) -> Self {
        Self { revision, words: Words::Unread { capabilities, info, client: OnceLock::new() }, standing }
    }

    /// The same client with a request of its own: tokens change while a session goes on.
    pub(crate) fn with_authorized(&self, authorized: Authorized) -> Self {
        Self { standing: Some(authorized).into(), ..self.clone() }
    }

    /// The protocol revision in use.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Name, version and capabilities of the client; `None` where it said nothing (`stateless_http`). In the modern era it may
    /// keep its name to itself, and one that cannot be read counts as not given.
    pub fn client(&self) -> Option<&Client> {
        match &self.words {
            Words::Known(client) => client.as_deref(),
            Words::Unread { capabilities, info, client } => Some(client.get_or_init(|| {
                Arc::new(Client {
                    info: info.as_ref().and_then(|info| info.parse().ok()),
                    capabilities: capabilities.clone(),
                })
            })),
        }
    }

    /// The capabilities of the client alone.
    pub(crate) fn capabilities(&self) -> Option<&ClientCapabilities> {
        match &self.words {
            Words::Known(client) => client.as_ref().map(|client| &client.capabilities),
            Words::Unread { capabilities, .. } => Some(capabilities),
        }
    }

    /// Who the client is proven to be; `None` where nobody checks that.
    pub fn principal(&self) -> Option<&Principal> {
        self.standing.principal()
    }

    /// What the client is authorized for: in a call, by the credentials of its own request; in a session's hooks and
    /// broadcasts, by those that it was opened with. `None` where nobody checks them.
    pub fn authorized(&self) -> Option<&Authorized> {
        self.standing.authorized.as_ref()
    }

    /// Whether it lacks one of these scopes, where scopes are a question at all.
    pub(crate) fn lacks(&self, required: &ScopeSet) -> bool {
        !required.is_empty()
            && !self.standing.is_local
            && self.authorized().is_none_or(|authorized| !authorized.missing(required).is_empty())
    }
}
