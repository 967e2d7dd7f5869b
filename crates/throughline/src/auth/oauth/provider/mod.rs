//! The provider that logs in.
//!
//! ```text
//!   Client --> credentials --> Account: what is held for its endpoint --> the token, while it is fresh
//!      |                          |
//!      +----> refused ------------+--> renew: one flight at a time, also of all processes that share the store
//!                                          |
//!                     the store has another token already --> that one
//!                     there is a refresh token            --> Flow::refresh
//!                     neither, and a person may be asked  --> Flow::login --> LoginPrompt
//! ```

mod account;
mod builder;
mod flight;
mod kept;
mod run;
mod settings;
mod two_steps;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use http::Uri;
use throughline_proto::auth::flow::Freshness;
use throughline_proto::auth::{AuthScheme, Challenge, ChallengeError, UnixTime, canonical_resource};

use self::account::{Account, Held};
use self::flight::Need;
pub use self::kept::LoginInfo;
use self::settings::Settings;
pub use self::two_steps::StartedLogin;
use crate::client::{AfterRefusal, Credentials, Refusal, TokenError, TokenProvider, TokenRequest};
use crate::lock::Lock;
use crate::runtime;
use crate::store::Soon;

/// Logs a [`Client`](crate::Client) in by OAuth, and keeps it logged in.
///
/// By itself it does so for a program on a person's machine: when the server asks for a login, a browser opens at the
/// authorization server that the server names, and the answer comes back to a port of this machine. Tokens are kept in a file
/// of the user's, so the next start needs nobody; they are refreshed before they end and when the server refuses them, once for
/// all tasks and all processes that share the store. A server that asks for more scopes has the person asked for those.
///
/// ```no_run
/// use throughline::Client;
/// use throughline::auth::OAuth;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), throughline::ClientError> {
/// let client = Client::connect("https://mcp.example.com/mcp").authorize(OAuth::new()).await?;
/// # client.close().await
/// # }
/// ```
///
/// An application that others run on a server has no browser to open: it says where people come back to
/// ([`redirect_uri`](Self::redirect_uri)), and logs in in two steps, [`start`](Self::start) and [`finish`](Self::finish).
///
/// Cheap to clone: clones share what they hold, one for all clients of a program does. What is set on a clone makes it
/// another one.
///
/// Specification: [authorization](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization).
#[derive(Clone)]
pub struct OAuth(Arc<Inner>);

struct Inner {
    settings: Settings,
    /// By the canonical names of the servers. As many as the program connects to.
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

impl OAuth {
    /// What is held for the server at this address.
    fn account_at(&self, endpoint: &Uri) -> Result<Arc<Account>, TokenError> {
        let resource = canonical_resource(endpoint).ok_or_else(|| {
            TokenError::new(
                "the address of the server is none that one can log in at; give one with https://",
            )
        })?;
        let mut accounts = self.0.accounts.locked();
        if let Some(account) = accounts.get(&resource) {
            return Ok(Arc::clone(account));
        }
        let account = Arc::new(Account::new(endpoint.clone(), &resource, &self.0.settings.client_key()));
        accounts.insert(resource, Arc::clone(&account));
        Ok(account)
    }
}

impl TokenProvider for OAuth {
    fn credentials(&self, request: &TokenRequest<'_>) -> Soon<Result<Option<Credentials>, TokenError>> {
        let account = match self.account_at(request.endpoint) {
            Ok(account) => account,
            Err(error) => return Soon::now(Err(error)),
        };
        match account.ready(now(), !self.0.settings.asks_a_person()) {
            Ready::Use(held) => Soon::now(held.credentials_for(&account, request.method, request.uri)),
            Ready::Nothing => Soon::now(Ok(None)),
            Ready::Renew(need) => {
                let (this, method, uri) = (self.clone(), request.method.clone(), request.uri.clone());
                Soon::later(async move {
                    this.renew(&account, need).await?;
                    match account.held() {
                        Some(held) if held.freshness(now()) != Freshness::Expired => {
                            held.credentials_for(&account, &method, &uri)
                        }
                        // What the server says to a request without any tells how to log in.
                        _ => Ok(None),
                    }
                })
            }
        }
    }

    fn refused(&self, refusal: Refusal) -> Soon<Result<AfterRefusal, TokenError>> {
        let this = self.clone();
        Soon::later(async move { this.after(refusal).await })
    }

    fn answered(&self, request: &TokenRequest<'_>, _: http::StatusCode, headers: &http::HeaderMap) {
        if headers.contains_key("dpop-nonce")
            && let Ok(account) = self.account_at(request.endpoint)
            && account.held().is_some_and(|held| held.is_bound())
        {
            account.take_nonce(headers);
        }
    }
}

/// What can be done for a request at once.
enum Ready {
    Use(Arc<Held>),
    /// Nothing is held, and nothing is to be had without being asked.
    Nothing,
    Renew(Need),
}

impl OAuth {
    async fn after(&self, refusal: Refusal) -> Result<AfterRefusal, TokenError> {
        let account = self.account_at(&refusal.endpoint)?;
        let held = account.held();
        let is_used =
            |held: &Held| refusal.used.as_ref().is_some_and(|used| held.credentials.is_same_token(used));
        if let Some(held) = &held
            && !is_used(held)
            && held.freshness(now()) != Freshness::Expired
        {
            // It was renewed while this request was on its way.
            return Ok(AfterRefusal::SendAgain);
        }
        let challenge = pick(&refusal.challenges);
        // https://www.rfc-editor.org/rfc/rfc9449#section-9: the token is good, and its proof lacks what the server gives out.
        let wants_nonce =
            refusal.challenges.iter().any(|said| said.error == Some(ChallengeError::UseDpopNonce));
        if wants_nonce && held.as_ref().is_some_and(|held| held.is_bound()) {
            // It may be known already, by this response or by one to another request: the next proof has it in any case. A server
            // that is never content is left alone by whoever sends the request, after a few times.
            account.take_nonce(&refusal.headers);
            return Ok(AfterRefusal::SendAgain);
        }
        let may_ask = refusal.may_ask;
        let need = if refusal.status == http::StatusCode::FORBIDDEN {
            let (Some(held), Some(challenge)) = (&held, challenge) else { return Ok(AfterRefusal::GiveUp) };
            let operation = refusal.operation.clone();
            Need::More { used: Arc::clone(held), challenge, may_ask, operation }
        } else {
            if let Some(held) = held.as_ref().filter(|held| is_used(held))
                && refusal.before > 0
                && held.is_of_a_login()
            {
                return Err(TokenError::new(format!(
                    "the server refuses the token that its authorization server `{}` has just issued; tell who runs the server",
                    held.login.server.issuer
                )));
            }
            Need::Another { used: held, challenge, may_ask, insists: refusal.before > 0 }
        };
        self.renew(&account, need).await?;
        // A person who may not be asked is no reason to fail: the refusal says it all.
        let is_another = account.held().is_some_and(|held| !is_used(&held));
        Ok(if is_another { AfterRefusal::SendAgain } else { AfterRefusal::GiveUp })
    }
}

/// The challenge that a token answers. One that names its metadata counts more.
fn pick(challenges: &[Challenge]) -> Option<Challenge> {
    let is_ours = |scheme: &AuthScheme| matches!(scheme, AuthScheme::Bearer | AuthScheme::Dpop);
    let ours = || challenges.iter().filter(|challenge| is_ours(&challenge.scheme));
    ours()
        .find(|challenge| challenge.error == Some(ChallengeError::InsufficientScope))
        .or_else(|| ours().find(|challenge| challenge.resource_metadata.is_some()))
        .or_else(|| ours().next())
        .cloned()
}

fn not_granted(operation: &str, challenge: &Challenge) -> TokenError {
    match challenge.scope.as_ref().filter(|scopes| !scopes.is_empty()) {
        Some(scopes) => TokenError::new(format!(
            "the server still asks for the scopes `{scopes}` for {} after the login asked for them; ask who runs it to grant \
             them to you",
            if operation.is_empty() { "this" } else { operation },
        )),
        None => TokenError::new(
            "the server says that scopes are missing, and not which; ask who runs it what to log in for",
        ),
    }
}

fn now() -> UnixTime {
    UnixTime(runtime::unix_time())
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuth").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
