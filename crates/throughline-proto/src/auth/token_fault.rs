use std::error::Error;
use std::fmt;

use ::http::StatusCode;

use super::{Challenge, ChallengeError, ScopeSet};

/// Why a request is not let in. What is told to whoever sent it ([`status`](TokenFault::status),
/// [`challenge`](TokenFault::challenge)) is no more than the codes of [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)
/// say: one who tries out tokens learns not which check stopped one. The log is told the
/// [`reason`](TokenFault::reason). Neither holds anything of the token.
///
/// ```
/// use throughline_proto::auth::{ChallengeError, TokenFault};
///
/// let (expired, forged) = (TokenFault::Expired, TokenFault::Signature);
/// assert_eq!(expired.status(), 401);
/// assert_eq!(expired.challenge(), forged.challenge());
/// assert_ne!(expired.reason(), forged.reason());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFault {
    /// There is no token.
    Missing,
    /// There are two.
    Malformed,
    /// It is in the query of the address.
    TokenInQuery,
    /// It is none that can be read.
    Unreadable,
    /// It is signed with an algorithm that is not allowed, or not with this key.
    Algorithm,
    /// It names a key that is not known.
    UnknownKey,
    /// Its signature is wrong.
    Signature,
    /// It is a token of another kind.
    Type,
    /// It is of another issuer, or of none.
    Issuer,
    /// It is for another resource, or for none.
    Audience,
    /// Its time is over.
    Expired,
    /// It says not when its time is over.
    NoExpiry,
    /// Its time has not come.
    NotYet,
    /// It was issued in the future.
    IssuedInFuture,
    /// It names neither a subject nor a client.
    NoSubject,
    /// Whoever issued it says that it is not good any more.
    Inactive,
    /// It is bound to a key, and was sent without a proof, or the proof is of another key.
    Binding,
    /// It is a key that nobody gave out.
    UnknownApiKey,
    /// The proof is none, or not for this request. The text is for the log.
    Proof(&'static str),
    /// The proof was seen before.
    Replayed,
    /// The proof must hold the nonce that goes with the answer.
    DpopNonce,
    /// It is good and does not allow this: all scopes that it takes.
    InsufficientScope(ScopeSet),
    /// Whether it is good could not be found out.
    Unavailable,
}

impl TokenFault {
    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            TokenFault::Malformed | TokenFault::TokenInQuery => StatusCode::BAD_REQUEST,
            TokenFault::InsufficientScope(_) => StatusCode::FORBIDDEN,
            TokenFault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The challenge of the answer, to which the caller adds the address of its metadata. A request without a token is told no
    /// error (<https://www.rfc-editor.org/rfc/rfc6750#section-3.1>), and one whose token could not be checked gets no challenge.
    #[must_use]
    pub fn challenge(&self) -> Option<Challenge> {
        let challenge = |error, text| Challenge::bearer().with_error(error).with_error_description(text);
        Some(match self {
            TokenFault::Missing => Challenge::bearer(),
            TokenFault::Malformed | TokenFault::TokenInQuery => challenge(
                ChallengeError::InvalidRequest,
                "Send one access token, in one Authorization header, and nowhere else.",
            ),
            TokenFault::InsufficientScope(required) => challenge(
                ChallengeError::InsufficientScope,
                "The access token does not allow this. Ask for one with the scopes that are named.",
            )
            .with_scope(required.clone()),
            TokenFault::Proof(_) | TokenFault::Replayed => {
                Challenge::dpop().with_error(ChallengeError::InvalidDpopProof).with_error_description(
                    "The DPoP proof is not one for this request. Make a new one for each.",
                )
            }
            TokenFault::DpopNonce => Challenge::dpop()
                .with_error(ChallengeError::UseDpopNonce)
                .with_error_description("Make a DPoP proof with the nonce of the DPoP-Nonce header."),
            TokenFault::Unavailable => return None,
            _ => challenge(
                ChallengeError::InvalidToken,
                "The access token is not one that is accepted here, or not any more. Get a new one.",
            ),
        })
    }

    /// Why, for the log: a sentence without anything of the token.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            TokenFault::Missing => "there is no token",
            TokenFault::Malformed => "there are several Authorization headers",
            TokenFault::TokenInQuery => "the token is in the query of the address",
            TokenFault::Unreadable => "the token cannot be read",
            TokenFault::Algorithm => "the token is signed with an algorithm that is not allowed for its key",
            TokenFault::UnknownKey => "the token names a key that is not known",
            TokenFault::Signature => "the signature of the token is wrong",
            TokenFault::Type => "the token is of another kind",
            TokenFault::Issuer => "the token is of another issuer",
            TokenFault::Audience => "the token is for another audience",
            TokenFault::Expired => "the token has expired",
            TokenFault::NoExpiry => "the token says not when it expires",
            TokenFault::NotYet => "the token is not valid yet",
            TokenFault::IssuedInFuture => "the token was issued in the future",
            TokenFault::NoSubject => "the token names neither a subject nor a client",
            TokenFault::Inactive => "the token is not active",
            TokenFault::Binding => "the token is bound to a key that was not proven",
            TokenFault::UnknownApiKey => "the key is not known",
            TokenFault::Proof(why) => why,
            TokenFault::Replayed => "the DPoP proof was seen before",
            TokenFault::DpopNonce => "the DPoP proof lacks the nonce, or holds an old one",
            TokenFault::InsufficientScope(_) => "the token lacks a scope",
            TokenFault::Unavailable => "the token could not be checked",
        }
    }
}

/// The [`reason`](TokenFault::reason).
impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl Error for TokenFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_learns_the_code_and_nothing_else() {
        let bad = [
            TokenFault::Unreadable,
            TokenFault::Algorithm,
            TokenFault::UnknownKey,
            TokenFault::Signature,
            TokenFault::Type,
            TokenFault::Issuer,
            TokenFault::Audience,
            TokenFault::Expired,
            TokenFault::NoExpiry,
            TokenFault::NotYet,
            TokenFault::IssuedInFuture,
            TokenFault::NoSubject,
            TokenFault::Inactive,
            TokenFault::Binding,
            TokenFault::UnknownApiKey,
        ];
        for fault in &bad {
            assert_eq!(fault.status(), 401);
            assert_eq!(fault.challenge(), TokenFault::Expired.challenge(), "{fault}");
        }
        let mut reasons: Vec<_> = bad.iter().map(TokenFault::reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), bad.len(), "the log tells them apart");
    }

    #[test]
    fn which_status_and_code() {
        let scopes = ScopeSet::parse("files:write files:read").unwrap();
        for (fault, status, code) in [
            (TokenFault::Missing, 401, None),
            (TokenFault::Malformed, 400, Some("invalid_request")),
            (TokenFault::TokenInQuery, 400, Some("invalid_request")),
            (TokenFault::Expired, 401, Some("invalid_token")),
            (TokenFault::Proof("it is none"), 401, Some("invalid_dpop_proof")),
            (TokenFault::Replayed, 401, Some("invalid_dpop_proof")),
            (TokenFault::DpopNonce, 401, Some("use_dpop_nonce")),
            (TokenFault::InsufficientScope(scopes.clone()), 403, Some("insufficient_scope")),
        ] {
            assert_eq!(fault.status(), status);
            let challenge = fault.challenge().unwrap();
            assert_eq!(challenge.error.as_ref().map(ChallengeError::as_str), code);
            assert_eq!(challenge.scope.is_some(), status == 403);
        }
        assert_eq!(TokenFault::InsufficientScope(scopes.clone()).challenge().unwrap().scope, Some(scopes));
        assert_eq!(TokenFault::Unavailable.status(), 503);
        assert_eq!(TokenFault::Unavailable.challenge(), None);
    }
}
