use std::time::Duration;

use super::{Claims, TokenFault, UnixTime, same_resource};

/// Which `typ` of a token's header is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenType {
    /// `at+jwt`, `JWT`, or none: most authorization servers write one of the latter two. A token of another kind that names its
    /// kind is refused; one that does not is refused by its audience, which is a client and not this resource.
    #[default]
    Usual,
    /// `at+jwt` only ([RFC 9068, 4](https://www.rfc-editor.org/rfc/rfc9068#section-4)).
    AccessToken,
}

/// What a token has to say to be accepted: who issued it, for whom, and when.
///
/// ```
/// use throughline_proto::auth::{Claims, Expectation, TokenFault, UnixTime};
///
/// let expectation = Expectation::new("https://login.example.com", "https://mcp.example.com/mcp");
/// let claims = Claims::parse(
///     br#"{"iss":"https://login.example.com","sub":"ann","aud":"https://mcp.example.com/mcp","exp":1700003600}"#,
/// )?;
/// assert_eq!(expectation.check(&claims, UnixTime(1_700_000_000)), Ok(()));
/// assert_eq!(expectation.check(&claims, UnixTime(1_700_003_661)), Err(TokenFault::Expired));
/// # Ok::<(), TokenFault>(())
/// ```
///
/// Specification:
/// <https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization/security-considerations#access-token-privilege-restriction>,
/// [RFC 9068, 4](https://www.rfc-editor.org/rfc/rfc9068#section-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    issuers: Vec<String>,
    audiences: Vec<String>,
    skew: Duration,
    token_type: TokenType,
}

impl Expectation {
    /// How far two clocks may differ unless told otherwise: a minute, which no clock that is kept in time is off by.
    pub const DEFAULT_SKEW: Duration = Duration::from_secs(60);

    /// Tokens of this issuer for this resource.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Expectation {
        Expectation {
            issuers: vec![issuer.into()],
            audiences: vec![audience.into()],
            skew: Expectation::DEFAULT_SKEW,
            token_type: TokenType::default(),
        }
    }

    /// Takes tokens of one more issuer.
    #[must_use]
    pub fn or_issuer(mut self, issuer: impl Into<String>) -> Expectation {
        self.issuers.push(issuer.into());
        self
    }

    /// Takes tokens for one more audience, under which the same resource is known.
    #[must_use]
    pub fn or_audience(mut self, audience: impl Into<String>) -> Expectation {
        self.audiences.push(audience.into());
        self
    }

    /// How far two clocks may differ.
    #[must_use]
    pub fn with_skew(mut self, skew: Duration) -> Expectation {
        self.skew = skew;
        self
    }

    /// Which `typ` is taken.
    #[must_use]
    pub fn with_token_type(mut self, token_type: TokenType) -> Expectation {
        self.token_type = token_type;
        self
    }

    /// Is it a token for here, and is it its time? Its signature was checked before.
    ///
    /// Issuers are compared byte by byte; an audience may differ in what
    /// [`same_resource`] passes over.
    ///
    /// # Errors
    ///
    /// The first of: [`Issuer`](TokenFault::Issuer), [`Audience`](TokenFault::Audience), [`NoExpiry`](TokenFault::NoExpiry),
    /// [`Expired`](TokenFault::Expired), [`NotYet`](TokenFault::NotYet),
    /// [`IssuedInFuture`](TokenFault::IssuedInFuture), [`NoSubject`](TokenFault::NoSubject).
    pub fn check(&self, claims: &Claims, now: UnixTime) -> Result<(), TokenFault> {
        if !claims.iss.as_ref().is_some_and(|issuer| self.issuers.contains(issuer)) {
            return Err(TokenFault::Issuer);
        }
        self.check_rest(claims, now)
    }

    /// The same for the answer of an introspection, which comes from the issuer itself: it must say that the token is
    /// active, and may leave out who issued it and when it ends.
    ///
    /// # Errors
    ///
    /// [`Inactive`](TokenFault::Inactive), and those of [`check`](Expectation::check) but
    /// [`NoExpiry`](TokenFault::NoExpiry).
    pub fn check_introspected(&self, claims: &Claims, now: UnixTime) -> Result<(), TokenFault> {
        if claims.active != Some(true) {
            return Err(TokenFault::Inactive);
        }
        if claims.iss.as_ref().is_some_and(|issuer| !self.issuers.contains(issuer)) {
            return Err(TokenFault::Issuer);
        }
        match self.check_rest(claims, now) {
            Err(TokenFault::NoExpiry) => self.check_begin(claims, now),
            checked => checked,
        }
    }

    /// Is this `typ` of a token's header taken? `application/` before it and the case of its letters do not count
    /// ([RFC 7515, 4.1.9](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.9)).
    ///
    /// # Errors
    ///
    /// [`TokenFault::Type`].
    pub fn check_type(&self, typ: Option<&str>) -> Result<(), TokenFault> {
        let is = |known: &str| {
            typ.is_some_and(|typ| {
                let plain = match typ.get(..12) {
                    Some(prefix) if prefix.eq_ignore_ascii_case("application/") => &typ[12..],
                    _ => typ,
                };
                plain.eq_ignore_ascii_case(known)
            })
        };
        let good = match self.token_type {
            TokenType::AccessToken => is("at+jwt"),
            TokenType::Usual => typ.is_none() || is("at+jwt") || is("JWT"),
        };
        if good { Ok(()) } else { Err(TokenFault::Type) }
    }

    fn check_rest(&self, claims: &Claims, now: UnixTime) -> Result<(), TokenFault> {
        let for_here = |audience: &String| self.audiences.iter().any(|here| same_resource(here, audience));
        if !claims.aud.iter().any(for_here) {
            return Err(TokenFault::Audience);
        }
        match claims.exp {
            None => return Err(TokenFault::NoExpiry),
            Some(exp) if exp.plus(self.skew) <= now => return Err(TokenFault::Expired),
            Some(_) => {}
        }
        self.check_begin(claims, now)
    }

    fn check_begin(&self, claims: &Claims, now: UnixTime) -> Result<(), TokenFault> {
        let latest = now.plus(self.skew);
        if claims.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(TokenFault::NotYet);
        }
        if claims.iat.is_some_and(|iat| iat > latest) {
            return Err(TokenFault::IssuedInFuture);
        }
        if claims.subject().is_none() {
            return Err(TokenFault::NoSubject);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
