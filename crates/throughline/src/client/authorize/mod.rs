//! Who a client says it is: the credentials of its requests, and what is done when a server refuses them.
//!
//! ```text
//!   Line --> credentials(request) --> the request with them --> 401, or 403 for want of scopes
//!     ^                                                                   |
//!     +--------------- once more, a bounded number of times <-- refused(refusal)
//! ```
//!
//! Specification: [authorization](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization).

mod asking;
mod credentials;
mod tokens;

use std::sync::Arc;

use http::header::HeaderMap;
use http::{Method, StatusCode, Uri};
use throughline_proto::auth::Challenge;

pub(crate) use asking::{Asks, Authorizing, in_time};
pub use credentials::{Credentials, TokenError};
pub use tokens::{TokenNeed, Tokens, tokens};

use crate::store::Soon;

/// Gives a [`Client`](super::Client) the credentials of its requests ([`Connect::authorize`](super::Connect::authorize)).
///
/// A program with tokens of its own implements it, or uses [`tokens`] with a function. The feature `auth` has one that logs in
/// by OAuth.
///
/// ```
/// use throughline::store::Soon;
/// use throughline::{AfterRefusal, Credentials, Refusal, TokenError, TokenProvider, TokenRequest};
///
/// /// The token of a machine, which its operator renews in a file.
/// struct FromFile(std::path::PathBuf);
///
/// impl TokenProvider for FromFile {
///     fn credentials(&self, _: &TokenRequest<'_>) -> Soon<Result<Option<Credentials>, TokenError>> {
///         let read = std::fs::read_to_string(&self.0)
///             .map_err(|error| TokenError::new("the file with the token cannot be read").because(error));
///         Soon::now(read.and_then(|token| Credentials::bearer(token.trim()).map(Some)))
///     }
///
///     fn refused(&self, _: Refusal) -> Soon<Result<AfterRefusal, TokenError>> {
///         Soon::now(Ok(AfterRefusal::GiveUp))
///     }
/// }
/// ```
///
/// # Laws
///
/// 1. *Bounded.* Each answer comes in a bounded time. One that takes longer than 15 minutes is given up with an error.
/// 2. *Shared.* It is asked by many tasks at the same time, and lets them wait for one and the same renewal.
/// 3. *Quiet.* Where [`may_ask`](TokenRequest::may_ask) is false nobody is there who would answer, so no person is asked:
///    what can be had without one is given, or nothing.
/// 4. *Of one origin.* It gives credentials that were issued for the address that is asked, or none.
/// 5. *Different.* After [`SendAgain`](AfterRefusal::SendAgain), what was just refused is not given again.
/// 6. *Of one mind.* Credentials of another person have another [`context`](Credentials::context).
pub trait TokenProvider: Send + Sync + 'static {
    /// The credentials of a request that is about to be sent; `None` sends it without.
    ///
    /// Asked once for each time that a request is sent, so an answer that is at hand is given as [`Soon::now`].
    ///
    /// # Errors
    ///
    /// The request is not sent, and its call fails with an error that [says so](super::ClientError::is_login_failed).
    ///
    /// # Cancel safety
    ///
    /// The answer is dropped when whoever made the request gives it up.
    fn credentials(&self, request: &TokenRequest<'_>) -> Soon<Result<Option<Credentials>, TokenError>>;

    /// The server refused a request, which it has not run: 401, or 403 because of scopes. Says whether it is to be sent once more.
    ///
    /// # Errors
    ///
    /// No other credentials can be had, for a reason that the user should hear of. The call fails with an error that
    /// [says so](super::ClientError::is_login_failed).
    ///
    /// # Cancel safety
    ///
    /// The answer is dropped when whoever made the request gives it up. What others wait for too goes on.
    fn refused(&self, refusal: Refusal) -> Soon<Result<AfterRefusal, TokenError>>;

    /// A response came, with these headers; a nonce may be among them. It must not block.
    fn answered(&self, request: &TokenRequest<'_>, status: StatusCode, headers: &HeaderMap) {
        let _ = (request, status, headers);
    }
}

impl<P: TokenProvider + ?Sized> TokenProvider for Arc<P> {
    fn credentials(&self, request: &TokenRequest<'_>) -> Soon<Result<Option<Credentials>, TokenError>> {
        (**self).credentials(request)
    }

    fn refused(&self, refusal: Refusal) -> Soon<Result<AfterRefusal, TokenError>> {
        (**self).refused(refusal)
    }

    fn answered(&self, request: &TokenRequest<'_>, status: StatusCode, headers: &HeaderMap) {
        (**self).answered(request, status, headers);
    }
}

/// A request that is about to be sent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenRequest<'a> {
    /// The address of the server's MCP endpoint, which the client was given.
    pub endpoint: &'a Uri,
    /// Where the request goes: the endpoint, or another address of its origin.
    pub uri: &'a Uri,
    /// Its HTTP method.
    pub method: &'a Method,
    /// Whether a person may be asked: somebody waits for this request.
    pub may_ask: bool,
}

/// A request that the server refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The address of the server's MCP endpoint, which the client was given.
    pub endpoint: Uri,
    /// Where the request went.
    pub uri: Uri,
    /// Its HTTP method.
    pub method: Method,
    /// What was asked for: the method of the message, and the name of what it is for (`tools/call deploy`). Empty for a request
    /// without a message.
    pub operation: String,
    /// Whether a person may be asked: somebody waits for this request.
    pub may_ask: bool,
    /// 401 or 403.
    pub status: StatusCode,
    /// What the server said in `WWW-Authenticate`, all of it.
    pub challenges: Vec<Challenge>,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// What the request was sent with.
    pub used: Option<Credentials>,
    /// How often this request was refused before.
    pub before: u32,
}

/// What becomes of a request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// It is sent once more, with other credentials.
    SendAgain,
    /// The refusal is the answer.
    GiveUp,
}
