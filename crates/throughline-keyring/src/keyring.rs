//! The key in the keyring of the system.

use std::fmt;
use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error};
use throughline::auth::oauth::StoreError;
use zeroize::{Zeroize, Zeroizing};

/// The bytes of a key.
pub(crate) type Key = Zeroizing<[u8; 32]>;

const SERVICE: &str = "throughline";
const USER: &str = "logins";

/// The keyring of the system, or another one. All of its calls may block.
#[derive(Clone, Default)]
pub(crate) struct Keyring(pub(crate) Option<Arc<CredentialStore>>);

impl Keyring {
    /// The key, if there is one.
    pub(crate) fn key(&self) -> Result<Option<Key>, StoreError> {
        let mut secret = match self.entry()?.get_secret() {
            Ok(secret) => secret,
            Err(Error::NoEntry) => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        };
        let key = <[u8; 32]>::try_from(&*secret).map(Zeroizing::new);
        secret.zeroize();
        let why = "the keyring holds no key for logins under their name: delete `throughline` there, and log in again";
        key.map(Some).map_err(|_| StoreError::corrupt(why))
    }

    /// Makes a key. Nobody else may do so at the same time.
    pub(crate) fn make_key(&self) -> Result<Key, StoreError> {
        let mut key = Key::default();
        getrandom::fill(&mut *key).map_err(|_| {
            StoreError::unusable("the system has no random bytes to make a key of; try again")
        })?;
        self.entry()?.set_secret(&*key).map_err(|error| unavailable(&error))?;
        Ok(key)
    }

    fn entry(&self) -> Result<Entry, StoreError> {
        // One that the program chose for all of its entries counts.
        let entry = match self.0.clone().or_else(keyring_core::get_default_store) {
            Some(store) => store.build(SERVICE, USER, None),
            None => keyring::Entry::new(SERVICE, USER).map(|entry| entry.inner),
        };
        entry.map_err(|error| unavailable(&error))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Keyring(given)" } else { "Keyring(system)" })
    }
}

/// For people. The error itself is not kept: some of them hold what was read.
fn unavailable(error: &Error) -> StoreError {
    let why = match error {
        Error::NoDefaultStore => {
            "the system has no keyring that can be used: start one, or keep logins in files"
        }
        Error::NoStorageAccess(_) => "the keyring of the system is locked: unlock it, and try again",
        Error::Ambiguous(_) => {
            "the keyring holds several keys for logins: delete `throughline` there, and log in again"
        }
        _ => "the keyring of the system cannot be used: look at it, or keep logins in files",
    };
    StoreError::unusable(why)
}
