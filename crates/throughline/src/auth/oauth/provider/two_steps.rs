//! Logins that are begun and ended by the application itself, and what else can be done with one.

use std::fmt;

use serde::{Deserialize, Serialize};
use throughline_proto::auth::flow::{Flow, PendingLogin};

use super::account::{Account, Origin};
use super::flight::{Need, PATIENCE, adopt, keep, locked, of_store, read, save};
use super::kept::{Kept, LoginInfo};
use super::run::{Stand, seed};
use super::{OAuth, now};
use crate::client::TokenError;

/// A login that waits for its person ([`OAuth::start`]). It serialises with its secrets, the PKCE verifier among them: keep it where
/// the person's session is kept, and take it out of there before it is finished, so that it is used once.
#[derive(Clone, Serialize, Deserialize)]
pub struct StartedLogin {
    login: PendingLogin,
    /// For which client and account it was begun: one person's login must not become another's.
    client: String,
}

impl StartedLogin {
    /// Where the person is to be sent. Not to be logged.
    pub fn address(&self) -> String {
        self.login.visit().address
    }

    /// What tells this login from others when the person comes back: the `state` of the address that they come back to.
    pub fn state(&self) -> &str {
        self.login.state().expose()
    }

    /// Whether it is this login that a person comes back from, by the address that they come back to or its query.
    pub fn is_answered_by(&self, redirect: &str) -> bool {
        self.login.visit().is_answered_by(redirect)
    }

    /// When it is too late to finish it, in seconds since 1970.
    pub fn expires_at(&self) -> u64 {
        self.login.expires_at().0
    }
}

impl fmt::Debug for StartedLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.login.fmt(f)
    }
}

impl OAuth {
    /// Logs in at the server with this address, with a person where that takes one, whatever is held already. A client does so by
    /// itself when its server asks for it.
    ///
    /// # Errors
    ///
    /// One sentence that says why nobody could be logged in.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the login up.
    pub async fn login(&self, url: impl AsRef<str>) -> Result<LoginInfo, TokenError> {
        let account = self.account_at(&Self::endpoint(url.as_ref())?)?;
        let challenge = self.challenge_of(&account).await?;
        self.renew(&account, Need::Login(challenge)).await?;
        match account.held() {
            Some(held) => Ok(LoginInfo::of(&held.login)),
            None => {
                Err(TokenError::new("nobody could be asked to log in; log in at a terminal or a desktop"))
            }
        }
    }

    /// The first step of a login: where a person is to be sent. It is for an application that people use in a browser, and says
    /// where they [come back to](Self::redirect_uri).
    ///
    /// ```no_run
    /// use throughline::auth::OAuth;
    /// use throughline::auth::oauth::StartedLogin;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let oauth = OAuth::new()
    ///     .client_name("Projects")
    ///     .redirect_uri("https://projects.example/callback")
    ///     .account("ann");
    /// let started = oauth.start("https://mcp.example.com/mcp").await?;
    /// let in_her_session = serde_json::to_string(&started)?;
    /// // .. send her to `started.address()`. When she is back, maybe in another process:
    /// let came_back_to = "https://projects.example/callback?code=..&state=..";
    /// let started: StartedLogin = serde_json::from_str(&in_her_session)?;
    /// let login = oauth.finish(started, came_back_to).await?;
    /// println!("{login}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One sentence that says why there is no such page, or that it was not said where people come back to.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a registration at the authorization server.
    pub async fn start(&self, url: impl AsRef<str>) -> Result<StartedLogin, TokenError> {
        let settings = &self.0.settings;
        if settings.redirect_uri.is_none() {
            return Err(TokenError::new(
                "a login in two steps needs an address that people come back to; give `OAuth::redirect_uri` one",
            ));
        }
        let account = self.account_at(&Self::endpoint(url.as_ref())?)?;
        let store = settings.store()?;
        let (_lock, mut kept) = locked(&*store, &account, PATIENCE).await.map_err(of_store)?;
        let challenge = self.challenge_of(&account).await?;
        let (profile, dpop) = self.with_key(&mut kept);
        let (mut flow, step) = self.begin(&account, challenge.as_ref(), &kept, profile).await?;
        match self.drive(&mut flow, step, &account, dpop.as_ref()).await.map_err(TokenError::from)? {
            Stand::Visit(_) => {
                let pending = flow.pending().expect("it waits for a person").clone();
                kept.note(pending.registration());
                keep(&*store, &account, &kept).await;
                Ok(StartedLogin { login: pending, client: settings.client_key() })
            }
            Stand::Done(_) | Stand::Revoked => Err(TokenError::new(
                "this login takes no person; connect, and it is done when the server asks for it",
            )),
        }
    }

    /// The second step: the person is back, at this address or one with this query. From then on clients with this provider, and
    /// with others that share its store, are logged in.
    ///
    /// # Errors
    ///
    /// One sentence that says why nobody is logged in: it was refused, took too long, or this is the answer to another login.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future can lose the login: begin another then.
    pub async fn finish(&self, started: StartedLogin, redirect: &str) -> Result<LoginInfo, TokenError> {
        let StartedLogin { login: pending, client } = started;
        if client != self.0.settings.client_key() {
            return Err(TokenError::new(
                "this login was begun for another account or another client; finish it for the one that began it",
            ));
        }
        let endpoint = Self::endpoint(pending.endpoint())?;
        let account = self.account_at(&endpoint)?;
        let settings = &self.0.settings;
        let store = settings.store()?;
        // With the key that the tokens may be bound to.
        let (_lock, mut kept) = locked(&*store, &account, PATIENCE).await.map_err(of_store)?;
        let (profile, dpop) = self.with_key(&mut kept);
        let rule = self.rule(&account).await?;
        let (mut flow, step) = Flow::finish(pending, redirect, profile, rule, seed(), now());
        let login =
            match self.drive(&mut flow, step, &account, dpop.as_ref()).await.map_err(TokenError::from)? {
                Stand::Done(login) => *login,
                Stand::Visit(_) | Stand::Revoked => {
                    return Err(TokenError::new("the login began anew; start another"));
                }
            };
        kept.logged_in(&login);
        save(&*store, &account, &kept).await?;
        adopt(&account, &kept, &login, Origin::Login)?;
        Ok(LoginInfo::of(&login))
    }

    /// What is known of the login at the server with this address; `None`: there is none. It is read from the store, and the
    /// server is not asked.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn whoami(&self, url: impl AsRef<str>) -> Result<Option<LoginInfo>, TokenError> {
        let account = self.account_at(&Self::endpoint(url.as_ref())?)?;
        let record = self.0.settings.store()?.load(&account.key).await.map_err(of_store)?;
        let kept = record.map(|record| record.read::<Kept>()).transpose().map_err(of_store)?;
        let login = kept.and_then(|kept| kept.login);
        // One that has ended and cannot be refreshed is none.
        let login = login.filter(|login| login.tokens.refresh_token.is_some() || Account::is_fresh(login));
        Ok(login.as_ref().map(LoginInfo::of))
    }

    /// Forgets the login at the server with this address, and gives its tokens back to the authorization server where that takes
    /// them; one that cannot be reached is no error. False: there was none.
    ///
    /// # Errors
    ///
    /// When the store cannot be written. The tokens are not used any more all the same.
    pub async fn logout(&self, url: impl AsRef<str>) -> Result<bool, TokenError> {
        let account = self.account_at(&Self::endpoint(url.as_ref())?)?;
        account.hold(None);
        account.set_unkept(None);
        let store = self.0.settings.store()?;
        let _lock = store.lock(&account.key, PATIENCE).await.map_err(of_store)?;
        let record = store.load(&account.key).await;
        // What cannot be read goes too: to log out is what its reader is told to do.
        let was_there = record.as_ref().map_or(true, Option::is_some);
        let kept = read(record).unwrap_or_default();
        store.delete(&account.key).await.map_err(of_store)?;
        // A flight that was on its way may have brought something meanwhile.
        account.hold(None);
        if let Some(login) = &kept.login
            && let Err(why) = self.run_revocation(&account, login).await
        {
            let why = TokenError::from(why);
            tracing::warn!(%why, "the tokens are forgotten here, and could not be given back");
        }
        Ok(was_there)
    }
}
