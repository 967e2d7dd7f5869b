//! Does what a flow says.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use throughline_proto::auth::flow::{
    ClientProfile, FetchRequest, FetchResponse, Flow, FlowError, IdentityProvider, Login, LoginBy,
    LoginRequest, Seed, SignWith, Step,
};
use throughline_proto::auth::{AddressRule, Challenge};

use super::account::Account;
use super::kept::Kept;
use super::{OAuth, now, pick};
use crate::auth::oauth::{ClientKey, DeviceCode, LoginPage, LoginVisit, PromptError};
use crate::client::{Stays, TokenError};
use crate::runtime;

/// Why there are no tokens.
pub(super) enum Failed {
    Flow(FlowError),
    /// The person did not come back.
    Prompt(PromptError),
    Other(TokenError),
}

impl Failed {
    /// Whether the authorization server says that it does not know the client.
    pub(super) fn is_unknown_client(&self) -> bool {
        matches!(self, Self::Flow(error) if error.is_invalid_client())
    }

    /// Whether the person did not come back. It may be that the authorization server does not know the client any more: it then
    /// shows an error to the person, and sends nobody anywhere.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Prompt(error) if error.is_timeout())
    }
}

impl From<FlowError> for Failed {
    fn from(error: FlowError) -> Self {
        Self::Flow(error)
    }
}

impl From<TokenError> for Failed {
    fn from(error: TokenError) -> Self {
        Self::Other(error)
    }
}

impl From<PromptError> for Failed {
    fn from(error: PromptError) -> Self {
        Self::Prompt(error)
    }
}

impl From<Failed> for TokenError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Flow(error) => TokenError::new(error.to_string()).because(error),
            Failed::Prompt(error) => TokenError::new(error.to_string()).because(error),
            Failed::Other(error) => error,
        }
    }
}

/// Where a flow stands that came to a person.
pub(super) enum Stand {
    Done(Box<Login>),
    /// A person is to be sent to this page.
    Visit(LoginPage),
    /// The tokens were given back.
    Revoked,
}

impl OAuth {
    /// Gets new tokens with a refresh token.
    pub(super) async fn run_refresh(
        &self,
        account: &Account,
        login: &Login,
        kept: &mut Kept,
    ) -> Result<Login, Failed> {
        let (profile, dpop) = self.with_key(kept);
        let rule = self.rule(account).await?;
        let (mut flow, step) = Flow::refresh(login, profile, rule, seed(), now());
        match self.drive(&mut flow, step, account, dpop.as_ref()).await {
            Ok(Stand::Done(login)) => Ok(*login),
            Ok(Stand::Visit(_) | Stand::Revoked) => Err(no_tokens().into()),
            Err(error) => Err(error),
        }
    }

    /// Gives the tokens of a login back ([RFC 7009](https://www.rfc-editor.org/rfc/rfc7009)). An authorization server that does not
    /// take them lets them end by themselves.
    pub(super) async fn run_revocation(&self, account: &Account, login: &Login) -> Result<(), Failed> {
        let profile = self.0.settings.profile.clone();
        let rule = self.rule(account).await?;
        let (mut flow, step) = Flow::revoke(login, profile, rule, seed(), now());
        self.drive(&mut flow, step, account, None).await.map(drop)
    }

    /// Who the client is, with the key that its tokens may be bound to.
    pub(super) fn with_key(&self, kept: &mut Kept) -> (ClientProfile, Option<ClientKey>) {
        let profile = self.0.settings.profile.clone();
        match kept.dpop_key() {
            Some(key) => (profile.dpop_key(key.public().clone()), Some(key)),
            None => (profile, None),
        }
    }

    /// Logs in, with a person where that takes one.
    pub(super) async fn run_login(
        &self,
        account: &Account,
        challenge: Option<&Challenge>,
        kept: &mut Kept,
    ) -> Result<Login, Failed> {
        let settings = &self.0.settings;
        let (mut profile, dpop) = self.with_key(kept);
        if let Some(vouching) = &settings.vouching {
            let vouched = vouching().await?;
            profile = profile.login_by(match settings.login_by.clone() {
                LoginBy::IdentityProvider(provider) => {
                    LoginBy::IdentityProvider(IdentityProvider { subject_token: vouched, ..provider })
                }
                _ => LoginBy::Assertion(vouched),
            });
        }
        let mut visit: Option<Box<dyn LoginVisit>> = None;
        if settings.opens_a_page() {
            let wish = kept.registrations.last().and_then(|known| known.redirect_uris.first());
            let ready = settings.prompt().ready(wish.map(String::as_str)).await?;
            // It receives by now, so nobody can be sent to a port that is somebody else's.
            profile = profile.redirect_uri(ready.redirect_uri());
            visit = Some(ready);
        }
        let (mut flow, mut step) = self.begin(account, challenge, kept, profile).await?;
        loop {
            match self.drive(&mut flow, step, account, dpop.as_ref()).await? {
                Stand::Done(login) => return Ok(*login),
                Stand::Revoked => return Err(no_tokens().into()),
                Stand::Visit(page) => {
                    let visit = visit.take().ok_or_else(|| {
                        TokenError::new(
                            "this login takes a person, and there is nobody to ask; log in beforehand",
                        )
                    })?;
                    let redirect = visit.visit(page).await?;
                    step = flow.handle_redirect(now(), redirect.expose());
                }
            }
        }
    }

    /// Begins a login.
    pub(super) async fn begin(
        &self,
        account: &Account,
        challenge: Option<&Challenge>,
        kept: &Kept,
        profile: ClientProfile,
    ) -> Result<(Flow, Step), TokenError> {
        let mut request =
            LoginRequest::new(account.endpoint.clone()).registered(kept.registrations.iter().cloned());
        if let Some(challenge) = challenge {
            request = request.challenged(challenge.clone());
        }
        if let Some(login) = &kept.login {
            request = request.holding(login.clone());
        }
        Ok(Flow::login(request, profile, self.rule(account).await?, seed(), now()))
    }

    /// What may be reached on the way to a login at this server.
    pub(super) async fn rule(&self, account: &Account) -> Result<AddressRule, TokenError> {
        Ok(self.0.settings.fetcher()?.rule_for(&account.endpoint).await)
    }

    /// Asks the server how to log in, by a request that has no credentials. What cannot be had this way may be found by the
    /// address of the server alone.
    pub(super) async fn challenge_of(&self, account: &Account) -> Result<Option<Challenge>, TokenError> {
        let mut request = Request::new(Bytes::from_static(PING));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = account.endpoint.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        match self.0.settings.fetcher()?.fetch(request, &self.rule(account).await?).await {
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                Ok(pick(&Challenge::parse_all(response.headers())))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::debug!(%error, "the server did not say how to log in");
                Ok(None)
            }
        }
    }

    /// Does what a flow says until it is over, or comes to a person.
    pub(super) async fn drive(
        &self,
        flow: &mut Flow,
        mut step: Step,
        account: &Account,
        dpop: Option<&ClientKey>,
    ) -> Result<Stand, Failed> {
        let settings = &self.0.settings;
        for _ in 0..MOST_STEPS {
            step = match step {
                Step::Fetch(request) => match self.fetch(request).await? {
                    Ok(response) => flow.handle_response(now(), &response),
                    Err(why) => flow.handle_unreachable(now(), &why),
                },
                Step::Visit(visit) => {
                    let server = account.endpoint.authority().map_or("", |server| server.as_str());
                    return Ok(Stand::Visit(LoginPage::new(visit.address, visit.state.expose(), server)));
                }
                Step::ShowCode(code) => {
                    let mut shown = DeviceCode::new(code.address, code.user_code, code.lasts);
                    shown.address_with_code = code.address_with_code;
                    settings.prompt().show_code(&shown).await?;
                    flow.handle_waited(now())
                }
                Step::Wait(time) => {
                    tokio::time::sleep(time.min(MOST_WAIT)).await;
                    flow.handle_waited(now())
                }
                Step::Sign(request) => {
                    let key = match request.with {
                        SignWith::Dpop => dpop,
                        _ => settings.key.as_ref(),
                    };
                    let signature = key.and_then(|key| key.sign(&request.input)).ok_or_else(|| {
                        TokenError::new(
                            "the authorization server wants something signed, and this client has no key for it; give it one",
                        )
                    })?;
                    flow.handle_signature(now(), &signature)
                }
                Step::Done(login) => return Ok(Stand::Done(login)),
                Step::Revoked => return Ok(Stand::Revoked),
                Step::Fail(error) => return Err(error.into()),
            };
        }
        Err(Failed::Other(TokenError::new(format!(
            "the login took more than {MOST_STEPS} steps; tell who runs the authorization server"
        ))))
    }

    /// The inner error: why there was no answer.
    async fn fetch(&self, request: FetchRequest) -> Result<Result<FetchResponse, String>, TokenError> {
        tracing::debug!(purpose = ?request.purpose, host = request.uri.host(), "a request of a login");
        let mut sent = Request::new(request.body);
        *sent.method_mut() = request.method;
        *sent.uri_mut() = request.uri;
        *sent.headers_mut() = request.headers;
        // The flow follows redirects of documents by itself, and those of other requests never.
        sent.extensions_mut().insert(Stays);
        let fetched = self.0.settings.fetcher()?.fetch(sent, &request.rule).await;
        Ok(fetched.map_err(|error| error.to_string()).map(|response| {
            let (parts, body) = response.into_parts();
            FetchResponse { status: parts.status, headers: parts.headers, body }
        }))
    }
}

/// Not so by the flow, whatever a server says; and if it were, a login is no reason to end a program.
fn no_tokens() -> TokenError {
    TokenError::new("the login ended without tokens; log in again")
}

pub(super) fn seed() -> Seed {
    Seed::new(runtime::random())
}

/// A request that does nothing, and that every revision knows.
const PING: &[u8] = br#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#;
/// Discovery has about ten requests at most, a registration one and the tokens two, with nonces as many again. A device that
/// waits for its code asks every five seconds for some minutes.
const MOST_STEPS: usize = 1_000;
/// An authorization server that asks to be left alone for longer than this is not waited for.
const MOST_WAIT: Duration = Duration::from_secs(60);
