//! A check of your own.

use std::time::Duration;

use http::request::Parts;
use throughline_proto::auth::{Secret, TokenFault};

use crate::Authorized;
use crate::store::Soon;

/// Checks tokens in a way of its own: a database, another service, a format that nobody else has.
///
/// ```
/// use throughline::auth::{Authorization, ScopeSet, Secret, TokenFault, TokenVerifier};
/// use throughline::store::Soon;
/// use throughline::{Authorized, Principal};
///
/// struct OneDoor;
///
/// impl TokenVerifier for OneDoor {
///     fn verify(&self, token: &Secret, _head: &http::request::Parts) -> Soon<Result<Authorized, TokenFault>> {
///         // Two secrets are compared in constant time.
///         Soon::now(if *token == Secret::new("sesame") {
///             Ok(Authorized::new(Principal::new("doors", "ali")).with_scopes(ScopeSet::parse("cave").unwrap()))
///         } else {
///             Err(TokenFault::Inactive)
///         })
///     }
/// }
///
/// # fn main() -> Result<(), throughline::auth::BadAuthorization> {
/// let lock = Authorization::builder("https://mcp.example.com/mcp").verifier(OneDoor).build()?;
/// # Ok(())
/// # }
/// ```
///
/// Laws:
/// 1. *For this server*: it takes only tokens that were made for this server
///    (<https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#token-handling>).
/// 2. *The same person*: tokens of the same person and client have the same [`Principal`](crate::Principal), so that a session
///    outlives a token.
/// 3. *Quiet*: nothing of a token is in what it logs, nor in its errors.
/// 4. *Honest about trouble*: where it cannot find out, it says [`TokenFault::Unavailable`], which has the client come back, and
///    not that the token is bad, which has it log in anew.
///
/// A token that is bound to a key ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449#section-6)) is told by the claim
/// `{"cnf":{"jkt":..}}` of the [`Authorized`]; then the lock asks for a proof.
pub trait TokenVerifier: Send + Sync + 'static {
    /// Who sent this token, and what it allows. The head is that of its request, without the token.
    ///
    /// # Errors
    ///
    /// Why it is refused: for the log; who sent it learns the status alone.
    ///
    /// # Cancel safety
    ///
    /// The answer may be dropped at any time.
    fn verify(&self, token: &Secret, head: &Parts) -> Soon<Result<Authorized, TokenFault>>;

    /// For how long the answer for a token that is good is kept, and not past its
    /// [expiry](Authorized::expires_at). Default: not at all.
    fn cache_for(&self) -> Duration {
        Duration::ZERO
    }
}
