//! Authorization: a client that logs in, a lock in front of a server, and who may do what, for how long, and how much of it.

#[cfg(feature = "auth")]
mod attacks;
#[cfg(feature = "auth")]
mod attacks_client;
mod binding;
mod caps;
#[cfg(feature = "auth")]
mod grants;
#[cfg(feature = "auth")]
mod lock;
#[cfg(feature = "auth")]
mod oauth;
mod scopes;
#[cfg(feature = "auth")]
mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throughline::auth::{ScopeSet, UnixTime};
use throughline::{Authorized, Principal};

/// What a lock in front of the server finds in the token of somebody with these scopes.
fn token(who: &str, scopes: &str) -> Authorized {
    Authorized::new(Principal::new("https://login.example", who))
        .with_scopes(ScopeSet::parse(scopes).unwrap())
}

/// A token without scopes that expires after so many seconds.
fn expiring(who: &str, seconds: u64) -> Authorized {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The clock of the system goes on while that of the runtime stands still: a second more is never too few.
    token(who, "").with_expiry(UnixTime((now + Duration::from_secs(seconds)).as_secs() + 1))
}
