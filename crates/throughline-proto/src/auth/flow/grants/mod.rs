//! What tokens are issued for, and the ways without a browser.

mod audience;
mod device;
mod identity_provider;
mod revoke;

use std::time::Duration;

use http::Uri;

use super::authorize;
use super::error::{FlowError, FlowErrorKind};
use super::exchange::{Exchange, Signed};
use super::form::Form;
use super::machine::{Ground, Moved};
use super::profile::{IdentityProvider, LoginBy, SubjectToken};
use super::register::Known;
use super::registration::Registration;
use super::step::{FetchResponse, Purpose};
use crate::auth::{AddressRule, ScopeSet, Secret, UnixTime};

pub(super) use device::{GRANT_TYPE as DEVICE_CODE, Polling};
pub(super) use revoke::revoking;

/// What one request to an authorization server offers or asks. Each grant is a variant that writes its own parameters; who the
/// client is, the resource and proofs are [`Exchange`]'s.
pub(super) enum Grant {
    /// The code that the browser brought back ([RFC 6749, 4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)),
    /// with the verifier of its challenge ([RFC 7636, 4.5](https://www.rfc-editor.org/rfc/rfc7636#section-4.5)).
    Code { code: Secret, verifier: Secret, redirect_uri: String },
    /// A refresh token ([RFC 6749, 6](https://www.rfc-editor.org/rfc/rfc6749#section-6)). The scope stays that of the login.
    Refresh { token: Secret },
    /// The client itself ([RFC 6749, 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
    ClientCredentials,
    /// What somebody else vouches for ([RFC 7523, 2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)).
    Assertion { assertion: Secret },
    /// Asking for a code that a person enters elsewhere
    /// ([RFC 8628, 3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)).
    DeviceStart { endpoint: Uri },
    /// Asking whether the person has entered it ([RFC 8628, 3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4)).
    DeviceCode { code: Secret, interval: Duration, expires_at: UnixTime },
    /// Changing what an identity provider issued into what another authorization server takes
    /// ([RFC 8693, 2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)); and the request to that server.
    TokenExchange { subject: Secret, subject_is: SubjectToken, rule: AddressRule, then: Box<Exchange> },
    /// Giving tokens up ([RFC 7009, 2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)): the first, then the others.
    Revoke { endpoint: Uri, tokens: Vec<(Secret, &'static str)> },
}

/// The grant of [RFC 7523](https://www.rfc-editor.org/rfc/rfc7523#section-2.1).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Grant {
    /// Writes its parameters, with the resource that the tokens are for, and the scopes that were `requested` if this is the
    /// first request to name them.
    pub(super) fn write(&self, form: &mut Form, resource: &str, requested: &ScopeSet) {
        let mut scope = false;
        match self {
            Grant::Code { code, verifier, redirect_uri } => {
                form.add("grant_type", "authorization_code");
                form.add("code", code.expose());
                form.add("redirect_uri", redirect_uri);
                form.add("code_verifier", verifier.expose());
            }
            Grant::Refresh { token } => {
                form.add("grant_type", "refresh_token");
                form.add("refresh_token", token.expose());
            }
            Grant::ClientCredentials => {
                form.add("grant_type", "client_credentials");
                scope = true;
            }
            Grant::Assertion { assertion } => {
                form.add("grant_type", JWT_BEARER);
                form.add("assertion", assertion.expose());
                scope = true;
            }
            Grant::DeviceStart { .. } => scope = true,
            Grant::DeviceCode { code, .. } => {
                form.add("grant_type", device::GRANT_TYPE);
                form.add("device_code", code.expose());
            }
            Grant::TokenExchange { subject, subject_is, then, .. } => {
                identity_provider::write(form, subject, *subject_is, then.issuer());
                scope = true;
            }
            Grant::Revoke { tokens, .. } => {
                revoke::write(form, tokens);
                // It takes no resource: https://www.rfc-editor.org/rfc/rfc7009#section-2.1
                return;
            }
        }
        form.add("resource", resource);
        if scope && !requested.is_empty() {
            form.add("scope", requested.as_str());
        }
    }

    /// The refresh token that stays valid if the answer brings none.
    pub(super) fn refresh_token(&self) -> Option<&Secret> {
        match self {
            Grant::Refresh { token } => Some(token),
            _ => None,
        }
    }

    /// What it offers.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Grant::Code { code, verifier, .. } => vec![code.clone(), verifier.clone()],
            Grant::Refresh { token } => vec![token.clone()],
            Grant::Assertion { assertion } => vec![assertion.clone()],
            Grant::DeviceCode { code, .. } => vec![code.clone()],
            Grant::TokenExchange { subject, .. } => vec![subject.clone()],
            Grant::Revoke { tokens, .. } => tokens.iter().map(|(token, _)| token.clone()).collect(),
            Grant::ClientCredentials | Grant::DeviceStart { .. } => Vec::new(),
        }
    }

    /// Where the request goes, if not to the token endpoint.
    pub(super) fn endpoint(&self) -> Option<&Uri> {
        match self {
            Grant::DeviceStart { endpoint } | Grant::Revoke { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }

    /// What its request is for.
    pub(super) fn purpose(&self) -> Purpose {
        match self {
            Grant::DeviceStart { .. } => Purpose::DeviceCode,
            Grant::Revoke { .. } => Purpose::Revocation,
            _ => Purpose::Token,
        }
    }

    /// What its request may reach, if that is not what the MCP server may name.
    pub(super) fn rule(&self) -> Option<&AddressRule> {
        match self {
            Grant::TokenExchange { rule, .. } => Some(rule),
            _ => None,
        }
    }
}

impl Exchange {
    /// Takes the answer of a grant that does not end with it. `Err` gives the exchange back: its answer is the end.
    pub(super) fn handle_grant(
        mut self,
        ground: &Ground,
        now: UnixTime,
        response: &FetchResponse,
    ) -> Result<Moved, Box<Exchange>> {
        match self.grant {
            Grant::DeviceStart { .. } => Ok(device::started(self, ground, now, response)),
            Grant::DeviceCode { .. } => device::polled(self, now, response),
            Grant::TokenExchange { then, .. } => {
                let mut next = then;
                next.signed = self.signed.anew();
                Ok(identity_provider::exchanged(*next, ground, now, response))
            }
            Grant::Revoke { ref mut tokens, .. } => {
                tokens.remove(0);
                Ok(revoke::revoked(self, ground, now, response))
            }
            _ => Err(Box::new(self)),
        }
    }
}

/// Everything is known: gets tokens, in the way that the client wants.
pub(super) fn begin(ground: &Ground, now: UnixTime, known: Known, registration: Registration) -> Moved {
    let grant = match &ground.profile.login_by {
        LoginBy::Device => device::start(ground, &known)?,
        LoginBy::ClientCredentials => {
            if registration.client_secret.is_none() && ground.profile.assertion_key.is_none() {
                return Err(FlowError::new(
                    FlowErrorKind::NoAuthMethod,
                    "a client that logs in as itself needs a secret or a key; give one with its client id",
                ));
            }
            Grant::ClientCredentials
        }
        LoginBy::Assertion(assertion) => {
            audience::check(ground, &known, &registration, assertion)?;
            Grant::Assertion { assertion: assertion.clone() }
        }
        LoginBy::IdentityProvider(provider) => {
            return with_provider(ground, now, known, registration, provider);
        }
        LoginBy::Browser => return authorize::send(ground, now, known, registration),
    };
    exchange(ground, known, registration, grant)?.begin(ground, now)
}

fn with_provider(
    ground: &Ground,
    now: UnixTime,
    known: Known,
    registration: Registration,
    provider: &IdentityProvider,
) -> Moved {
    // Its assertion comes with the answer of the identity provider.
    let then = exchange(ground, known, registration, Grant::Assertion { assertion: Secret::new("") })?;
    identity_provider::ask(provider, then)?.begin(ground, now)
}

fn exchange(
    ground: &Ground,
    known: Known,
    registration: Registration,
    grant: Grant,
) -> Result<Exchange, FlowError> {
    Ok(Exchange {
        grant,
        server: known.server.issued_by(&ground.rule)?,
        registration,
        binds_tokens: ground.binds_tokens(&known.resource, &known.server.metadata),
        resource: known.resource.name,
        requested: known.scope,
        signed: Signed::default(),
    })
}

#[cfg(test)]
mod tests;
