//! The lock in front of a server.
//!
//! ```text
//!   Authorization   what was configured, as a tower layer
//!      |
//!   Protected       a service behind it: decides at once, or waits
//!      |
//!    Guard          one request: document? proxy? token? proof? scopes?
//!      |
//!      +-- verified        tokens that were verified lately
//!      +-- api_keys        keys of the operator
//!      +-- keys            issuers and their keys, fixed or fetched (cache: when; fetched: how)
//!      +-- introspection   issuers that are asked (flights: each question once)
//!      +-- verifier        a check of your own
//!      +-- dpop            proofs
//!      +-- proxy           identities that a proxy vouches for
//!      +-- answer          refusals, and the metadata document
//! ```
//!
//! The rules are the engine's ([`throughline_proto::auth`]): what a token is, what it has to say, and what is told to whoever
//! sent it.

mod answer;
mod api_keys;
mod body;
mod builder;
mod dpop;
mod flights;
mod guard;
mod introspection;
mod keys;
mod layer;
mod proxy;
mod verified;
mod verifier;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

pub use api_keys::ApiKeys;
pub use body::ProtectedBody;
pub use builder::AuthorizationBuilder;
pub use dpop::Dpop;
pub use introspection::Introspection;
pub use keys::JwtKey;
pub use layer::{Protected, ProtectedFuture};
pub use metadata::MetadataDocument;
pub use proxy::TrustedProxy;
pub use verifier::TokenVerifier;

mod metadata;

use guard::Guard;

/// The lock in front of a server: lets in who brings a token that is good and made for this server, and tells all others where
/// to log in.
///
/// ```no_run
/// use throughline::auth::Authorization;
/// use throughline::{Server, StreamableHttp, serve};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = Authorization::builder("https://mcp.example.com/mcp").jwks("https://login.example.com").build()?;
/// // The endpoint answers to names of this machine, and to those that it is told.
/// let endpoint = StreamableHttp::builder(Server::new("demo", "1.0.0")).allow_host("mcp.example.com")?.build();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8808").await?;
/// serve(listener, lock.layer(endpoint)).await?;
/// # Ok(())
/// # }
/// ```
///
/// It goes around any service of `http` types: a [`StreamableHttp`](crate::StreamableHttp), an [`HttpSse`](crate::HttpSse), a
/// router of axum. Cheap to clone; clones share what they know.
///
/// # What it does with a request
///
/// - A GET of the metadata document, at both
///   [well-known paths](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/authorization-server-discovery#protected-resource-metadata-discovery-requirements),
///   is answered: it names the authorization servers.
/// - A token is taken from the `Authorization` header alone; one in the query is refused (400). It is checked for its issuer,
///   its audience (this server), its time, its signature or what its issuer answers about it, and for the
///   key that it is bound to.
/// - A browser's question whether a page may send a request (an `OPTIONS` of
///   [CORS](https://fetch.spec.whatwg.org/#cors-preflight-request)) goes through without credentials, as it never has any; answer
///   an `OPTIONS` behind the lock as if anybody had sent it.
/// - Who is let in: the request goes on without its credentials and with an [`Authorized`](crate::Authorized) in its
///   extensions, which the endpoint binds sessions to, checks [scopes](crate::ToolDef) against, and hands to handlers.
/// - Who is not: 401 with a challenge that says where to log in, 403 where scopes are missing, 400 where the header is none, 503
///   where an issuer does not answer. Which check failed is in the log (level debug), and nothing of the token is.
///
/// A token that was verified is known by its SHA-256 for five minutes at most, and never past its expiry, so that the next
/// request costs no signature. An issuer that is slow or down holds nobody up whose token is known or whose key is at hand.
#[derive(Clone, Debug)]
pub struct Authorization {
    guard: Arc<Guard>,
}

impl Authorization {
    /// A lock for the server at this public address, that which clients use: `https://mcp.example.com/mcp`. Tokens must be
    /// made for it.
    pub fn builder(resource: impl Into<String>) -> AuthorizationBuilder {
        AuthorizationBuilder::new(resource.into())
    }

    /// Fetches the keys of all issuers, for a server that rather does not start than start without them. Otherwise
    /// they are fetched when the first token comes.
    ///
    /// # Errors
    ///
    /// When those of an issuer cannot be fetched, the log says why then, or none of them can be used. Calling it again tries again, after a pause of a second or
    /// more.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: what was begun goes on.
    pub async fn prepare(&self) -> Result<(), BadAuthorization> {
        for issuer in &self.guard.issuers {
            if let Some(keys) = issuer.fetched() {
                let (keys, _) = keys.get().await.map_err(|_| {
                    BadAuthorization::new(format!(
                        "the keys of `{}` cannot be fetched; check its address, and that it is up",
                        issuer.name()
                    ))
                })?;
                if keys.is_empty() {
                    return Err(BadAuthorization::new(format!(
                        "`{}` publishes no key that can be used; have it sign with RSA, P-256, P-384 or Ed25519",
                        issuer.name()
                    )));
                }
            }
        }
        Ok(())
    }
}

/// Why a lock cannot be made: one sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAuthorization(String);

impl BadAuthorization {
    fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for BadAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadAuthorization {}
