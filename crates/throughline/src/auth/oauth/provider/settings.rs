//! What the user of a provider says beforehand.

use std::fmt;
use std::sync::{Arc, OnceLock};

use throughline_proto::auth::Secret;
use throughline_proto::auth::flow::{ClientProfile, LoginBy};

use crate::HttpOptions;
use crate::auth::fetch::Fetcher;
use crate::auth::oauth::{ClientKey, FileTokenStore, LoginPrompt, LoopbackCallback, TokenStore};
use crate::client::TokenError;
use crate::store::Soon;

/// Where what others vouch with comes from.
pub(super) type Vouching = Arc<dyn Fn() -> Soon<Result<Secret, TokenError>> + Send + Sync>;

/// What the user of a provider says beforehand.
#[derive(Clone)]
pub(super) struct Settings {
    /// Who the client is. Its redirect address is known when a person is asked, unless it is this one.
    pub(super) profile: ClientProfile,
    pub(super) name: String,
    pub(super) login_by: LoginBy,
    /// Where what others vouch with comes from, anew for each login.
    pub(super) vouching: Option<Vouching>,
    /// What the client proves itself with.
    pub(super) key: Option<ClientKey>,
    /// Tells logins of one client at one server apart.
    pub(super) account: Option<String>,
    /// For applications whose people come back to an address of their own.
    pub(super) redirect_uri: Option<String>,
    pub(super) store: Option<Arc<dyn TokenStore>>,
    pub(super) prompt: Option<Arc<dyn LoginPrompt>>,
    pub(super) options: HttpOptions,
    fetcher: Arc<OnceLock<Fetcher>>,
    default_store: Arc<OnceLock<Arc<dyn TokenStore>>>,
}

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            // A server that does not ask for tokens with a key may not know them.
            profile: ClientProfile::new(DEFAULT_NAME).dpop_when_asked(true),
            name: DEFAULT_NAME.to_owned(),
            login_by: LoginBy::default(),
            vouching: None,
            key: None,
            account: None,
            redirect_uri: None,
            store: None,
            prompt: None,
            options: HttpOptions::new(),
            fetcher: Arc::default(),
            default_store: Arc::default(),
        }
    }

    pub(super) fn set_options(&mut self, options: HttpOptions) {
        self.options = options;
        self.fetcher = Arc::default();
    }

    pub(super) fn set_fetcher(&mut self, fetcher: Fetcher) {
        self.fetcher = Arc::new(OnceLock::from(fetcher));
    }

    /// What tells logins of one user at one server apart.
    pub(super) fn client_key(&self) -> String {
        match &self.account {
            // A character that no name has, so that no two of them run together to the same.
            Some(account) => format!("{}\u{0}{account}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether a login takes a person.
    pub(super) fn asks_a_person(&self) -> bool {
        self.login_by.asks_person()
    }

    /// Whether a login takes a browser, and somebody to come back to.
    pub(super) fn opens_a_page(&self) -> bool {
        matches!(self.login_by, LoginBy::Browser)
    }

    pub(super) fn fetcher(&self) -> Result<&Fetcher, TokenError> {
        if let Some(fetcher) = self.fetcher.get() {
            return Ok(fetcher);
        }
        let fetcher =
            Fetcher::new(self.options.clone()).map_err(|error| TokenError::new(error.to_string()))?;
        Ok(self.fetcher.get_or_init(|| fetcher))
    }

    /// Where logins are kept: a file of the user's, unless it was said otherwise.
    pub(super) fn store(&self) -> Result<Arc<dyn TokenStore>, TokenError> {
        if let Some(store) = self.store.as_ref().or_else(|| self.default_store.get()) {
            return Ok(Arc::clone(store));
        }
        let store =
            FileTokenStore::new().map_err(|error| TokenError::new(error.to_string()).because(error))?;
        Ok(Arc::clone(self.default_store.get_or_init(|| Arc::new(store))))
    }

    /// Who is asked to log in: whoever sits at this machine, unless it was said otherwise.
    pub(super) fn prompt(&self) -> Arc<dyn LoginPrompt> {
        self.prompt.clone().unwrap_or_else(|| Arc::new(LoopbackCallback::detect()))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the profile: a client secret may be in it.
        f.debug_struct("Settings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What people see when they are asked to allow a client that did not say its name.
const DEFAULT_NAME: &str = "throughline";
