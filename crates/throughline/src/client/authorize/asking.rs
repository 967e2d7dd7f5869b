//! Asking a provider, and the clocks that stand still meanwhile.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::{AfterRefusal, Credentials, Refusal, TokenError, TokenProvider, TokenRequest};
use crate::client::in_flight::Pending;
use crate::lock::Lock;
use crate::runtime;
use crate::store::Soon;

/// Whether a person may be asked for the sake of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Somebody waits for it.
    Person,
    /// It is sent beside what anybody waits for, and a login that nobody began would be out of nowhere.
    Nobody,
}

/// The provider of a client, and what its clones share about it.
pub(crate) struct Authorizing {
    provider: Box<dyn TokenProvider>,
    /// How many requests wait for the provider, while a person may be asked.
    asking: watch::Sender<u32>,
    /// Counts the times that the provider said that a request may be sent again.
    renewed: watch::Sender<u64>,
    /// Whom the last request spoke for.
    context: Mutex<Option<Arc<str>>>,
    /// Tells whom requests speak for from whom they spoke for before; 0 for the first.
    switched: AtomicU64,
}

impl Authorizing {
    pub(crate) fn new(provider: impl TokenProvider) -> Arc<Self> {
        Arc::new(Self {
            provider: Box::new(provider),
            asking: watch::Sender::new(0),
            renewed: watch::Sender::new(0),
            context: Mutex::default(),
            switched: AtomicU64::new(0),
        })
    }

    pub(crate) fn provider(&self) -> &dyn TokenProvider {
        &*self.provider
    }

    /// The credentials of a request.
    pub(crate) async fn credentials(
        &self,
        request: &TokenRequest<'_>,
    ) -> Result<Option<Credentials>, TokenError> {
        let credentials = match self.provider.credentials(request) {
            Soon::Now(credentials) => credentials?,
            later @ Soon::Later(_) => self.wait(request.may_ask, later).await?,
        };
        if let Some(credentials) = &credentials {
            self.note(credentials);
        }
        Ok(credentials)
    }

    /// What becomes of a request that was refused.
    pub(crate) async fn refused(&self, refusal: Refusal) -> Result<AfterRefusal, TokenError> {
        let may_ask = refusal.may_ask;
        let after = self.wait(may_ask, self.provider.refused(refusal)).await?;
        if after == AfterRefusal::SendAgain {
            self.renewed.send_modify(|count| *count += 1);
        }
        Ok(after)
    }

    async fn wait<T: Send + 'static>(
        &self,
        may_ask: bool,
        answer: Soon<Result<T, TokenError>>,
    ) -> Result<T, TokenError> {
        let _standing = may_ask.then(|| Standing::begin(&self.asking));
        tokio::time::timeout(MOST_ASKING, answer).await.unwrap_or_else(|_| {
            Err(TokenError::new(format!("no credentials could be had within {MOST_ASKING:?}; log in again")))
        })
    }

    /// Remembers whom requests speak for.
    fn note(&self, credentials: &Credentials) {
        /// Counts the changes in this process, so that none is taken for another.
        static SWITCHES: AtomicU64 = AtomicU64::new(1);
        let mut context = self.context.locked();
        if context.as_ref() == credentials.of_whom() {
            return;
        }
        if context.is_some() {
            self.switched.store(SWITCHES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        }
        *context = credentials.of_whom().cloned();
    }

    /// Tells whom requests speak for from whom they spoke for before.
    pub(crate) fn switched(&self) -> u64 {
        self.switched.load(Ordering::Relaxed)
    }

    /// The name of the authorization context that begins with this one.
    pub(crate) fn partition<'a>(&self, first: &'a str) -> Cow<'a, str> {
        match self.switched() {
            0 => Cow::Borrowed(first),
            count => Cow::Owned(format!("switched {count} from {first}")),
        }
    }

    /// To hear of new credentials.
    pub(crate) fn renewals(&self) -> watch::Receiver<u64> {
        self.renewed.subscribe()
    }

    /// Runs something with the clock of a call standing still for as long as a person may be asked.
    pub(crate) async fn holding<T>(&self, pending: &Arc<Pending>, work: impl Future<Output = T>) -> T {
        let mut asking = self.asking.subscribe();
        let mut work = pin!(work);
        let mut held = None;
        loop {
            if *asking.borrow_and_update() > 0 {
                held.get_or_insert_with(|| pending.hold());
            } else {
                held = None;
            }
            tokio::select! {
                biased;
                done = &mut work => return done,
                // Its sender is here, so it ends no wait.
                _ = asking.changed() => {}
            }
        }
    }

    /// Waits for something for so long, not counting the time while a person may be asked.
    async fn in_time<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut asking = self.asking.subscribe();
        let mut work = pin!(work);
        let mut left = limit;
        loop {
            let stands = *asking.borrow_and_update() > 0;
            let since = runtime::now();
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = asking.changed() => {
                    if !stands {
                        left = left.saturating_sub(runtime::now().saturating_duration_since(since));
                    }
                }
                () = tokio::time::sleep(left), if !stands => return None,
            }
        }
    }
}

/// Waits for something for so long; time in which a person may be asked does not count.
pub(crate) async fn in_time<T>(
    authorizing: Option<&Arc<Authorizing>>,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match authorizing {
        Some(authorizing) => authorizing.in_time(limit, work).await,
        None => tokio::time::timeout(limit, work).await.ok(),
    }
}

impl fmt::Debug for Authorizing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizing").finish_non_exhaustive()
    }
}

/// Clocks stand still until it is dropped.
struct Standing<'a>(&'a watch::Sender<u32>);

impl<'a> Standing<'a> {
    fn begin(asking: &'a watch::Sender<u32>) -> Self {
        asking.send_modify(|count| *count += 1);
        Self(asking)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A person who looks for a password, a second device and a colleague has this long; a provider that takes longer is stuck,
/// and calls whose clocks stand still would wait for it for ever.
const MOST_ASKING: Duration = Duration::from_secs(15 * 60);
