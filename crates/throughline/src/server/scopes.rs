//! Whether a request has the scopes that it needs, decided before its stream begins and before its handler runs.
//!
//! ```text
//!   scopes of the endpoint + of the method + of the tool, prompt or resource = what the request needs
//!                                     |
//!           granted, or implied by what was granted?  no --> 403, all of them in one challenge
//!                                     |               nobody vouches for the sender --> 401
//!                                     v
//!                                   it runs
//! ```
//!
//! Specification:
//! <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#scope-challenge-handling>.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use http::request::Parts;
use serde::Serialize;
use throughline_proto::auth::{Challenge, ChallengeError, ScopeSet};
use throughline_proto::http::{Refusal, RefusalKind};
use throughline_proto::jsonrpc::{Malformed, Message, Outline, Request, outline};

use super::dispatch::to_call;
use super::streamable_http::Endpoint;
use super::who::Who;
use crate::handler::{Caller, ChallengeTerms};

impl Endpoint {
    /// Whether any request needs scopes.
    pub(in crate::server) fn has_scopes(&self) -> bool {
        !self.config.scopes.is_empty() || self.handler.wants_scopes()
    }

    /// Whether what is no request, a notification or the end of a session, may come in.
    pub(in crate::server) fn check_sender(&self, who: &Who, parts: &Parts) -> Result<(), Refusal> {
        if self.config.scopes.is_empty() { Ok(()) } else { self.check(who, parts, &self.config.scopes) }
    }

    /// Whether a request may run. To be asked where [`has_scopes`](Self::has_scopes).
    pub(in crate::server) fn check_request(
        &self,
        who: &Who,
        parts: &Parts,
        caller: &Caller,
        request: &Request,
        outline: Option<&Outline<'_>>,
    ) -> Result<(), Refusal> {
        let required = self.config.scopes.union(&self.needed(caller, request, outline)?);
        self.check(who, parts, &required)
    }

    /// The same for all requests of a batch: one that may not run holds up all of them, so that nothing runs twice when its
    /// client comes back with another token.
    pub(in crate::server) fn check_batch(
        &self,
        who: &Who,
        parts: &Parts,
        caller: &Caller,
        entries: &[Result<Message, Malformed>],
    ) -> Result<(), Refusal> {
        let mut required = self.config.scopes.clone();
        for entry in entries {
            if let Ok(Message::Request(request)) = entry {
                let outline = outline(request.params.as_ref()).ok();
                required = required.union(&self.needed(caller, request, outline.as_ref())?);
            }
        }
        self.check(who, parts, &required)
    }

    /// What the handler asks for. A request whose parameters cannot be read runs nothing.
    fn needed(
        &self,
        caller: &Caller,
        request: &Request,
        outline: Option<&Outline<'_>>,
    ) -> Result<ScopeSet, Refusal> {
        let nothing = Outline::default();
        let call = to_call(request, outline.unwrap_or(&nothing));
        catch_unwind(AssertUnwindSafe(|| self.handler.scopes(&call, caller))).map_err(|_| {
            self.tally.panics.add_one();
            tracing::error!(method = %call.method, "a handler panicked when it was asked what a call needs");
            Refusal::new(RefusalKind::Internal)
        })
    }

    fn check(&self, who: &Who, parts: &Parts, required: &ScopeSet) -> Result<(), Refusal> {
        if required.is_empty() {
            return Ok(());
        }
        let Some(authorized) = who.authorized() else {
            self.tally.requests_unauthorized.add_one();
            let terms = parts.extensions.get::<Arc<ChallengeTerms>>().map(|terms| &**terms);
            return Err(unauthorized(terms, required));
        };
        let missing = authorized.missing(required);
        if missing.is_empty() {
            return Ok(());
        }
        self.tally.requests_unauthorized.add_one();
        Err(insufficient(authorized.terms().map(|terms| &**terms), required, &missing))
    }
}

/// Nobody vouches for the sender: what it would need, and where to get it.
#[cold]
fn unauthorized(terms: Option<&ChallengeTerms>, required: &ScopeSet) -> Refusal {
    let challenge = challenge(terms, required);
    Refusal::new(RefusalKind::Unauthorized).with_challenge(challenge.to_header_value())
}

/// The token does not suffice. The challenge has all that the request needs, as a client may ask for just that: with the missing
/// alone it would lose the rest
/// ([RFC 6750, 3.1](https://www.rfc-editor.org/rfc/rfc6750#section-3.1)).
#[cold]
fn insufficient(terms: Option<&ChallengeTerms>, required: &ScopeSet, missing: &ScopeSet) -> Refusal {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a> {
        required_scopes: Vec<&'a str>,
        missing_scopes: Vec<&'a str>,
    }
    let required = &with_those_of_all(terms, required);
    let sentence =
        format!("The token lacks what this request needs: {missing}. Get one with all of: {required}.");
    let challenge = challenge(terms, required)
        .with_error(ChallengeError::InsufficientScope)
        .with_error_description(format!("The token lacks: {missing}"));
    Refusal::new(RefusalKind::InsufficientScope)
        .with_message(sentence)
        .with_data(&Data {
            required_scopes: required.iter().collect(),
            missing_scopes: missing.iter().collect(),
        })
        .with_challenge(challenge.to_header_value())
}

fn challenge(terms: Option<&ChallengeTerms>, required: &ScopeSet) -> Challenge {
    let challenge = terms.map_or_else(Challenge::bearer, |terms| terms.challenge.clone());
    challenge.with_scope(with_those_of_all(terms, required))
}

/// With the scopes that every request needs, which were checked before: a client that asks for these alone is let in again.
fn with_those_of_all(terms: Option<&ChallengeTerms>, required: &ScopeSet) -> ScopeSet {
    let of_all = terms.and_then(|terms| terms.challenge.scope.as_ref());
    of_all.map_or_else(|| required.clone(), |of_all| of_all.union(required))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_also_names_what_every_request_needs() {
        let scopes = |text: &str| ScopeSet::parse(text).unwrap();
        let terms = ChallengeTerms::new(Challenge::bearer().with_scope(scopes("read")));
        let said = |terms| challenge(terms, &scopes("write")).scope.unwrap().to_string();
        assert_eq!(said(Some(&terms)), "read write");
        assert_eq!(said(None), "write");
    }
}
