//! Authorization: the lock in front of a server, and the login of a client.
//!
//! The words of both are here always: scopes, challenges, secrets. What needs the network and cryptography comes with the feature
//! `auth`: `Authorization`, the lock, and `oauth`, the login.

#[cfg(feature = "auth")]
pub(crate) mod fetch;
#[cfg(feature = "auth")]
pub mod oauth;
#[cfg(feature = "auth")]
mod resource_server;

#[cfg(feature = "auth")]
pub use oauth::OAuth;
#[cfg(feature = "auth")]
pub use resource_server::{
    ApiKeys, Authorization, AuthorizationBuilder, BadAuthorization, Dpop, Introspection, JwtKey,
    MetadataDocument, Protected, ProtectedBody, ProtectedFuture, TokenVerifier, TrustedProxy,
};
#[cfg(feature = "auth")]
pub use throughline_proto::auth::flow;
pub use throughline_proto::auth::{
    Algorithm, Algorithms, ApiKey, ApiKeyDigest, AuthScheme, Challenge, ChallengeError, InvalidApiKey,
    InvalidScope, KeyKind, MixedAlgorithms, ProtectedResource, ScopeHierarchy, ScopeSet, Secret, TokenFault,
    TokenType, UnixTime,
};
