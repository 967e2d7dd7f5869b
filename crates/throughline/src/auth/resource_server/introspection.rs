//! Tokens that their issuer is asked about ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use throughline_proto::auth::{Claims, Expectation, Secret, TokenFault};

use super::BadAuthorization;
use super::flights::Flights;
use super::guard::{Clock, Fresh, authorized, bound_key};
use super::verified::{Print, Verified};
use crate::Authorized;
use crate::auth::fetch::Fetcher;

/// An authorization server that is asked about tokens ([RFC 7662](https://www.rfc-editor.org/rfc/rfc7662)): for those that only it
/// can read, and for those that it may withdraw.
///
/// Its answer is kept for a minute, and never past the expiry of the token; that a token is not good, for ten seconds. However
/// many requests come with a token, it is asked once.
///
/// ```
/// use throughline::auth::{Authorization, Introspection, Secret};
///
/// # fn main() -> Result<(), throughline::auth::BadAuthorization> {
/// let introspection = Introspection::new("https://login.example.com", "https://login.example.com/introspect")
///     .client("mcp-server", Secret::new("from the environment"));
/// let lock = Authorization::builder("https://mcp.example.com/mcp").introspection(introspection).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Introspection {
    issuer: String,
    endpoint: String,
    credentials: Credentials,
    audience_unchecked: bool,
    keep: Duration,
}

#[derive(Clone, Debug)]
enum Credentials {
    None,
    Basic { id: String, secret: Secret },
    Bearer(Secret),
}

impl Introspection {
    /// This issuer, asked at this address.
    pub fn new(issuer: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            endpoint: endpoint.into(),
            credentials: Credentials::None,
            audience_unchecked: false,
            keep: KEEP,
        }
    }

    /// This server is known there by this id and secret (HTTP Basic,
    /// [RFC 6749, 2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)).
    #[must_use]
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.credentials = Credentials::Basic { id: id.into(), secret: secret.into() };
        self
    }

    /// This server is known there by a token of its own.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<Secret>) -> Self {
        self.credentials = Credentials::Bearer(token.into());
        self
    }

    /// How long an answer is kept for a token that is good, so how long one works on that was withdrawn. Default: a minute;
    /// zero asks about each request.
    #[must_use]
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// Takes an answer without an audience: for authorization servers that answer this server only about tokens that are for
    /// it. With any other, a token for somebody else would open this server, which the
    /// [specification](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#token-handling) forbids.
    #[must_use]
    pub fn audience_is_checked_there(mut self) -> Self {
        self.audience_unchecked = true;
        self
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The same, checked, for a resource that is expected by these words.
    pub(super) fn checked(
        self,
        resource: &str,
        expectation: Expectation,
        skew: Duration,
        fetcher: Fetcher,
    ) -> Result<Introspector, BadAuthorization> {
        let endpoint: Uri = self.endpoint.parse().map_err(|_| {
            BadAuthorization::new(format!("`{}` is no address to ask about tokens at", self.endpoint))
        })?;
        fetcher.check(&endpoint).map_err(BadAuthorization::new)?;
        let credentials = match &self.credentials {
            Credentials::None => None,
            Credentials::Basic { id, secret } => {
                let pair = Secret::new(format!("{}:{}", encoded(id), encoded(secret.expose())));
                Some(format!("Basic {}", STANDARD.encode(pair.expose())))
            }
            Credentials::Bearer(token) => Some(format!("Bearer {}", token.expose())),
        };
        let credentials = credentials.map(|text| {
            let mut value = HeaderValue::try_from(text).map_err(|_| {
                BadAuthorization::new(
                    "the token to ask about tokens with has characters that no token has".into(),
                )
            })?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Introspector(Arc::new(Inner {
            issuer: self.issuer,
            endpoint,
            credentials: credentials.transpose()?,
            resource: self.audience_unchecked.then(|| resource.to_owned()),
            expectation,
            skew,
            keep: self.keep,
            fetcher,
            refused: Verified::new(MOST_REFUSED),
            flights: Flights::new(MOST_QUESTIONS),
        })))
    }
}

/// Asks about tokens.
pub(super) struct Introspector(Arc<Inner>);

struct Inner {
    issuer: String,
    endpoint: Uri,
    credentials: Option<HeaderValue>,
    /// The audience of answers without one.
    resource: Option<String>,
    expectation: Expectation,
    skew: Duration,
    keep: Duration,
    fetcher: Fetcher,
    /// Tokens that were no good a moment ago.
    refused: Verified<TokenFault>,
    flights: Flights<Result<Answer, TokenFault>>,
}

/// What came of a question.
#[derive(Clone)]
struct Answer {
    authorized: Authorized,
    bound_key: Option<String>,
}

impl Introspector {
    /// What the issuer says of this token.
    pub(super) async fn ask(
        &self,
        token: &Secret,
        print: &Print,
        clock: &Clock,
    ) -> Result<Fresh, TokenFault> {
        let now = clock.now();
        if let Some(fault) = self.0.refused.find(print, now) {
            return Err(fault);
        }
        let ask = || {
            let (inner, token, clock) = (Arc::clone(&self.0), token.clone(), clock.clone());
            async move { inner.ask(&token, &clock).await }
        };
        // Where too many questions are under way, this one is not asked: they are bounded, whatever anybody sends.
        let Some(answer) = self.0.flights.join(*print, ask).await else {
            tracing::warn!(issuer = self.0.issuer, "too many questions about tokens are under way");
            return Err(TokenFault::Unavailable);
        };
        let now = clock.now();
        match answer {
            Ok(Answer { authorized, bound_key }) => {
                let until = (!self.0.keep.is_zero()).then(|| now.until(authorized.expires_at(), self.0.keep));
                Ok(Fresh { authorized, bound_key, until })
            }
            Err(TokenFault::Unavailable) => Err(TokenFault::Unavailable),
            Err(fault) => {
                let until = now.until(None, KEEP_REFUSED);
                self.0.refused.keep(*print, fault.clone(), until, self.0.refused.epoch());
                Err(fault)
            }
        }
    }
}

impl Inner {
    async fn ask(&self, token: &Secret, clock: &Clock) -> Result<Answer, TokenFault> {
        let json = self.exchange(token).await.map_err(|reason| {
            tracing::warn!(issuer = self.issuer, reason, "an issuer could not be asked about a token");
            TokenFault::Unavailable
        })?;
        let mut claims = Claims::parse(&json)?;
        if let (Some(resource), true) = (&self.resource, claims.aud.is_empty()) {
            claims.aud.push(resource.clone());
        }
        self.expectation.check_introspected(&claims, clock.now().unix)?;
        let expiry = claims.exp.map(|exp| exp.plus(self.skew));
        let authorized = authorized(&claims, &self.issuer, &json, expiry)?;
        Ok(Answer { authorized, bound_key: bound_key(claims.cnf.as_ref())? })
    }

    /// The question and its answer ([RFC 7662, 2](https://www.rfc-editor.org/rfc/rfc7662#section-2)).
    async fn exchange(&self, token: &Secret) -> Result<Bytes, String> {
        let form = Secret::new(format!("token={}&token_type_hint=access_token", encoded(token.expose())));
        let mut request = Request::new(Bytes::copy_from_slice(form.expose().as_bytes()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(credentials) = &self.credentials {
            headers.insert(AUTHORIZATION, credentials.clone());
        }
        let rule = self.fetcher.rule_for(&self.endpoint).await;
        let response = self.fetcher.fetch(request, &rule).await.map_err(|error| error.to_string())?;
        match response.status() {
            StatusCode::OK => Ok(response.into_body()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err("it does not take the credentials of this server".into())
            }
            status => Err(format!("it answered {status}")),
        }
    }
}

impl std::fmt::Debug for Introspector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspector").field("issuer", &self.0.issuer).finish_non_exhaustive()
    }
}

/// As a form has it: letters, digits and `-._*` stay, everything else is `%XX`
/// (<https://url.spec.whatwg.org/#application-x-www-form-urlencoded-percent-encode-set>).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte.into()),
            _ => {
                out.push('%');
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// See [`Introspection::keep_for`].
const KEEP: Duration = Duration::from_secs(60);

/// A token that is no good now may be good soon, where an issuer tells its servers one after the other; and whoever tries one
/// again and again is to trouble the issuer little.
const KEEP_REFUSED: Duration = Duration::from_secs(10);

/// Digests of 32 bytes: half a MiB at most.
const MOST_REFUSED: usize = 4096;

/// More than an issuer answers at once; beyond it a token that is not known yet is answered with 503.
const MOST_QUESTIONS: usize = 256;
