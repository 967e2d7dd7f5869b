//! The rules of authorization that need no connection, no clock and no key: what a resource server checks, and the words
//! that it and a client say to each other.
//!
//! ```text
//!   client                                     resource server                    authorization server
//!     |  request                                     |                                     |
//!     |--------------------------------------------->|                                     |
//!     |                 401 + Challenge              |                                     |
//!     |<---------------------------------------------|                                     |
//!     |  ProtectedResource (protected_resource_addresses)                                  |
//!     |--------------------------------------------->|                                     |
//!     |  AuthorizationServer (authorization_server_addresses)                              |
//!     |----------------------------------------------------------------------------------->|
//!     |  request + token                             |                                     |
//!     |--------------------------------------------->| credentials, Claims, Expectation    |
//!     |             200, or TokenFault               |                                     |
//!     |<---------------------------------------------|                                     |
//! ```
//!
//! - Words of both sides: [`ScopeSet`], [`Challenge`], [`ProtectedResource`], [`AuthorizationServer`], [`UnixTime`],
//!   [`Secret`].
//! - A client's: where documents are ([`protected_resource_addresses`], [`authorization_server_addresses`]), which addresses
//!   may be reached at all ([`AddressRule`]), what a resource is called ([`canonical_resource`], [`resource_covers`]), and the
//!   way from there to tokens ([`flow`]).
//! - A server's: [`credentials`] out of a request, [`Claims`] against an [`Expectation`], [`Algorithms`], [`dpop`],
//!   [`ApiKey`], and [`TokenFault`] as the answer.
//!
//! Specification: <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization>.

mod address_rule;
mod algorithm;
mod api_key;
mod challenge;
mod claims;
mod credentials;
pub mod dpop;
mod expectation;
pub mod flow;
mod jws;
mod metadata;
mod object;
mod resource;
mod scope;
mod secret;
mod time;
mod token_fault;

pub use address_rule::{AddressRefused, AddressRule, IpClass};
pub use algorithm::{Algorithm, Algorithms, KeyKind, MixedAlgorithms};
pub use api_key::{ApiKey, ApiKeyDigest, InvalidApiKey};
pub use challenge::{AuthScheme, Challenge, ChallengeError};
pub use claims::{Claims, Confirmation, MAX_CLAIMS};
pub use credentials::{Credentials, MAX_TOKEN, TokenScheme, credentials};
pub use expectation::{Expectation, TokenType};
pub use jws::{CompactJws, JoseHeader};
pub use metadata::{
    AuthorizationServer, InvalidIssuer, InvalidMetadata, MAX_METADATA, ProtectedResource,
    authorization_server_addresses, legacy_authorization_server_address, protected_resource_addresses,
    protected_resource_paths,
};
pub use resource::{canonical_resource, resource_covers, same_resource};
pub use scope::{InvalidScope, ScopeHierarchy, ScopeSet};
pub use secret::Secret;
pub use time::UnixTime;
pub use token_fault::TokenFault;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
