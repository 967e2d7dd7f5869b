//! The login of a client.
//!
//! [`OAuth`] is the provider that a client is given ([`Connect::authorize`](crate::Connect::authorize)). It runs the machine of
//! [`flow`](crate::auth::flow), asks a person by a [`LoginPrompt`], and keeps what comes of it in a [`TokenStore`]: by itself in a
//! [`FileTokenStore`], after a browser came back to a [`LoopbackCallback`].
//!
//! ```no_run
//! use throughline::Client;
//! use throughline::auth::oauth::{LoopbackCallback, MemoryTokenStore};
//! use throughline::auth::{OAuth, ScopeSet};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let oauth = OAuth::new()
//!     .client_name("Projects")
//!     .scopes(ScopeSet::parse("projects:read")?)
//!     .store(MemoryTokenStore::new())
//!     .prompt(LoopbackCallback::headless());
//! let client = Client::connect("https://mcp.example.com/mcp").authorize(oauth.clone()).await?;
//! let other = Client::connect("https://other.example.com/mcp").authorize(oauth).await?;
//! # drop((client, other));
//! # Ok(())
//! # }
//! ```

mod key;
mod person;
mod provider;
mod store;

pub use key::{ClientKey, KeyError};
pub use person::{DeviceCode, LoginPage, LoginPrompt, LoginVisit, LoopbackCallback, PromptError, Redirect};
pub use provider::{LoginInfo, OAuth, StartedLogin};
pub use store::laws as store_laws;
pub use store::{
    Exclusive, FileTokenStore, MemoryTokenStore, Record, RecordKey, RecordKind, StoreError, StoreLock,
    TokenStore, exclusive,
};
