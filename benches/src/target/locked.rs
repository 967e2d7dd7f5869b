//! Our own target behind a lock: each request is let in by a JWT, whose signature is checked once.

use throughline::auth::{Authorization, JwtKey};
use tokio::net::TcpListener;

use super::{Settings, us};
use crate::scenario::MAX_CONNECTIONS;
use crate::{LiveHeap, Result};

/// What the token is signed with.
///
/// Each has a token that holds until the year 2100 and the public key of its issuer. The private keys are gone, so that every
/// run sends the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Es256,
    Rs256,
}

impl Key {
    /// The token that the lock lets in.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Es256 => include_str!("tokens/es256.jwt").trim_ascii_end(),
            Self::Rs256 => include_str!("tokens/rs256.jwt").trim_ascii_end(),
        }
    }

    /// The keys of the issuer.
    fn set(self) -> &'static str {
        match self {
            Self::Es256 => include_str!("tokens/es256.json"),
            Self::Rs256 => include_str!("tokens/rs256.json"),
        }
    }
}

/// Serves until dropped.
///
/// # Errors
///
/// When the listener fails.
pub(super) async fn serve(
    listener: TcpListener,
    settings: Settings,
    heap: Option<LiveHeap>,
    key: Key,
) -> Result<()> {
    let lock = Authorization::builder(RESOURCE).jwt_keys(ISSUER, JwtKey::jwks(key.set())?).build()?;
    let endpoint = us::builder(settings, heap)
        // All requests are of one principal, and may come as fast as the load likes: what it costs to count them stays.
        .rate_per_principal(RATE, RATE)
        .max_sessions_per_principal(MAX_CONNECTIONS)
        .max_in_flight_per_principal(MAX_CONNECTIONS)
        .build();
    throughline::serve(listener, lock.layer(endpoint)).max_connections(MAX_CONNECTIONS).await?;
    Ok(())
}

/// What the tokens are for, and who issued them.
const RESOURCE: &str = "https://lab.example.com/mcp";
const ISSUER: &str = "https://login.example.com";

/// Requests a second: more than a core answers.
const RATE: u32 = 1_000_000;
