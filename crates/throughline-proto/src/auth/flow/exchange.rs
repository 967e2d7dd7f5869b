use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use super::endpoint_auth::{EndpointAuth, basic};
use super::error::{FlowError, FlowErrorKind};
use super::form::Form;
use super::grants::{Grant, Polling};
use super::login::{IssuedBy, Login};
use super::machine::{Ground, Moved, Phase};
use super::registration::Registration;
use super::said;
use super::seed::DrawnFor;
use super::sign;
use super::step::{FetchRequest, FetchResponse, SignRequest, SignWith, Step};
use super::tokens::Tokens;
use crate::auth::{AddressRule, ScopeSet, Secret, TokenScheme, UnixTime};

/// The header of a proof ([RFC 9449, 4.1](https://www.rfc-editor.org/rfc/rfc9449#section-4.1)).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The header of a nonce ([RFC 9449, 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)).
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Bytes of a nonce. It goes into each proof, and so into a header.
const MAX_NONCE: usize = 1024;

/// A request to the token endpoint, or to one beside it: first all that must be signed for it, then the request, then its
/// answer.
///
/// Each grant takes this way. Specification:
/// [resource parameter](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization#resource-parameter-implementation).
pub(super) struct Exchange {
    pub(super) grant: Grant,
    pub(super) server: IssuedBy,
    pub(super) registration: Registration,
    pub(super) resource: String,
    pub(super) requested: ScopeSet,
    /// Whether the request carries a proof, so that the tokens are bound to its key.
    pub(super) binds_tokens: bool,
    pub(super) signed: Signed,
}

/// What is signed for a token request. All of it is made anew for each request: no signature goes out twice.
#[derive(Default)]
pub(super) struct Signed {
    /// What is being signed.
    asked: Option<SignRequest>,
    /// How many things were signed.
    count: u32,
    assertion: Option<String>,
    proof: Option<String>,
    /// What the server wants to see in proofs.
    nonce: Option<String>,
}

impl Signed {
    /// Nothing is signed for the next request, in a flow in which these things were: each has a name of its own.
    pub(super) fn anew(&self) -> Signed {
        Signed { count: self.count, ..Signed::default() }
    }
}

impl Exchange {
    /// Refreshing the tokens of a login.
    pub(super) fn refreshing(login: &Login) -> Result<Exchange, FlowError> {
        let Some(token) = login.tokens.refresh_token.clone() else {
            return Err(FlowError::new(
                FlowErrorKind::TokenRefused,
                "the authorization server gave no refresh token; log in again",
            ));
        };
        Ok(Exchange {
            grant: Grant::Refresh { token },
            server: login.server.clone(),
            registration: login.registration.clone(),
            resource: login.resource.clone(),
            requested: login.requested.clone(),
            binds_tokens: login.tokens.scheme == TokenScheme::Dpop,
            signed: Signed::default(),
        })
    }

    /// Asks for what is missing yet, and sends the request once nothing is.
    pub(super) fn begin(mut self, ground: &Ground, now: UnixTime) -> Moved {
        let endpoint = self.endpoint(ground)?;
        if let Some(request) = self.next_to_sign(ground, now, &endpoint)? {
            self.signed.asked = Some(request.clone());
            return Ok((Phase::Exchanging(Box::new(self)), Step::Sign(request)));
        }
        let request = self.request(ground, endpoint)?;
        Ok((Phase::Exchanging(Box::new(self)), Step::Fetch(request)))
    }

    pub(super) fn signed(mut self, ground: &Ground, now: UnixTime, signature: &str) -> Moved {
        let Some(asked) = self.signed.asked.take() else {
            return Err(Phase::Exchanging(Box::new(self)).out_of_order("a signature"));
        };
        let jws = Some(format!("{}.{signature}", asked.input));
        match asked.with {
            SignWith::ClientAssertion => self.signed.assertion = jws,
            SignWith::Dpop => self.signed.proof = jws,
        }
        self.begin(ground, now)
    }

    pub(super) fn handle(self, ground: &Ground, now: UnixTime, response: &FetchResponse) -> Moved {
        let sent = self.secrets();
        self.answered(ground, now, response).map_err(|error| error.hiding(&sent))
    }

    /// What a request holds that nobody else may see.
    fn secrets(&self) -> Vec<Secret> {
        let mut secrets = self.grant.secrets();
        secrets.extend(self.registration.client_secret.clone());
        secrets.extend(self.signed.assertion.clone().map(Secret::new));
        secrets
    }

    fn answered(mut self, ground: &Ground, now: UnixTime, response: &FetchResponse) -> Moved {
        if self.signed.asked.is_some() {
            return Err(Phase::Exchanging(Box::new(self)).out_of_order("a response"));
        }
        if !response.fits() {
            return Err(FlowError::new(
                FlowErrorKind::TokenAnswer,
                "the answer of the token endpoint is too long; tell who runs the authorization server",
            ));
        }
        if let Some(nonce) = self.wanted_nonce(response) {
            // Once: a server that is not content with its own nonce never will be.
            self.signed = Signed { nonce: Some(nonce), ..self.signed.anew() };
            return self.begin(ground, now);
        }
        if response.status.is_redirection() {
            return Err(FlowError::new(
                FlowErrorKind::Address,
                format!(
                    "the token endpoint of {} redirects ({}), which is not followed as the request holds secrets; tell \
                     who runs it to publish the address where tokens are issued",
                    said::quoted(&self.server.issuer),
                    response.status.as_u16()
                ),
            ));
        }
        match self.handle_grant(ground, now, response) {
            Ok(moved) => moved,
            Err(exchange) => exchange.issued(now, response),
        }
    }

    /// The answer is the end: it holds tokens.
    fn issued(self, now: UnixTime, response: &FetchResponse) -> Moved {
        let tokens =
            Tokens::read(response.status, &response.body, &self.requested, self.grant.refresh_token(), now)?;
        if self.signed.proof.is_none() && tokens.scheme == TokenScheme::Dpop {
            return Err(FlowError::new(
                FlowErrorKind::TokenAnswer,
                "the token endpoint issued a token that is bound to a key, and was shown none; tell who runs the \
                 authorization server",
            ));
        }
        let login = Login {
            resource: self.resource,
            server: self.server,
            registration: self.registration,
            requested: self.requested,
            tokens,
        };
        Ok((Phase::Over, Step::Done(Box::new(login))))
    }

    /// The nonce that the server wants to see, if it refused for the lack of it
    /// ([RFC 9449, 8](https://www.rfc-editor.org/rfc/rfc9449#section-8)).
    fn wanted_nonce(&self, response: &FetchResponse) -> Option<String> {
        if self.signed.proof.is_none()
            || self.signed.nonce.is_some()
            || response.status != StatusCode::BAD_REQUEST
        {
            return None;
        }
        said::refusal(&response.body).filter(|refusal| refusal.code == "use_dpop_nonce")?;
        let nonce = response.headers.get(DPOP_NONCE)?.to_str().ok()?;
        (!nonce.is_empty() && nonce.len() <= MAX_NONCE).then(|| nonce.to_owned())
    }

    /// There was no answer.
    pub(super) fn unreachable(self, now: UnixTime, reason: &str) -> Moved {
        let issuer = said::quoted(&self.server.issuer);
        Polling::after_silence(self, now).ok_or_else(|| {
            FlowError::new(
                FlowErrorKind::Unavailable,
                format!("the authorization server {issuer} cannot be reached ({reason}); try again later"),
            )
        })
    }

    /// The authorization server that is asked.
    pub(super) fn issuer(&self) -> &str {
        &self.server.issuer
    }

    fn endpoint(&self, ground: &Ground) -> Result<Uri, FlowError> {
        let uri = match self.grant.endpoint() {
            Some(uri) => uri.clone(),
            None => self.server.token_endpoint.parse::<Uri>().map_err(|_| {
                FlowError::new(
                    FlowErrorKind::Address,
                    "the token endpoint that was kept is no address; log in again",
                )
            })?,
        };
        self.rule(ground)
            .check_uri(&uri)
            .map_err(|refused| FlowError::new(FlowErrorKind::Address, refused.to_string()))?;
        Ok(uri)
    }

    fn rule<'a>(&'a self, ground: &'a Ground) -> &'a AddressRule {
        self.grant.rule().unwrap_or(&ground.rule)
    }

    /// What is to be signed next; `None` when all is.
    fn next_to_sign(
        &mut self,
        ground: &Ground,
        now: UnixTime,
        endpoint: &Uri,
    ) -> Result<Option<SignRequest>, FlowError> {
        let profile = &ground.profile;
        if self.registration.endpoint_auth == EndpointAuth::PrivateKeyJwt && self.signed.assertion.is_none() {
            let key = profile.assertion_key.as_ref().ok_or_else(|| no_key("to say who the client is"))?;
            let id = self.token_id(ground);
            return Ok(Some(sign::client_assertion(
                key,
                &self.registration.client_id,
                &self.server.issuer,
                id,
                now,
            )));
        }
        if self.binds_tokens && self.signed.proof.is_none() {
            let key = profile.dpop_key.as_ref().ok_or_else(|| no_key("that the tokens are bound to"))?;
            let id = self.token_id(ground);
            return Ok(Some(sign::proof(key, endpoint, id, now, self.signed.nonce.as_deref())));
        }
        Ok(None)
    }

    fn token_id(&mut self, ground: &Ground) -> String {
        self.signed.count += 1;
        ground.seed.draw(DrawnFor::TokenId(self.signed.count))
    }

    fn request(&self, ground: &Ground, uri: Uri) -> Result<FetchRequest, FlowError> {
        let mut form = Form::new();
        self.grant.write(&mut form, &self.resource, &self.requested);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.identify(&mut form, &mut headers)?;
        if let Some(proof) = &self.signed.proof {
            headers.insert(DPOP, header(proof)?);
        }
        Ok(FetchRequest {
            method: Method::POST,
            uri,
            headers,
            body: Bytes::from(form.finish()),
            purpose: self.grant.purpose(),
            rule: self.rule(ground).clone(),
        })
    }

    /// Says who the client is, in one way and no other
    /// ([RFC 6749, 2.3](https://www.rfc-editor.org/rfc/rfc6749#section-2.3)).
    fn identify(&self, form: &mut Form, headers: &mut HeaderMap) -> Result<(), FlowError> {
        let Registration { client_id, client_secret, endpoint_auth, .. } = &self.registration;
        let secret = || client_secret.as_ref().ok_or_else(|| no_key("to say who the client is"));
        match endpoint_auth {
            EndpointAuth::Public => form.add("client_id", client_id),
            EndpointAuth::Basic => {
                headers.insert(AUTHORIZATION, header(&basic(client_id, secret()?))?);
            }
            EndpointAuth::Post => {
                form.add("client_id", client_id);
                form.add("client_secret", secret()?.expose());
            }
            EndpointAuth::PrivateKeyJwt => {
                form.add("client_id", client_id);
                form.add("client_assertion_type", sign::CLIENT_ASSERTION_TYPE);
                form.add_some("client_assertion", self.signed.assertion.as_deref());
            }
        }
        Ok(())
    }
}

/// A header's value that is never shown.
fn header(text: &str) -> Result<HeaderValue, FlowError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        FlowError::new(FlowErrorKind::NoAuthMethod, "a signature is no base64url; correct what signs")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn no_key(what_for: &str) -> FlowError {
    FlowError::new(
        FlowErrorKind::NoAuthMethod,
        format!("the client has neither the secret nor the key {what_for}; give it, or log in again"),
    )
}
