//! What is kept of a login.

use std::fmt;

use serde::{Deserialize, Serialize};
use throughline_proto::auth::flow::{Freshness, Login, Registration, RegistrationKind};
use throughline_proto::auth::{ScopeSet, Secret, UnixTime};

use crate::auth::oauth::ClientKey;
use crate::runtime;

/// The record of one server in a store.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Names the login, whatever tokens come of it.
    #[serde(default)]
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<Login>,
    /// The registrations of this client, the latest last. They outlive a login.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) registrations: Vec<Registration>,
    /// The key that tokens are bound to, where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dpop_key: Option<Secret>,
}

impl Kept {
    /// The key that tokens are bound to: that of the login that is kept, or a new one, which is kept with the next login.
    pub(super) fn dpop_key(&mut self) -> Option<ClientKey> {
        if let Some(key) = self.dpop_key.as_ref().and_then(ClientKey::of_kept) {
            return Some(key);
        }
        let key = ClientKey::generate()?;
        self.dpop_key = key.to_keep().cloned();
        Some(key)
    }

    /// A person logged in, or what stands for one.
    pub(super) fn logged_in(&mut self, login: &Login) {
        self.id = runtime::random_id();
        self.refreshed(login);
    }

    /// The same login has other tokens.
    pub(super) fn refreshed(&mut self, login: &Login) {
        self.note(&login.registration);
        self.login = Some(login.clone());
    }

    /// Remembers a registration that the client made itself.
    pub(super) fn note(&mut self, registration: &Registration) {
        if registration.kind != RegistrationKind::Dynamic {
            return;
        }
        self.registrations.retain(|known| known.issuer != registration.issuer);
        self.registrations.push(registration.clone());
        if self.registrations.len() > MOST_REGISTRATIONS {
            self.registrations.remove(0);
        }
    }

    /// The authorization server does not know the client any more: the next login registers anew, which costs a request and no
    /// person. What came of the registration goes with it.
    pub(super) fn forget_client(&mut self) {
        self.registrations.clear();
        self.login.take_if(|login| login.registration.kind == RegistrationKind::Dynamic);
    }

    /// Whether nothing can come of the login that is kept.
    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        self.login.as_ref().is_none_or(|login| {
            login.tokens.refresh_token.is_none() && login.tokens.freshness(now) == Freshness::Expired
        })
    }

    /// The authorization server ended the login. Its scopes stay known for the next one.
    pub(super) fn ended(&mut self) {
        if let Some(login) = &mut self.login {
            login.tokens.refresh_token = None;
            // Whatever it says of its end, it is refused.
            login.tokens.expires_at = Some(login.tokens.issued_at);
        }
    }
}

/// A server has one authorization server; with a few it is moving from one to the next.
const MOST_REGISTRATIONS: usize = 4;

/// What is known of a login: nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginInfo {
    /// The server that the tokens are for, as it names itself.
    pub resource: String,
    /// The authorization server that issued them.
    pub issuer: String,
    /// As which client.
    pub client_id: String,
    /// What they allow, as far as the authorization server said so.
    pub scopes: ScopeSet,
    /// When the access token ends; `None`: that was not said.
    pub expires_at: Option<UnixTime>,
    /// Whether there is a refresh token, so that nobody needs to log in when the access token ends.
    pub is_renewed_by_itself: bool,
}

impl LoginInfo {
    pub(super) fn of(login: &Login) -> Self {
        Self {
            resource: login.resource.clone(),
            issuer: login.server.issuer.clone(),
            client_id: login.registration.client_id.clone(),
            scopes: login.tokens.granted.clone(),
            expires_at: login.tokens.expires_at,
            is_renewed_by_itself: login.tokens.refresh_token.is_some(),
        }
    }
}

impl fmt::Display for LoginInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "logged in at {} by {}", self.resource, self.issuer)?;
        if !self.scopes.is_empty() {
            write!(f, ", with the scopes {}", self.scopes)?;
        }
        Ok(())
    }
}
