//! Getting other tokens: one flight at a time, for all who wait.

use std::sync::Arc;
use std::time::Duration;

use throughline_proto::auth::Challenge;
use throughline_proto::auth::flow::{Freshness, LOGIN_PATIENCE, Login, Recovery, StepUp};
use tokio::sync::oneshot;

use super::account::{Account, Held, Origin};
use super::kept::Kept;
use super::run::Failed;
use super::{OAuth, not_granted, now};
use crate::auth::oauth::{Record, StoreError, StoreLock, TokenStore};
use crate::client::TokenError;
use crate::runtime;

/// What for tokens are to be got.
#[derive(Clone)]
pub(super) enum Need {
    /// Those that are held have ended, or will soon; or nobody has looked yet what is kept.
    Fresh,
    /// The server refused these, or a request without any.
    Another {
        used: Option<Arc<Held>>,
        challenge: Option<Challenge>,
        may_ask: bool,
        /// It was refused before, with what came of that.
        insists: bool,
    },
    /// Somebody wants to log in, whatever is held; with how the server asks for it.
    Login(Option<Challenge>),
    /// The server wants more scopes than these have.
    More { used: Arc<Held>, challenge: Challenge, may_ask: bool, operation: String },
}

impl Need {
    fn may_ask(&self) -> bool {
        match self {
            Self::Fresh => false,
            Self::Login(_) => true,
            Self::Another { may_ask, .. } | Self::More { may_ask, .. } => *may_ask,
        }
    }

    fn challenge(&self) -> Option<&Challenge> {
        match self {
            Self::Fresh => None,
            Self::Login(challenge) | Self::Another { challenge, .. } => challenge.as_ref(),
            Self::More { challenge, .. } => Some(challenge),
        }
    }

    /// Whether what is held, or kept, will do.
    fn is_met_by(&self, login: &Login) -> bool {
        let is_another = |used: &Held| used.login.tokens.access_token != login.tokens.access_token;
        match self {
            Self::Fresh => login.tokens.freshness(now()) == Freshness::Fresh,
            Self::Login(_) => false,
            Self::Another { used, .. } => {
                used.as_ref().is_none_or(|used| is_another(used)) && Account::is_fresh(login)
            }
            Self::More { used, .. } => is_another(used) && Account::is_fresh(login),
        }
    }
}

/// What is to be done once it is known what is kept.
enum Way {
    Use,
    Refresh,
    LogIn,
    /// There is nothing, and nobody asked for a login.
    Leave,
}

impl OAuth {
    /// Gets other tokens, or waits for those that another task gets at the moment.
    ///
    /// # Cancel safety
    ///
    /// A refresh that was begun goes on: with its answer lost, the login would be. A login ends when nobody waits for it.
    pub(super) async fn renew(&self, account: &Arc<Account>, need: Need) -> Result<(), TokenError> {
        let seen = account.flights();
        let waiting = account.wait();
        let turn = Arc::clone(&account.flying).lock_owned().await;
        if account.held().is_some_and(|held| need.is_met_by(&held.login)) {
            return Ok(());
        }
        if account.flights() != seen {
            match account.failed(need.may_ask()) {
                // Whoever did not want to log in for one of them does not want to for the next.
                Some(why) => return Err(why),
                None if matches!(need, Need::Login(_)) && account.held().is_some() => return Ok(()),
                None => {}
            }
        }
        let (tell, told) = oneshot::channel();
        let (this, flown) = (self.clone(), Arc::clone(account));
        runtime::spawn(async move {
            let outcome = this.fly(&flown, &need).await;
            flown.landed(need.may_ask(), &outcome);
            drop(turn);
            // Nobody may be there any more.
            let _ = tell.send(outcome);
        });
        let outcome = told.await;
        drop(waiting);
        outcome.unwrap_or_else(|_| Err(TokenError::new("the login was ended with the program; log in again")))
    }

    async fn fly(&self, account: &Arc<Account>, need: &Need) -> Result<(), TokenError> {
        let store = self.0.settings.store()?;
        if matches!(need, Need::Fresh) && account.held().is_none() {
            // To look is free, and most often there is a token that will do.
            let kept = read(store.load(&account.key).await).map_err(of_store)?;
            match &kept.login {
                Some(login) if login.tokens.freshness(now()) == Freshness::Fresh => {
                    return adopt(account, &kept, login, Origin::Store);
                }
                Some(login) if login.tokens.refresh_token.is_some() => {}
                Some(_) if !self.0.settings.asks_a_person() => {}
                _ => {
                    account.hold(None);
                    return Ok(());
                }
            }
        }
        // It can wait, as the token is still good.
        let can_wait =
            matches!(need, Need::Fresh) && account.held().is_some_and(|held| Account::is_fresh(&held.login));
        let patience = match (need.may_ask(), can_wait) {
            (true, _) => PATIENCE_WITH_A_PERSON,
            (false, true) => PATIENCE_AHEAD,
            (false, false) => PATIENCE,
        };
        // The lock is held until the end.
        let (_lock, kept) = match locked(&*store, account, patience).await {
            Ok(locked) => locked,
            Err(error) if error.is_busy() && can_wait => {
                account.try_later();
                return Ok(());
            }
            Err(error) if error.is_busy() => {
                let why = "another program is logging in at this server; finish that, and try again";
                return Err(TokenError::new(why).because(error));
            }
            Err(error) => return Err(of_store(error)),
        };
        let mut kept = account.unkept().unwrap_or(kept);
        match self.way(account, need, &kept) {
            Way::Use => {
                let login = kept.login.clone().expect("it is used");
                adopt(account, &kept, &login, Origin::Store)
            }
            Way::Refresh => self.refresh(account, need, &*store, &mut kept).await,
            Way::LogIn => self.log_in(account, need, &*store, &mut kept).await,
            Way::Leave => {
                account.hold(None);
                Ok(())
            }
        }
    }

    /// What to do, by what is kept.
    fn way(&self, account: &Account, need: &Need, kept: &Kept) -> Way {
        let Some(login) = &kept.login else {
            return if matches!(need, Need::Fresh) { Way::Leave } else { Way::LogIn };
        };
        if !login.covers(&account.endpoint) {
            return if matches!(need, Need::Fresh) { Way::Leave } else { Way::LogIn };
        }
        if need.is_met_by(login) {
            return Way::Use;
        }
        match need {
            Need::Fresh if login.tokens.refresh_token.is_some() => Way::Refresh,
            Need::Fresh if !self.0.settings.asks_a_person() => Way::LogIn,
            Need::Fresh => Way::Leave,
            // A token that was refreshed a moment ago and is refused does not get better by that.
            Need::Another { used: Some(used), insists: true, .. } if used.is_of_a_refresh() => Way::LogIn,
            Need::Another { used, .. } => {
                let used = used.as_ref().map_or(&login.tokens, |used| &used.login.tokens);
                match Recovery::after_unauthorized(used, Some(&login.tokens), now()) {
                    Recovery::UseStored => Way::Use,
                    Recovery::Refresh => Way::Refresh,
                    Recovery::LogIn => Way::LogIn,
                }
            }
            Need::Login(_) | Need::More { .. } => Way::LogIn,
        }
    }

    /// Gets tokens with the refresh token that is kept. The lock of the record is held.
    async fn refresh(
        &self,
        account: &Arc<Account>,
        need: &Need,
        store: &dyn TokenStore,
        kept: &mut Kept,
    ) -> Result<(), TokenError> {
        let login = kept.login.clone().expect("there is one to refresh");
        let error = match self.run_refresh(account, &login, kept).await {
            Ok(refreshed) => {
                kept.refreshed(&refreshed);
                keep(store, account, kept).await;
                return adopt(account, kept, &refreshed, Origin::Refresh);
            }
            Err(Failed::Flow(error)) => error,
            Err(failed) => return Err(failed.into()),
        };
        if error.is_temporary() && !matches!(need, Need::More { .. }) {
            account.try_later();
            if matches!(need, Need::Fresh) && Account::is_fresh(&login) {
                tracing::debug!(%error, "a token that ends soon could not be refreshed yet");
                return adopt(account, kept, &login, Origin::Store).map(|()| account.try_later());
            }
            return Err(TokenError::new(error.to_string()).because(error));
        }
        tracing::info!(%error, "the login cannot be refreshed");
        kept.ended();
        if error.is_invalid_client() {
            kept.forget_client();
        }
        keep(store, account, kept).await;
        if matches!(need, Need::Fresh) {
            // The server says to a request without a token how to log in.
            account.hold(None);
            return Ok(());
        }
        self.log_in(account, need, store, kept).await
    }

    /// Logs in. The lock of the record is held.
    async fn log_in(
        &self,
        account: &Arc<Account>,
        need: &Need,
        store: &dyn TokenStore,
        kept: &mut Kept,
    ) -> Result<(), TokenError> {
        let settings = &self.0.settings;
        if settings.asks_a_person() {
            if !need.may_ask() {
                // Nobody waits for it. Whoever does next is asked.
                return Ok(());
            }
            if settings.redirect_uri.is_some() {
                return Err(TokenError::new(format!(
                    "nobody is logged in at {}; begin a login with `OAuth::start`, and send the person there",
                    account.key.subject()
                )));
            }
        }
        if let Need::More { used, challenge, operation, .. } = need
            && account.step_up(operation, &used.login.requested, challenge) == StepUp::GiveUp
        {
            return Err(not_granted(operation, challenge));
        }
        let on_demand = settings.asks_a_person() && matches!(need, Need::Another { .. });
        if on_demand && !account.may_ask_again() {
            return Err(TokenError::new(
                "the server asked for a login again and again, and nobody is asked any more for some minutes; log in yourself \
                 once you know why",
            ));
        }
        let login = tokio::select! {
            biased;
            login = self.run_login(account, need.challenge(), kept) => login,
            () = account.abandoned() => {
                return Err(TokenError::new("nobody waits for the login any more; call again to log in"));
            }
            () = tokio::time::sleep(LOGIN_PATIENCE) => {
                return Err(TokenError::new(format!("the login took more than {LOGIN_PATIENCE:?}; log in again")));
            }
        };
        let login = match login {
            Ok(login) => login,
            Err(failed) => {
                if failed.is_unknown_client() || (failed.is_silence() && kept.is_over(now())) {
                    kept.forget_client();
                    keep(store, account, kept).await;
                }
                return Err(failed.into());
            }
        };
        if on_demand {
            account.logged_in_on_demand();
        }
        kept.logged_in(&login);
        keep(store, account, kept).await;
        tracing::info!(resource = login.resource, issuer = login.server.issuer, "logged in");
        adopt(account, kept, &login, Origin::Login)
    }
}

/// From now on requests carry this.
pub(super) fn adopt(account: &Account, kept: &Kept, login: &Login, origin: Origin) -> Result<(), TokenError> {
    account.hold(Some(Arc::new(Held::new(kept, login, origin)?)));
    Ok(())
}

/// Takes the lock of a record, and then reads it: whoever held it may have written it.
pub(super) async fn locked(
    store: &dyn TokenStore,
    account: &Account,
    patience: Duration,
) -> Result<(StoreLock, Kept), StoreError> {
    let lock = store.lock(&account.key, patience).await?;
    Ok((lock, read(store.load(&account.key).await)?))
}

/// What is kept. What is damaged is as good as nothing: the next login writes it anew, and a program that never shows why it failed
/// gets over it.
pub(super) fn read(record: Result<Option<Record>, StoreError>) -> Result<Kept, StoreError> {
    let kept = match record {
        Ok(Some(record)) => record.read(),
        Ok(None) => return Ok(Kept::default()),
        Err(error) => Err(error),
    };
    match kept {
        Err(error) if error.is_corrupt() => {
            tracing::warn!(%error, "a login that is kept cannot be read");
            Ok(Kept::default())
        }
        kept => kept,
    }
}

/// Keeps what there is. That it cannot be kept is no reason to throw tokens away that are good.
pub(super) async fn keep(store: &dyn TokenStore, account: &Account, kept: &Kept) {
    let saved = save(store, account, kept).await;
    account.set_unkept(saved.is_err().then(|| kept.clone()));
    if let Err(error) = saved {
        tracing::warn!(%error, "the login cannot be kept: it holds until the end of this program");
    }
}

pub(super) async fn save(store: &dyn TokenStore, account: &Account, kept: &Kept) -> Result<(), TokenError> {
    let record = Record::of(kept).map_err(of_store)?;
    store.save(&account.key, &record).await.map_err(of_store)
}

pub(super) fn of_store(error: StoreError) -> TokenError {
    TokenError::new(error.to_string()).because(error)
}

/// How long another process may take to refresh, with the requests that this takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The same while the token that is held is still good.
const PATIENCE_AHEAD: Duration = Duration::from_secs(5);

/// How long a person may take in another process: as long as a login waits for one in this.
const PATIENCE_WITH_A_PERSON: Duration = Duration::from_secs(10 * 60);
